/* message_commands.c: the commands of Message. In come words, out go frames with JSON, and mails go to the
 * terminal as the seed's client prints them. It knows the frames of shmail-message(7) and nothing of SMSP. */
#include "commands.h"

#include "json.h"
#include "utf8.h"

#include <inttypes.h>
#include <string.h>

enum type { TYPE_ENTRY, TYPE_SEND, TYPE_MAILBOX, TYPE_OPEN, TYPE_DEL, TYPE_QUIT, TYPE_WAIT, TYPE_ERROR = -2 };

enum {
    HEADER_SIZE = 8,   /* type and length, four bytes each, big-endian */
    LEAVE_PATIENCE = 5 /* seconds for the server to close after quit */
};

static void put_number(char *bytes, uint32_t number)
{
    for (int i = 3; i >= 0; i--) {
        bytes[i] = (char)(unsigned char)(number & 0xffu);
        number >>= 8;
    }
}

static uint32_t get_number(const char *bytes)
{
    uint32_t number = 0;

    for (int i = 0; i < 4; i++) {
        number = number << 8 | (unsigned char)bytes[i];
    }
    return number;
}

static void begin(struct client *client)
{
    char header[HEADER_SIZE] = {0};

    buffer_clear(&client->request);
    buffer_append(&client->request, header, sizeof header);
}

/* One member and what stands before it: a brace or a comma. JSON carries UTF-8 only, and a replacement
 * character would alter the mail unasked. */
static bool add_text(struct client *client, char before, const char *key, const char *value)
{
    if (!utf8_valid(value, strlen(value))) {
        terminal_complain(&client->terminal, "%s is not UTF-8, which Message wants", key);
        return false;
    }
    buffer_print(&client->request, "%c\"%s\":", before, key);
    json_write_string(&client->request, value, strlen(value));
    return true;
}

/* Sends what was built. */
static int dispatch(struct client *client, enum type type)
{
    struct buffer *request = &client->request;

    if (request->failed || request->length - HEADER_SIZE > INT32_MAX) {
        terminal_complain(&client->terminal, "the request is too long");
        return EXIT_REFUSED;
    }
    put_number(request->bytes, (uint32_t)type);
    put_number(request->bytes + 4, (uint32_t)(request->length - HEADER_SIZE));
    return net_send(&client->net, request->bytes, request->length) ? EX_OK : client_lost(client);
}

static int receive(struct client *client, int32_t *type)
{
    const char *header = net_bytes(&client->net, HEADER_SIZE);
    if (header == NULL) {
        return client_lost(client);
    }
    *type = (int32_t)get_number(header);
    client->reply_length = get_number(header + 4);
    client->reply = net_bytes(&client->net, client->reply_length);
    return client->reply != NULL ? EX_OK : client_lost(client);
}

static int malformed(struct client *client, const char *why)
{
    terminal_complain(&client->terminal, "unexpected reply: %s", why);
    return EXIT_REFUSED;
}

/* An error's text as it comes. A wait whose time is over has an exit code of its own. */
static int refused(struct client *client)
{
    struct buffer text = {.cap = 0};
    enum json_kind kind;
    const char *why;
    size_t at;
    int code;

    if (!json_read(client->reply, client->reply_length, NULL, 0, &kind, &text, &why, &at)) {
        code = malformed(client, why);
    } else if (kind != JSON_STRING || !buffer_append_byte(&text, '\0')) {
        code = malformed(client, "an error without a text");
    } else {
        code = client_refused(client, text.bytes);
        code = strcmp(text.bytes, "Timed out") == 0 ? EX_TEMPFAIL : code;
    }
    buffer_free(&text);
    return code;
}

/* Sends what was built and takes a reply of the type that is success. */
static int exchange(struct client *client, enum type type, int32_t expected)
{
    int32_t answered = 0;
    int code = dispatch(client, type);

    if (code == EX_OK) {
        code = receive(client, &answered);
    }
    if (code != EX_OK || answered == expected) {
        return code;
    }
    return answered == TYPE_ERROR ? refused(client) : malformed(client, "of another type");
}

static int exchange_for_ok(struct client *client, enum type type)
{
    int code = exchange(client, type, TYPE_ENTRY);

    if (code == EX_OK && client->interactive) {
        terminal_write_text(&client->terminal, "Success.\n");
    }
    return code;
}

static int enter(struct client *client, const char *name, const char *password)
{
    begin(client);
    if (!add_text(client, '{', "name", name) ||
        (password != NULL && !add_text(client, ',', "password", password))) {
        return EXIT_REFUSED;
    }
    buffer_append_byte(&client->request, '}');
    int code = exchange(client, TYPE_ENTRY, TYPE_ENTRY);
    client->entered = client->entered || code == EX_OK;
    return code;
}

