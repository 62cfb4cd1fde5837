/* segment_name.c: the shared memory of a post office by its name: opened, made, removed. Of what lies in it
 * only the magic counts here.
 *
 * A creator that dies leaves an object without its magic, which the next one begins again. */
#include "segment_name.h"

#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char prefix[] = "/" SEGMENT_PREFIX;

/* Whether the name still is the object's: else it was removed since, or a repair has given the name to
 * another one. Not by opening that: closing it would give back all bytes that this process has of it. */
static bool has_name(const struct stat *about, const char *path)
{
    char whole[sizeof(SEGMENT_FOLDER) + sizeof(prefix) + OBJECT_MAX];
    struct stat named;
    snprintf(whole, sizeof(whole), SEGMENT_FOLDER "%s", path);
    return stat(whole, &named) == 0 && named.st_dev == about->st_dev && named.st_ino == about->st_ino;
}

bool segment_has_name(int fd, const char *name)
{
    char path[sizeof(prefix) + OBJECT_MAX];
    struct stat about;
    snprintf(path, sizeof(path), "%s%s", prefix, name);
    return fstat(fd, &about) == 0 && has_name(&about, path);
}

/* Those that this process has opened last, for all that it may have bytes of at once. What was closed since
 * is told by what the descriptor is now. */
static int opened[8];

static void note_opened(int fd)
{
    static unsigned opens;
    opened[opens++ % (sizeof(opened) / sizeof(opened[0]))] = fd;
}

bool segment_is_open(const struct stat *object)
{
    struct stat own;
    for (size_t i = 0; i < sizeof(opened) / sizeof(opened[0]); i++)
        if (opened[i] > 0 && fstat(opened[i], &own) == 0 && own.st_dev == object->st_dev &&
            own.st_ino == object->st_ino)
            return true;
    return false;
}

/* Only what a repair makes for itself starts with a dot. */
bool segment_is_name(const char *name, size_t most, char *why, size_t why_size)
{
    size_t length = strlen(name);
    if (length > 0 && length <= most &&
        (name[0] != '.' || strncmp(name, SEGMENT_REPAIR_PREFIX, sizeof(SEGMENT_REPAIR_PREFIX) - 1) == 0) &&
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == length)
        return true;
    snprintf(why, why_size,
             "the name of a post office is 1 to %zu of A-Z a-z 0-9 _ . - and starts without a dot", most);
    return false;
}

/* The byte that guards creation lies beyond the end of any segment, since the size may not be known yet. */
static struct flock creation(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = INT64_MAX - 1, .l_len = 1};
}

