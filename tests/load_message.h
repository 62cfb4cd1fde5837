/* load_message.h: what a client under load says in the Message protocol, and what it makes of the replies. */
#ifndef SHMAIL_LOAD_MESSAGE_H
#define SHMAIL_LOAD_MESSAGE_H

#include "json.h"
#include "load_client.h"
#include "number.h"

enum { MESSAGE_ENTRY, MESSAGE_SEND, MESSAGE_MAILBOX, MESSAGE_OPEN, MESSAGE_DEL, MESSAGE_WAIT = 6 };

/* One request and its reply; the body is freed. NULL: lost. */
static inline const char *message_ask(struct client *c, int32_t type, struct buffer *body,
                                      int32_t *reply_type, size_t *length)
{
    const char *reply = NULL;

    if (body->failed) {
        fail("no memory");
    }
    if (wire_send_frame(&c->wire, type, body->bytes, body->length)) {
        reply = wire_frame(&c->wire, reply_type, length);
    }
    buffer_free(body);
    return reply;
}

/* A request with a short body. */
__attribute__((format(printf, 5, 6))) static inline const char *
message_say(struct client *c, int32_t type, int32_t *reply_type, size_t *length, const char *format, ...)
{
    char text[1024];
    struct buffer body = {.cap = 0};
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)buffer_append_text(&body, text);
    return message_ask(c, type, &body, reply_type, length);
}

static inline bool reads(int32_t type, const char *reply, size_t length, int32_t wanted, const char *text)
{
    return type == wanted && length == strlen(text) && memcmp(reply, text, length) == 0;
}

static inline void expect_done(const char *what, int32_t type, const char *reply, size_t length)
{
    if (!reads(type, reply, length, 0, "\"OK\"")) {
        fail("%s: %d %.*s", what, (int)type, (int)length, reply);
    }
}

static inline bool message_enter(struct client *c)
{
    char name[NAME_SIZE];
    int32_t type;
    size_t length;
    const char *reply = message_say(c, MESSAGE_ENTRY, &type, &length, "{\"name\": \"%s\"%s}",
                                    account_of(c, c->number, true, name),
                                    is_local(c->number) ? ", \"password\": \"" PASSWORD "\"" : "");

    if (reply == NULL) {
        return false;
    }
    expect_done("entry", type, reply, length);
    return answered(c);
}

static inline bool message_send(struct client *c, struct letter_name letter, struct entry *entry)
{
    struct buffer body = {.cap = 0}, text = {.cap = 0};
    char name[NAME_SIZE];
    int32_t type;
    size_t length;

    (void)buffer_print(&body, "{\"to\": \"%s\", \"header\": \"", account_of(c, letter.recipient, true, name));
    letter_words(&body, letter);
    (void)buffer_append_text(&body, "\", \"text\": ");
    letter_rest(&text, letter, '\n');
    (void)json_write_string(&body, text.bytes, text.length);
    (void)buffer_append_byte(&body, '}');
    buffer_free(&text);
    const char *reply = message_ask(c, MESSAGE_SEND, &body, &type, &length);
    if (reply == NULL) {
        return false;
    }
    expect_done("send", type, reply, length);
    ledger_set(entry, SENT);
    return answered(c);
}

/* The members of a mail, in the order of the wire. */
enum { MAIL_ID, MAIL_SOURCE, MAIL_DESTINATION, MAIL_HEADER, MAIL_TEXT, MAIL_MEMBERS };

struct visit {
    struct client *client;
    const struct held *held; /* the one that was asked for; NULL: the next one in the mailbox */
    size_t position;
};

static inline bool is_name(const struct client *c, const struct buffer *text, unsigned number)
{
    char name[NAME_SIZE];

    (void)account_of(c, number, true, name);
    return text->length == strlen(name) && memcmp(text->bytes, name, text->length) == 0;
}

