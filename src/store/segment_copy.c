/* segment_copy.c: looks at a segment that nobody else has open through a private mapping. */
#include "segment_copy.h"

#include "journal_load.h"
#include "segment.h"
#include "transaction.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool is_zero(const char *bytes)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, PAGE - 1) == 0;
}

/* The segment's own map of what has memory may be damaged; the file knows. Memory that was only looked at is
 * zeros. */
static uint64_t map_memory(struct store *store)
{
    off_t end = (off_t)store->mapped;
    off_t data = 0;
    off_t hole = 0;
    uint64_t unmarked = 0;
    for (off_t at = 0; at < end; at += PAGE) {
        uint64_t *word = &store->reserved[at / PAGE / 64];
        uint64_t bit = UINT64_C(1) << (at / PAGE % 64);
        while (hole <= at && data < end) {
            data = lseek(store->fd, at, SEEK_DATA);
            hole = data < 0 ? end : lseek(store->fd, data, SEEK_HOLE);
            data = data < 0 ? end : data;
        }
        bool has_data = data < at + PAGE;
        unmarked += has_data && !(*word & bit) && !is_zero(store->base + at);
        *word = has_data ? *word | bit : *word & ~bit;
    }
    return unmarked;
}

static void mark(struct store *store, const void *field)
{
    uint64_t unit = segment_offset(store, field) / PAGE;
    store->reserved[unit / 64] |= UINT64_C(1) << (unit % 64);
}

/* A slot is there by all its parts (process_has_slot). Those that are zeros a sparse copy has left out. */
static void complete_slots(struct store *store)
{
    for (uint32_t i = 0; i < store->slots_most; i++) {
        const struct slot *slot = slot_at(store, i);
        const void *const parts[] = {slot, (const char *)(slot + 1) - 1, &store->waits[i]};
        if (segment_has(store, segment_offset(store, parts[0])) ||
            segment_has(store, segment_offset(store, parts[1])))
            for (size_t part = 0; part < sizeof(parts) / sizeof(parts[0]); part++)
                mark(store, parts[part]);
    }
}

static enum status take_copy(struct store *store, const char *name, uint64_t *unmarked, char *why,
                             size_t why_size)
{
    struct header *header = store->header;
    if (mmap(store->base, store->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
             store->fd, 0) == MAP_FAILED) {
        snprintf(why, why_size, "post office %s cannot be mapped: %s", name, strerror(errno));
        return STATUS_SYSTEM;
    }
    *unmarked = map_memory(store);
    complete_slots(store);
    (void)madvise(store->base, store->mapped, MADV_DONTDUMP);
    /* With nobody in the lock a record that is not completed is a scribble, which the check finds. */
    if (header->owner)
        transaction_recover(store);
    header->owner = 0;
    header->journal.directory[sizeof(header->journal.directory) - 1] = '\0';
    return STATUS_OK;
}

enum status segment_copy(const char *name, struct store **store, uint64_t *unmarked, char *why,
                         size_t why_size)
{
    const struct store_options options = {.name = name, .must_exist = true, .alone = true};
    enum status status = store_open(store, &options, why, why_size);
    if (status == STATUS_OK)
        status = take_copy(*store, name, unmarked, why, why_size);
    if (status != STATUS_OK) {
        journal_unload(*store);
        *store = NULL;
    }
    return status;
}
