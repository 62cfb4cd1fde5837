/* smsp_commands.c: the commands of SMSP. In come words, out go requests by template, and what the replies say
 * goes to the terminal. It knows the verbs of smsp(7), and leaves framing and session to smsp_exchange.c. */
#include "clock.h"
#include "number.h"
#include "smsp_exchange.h"

#include <string.h>
#include <strings.h>

/* Most commands: the row's request, and what it shows of the reply. */
static int run_request(struct client *client, const struct command *command, char *const *words, int count)
{
    (void)count;
    int code = exchange_ask(client, command->request, (const char *const *)words);
    return code == EX_OK ? command->show(client) : code;
}

static int print_line(struct client *client, const char *text)
{
    terminal_write_text(&client->terminal, text);
    terminal_write_text(&client->terminal, "\n");
    return EX_OK;
}

static int show_ok(struct client *client)
{
    return exchange_reply_is(client, "OK") ? client_done(client, NULL) : exchange_not_done(client);
}

static int show_id(struct client *client)
{
    const char *id = exchange_reply_after(client, "OK ");

    return id != NULL ? client_done(client, id) : exchange_not_done(client);
}

static int show_reason(struct client *client)
{
    const char *reason = exchange_reply_after(client, "OK ");

    return reason != NULL ? print_line(client, reason) : exchange_not_done(client);
}

static int show_counted(struct client *client)
{
    const char *number = exchange_reply_after(client, "COUNTED ");

    return number != NULL ? print_line(client, number) : exchange_not_done(client);
}

static int out_of_step(struct client *client)
{
    net_lose(&client->net);
    terminal_complain(&client->terminal, "the server's reply is malformed; the connection is given up");
    return EX_UNAVAILABLE;
}

/* "<id> <bytes> <time> <from> <subject>", the first four without a space: one line of five columns. */
static void print_entry(struct terminal *terminal, const char *entry)
{
    for (int column = 1; *entry != '\0'; column++) {
        size_t length = strcspn(entry, column < 5 ? " \t\n" : "\t\n");
        terminal_write(terminal, entry, length);
        entry += length;
        if (*entry != '\0') {
            terminal_write_text(terminal, column < 5 ? "\t" : " ");
            entry++;
        }
    }
    terminal_write_text(terminal, "\n");
}

static int show_list(struct client *client)
{
    uint64_t number;

    if (!exchange_number_after(client, "OK ", &number)) {
        return exchange_not_done(client);
    }
    for (; number > 0 && !client->terminal.output_failed; number--) {
        size_t length;
        const char *entry = net_frame(&client->net, &length);
        if (entry == NULL) {
            return client_lost(client);
        }
        print_entry(&client->terminal, entry);
    }
    return EX_OK;
}

/* What stands behind "OK <bytes>" becomes the reply. */
static int take_bytes(struct client *client)
{
    uint64_t length;

    if (!exchange_number_after(client, "OK ", &length)) {
        return exchange_not_done(client);
    }
    if (length >= SIZE_MAX) {
        return out_of_step(client);
    }
    client->reply_length = (size_t)length;
    client->reply = net_bytes(&client->net, client->reply_length + 1);
    if (client->reply == NULL) {
        return client_lost(client);
    }
    return client->reply[client->reply_length] == '\0' ? EX_OK : out_of_step(client);
}

static int show_bytes(struct client *client)
{
    int code = take_bytes(client);
    if (code != EX_OK) {
        return code;
    }

    size_t length = client->reply_length;
    terminal_write(&client->terminal, client->reply, length);
    bool for_person = client->interactive || client->terminal.output_is_terminal;
    if (for_person && (length == 0 || client->reply[length - 1] != '\n')) {
        terminal_write_text(&client->terminal, "\n");
    }
    return EX_OK;
}

static int ask_oldest(struct client *client, uint64_t *id)
{
    uint64_t number;
    int code = exchange_ask(client, "LIST <user> <cookie>", NULL);

    if (code != EX_OK) {
        return code;
    }
    if (!exchange_number_after(client, "OK ", &number)) {
        return exchange_not_done(client);
    }
    if (number == 0) {
        return client_refused(client, "KO: no such message");
    }
    for (uint64_t i = 0; i < number; i++) {
        size_t length;
        const char *entry = net_frame(&client->net, &length);
        if (entry == NULL) {
            return client_lost(client);
        }
        if (i == 0 && !number_parse(entry, strcspn(entry, " "), UINT64_MAX, id)) {
            return out_of_step(client);
        }
    }
    return EX_OK;
}

