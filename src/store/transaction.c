/* transaction.c: the redo record of a slot: filled, committed by one store, applied, and completed for the
 * dead.
 *
 * Entries hold absolute values, so applying a record once more changes nothing, and a recoverer may die as
 * well. */
#include "transaction.h"

#include "block.h"
#include "huge.h"
#include "journal.h"
#include "lock.h"
#include "log.h"
#include "message.h"
#include "process.h"
#include "segment.h"

#include <string.h>

enum { HUGE_WORTH = HUGE_BYTES }; /* bytes of the arena: mail that takes less gets no memory so far ahead */

void transaction_too_long(void)
{
    bug("a transaction is too long");
}

static void clear(struct store *store)
{
    store->redo_count = 0;
    store->noted = 0;
    memset(store->redo_latest, 0, sizeof(store->redo_latest));
    store->wanted = 0;
    store->next_page = 0;
    store->wants_flush = false;
    store->wants_page = false;
    store->has_freed = false;
}

/* While the store is recovered nobody else has it. What a lock costs is that it waits until all that was
 * written before, the text of a message, has left the processor. */
void transaction_begin(struct store *store)
{
    clear(store);
    if (!store->recovering)
        lock_take(store);
}

void transaction_seal(struct store *store)
{
    __atomic_store_n(&store->slot->redo_count, store->redo_count, __ATOMIC_RELEASE);
}

/* Not in the way of those that are sound. */
static __attribute__((cold, noinline)) void pass_over(struct store *store)
{
    store_suspect(store);
}

/* Another process, whom a hole in it has made another's, may scribble over the record meanwhile. It gets to
 * the mail by that, but not out of the segment. */
void transaction_apply(struct store *store, struct slot *slot)
{
    char *const base = store->base;
    const uint64_t end_of_all = store->mapped;
    uint64_t count = load64(&slot->redo_count);
    const struct redo_entry *end = slot->redo + (count < REDO_MAX ? count : REDO_MAX);
    for (const struct redo_entry *entry = slot->redo; entry < end; entry++) {
        uint64_t where = __atomic_load_n(&entry->where, __ATOMIC_RELAXED);
        uint64_t offset = where & ~EIGHT_BYTES;
        void *field = base + offset;
        if (where & EIGHT_BYTES && __builtin_expect(offset <= end_of_all - sizeof(uint64_t), 1))
            __atomic_store_n((uint64_t *)field, entry->value, __ATOMIC_RELEASE);
        else if (!(where & EIGHT_BYTES) && __builtin_expect(offset <= end_of_all - sizeof(uint32_t), 1))
            __atomic_store_n((uint32_t *)field, (uint32_t)entry->value, __ATOMIC_RELEASE);
        else
            pass_over(store);
    }
    __atomic_store_n(&slot->redo_count, 0, __ATOMIC_RELEASE);
}

void transaction_end(struct store *store, enum status status)
{
    if (status == STATUS_OK && store->redo_count) {
        transaction_seal(store);
        transaction_apply(store, store->slot);
        journal_observe(store, store->noted); /* of one that fails there is no record to wait for */
    }
    if (status == STATUS_GONE || status == STATUS_TAKEN || status == STATUS_NO_SESSION)
        journal_observe_all(store);
    if (!store->recovering)
        lock_release(store);
}

/* Drops what the transaction has written, and frees what a class or a process keeps in its place. Others who
 * want a page must not come in between: they would all be refused but the first. */
static void free_kept_instead(struct store *store, enum status *status)
{
    clear(store);
    *status = block_free_kept(store);
    if (*status != STATUS_OK)
        *status = draft_recall_run(store);
    transaction_end(store, *status);
}

static enum status reserve_page(struct store *store, uint64_t offset)
{
    enum status status = segment_reserve(store, offset, 1);
    uint32_t scarce = status == STATUS_FULL_SEGMENT;
    if (load32(&store->header->scarce) != scarce)
        __atomic_store_n(&store->header->scarce, scarce, __ATOMIC_RELEASE);
    return status;
}

/* The page behind the one that was taken; and, halfway through each huge page, the huge one behind the next,
 * which is there before any of its pages is wanted, however late this process gets a processor: what was
 * reserved of it would have to be copied. Whoever serves has then one fault where it would have many. */
static void reserve_ahead(struct store *store, uint64_t next_page)
{
    const uint64_t next_huge = next_page + HUGE_BYTES * 3 / 2;
    const uint64_t end = store->arena + (uint64_t)store->pages_most * PAGE;
    if (reserve_page(store, next_page) == STATUS_OK && next_page - store->arena >= HUGE_WORTH &&
        next_huge % HUGE_BYTES == 0 && next_huge + HUGE_BYTES <= end)
        (void)segment_reserve_huge(store, next_huge);
}

/* Without memory for one more page, what a class keeps has some. */
static void reserve_wanted(struct store *store, enum status *status)
{
    bool for_a_page = store->wanted >= segment_offset(store, store->pages) || /* its record, or itself */
                      store->wanted - store->arena < (uint64_t)store->pages_most * PAGE;
    *status = for_a_page ? reserve_page(store, store->wanted) : segment_reserve(store, store->wanted, 1);
    if (*status == STATUS_FULL_SEGMENT && for_a_page) {
        transaction_begin(store);
        free_kept_instead(store, status);
    }
}

bool transaction_finish(struct store *store, enum status *status)
{
    bool wants_page = *status == STATUS_FULL_SEGMENT && store->wants_page;
    if (wants_page)
        free_kept_instead(store, status);
    else
        transaction_end(store, *status);
    /* By who took the page before, and none else: who finds no memory at the same time all ask for the same.
     */
    if (*status == STATUS_OK && store->next_page)
        reserve_ahead(store, store->next_page);
    if (*status == STATUS_FULL_JOURNAL && journal_await_room(store, status))
        return false;
    store->room_deadline = 0;
    if (wants_page)
        return *status != STATUS_OK;
    if (*status != STATUS_FULL_SEGMENT || (!store->wanted && !store->wants_flush))
        return true;
    if (store->wants_flush)
        *status = journal_flush(store, store->header->journal.sync == STORE_SYNC_ALWAYS);
    else
        reserve_wanted(store, status);
    return *status != STATUS_OK;
}

/* False: its owner had scribbled over it before it died. */
static bool is_sound(const struct store *store, const struct slot *slot)
{
    uint64_t count = load64(&slot->redo_count);
    if (count > REDO_MAX)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t where = slot->redo[i].where & ~EIGHT_BYTES;
        uint64_t size = slot->redo[i].where & EIGHT_BYTES ? 8 : 4;
        if (where % size != 0 || where >= store->mapped || !segment_has(store, where))
            return false;
    }
    return true;
}

/* Only the lock's owner has a committed record, so at most one stands: the dead owner's, or that of one whose
 * recoverer has died; it may be in the very slot that this process has claimed from the dead. A death is
 * noted, so that the slot is reclaimed by whoever attaches next. */
void transaction_recover(struct store *store)
{
    for (uint32_t i = 0; i < store->slots_most; i++) {
        struct slot *slot = slot_at(store, i);
        if (process_has_slot(store, i) && load64(&slot->redo_count)) {
            if (is_sound(store, slot)) {
                transaction_apply(store, slot);
            } else {
                store_suspect(store);
                __atomic_store_n(&slot->redo_count, 0, __ATOMIC_RELEASE);
            }
        }
    }
    __atomic_fetch_add(&store->header->deaths, 1, __ATOMIC_RELAXED);
}
