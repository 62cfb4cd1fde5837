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

static struct letter letter_of(const struct smsp *smsp)
{
    struct text content = smsp->arguments[ARGUMENT_CONTENT];

    return (struct letter){
        .sender = smsp->name,
        .sender_length = smsp->name_length,
        .subject = "",
        .body = content.bytes,
        .body_length = content.length,
    };
}

/* Whoever has the last recipient's name now. */
static enum status find_again(struct smsp *smsp)
{
    enum status status =
        account_find(smsp->store, smsp->recipient_name, smsp->recipient_length, &smsp->recipient);

    if (status != STATUS_OK) {
        smsp->recipient_length = 0;
    }
    return status;
}

static bool is_last_recipient(const struct smsp *smsp)
{
    struct text name = smsp->arguments[ARGUMENT_RECIPIENT];

    return name.length == smsp->recipient_length &&
           memcmp(name.bytes, smsp->recipient_name, name.length) == 0;
}

static enum status find_recipient(struct smsp *smsp)
{
    struct text name = smsp->arguments[ARGUMENT_RECIPIENT];

    if (is_last_recipient(smsp)) {
        return STATUS_OK;
    }
    smsp->recipient_length = name.length;
    memcpy(smsp->recipient_name, name.bytes, name.length);
    return find_again(smsp);
}

enum status smsp_message(void *context)
{
    struct smsp *smsp = context;
    struct letter letter = letter_of(smsp);

    enum status status = draft_write(smsp->store, &letter);
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
    struct smsp *smsp = context;
    message_id id = 0;

    enum status status = find_recipient(smsp);
    if (status == STATUS_OK) {
        status = queue_store(smsp->store, smsp->session.account, smsp->recipient, &id);
    }
    if (status == STATUS_GONE && (status = find_again(smsp)) == STATUS_OK) {
        status = queue_store(smsp->store, smsp->session.account, smsp->recipient, &id);
    }
    return status;
}

/* Requests that came together are published together: of each by itself, what costs most is the lock. */
enum status smsp_send(void *context)
{
    struct smsp *smsp = context;
    struct letter letter = letter_of(smsp);

    if (smsp->gathered == 0 || !is_last_recipient(smsp) ||
        !draft_write_behind(smsp->store, smsp->gathered, &letter)) {
        smsp_publish(smsp);
        enum status status = find_recipient(smsp);
        if (status == STATUS_OK) {
            status = draft_write(smsp->store, &letter);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    smsp->gathered++;
    smsp->later = true;
    return STATUS_OK;
}

enum status smsp_publish_some(struct smsp *smsp, uint32_t gathered, uint32_t *count)
{
    message_id first = 0;

    enum status status = mailbox_append_drafts(smsp->store, smsp->recipient, gathered, &first, count);
    if (status == STATUS_GONE && (status = find_again(smsp)) == STATUS_OK) {
        status = mailbox_append_drafts(smsp->store, smsp->recipient, gathered, &first, count);
    }
    if (status == STATUS_OK) {
        reply_number(smsp, &ok, first);
    } else if (gathered > 1) {
        draft_drop_first(smsp->store);
    } else {
        draft_drop(smsp->store);
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

/* To wait for mail is to use the session: it does not get idle by that, but its age is looked at. */
static bool session_lasts(struct smsp *smsp)
{
    struct session *session = &smsp->session;

    return cookie_verify(smsp->store, session->text, COOKIE_TEXT, session) == STATUS_OK;
}

static bool gone(void *context)
{
    struct smsp *smsp = context;

    return stream_gone(smsp->stream) || !session_lasts(smsp);
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
    if (status != STATUS_GONE && !session_lasts(smsp)) {
        return STATUS_NO_SESSION;
    }
    if (status == STATUS_OK) {
        reply_number(smsp, &counted, held);
    }
    return status;
}
