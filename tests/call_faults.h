/* call_faults.h: kinds of calls of the system, to be failed one after the other. */
#ifndef SHMAIL_TEST_CALL_FAULTS_H
#define SHMAIL_TEST_CALL_FAULTS_H

#include "disk.h"

#include <dirent.h>

struct kind {
    const char *name;
    enum disk_call call;
    int error;
};

static const struct kind kinds[] = {
#if DISK_HAS_MEMORY
    {"allocation", CALL_MEMORY, ENOMEM},
#endif
    {"write, EIO", CALL_WRITE, EIO},
    {"write, ENOSPC", CALL_WRITE, ENOSPC},
    {"write, EINTR", CALL_WRITE, EINTR},
    {"write, cut short", CALL_WRITE, DISK_SHORT},
    {"write of nothing", CALL_WRITE, DISK_NOTHING},
    {"write of any other file", CALL_POKE, EIO},
    {"read of nothing", CALL_READ, DISK_NOTHING},
    {"read, EIO", CALL_READ, EIO},
    {"read, EINVAL", CALL_READ, EINVAL},
    {"read, EINTR", CALL_READ, EINTR},
    {"read of memory, EIO", CALL_PEEK, EIO},
    {"sync", CALL_SYNC, EIO},
    {"reservation, ENOSPC", CALL_RESERVE, ENOSPC},
    {"reservation, EOPNOTSUPP", CALL_RESERVE, EOPNOTSUPP},
    {"reservation, EINTR", CALL_RESERVE, EINTR},
    {"mapping", CALL_MAP, ENOMEM},
    {"semaphore", CALL_SEMAPHORE, EINVAL},
    {"random bytes", CALL_RANDOM, EIO},
    {"random bytes, all zero", CALL_RANDOM, DISK_NOTHING},
    {"opening", CALL_OPEN, EMFILE},
    {"status", CALL_STAT, EIO},
    {"size", CALL_SIZE, EFBIG},
    {"lock, ENOLCK", CALL_LOCK, ENOLCK},
    {"lock, EINTR", CALL_LOCK, EINTR},
    {"name", CALL_NAME, EACCES},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* NULL: no call fails any more. */
static inline void arm(const struct kind *kind, uint64_t at)
{
    fault.kinds = kind ? (unsigned)kind->call : 0;
    fault.error = kind ? kind->error : 0;
    fault.at = at;
    fault.seen = 0;
}

static inline size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    EXPECT(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

#endif
