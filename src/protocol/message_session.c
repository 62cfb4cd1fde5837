/* message_session.c: the Message protocol, shmail-message(7): frames, the session, and the dispatcher with
 * its table. In come the bytes of one connection, out go reply frames in the order of the requests. What a
 * command does stands in message_entry.c and message_mail.c; this file knows nothing of mail. */
#include "message_session.h"

#include "json.h"
#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    READ_AHEAD = 64 << 10,  /* pipelined requests that come at once are answered at once */
    REPLY_KEPT = 256 << 10, /* a connection keeps no more memory than this from one reply to the next */
    ENTRY_LENGTH_MAX = (NAME_MAX_BYTES + PASSWORD_MAX) * FRAME_ESCAPE + FRAME_REST,
};

/* Types of replies, beside those that a request's own type is. */
enum { REPLY_OK = 0, REPLY_MAILBOX = 2, REPLY_OPEN = 3, REPLY_ERROR = -2 };

struct command {
    int32_t type;
    const char *name;
    bool needs_entry;
    int32_t reply;
    const struct member_rule *rules; /* MEMBERS_MAX of them; NULL: any JSON will do */
    enum status (*handler)(struct message_session *, const struct message_argument *);
};

static enum status message_quit(struct message_session *session, const struct message_argument *arguments)
{
    (void)arguments;
    return message_end(session, STATUS_OK);
}

static const struct member_rule entry_members[MEMBERS_MAX] = {
    {"name", MEMBER_TEXT, false, NAME_MAX_BYTES},
    {"password", MEMBER_TEXT, true, PASSWORD_MAX},
};

static const struct member_rule send_members[MEMBERS_MAX] = {
    {"to", MEMBER_TEXT, false, NAME_MAX_BYTES},
    {"header", MEMBER_TEXT, false, SUBJECT_MAX},
    {"text", MEMBER_TEXT, false, 0},
};

static const struct member_rule index_member[MEMBERS_MAX] = {
    {"index", MEMBER_INDEX, false, UINT64_MAX},
};

static const struct member_rule wait_members[MEMBERS_MAX] = {
    {"count", MEMBER_WHOLE, false, UINT32_MAX},
    {"timeout", MEMBER_WHOLE, false, WAIT_SECONDS_MAX},
};

/* The commands, as shmail-message(7) lists them. The dispatcher checks state and shape; a handler only acts.
 */
static const struct command commands[] = {
    {0, "entry", false, REPLY_OK, entry_members, message_entry},
    {1, "send", true, REPLY_OK, send_members, message_send},
    {2, "mailbox", true, REPLY_MAILBOX, NULL, message_mailbox},
    {3, "open", true, REPLY_OPEN, index_member, message_open},
    {4, "del", true, REPLY_OK, index_member, message_delete},
    {5, "quit", false, REPLY_OK, NULL, message_quit},
    {6, "wait", true, REPLY_OK, wait_members, message_wait},
};

/* What a client reads; where nothing stands here, status_text. */
static const char *const error_texts[STATUS_COUNT] = {
    [STATUS_DENIED] = "Wrong name or password",
    [STATUS_NO_SESSION] = "Log in first",
    [STATUS_GONE] = "Log in first", /* the account that was entered is no more */
    [STATUS_NO_ACCOUNT] = "Invalid destination address",
    [STATUS_NO_MESSAGE] = "Mail with such index does not exist",
    [STATUS_IN_USE] = "Such user is already logged in",
    [STATUS_TIMED_OUT] = "Timed out",
    [STATUS_FULL_MAILBOX] = "Mailbox is full",
    [STATUS_THROTTLED] = "Too many attempts, wait and try again",
};

enum status message_refuse(struct message_session *session, enum status status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(session->reason, sizeof session->reason, format, arguments) < 0) {
        session->reason[0] = '\0';
    }
    va_end(arguments);
    return status;
}

enum status message_end(struct message_session *session, enum status end)
{
    session->over = true;
    session->end = end;
    return end;
}

/* A frame is held whole before it is looked at. Who has not entered has nothing to say that is longer than an
 * entry. */
