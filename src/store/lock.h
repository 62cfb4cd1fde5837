/* lock.h: the one lock of the store: an owner word to take, a semaphore to sleep on. Private to src/store.
 *
 * Order of locks, never the other way round: the role of the keeper, the lead of a group (journal_lead.c),
 * the lock; and a password token (password.c), the lock. */
#ifndef SHMAIL_LOCK_H
#define SHMAIL_LOCK_H

#include "layout.h"

/* Set while somebody may sleep for the lock; the rest of the word is an owner word (process.h). */
#define LOCK_WAITERS (UINT64_C(1) << 63)

/* Takes the lock, from a dead owner too; what that one had committed is then completed (transaction_recover).
 */
void lock_take(struct store *);

/* Aborts the process if the lock is not its own. */
void lock_release(struct store *);

/* Between two steps of long work, without the lock: lets those who sleep for it have it, if there are any.
 * Whoever takes it again at once is always there before one that has to wake up. */
void lock_give_way(struct store *);

/* Takes a role that one process has at a time, by its owner word: one that is free, or, if that is asked, a
 * dead one's, whose last transaction is completed first. False: somebody else has it. Without the lock. */
bool role_take(struct store *, uint64_t *word, bool look_for_dead, bool *from_dead);

#endif