/* The oldest message becomes the reply. Somebody may remove it before it is fetched: then it is the next one,
 * whose id is larger. One that stays and is not to be had is refused for another reason. */
static int fetch_oldest(struct client *client)
{
    uint64_t id = 0;
    uint64_t missed;

    do {
        char word[NUMBER_TEXT + 1];
        missed = id;
        int code = ask_oldest(client, &id);
        if (code == EX_OK && id <= missed) {
            code = exchange_refused(client);
        }
        if (code == EX_OK) {
            word[number_print(id, word)] = '\0';
            code = exchange_ask(client, "FETCH <user> <1> <cookie>", (const char *[]){word});
        }
        if (code != EX_OK) {
            return code;
        }
    } while (exchange_reply_is(client, "KO"));
    return take_bytes(client);
}

/* GETMSG's KO is a refusal, or a message that reads so. FETCH leaves no doubt. */
static int show_message(struct client *client)
{
    int code = exchange_reply_is(client, "KO") ? fetch_oldest(client) : EX_OK;

    if (code == EX_OK) {
        terminal_write(&client->terminal, client->reply, client->reply_length);
        terminal_write_text(&client->terminal, "\n");
    }
    return code;
}

/* Shows the reply to REGISTER or LOGIN. A person needs no cookie on the screen: it is kept for the commands
 * to come. */
static int finish_login(struct client *client, const char *user)
{
    int code = exchange_start_session(client, user);

    return code == EX_OK ? client_done(client, client->interactive ? NULL : client->cookie) : code;
}

static int run_register(struct client *client, const struct command *command, char *const *words, int count)
{
    const char *user = client_ask_user(client, count > 0 ? words[0] : NULL);
    const char *password =
        user != NULL ? client_ask_new_secret(client, count > 1 ? words[1] : NULL, client->given_password)
                     : NULL;

    if (password == NULL) {
        return EX_USAGE;
    }
    int code = exchange_ask(client, command->request, (const char *[]){user, password});
    return code == EX_OK ? finish_login(client, user) : code;
}

static const char *ask_password(struct client *client, const char *word)
{
    return client_ask_secret(client, word, client->given_password);
}

static int run_login(struct client *client, const struct command *command, char *const *words, int count)
{
    const char *user = client_ask_user(client, count > 0 ? words[0] : NULL);
    const char *password = user != NULL ? ask_password(client, count > 1 ? words[1] : NULL) : NULL;

    if (password == NULL) {
        return EX_USAGE;
    }
    int code = exchange_ask(client, command->request, (const char *[]){user, password});
    return code == EX_OK ? finish_login(client, user) : code;
}

static int run_logout(struct client *client, const struct command *command, char *const *words, int count)
{
    int code = run_request(client, command, words, count);

    return code == EX_OK ? exchange_end_session(client) : code;
}

static int run_unregister(struct client *client, const struct command *command, char *const *words, int count)
{
    const char *user = client_ask_user(client, count > 0 ? words[0] : NULL);
    const char *password = user != NULL ? ask_password(client, count > 1 ? words[1] : NULL) : NULL;

    if (password == NULL) {
        return EX_USAGE;
    }
    bool own = client->user != NULL && strcasecmp(user, client->user) == 0;
    int code = exchange_ask(client, command->request, (const char *[]){user, password});
    if (code == EX_OK) {
        code = show_ok(client);
    }
    return code == EX_OK && own ? exchange_end_session(client) : code;
}

static int run_passwd(struct client *client, const struct command *command, char *const *words, int count)
{
    if (count == 1) {
        terminal_complain(&client->terminal, "usage: %s %s", command->name, command->arguments);
        return EX_USAGE;
    }
    const char *user = client_ask_user(client, NULL);
    const char *old = user != NULL ? ask_password(client, count > 0 ? words[0] : NULL) : NULL;
    const char *fresh = old != NULL ? client_ask_new_secret(client, count > 0 ? words[1] : NULL, NULL) : NULL;

    if (fresh == NULL) {
        return EX_USAGE;
    }
    int code = exchange_ask(client, command->request, (const char *[]){user, old, fresh});
    return code == EX_OK ? show_ok(client) : code;
}

static int run_del(struct client *client, const struct command *command, char *const *words, int count)
{
    const char *request = count > 0 ? command->request : "DELMSG <user> <cookie>";
    int code = exchange_ask(client, request, (const char *const *)words);

    return code == EX_OK ? show_ok(client) : code;
}