static size_t frame_limit(const struct message_session *session)
{
    uint64_t texts = (uint64_t)session->connection->settings->message_limit + SUBJECT_MAX + NAME_MAX_BYTES;
    uint64_t limit = texts * FRAME_ESCAPE + FRAME_REST;

    if (session->account.index == 0) {
        return ENTRY_LENGTH_MAX;
    }
    return limit < FRAME_LENGTH_MAX ? (size_t)limit : FRAME_LENGTH_MAX;
}

static uint32_t number_unpack(const char *bytes)
{
    const unsigned char *byte = (const unsigned char *)bytes;

    return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
}

static void number_pack(char *bytes, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (char)(unsigned char)(number >> (24 - 8 * i));
    }
}

/* Leaves room for the header, which is known last. */
static bool reply_begin(struct message_session *session)
{
    static const char header[FRAME_HEADER];

    buffer_clear(&session->reply);
    return buffer_append(&session->reply, header, sizeof header);
}

/* Gathers the reply as one piece, so that a client which reads it by two calls of recv(2) finds it whole. */
static void reply_put(struct message_session *session, int32_t type)
{
    struct buffer *reply = &session->reply;

    number_pack(reply->bytes, (uint32_t)type);
    number_pack(reply->bytes + 4, (uint32_t)(reply->length - FRAME_HEADER));
    stream_put(session->connection->stream, reply->bytes, reply->length);
    if (reply->capacity > REPLY_KEPT) {
        buffer_free(reply);
    }
}

static void reply_error(struct message_session *session, enum status status)
{
    const char *text = session->reason;

    if (*text == '\0') {
        text = error_texts[status] != NULL ? error_texts[status] : status_text(status);
    }
    if (session->command != NULL) { /* else the log says already who is turned away */
        log_debug("%s: message: %s: %s", session->connection->peer, session->command, text);
    }
    if (reply_begin(session) && json_write_string(&session->reply, text, strlen(text))) {
        reply_put(session, REPLY_ERROR);
    } else {
        message_end(session, STATUS_NO_MEMORY);
    }
}

/* Reads the arguments, drops the frame, whose bytes may be many, and acts. */
static enum status command_run(struct message_session *session, const struct command *command, size_t length)
{
    struct stream *stream = session->connection->stream;
    struct message_arguments arguments;
    enum status status = message_arguments_read(session, command->rules, stream_data(stream) + FRAME_HEADER,
                                                length, &arguments);

    stream_consume(stream, FRAME_HEADER + length);
    if (status == STATUS_OK && !reply_begin(session)) {
        status = STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) {
        status = command->handler(session, arguments.values);
    }
    message_arguments_free(&arguments);
    return status;
}

/* An account may be removed while it is entered, or get a new password by the operator: then nobody is. */
static bool is_entered(struct message_session *session)
{
    struct store *store = session->connection->store;

    if (session->account.generation == 0 && session->account.index == 0) {
        return false;
    }
    if (account_is_entered(store, session->account)) {
        return true;
    }
    account_leave(store);
    session->account = ACCOUNT_NONE;
    return false;
}

/* NULL: there is no such command. */
static const struct command *command_find(int32_t type)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (commands[i].type == type) {
            return &commands[i];
        }
    }
    return NULL;
}

/* What is known to be wrong without a look at the body. */
static enum status command_check(struct message_session *session, const struct command *command)
{
    if (command != NULL && command->handler != message_quit && /* which needs nothing of the store */
        store_is_suspect(session->connection->store)) {
        return STATUS_SUSPENDED;
    }
    return (command == NULL || command->needs_entry) && !is_entered(session) ? STATUS_NO_SESSION : STATUS_OK;
}

