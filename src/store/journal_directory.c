/* journal_directory.c: opens a journal's files for reading and tells which of the two counts.
 *
 * A server takes the active file with the greater generation and nothing else. A tool must also say something
 * where the header is gone: then records tell, since the active file is the one that goes on longest. */
#include "journal_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const char *journal_file_name(int file)
{
    return file ? "journal.1" : "journal.0";
}

static enum status refuse(const char *path, const char *what, char *why, size_t why_size)
{
    snprintf(why, why_size, "journal directory %s: %s: %s", path, what, strerror(errno));
    return STATUS_SYSTEM;
}

bool journal_lock_is_file(int lock)
{
    struct stat about;
    if (fstat(lock, &about) != 0)
        return false;
    errno = ENOTSUP;
    return S_ISREG(about.st_mode);
}

/* Nobody shares with who works there alone: to wait until one may share it, is to wait for the end of that.
 */
static bool lock_alone(int lock)
{
    return flock(lock, LOCK_EX | LOCK_NB) == 0 ||
           (errno == EWOULDBLOCK && flock(lock, LOCK_SH) == 0 && flock(lock, LOCK_EX | LOCK_NB) == 0);
}

static bool has_journal(const struct journal_directory *place)
{
    struct stat about;
    return fstatat(place->directory, journal_file_name(0), &about, AT_SYMLINK_NOFOLLOW) == 0 ||
           fstatat(place->directory, journal_file_name(1), &about, AT_SYMLINK_NOFOLLOW) == 0;
}

