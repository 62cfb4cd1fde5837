/* disk.h: stands between the store and the kernel in a test program: the functions here take the place of the
 * C library's. They make the Nth call of a kind fail, or the process die in it; they let the disk be full;
 * and they log what is written to the journal's two files and when it is synced, for power.h. Nothing is
 * really synced. Included by one file of a program. */
#ifndef SHMAIL_TEST_DISK_H
#define SHMAIL_TEST_DISK_H

#include "harness.h"
#include "sanitized.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DISK_HAS_MEMORY (!SANITIZED) /* the sanitizer has an allocator of its own */

enum disk_call {
    CALL_MEMORY = 1,
    CALL_WRITE = 2,
    CALL_SYNC = 4,
    CALL_RESERVE = 8,
    CALL_MAP = 16,
    CALL_SEMAPHORE = 64,
    CALL_RANDOM = 128,
    CALL_OPEN = 256,
    CALL_READ = 512,
    CALL_STAT = 1024,
    CALL_SIZE = 2048,
    CALL_LOCK = 4096,
    CALL_NAME = 8192,  /* to remove or change one */
    CALL_PEEK = 16384, /* to read any other file than the journal's */
    CALL_POKE = 32768, /* to write one */
};

/* Instead of an errno. A short call does half of its work, or none; random bytes are all zero then. */
enum { DISK_SHORT = -1, DISK_DIES = -2, DISK_DIES_HALF_WAY = -3, DISK_NOTHING = -4 };

/* Of this process; its children inherit it. */
static struct {
    unsigned kinds; /* of the calls that count; 0: none */
    uint64_t at;    /* which of them fails, from 1; 0: none */
    bool lasts;     /* all that follow fail as well */
    int error;
    uint64_t seen;
} fault;

enum disk_event_kind { EVENT_WRITE, EVENT_SYNC, EVENT_FAILED_SYNC, EVENT_ACKNOWLEDGED };

struct disk_event {
    enum disk_event_kind kind;
    int file;
    uint64_t offset; /* of a write; of an acknowledgement: its sequence */
    size_t at, length;
};

enum { DISK_EVENTS = 20000, DISK_BYTES = 256 << 20 };

/* Shared by all processes of a test that are forked after disk_start. */
struct disk {
    bool is_full; /* no file grows any more */
    size_t count, used;
    struct disk_event events[DISK_EVENTS];
    unsigned char bytes[DISK_BYTES];
};

static struct disk *disk;             /* NULL: nothing is logged */
static bool disk_is_quiet;            /* nothing is logged by this process for now */
static int disk_file_of[1024];        /* by descriptor: 1 or 2: journal.0 or journal.1 */
static bool disk_is_direct[1024];     /* the same: for whole blocks only, as O_DIRECT asks */
static bool disk_has_no_direct;       /* such a file can be opened, but not written to */
static uint64_t disk_directs;         /* writes of this process to such */
static int disk_memory[2] = {-1, -1}; /* files in memory that every journal.0 and journal.1 stands for */
enum { BAD_PAGE = 4096, DISK_BLOCK = 4096 };
static off_t disk_bad_page = -BAD_PAGE; /* of both files, where reading fails */
static void (*disk_lock_hook)(void);    /* called before who waits for a lock gets it, once */
static void (*disk_holder_hook)(void);  /* called before the system says who has a lock, once */
static void (*disk_take_hook)(void);    /* called before who takes all bytes of a segment has them, once */
static time_t disk_seconds_a_look;      /* how fast the other clocks run ahead */
static void (*disk_hook)(void);         /* called before each write to a journal file; not while it runs */
static uint64_t disk_hook_file;         /* for it: which file, and where */
static uint64_t disk_hook_offset;
static void (*disk_synced)(int fd);  /* called after each sync of another file or directory */
static void (*disk_flushed)(int fd); /* called after each sync of a journal file; not while it runs */