/* Serves the request that stands whole at the start of the stream. */
static void request_serve(struct message_session *session, int32_t type, size_t length)
{
    struct stream *stream = session->connection->stream;
    const struct command *command = command_find(type);
    enum status status = command_check(session, command);

    session->command = command != NULL ? command->name : "unknown command";
    if (status != STATUS_OK) {
        stream_consume(stream, FRAME_HEADER + length);
    } else if (command == NULL) {
        status = message_refuse(session, STATUS_MALFORMED, "Unknown command type %" PRId32, type);
        stream_consume(stream, FRAME_HEADER + length);
    } else {
        status = command_run(session, command, length);
    }
    if (session->over) {
        return;
    }
    if (status == STATUS_OK && session->reply.length == FRAME_HEADER) {
        buffer_append_text(&session->reply, "\"OK\"");
    }
    if (status == STATUS_OK && session->reply.failed) {
        status = STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) {
        reply_put(session, command->reply);
    } else {
        reply_error(session, status);
    }
}

static enum status stream_await(struct stream *stream, size_t needed)
{
    enum status status = STATUS_OK;

    while (status == STATUS_OK && stream_length(stream) < needed) {
        status = stream_read(stream, needed > READ_AHEAD ? needed : READ_AHEAD);
    }
    return status;
}

/* Passes over a frame whose body has no room, as it comes. */
static enum status frame_discard(struct stream *stream, size_t length)
{
    enum status status = STATUS_OK;

    while (status == STATUS_OK && length > 0) {
        size_t held = stream_length(stream) < length ? stream_length(stream) : length;
        stream_consume(stream, held);
        length -= held;
        if (length > 0) {
            status = stream_read(stream, READ_AHEAD);
        }
    }
    return status;
}

static enum status frame_refuse(struct message_session *session, int32_t type, size_t length, size_t limit)
{
    bool lost = length > FRAME_DISCARD_MAX;
    enum status status = lost ? STATUS_OK : command_check(session, command_find(type));

    if (status == STATUS_OK) {
        status =
            message_refuse(session, STATUS_TOO_LONG, "A body of %zu bytes is over the limit of %zu bytes%s",
                           length, limit, lost ? ", closing" : "");
    }
    reply_error(session, status);
    return lost ? message_end(session, status)
                : frame_discard(session->connection->stream, FRAME_HEADER + length);
}

/* Waits for one frame and serves it. */
static enum status frame_serve(struct message_session *session)
{
    struct stream *stream = session->connection->stream;
    size_t limit = frame_limit(session);

    stream_begin_request(stream);
    enum status status = stream_await(stream, FRAME_HEADER);

    session->command = "frame";
    session->reason[0] = '\0';
    if (status != STATUS_OK) {
        return status;
    }
    int32_t type = (int32_t)number_unpack(stream_data(stream));
    size_t length = number_unpack(stream_data(stream) + 4);
    if (length > limit) {
        return frame_refuse(session, type, length, limit);
    }
    status = stream_await(stream, FRAME_HEADER + length);
    if (status == STATUS_NO_MEMORY) {
        reply_error(session, status);
        return frame_discard(stream, FRAME_HEADER + length);
    }
    if (status == STATUS_OK) {
        request_serve(session, type, length);
    }
    return status;
}

static enum status message_serve(struct connection *connection)
{
    struct message_session session = {.connection = connection};
    enum status status = STATUS_OK;

    while (status == STATUS_OK && !session.over) {
        status = frame_serve(&session);
    }
    if (status == STATUS_HANGUP && !session.over && stream_length(connection->stream) > 0) {
        message_refuse(&session, STATUS_MALFORMED, "The connection ended inside a frame");
        reply_error(&session, STATUS_MALFORMED);
    }
    account_leave(connection->store);
    enum status flushed = stream_flush(connection->stream);
    buffer_free(&session.reply);
    if (session.over) {
        status = session.end;
    }
    return status == STATUS_OK ? flushed : status;
}

static void message_turn_away(struct stream *stream, enum status why)
{
    struct connection connection = {.stream = stream};
    struct message_session session = {.connection = &connection};

    reply_error(&session, why);
    buffer_free(&session.reply);
}

static bool message_recognise(unsigned char first_byte)
{
    return first_byte == 0x00;
}

const struct protocol message_protocol = {"message", message_recognise, message_serve, message_turn_away};
