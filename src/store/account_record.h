/* account_record.h: accounts by handle, and their end. Private to src/store; within a transaction unless
 * said. */
#ifndef SHMAIL_ACCOUNT_RECORD_H
#define SHMAIL_ACCOUNT_RECORD_H

#include "segment.h"

/* The record of a live account, or NULL. Also without a lock, for one load from it that is verified by a
 * second call. */
struct account_record *account_record(const struct store *, account_t);

/* Without a transaction, by one load: a number of the account's record, by its offset there; 0 for one that
 * is gone. The generation is looked at again after the load: the record may have become another account's in
 * between. */
uint64_t account_number(struct store *, account_t, size_t field);

/* Whether there is a record of that index to be looked at, whoever's. For walks up to accounts_used, which
 * may say anything: what lies beyond the table is none, and what has no memory behind it was never one. */
static inline bool account_has_record(const struct store *store, uint32_t index)
{
    return index <= store->accounts_most &&
           segment_has_all(store, account_at(store, index), sizeof(struct account_record));
}

/* Without a transaction: frees step by step what removed accounts have left. */
void account_sweep(struct store *);

/* Without a transaction: registers an account at a certain index, which is free, while the store is
 * recovering. */
enum status account_restore(struct store *, uint32_t index, const char *name, size_t length,
                            const char *hash);

/* Ends the account's newest session (cookie.c); false: it has none. */
bool session_end_newest(struct store *, struct account_record *);

/* In which bucket a session stands. */
uint32_t session_hash(const struct store *, const uint8_t secret[32]);

/* Without a transaction: fresh random bytes for a session. STATUS_SYSTEM: there are none. */
enum status session_draw(uint8_t random[32]);

/* Opens a session for the account, ends its oldest one where there are too many, and writes the cookie.
 * STATUS_FULL_SESSIONS, STATUS_FULL_SEGMENT; STATUS_SYSTEM: a session has that secret. random: fresh random
 * bytes for its own. */
struct cookie;
enum status session_open(struct store *, account_t, struct account_record *, const uint8_t random[32],
                         struct cookie *);

#endif
