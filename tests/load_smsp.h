/* load_smsp.h: what a client under load says in SMSP, in either framing and in the checksum dialect, and what
 * it makes of the replies. */
#ifndef SHMAIL_LOAD_SMSP_H
#define SHMAIL_LOAD_SMSP_H

#include "load_client.h"
#include "load_dialect.h"

/* Sends a request, whose content, if any, stands between before and behind, and returns the reply's first
 * piece. NULL: lost. */
static inline char *smsp_ask(struct client *c, size_t *length, const char *before,
                             const struct buffer *content)
{
    struct buffer request = {.cap = 0};
    char terminator = terminator_of(c->number), *reply = NULL;

    (void)buffer_append_text(&request, before);
    if (content != NULL) {
        (void)buffer_append(&request, content->bytes, content->length);
        (void)buffer_print(&request, " %s", c->cookie);
    }
    bool dialect = terminator == '\0' && draw(c, 2) == 0 && dialect_has(before);
    if (dialect) {
        dialect_wrap(&request);
    }
    if (!buffer_append_byte(&request, terminator)) {
        fail("no memory");
    }
    if (wire_send(&c->wire, request.bytes, request.length)) {
        reply = wire_line(&c->wire, terminator, length);
    }
    buffer_free(&request);
    return reply != NULL && dialect ? dialect_unwrap(reply, length) : reply;
}

/* A request without content: a verb and what stands behind it; %s may be the user's name. */
__attribute__((format(printf, 2, 3))) static inline char *smsp_say(struct client *c, const char *format, ...)
{
    char request[1024];
    size_t length;
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(request, sizeof request, format, arguments);
    va_end(arguments);
    return smsp_ask(c, &length, request, NULL);
}

static inline bool is_number_after(const char *reply, const char *word, uint64_t *number)
{
    size_t length = strlen(word);
    char *end = NULL;

    if (strncmp(reply, word, length) != 0 || reply[length] < '0' || reply[length] > '9') {
        return false;
    }
    *number = strtoull(reply + length, &end, 10);
    return *end == '\0';
}

static inline uint64_t number_after(const char *reply, const char *word)
{
    uint64_t number = 0;

    if (!is_number_after(reply, word, &number)) {
        fail("expected %s and a number: %s", word, reply);
    }
    return number;
}

/* A cookie outlives its connection, but not the memory of the post office. The first terminator fixes the
 * framing of a connection, so it must not be an LF within a content. */
static inline bool smsp_enter(struct client *c)
{
    char name[NAME_SIZE];
    const char *reply = NULL;
    unsigned era = __atomic_load_n(&c->ledger->era, __ATOMIC_ACQUIRE);

    if (c->cookie[0] != '\0' && c->era == era) {
        reply = smsp_say(c, "NOOP");
        return reply != NULL && answered(c);
    }
    (void)account_of(c, c->number, false, name);
    for (int i = 0; i < 2; i++) { /* REGISTER may have been done by the connection that was lost */
        reply = smsp_say(c, "%s %s %s", i == 0 ? "REGISTER" : "LOGIN", name, PASSWORD);
        if (reply == NULL) {
            return false;
        }
        const char *cookie = reply + (strncmp(reply, "OK ", 3) == 0        ? 3
                                      : strncmp(reply, "Cookie: ", 8) == 0 ? 8
                                                                           : 0);
        if (cookie != reply && strlen(cookie) == COOKIE_TEXT) {
            memcpy(c->cookie, cookie, COOKIE_TEXT + 1);
            c->era = era;
            return answered(c);
        }
    }
    fail("%s is not let in: %s", name, reply);
}

/* Takes a letter off the queue again and again until there is an answer. The queue was empty before it. */
static inline void store_queued(struct client *c, const char *recipient, bool queued, struct entry *entry)
{
    bool in_doubt = false;
    const char *reply;

    while ((reply = smsp_say(c, "STORE %s %s", recipient, c->cookie)) == NULL) {
        in_doubt = true;
        client_revive(c);
    }
    ledger_count(c->ledger);
    bool stored = strcmp(reply, "OK") == 0;
    if (!stored && (strcmp(reply, "KO") != 0 || (queued && !in_doubt))) {
        fail("STORE of what was queued: %s", reply);
    }
    if (stored || queued) { /* it has left the queue, perhaps by a STORE that had no answer */
        ledger_set(entry, SENT);
    } else if (!in_doubt) { /* it is not on the queue, nor was it */
        ledger_set(entry, NEVER_SENT);
    }
}

static inline bool smsp_send(struct client *c, struct letter_name letter, struct entry *entry)
{
    struct buffer content = letter_whole(letter, false);
    char name[NAME_SIZE], before[NAME_SIZE + 8];
    bool at_once = draw(c, 2) == 0;
    size_t length;

    (void)account_of(c, letter.recipient, draw(c, 2) == 0, name);
    (void)snprintf(before, sizeof before, at_once ? "SEND %s " : "MESSAGE ", name);
    const char *reply = smsp_ask(c, &length, before, &content);
    buffer_free(&content);
    if (at_once && reply != NULL) {
        entry->told = number_after(reply, "OK ");
        ledger_set(entry, SENT);
        return answered(c);
    }
    if (at_once) {
        return false;
    }
    if (reply != NULL && strcmp(reply, "OK") != 0) {
        fail("MESSAGE: %s", reply);
    }
    if (reply == NULL) {
        client_revive(c);
    }
    store_queued(c, name, reply != NULL && answered(c), entry);
    return true;
}

