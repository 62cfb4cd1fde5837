/* smsp_mail.c: the SMSP verbs on mail, but for the listing: MESSAGE, STORE, SEND, COUNT, GETMSG, DELMSG,
 * FETCH, REMOVE, WAIT. In come arguments of the right form, a live session and, where it is one's own
 * mailbox, the right one. It knows no framing. */
#include "smsp.h"

#include "clock.h"
#include "queue.h"

#include <string.h>

static const struct smsp_word ok = {"OK ", 3, true};
static const struct smsp_word counted = {"COUNTED ", 8, true};

static void reply_number(struct smsp *smsp, const struct smsp_word *word, uint64_t number)
{
    smsp->word = word;
    smsp->number = number;
}

static enum status write_draft(struct smsp *smsp)
{
    struct text content = smsp->arguments[ARGUMENT_CONTENT];
    struct letter letter = {
        .sender = smsp->name,
        .sender_length = smsp->name_length,
        .subject = "",
        .body = content.bytes,
        .body_length = content.length,
    };

    return draft_write(smsp->store, &letter);
}

/* *remembered: he was found for an earlier request, and may be gone. */
static enum status find_recipient(struct smsp *smsp, bool *remembered)
{
    struct text name = smsp->arguments[ARGUMENT_RECIPIENT];

    *remembered =
        name.length == smsp->recipient_length && memcmp(name.bytes, smsp->recipient_name, name.length) == 0;
    if (*remembered) {
        return STATUS_OK;
    }
    enum status status = account_find(smsp->store, name.bytes, name.length, &smsp->recipient);
    smsp->recipient_length = status == STATUS_OK ? name.length : 0;
    memcpy(smsp->recipient_name, name.bytes, smsp->recipient_length);
    return status;
}

/* Has deliver done for the recipient; where the one that was remembered is gone, for whoever has his name
 * now. */
static enum status deliver_to_recipient(struct smsp *smsp,
                                        enum status (*deliver)(struct smsp *, message_id *), message_id *id)
{
    bool remembered = true;
    enum status status = STATUS_GONE;

    while (status == STATUS_GONE && remembered) {
        status = find_recipient(smsp, &remembered);
        if (status == STATUS_OK) {
            status = deliver(smsp, id);
        }
        if (status == STATUS_GONE) {
            smsp->recipient_length = 0;
        }
    }
    return status;
}

static enum status store_from_queue(struct smsp *smsp, message_id *id)
{
    return queue_store(smsp->store, smsp->session.account, smsp->recipient, id);
}

static enum status send_draft(struct smsp *smsp, message_id *id)
{
    enum status status = write_draft(smsp);

    if (status != STATUS_OK) {
        return status;
    }
    status = mailbox_append(smsp->store, smsp->recipient, id);
    if (status != STATUS_OK) {
        draft_drop(smsp->store);
    }
    return status;
}

enum status smsp_message(void *context)
{
    struct smsp *smsp = context;

    enum status status = write_draft(smsp);
    if (status != STATUS_OK) {
        return status;
    }
    status = queue_push(smsp->store, smsp->session.account);
    if (status != STATUS_OK) {
        draft_drop(smsp->store);
    }
    return status;
}

enum status smsp_store(void *context)
{
    message_id id = 0;

    return deliver_to_recipient(context, store_from_queue, &id);
}

enum status smsp_send(void *context)
{
    message_id id = 0;

    enum status status = deliver_to_recipient(context, send_draft, &id);
    if (status == STATUS_OK) {
        reply_number(context, &ok, id);
    }
    return status;
}

enum status smsp_count(void *context)
{
    struct smsp *smsp = context;

    reply_number(smsp, &counted, mailbox_count(smsp->store, smsp->session.account));
    return STATUS_OK;
}

enum status smsp_getmsg(void *context)
{
    struct smsp *smsp = context;

    enum status status = STATUS_OK;
    if (!mailbox_first_again(smsp->store, smsp->session.account, &smsp->message)) {
        status = smsp_free_pins(smsp, 1);
        if (status == STATUS_OK) {
            status = mailbox_first(smsp->store, smsp->session.account, &smsp->message);
        }
    }
    if (status == STATUS_OK) {
        smsp->payload = PAYLOAD_FRAME;
    }
    return status;
}

enum status smsp_delmsg(void *context)
{
    struct smsp *smsp = context;

    return mailbox_delete_first(smsp->store, smsp->session.account);
}

enum status smsp_fetch(void *context)
{
    struct smsp *smsp = context;

    enum status status = smsp_free_pins(smsp, 1);
    if (status == STATUS_OK) {
        status = mailbox_open(smsp->store, smsp->session.account, smsp->id, &smsp->message);
    }
    if (status == STATUS_OK) {
        smsp->payload = PAYLOAD_EXACT;
        reply_number(smsp, &ok, smsp_message_bytes(&smsp->message));
    }
    return status;
}

enum status smsp_remove(void *context)
{
    struct smsp *smsp = context;

    return mailbox_delete(smsp->store, smsp->session.account, smsp->id);
}

static bool gone(void *context)
{
    struct smsp *smsp = context;

    return stream_gone(smsp->stream) || !session_alive(smsp->store, &smsp->session);
}

enum status smsp_wait(void *context)
{
    struct smsp *smsp = context;
    uint64_t held = 0;

    /* What was asked before must not wait for mail. */
    if (stream_flush(smsp->stream) != STATUS_OK) {
        return STATUS_HANGUP;
    }
    enum status status = mailbox_wait(smsp->store, smsp->session.account, smsp->count,
                                      deadline_after_seconds((int64_t)smsp->seconds),
                                      stream_sleep_mask(smsp->stream), gone, smsp, &held);
    if (status == STATUS_HANGUP && stream_gone(smsp->stream)) {
        return status;
    }
    if (status != STATUS_GONE && !session_alive(smsp->store, &smsp->session)) {
        return STATUS_NO_SESSION; /* as it was not idle while it waited, somebody has ended it */
    }
    if (status == STATUS_OK) {
        reply_number(smsp, &counted, held);
    }
    return status;
}
