/* queue.c: what MESSAGE gave and STORE has not yet taken: a chain per sender, newest first. */
#include "queue.h"

#include "account_record.h"
#include "clock.h"
#include "log.h"
#include "mailbox_record.h"
#include "message.h"
#include "process.h"
#include "transaction.h"

enum status queue_push(struct store *store, account_t sender)
{
    int64_t now = clock_unix();
    enum status status = STATUS_OK;
    if (!store->slot->draft)
        bug("there is no draft to queue");
    do {
        transaction_begin(store);
        struct account_record *record = account_record(store, sender);
        if (!record) {
            status = STATUS_GONE;
            continue;
        }
        struct message_record *message = at(store, store->slot->draft);
        set32(store, &message->link, record->queue);
        set64(store, (uint64_t *)&message->received, (uint64_t)now);
        set32(store, &message->owner, sender.index);
        set32(store, &message->shape, message_with_state(message->shape, MESSAGE_QUEUED));
        set32(store, &record->queue, store->slot->draft);
        set64(store, &record->queue_count, record->queue_count + 1);
        set64(store, &record->bytes, record->bytes + message_bytes(message));
        set32(store, &store->slot->draft, 0);
    } while (!transaction_finish(store, &status));
    return status;
}

static enum status move(struct store *store, account_t sender, account_t recipient, bool *waited,
                        message_id *id)
{
    struct account_record *from = account_record(store, sender);
    if (!from || !account_record(store, recipient))
        return STATUS_GONE;
    block_t block = from->queue;
    if (!block)
        return STATUS_NOTHING_QUEUED;
    struct message_record *message = at(store, block);
    set32(store, &from->queue, message->link);
    set64(store, &from->queue_count, from->queue_count - 1);
    set64(store, &from->bytes, from->bytes - message_bytes(message));
    return mailbox_put(store, recipient, block, waited, id);
}

enum status queue_store(struct store *store, account_t sender, account_t recipient, message_id *id)
{
    bool waited = false;
    enum status status;
    do {
        transaction_begin(store);
        status = move(store, sender, recipient, &waited, id);
    } while (!transaction_finish(store, &status));
    if (status == STATUS_OK && waited)
        process_wake_waiters(store, recipient);
    return status;
}

uint64_t queue_count(struct store *store, account_t sender)
{
    const struct account_record *record = account_record(store, sender);
    uint64_t count = record ? load64(&record->queue_count) : 0;
    return account_record(store, sender) ? count : 0;
}

enum status queue_list(struct store *store, account_t sender, struct message *messages, size_t most,
                       size_t *count)
{
    enum status status;
    do {
        *count = 0;
        transaction_begin(store);
        struct account_record *record = account_record(store, sender);
        status = record ? STATUS_OK : STATUS_GONE;
        block_t block = record ? record->queue : 0;
        while (status == STATUS_OK && block && *count < most && transaction_has_room(store, 3)) {
            status = message_pin(store, block, &messages[*count]);
            if (status == STATUS_OK)
                ++*count;
            block = ((struct message_record *)at(store, block))->link;
        }
        if (*count > 0)
            status = STATUS_OK;
    } while (!transaction_finish(store, &status));
    return status;
}
