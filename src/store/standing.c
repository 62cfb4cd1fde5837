/* standing.c: looks through the shared memory objects for the one that a journal's lock file names. */
#include "standing.h"

#include "journal.h"
#include "segment_name.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char prefix[] = SEGMENT_PREFIX;

static bool has_journal(int object, const uint8_t id[16])
{
    uint64_t magic;
    uint32_t version;
    uint8_t holder[16];
    const size_t at = offsetof(struct header, journal) + offsetof(struct journal_segment, segment_id);
    return pread(object, &magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) && magic == SEGMENT_MAGIC &&
           pread(object, &version, sizeof(version), offsetof(struct header, version)) ==
               (ssize_t)sizeof(version) &&
           version == LAYOUT_VERSION &&
           pread(object, holder, sizeof(holder), (off_t)at) == (ssize_t)sizeof(holder) &&
           memcmp(holder, id, sizeof(holder)) == 0;
}

/* Its own journal is elsewhere: this one is a copy, of which it has nothing to say. */
static bool has_another(int object, const struct journal_directory *place, const uint8_t id[16])
{
    struct journal_directory_name name;
    struct stat own, here;
    const size_t at = offsetof(struct header, journal) + offsetof(struct journal_segment, directory);
    if (pread(object, name.text, sizeof(name.text), (off_t)at) != (ssize_t)sizeof(name.text))
        return false;
    name.text[sizeof(name.text) - 1] = '\0';
    return stat(name.text, &own) == 0 && fstat(place->directory, &here) == 0 &&
           (own.st_dev != here.st_dev || own.st_ino != here.st_ino) && journal_is_in(name.text, id);
}

/* What a repair has made from the journal has no more than that. */
bool standing_office(const struct journal_directory *place, char name[static OBJECT_MAX + 1])
{
    static const uint8_t nobody[16];
    uint8_t id[sizeof(nobody)];
    bool found = false;
    if (place->lock < 0 || pread(place->lock, id, sizeof(id), 0) != (ssize_t)sizeof(id) ||
        memcmp(id, nobody, sizeof(id)) == 0)
        return false;
    DIR *objects = opendir(SEGMENT_FOLDER);
    for (struct dirent *entry; objects && !found && (entry = readdir(objects));) {
        size_t length = strlen(entry->d_name);
        if (strncmp(entry->d_name, prefix, sizeof(prefix) - 1) != 0 ||
            entry->d_name[sizeof(prefix) - 1] == '.' || length - (sizeof(prefix) - 1) > OBJECT_MAX)
            continue;
        int object = openat(dirfd(objects), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        found = object >= 0 && has_journal(object, id) && !has_another(object, place, id);
        if (object >= 0)
            close(object);
        if (found)
            memcpy(name, entry->d_name + sizeof(prefix) - 1, length - (sizeof(prefix) - 1) + 1);
    }
    if (objects)
        closedir(objects);
    return found;
}
