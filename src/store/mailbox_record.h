/* mailbox_record.h: moving messages into and out of a mailbox. Private to src/store; within a transaction. */
#ifndef SHMAIL_MAILBOX_RECORD_H
#define SHMAIL_MAILBOX_RECORD_H

#include "layout.h"
#include "mailbox.h"

/* Puts a block that stands nowhere else at the end. *waited: process_wake_waiters is due after the commit.
 * STATUS_GONE, STATUS_FULL_SEGMENT. */
enum status mailbox_put(struct store *, account_t, block_t, bool *waited, message_id *id);

/* Takes the message out and drops it. */
void mailbox_take_out(struct store *, struct account_record *, uint64_t id, block_t);

#endif