static inline void disk_start(void)
{
    disk =
        mmap(NULL, sizeof(*disk), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EXPECT(disk != MAP_FAILED);
}

static void disk_log(enum disk_event_kind kind, int file, uint64_t offset, const void *bytes, size_t length)
{
    if (!disk || disk_is_quiet)
        return;
    EXPECT(disk->count < DISK_EVENTS && disk->used + length <= DISK_BYTES);
    if (length)
        memcpy(disk->bytes + disk->used, bytes, length);
    disk->events[disk->count++] =
        (struct disk_event){.kind = kind, .file = file, .offset = offset, .at = disk->used, .length = length};
    disk->used += length;
}

static inline void disk_acknowledged(uint64_t sequence)
{
    disk_log(EVENT_ACKNOWLEDGED, 0, sequence, NULL, 0);
}

/* True if this call is the one that fails; errno is set then. */
static bool strikes(enum disk_call kind)
{
    if (!(fault.kinds & kind))
        return false;
    uint64_t seen =
        __atomic_add_fetch(&fault.seen, 1, __ATOMIC_RELAXED); /* a recovery reads by two threads */
    if (seen < fault.at || fault.at == 0 || (seen > fault.at && !fault.lasts))
        return false;
    if (fault.error == DISK_DIES || (fault.error == DISK_DIES_HALF_WAY && kind != CALL_WRITE))
        raise(SIGKILL);
    errno = fault.error;
    return true;
}

static int journal_file(int fd)
{
    return fd >= 0 && fd < 1024 ? disk_file_of[fd] - 1 : -1;
}

/* How much of a write goes through. */
static ssize_t allowed(int fd, size_t length, off_t offset)
{
    struct stat about;
    if (strikes(CALL_WRITE)) {
        if (fault.error == DISK_SHORT || fault.error == DISK_DIES_HALF_WAY)
            return (ssize_t)((length + 1) / 2);
        return fault.error == DISK_NOTHING ? 0 : -1;
    }
    if (disk && disk->is_full && fstat(fd, &about) == 0 && offset + (off_t)length > about.st_size) {
        if (offset >= about.st_size) {
            errno = ENOSPC;
            return -1;
        }
        return (ssize_t)(about.st_size - offset);
    }
    return (ssize_t)length;
}

static void run_hook(int file, off_t offset)
{
    void (*hook)(void) = disk_hook;
    if (!hook)
        return;
    disk_hook = NULL;
    disk_hook_file = (uint64_t)file;
    disk_hook_offset = (uint64_t)offset;
    hook();
    disk_hook = hook;
}

static bool is_of_blocks(const struct iovec *runs, int count, off_t offset)
{
    bool whole = offset % DISK_BLOCK == 0;
    for (int i = 0; i < count; i++)
        whole &= (uintptr_t)runs[i].iov_base % DISK_BLOCK == 0 && runs[i].iov_len % DISK_BLOCK == 0;
    return whole;
}

/* False: it cannot be written so. */
static bool suits(int fd, const struct iovec *runs, int count, off_t offset)
{
    if (fd < 0 || fd >= 1024 || !disk_is_direct[fd])
        return true;
    EXPECT(is_of_blocks(runs, count, offset));
    disk_directs++;
    errno = EINVAL;
    return !disk_has_no_direct;
}

static ssize_t write_suiting(int fd, const void *bytes, size_t length, off_t offset)
{
    int file = journal_file(fd);
    if (file < 0 && strikes(CALL_POKE))
        return -1;
    if (file < 0)
        return syscall(SYS_pwrite64, fd, bytes, length, offset);
    run_hook(file, offset);
    ssize_t some = allowed(fd, length, offset);
    if (some < 0)
        return -1;
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, (size_t)some, offset);
    if (written > 0)
        disk_log(EVENT_WRITE, file, (uint64_t)offset, bytes, (size_t)written);
    if (some < (ssize_t)length && fault.error == DISK_DIES_HALF_WAY)
        raise(SIGKILL);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    struct iovec run = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    return suits(fd, &run, 1, offset) ? write_suiting(fd, bytes, length, offset) : -1;
}

/* The C library has a name of its own for calls whose buffer the compiler knows. */
ssize_t disk_checked_pread(int, void *, size_t, off_t, size_t) __asm__("__pread_chk");

