/* segment_repair.c: makes a new segment from what verifies in an old one, and lets them change places.
 *
 * The old one is never written to, but for the mark that keeps out who was forked by its last server and has
 * not attached yet. With a journal the new state goes to the directory first, and the new
 * segment is made from that, as a server would. */
#include "segment_tools.h"

#include "journal_load.h"
#include "journal_rewrite.h"
#include "segment_copy.h"
#include "segment_journal.h"
#include "segment_name.h"
#include "segment_salvage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MARK_SIZE = MOMENT_SIZE + 12,
    TRIES = 1000,
    PATH_SIZE = sizeof(SEGMENT_FOLDER "/" SEGMENT_PREFIX ".damaged-") + OBJECT_MAX + MARK_SIZE,
    OFFICE_SIZE = 64
};

struct repair {
    const char *name;
    struct store *old;   /* a private copy */
    uint64_t unmarked;   /* units of its memory */
    struct store *fresh; /* what is made of it and its journal */
    struct report *report;
    struct exporter exporter;
    struct segment_journal journal;
    char mark[MARK_SIZE];
    char export_name[sizeof("export--") + OBJECT_MAX + MARK_SIZE];
    char office[OFFICE_SIZE]; /* the new segment's name until the end */
    char *why;
    size_t why_size;
};

static void object_path(char path[static PATH_SIZE], const char *name, const char *mark)
{
    snprintf(path, PATH_SIZE, SEGMENT_FOLDER "/" SEGMENT_PREFIX "%s%s%s", name, mark ? ".damaged-" : "",
             mark ? mark : "");
}

static enum status refuse(struct repair *repair, enum status status, const char *what)
{
    snprintf(repair->why, repair->why_size, "post office %s: %s: %s", repair->name, what,
             status == STATUS_SYSTEM ? strerror(errno) : status_text(status));
    return status;
}

static bool is_taken(struct repair *repair)
{
    char path[PATH_SIZE];
    struct stat about;
    object_path(path, repair->name, repair->mark);
    snprintf(repair->export_name, sizeof(repair->export_name), "export-%s-%s", repair->name, repair->mark);
    return lstat(path, &about) == 0 || lstat(repair->export_name, &about) == 0 ||
           (repair->journal.place.path && journal_keeps(&repair->journal.place, repair->mark));
}

/* True: who made it is gone, and nobody is attached to it. Where process ids are another name space's the
 * locks tell; who is caught between two of them loses a repair that then changes nothing, and can be begun
 * again. */
