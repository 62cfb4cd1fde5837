/* journal_files.c: the journal's directory: made, locked for one segment, its two files opened, their headers
 * written.
 *
 * The lock file is held (flock, shared) by every process that is attached, through the descriptor that it
 * inherits or opens; what it says is whose the directory is as long as anybody holds it. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILL_STEP = 1 << 20 };

static enum status refuse(const struct store_options *options, const char *what, char *why, size_t why_size)
{
    snprintf(why, why_size, "journal directory %s: %s: %s", options->directory, what, strerror(errno));
    return STATUS_SYSTEM;
}

/* Whose the directory is. Exclusive for a moment if nobody holds it: then it becomes this segment's. */
static enum status take_lock(struct store *store, const struct store_options *options, char *why,
                             size_t why_size)
{
    struct journal_segment *journal = &store->header->journal;
    uint8_t holder[sizeof(journal->segment_id)] = {0};
    if (flock(store->lock_file, LOCK_EX | LOCK_NB) == 0 &&
        (pwrite(store->lock_file, journal->segment_id, sizeof(holder), 0) != (ssize_t)sizeof(holder)))
        return refuse(options, "the lock file cannot be written", why, why_size);
    if (flock(store->lock_file, LOCK_SH) != 0 ||
        pread(store->lock_file, holder, sizeof(holder), 0) != (ssize_t)sizeof(holder))
        return refuse(options, "the lock file cannot be read", why, why_size);
    if (memcmp(holder, journal->segment_id, sizeof(holder)) == 0)
        return STATUS_OK;
    snprintf(why, why_size, "journal directory %s is used by another post office: end its processes first",
             options->directory);
    return STATUS_IN_USE;
}

enum status journal_open_directory(struct store *store, const struct store_options *options, char *why,
                                   size_t why_size)
{
    static const char *const names[] = {"journal.0", "journal.1"};
    struct stat about;
    if (mkdir(options->directory, 0700) != 0 && errno != EEXIST)
        return refuse(options, "it cannot be made", why, why_size);
    store->directory = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->directory < 0 || fstat(store->directory, &about) != 0)
        return refuse(options, "it cannot be opened", why, why_size);
    if (about.st_uid != geteuid() || (about.st_mode & 022) != 0) {
        snprintf(why, why_size, "journal directory %s belongs to somebody else or may be written by others",
                 options->directory);
        return STATUS_MISMATCH;
    }
    store->lock_file = openat(store->directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock_file < 0)
        return refuse(options, "the lock file cannot be opened", why, why_size);
    enum status status = take_lock(store, options, why, why_size);
    for (int i = 0; i < 2 && status == STATUS_OK; i++) {
        store->files[i] = openat(store->directory, names[i], O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (store->files[i] < 0)
            status = refuse(options, names[i], why, why_size);
    }
    if (status == STATUS_OK && fsync(store->directory) != 0)
        status = refuse(options, "it cannot be synced", why, why_size);
    return status;
}

static enum status write_all(int file, const void *bytes, size_t length, uint64_t offset)
{
    while (length > 0) {
        ssize_t written = pwrite(file, bytes, length, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return STATUS_FULL_JOURNAL;
        bytes = (const char *)bytes + written;
        length -= (size_t)written;
        offset += (uint64_t)written;
    }
    return STATUS_OK;
}

enum status journal_write_header(const struct store *store, uint32_t file,
                                 const struct journal_header *header)
{
    struct journal_header copy = *header;
    copy.crc = copy.magic ? journal_header_crc(&copy) : 0;
    enum status status = write_all(store->files[file], &copy, sizeof(copy), 0);
    if (status == STATUS_OK && fsync(store->files[file]) != 0)
        status = STATUS_SYSTEM;
    return status;
}

static bool is_zero(int file, uint64_t offset, size_t length, char *buffer)
{
    return pread(file, buffer, length, (off_t)offset) == (ssize_t)length && buffer[0] == 0 &&
           memcmp(buffer, buffer + 1, length - 1) == 0;
}

/* Zeros are really written: space that is only promised (fallocate) costs a sync its metadata later. But what
 * is zeros already is left alone: reading is quicker. */
enum status journal_fill(const struct store *store, uint32_t file, uint64_t from, uint64_t size)
{
    static const char zeros[FILL_STEP];
    static char buffer[FILL_STEP];
    for (uint64_t offset = from; offset < size;) {
        size_t length = size - offset < FILL_STEP ? (size_t)(size - offset) : FILL_STEP;
        if (!is_zero(store->files[file], offset, length, buffer)) {
            enum status status = write_all(store->files[file], zeros, length, offset);
            if (status != STATUS_OK)
                return status;
        }
        offset += length;
    }
    return fsync(store->files[file]) == 0 ? STATUS_OK : STATUS_SYSTEM;
}
