/* process.h: process slots beyond what store.h shows. Private to src/store. */
#ifndef SHMAIL_PROCESS_H
#define SHMAIL_PROCESS_H

#include "layout.h"

/* Wakes every process that waits for this mailbox. Without a lock. */
void process_wake_waiters(struct store *, account_t);

/* The next slot from *index on that is probably in use. False: there is none. */
bool process_next(const struct store *, uint32_t *index);

/* False while no process ever had this slot, as no memory stands behind it; and where there is no such slot,
 * which a scribbled map of them may name. */
bool process_has_slot(const struct store *, uint32_t index);

/* An owner word names one life of a slot: (slot index + 1) << 32 | generation. */
static inline uint64_t owner_word(uint32_t index, uint64_t life)
{
    return ((uint64_t)index + 1) << 32 | (life >> 1 & 0x7fffffffu);
}

static inline uint32_t owner_slot(uint64_t owner)
{
    return (uint32_t)(owner >> 32 & 0x7fffffffu) - 1;
}

/* What this process's slot owes from an earlier life (store_attach_to_check), once the store is acquitted.
 * Without a transaction. */
void process_settle_inherited(struct store *);

/* True if the life that the word names has ended; the mark LOCK_WAITERS does not matter. A system call: not
 * for the inside of the lock. */
bool owner_is_dead(const struct store *, uint64_t owner);

static inline uint32_t slot_index(const struct store *store, const struct slot *slot)
{
    return (uint32_t)(slot - store->slots[slot >= store->slots[0] + SLOTS_NEAR]);
}

#endif