static inline void list_line(struct client *c, size_t position, const char *line)
{
    char name[NAME_SIZE];
    const char *from = line;
    uint64_t id, bytes, received;

    if (!take_number(&from, &id) || !take_number(&from, &bytes) || !take_number(&from, &received)) {
        fail("LIST: %s", line);
    }
    size_t length = strcspn(from, " ");
    const char *words = from + length + (from[length] == ' ');
    struct letter_name letter = letter_read(words, strlen(words));
    if (!found(c, position, id, letter)) {
        return;
    }
    struct buffer whole = letter_whole(letter, false);
    (void)account_of(c, letter.sender, false, name);
    if (strncmp(from, name, length) != 0 || name[length] != '\0' || bytes != whole.length) {
        fail("LIST: %s: expected %zu bytes from %s", line, whole.length, name);
    }
    buffer_free(&whole);
}

static inline bool smsp_look(struct client *c)
{
    char name[NAME_SIZE];
    size_t length;
    char *line = smsp_say(c, "LIST %s %s", account_of(c, c->number, false, name), c->cookie);

    if (line == NULL) {
        return false;
    }
    uint64_t count = number_after(line, "OK ");
    expect_count(c, count);
    for (uint64_t i = 0; i < count; i++) {
        line = wire_line(&c->wire, terminator_of(c->number), &length);
        if (line == NULL) {
            return false;
        }
        list_line(c, i, line);
    }
    return answered(c);
}

/* The first letter, which need not have been found yet where none is held. */
static inline bool smsp_read_first(struct client *c)
{
    char name[NAME_SIZE], before[NAME_SIZE + 64];
    size_t length;

    (void)snprintf(before, sizeof before, "GETMSG %s %s", account_of(c, c->number, false, name), c->cookie);
    const char *reply = smsp_ask(c, &length, before, NULL);
    if (reply == NULL) {
        return false;
    }
    if (c->held_count > 0 || strcmp(reply, "KO") != 0) {
        struct letter_name letter = letter_read(reply, length);
        expect_content(letter, reply, length, terminator_of(c->number) == '\n');
        if (c->held_count == 0) {
            (void)expect_new(c, letter);
        } else {
            (void)found(c, 0, c->held[0].id, letter);
        }
    }
    return answered(c);
}

static inline bool smsp_read(struct client *c, const struct held *held)
{
    char name[NAME_SIZE], terminator = terminator_of(c->number);

    if (held == NULL || draw(c, 2) == 0) {
        return smsp_read_first(c);
    }
    const char *reply =
        smsp_say(c, "FETCH %s %" PRIu64 " %s", account_of(c, c->number, false, name), held->id, c->cookie);
    if (reply == NULL) {
        return false;
    }
    size_t length = number_after(reply, "OK ");
    reply = wire_bytes(&c->wire, length + 1);
    if (reply == NULL) {
        return false;
    }
    if (reply[length] != terminator) {
        fail("FETCH: no terminator behind %zu bytes", length);
    }
    expect_content(held->name, reply, length, false);
    return answered(c);
}

/* A removal without an answer has been done or has not, so the second one may find nothing. */
static inline void smsp_remove(struct client *c, const struct held *held)
{
    char name[NAME_SIZE];
    bool first = held == &c->held[0] && draw(c, 2) == 0, in_doubt = false;
    const char *reply;

    (void)account_of(c, c->number, false, name);
    reply = first ? smsp_say(c, "DELMSG %s %s", name, c->cookie) : NULL;
    for (int i = first ? 1 : 0; reply == NULL; i++) {
        if (i > 0) {
            in_doubt = true;
            client_revive(c);
        }
        reply = smsp_say(c, "REMOVE %s %" PRIu64 " %s", name, held->id, c->cookie);
    }
    if (strcmp(reply, "OK") != 0 && !(in_doubt && strcmp(reply, "KO") == 0)) {
        fail("letter %" PRIu64 " cannot be removed: %s", held->id, reply);
    }
    ledger_count(c->ledger);
}

static inline bool smsp_count(struct client *c)
{
    char name[NAME_SIZE];
    const char *reply = smsp_say(c, "COUNT %s %s", account_of(c, c->number, false, name), c->cookie);

    if (reply == NULL) {
        return false;
    }
    expect_count(c, number_after(reply, "COUNTED "));
    return answered(c);
}

static inline bool smsp_wait(struct client *c)
{
    char name[NAME_SIZE];
    uint64_t count = 0;
    const char *reply =
        smsp_say(c, "WAIT %s %zu 1 %s", account_of(c, c->number, false, name), c->held_count + 1, c->cookie);

    if (reply == NULL) {
        return false;
    }
    if (strcmp(reply, "KO") != 0 && (!is_number_after(reply, "COUNTED ", &count) || count <= c->held_count)) {
        fail("WAIT for more than %zu: %s", c->held_count, reply);
    }
    return answered(c);
}

static const struct speech smsp_speech = {smsp_enter,  smsp_send,  smsp_look, smsp_read,
                                          smsp_remove, smsp_count, smsp_wait};

#endif