static bool is_left_behind(int folder, const char *entry)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char *end;
    if (strncmp(entry, SEGMENT_PREFIX SEGMENT_REPAIR_PREFIX,
                sizeof(SEGMENT_PREFIX SEGMENT_REPAIR_PREFIX) - 1) != 0)
        return false;
    long pid = strtol(entry + sizeof(SEGMENT_PREFIX SEGMENT_REPAIR_PREFIX) - 1, &end, 10);
    if (*end != '-' || pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
        return false;
    int object = openat(folder, entry, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    bool left = object >= 0 && fcntl(object, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
    if (object >= 0)
        close(object);
    return left;
}

/* What repairs that were killed have left: nothing refers to it, and it takes memory. */
static void remove_leavings(void)
{
    DIR *folder = opendir(SEGMENT_FOLDER);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (is_left_behind(dirfd(folder), entry->d_name))
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
}

static void choose_names(struct repair *repair)
{
    char moment[MOMENT_SIZE];
    char path[PATH_SIZE];
    struct stat about;
    export_moment(moment);
    snprintf(repair->mark, sizeof(repair->mark), "%s", moment);
    for (unsigned i = 2; i < TRIES && is_taken(repair); i++)
        snprintf(repair->mark, sizeof(repair->mark), "%s-%u", moment, i);
    for (int i = 1; i < TRIES; i++) {
        snprintf(repair->office, sizeof(repair->office), SEGMENT_REPAIR_PREFIX "%ld-%d", (long)getpid(), i);
        object_path(path, repair->office, NULL);
        if (lstat(path, &about) != 0)
            break;
    }
    repair->exporter = EXPORT_TO(AT_FDCWD, NULL, repair->export_name);
}

/* ---- is there anything to do ---- */

static void note_finding(void *context, const char *finding)
{
    report_say(context, REPORT_DAMAGE, "%s", finding);
}

/* ---- the new state ---- */

/* Of one that was scribbled over nobody knows which it was: the strictest. */
static enum store_sync sync_of(const struct journal_segment *journal)
{
    return journal_sync_makes_sense(journal) ? (enum store_sync)journal->sync : STORE_SYNC_ALWAYS;
}

static enum status open_fresh(struct repair *repair, const char *directory)
{
    const struct store *old = repair->old;
    const struct store_options options = {.directory = directory,
                                          .sync = sync_of(&old->header->journal),
                                          .sync_seconds = old->header->journal.sync_seconds,
                                          .journal_bytes = repair->journal.bytes,
                                          .name = directory || !repair->journal.place.path ? repair->office
                                                                                           : NULL,
                                          .segment_bytes = old->mapped,
                                          .accounts = old->accounts_most,
                                          .slots = old->slots_most,
                                          .sessions_per_account = old->sessions_most / old->accounts_most};
    enum status status = store_open(&repair->fresh, &options, repair->why, repair->why_size);
    if (status != STATUS_OK)
        return status;
    status = store_attach(repair->fresh, "repair");
    return status == STATUS_OK ? status : refuse(repair, status, "the new segment cannot be attached to");
}

static enum status prove_fresh(struct repair *repair)
{
    size_t findings = store_check(repair->fresh, note_finding, repair->report);
    return findings == 0 ? STATUS_OK : refuse(repair, STATUS_DAMAGED, "what was made of it");
}

static enum status make_fresh(struct repair *repair, struct store *journal)
{
    enum status status = open_fresh(repair, NULL);
    if (status != STATUS_OK)
        return status;
    status = segment_salvage(repair->old, journal, repair->journal.choice.last, repair->fresh, repair->report,
                             &repair->exporter);
    if (status == STATUS_OK)
        status = export_finish(&repair->exporter);
    if (status == STATUS_FULL_JOURNAL) /* the new segment has none yet: what has no place cannot be saved */
        export_print_failure(&repair->exporter, repair->why, repair->why_size);
    else if (status != STATUS_OK)
        return refuse(repair, status, "it cannot be saved");
    return status == STATUS_OK ? prove_fresh(repair) : status;
}

/* The state becomes the journal, and the journal the new segment. Once the journal is written, a segment that
 * cannot be made is the next server's to make. */
static enum status make_journal(struct repair *repair)
{
    const char *directory = repair->journal.place.path;
    if (repair->journal.choice.last < repair->old->header->journal.assigned)
        repair->journal.choice.last = repair->old->header->journal.assigned;
    if (repair->journal.choice.generation < repair->old->header->journal.generation &&
        !journal_seal_is_broken(&repair->old->header->journal))
        repair->journal.choice.generation = repair->old->header->journal.generation;
    enum status status = journal_rewrite(&repair->journal.place, &repair->journal.choice, repair->fresh,
                                         repair->mark, repair->report, repair->why, repair->why_size);
    if (status != STATUS_OK)
        return status;
    repair->journal.is_written = true;
    journal_directory_close(&repair->journal.place);
    journal_unload(repair->fresh);
    repair->fresh = NULL;
    if (open_fresh(repair, directory) == STATUS_OK && prove_fresh(repair) == STATUS_OK)
        return STATUS_OK;
    report_say(repair->report, REPORT_NOTE, "%s; start shmaild -n %s -d %s, which makes it from the journal",
               repair->why, repair->name, directory);
    journal_unload(repair->fresh);
    repair->fresh = NULL;
    return STATUS_OK;
}

/* The old one goes under another name, the new one under its own: at every moment one has that name. */
static enum status change_places(struct repair *repair)
{
    char old[PATH_SIZE];
    char aside[PATH_SIZE];
    char fresh[PATH_SIZE];
    object_path(old, repair->name, NULL);
    object_path(aside, repair->name, repair->mark);
    object_path(fresh, repair->office, NULL);
    if (repair->fresh)
        store_detach(repair->fresh);
    if (!segment_retire(repair->old->fd) || link(old, aside) != 0)
        return refuse(repair, STATUS_SYSTEM, "it cannot be set aside");
    if ((repair->fresh ? rename(fresh, old) : unlink(old)) != 0) {
        int error = errno;
        unlink(aside);
        errno = error;
        return refuse(repair, STATUS_SYSTEM, "the new segment cannot take its place");
    }
    report_say(repair->report, REPORT_NOTE, "the old segment is kept as %s.damaged-%s", repair->name,
               repair->mark);
    return STATUS_OK;
}

static enum status mend(struct repair *repair, const char *directory)
{
    if (repair->unmarked > 0)
        report_say(repair->report, REPORT_DAMAGE, "%llu units of memory are in use and not marked so",
                   (unsigned long long)repair->unmarked);
    bool damaged = store_check(repair->old, note_finding, repair->report) > 0 || repair->unmarked > 0;
    enum status status = segment_journal_open(&repair->journal, repair->old, repair->name, directory,
                                              repair->why, repair->why_size);
    choose_names(repair);
    if (status == STATUS_OK && repair->journal.place.path)
        status = segment_journal_load(&repair->journal, repair->old, damaged, repair->report,
                                      &repair->exporter, repair->why, repair->why_size);
    if (status != STATUS_OK || (!damaged && !repair->journal.is_damaged))
        return status;
    /* A sound segment has all that its journal has, and more. */
    status = make_fresh(repair, damaged ? repair->journal.state : NULL);
    if (status == STATUS_OK && repair->journal.place.path)
        status = make_journal(repair);
    return status == STATUS_OK ? change_places(repair) : status;
}

/* Else who goes on with the old segment could not do this again. */
static void withdraw(struct repair *repair)
{
    uint8_t number[SEGMENT_ID_SIZE];
    memcpy(number, repair->fresh->header->journal.segment_id, sizeof(number));
    journal_unload(repair->fresh); /* which has the directory */
    repair->fresh = NULL;
    segment_journal_withdraw(&repair->journal, number);
}

enum status segment_repair(const char *name, const char *directory, struct report *report, char *why,
                           size_t why_size)
{
    char path[PATH_SIZE];
    struct repair repair = {.name = name, .report = report, .why = why, .why_size = why_size};
    enum status status = segment_copy(name, &repair.old, &repair.unmarked, why, why_size);
    if (status != STATUS_OK)
        return status;
    remove_leavings();
    status = mend(&repair, directory);
    export_end(&repair.exporter, status == STATUS_OK);
    object_path(path, repair.office, NULL);
    unlink(path);
    if (status != STATUS_OK && repair.journal.is_written && repair.fresh)
        withdraw(&repair);
    segment_journal_close(&repair.journal);
    journal_unload(repair.fresh);
    journal_unload(repair.old);
    return status;
}