static bool creation_lock(int fd, short type)
{
    struct flock lock = creation(type);
    int result;
    do
        result = fcntl(fd, F_SETLKW, &lock);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

bool segment_bar(int fd)
{
    struct flock lock = creation(F_WRLCK);
    return fcntl(fd, F_SETLK, &lock) == 0;
}

/* One that has accounts and no journal, or what its journal lacks, was finished once: zeros were written over
 * its magic. */
static bool was_finished(int fd)
{
    const struct header *header = mmap(NULL, sizeof(*header), PROT_READ, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED)
        return false;
    const struct journal_segment *journal = &header->journal;
    bool was = header->crc == segment_header_crc(header) && header->accounts_used > 0 &&
               (!journal->directory[0] || (journal->on && journal->assigned > journal->written));
    munmap((void *)(uintptr_t)header, sizeof(*header));
    return was;
}

/* 0: the object was begun but never finished. Needs the creation lock. False: it cannot be read, which must
 * not be taken for that. */
static bool read_magic(int fd, uint64_t bytes, uint64_t *magic)
{
    *magic = 0;
    if (bytes < sizeof(struct header))
        return true;
    if (pread(fd, magic, sizeof(*magic), offsetof(struct header, magic)) != (ssize_t)sizeof(*magic))
        return false;
    if (*magic == 0 && was_finished(fd))
        *magic = ~SEGMENT_MAGIC;
    return true;
}

bool segment_retire(int fd)
{
    static const uint32_t retired = 1;
    uint64_t magic;
    if (pread(fd, &magic, sizeof(magic), offsetof(struct header, magic)) != (ssize_t)sizeof(magic) ||
        magic != SEGMENT_MAGIC)
        return true; /* nobody attaches to that */
    return pwrite(fd, &retired, sizeof(retired), offsetof(struct header, retired)) ==
           (ssize_t)sizeof(retired);
}

/* Opens the object that has the name now, if it is this user's own, and locks it against whoever may begin
 * one. *magic: as read_magic. */
static enum status take_object(struct store *store, const struct store_options *options, const char *path,
                               uint64_t *bytes, uint64_t *magic, char *why, size_t why_size)
{
    store->fd = shm_open(path, options->must_exist ? O_RDWR : O_RDWR | O_CREAT, 0600);
    struct stat about;
    if (store->fd < 0 || fstat(store->fd, &about) != 0) {
        bool absent = store->fd < 0 && errno == ENOENT;
        snprintf(why, why_size, "cannot open the shared memory of post office %s: %s%s", options->name,
                 strerror(errno), absent ? "; shmaild makes it when it starts" : "");
        return STATUS_SYSTEM;
    }
    note_opened(store->fd);
    if (about.st_uid != geteuid() || (about.st_mode & 077) != 0) {
        snprintf(
            why, why_size,
            "the shared memory of post office %s belongs to user %u, mode %o: be that user, and let nobody else in",
            options->name, (unsigned)about.st_uid, (unsigned)about.st_mode & 0777);
        return STATUS_MISMATCH;
    }
    if (!creation_lock(store->fd, F_WRLCK) || fstat(store->fd, &about) != 0) {
        snprintf(why, why_size, "cannot lock the shared memory of post office %s: %s", options->name,
                 strerror(errno));
        return STATUS_SYSTEM;
    }
    *bytes = (uint64_t)about.st_size;
    if (!read_magic(store->fd, *bytes, magic)) {
        snprintf(why, why_size, "cannot read the shared memory of post office %s: %s", options->name,
                 strerror(errno));
        return STATUS_SYSTEM;
    }
    enum status status = STATUS_OK;
    if (*magic && options->alone) {
        status = segment_take_bytes(store->fd, *bytes, options->name, why, why_size);
    } else if (*magic && !segment_stay(store->fd, *bytes)) {
        snprintf(why, why_size, "cannot lock the shared memory of post office %s: %s", options->name,
                 strerror(errno));
        return STATUS_SYSTEM;
    }
    if (!has_name(&about, path)) {
        close(store->fd);
        return take_object(store, options, path, bytes, magic, why, why_size);
    }
    return status;
}

static enum status open_named(struct store *store, const struct store_options *options, char *why,
                              size_t why_size)
{
    char path[sizeof(prefix) + OBJECT_MAX];
    uint64_t bytes, magic;
    snprintf(path, sizeof(path), "%s%s", prefix, options->name);
    enum status status = take_object(store, options, path, &bytes, &magic, why, why_size);
    if (status != STATUS_OK)
        return status;
    if (magic) {
        status = segment_attach(store, bytes, options, why, why_size);
        /* Whoever was about to take its name has not; but a tool may look at what has lost it. */
        if (status == STATUS_OK && !options->must_exist)
            __atomic_store_n(&store->header->retired, 0, __ATOMIC_RELEASE);
    } else if (options->must_exist) {
        snprintf(why, why_size, "post office %s was never finished: start shmaild on it", options->name);
        status = STATUS_MISMATCH;
    } else {
        status = segment_create(store, options, why, why_size);
        if (status == STATUS_OK && !segment_stay(store->fd, store->mapped)) {
            snprintf(why, why_size, "cannot lock the shared memory of post office %s: %s", options->name,
                     strerror(errno));
            status = STATUS_SYSTEM;
        }
    }
    int error = errno;
    if (status != STATUS_OK && !magic && !options->must_exist)
        shm_unlink(path);
    creation_lock(store->fd, F_UNLCK);
    errno = error;
    return status;
}

enum status segment_open(struct store *store, const struct store_options *options, char *why, size_t why_size)
{
    if (options->name)
        return open_named(store, options, why, why_size);
    store->fd = memfd_create("shmail", MFD_CLOEXEC);
    if (store->fd < 0) {
        snprintf(why, why_size, "cannot create private shared memory: %s", strerror(errno));
        return STATUS_SYSTEM;
    }
    return segment_create(store, options, why, why_size);
}

enum status store_remove(const char *name, char *why, size_t why_size)
{
    char path[sizeof(prefix) + OBJECT_MAX];
    if (!segment_is_name(name, OBJECT_MAX, why, why_size))
        return STATUS_MALFORMED;
    snprintf(path, sizeof(path), "%s%s", prefix, name);
    int fd = shm_open(path, O_RDWR, 0);
    struct stat about;
    /* Until the descriptor is closed nobody creates it anew, and, by the bytes that are taken below, nobody
     * opens it. */
    if (fd < 0) {
        if (errno == ENOENT)
            snprintf(why, why_size, "there is no post office %s", name);
        else
            snprintf(why, why_size, "cannot open the shared memory of post office %s: %s", name,
                     strerror(errno));
        return STATUS_SYSTEM;
    }
    if (!creation_lock(fd, F_WRLCK) || fstat(fd, &about) != 0) {
        snprintf(why, why_size, "cannot lock the shared memory of post office %s: %s", name, strerror(errno));
        close(fd);
        return STATUS_SYSTEM;
    }
    enum status status = segment_take_bytes(fd, (uint64_t)about.st_size, name, why, why_size);
    if (!has_name(&about, path)) {
        close(fd);
        return store_remove(name, why, why_size);
    }
    if (status == STATUS_OK && (!segment_retire(fd) || shm_unlink(path) != 0)) {
        snprintf(why, why_size, "cannot remove post office %s: %s", name, strerror(errno));
        status = STATUS_SYSTEM;
    }
    close(fd);
    return status;
}
