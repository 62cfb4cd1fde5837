/* segment_bytes.c: the fcntl locks on bytes beyond a segment's end, which the kernel gives to one process
 * each and takes back at any death. */
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static_assert(BYTE_PRESENT == 0 && BYTE_SERVER == 1 && BYTE_SLOTS == 2, "one lock covers all");

enum { BYTES = BYTE_SLOTS + SLOTS_LIMIT * BYTES_OF_SLOT };

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

static pid_t holder(const struct store *store, struct flock lock)
{
    if (fcntl(store->fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return 0;
    return lock.l_pid > 0 ? lock.l_pid : -1;
}

pid_t segment_byte_holder(const struct store *store, uint64_t which)
{
    return holder(store, byte_lock(store, which, F_WRLCK));
}

pid_t segment_slot_holder(const struct store *store)
{
    struct flock slots = byte_lock(store, BYTE_SLOTS, F_WRLCK);
    slots.l_len = BYTES - BYTE_SLOTS;
    return holder(store, slots);
}

pid_t segment_holder(const struct store *store)
{
    struct flock all = byte_lock(store, BYTE_PRESENT, F_WRLCK);
    all.l_len = 0;
    return holder(store, all);
}

void segment_free_byte(const struct store *store, uint64_t which)
{
    struct flock lock = byte_lock(store, which, F_UNLCK);
    fcntl(store->fd, F_SETLK, &lock);
}

void segment_free_slot(const struct store *store, uint32_t index)
{
    struct flock lock = byte_lock(store, claim_byte(index), F_UNLCK);
    lock.l_len = BYTES_OF_SLOT;
    fcntl(store->fd, F_SETLK, &lock);
}

bool segment_stay(int fd, uint64_t end)
{
    struct flock lock = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = (off_t)(end + BYTE_PRESENT), .l_len = 1};
    int result;
    do
        result = fcntl(fd, F_SETLKW, &lock);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

/* Who has one of them: the server, if that does. F_UNLCK: nobody does any more. */
static bool find_holder(int fd, const struct flock *all, struct flock *held)
{
    *held = *all;
    held->l_start += BYTE_SERVER;
    held->l_len = 1;
    if (fcntl(fd, F_GETLK, held) != 0)
        return false;
    if (held->l_type != F_UNLCK)
        return true;
    *held = *all;
    return fcntl(fd, F_GETLK, held) == 0;
}

static enum status say_who(const struct flock *held, const struct flock *all, const char *name, char *why,
                           size_t why_size)
{
    char who[sizeof("process -9223372036854775808")] = "a process";
    const char *does = held->l_len == all->l_len                     ? "repairs or removes"
                       : held->l_start == all->l_start + BYTE_SERVER ? "serves"
                                                                     : "is attached to";
    if (held->l_pid > 0) /* not told where process ids are another name space's */
        snprintf(who, sizeof(who), "process %ld", (long)held->l_pid);
    snprintf(why, why_size, "%s %s post office %s: end it first", who, does, name);
    return STATUS_IN_USE;
}

/* Who had one of them may end before the system is asked who it was: then they are there to be taken. */
enum status segment_take_bytes(int fd, uint64_t end, const char *name, char *why, size_t why_size)
{
    const struct flock all = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)(end + BYTE_PRESENT), .l_len = BYTES};
    struct flock held;
    do {
        held = all;
        if (fcntl(fd, F_SETLK, &held) == 0)
            return STATUS_OK;
        if ((errno != EAGAIN && errno != EACCES) || !find_holder(fd, &all, &held)) {
            snprintf(why, why_size, "cannot lock the shared memory of post office %s: %s", name,
                     strerror(errno));
            return STATUS_SYSTEM;
        }
    } while (held.l_type == F_UNLCK);
    return say_who(&held, &all, name, why, why_size);
}
