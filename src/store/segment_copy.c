/* segment_copy.c: takes every process slot of a segment at once, and looks at it through a private mapping.
 */
#include "segment_copy.h"

#include "journal_load.h"
#include "process.h"
#include "segment.h"
#include "transaction.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static_assert(BYTE_SLOTS == BYTE_SERVER + 1, "one lock covers the server and all slots");

/* This process has never attached, so whoever has one of the bytes is another one. */
static enum status keep_others_out(const struct store *store, const char *name, char *why, size_t why_size)
{
    struct flock lock = {.l_type = F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = (off_t)(store->header->segment_bytes + BYTE_SERVER),
                         .l_len = 1 + (off_t)store->header->slots_most};
    if (fcntl(store->fd, F_SETLK, &lock) == 0)
        return STATUS_OK;
    if (fcntl(store->fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
        snprintf(why, why_size, "process %ld is attached to post office %s: end it first", (long)lock.l_pid,
                 name);
    else
        snprintf(why, why_size, "post office %s is in use: end its processes first", name);
    return STATUS_IN_USE;
}

/* The segment's own map of what has memory may be damaged; the file knows. */
static void map_memory(struct store *store)
{
    off_t end = (off_t)store->header->segment_bytes;
    memset(store->reserved, 0, ((size_t)end / PAGE + 63) / 64 * sizeof(*store->reserved));
    for (off_t from = 0, to; from < end; from = to) {
        from = lseek(store->fd, from, SEEK_DATA);
        to = from < 0 ? -1 : lseek(store->fd, from, SEEK_HOLE);
        if (to < 0)
            break;
        for (off_t unit = from / PAGE; unit * PAGE < to && unit * PAGE < end; unit++)
            store->reserved[unit / 64] |= UINT64_C(1) << (unit % 64);
    }
}

static enum status take_copy(struct store *store, const char *name, char *why, size_t why_size)
{
    struct header *header = store->header;
    if (store->arena < sizeof(*header) || store->arena > header->segment_bytes - PAGE ||
        header->accounts_most == 0 || header->slots_most == 0 || header->slots_most > SLOTS_LIMIT) {
        snprintf(why, why_size,
                 "post office %s: its header is damaged, so nothing can be found in it; it is kept as it is",
                 name);
        return STATUS_MISMATCH;
    }
    enum status status = keep_others_out(store, name, why, why_size);
    if (status != STATUS_OK)
        return status;
    if (mmap(store->base, header->segment_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, store->fd, 0) == MAP_FAILED) {
        snprintf(why, why_size, "post office %s cannot be mapped: %s", name, strerror(errno));
        return STATUS_SYSTEM;
    }
    map_memory(store);
    (void)madvise(store->base, header->segment_bytes, MADV_DONTDUMP);
    for (uint32_t i = 0; i < header->slots_most; i++)
        if (process_has_slot(store, i) && store->slots[i].redo_count)
            transaction_apply(store, &store->slots[i]);
    header->owner = 0;
    header->journal.directory[sizeof(header->journal.directory) - 1] = '\0';
    return STATUS_OK;
}

enum status segment_copy(const char *name, struct store **store, char *why, size_t why_size)
{
    const struct store_options options = {.name = name, .must_exist = true};
    enum status status = store_open(store, &options, why, why_size);
    if (status == STATUS_OK)
        status = take_copy(*store, name, why, why_size);
    if (status != STATUS_OK) {
        journal_unload(*store);
        *store = NULL;
    }
    return status;
}