ssize_t pread(int fd, void *bytes, size_t length, off_t offset)
{
    if (journal_file(fd) >= 0 && strikes(CALL_READ)) {
        if (fault.error != DISK_SHORT)
            return fault.error == DISK_NOTHING ? 0 : -1;
        length = (length + 1) / 2;
    }
    if (journal_file(fd) >= 0 && offset < disk_bad_page + BAD_PAGE &&
        disk_bad_page < offset + (off_t)length) {
        if (offset >= disk_bad_page) {
            errno = EIO;
            return -1;
        }
        length = (size_t)(disk_bad_page - offset);
    }
    if (journal_file(fd) < 0 && strikes(CALL_PEEK))
        return -1;
    return syscall(SYS_pread64, fd, bytes, length, offset);
}

ssize_t disk_checked_pread(int fd, void *bytes, size_t length, off_t offset, size_t size)
{
    (void)size;
    return pread(fd, bytes, length, offset);
}

/* In one piece, so that it fails and is logged as one write. */
ssize_t pwritev(int fd, const struct iovec *runs, int count, off_t offset)
{
    static unsigned char bytes[24 << 20];
    size_t length = 0;
    EXPECT(count <= IOV_MAX);
    if (!suits(fd, runs, count, offset))
        return -1;
    for (int i = 0; i < count; i++) {
        EXPECT(length + runs[i].iov_len <= sizeof(bytes));
        memcpy(bytes + length, runs[i].iov_base, runs[i].iov_len);
        length += runs[i].iov_len;
    }
    return write_suiting(fd, bytes, length, offset);
}

static int sync_journal(int fd)
{
    int file = journal_file(fd);
    bool failed = strikes(CALL_SYNC);
    if (file >= 0)
        disk_log(failed ? EVENT_FAILED_SYNC : EVENT_SYNC, file, 0, NULL, 0);
    else if (disk_synced && !failed)
        disk_synced(fd);
    void (*flushed)(int) = disk_flushed;
    disk_flushed = NULL;
    if (file >= 0 && flushed)
        flushed(fd);
    disk_flushed = flushed;
    return failed ? -1 : 0;
}

int fsync(int fd)
{
    return sync_journal(fd);
}

int fdatasync(int fd)
{
    return sync_journal(fd);
}

/* Memory is not reserved but taken as it is touched, which is quicker; there is enough for a test. */
int posix_fallocate(int fd, off_t offset, off_t length)
{
    (void)fd, (void)offset, (void)length;
    return strikes(CALL_RESERVE) ? errno : 0;
}

/* A file of the journal grows. */
int fallocate(int fd, int mode, off_t offset, off_t length)
{
    static const unsigned char zeros[1 << 20];
    int file = journal_file(fd);
    if (mode != 0)
        return (int)syscall(SYS_fallocate, fd, mode, offset, length);
    if (strikes(CALL_RESERVE))
        return -1;
    off_t size = lseek(fd, 0, SEEK_END);
    if (offset + length <= size)
        return 0;
    if (disk && disk->is_full) {
        errno = ENOSPC;
        return -1;
    }
    size_t grown = (size_t)(offset + length - size);
    EXPECT(grown <= sizeof(zeros) && syscall(SYS_ftruncate, fd, offset + length) == 0);
    disk_log(EVENT_WRITE, file, (uint64_t)size, zeros, grown);
    return 0;
}

static int open_file(int directory, const char *path, int flags, unsigned mode)
{
    if (strikes(CALL_OPEN))
        return -1;
    int file = strcmp(path, "journal.0") == 0 ? 0 : strcmp(path, "journal.1") == 0 ? 1 : -1;
    int fd = file >= 0 && disk_memory[file] >= 0
                 ? fcntl(disk_memory[file], F_DUPFD_CLOEXEC, 0)
                 : (int)syscall(SYS_openat, directory, path, flags & ~O_DIRECT, mode);
    if (fd >= 0 && fd < 1024) {
        disk_file_of[fd] = file + 1;
        disk_is_direct[fd] = flags & O_DIRECT;
    }
    return fd;
}

