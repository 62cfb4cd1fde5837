/* segment_bytes.c: the fcntl locks on bytes beyond a segment's end, which the kernel gives to one process
 * each and takes back at any death. */
#include "segment.h"

#include <fcntl.h>

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
    return fcntl(store->fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

void segment_free_slot(const struct store *store, uint32_t index)
{
    struct flock lock = byte_lock(store, claim_byte(index), F_UNLCK);
    lock.l_len = BYTES_OF_SLOT;
    fcntl(store->fd, F_SETLK, &lock);
}