/* In a session without a name the server says what is missing, as in the seed. */
static int may_ask(struct client *client)
{
    if (client->given_user == NULL && !client->entered && !client->interactive) {
        terminal_complain(&client->terminal, "no user: set SHMAIL_USER");
        return EX_USAGE;
    }
    return EX_OK;
}

/* Enters under the name that the environment gives, once. */
static int need_entry(struct client *client)
{
    int may = may_ask(client);
    if (may != EX_OK) {
        return may;
    }
    if (client->entered || client->given_user == NULL) {
        return EX_OK;
    }
    int code = enter(client, client->given_user, client->given_password);
    if (code == EXIT_REFUSED) {
        terminal_complain(&client->terminal, "SHMAIL_USER is not entered: %s", client->given_user);
    }
    return code;
}

static int run_entry(struct client *client, const struct command *command, char *const *words, int count)
{
    (void)command;
    const char *name = client_ask_user(client, count > 0 ? words[0] : NULL);
    bool from_environment = count == 0 && client->given_password != NULL;
    const char *password = NULL;

    if (name == NULL) {
        return EX_USAGE;
    }
    if (count > 1 || from_environment) { /* most names have none, so none is asked for */
        password = client_ask_secret(client, count > 1 ? words[1] : NULL, client->given_password);
        if (password == NULL) {
            return EX_USAGE;
        }
    }
    int code = enter(client, name, password);
    if (code == EX_OK && client->interactive) {
        terminal_write_text(&client->terminal, "Success.\n");
    }
    return code;
}

static bool ask_line(struct client *client, const char *prompt, struct buffer *line)
{
    enum line result;

    do { /* again: what is typed next is meant for this question, and no command */
        result = terminal_read_line(&client->terminal, prompt, -1, line);
    } while (result == LINE_CUT);
    if (result == LINE_FAILED) {
        return false; /* said */
    }
    bool read = result == LINE_READ;
    if (!read || !buffer_append_byte(line, '\0') || strlen(line->bytes) + 1 != line->length) {
        terminal_complain(&client->terminal,
                          read ? "a NUL byte cannot be sent" : "no header or no text was given");
        return false;
    }
    return true;
}

static int send_mail(struct client *client, const char *to, const char *header, const char *text)
{
    begin(client);
    if (!add_text(client, '{', "to", to) || !add_text(client, ',', "header", header) ||
        !add_text(client, ',', "text", text)) {
        return EXIT_REFUSED;
    }
    buffer_append_byte(&client->request, '}');
    return exchange_for_ok(client, TYPE_SEND);
}

/* Asks for what the line does not give, as the seed's client does. In a script the lines that follow are that
 * also where it cannot be sent: they must not become commands. */
static int run_send(struct client *client, const struct command *command, char *const *words, int count)
{
    (void)command;
    struct buffer header = {.cap = 0};
    struct buffer text = {.cap = 0};
    int code = need_entry(client);
    bool asks = code == EX_OK || !client->terminal.input_is_terminal;

    if (asks && ((count < 2 && !ask_line(client, "Header: ", &header)) ||
                 (count < 3 && !ask_line(client, "Text: ", &text)))) {
        code = code == EX_OK ? EX_USAGE : code;
    }
    if (code == EX_OK) {
        code = send_mail(client, words[0], count < 2 ? header.bytes : words[1],
                         count < 3 ? text.bytes : words[2]);
    }
    buffer_free(&header);
    buffer_free(&text);
    return code;
}

enum { MAIL_KEYS = 5 };

#define MAIL_MEMBERS                                                                 \
    {                                                                                \
        {.key = "id"}, {.key = "source"}, {.key = "destination"}, {.key = "header"}, \
        {                                                                            \
            .key = "text"                                                            \
        }                                                                            \
    }

static bool print_mail(void *context, const struct json_member *members)
{
    struct terminal *terminal = context;

    for (int i = 0; i < MAIL_KEYS; i++) {
        terminal_write_text(terminal, members[i].key);
        terminal_write_text(terminal, " : ");
        terminal_write(terminal, members[i].text.bytes, members[i].text.length);
        terminal_write_text(terminal, "\n");
    }
    terminal_write_text(terminal, "\n");
    return !terminal->output_failed;
}

static void free_members(struct json_member *members)
{
    for (int i = 0; i < MAIL_KEYS; i++) {
        buffer_free(&members[i].text);
    }
}

