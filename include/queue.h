/* queue.h: the incoming message queue (the seed's IMQ), kept per sender: what MESSAGE gave and STORE has not
 * yet taken.
 *
 * The seed hands STORE the newest message of anybody; here only the sender's own (smsp(7)).
 */
#ifndef SHMAIL_QUEUE_H
#define SHMAIL_QUEUE_H

#include "mailbox.h"

/* Puts this process's draft on the sender's queue. STATUS_GONE, STATUS_FULL_QUEUE: the draft stays. */
enum status queue_push(struct store *, account_t sender);

/* Moves the newest message of the sender's queue to the recipient's mailbox and wakes who waits for it.
 * STATUS_NOTHING_QUEUED, STATUS_GONE (either account), STATUS_FULL_MAILBOX, STATUS_FULL_SEGMENT: nothing has
 * moved. */
enum status queue_store(struct store *, account_t sender, account_t recipient, message_id *id);

/* 0 for an account that is gone. */
uint64_t queue_count(struct store *, account_t sender);

/* Pins the newest messages of the queue, newest first, at most most of them (for DUMP). STATUS_GONE;
 * STATUS_NO_MEMORY: not even one could be pinned. */
enum status queue_list(struct store *, account_t sender, struct message *messages, size_t most,
                       size_t *count);

#endif
