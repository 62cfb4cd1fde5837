/* message_mail.c: what an entered name does with mail: send, list, open, delete, wait. In come arguments, out
 * goes JSON as Python's json.dumps lays it out, for that is what the published server sends; other characters
 * than ASCII leave as they are. It knows nothing of frames and entry. */
#include "clock.h"
#include "json.h"
#include "message_session.h"
#include "name.h"

#include <inttypes.h>

enum status message_send(struct message_session *session, const struct message_argument *arguments)
{
    const struct message_argument *to = &arguments[0], *header = &arguments[1], *text = &arguments[2];
    struct store *store = session->connection->store;
    struct letter letter = {
        .sender = session->name,
        .sender_length = session->name_length,
        .subject = header->bytes,
        .subject_length = header->length,
        .body = text->bytes,
        .body_length = text->length,
    };
    account_t recipient;
    message_id id;

    if (!name_is_address(to->bytes, to->length)) {
        return STATUS_NO_ACCOUNT;
    }
    size_t length = name_canonical(to->bytes, to->length, session->connection->settings->domain);
    enum status status = account_find(store, to->bytes, length, &recipient);
    if (status != STATUS_OK) {
        return status;
    }
    status = draft_write(store, &letter);
    if (status != STATUS_OK) {
        return status;
    }
    status = mailbox_append(store, recipient, &id);
    if (status != STATUS_OK) {
        draft_drop(store);
    }
    return status == STATUS_GONE ? STATUS_NO_ACCOUNT : status;
}

static void write_address(struct message_session *session, const char *name, size_t length)
{
    char address[2 * NAME_MAX_BYTES + 2];

    length = name_address(name, length, session->connection->settings->domain, address);
    json_write_string(&session->reply, address, length);
}

/* Appends one mail to the reply, whose frame may hold most bytes. A text never shrinks by being written as
 * JSON, so one that cannot fit is not begun. STATUS_TOO_LONG, STATUS_NO_MEMORY. */
static enum status write_mail(struct message_session *session, const struct message *message, size_t most)
{
    struct store *store = session->connection->store;
    struct buffer *reply = &session->reply;
    struct message_cursor cursor = {0};
    struct json_carry carry = {.length = 0};
    const char *bytes;
    size_t length;

    if (reply->length + message->body_length > most) {
        return STATUS_TOO_LONG;
    }
    buffer_append_text(reply, "{\"id\": ");
    buffer_append_number(reply, message->id);
    buffer_append_text(reply, ", \"source\": ");
    write_address(session, message->sender, message->sender_length);
    buffer_append_text(reply, ", \"destination\": ");
    write_address(session, session->name, session->name_length);
    buffer_append_text(reply, ", \"header\": ");
    json_write_string(reply, message->subject, message->subject_length);
    buffer_append_text(reply, ", \"text\": \"");
    while (reply->length <= most && message_next(store, message, &cursor, &bytes, &length)) {
        json_write_text(reply, bytes, length, &carry, false);
    }
    json_write_text(reply, "", 0, &carry, true);
    buffer_append_text(reply, "\"}");
    if (reply->failed) {
        return STATUS_NO_MEMORY;
    }
    return reply->length > most ? STATUS_TOO_LONG : STATUS_OK;
}

/* The mails of one chunk; *after is the id of the last one that was written. */
static enum status write_chunk(struct message_session *session, const struct message *chunk, size_t count,
                               message_id *after)
{
    const size_t most = FRAME_HEADER + MAILBOX_REPLY_MAX - 1; /* and the closing bracket */
    enum status status = STATUS_OK;

    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        if (*after != 0) {
            buffer_append_text(&session->reply, ", ");
        }
        status = write_mail(session, &chunk[i], most);
        *after = chunk[i].id;
    }
    return status;
}

enum status message_mailbox(struct message_session *session, const struct message_argument *arguments)
{
    struct store *store = session->connection->store;
    message_id newest = mailbox_newest(store, session->account), after = 0;
    struct message chunk[PINS_MAX];
    enum status status;
    size_t count = 0;

    (void)arguments;
    buffer_append_byte(&session->reply, '[');
    do {
        status = mailbox_list(store, session->account, after, newest, chunk, PINS_MAX, &count);
        if (status == STATUS_OK) {
            status = write_chunk(session, chunk, count, &after);
            message_release_all(store);
        }
    } while (status == STATUS_OK && count > 0);
    buffer_append_byte(&session->reply, ']');
    if (status == STATUS_TOO_LONG) {
        return message_refuse(
            session, status,
            "Mailbox reply is over the limit of %u bytes, open mails one by one up to index %" PRIu64,
            MAILBOX_REPLY_MAX, newest);
    }
    return status;
}

enum status message_open(struct message_session *session, const struct message_argument *arguments)
{
    struct store *store = session->connection->store;
    struct message message;

    if (arguments[0].number == 0) {
        return STATUS_NO_MESSAGE;
    }
    enum status status = mailbox_open(store, session->account, arguments[0].number, &message);
    if (status != STATUS_OK) {
        return status;
    }
    status = write_mail(session, &message, FRAME_HEADER + (size_t)FRAME_LENGTH_MAX);
    message_release(store, &message);
    if (status == STATUS_TOO_LONG) {
        return message_refuse(session, status, "Mail is over the limit of %u bytes", FRAME_LENGTH_MAX);
    }
    return status;
}

enum status message_delete(struct message_session *session, const struct message_argument *arguments)
{
    if (arguments[0].number == 0) {
        return STATUS_NO_MESSAGE;
    }
    return mailbox_delete(session->connection->store, session->account, arguments[0].number);
}

/* Over TCP a client that was killed looks like one that has half-closed, and the name it entered must be
 * free. */
static bool is_gone(void *context)
{
    struct message_session *session = context;
    struct connection *connection = session->connection;

    return stream_gone(connection->stream) || stream_ended(connection->stream) ||
           !account_is_entered(connection->store, session->account);
}

enum status message_wait(struct message_session *session, const struct message_argument *arguments)
{
    struct connection *connection = session->connection;
    struct stream *stream = connection->stream;
    uint64_t held;
    enum status status = stream_flush(stream);

    if (status != STATUS_OK) {
        return message_end(session, status);
    }
    status = mailbox_wait(connection->store, session->account, arguments[0].number,
                          deadline_after_seconds((int64_t)arguments[1].number), stream_sleep_mask(stream),
                          is_gone, session, &held);
    if (status == STATUS_HANGUP && stream_gone(stream)) {
        return message_end(session, status);
    }
    if (!account_is_entered(connection->store, session->account)) {
        return STATUS_NO_SESSION;
    }
    return status == STATUS_HANGUP ? message_refuse(session, status, "No wait on a half-closed connection")
                                   : status;
}
