/* standing.c: looks through the shared memory objects for the one that a journal's lock file names, or, where
 * that is lost, for the one that says it has the journal. */
#include "standing.h"

#include "journal.h"
#include "segment_journal.h"
#include "segment_name.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char prefix[] = SEGMENT_PREFIX;

static bool read_journal(int object, struct journal_segment *journal)
{
    uint64_t magic;
    uint32_t version;
    if (pread(object, &magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) || magic != SEGMENT_MAGIC ||
        pread(object, &version, sizeof(version), offsetof(struct header, version)) !=
            (ssize_t)sizeof(version) ||
        version != LAYOUT_VERSION ||
        pread(object, journal, sizeof(*journal), offsetof(struct header, journal)) !=
            (ssize_t)sizeof(*journal))
        return false;
    journal->directory[sizeof(journal->directory) - 1] = '\0';
    return true;
}

/* Its own journal is elsewhere: this one is a copy, of which it has nothing to say. */
static bool has_another(const struct journal_segment *journal, const struct journal_directory *place)
{
    struct stat own, here;
    return stat(journal->directory, &own) == 0 && fstat(place->directory, &here) == 0 &&
           (own.st_dev != here.st_dev || own.st_ino != here.st_ino) &&
           journal_is_in(journal->directory, journal->segment_id);
}

/* Whom somebody looks for. */
struct wanted {
    const struct journal_directory *place;
    const uint8_t *number; /* the lock file's; NULL: that is lost */
    bool owes;             /* only one that has what the files lack, and was not given up as damaged */
};

/* Whether they are those that the segment has written, up to its last record. */
static bool files_have(const struct journal_directory *place, const struct journal_segment *journal)
{
    struct journal_header header;
    struct journal_record record;
    struct stat about;
    int file = place->files[journal->file & 1];
    if (file < 0 || pread(file, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
        !journal_header_is_sound(&header) || memcmp(header.id, journal->id, sizeof(header.id)) != 0 ||
        header.generation < journal->generation)
        return false;
    if (journal->last == 0)
        return fstat(file, &about) == 0 && (uint64_t)about.st_size >= journal->tail;
    return pread(file, &record, sizeof(record), (off_t)journal->last) == (ssize_t)sizeof(record) &&
           record.magic == RECORD_MAGIC && !(record.flags & RECORD_SNAPSHOT) &&
           record.sequence >= journal->written;
}

static bool is_wanted(int object, const char *name, const struct wanted *wanted)
{
    const struct journal_directory *place = wanted->place;
    const uint8_t *number = wanted->number;
    struct journal_segment journal;
    if (!read_journal(object, &journal))
        return false;
    bool is_named = number && memcmp(journal.segment_id, number, sizeof(journal.segment_id)) == 0;
    bool has_no_number = !number || journal.seal != journal_seal(&journal); /* that can be trusted */
    bool had =
        is_named ? !has_another(&journal, place) : has_no_number && segment_journal_is_in(place, &journal);
    return had && (!wanted->owes || (!strstr(name, ".damaged-") &&
                                     (journal.written < journal.assigned || !files_have(place, &journal))));
}

/* Among those of the directory's owner: nobody else can have had it, whatever he has written into his. */
static bool find(const struct wanted *wanted, char name[static OBJECT_MAX + 1])
{
    struct stat here;
    bool found = false;
    DIR *objects = fstat(wanted->place->directory, &here) == 0 ? opendir(SEGMENT_FOLDER) : NULL;
    for (struct dirent *entry; objects && !found && (entry = readdir(objects));) {
        size_t length = strlen(entry->d_name);
        if (strncmp(entry->d_name, prefix, sizeof(prefix) - 1) != 0 ||
            entry->d_name[sizeof(prefix) - 1] == '.' || length - (sizeof(prefix) - 1) > OBJECT_MAX)
            continue;
        struct stat about;
        if (fstatat(dirfd(objects), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 ||
            segment_is_open(&about) || about.st_uid != here.st_uid)
            continue;
        int object = openat(dirfd(objects), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        found = object >= 0 && is_wanted(object, entry->d_name, wanted);
        if (object >= 0)
            close(object);
        if (found)
            memcpy(name, entry->d_name + sizeof(prefix) - 1, length - (sizeof(prefix) - 1) + 1);
    }
    if (objects)
        closedir(objects);
    return found;
}

static bool read_number(int lock, uint8_t number[static SEGMENT_ID_SIZE])
{
    return lock >= 0 && pread(lock, number, SEGMENT_ID_SIZE, 0) == SEGMENT_ID_SIZE;
}

/* What a repair has made from the journal has no more than that. */
static bool is_nobody(const uint8_t number[static SEGMENT_ID_SIZE])
{
    static const uint8_t nobody[SEGMENT_ID_SIZE];
    return memcmp(number, nobody, sizeof(nobody)) == 0;
}

bool standing_office(const struct journal_directory *place, char name[static OBJECT_MAX + 1])
{
    uint8_t number[SEGMENT_ID_SIZE];
    bool numbered = read_number(place->lock, number);
    const struct wanted wanted = {.place = place, .number = numbered ? number : NULL};
    return !(numbered && is_nobody(number)) && find(&wanted, name);
}

bool standing_office_owes(const struct journal_directory *place, char name[static OBJECT_MAX + 1])
{
    uint8_t number[SEGMENT_ID_SIZE];
    struct journal_directory whole = *place;
    bool numbered = read_number(place->lock, number);
    const struct wanted wanted = {.place = &whole, .number = numbered ? number : NULL, .owes = true};
    if (numbered && is_nobody(number))
        return false;
    for (int i = 0; i < 2; i++)
        whole.files[i] =
            openat(place->directory, journal_file_name(i), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool owes = find(&wanted, name);
    for (int i = 0; i < 2; i++)
        if (whole.files[i] >= 0)
            close(whole.files[i]);
    return owes;
}