static enum status take(struct journal_directory *place, int flags, char *why, size_t why_size)
{
    place->lock = openat(place->directory, "lock", flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (place->lock < 0)
        return refuse(place->path, "its lock file cannot be opened", why, why_size);
    if (!journal_lock_is_file(place->lock))
        return refuse(place->path, "its lock file cannot be used", why, why_size);
    if (lock_alone(place->lock))
        return STATUS_OK;
    if (errno != EWOULDBLOCK)
        return refuse(place->path, "it cannot be locked", why, why_size);
    snprintf(
        why, why_size,
        "journal directory %s is in use: look at its post office with 'shmailctl -n NAME check', or end its "
        "processes first",
        place->path);
    return STATUS_IN_USE;
}

/* Without a lock file no post office ever had the directory, so nobody has to be kept out; and where there is
 * no journal either, none is made. */
static enum status take_lock(struct journal_directory *place, enum directory_use use, char *why,
                             size_t why_size)
{
    struct stat about;
    bool has_lock = fstatat(place->directory, "lock", &about, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
    if (!has_lock && (use < DIRECTORY_MEND || !has_journal(place)))
        return STATUS_OK;
    return take(place, use < DIRECTORY_MEND ? O_RDONLY : O_RDWR | O_CREAT, why, why_size);
}

enum status journal_directory_begin(struct journal_directory *place, char *why, size_t why_size)
{
    enum status status = take(place, O_RDWR | O_CREAT | O_EXCL, why, why_size);
    /* Whoever had it first may have come and gone between the two steps of that. */
    if (status == STATUS_OK && (has_journal(place) || lseek(place->lock, 0, SEEK_END) != 0)) {
        snprintf(why, why_size, "journal directory %s: another post office has begun there meanwhile",
                 place->path);
        status = STATUS_IN_USE;
    }
    if (status != STATUS_OK)
        journal_directory_close(place);
    return status;
}

static enum status open_files(struct journal_directory *place, enum directory_use use, char *why,
                              size_t why_size)
{
    for (int i = 0; i < 2; i++) {
        const char *name = journal_file_name(i);
        place->files[i] = openat(place->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (place->files[i] < 0 && errno != ENOENT)
            return refuse(place->path, name, why, why_size);
    }
    bool has_files = place->files[0] >= 0 || place->files[1] >= 0;
    if (has_files && place->lock < 0 && use >= DIRECTORY_MEND) { /* they have come since */
        errno = EAGAIN;
        return refuse(place->path, "its lock file cannot be opened", why, why_size);
    }
    if (has_files || use >= DIRECTORY_RENEW)
        return STATUS_OK;
    snprintf(why, why_size, "journal directory %s: there is neither a journal.0 nor a journal.1",
             place->path);
    return STATUS_SYSTEM;
}

/* The lock file may have been removed under those who had it. */
static bool lock_files(const struct journal_directory *place)
{
    return place->files[0] < 0 || flock(place->files[0], LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

enum status journal_directory_open(struct journal_directory *place, const char *path, enum directory_use use,
                                   char *why, size_t why_size)
{
    struct stat about;
    enum status status = STATUS_OK;
    *place = (struct journal_directory){.path = path, .lock = -1, .files = {-1, -1}};
    place->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->directory < 0 || fstat(place->directory, &about) != 0) {
        status = refuse(path, "it cannot be opened", why, why_size);
    } else if (use >= DIRECTORY_MEND && (about.st_uid != geteuid() || (about.st_mode & 022) != 0)) {
        snprintf(why, why_size, "journal directory %s belongs to somebody else or may be written by others",
                 path);
        status = STATUS_MISMATCH;
    }
    if (status == STATUS_OK && use != DIRECTORY_PRINT)
        status = take_lock(place, use, why, why_size);
    if (status == STATUS_OK)
        status = open_files(place, use, why, why_size);
    if (status == STATUS_OK && use != DIRECTORY_PRINT && !lock_files(place)) {
        snprintf(
            why, why_size,
            "journal directory %s: a post office that is at work writes to its files: end its processes first",
            path);
        status = STATUS_IN_USE;
    }
    if (status != STATUS_OK)
        journal_directory_close(place);
    return status;
}

void journal_directory_close(struct journal_directory *place)
{
    const int files[] = {place->directory, place->lock, place->files[0], place->files[1]};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (files[i] >= 0)
            close(files[i]);
    place->directory = place->lock = place->files[0] = place->files[1] = -1;
}

/* ---- which file counts ---- */

struct survey {
    enum journal_found found; /* of its header */
    bool readable;            /* it has records */
    bool begins;              /* with its first one sound, which each use of the file writes over */
    struct journal_header header;
    uint32_t accounts;
    uint64_t last, begun;
};

static bool is_active(const struct survey *survey)
{
    return survey->found == FOUND_RECORD && survey->header.state == JOURNAL_ACTIVE;
}

/* Where a checkpoint was interrupted both are active, the younger one with all that the older one has. */
static bool are_one_pair(const struct survey surveys[2])
{
    return surveys[0].header.generation != surveys[1].header.generation &&
           memcmp(surveys[0].header.id, surveys[1].header.id, sizeof(surveys[0].header.id)) == 0;
}

static void note_record(struct survey *survey, const struct journal_record *record)
{
    bool snapshot = record->flags & RECORD_SNAPSHOT;
    bool captured = snapshot && (record->type == RECORD_ACCOUNT || record->type == RECORD_REMOVE);
    uint64_t sequence = captured ? (uint64_t)record->received : snapshot ? 0 : record->sequence;
    if (sequence > survey->last)
        survey->last = sequence;
    if (record->type == RECORD_EPOCH && !snapshot)
        survey->begun = record->sequence;
    if (record->account > survey->accounts)
        survey->accounts = record->account;
    if (record->second > survey->accounts)
        survey->accounts = record->second;
}

static enum status look(int file, bool superseded_too, struct survey *survey)
{
    struct journal_scan scan;
    struct journal_record record;
    const char *texts;
    enum scan_found found = SCAN_END;
    *survey = (struct survey){.found = FOUND_END};
    if (file < 0)
        return STATUS_OK;
    survey->readable = journal_scan_open(&scan, file, &survey->found);
    if (survey->found == FOUND_RECORD) {
        survey->header = scan.reader.header;
        survey->last = survey->header.first;
        survey->readable = (is_active(survey) || superseded_too) && survey->header.version == JOURNAL_VERSION;
    }
    while (survey->readable && (found = journal_scan_next(&scan, &record, &texts)) != SCAN_END &&
           found != SCAN_TROUBLE)
        if (found == SCAN_RECORD) {
            survey->begins = survey->begins || scan.offset == JOURNAL_HEADER_SIZE;
            note_record(survey, &record);
        }
    /* Each index that was ever handed out has a record: one that has no room for as many is nobody's. */
    if (survey->accounts > scan.reader.size / sizeof(record))
        survey->accounts = (uint32_t)(scan.reader.size / sizeof(record));
    int error = errno;
    journal_scan_close(&scan);
    errno = error;
    return found == SCAN_TROUBLE || survey->found == FOUND_TROUBLE ? STATUS_SYSTEM : STATUS_OK;
}

/* What a file with a lost header and a lost beginning has may be from its use before the last one. Then the
 * other one has all that, and was superseded by what is lost. */
static enum status look_whether_outdated(const struct journal_directory *place, struct survey surveys[2],
                                         int file)
{
    struct survey *other = &surveys[1 - file];
    if (surveys[file].found == FOUND_RECORD || !surveys[file].readable || surveys[file].begins ||
        other->found != FOUND_RECORD || other->header.state != JOURNAL_SUPERSEDED)
        return STATUS_OK;
    enum status status = look(place->files[1 - file], true, other);
    surveys[file].readable = surveys[file].last > other->last;
    return status;
}

/* Nothing is active by its header, or by its records: why. */
static enum status refuse_both(const char *path, const struct survey surveys[2], char *why, size_t why_size)
{
    for (int i = 0; i < 2; i++) {
        if (surveys[i].found != FOUND_RECORD || surveys[i].header.state != JOURNAL_SUPERSEDED)
            continue;
        snprintf(
            why, why_size,
            "journal directory %s: nothing is left of %s, which superseded %s: mail that was deleted and "
            "passwords that were changed would be back; nothing was changed: look at it with 'shmailctl "
            "journal --texts %s/%s'",
            path, journal_file_name(1 - i), journal_file_name(i), path, journal_file_name(i));
        return STATUS_MISMATCH;
    }
    snprintf(
        why, why_size,
        "journal directory %s: neither file has the header of an active journal, or a sound record to tell what "
        "it said; nothing was changed: bring a copy of it back, or begin anew in another directory",
        path);
    return STATUS_MISMATCH;
}

static void say_which(const struct survey surveys[2], int file, struct report *report)
{
    const struct survey *other = &surveys[1 - file];
    if (surveys[file].found != FOUND_RECORD)
        report_say(
            report, REPORT_DAMAGE,
            "%s offset 0: its header is lost; it is the active file by its records, which tell the rest",
            journal_file_name(file));
    if (other->found == FOUND_DAMAGE)
        report_say(
            report, REPORT_NOTE,
            "%s offset 0: its header is damaged; %s is the active file, was never superseded, and goes on "
            "as long",
            journal_file_name(1 - file), journal_file_name(file));
}

enum status journal_choose(const struct journal_directory *place, struct journal_choice *choice,
                           struct report *report, char *why, size_t why_size)
{
    struct survey surveys[2];
    int file = -1;
    for (int i = 0; i < 2; i++) {
        if (look(place->files[i], false, &surveys[i]) != STATUS_OK)
            return refuse(place->path, journal_file_name(i), why, why_size);
        if (surveys[i].found == FOUND_RECORD && surveys[i].header.version != JOURNAL_VERSION) {
            snprintf(
                why, why_size,
                "journal directory %s: %s is of version %u, this program has %u: use the shmail that wrote it",
                place->path, journal_file_name(i), surveys[i].header.version, (unsigned)JOURNAL_VERSION);
            return STATUS_MISMATCH;
        }
        if (is_active(&surveys[i]) &&
            (file < 0 || surveys[i].header.generation > surveys[file].header.generation))
            file = i;
    }
    if (is_active(&surveys[0]) && is_active(&surveys[1]) && !are_one_pair(surveys)) {
        snprintf(
            why, why_size,
            "journal directory %s: both files have the header of an active journal, but not of the same one: "
            "move the one that does not belong there away",
            place->path);
        return STATUS_MISMATCH;
    }
    for (int i = 0; i < 2; i++)
        if (look_whether_outdated(place, surveys, i) != STATUS_OK)
            return refuse(place->path, journal_file_name(1 - i), why, why_size);
    for (int i = 0; i < 2; i++)
        if (surveys[i].found != FOUND_RECORD && surveys[i].readable &&
            (file < 0 || surveys[i].last > surveys[file].last))
            file = i;
    if (file < 0 && (surveys[0].found != FOUND_END || surveys[1].found != FOUND_END))
        return refuse_both(place->path, surveys, why, why_size);
    *choice = (struct journal_choice){.file = file};
    if (file < 0)
        return STATUS_OK;
    for (int i = 0; i < 2; i++)
        if (surveys[i].header.generation > choice->generation)
            choice->generation = surveys[i].header.generation;
    const struct survey *named = &surveys[surveys[file].found == FOUND_RECORD ? file : 1 - file];
    memcpy(choice->id, named->header.id, sizeof(choice->id));
    choice->header_is_lost = surveys[file].found != FOUND_RECORD;
    choice->accounts = surveys[file].accounts;
    choice->last = surveys[file].last;
    choice->begun = surveys[file].begun;
    /* After a checkpoint no record tells, but as of which record it was. */
    if (!choice->header_is_lost && surveys[file].header.first > choice->begun)
        choice->begun = surveys[file].header.first;
    say_which(surveys, file, report);
    return STATUS_OK;
}