static inline bool visit_mail(void *context, const struct json_member *mail)
{
    struct visit *visit = context;
    struct client *c = visit->client;
    struct buffer whole = {.cap = 0};

    uint64_t id;
    const struct buffer *digits = &mail[MAIL_ID].text;
    if (mail[MAIL_ID].kind != JSON_NUMBER || mail[MAIL_TEXT].kind != JSON_STRING ||
        !number_parse(digits->bytes, digits->length, UINT64_MAX, &id)) {
        fail("mailbox: a mail without id or text");
    }
    if (mail[MAIL_HEADER].text.length > 0) {
        (void)buffer_append(&whole, mail[MAIL_HEADER].text.bytes, mail[MAIL_HEADER].text.length);
        (void)buffer_append_byte(&whole, '\n');
    }
    (void)buffer_append(&whole, mail[MAIL_TEXT].text.bytes, mail[MAIL_TEXT].text.length);
    struct letter_name letter = letter_read(whole.bytes, whole.length);
    bool unknown = visit->held == NULL && found(c, visit->position, id, letter);
    if (visit->held != NULL) {
        (void)found(c, (size_t)(visit->held - c->held), id, letter);
    }
    if (unknown || visit->held != NULL) {
        expect_content(letter, whole.bytes, whole.length, false);
    }
    if (!is_name(c, &mail[MAIL_SOURCE].text, letter.sender) ||
        !is_name(c, &mail[MAIL_DESTINATION].text, letter.recipient)) {
        fail("mail %" PRIu64 " has another source or destination", id);
    }
    visit->position++;
    buffer_free(&whole);
    return true;
}

static inline void read_mails(struct visit *visit, const char *json, size_t length)
{
    struct json_member members[MAIL_MEMBERS] = {
        {.key = "id"}, {.key = "source"}, {.key = "destination"}, {.key = "header"}, {.key = "text"}};
    const char *why = "";
    size_t at = 0;

    if (!json_read_array(json, length, members, MAIL_MEMBERS, visit_mail, visit, &why, &at)) {
        fail("the reply is no list of mails: %s at byte %zu", why, at);
    }
    for (size_t i = 0; i < MAIL_MEMBERS; i++) {
        buffer_free(&members[i].text);
    }
}

static inline bool message_look(struct client *c)
{
    struct visit visit = {.client = c};
    int32_t type;
    size_t length;
    const char *reply = message_say(c, MESSAGE_MAILBOX, &type, &length, "null");

    if (reply == NULL) {
        return false;
    }
    if (type != MESSAGE_MAILBOX) {
        fail("mailbox: %d %.*s", (int)type, (int)length, reply);
    }
    read_mails(&visit, reply, length);
    expect_count(c, visit.position);
    return answered(c);
}

static inline bool message_read(struct client *c, const struct held *held)
{
    struct visit visit = {.client = c, .held = held};
    struct buffer list = {.cap = 0};
    int32_t type;
    size_t length;

    if (held == NULL) {
        return message_look(c);
    }
    const char *reply =
        message_say(c, MESSAGE_OPEN, &type, &length, "{\"index\": \"%" PRIu64 "\"}", held->id);
    if (reply == NULL) {
        return false;
    }
    if (type != MESSAGE_OPEN) {
        fail("open %" PRIu64 ": %d %.*s", held->id, (int)type, (int)length, reply);
    }
    (void)buffer_append_byte(&list, '[');
    (void)buffer_append(&list, reply, length);
    (void)buffer_append_byte(&list, ']');
    read_mails(&visit, list.bytes, list.length);
    buffer_free(&list);
    return answered(c);
}

/* As smsp_remove. */
static inline void message_remove(struct client *c, const struct held *held)
{
    bool in_doubt = false;
    const char *reply;
    int32_t type;
    size_t length;

    while ((reply = message_say(c, MESSAGE_DEL, &type, &length, "{\"index\": %" PRIu64 "}", held->id)) ==
           NULL) {
        in_doubt = true;
        client_revive(c);
    }
    if (!in_doubt || !reads(type, reply, length, -2, "\"Mail with such index does not exist\"")) {
        expect_done("del", type, reply, length);
    }
    ledger_count(c->ledger);
}

static inline bool await_count(struct client *c, size_t count)
{
    int32_t type;
    size_t length;
    const char *reply =
        message_say(c, MESSAGE_WAIT, &type, &length, "{\"count\": %zu, \"timeout\": 1}", count);

    if (reply == NULL) {
        return false;
    }
    if (count <= c->held_count || !reads(type, reply, length, -2, "\"Timed out\"")) {
        expect_done("wait", type, reply, length);
    }
    return answered(c);
}

static inline bool message_count(struct client *c)
{
    return await_count(c, c->held_count);
}

static inline bool message_wait(struct client *c)
{
    return await_count(c, c->held_count + 1);
}

static const struct speech message_speech = {message_enter,  message_send,  message_look, message_read,
                                             message_remove, message_count, message_wait};

#endif
