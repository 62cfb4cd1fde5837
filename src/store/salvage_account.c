/* salvage_account.c: gives an account up, its messages to files, and reaches into the middle of a queue,
 * which no request ever does. */
#include "salvage_account.h"

#include "account_record.h"
#include "buffer.h"
#include "mailbox_record.h"
#include "message.h"
#include "transaction.h"

#include <stdio.h>

static account_t handle(const struct store *store, uint32_t index)
{
    return (account_t){index, account_at(store, index)->generation};
}

void account_describe(struct store *store, uint32_t index, char text[static ACCOUNT_TEXT_SIZE])
{
    if (index == 0 || index > store->header->accounts_used || account_at(store, index)->generation % 2 == 0 ||
        account_name(store, handle(store, index), text) == 0)
        snprintf(text, ACCOUNT_TEXT_SIZE, "account %u", index);
}

/* The body of a pinned message as one run of bytes. False: no memory. */
static bool gather(struct store *store, const struct message *message, struct buffer *body)
{
    struct message_cursor cursor = {0};
    const char *run;
    size_t length;
    buffer_clear(body);
    while (message_next(store, message, &cursor, &run, &length))
        if (!buffer_append(body, run, length))
            return false;
    return true;
}

static enum status export_message(struct store *store, const struct message *message, struct stray *stray,
                                  struct report *report, struct exporter *exporter)
{
    struct buffer body = {0};
    enum status status = STATUS_NO_MEMORY;
    if (gather(store, message, &body)) {
        stray->from = message->sender;
        stray->from_length = message->sender_length;
        stray->subject = message->subject;
        stray->subject_length = message->subject_length;
        stray->body = body.bytes;
        stray->body_length = body.length;
        stray->id = message->id;
        stray->received = message->received;
        status = export_stray(exporter, report, stray);
    }
    buffer_free(&body);
    return status;
}

/* One chunk of the mailbox or the queue; *at is where the next one begins. */
static enum status export_chunk(struct store *store, account_t account, uint64_t *at, size_t *count,
                                struct stray *stray, struct report *report, struct exporter *exporter)
{
    struct message messages[PINS_MAX];
    enum status status = stray->queued
                             ? queue_list_below(store, account, *at, messages, PINS_MAX, count)
                             : mailbox_list(store, account, *at, UINT64_MAX, messages, PINS_MAX, count);
    for (size_t i = 0; i < *count && status == STATUS_OK; i++) {
        status = export_message(store, &messages[i], stray, report, exporter);
        *at = messages[i].id;
    }
    message_release_all(store);
    return status;
}

enum status account_displace(struct store *store, uint32_t index, const char *origin, struct report *report,
                             struct exporter *exporter)
{
    char owner[ACCOUNT_TEXT_SIZE];
    struct stray stray = {.to = owner, .origin = origin, .reason = "its account was removed"};
    struct account_secret secret = {.account = handle(store, index),
                                    .revision = account_at(store, index)->revision};
    enum status status = STATUS_OK;
    account_describe(store, index, owner);
    report_say(report, REPORT_LOST, "%s: account %u (%s) was removed in a part that is lost", origin, index,
               owner);
    for (int queued = 0; queued <= 1; queued++) {
        uint64_t at = queued ? UINT64_MAX : 0;
        stray.queued = queued;
        for (size_t count = 1; count > 0 && status == STATUS_OK;)
            status = export_chunk(store, secret.account, &at, &count, &stray, report, exporter);
    }
    return status == STATUS_OK ? account_remove(store, &secret) : status;
}

/* Within a transaction: where the chain refers to that message; NULL: it is not there. */
static block_t *find(const struct store *store, uint32_t sender, uint64_t id)
{
    block_t *link = &account_at(store, sender)->queue;
    while (*link && ((const struct message_record *)at(store, *link))->id != id)
        link = &((struct message_record *)at(store, *link))->link;
    return *link ? link : NULL;
}

bool queue_has(struct store *store, uint32_t sender, uint64_t id)
{
    return find(store, sender, id) != NULL;
}

enum status queue_move(struct store *store, uint32_t sender, uint64_t id, uint32_t recipient,
                       message_id recipient_id)
{
    struct account_record *from = account_at(store, sender);
    struct account_record *to = account_at(store, recipient);
    enum status status = STATUS_OK;
    bool waited;
    do {
        transaction_begin(store);
        block_t *link = find(store, sender, id);
        struct message_record *message = at(store, *link);
        block_t block = *link;
        set32(store, link, message->link);
        set64(store, &from->queue_count, from->queue_count - 1);
        set64(store, &from->queue_bytes, from->queue_bytes - message_bytes(message));
        if (recipient) {
            message_readdress(store, block, recipient, recipient_id);
            status = mailbox_put(store, to, block, &waited);
        } else {
            message_drop(store, block);
        }
    } while (!transaction_finish(store, &status));
    message_sweep(store);
    return status;
}

enum status queue_export(struct store *store, uint32_t sender, uint64_t id, const char *origin,
                         const char *reason, struct report *report, struct exporter *exporter)
{
    char owner[ACCOUNT_TEXT_SIZE];
    struct stray stray = {.to = owner, .queued = true, .origin = origin, .reason = reason};
    struct message message;
    size_t count;
    account_describe(store, sender, owner);
    enum status status = queue_list_below(store, handle(store, sender), id + 1, &message, 1, &count);
    if (status == STATUS_OK && count == 1)
        status = export_message(store, &message, &stray, report, exporter);
    message_release_all(store);
    return status;
}
