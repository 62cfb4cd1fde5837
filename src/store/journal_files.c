/* journal_files.c: the journal's directory: made, locked for one segment, its two files opened, their headers
 * written.
 *
 * The lock file is held (flock, shared) by every process that is attached, through the descriptor that it
 * inherits or opens; what it says is whose the directory is as long as anybody holds it. A tool that works on
 * the files holds it alone, and who attaches waits for its end. */
#include "journal.h"

#include "clock.h"
#include "journal_directory.h"
#include "journal_stage.h"
#include "log.h"
#include "standing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    ZEROS = 256 << 10, /* bytes */
    WIPE_STEP = 64 << 10,
    RESERVE_STEP = 256 << 10, /* at most so much of a disk's last space goes to one file alone */
    RESERVE_LEAST = 4 << 10,
    LEAVES_NANOSECONDS = 1000000000, /* twice what a keeper stays whose server was killed */
    LOOK_MILLISECONDS = 10,
};

static _Alignas(STAGE_BLOCK) const char zeros[ZEROS];

static enum status refuse(const struct store_options *options, const char *what, char *why, size_t why_size)
{
    snprintf(why, why_size, "journal directory %s: %s: %s", options->directory, what, strerror(errno));
    return STATUS_SYSTEM;
}

static enum status refuse_used(const struct store_options *options, char *why, size_t why_size)
{
    snprintf(why, why_size, "journal directory %s is used by another post office: end its processes first",
             options->directory);
    return STATUS_IN_USE;
}

