/* journal_rewrite.c: writes a store's state into new files beside the old ones, and then lets them change
 * places.
 *
 * The new files are whole and synced before the first name changes. The new header is of the same journal, of
 * a generation beyond any old one's, so that it counts beside either of the old files. */
#include "journal_rewrite.h"

#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPARE_BYTES = 1 << 20 /* for the log; the next server makes more */, FILE_NAME_SIZE = 64 };

static void new_name(char name[static FILE_NAME_SIZE], int file)
{
    snprintf(name, FILE_NAME_SIZE, "%s.repair", journal_file_name(file));
}

static bool open_new(const struct journal_directory *place, struct store *store)
{
    char name[FILE_NAME_SIZE];
    for (int i = 0; i < 2; i++) {
        new_name(name, i);
        store->files[i] =
            openat(place->directory, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (store->files[i] < 0)
            return false;
    }
    return true;
}

static void drop_new(const struct journal_directory *place)
{
    char name[FILE_NAME_SIZE];
    int error = errno;
    for (int i = 0; i < 2; i++) {
        new_name(name, i);
        unlinkat(place->directory, name, 0);
    }
    errno = error;
}

/* As if the second file had been the active one, with an empty log: the checkpoint goes into the first. */
static bool begin_journal(const struct journal_directory *place, const struct journal_choice *choice,
                          struct store *store)
{
    static const uint8_t unknown[sizeof(choice->id)];
    struct journal_segment *journal = &store->header->journal;
    snprintf(journal->directory, sizeof(journal->directory), "%s", place->path);
    journal->file = 1;
    journal->generation = choice->generation + 1;
    journal->assigned = choice->last < JOURNAL_FIRST_MAX / 2 ? choice->last : JOURNAL_FIRST_MAX / 2;
    journal->written = journal->synced = journal->assigned;
    journal->tail = journal->end = journal->capacity = JOURNAL_HEADER_SIZE;
    memcpy(journal->id, choice->id, sizeof(journal->id));
    bool begun = memcmp(journal->id, unknown, sizeof(unknown)) != 0 ||
                 getrandom(journal->id, sizeof(journal->id), 0) == (ssize_t)sizeof(journal->id);
    journal->seal = journal_seal(journal);
    return begun;
}

bool journal_keeps(const struct journal_directory *place, const char *moment)
{
    char aside[FILE_NAME_SIZE];
    struct stat about;
    bool keeps = false;
    for (int i = 0; i < 2; i++) {
        snprintf(aside, sizeof(aside), "%s.damaged-%s", journal_file_name(i), moment);
        keeps = keeps || fstatat(place->directory, aside, &about, AT_SYMLINK_NOFOLLOW) == 0;
    }
    return keeps;
}

/* The old names stay valid until the new files take them over. kept[i]: that one has another name now. */
static bool keep_old(const struct journal_directory *place, const char *moment, bool kept[static 2])
{
    char aside[FILE_NAME_SIZE];
    for (int i = 0; i < 2; i++) {
        const char *name = journal_file_name(i);
        snprintf(aside, sizeof(aside), "%s.damaged-%s", name, moment);
        if (place->files[i] < 0)
            continue;
        kept[i] = linkat(place->directory, name, place->directory, aside, 0) == 0;
        if (!kept[i])
            return false;
    }
    return true;
}

static void name_old(const struct journal_directory *place, const char *moment, const bool kept[static 2],
                     struct report *report)
{
    for (int i = 0; i < 2; i++)
        if (kept[i])
            report_say(report, REPORT_NOTE, "the old %s is kept as %s/%s.damaged-%s", journal_file_name(i),
                       place->path, journal_file_name(i), moment);
}

static void forget_old(const struct journal_directory *place, const char *moment, const bool kept[static 2])
{
    char aside[FILE_NAME_SIZE];
    int error = errno;
    for (int i = 0; i < 2; i++) {
        snprintf(aside, sizeof(aside), "%s.damaged-%s", journal_file_name(i), moment);
        if (kept[i])
            unlinkat(place->directory, aside, 0);
    }
    errno = error;
}

/* The active one first; the other one's place does not matter so much. */
static bool take_places(const struct journal_directory *place)
{
    char name[FILE_NAME_SIZE];
    new_name(name, 0);
    if (renameat(place->directory, name, place->directory, journal_file_name(0)) != 0)
        return false;
    new_name(name, 1);
    if (renameat(place->directory, name, place->directory, journal_file_name(1)) != 0)
        unlinkat(place->directory, name, 0);
    return true;
}

/* A segment that had the directory before is out of date, which the generation tells it too. */
static bool renumber(const struct journal_directory *place)
{
    uint8_t number[sizeof(((struct journal_segment *)0)->segment_id)];
    return getrandom(number, sizeof(number), 0) == (ssize_t)sizeof(number) &&
           pwrite(place->lock, number, sizeof(number), 0) == (ssize_t)sizeof(number);
}

enum status journal_rewrite(const struct journal_directory *place, const struct journal_choice *choice,
                            struct store *store, const char *moment, struct report *report, char *why,
                            size_t why_size)
{
    const char *what = NULL;
    bool kept[2] = {false, false};
    if (!open_new(place, store))
        what = "a new file cannot be made";
    else if (!begin_journal(place, choice, store) || journal_checkpoint(store, SPARE_BYTES) != STATUS_OK)
        what = "the state cannot be written";
    else if (!keep_old(place, moment, kept))
        what = "the damaged files cannot be kept under other names";
    else if (!take_places(place))
        what = "the new files cannot take the place of the old ones";
    if (what) {
        forget_old(place, moment, kept);
        drop_new(place);
    } else {
        if (!renumber(place) || fsync(place->directory) != 0)
            report_say(report, REPORT_LOST,
                       "the new files are in place, but the directory cannot be synced: %s", strerror(errno));
        name_old(place, moment, kept, report);
    }
    int error = errno;
    for (int i = 0; i < 2; i++) {
        if (store->files[i] >= 0)
            close(store->files[i]);
        store->files[i] = -1;
    }
    if (what)
        snprintf(why, why_size, "journal directory %s: %s: %s", place->path, what, strerror(error));
    return what ? STATUS_FULL_JOURNAL : STATUS_OK;
}