static int run_mailbox(struct client *client, const struct command *command, char *const *words, int count)
{
    (void)command;
    (void)words;
    (void)count;
    struct json_member members[MAIL_KEYS] = MAIL_MEMBERS;
    const char *why;
    size_t at;
    int code = need_entry(client);

    if (code == EX_OK) {
        begin(client);
        buffer_append_text(&client->request, "null");
        code = exchange(client, TYPE_MAILBOX, TYPE_MAILBOX);
    }
    if (code != EX_OK) {
        return code;
    }
    terminal_write_text(&client->terminal, "Mailbox\n");
    bool read = json_read_array(client->reply, client->reply_length, members, MAIL_KEYS, print_mail,
                                &client->terminal, &why, &at);
    free_members(members);
    return read ? EX_OK : malformed(client, why);
}

static bool begin_with_index(struct client *client, const char *id)
{
    begin(client);
    bool added = add_text(client, '{', "index", id);
    buffer_append_byte(&client->request, '}');
    return added;
}

static int run_open(struct client *client, const struct command *command, char *const *words, int count)
{
    (void)command;
    (void)count;
    struct json_member members[MAIL_KEYS] = MAIL_MEMBERS;
    enum json_kind kind;
    const char *why;
    size_t at;
    int code = need_entry(client);

    if (code == EX_OK) {
        code = begin_with_index(client, words[0]) ? exchange(client, TYPE_OPEN, TYPE_OPEN) : EXIT_REFUSED;
    }
    if (code != EX_OK) {
        return code;
    }
    if (!json_read(client->reply, client->reply_length, members, MAIL_KEYS, &kind, NULL, &why, &at)) {
        code = malformed(client, why);
    } else if (kind != JSON_OBJECT) {
        code = malformed(client, "not a mail");
    } else {
        print_mail(&client->terminal, members);
    }
    free_members(members);
    return code;
}

static int run_del(struct client *client, const struct command *command, char *const *words, int count)
{
    (void)command;
    (void)count;
    int code = need_entry(client);

    if (code != EX_OK) {
        return code;
    }
    return begin_with_index(client, words[0]) ? exchange_for_ok(client, TYPE_DEL) : EXIT_REFUSED;
}

static int run_wait(struct client *client, const struct command *command, char *const *words, int count)
{
    (void)command;
    (void)count;
    uint64_t number;
    int seconds;

    if (!command_read_wait(client, words, &number, &seconds)) {
        return EX_USAGE;
    }
    int code = need_entry(client);
    if (code != EX_OK) {
        return code;
    }
    begin(client);
    buffer_print(&client->request, "{\"count\":%" PRIu64 ",\"timeout\":%d}", number, seconds);
    client->net.patience += seconds;
    code = exchange_for_ok(client, TYPE_WAIT);
    client->net.patience -= seconds;
    return code;
}

static int run_quit(struct client *client, const struct command *command, char *const *words, int count)
{
    (void)command;
    (void)words;
    (void)count;
    client->ended = true; /* and message_leave says so to the server */
    return EX_OK;
}

/* A name is entered on one connection at a time. Whoever runs two commands in a row must find it free again,
 * so the end waits until the server let it go. */
static void message_leave(struct client *client)
{
    begin(client);
    buffer_append_text(&client->request, "null");
    client->net.patience = LEAVE_PATIENCE;
    if (dispatch(client, TYPE_QUIT) == EX_OK) {
        net_wait_for_end(&client->net);
    }
    buffer_free(&client->request);
}

/* clang-format off */
static const struct command commands[] = {
    {"entry", "[NAME [PASSWORD]]", "enter a mailbox, which is made if need be", 0, 2, false,
     run_entry, NULL, NULL},
    {"send", "ADDRESS [HEADER [TEXT]]", "send a mail; asks for what is not given", 1, 3, true,
     run_send, NULL, NULL},
    {"mailbox", "", "print all mails", 0, 0, false,
     run_mailbox, NULL, NULL},
    {"open", "ID", "print one mail", 1, 1, false,
     run_open, NULL, NULL},
    {"del", "ID", "remove a mail", 1, 1, false,
     run_del, NULL, NULL},
    {"wait", "COUNT SECONDS", "wait until the mailbox holds COUNT mails", 2, 2, false,
     run_wait, NULL, NULL},
    {"help", "", "print this list", 0, 0, false,
     command_help, NULL, NULL},
    {"quit", "", "end the connection", 0, 0, false,
     run_quit, NULL, NULL},
};
/* clang-format on */

const struct dialect message_dialect = {
    .name = "message",
    .commands = commands,
    .count = sizeof commands / sizeof commands[0],
    .leave = message_leave,
    .may_ask = may_ask,
    .wait_most = UINT32_MAX, /* as shmail-message(7) has it */
};
