/* segment_bytes.c: the fcntl locks on bytes beyond a segment's end, which the kernel gives to one process
 * each and takes back at any death. */
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static_assert(BYTE_SLOTS == BYTE_SERVER + 1, "one lock covers the server and all slots");

static struct flock byte_lock(const struct store *store, uint64_t which, short type)
{
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)(store->mapped + which), .l_len = 1};
}

bool segment_try_byte(const struct store *store, uint64_t which)
{
    struct flock lock = byte_lock(store, which, F_WRLCK);
    return fcntl(store->fd, F_SETLK, &lock) == 0;
}

bool segment_byte_is_held(const struct store *store, uint64_t which)
{
    struct flock lock = byte_lock(store, which, F_WRLCK);
    /* When the question itself fails nobody may be declared dead. */
    return fcntl(store->fd, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

pid_t segment_byte_holder(const struct store *store, uint64_t which)
{
    struct flock lock = byte_lock(store, which, F_WRLCK);
    if (fcntl(store->fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return 0;
    return lock.l_pid > 0 ? lock.l_pid : -1;
}

void segment_free_slot(const struct store *store, uint32_t index)
{
    struct flock lock = byte_lock(store, claim_byte(index), F_UNLCK);
    lock.l_len = BYTES_OF_SLOT;
    fcntl(store->fd, F_SETLK, &lock);
}

static enum status say_who(const struct flock *held, uint64_t end, const char *name, char *why,
                           size_t why_size)
{
    char who[sizeof("process -9223372036854775808")] = "a process";
    if (held->l_pid > 0) /* not told where process ids are another name space's */
        snprintf(who, sizeof(who), "process %ld", (long)held->l_pid);
    snprintf(why, why_size, "%s %s post office %s: end it first", who,
             held->l_start == (off_t)(end + BYTE_SERVER) ? "serves" : "is attached to", name);
    return STATUS_IN_USE;
}

/* Who had one of them may end before the system is asked who it was: then they are there to be taken. */
enum status segment_take_bytes(int fd, uint64_t end, const char *name, char *why, size_t why_size)
{
    const struct flock all = {.l_type = F_WRLCK,
                              .l_whence = SEEK_SET,
                              .l_start = (off_t)(end + BYTE_SERVER),
                              .l_len = 1 + SLOTS_LIMIT * BYTES_OF_SLOT};
    struct flock held;
    do {
        held = all;
        if (fcntl(fd, F_SETLK, &held) == 0)
            return STATUS_OK;
        if ((errno != EAGAIN && errno != EACCES) || fcntl(fd, F_GETLK, &held) != 0) {
            snprintf(why, why_size, "cannot lock the shared memory of post office %s: %s", name,
                     strerror(errno));
            return STATUS_SYSTEM;
        }
    } while (held.l_type == F_UNLCK);
    return say_who(&held, end, name, why, why_size);
}
