/* mailbox_record.h: moving messages into and out of a mailbox. Private to src/store; within a transaction. */
#ifndef SHMAIL_MAILBOX_RECORD_H
#define SHMAIL_MAILBOX_RECORD_H

#include "layout.h"
#include "mailbox.h"

/* Puts a message that stands nowhere else at the end. It says that it is the account's, and its id is greater
 * than any before (draft_address, message_readdress). True in *waited: process_wake_waiters is due after the
 * commit. STATUS_FULL_SEGMENT. */
enum status mailbox_put(struct store *, struct account_record *, block_t, bool *waited);

/* Whether a mailbox or queue of so many messages and bytes may take one more. What a journal brings back
 * always may. */
bool quota_holds(const struct store *, uint64_t count, uint64_t bytes, const struct message_record *);

/* Without a transaction: queue_list of the messages whose id is smaller. It goes on at the message of just
 * that id where this process has that pinned as its last; else it looks at all the newer ones under the lock.
 */
enum status queue_list_below(struct store *, account_t sender, uint64_t below, struct message *, size_t most,
                             size_t *count);

/* Without a transaction: drops the newest message of a queue that has one. */
void queue_drop(struct store *, account_t sender);

#endif
