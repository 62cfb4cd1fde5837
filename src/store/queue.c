/* queue.c: what MESSAGE gave and STORE has not yet taken: a chain per sender, newest first. */
#include "queue.h"

#include "account_record.h"
#include "journal.h"
#include "log.h"
#include "mailbox_record.h"
#include "message.h"
#include "moment.h"
#include "process.h"
#include "transaction.h"

static enum status push_draft(struct store *store, account_t sender, int64_t now)
{
    struct account_record *record = account_record(store, sender);
    block_t draft = store->slot->draft;
    struct message_record *message = at(store, draft);
    uint64_t sequence;
    if (!record)
        return STATUS_GONE;
    if (!quota_holds(store, record->queue_count, record->queue_bytes, message))
        return STATUS_FULL_QUEUE;
    uint64_t id = record->queue_newest + 1;
    if (id >= ID_MOST)
        return STATUS_FULL_QUEUE;
    struct journal_note note = {.type = RECORD_QUEUE,
                                .account = sender.index,
                                .id = id,
                                .received = now,
                                .body_length = message->body_length,
                                .message = draft};
    enum status status = journal_note(store, &note, &sequence);
    if (status != STATUS_OK)
        return status;
    journal_mark(store, record, sequence);
    set64(store, &record->queue_newest, id);
    set32(store, &message->link, record->queue);
    draft_address(store, draft, sender.index, id, now);
    set32(store, &message->shape, message_with_state(message->shape, MESSAGE_QUEUED));
    set32(store, &record->queue, draft);
    set64(store, &record->queue_count, record->queue_count + 1);
    set64(store, &record->queue_bytes, record->queue_bytes + message_bytes(message));
    draft_let_go(store, 1);
    return STATUS_OK;
}

enum status queue_push(struct store *store, account_t sender)
{
    int64_t now = moment_unix(store);
    enum status status;
    if (!store->slot->draft)
        bug("there is no draft to queue");
    do {
        transaction_begin(store);
        status = push_draft(store, sender, now);
    } while (!transaction_finish(store, &status));
    return status;
}

static enum status move(struct store *store, account_t sender, account_t recipient, bool *waited,
                        message_id *id)
{
    struct account_record *from = account_record(store, sender);
    struct account_record *to = account_record(store, recipient);
    uint64_t sequence;
    if (!from || !to)
        return STATUS_GONE;
    journal_observe(store, from->changed);
    block_t block = from->queue;
    if (!block)
        return STATUS_NOTHING_QUEUED;
    struct message_record *message = at(store, block);
    if (!quota_holds(store, to->count, to->bytes, message) || to->newest + 1 >= ID_MOST)
        return STATUS_FULL_MAILBOX;
    /* While a checkpoint runs it may have one account before this and the other after it: then the record has
     * to bring the message along. */
    bool whole = load64(&store->header->journal.checkpoint) != 0;
    struct journal_note note = {.type = RECORD_STORE,
                                .flags = whole ? RECORD_WHOLE : 0,
                                .account = sender.index,
                                .second = recipient.index,
                                .id = message->id,
                                .other = to->newest + 1,
                                .received = message->received,
                                .body_length = whole ? message->body_length : 0,
                                .message = whole ? block : 0};
    enum status status = journal_note(store, &note, &sequence);
    if (status != STATUS_OK)
        return status;
    *id = note.other;
    journal_mark(store, from, sequence);
    journal_mark(store, to, sequence);
    set32(store, &from->queue, message->link);
    set64(store, &from->queue_count, from->queue_count - 1);
    set64(store, &from->queue_bytes, from->queue_bytes - message_bytes(message));
    message_readdress(store, block, recipient.index, *id);
    return mailbox_put(store, to, block, waited);
}

/* For a journal's sake: the newest message has gone where it is known already. */
void queue_drop(struct store *store, account_t sender)
{
    transaction_begin(store);
    struct account_record *from = account_record(store, sender);
    block_t block = from->queue;
    struct message_record *message = at(store, block);
    set32(store, &from->queue, message->link);
    set64(store, &from->queue_count, from->queue_count - 1);
    set64(store, &from->queue_bytes, from->queue_bytes - message_bytes(message));
    message_drop(store, block);
    transaction_end(store, STATUS_OK);
    message_sweep(store);
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
    return account_number(store, sender, offsetof(struct account_record, queue_count));
}

enum status queue_list(struct store *store, account_t sender, struct message *messages, size_t most,
                       size_t *count)
{
    return queue_list_below(store, sender, UINT64_MAX, messages, most, count);
}

/* In use only the newest message ever leaves a queue: behind one that is still in it all is as it was. */
static block_t first_below(const struct store *store, const struct account_record *record, account_t sender,
                           uint64_t below)
{
    const struct slot *slot = store->slot;
    const struct message_record *last = slot->pins > 0 ? at(store, slot->pinned[slot->pins - 1]) : NULL;
    bool goes_on = last && message_state(last->shape) == MESSAGE_QUEUED && last->owner == sender.index &&
                   last->id == below;
    return goes_on ? last->link : record->queue;
}

enum status queue_list_below(struct store *store, account_t sender, uint64_t below, struct message *messages,
                             size_t most, size_t *count)
{
    *count = 0;
    transaction_begin(store);
    struct account_record *record = account_record(store, sender);
    enum status status = record ? STATUS_OK : STATUS_GONE;
    journal_observe(store, record ? record->changed : 0);
    block_t block = record ? first_below(store, record, sender, below) : 0;
    uint64_t left = record ? record->queue_count : 0;
    while (status == STATUS_OK && block && *count < most) {
        const struct message_record *message = at(store, block);
        if (left-- == 0)
            bug("a queue is longer than its count");
        if (message->id < below)
            status = message_pin(store, block, &messages[*count]);
        if (message->id < below && status == STATUS_OK)
            ++*count;
        block = message->link;
    }
    if (*count > 0)
        status = STATUS_OK;
    transaction_end(store, status);
    return status;
}