/* KO answers a bad cookie too, and a clock alone tells nothing about a short wait: the time was over if the
 * cookie still counts and the time has passed (half a second is left to clocks that differ). */
static int show_wait_refused(struct client *client, int64_t deadline)
{
    bool passed = clock_now() + NANOSECONDS_PER_SECOND / 2 >= deadline;
    uint64_t number;
    int code = exchange_ask(client, "COUNT <user> <cookie>", NULL);

    if (code != EX_OK) {
        return code;
    }
    bool over = passed && exchange_number_after(client, "COUNTED ", &number);
    code = exchange_refused(client);
    return code == EXIT_REFUSED && over ? EX_TEMPFAIL : code;
}

static int run_wait(struct client *client, const struct command *command, char *const *words, int count)
{
    (void)count;
    uint64_t number;
    int seconds;

    if (!command_read_wait(client, words, &number, &seconds)) {
        return EX_USAGE;
    }
    int64_t deadline = deadline_after_seconds(seconds);
    client->net.patience += seconds;
    int code = exchange_ask(client, command->request, (const char *const *)words);
    client->net.patience -= seconds;
    if (code != EX_OK) {
        return code;
    }
    return exchange_reply_is(client, "KO") ? show_wait_refused(client, deadline) : show_counted(client);
}

static int run_quit(struct client *client, const struct command *command, char *const *words, int count)
{
    client->ended = true;
    return run_request(client, command, words, count);
}

/* clang-format off */
static const struct command commands[] = {
    {"register", "[USER [PASSWORD]]", "make an account and log in", 0, 2, false,
     run_register, "REGISTER <1> <2>", NULL},
    {"login", "[USER [PASSWORD]]", "log in; an earlier cookie of the account ends", 0, 2, false,
     run_login, "LOGIN <1> <2>", NULL},
    {"logout", "", "end the session", 0, 0, false,
     run_logout, "LOGOUT <cookie>", show_ok},
    {"message", "CONTENT", "put a message on the queue", 1, 1, true,
     run_request, "MESSAGE <1> <cookie>", show_ok},
    {"store", "USER", "move the newest queued message to USER", 1, 1, false,
     run_request, "STORE <1> <cookie>", show_ok},
    {"send", "USER CONTENT", "message and store in one; gives the id", 2, 2, true,
     run_request, "SEND <1> <2> <cookie>", show_id},
    {"count", "", "number of messages in the mailbox", 0, 0, false,
     run_request, "COUNT <user> <cookie>", show_counted},
    {"get", "", "print the oldest message", 0, 0, false,
     run_request, "GETMSG <user> <cookie>", show_message},
    {"list", "", "id, bytes, time, sender and subject of each", 0, 0, false,
     run_request, "LIST <user> <cookie>", show_list},
    {"fetch", "ID", "print the exact bytes of a message", 1, 1, false,
     run_request, "FETCH <user> <1> <cookie>", show_bytes},
    {"del", "[ID]", "remove a message, or the oldest", 0, 1, false,
     run_del, "REMOVE <user> <1> <cookie>", NULL},
    {"wait", "COUNT SECONDS", "wait until the mailbox holds COUNT messages", 2, 2, false,
     run_wait, "WAIT <user> <1> <2> <cookie>", NULL},
    {"dump", "", "have the server print queue and mailboxes", 0, 0, false,
     run_request, "DUMP", show_ok},
    {"passwd", "[OLD NEW]", "change the password", 0, 2, false,
     run_passwd, "PASSWD <1> <2> <3>", NULL},
    {"unregister", "[USER [PASSWORD]]", "remove the account and all its mail", 0, 2, false,
     run_unregister, "UNREGISTER <1> <2>", NULL},
    {"why", "", "why the last request was refused", 0, 0, false,
     run_request, "WHY", show_reason},
    {"noop", "", "ask the server for a sign of life", 0, 0, false,
     run_request, "NOOP", show_ok},
    {"help", "", "print this list", 0, 0, false,
     command_help, NULL, NULL},
    {"quit", "", "end the connection", 0, 0, false,
     run_quit, "QUIT", show_ok},
};
/* clang-format on */

const struct dialect smsp_dialect = {
    .name = "smsp",
    .commands = commands,
    .count = sizeof commands / sizeof commands[0],
    .may_ask = exchange_may_ask,
    .single_words = true,
    .wait_most = INT64_MAX, /* as smsp(7) has it */
};
