/* transaction.h: changes to the segment that a crash cannot tear. Private to src/store.
 *
 * Between transaction_begin and transaction_finish the process holds the lock. Its writes go to the slot's
 * redo record, not to the fields: what it may have written itself it reads back with get32 and get64. The
 * commit is one store; whoever takes the lock from a dead owner completes a committed record and ignores any
 * other. */
#ifndef SHMAIL_TRANSACTION_H
#define SHMAIL_TRANSACTION_H

#include "layout.h"

void transaction_begin(struct store *);

/* Ends the transaction: commits on STATUS_OK, else drops it. Returns false if it has to begin again: it had
 * failed with STATUS_FULL_SEGMENT for want of memory (segment_wants), of a page (block_free_kept), or of room
 * in the journal's ring, that is there now; or with STATUS_FULL_JOURNAL, after a sleep (journal_await_room):
 * one operation sleeps for at most 3 s in all.
 *
 *     do {
 *         transaction_begin(store);
 *         status = ...;
 *     } while (!transaction_finish(store, &status));
 */
bool transaction_finish(struct store *, enum status *);

/* The same for one that asks neither for memory nor for the journal: it need never begin again. */
void transaction_end(struct store *, enum status);

/* How a redo entry says where it writes: the offset, and this bit where it is eight bytes. */
#define EIGHT_BYTES UINT64_C(1)

static inline uint32_t redo_hash(uint64_t where)
{
    return (uint32_t)((where >> 2) * UINT64_C(0x9e3779b97f4a7c15) >> 57);
}

static inline struct redo_entry *redo_find(const struct store *store, uint64_t where)
{
    for (uint32_t i = store->redo_latest[redo_hash(where)]; i-- > 0;)
        if (store->slot->redo[i].where == where)
            return &store->slot->redo[i];
    return NULL;
}

_Noreturn void transaction_too_long(void);

static inline void redo_set(struct store *store, uint64_t where, uint64_t value)
{
    struct redo_entry *entry = redo_find(store, where);
    if (!entry) {
        if (store->redo_count == REDO_MAX)
            transaction_too_long();
        entry = &store->slot->redo[store->redo_count++];
        store->redo_latest[redo_hash(where)] = (uint8_t)store->redo_count;
        entry->where = where;
    }
    entry->value = value;
}

static inline void set32(struct store *store, uint32_t *field, uint32_t value)
{
    redo_set(store, segment_offset(store, field), value);
}

static inline void set64(struct store *store, uint64_t *field, uint64_t value)
{
    redo_set(store, segment_offset(store, field) | EIGHT_BYTES, value);
}

static inline uint32_t get32(const struct store *store, const uint32_t *field)
{
    const struct redo_entry *entry = redo_find(store, segment_offset(store, field));
    return entry ? (uint32_t)entry->value : *field;
}

static inline uint64_t get64(const struct store *store, const uint64_t *field)
{
    const struct redo_entry *entry = redo_find(store, segment_offset(store, field) | EIGHT_BYTES);
    return entry ? entry->value : *field;
}

/* True if that many more writes fit: for operations that go on in another transaction otherwise. */
static inline bool transaction_has_room(const struct store *store, uint32_t writes)
{
    return store->redo_count + writes <= REDO_MAX;
}

/* The two halves of a commit, apart for the tests that kill a process between them. */
void transaction_seal(struct store *);
void transaction_apply(struct store *, struct slot *);

/* Completes what a dead owner had committed. The caller holds the lock that it has taken from it. */
void transaction_recover(struct store *);

#endif
