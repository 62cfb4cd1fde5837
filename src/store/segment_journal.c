/* segment_journal.c: finds the journal of a segment, and proves that it is its own. */
#include "segment_journal.h"

#include "journal_load.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of the three that say so one may be damaged. */
static bool has_journal(const struct journal_segment *journal)
{
    static const uint8_t nobody[sizeof(journal->id)];
    return (journal->on == 1) + (journal->directory[0] != '\0') +
               (memcmp(journal->id, nobody, sizeof(nobody)) != 0) >
           1;
}

/* Then neither the generation nor the segment's number says whether it is out of date. */
static bool is_scribbled(const struct journal_segment *recorded)
{
    return has_journal(recorded) && journal_seal_is_broken(recorded);
}

struct likeness {
    bool same, foreign; /* a file is of this journal; of another one */
    bool out_of_date;   /* it has been repaired since */
    uint64_t bytes;     /* of the larger file */
};

static struct likeness compare_files(const struct journal_directory *place,
                                     const struct journal_segment *journal)
{
    struct likeness likeness = {.same = false};
    bool tells = !is_scribbled(journal);
    for (int i = 0; i < 2; i++) {
        struct journal_header header;
        struct stat about;
        int file = place->files[i];
        if (file < 0 || pread(file, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
            header.magic != JOURNAL_MAGIC || header.crc != journal_header_crc(&header))
            continue;
        bool same = memcmp(header.id, journal->id, sizeof(header.id)) == 0;
        likeness.same = likeness.same || same;
        likeness.foreign = likeness.foreign || !same;
        likeness.out_of_date =
            likeness.out_of_date || (same && tells && header.generation > journal->generation + 1);
        if (fstat(file, &about) == 0 && (uint64_t)about.st_size > likeness.bytes)
            likeness.bytes = (uint64_t)about.st_size;
    }
    return likeness;
}

static bool are_one(int directory, int other)
{
    struct stat one, two;
    return fstat(directory, &one) == 0 && fstat(other, &two) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

/* The segment's journal still is where it says, which is not the directory that was given. */
static bool is_elsewhere(const struct journal_directory *place, const struct journal_segment *recorded)
{
    struct journal_directory there;
    char why[1];
    if (!has_journal(recorded) ||
        journal_directory_open(&there, recorded->directory, DIRECTORY_PRINT, why, sizeof(why)) != STATUS_OK)
        return false;
    bool elsewhere = compare_files(&there, recorded).same && !are_one(there.directory, place->directory);
    journal_directory_close(&there);
    return elsewhere;
}

/* Where no header tells, where it was tells; older segments have a path there that held for their maker only.
 */
bool segment_journal_is_in(const struct journal_directory *place, const struct journal_segment *recorded)
{
    const struct likeness likeness = compare_files(place, recorded);
    if (likeness.out_of_date || is_elsewhere(place, recorded))
        return false;
    if (likeness.same || likeness.foreign)
        return likeness.same;
    int there = open(recorded->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_there = has_journal(recorded) && recorded->directory[0] == '/' && there >= 0 &&
                    are_one(there, place->directory);
    if (there >= 0)
        close(there);
    return is_there;
}

static bool has_files(const struct journal_directory *place)
{
    return place->files[0] >= 0 || place->files[1] >= 0;
}

/* Somebody else has the directory; whether with the segment's mail: it has written there. Where no header
 * tells, that is so in the directory that the segment names. */
static bool may_be_out_of_date(const struct segment_journal *journal, const struct likeness *likeness)
{
    return likeness->same || (!likeness->foreign && !journal->given);
}

/* The directory must be the one that the segment has written to, and nobody may have written to it since:
 * then an index may be another account's there. A lock file that is lost tells nothing. Of the segment's
 * number and the journal's one is enough where somebody has scribbled over them: whether the files have more
 * than the segment, their records tell. */
static enum status prove(struct segment_journal *journal, const struct journal_segment *recorded,
                         const char *name, char *why, size_t why_size)
{
    const char *path = journal->place.path;
    uint8_t holder[sizeof(recorded->segment_id)];
    struct likeness likeness = compare_files(&journal->place, recorded);
    bool held = pread(journal->place.lock, holder, sizeof(holder), 0) == (ssize_t)sizeof(holder);
    bool ours = held && memcmp(holder, recorded->segment_id, sizeof(holder)) == 0;
    bool scribbled = is_scribbled(recorded);
    bool others = held && !ours && !(scribbled && likeness.same);
    journal->bytes = likeness.bytes;
    journal->is_numbered = ours;
    if (journal->given && is_elsewhere(&journal->place, recorded)) {
        snprintf(why, why_size, "post office %s has its journal in %s: repair it without -d", name,
                 recorded->directory);
        return STATUS_MISMATCH;
    }
    if (likeness.out_of_date || (others && may_be_out_of_date(journal, &likeness))) {
        snprintf(
            why, why_size,
            "journal directory %s has been used by another post office or repaired since: post office %s "
            "is out of date, remove it with 'shmailctl rm %s'",
            path, name, name);
        return STATUS_MISMATCH;
    }
    if (others) {
        snprintf(
            why, why_size,
            "journal directory %s is another post office's, or was left by a repair that was killed: say "
            "with -d where the journal of post office %s is now, or name a directory with nothing in it for "
            "a new one",
            path, name);
        return STATUS_MISMATCH;
    }
    if ((ours || likeness.same) && (!likeness.foreign || (ours && scribbled)))
        return STATUS_OK;
    if (journal->given && !has_files(&journal->place)) /* a new one */
        return STATUS_OK;
    if (!has_files(&journal->place))
        snprintf(why, why_size,
                 "post office %s: there is no journal in %s: say with -d where that is now, or name that "
                 "directory itself, or another one with nothing in it, for a new one",
                 name, path);
    else
        snprintf(why, why_size,
                 "post office %s: what is in %s is not its journal: say with -d where that is now, or name a "
                 "directory with nothing in it for a new one",
                 name, path);
    return STATUS_MISMATCH;
}

enum status segment_journal_open(struct segment_journal *journal, const struct store *old, const char *name,
                                 const char *given, char *why, size_t why_size)
{
    const struct journal_segment *recorded = &old->header->journal;
    *journal = (struct segment_journal){
        .place = {.directory = -1, .lock = -1, .files = {-1, -1}}, .given = given != NULL, .name = name};
    if (!given && !has_journal(recorded))
        return STATUS_OK;
    journal->made = given && mkdir(given, 0700) == 0;
    enum status status = journal_directory_open(&journal->place, given ? given : recorded->directory,
                                                DIRECTORY_RENEW, why, why_size);
    if (status == STATUS_OK) {
        status = prove(journal, recorded, name, why, why_size);
        bool begins = status == STATUS_OK && journal->place.lock < 0;
        return begins ? journal_directory_begin(&journal->place, why, why_size) : status;
    }
    size_t length = strlen(why);
    if (status == STATUS_SYSTEM && !given)
        snprintf(
            why + length, why_size - length,
            "; say with -d where the journal is now, or name a directory with nothing in it for a new one");
    return status;
}

/* Of a journal whose segment is sound: nothing is lost by it. */
static void note_damage(void *context, enum report_kind kind, const char *text)
{
    report_say(context, kind == REPORT_NOTE ? kind : REPORT_DAMAGE, "%s", text);
}

/* Nothing is there to read. What a damaged segment lacks may be in files that somebody has moved away. */
static enum status begin(struct segment_journal *journal, const struct store *old, bool segment_is_damaged,
                         struct report *report, char *why, size_t why_size)
{
    if (segment_is_damaged && !journal->given) {
        snprintf(
            why, why_size,
            "nothing is left of the journal in %s: bring it back, or name with -d a directory for a new one, "
            "for what is sound in memory alone",
            journal->place.path);
        return STATUS_MISMATCH;
    }
    report_say(
        report, REPORT_DAMAGE,
        has_files(&journal->place)
            ? "no file in %s can be told to be the active one of the journal: it begins anew with what is in "
              "memory"
            : "there is no journal in %s: one begins with what is in memory",
        journal->place.path);
    journal->is_damaged = true;
    journal->is_new = !has_files(&journal->place);
    journal->choice = (struct journal_choice){.file = -1};
    if (!segment_is_damaged && journal->bytes == 0)
        journal->bytes = old->header->journal.capacity; /* 0: there was none */
    memcpy(journal->choice.id, old->header->journal.id, sizeof(journal->choice.id));
    return STATUS_OK;
}

/* A copy from before, or one that was cut off where records end. */
static bool lacks_records(const struct journal_choice *choice, const struct journal_segment *recorded)
{
    return choice->generation < recorded->generation || choice->last < recorded->written;
}

/* The segment itself is a copy from before. Of the two marks one may be damaged, and then be less than it
 * was. */
static bool has_unknown_records(const struct journal_choice *choice, const struct journal_segment *recorded)
{
    return choice->last > recorded->assigned && choice->last > recorded->written;
}

/* What no file got: then it is no mere copy. */
static bool has_unwritten_records(const struct journal_segment *recorded)
{
    return recorded->assigned > recorded->written;
}

/* Another post office has begun there since: it has taken the numbers of what this one has not written. It
 * had its beginning on disk before anybody used it, so that is a later one's. Either mark may be damaged. */
static bool has_successor(const struct segment_journal *journal, const struct journal_segment *recorded)
{
    const struct journal_choice *choice = &journal->choice;
    bool is_proved =
        journal->is_numbered && recorded->seal == journal_seal(recorded); /* to be its own still */
    return !is_proved && choice->begun > recorded->written && choice->begun > recorded->synced;
}

static bool has_last_record(const struct segment_journal *journal, const struct journal_segment *recorded)
{
    struct journal_record record;
    return recorded->last == 0 || (pread(journal->place.files[journal->choice.file], &record, sizeof(record),
                                         (off_t)recorded->last) == (ssize_t)sizeof(record) &&
                                   journal_is_last(&record, recorded->written));
}

/* What no start takes, whatever the records say. */
static void compare_places(struct segment_journal *journal, const struct journal_segment *recorded,
                           struct report *report)
{
    bool knows_best = recorded->doubtful || recorded->suspect || recorded->failure;
    if (!journal->is_numbered) {
        report_say(report, REPORT_DAMAGE, "the lock file in %s does not say whose the journal is",
                   journal->place.path);
        journal->is_damaged = true;
    }
    if (journal->choice.file != (int)recorded->file && !knows_best) {
        report_say(report, REPORT_DAMAGE,
                   "the active file of the journal in %s is %s, and another one in memory",
                   journal->place.path, journal_file_name(journal->choice.file));
        journal->is_damaged = true;
    }
    if (!has_last_record(journal, recorded) && !journal->is_damaged && !knows_best) {
        report_say(report, REPORT_DAMAGE,
                   "what was written last to the journal in %s is not where it should be",
                   journal->place.path);
        journal->is_damaged = true;
    }
}

enum status segment_journal_load(struct segment_journal *journal, const struct store *old,
                                 bool segment_is_damaged, struct report *report, struct exporter *exporter,
                                 char *why, size_t why_size)
{
    struct report quiet = {.say = note_damage, .context = report};
    struct journal_load load = {.place = &journal->place,
                                .report = segment_is_damaged ? report : &quiet,
                                .exporter = segment_is_damaged ? exporter : NULL,
                                .accounts = old->accounts_most};
    enum status status = STATUS_OK;
    journal->choice.file = -1;
    if (has_files(&journal->place))
        status = journal_choose(&journal->place, &journal->choice, load.report, why, why_size);
    bool is_lost = status == STATUS_OK && journal->choice.file < 0;
    if (is_lost || (status == STATUS_MISMATCH && !segment_is_damaged))
        return begin(journal, old, segment_is_damaged, report, why, why_size);
    const struct journal_segment *recorded = &old->header->journal;
    bool has_follower = status == STATUS_OK && has_successor(journal, recorded);
    if (status == STATUS_OK && has_unknown_records(&journal->choice, recorded) &&
        !(has_follower && has_unwritten_records(recorded))) {
        snprintf(
            why, why_size,
            "post office %s is a copy from before: its journal in %s has more; remove it with 'shmailctl rm %s', and "
            "the next start reads that",
            journal->name, journal->place.path, journal->name);
        return STATUS_MISMATCH;
    }
    if (has_follower) {
        snprintf(
            why, why_size,
            "post office %s: another one has begun in %s since: move that directory away, and name with -d one with "
            "nothing in it for what is in memory here",
            journal->name, journal->place.path);
        return STATUS_MISMATCH;
    }
    if (status == STATUS_OK)
        status = journal_load(&load, &journal->choice, &journal->state, why, why_size);
    journal->is_damaged = load.mended;
    if (status == STATUS_OK && lacks_records(&journal->choice, recorded)) {
        report_say(report, REPORT_DAMAGE, "the journal in %s lacks what was written last",
                   journal->place.path);
        journal->is_damaged = true;
    }
    if (status == STATUS_OK)
        compare_places(journal, &old->header->journal, report);
    return status;
}

void segment_journal_withdraw(struct segment_journal *journal, const uint8_t number[static SEGMENT_ID_SIZE])
{
    struct journal_directory place;
    uint8_t holder[SEGMENT_ID_SIZE];
    char why[1];
    if (!journal->is_new ||
        journal_directory_open(&place, journal->place.path, DIRECTORY_RENEW, why, sizeof(why)) != STATUS_OK)
        return;
    if (pread(place.lock, holder, sizeof(holder), 0) == (ssize_t)sizeof(holder) &&
        memcmp(holder, number, sizeof(holder)) == 0 && ftruncate(place.lock, 0) == 0) {
        for (int i = 0; i < 2; i++)
            (void)unlinkat(place.directory, journal_file_name(i), 0);
        journal->is_written = false;
    }
    journal->place = place;
}

/* Only what it holds alone and nobody has ever had. Who waits for the lock file meanwhile finds no directory
 * any more. */
static void unmake(struct journal_directory *place)
{
    const char *path = place->path;
    char why[1];
    if (place->lock < 0)
        journal_directory_close(place);
    if ((place->lock >= 0 ||
         journal_directory_open(place, path, DIRECTORY_RENEW, why, sizeof(why)) == STATUS_OK) &&
        lseek(place->lock, 0, SEEK_END) == 0)
        (void)unlinkat(place->directory, "lock", 0);
    (void)rmdir(path);
}

void segment_journal_close(struct segment_journal *journal)
{
    if (journal->made && !journal->is_written)
        unmake(&journal->place);
    journal_directory_close(&journal->place);
    journal_unload(journal->state);
}