static bool lock(int file, int how)
{
    int result;
    do
        result = flock(file, how);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

/* Whoever holds it may be about to leave, as the keeper of a server that was killed. */
static bool lock_once_left(int file)
{
    int64_t end = clock_now() + LEAVES_NANOSECONDS;
    bool locked = lock(file, LOCK_EX | LOCK_NB);
    while (!locked && errno == EWOULDBLOCK && clock_now() < end) {
        (void)poll(NULL, 0, LOOK_MILLISECONDS);
        locked = lock(file, LOCK_EX | LOCK_NB);
    }
    return locked;
}

/* The lock file may have been removed under those who have it; what they write to is locked as well. */
static enum status lock_what_is_written(const struct store *store, const struct store_options *options,
                                        bool alone, char *why, size_t why_size)
{
    if ((!alone || lock_once_left(store->files[0])) && lock(store->files[0], LOCK_SH | LOCK_NB))
        return STATUS_OK;
    if (errno != EWOULDBLOCK)
        return refuse(options, "journal.0 cannot be locked", why, why_size);
    return refuse_used(options, why, why_size);
}

static bool share(int file, const char *directory)
{
    if (lock(file, LOCK_SH | LOCK_NB))
        return true;
    if (errno != EWOULDBLOCK)
        return false;
    log_info("journal directory %s: waiting for the end of a start, a check or a repair there", directory);
    return lock(file, LOCK_SH);
}

bool journal_is_in(const char *path, const uint8_t id[static SEGMENT_ID_SIZE])
{
    uint8_t holder[SEGMENT_ID_SIZE];
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int file = openat(directory, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool holds = file >= 0 && pread(file, holder, sizeof(holder), 0) == (ssize_t)sizeof(holder) &&
                 memcmp(holder, id, sizeof(holder)) == 0;
    if (file >= 0)
        close(file);
    if (directory >= 0)
        close(directory);
    return holds;
}

enum status journal_refuse_directory(const struct store *store, const struct store_options *options,
                                     char *why, size_t why_size)
{
    const struct journal_directory_name recorded = journal_directory_name(store);
    if (!journal_is_in(recorded.text, store->header->journal.segment_id))
        snprintf(why, why_size,
                 "post office %s had its journal in %s, where it is no more: say with -d where it is now, or "
                 "have what is in memory written into a new one with 'shmailctl -n %s -d DIR repair'",
                 options->name, recorded.text, options->name);
    else if (options->directory)
        snprintf(why, why_size, "post office %s has its journal in %s, not in %s: give -d %s", options->name,
                 recorded.text, options->directory, recorded.text);
    else
        snprintf(why, why_size, "post office %s has its journal in %s: give -d %s", options->name,
                 recorded.text, recorded.text);
    return STATUS_MISMATCH;
}

enum status journal_refuse_files(const struct store *store, const struct store_options *options, char *why,
                                 size_t why_size)
{
    snprintf(
        why, why_size,
        "journal directory %s: journal.%u is not there as post office %s has written it: bring it back, or "
        "have what is in memory written anew with 'shmailctl -n %s repair'",
        options->directory, journal_active(store), options->name, options->name);
    return STATUS_MISMATCH;
}

/* As a path that holds from elsewhere too, unless it does not fit. */
void journal_record_directory(struct journal_segment *journal, const char *given)
{
    char path[PATH_MAX];
    bool fits = realpath(given, path) && strlen(path) < sizeof(journal->directory);
    snprintf(journal->directory, sizeof(journal->directory), "%.*s", (int)sizeof(journal->directory) - 1,
             fits ? path : given);
}

/* Older segments have a path there that held for their maker only. */
static bool is_recorded_one(const struct store *store)
{
    const struct journal_directory_name recorded = journal_directory_name(store);
    struct stat given, known;
    return recorded.text[0] == '/' && stat(recorded.text, &known) == 0 &&
           fstat(store->directory, &given) == 0 && given.st_dev == known.st_dev &&
           given.st_ino == known.st_ino;
}

/* For who makes a segment: nobody else has the directory until journal_own says whose it is. */
static enum status take_alone(struct store *store, const struct store_options *options, char *why,
                              size_t why_size)
{
    uint8_t number[SEGMENT_ID_SIZE];
    char name[OBJECT_MAX + 1];
    const struct journal_directory place = {
        .directory = store->directory, .lock = store->lock_file, .files = {-1, -1}};
    if (!lock(store->lock_file, LOCK_EX | LOCK_NB) &&
        (errno != EWOULDBLOCK || !share(store->lock_file, options->directory) ||
         !lock_once_left(store->lock_file)))
        return errno == EWOULDBLOCK ? refuse_used(options, why, why_size)
                                    : refuse(options, "the lock file cannot be locked", why, why_size);
    if (pread(store->lock_file, number, sizeof(number), 0) < 0) /* it does not say that it is nobody's */
        return refuse(options, "the lock file cannot be read", why, why_size);
    if (!standing_office_owes(&place, name))
        return STATUS_OK;
    snprintf(why, why_size,
             "journal directory %s lacks what post office %s, which had it last, still has in memory: start "
             "that one, or give it up with 'shmailctl rm %s'",
             options->directory, name, name);
    return STATUS_IN_USE;
}

/* Shares the lock, and looks whose the directory is. */
static enum status look_whose(const struct store *store, const struct store_options *options, ssize_t *got,
                              bool *ours, char *why, size_t why_size)
{
    uint8_t holder[SEGMENT_ID_SIZE];
    *got =
        share(store->lock_file, options->directory) ? pread(store->lock_file, holder, sizeof(holder), 0) : -1;
    if (*got < 0)
        return refuse(options, "the lock file cannot be read", why, why_size);
    *ours = *got == (ssize_t)sizeof(holder) &&
            memcmp(holder, store->header->journal.segment_id, sizeof(holder)) == 0;
    return STATUS_OK;
}

/* While the lock goes from alone to shared another one may have it. */
enum status journal_own(struct store *store, const struct store_options *options, char *why, size_t why_size)
{
    const uint8_t *number = store->header->journal.segment_id;
    ssize_t got;
    bool ours;
    if (pwrite(store->lock_file, number, SEGMENT_ID_SIZE, 0) != SEGMENT_ID_SIZE)
        return refuse(options, "the lock file cannot be written", why, why_size);
    enum status status = look_whose(store, options, &got, &ours, why, why_size);
    return status == STATUS_OK && !ours ? refuse_used(options, why, why_size) : status;
}

/* A segment that is there already has lost the directory to any other that came since. */
static enum status take_again(struct store *store, const struct store_options *options, char *why,
                              size_t why_size)
{
    ssize_t got;
    bool ours;
    enum status status = look_whose(store, options, &got, &ours, why, why_size);
    if (status != STATUS_OK)
        return status;
    if (ours) {
        if (!is_recorded_one(store)) /* it was moved */
            journal_record_directory(&store->header->journal, options->directory);
        return STATUS_OK;
    }
    /* One that names nobody is new, and so another one, or is what is left of one. */
    if (got < SEGMENT_ID_SIZE || !is_recorded_one(store))
        return journal_refuse_directory(store, options, why, why_size);
    snprintf(why, why_size,
             "journal directory %s has been used by another post office since: post office %s is out of "
             "date, remove it with 'shmailctl rm %s'",
             options->directory, options->name, options->name);
    return STATUS_IN_USE;
}

/* A directory that was just made is there after a power cut only if its parent says so on disk. */
static bool sync_parent(const struct store *store, bool made)
{
    int parent = openat(store->directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return !made;
    bool synced = fsync(parent) == 0;
    close(parent);
    return synced;
}

/* They hold everybody's mail, and one that was brought back from a copy may have any owner and mode. */
static void shut_others_out(const struct store_options *options, int file, const char *name)
{
    struct stat about;
    if (fstat(file, &about) != 0 || (about.st_uid == geteuid() && (about.st_mode & 077) == 0))
        return;
    bool is_shut = fchown(file, geteuid(), (gid_t)-1) == 0 && fchmod(file, 0600) == 0;
    log_warning("journal directory %s: others might use %s, of user %u, mode %o: %s", options->directory,
                name, (unsigned)about.st_uid, (unsigned)about.st_mode & 0777,
                is_shut ? "not from now on" : strerror(errno));
}

static bool is_empty(int file)
{
    return lseek(file, 0, SEEK_END) == 0;
}

enum status journal_open_directory(struct store *store, const struct store_options *options, char *why,
                                   size_t why_size)
{
    const char *const names[] = {journal_file_name(0), journal_file_name(1)};
    struct stat about;
    int make = store->header->journal.on ? 0 : O_CREAT; /* what is not there is not the segment's */
    bool made = make && mkdir(options->directory, 0700) == 0;
    if (make && !made && errno != EEXIST)
        return refuse(options, "it cannot be made", why, why_size);
    store->directory = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!make && store->directory < 0 && errno == ENOENT)
        return journal_refuse_directory(store, options, why, why_size);
    if (store->directory < 0 || fstat(store->directory, &about) != 0)
        return refuse(options, "it cannot be opened", why, why_size);
    if (about.st_uid != geteuid() || (about.st_mode & 022) != 0) {
        snprintf(why, why_size, "journal directory %s belongs to somebody else or may be written by others",
                 options->directory);
        return STATUS_MISMATCH;
    }
    store->lock_file = openat(store->directory, "lock", O_RDWR | make | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (!make && store->lock_file < 0 && errno == ENOENT)
        return journal_refuse_directory(store, options, why, why_size);
    if (store->lock_file < 0)
        return refuse(options, "the lock file cannot be opened", why, why_size);
    if (!journal_lock_is_file(store->lock_file))
        return refuse(options, "the lock file cannot be used", why, why_size);
    shut_others_out(options, store->lock_file, "lock");
    bool used = !is_empty(store->lock_file);
    enum status status = (make ? take_alone : take_again)(store, options, why, why_size);
    for (uint32_t i = 0; i < 2 && status == STATUS_OK; i++) {
        int begin = make || i != journal_active(store) ? O_CREAT : 0;
        store->files[i] = openat(store->directory, names[i], O_RDWR | begin | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (store->files[i] < 0 && !begin && errno == ENOENT)
            status = journal_refuse_files(store, options, why, why_size);
        else if (store->files[i] < 0)
            status = refuse(options, names[i], why, why_size);
        else
            shut_others_out(options, store->files[i], names[i]);
    }
    if (status == STATUS_OK)
        status = lock_what_is_written(store, options, make, why, why_size);
    if (status == STATUS_OK && make && used && is_empty(store->files[0]) && is_empty(store->files[1]))
        log_warning(
            "journal directory %s: a post office has had it, and its files are gone or empty: the journal "
            "begins anew",
            options->directory);
    for (int i = 0; i < 2 && status == STATUS_OK && store->header->journal.sync == STORE_SYNC_ALWAYS; i++)
        store->direct[i] = openat(store->directory, names[i], O_WRONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW);
    if (status == STATUS_OK && (!sync_parent(store, made) || fsync(store->directory) != 0))
        status = refuse(options, "it cannot be synced", why, why_size);
    close(store->directory); /* a way into the file system, for which a process has no use any more */
    store->directory = -1;
    return status;
}

void store_prepare_to_keep(const struct store *store)
{
    char path[32];
    for (int i = 0; i < 2 && journal_is_on(store); i++) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", store->files[i]);
        int own = open(path, O_RDWR | O_CLOEXEC);
        if (own < 0)
            continue;
        (void)lock(own, LOCK_SH | LOCK_NB);
        (void)dup3(own, store->files[i], O_CLOEXEC);
        close(own);
    }
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

/* Returns how many bytes there were, or -1. */
static ssize_t read_all(int file, void *bytes, size_t length)
{
    size_t done = 0;
    ssize_t got = 1;
    while (done < length && got != 0) {
        got = pread(file, (char *)bytes + done, length - done, (off_t)done);
        if (got < 0 && errno != EINTR)
            return -1;
        done += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)done;
}

enum status journal_write_header(const struct store *store, uint32_t file,
                                 const struct journal_header *header)
{
    struct journal_header copy = *header;
    copy.crc = journal_header_crc(&copy);
    enum status status = write_all(store->files[file], &copy, sizeof(copy), 0);
    if (status == STATUS_OK && fsync(store->files[file]) != 0)
        status = STATUS_SYSTEM;
    return status;
}

/* What was the active file before keeps the rest of its header, for who has to look into it. */
enum status journal_retire(struct store *store)
{
    struct journal_segment *journal = &store->header->journal;
    struct journal_header header;
    uint32_t file = 1 - journal_active(store);
    ssize_t got = read_all(store->files[file], &header, sizeof(header));
    if (got < 0)
        return STATUS_SYSTEM;
    if (got < (ssize_t)sizeof(header) || header.magic != JOURNAL_MAGIC ||
        header.crc != journal_header_crc(&header)) {
        header = (struct journal_header){
            .magic = JOURNAL_MAGIC, .version = JOURNAL_VERSION, .state = JOURNAL_EMPTY};
        memcpy(header.id, journal->id, sizeof(header.id));
    } else if (header.state == JOURNAL_ACTIVE) {
        header.state = JOURNAL_SUPERSEDED;
    }
    enum status status = journal_write_header(store, file, &header);
    if (status == STATUS_OK)
        __atomic_store_n(&journal->doubtful, 0, __ATOMIC_RELEASE);
    return status;
}

/* Past the page cache where records will go so, too: they would have to throw out of it what is there. As
 * much at once as is synced: the disk is faster then. */
static ssize_t write_zeros(const struct store *store, uint32_t file, size_t length, uint64_t offset)
{
    struct iovec runs[JOURNAL_SYNC_STEP / ZEROS];
    int count = 0;
    for (size_t left = length; left > 0; left -= runs[count++].iov_len)
        runs[count] =
            (struct iovec){.iov_base = (void *)(uintptr_t)zeros, .iov_len = left < ZEROS ? left : ZEROS};
    if (store->direct[file] >= 0 && offset % STAGE_BLOCK == 0 && length % STAGE_BLOCK == 0) {
        ssize_t written = pwritev(store->direct[file], runs, count, (off_t)offset);
        if (written >= 0 || errno != EINVAL)
            return written;
    }
    return pwritev(store->files[file], runs, count, (off_t)offset);
}

/* Zeros are really written: space that is only promised (fallocate) costs a sync its metadata later. The
 * system shows such space as a hole, as what a sparse copy has left out. */
enum status journal_fill(const struct store *store, uint32_t file, uint64_t from, uint64_t size,
                         uint64_t *reached)
{
    int error = 0;
    uint64_t unsynced = 0;
    *reached = from;
    while (*reached < size && error == 0) {
        if (unsynced >= JOURNAL_SYNC_STEP) {
            if (fdatasync(store->files[file]) != 0)
                return STATUS_SYSTEM;
            unsynced = 0;
        }
        off_t hole = lseek(store->files[file], (off_t)*reached, SEEK_HOLE);
        if (hole > (off_t)*reached) {
            *reached = (uint64_t)hole < size ? (uint64_t)hole : size;
            continue;
        }
        size_t length =
            size - *reached < JOURNAL_SYNC_STEP ? (size_t)(size - *reached) : (size_t)JOURNAL_SYNC_STEP;
        ssize_t written = write_zeros(store, file, length, *reached);
        if (written > 0) {
            *reached += (uint64_t)written;
            unsynced += (uint64_t)written;
        } else if (written == 0 || errno != EINTR) {
            error = written == 0 ? ENOSPC : errno;
        }
    }
    if (fsync(store->files[file]) != 0)
        return STATUS_SYSTEM;
    errno = error;
    return error ? STATUS_FULL_JOURNAL : STATUS_OK;
}

enum status journal_wipe(const struct store *store, uint32_t file, uint64_t from)
{
    static char buffer[WIPE_STEP];
    enum status status = STATUS_OK;
    uint64_t at = from;
    ssize_t got = 1;
    while (status == STATUS_OK && got != 0) {
        got = pread(store->files[file], buffer, sizeof(buffer), (off_t)at);
        if (got < 0 && errno != EINTR)
            status = STATUS_SYSTEM;
        if (got <= 0)
            continue;
        if (buffer[0] != 0 || memcmp(buffer, buffer + 1, (size_t)got - 1) != 0)
            status = write_all(store->files[file], zeros, (size_t)got, at);
        at += (uint64_t)got;
    }
    return status;
}

/* Not posix_fallocate: what that does where the file system cannot give space in advance, the keeper's
 * sandbox does not allow. Then zeros behind its end do for a file, as long as it has no holes. Returns an
 * errno. */
static int allocate(int file, uint64_t offset, uint64_t length)
{
    int result;
    do
        result = fallocate(file, 0, (off_t)offset, (off_t)length);
    while (result != 0 && errno == EINTR);
    if (result == 0 || errno != EOPNOTSUPP)
        return result == 0 ? 0 : errno;
    off_t size = lseek(file, 0, SEEK_END);
    uint64_t from = size > (off_t)offset ? (uint64_t)size : offset;
    errno = ENOSPC;
    return from >= offset + length || write_all(file, zeros, offset + length - from, from) == STATUS_OK
               ? 0
               : errno;
}

/* Up to where a file has space without a gap; the header's apart. */
static uint64_t solid_bytes(int file)
{
    off_t hole = lseek(file, 0, SEEK_HOLE);
    return hole > JOURNAL_HEADER_SIZE ? (uint64_t)hole : JOURNAL_HEADER_SIZE;
}

/* In turns, so that a disk with little left gives both as much; by ever smaller steps, for what both have
 * already, where nothing was written yet and SEEK_HOLE shows a hole. What a file holds there stays as it is.
 */
enum status journal_reserve(const struct store *store, uint64_t size, uint64_t *reached)
{
    int inactive = store->files[1 - journal_active(store)];
    int active = store->files[journal_active(store)];
    uint64_t at = solid_bytes(inactive) < solid_bytes(active) ? solid_bytes(inactive) : solid_bytes(active);
    uint64_t step = RESERVE_STEP;
    int error = 0;
    while (at < size && step >= RESERVE_LEAST) {
        uint64_t length = size - at < step ? size - at : step;
        error = allocate(active, at, length);
        if (error == 0)
            error = allocate(inactive, at, length);
        if (error == 0)
            at += length;
        else
            step /= 2;
    }
    *reached = at < size ? at : size;
    errno = error;
    return error ? STATUS_FULL_JOURNAL : STATUS_OK;
}
