/* smsp_exchange.c: the wire of SMSP as the client speaks it, always in NUL framing, so that a line break is
 * content. In come request templates and words, out go replies, reasons and the session's cookie. It knows no
 * verb but those three. */
#include "smsp_exchange.h"

#include "number.h"
#include "status.h"

#include <string.h>

const char *exchange_reply_after(const struct client *client, const char *word)
{
    size_t length = strlen(word);

    return strncmp(client->reply, word, length) == 0 ? client->reply + length : NULL;
}

bool exchange_reply_is(const struct client *client, const char *text)
{
    return strcmp(client->reply, text) == 0;
}

bool exchange_number_after(const struct client *client, const char *word, uint64_t *number)
{
    const char *digits = exchange_reply_after(client, word);

    return digits != NULL && number_parse(digits, strlen(digits), UINT64_MAX, number);
}

int exchange_start_session(struct client *client, const char *user)
{
    const char *cookie = exchange_reply_after(client, "OK ");

    if (cookie == NULL) {
        return exchange_not_done(client);
    }
    bool kept = client_keep(client, &client->cookie, cookie) && client_keep(client, &client->user, user);
    return kept ? EX_OK : EXIT_REFUSED;
}

int exchange_end_session(struct client *client)
{
    client->given_user = NULL;
    client->given_password = NULL;
    client->given_cookie = NULL;
    bool gone = client_keep(client, &client->cookie, NULL) && client_keep(client, &client->user, NULL);
    return gone ? EX_OK : EXIT_REFUSED;
}

static const char *given_user(struct client *client)
{
    return client_as_word(client, "user in SHMAIL_USER", client->given_user);
}

int exchange_may_ask(struct client *client)
{
    bool has_secret = client->given_password != NULL || client->terminal.input_is_terminal;

    if (client->cookie != NULL) {
        return EX_OK;
    }
    if (client->given_cookie != NULL) {
        bool fits = client_as_word(client, "cookie in SHMAIL_COOKIE", client->given_cookie) != NULL;
        return fits ? EX_OK : EX_USAGE;
    }
    if (client->given_user != NULL && has_secret) {
        return given_user(client) != NULL ? EX_OK : EX_USAGE;
    }
    if (client->interactive) {
        return client_refused(client, "KO: log in first (login or register)");
    }
    terminal_complain(&client->terminal, "no session: set SHMAIL_USER, and SHMAIL_PASSWORD or SHMAIL_COOKIE");
    return EX_USAGE;
}

/* This connection's cookie, the environment's, or a new one by logging in. */
static int need_cookie(struct client *client)
{
    if (client->cookie != NULL) {
        return EX_OK;
    }
    int may = exchange_may_ask(client);
    if (may != EX_OK) {
        return may;
    }
    if (client->given_cookie != NULL) {
        return client_keep(client, &client->cookie, client->given_cookie) ? EX_OK : EXIT_REFUSED;
    }

    const char *password = client_ask_secret(client, NULL, client->given_password);
    if (password == NULL) {
        return EX_USAGE;
    }
    int code = exchange_ask(client, "LOGIN <1> <2>", (const char *[]){client->given_user, password});
    return code == EX_OK ? exchange_start_session(client, client->given_user) : code;
}

/* The account's own name comes from where the cookie came from. */
static int need_user(struct client *client)
{
    if (client->user != NULL) {
        return EX_OK;
    }
    if (client->given_user == NULL) {
        terminal_complain(&client->terminal, "SHMAIL_COOKIE needs SHMAIL_USER beside it");
        return EX_USAGE;
    }
    const char *user = given_user(client);
    if (user == NULL) {
        return EX_USAGE;
    }
    return client_keep(client, &client->user, user) ? EX_OK : EXIT_REFUSED;
}

static const char *value_of(const struct client *client, const char *place, const char *const *words)
{
    switch (place[1]) {
    case 'u':
        return client->user;
    case 'c':
        return client->cookie;
    default:
        return words[place[1] - '1'];
    }
}

static bool build(struct client *client, const char *template, const char *const *words)
{
    struct buffer *request = &client->request;

    buffer_clear(request);
    for (const char *place; (place = strchr(template, '<')) != NULL; template = strchr(place, '>') + 1) {
        buffer_append(request, template, (size_t)(place - template));
        buffer_append_text(request, value_of(client, place, words));
    }
    buffer_append_text(request, template);
    buffer_append_byte(request, '\0');
    if (request->failed) {
        terminal_complain(&client->terminal, "out of memory");
    }
    return !request->failed;
}

/* The first terminator of a connection says what ends its requests: a line break in the content of the first
 * one would, and what follows it would be requests. True: one that has none goes before it, whose reply comes
 * first. */
static bool settle_framing(struct client *client)
{
    static const char harmless[] = "NOOP"; /* with its NUL */
    bool needed = !client->framed && memchr(client->request.bytes, '\n', client->request.length) != NULL;

    client->framed = true;
    return needed && net_send(&client->net, harmless, sizeof harmless);
}

static bool receive(struct client *client)
{
    client->reply = net_frame(&client->net, &client->reply_length);
    if (client->reply != NULL) {
        bool more = client->heard == HEARD_MORE || !exchange_reply_is(client, "KO");
        client->heard = more ? HEARD_MORE : HEARD_ONLY_KO;
    }
    return client->reply != NULL;
}

/* A server that turns a client away has one KO for it, and closes. */
static int lost(struct client *client)
{
    if (client->heard != HEARD_ONLY_KO || client->net.timed_out) {
        return client_lost(client);
    }
    terminal_complain(&client->terminal,
                      "the server turned this connection away: it said KO and closed it; try again later");
    return EX_UNAVAILABLE;
}

int exchange_ask(struct client *client, const char *template, const char *const *words)
{
    int code = strstr(template, "<cookie>") != NULL ? need_cookie(client) : EX_OK;

    if (code == EX_OK && strstr(template, "<user>") != NULL) {
        code = need_user(client);
    }
    if (code != EX_OK) {
        return code;
    }
    if (!build(client, template, words)) {
        return EXIT_REFUSED;
    }
    bool framed = settle_framing(client);
    if (!net_send(&client->net, client->request.bytes, client->request.length)) {
        return client_lost(client);
    }
    bool received = receive(client);
    if (framed && received && exchange_reply_is(client, "OK")) {
        received = receive(client);
    }
    return received ? EX_OK : lost(client);
}

static bool is_given_cookie(const struct client *client)
{
    return client->cookie != NULL && client->given_cookie != NULL &&
           strcmp(client->cookie, client->given_cookie) == 0;
}

int exchange_refused(struct client *client)
{
    struct buffer text = {.cap = 0};
    int code = exchange_ask(client, "WHY", NULL);
    if (code != EX_OK) {
        return code;
    }

    const char *reason = exchange_reply_after(client, "OK ");
    buffer_print(&text, "KO: %s", reason != NULL ? reason : "no reason given");
    if (reason != NULL && strcmp(reason, status_text(STATUS_NO_SESSION)) == 0 && is_given_cookie(client)) {
        buffer_append_text(&text, " (SHMAIL_COOKIE)");
    }
    buffer_append_byte(&text, '\0');
    code = client_refused(client, text.failed ? "KO" : text.bytes);
    buffer_free(&text);
    return code;
}

int exchange_not_done(struct client *client)
{
    if (exchange_reply_is(client, "KO") || exchange_reply_is(client, "You should log in first.")) {
        return exchange_refused(client);
    }
    terminal_complain(&client->terminal, "unexpected reply: %s", client->reply);
    return EXIT_REFUSED;
}
