/* segment.h: the segment in a shared memory object: created or attached, its memory reserved before use.
 * Private to src/store. */
#ifndef SHMAIL_SEGMENT_H
#define SHMAIL_SEGMENT_H

#include "layout.h"

/* fcntl bytes beyond the segment's end: BYTE_PRESENT, which all share who have it open; from BYTE_SLOTS on
 * the two of each slot, which are freed together. All programs of one layout must agree on them. */
enum { BYTE_PRESENT, BYTE_SERVER, BYTE_SLOTS, BYTES_OF_SLOT = 2 };

/* Who has this may begin a life of the slot and take its other byte. */
static inline uint64_t claim_byte(uint32_t index)
{
    return BYTE_SLOTS + UINT64_C(1) * BYTES_OF_SLOT * index;
}

/* Whose owner this is lives. */
static inline uint64_t slot_byte(uint32_t index)
{
    return claim_byte(index) + 1;
}

/* True if memory stands behind the 64 KiB around offset. What is not reserved reads as zero and must not be
 * touched: the kernel would have to find a page, and kills with SIGBUS where there is none. */
static inline bool segment_has(const struct store *store, uint64_t offset)
{
    uint64_t unit = offset / PAGE;
    return load64(&store->reserved[unit / 64]) >> (unit % 64) & 1;
}

/* The same for all of a field, or of a record that is no larger than that. */
static inline bool segment_has_all(const struct store *store, const void *field, size_t size)
{
    uint64_t offset = segment_offset(store, field);
    return segment_has(store, offset) && segment_has(store, offset + size - 1);
}

/* What the header's crc should be. */
uint32_t segment_header_crc(const struct header *);

/* Reserves memory behind the range; call it without a lock. STATUS_FULL_SEGMENT: there is none. */
enum status segment_reserve(struct store *, uint64_t offset, uint64_t length);

/* The same for HUGE_BYTES from a multiple of them on, by one huge page: an eighth of the time where a fault
 * is dear. False: the system has none, and perhaps nothing was reserved. */
bool segment_reserve_huge(struct store *, uint64_t offset);

/* Undoes that, for whole pages that nobody uses, reserved or not, in a store that nobody else has. Those that
 * the kernel does not take stay as they are. */
void segment_give_back(struct store *, uint64_t offset, uint64_t length);

/* In a transaction: true if the field has memory; otherwise notes it in store->wanted, and the operation ends
 * with STATUS_FULL_SEGMENT, upon which transaction_finish reserves it and has the operation begin again. */
static inline bool segment_wants(struct store *store, const void *field)
{
    uint64_t offset = (uint64_t)((const char *)field - store->base);
    if (segment_has(store, offset))
        return true;
    store->wanted = offset;
    return false;
}

/* The fcntl byte locks; which counts from the end of the segment. False: another process holds it. */
bool segment_try_byte(const struct store *, uint64_t which);
bool segment_byte_is_held(const struct store *, uint64_t which); /* by another process */
/* 0: nobody, or this process; -1: one whose id is another name space's. */
pid_t segment_byte_holder(const struct store *, uint64_t which);
/* The same of any slot's; and of any byte, including the one by which a segment is opened. */
pid_t segment_slot_holder(const struct store *);
pid_t segment_holder(const struct store *);
void segment_free_byte(const struct store *, uint64_t which);
void segment_free_slot(const struct store *, uint32_t index); /* both bytes, in one */

/* Shares BYTE_PRESENT of the segment that ends there: until the descriptor is closed nobody takes them all.
 * Waits for who has, and who may have given its name to another one. False: errno tells. */
bool segment_stay(int fd, uint64_t end);

/* Takes all of them: until the descriptor is closed nobody opens it, serves it or attaches. For a process
 * that has none. STATUS_IN_USE: another one has; why says which. STATUS_SYSTEM. */
enum status segment_take_bytes(int fd, uint64_t end, const char *name, char *why, size_t why_size);

/* Begins a segment in the object behind store->fd, whatever is in it, and maps it. A named one: with the
 * creation lock (segment_name.c). On failure what it has mapped and opened stays in the store.
 * STATUS_MALFORMED: the sizes do not go together; STATUS_SYSTEM, and what a journal's recovery ends with. */
enum status segment_create(struct store *, const struct store_options *, char *why, size_t why_size);

/* Maps the segment that is there, of so many bytes; else the same. STATUS_MISMATCH: it is damaged, of another
 * version, or not what the options ask for. */
enum status segment_attach(struct store *, uint64_t bytes, const struct store_options *, char *why,
                           size_t why_size);

#endif