int openat(int directory, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    unsigned mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;
    va_end(arguments);
    return open_file(directory, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    unsigned mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;
    va_end(arguments);
    return open_file(AT_FDCWD, path, flags, mode);
}

int close(int fd)
{
    if (fd >= 0 && fd < 1024)
        disk_file_of[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (strikes(CALL_MAP))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

/* Each look at the calendar is a second later than the last: what was given a time is told apart from what is
 * given one anew. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    static time_t seconds = 1000000000, ahead;
    if (clock != CLOCK_REALTIME) {
        int result = (int)syscall(SYS_clock_gettime, clock, now);
        now->tv_sec += ahead += disk_seconds_a_look;
        return result;
    }
    *now = (struct timespec){.tv_sec = seconds++};
    return 0;
}

ssize_t getrandom(void *bytes, size_t length, unsigned flags)
{
    if (!strikes(CALL_RANDOM))
        return syscall(SYS_getrandom, bytes, length, flags);
    if (fault.error != DISK_NOTHING)
        return -1;
    memset(bytes, 0, length);
    return (ssize_t)length;
}

/* The C library's function of that name. */
static void find_real(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    memcpy(function, &found, sizeof(found));
}

int shm_open(const char *name, int flags, mode_t mode)
{
    int (*real)(const char *, int, mode_t);
    find_real(&real, "shm_open");
    return strikes(CALL_OPEN) ? -1 : real(name, flags, mode);
}

int memfd_create(const char *name, unsigned flags)
{
    return strikes(CALL_OPEN) ? -1 : (int)syscall(SYS_memfd_create, name, flags);
}

int fstat(int fd, struct stat *about)
{
    int (*real)(int, struct stat *);
    find_real(&real, "fstat");
    return strikes(CALL_STAT) ? -1 : real(fd, about);
}

int ftruncate(int fd, off_t size)
{
    return strikes(CALL_SIZE) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

/* Only who waits is interrupted. */
static bool lock_strikes(bool waits)
{
    return (waits || fault.error != EINTR) && strikes(CALL_LOCK);
}

int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    bool locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK;
    void *lock = locks ? va_arg(arguments, void *) : NULL;
    int number = locks ? 0 : va_arg(arguments, int);
    va_end(arguments);
    if (!locks)
        return (int)syscall(SYS_fcntl, fd, command, number);
    bool takes_all = command == F_SETLK && ((struct flock *)lock)->l_len > 2;
    void (**hook)(void) = command == F_SETLKW  ? &disk_lock_hook
                          : command == F_GETLK ? &disk_holder_hook
                                               : &disk_take_hook;
    if ((command != F_SETLK || takes_all) && *hook) {
        void (*run)(void) = *hook;
        *hook = NULL;
        run();
    }
    return lock_strikes(command == F_SETLKW) ? -1 : (int)syscall(SYS_fcntl, fd, command, lock);
}

int flock(int fd, int how)
{
    return lock_strikes(!(how & LOCK_NB)) ? -1 : (int)syscall(SYS_flock, fd, how);
}

int shm_unlink(const char *name)
{
    int (*real)(const char *);
    find_real(&real, "shm_unlink");
    return strikes(CALL_NAME) ? -1 : real(name);
}

int linkat(int from, const char *name, int to, const char *other, int flags)
{
    return strikes(CALL_NAME) ? -1 : (int)syscall(SYS_linkat, from, name, to, other, flags);
}

int renameat(int from, const char *name, int to, const char *other)
{
    return strikes(CALL_NAME) ? -1 : (int)syscall(SYS_renameat2, from, name, to, other, 0);
}

int sem_init(sem_t *semaphore, int shared, unsigned value)
{
    int (*real)(sem_t *, int, unsigned);
    find_real(&real, "sem_init");
    return strikes(CALL_SEMAPHORE) ? -1 : real(semaphore, shared, value);
}

int sem_post(sem_t *semaphore)
{
    int (*real)(sem_t *);
    find_real(&real, "sem_post");
    return strikes(CALL_SEMAPHORE) ? -1 : real(semaphore);
}

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
    int (*real)(sem_t *, clockid_t, const struct timespec *);
    find_real(&real, "sem_clockwait");
    return strikes(CALL_SEMAPHORE) ? -1 : real(semaphore, clock, until);
}

#if DISK_HAS_MEMORY
void *disk_real_malloc(size_t) __asm__("__libc_malloc");
void *disk_real_calloc(size_t, size_t) __asm__("__libc_calloc");
void *disk_real_realloc(void *, size_t) __asm__("__libc_realloc");

void *malloc(size_t size)
{
    return strikes(CALL_MEMORY) ? NULL : disk_real_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return strikes(CALL_MEMORY) ? NULL : disk_real_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return strikes(CALL_MEMORY) ? NULL : disk_real_realloc(memory, size);
}
#endif

#endif
