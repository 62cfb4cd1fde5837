/* commands.c: from a line or an argument vector to a handler's call, and back to what a person or a script
 * sees. In come words, out goes an exit code. It knows no verb and nothing of the wire. */
#include "commands.h"

#include "limit.h"
#include "number.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t";

const struct command *command_find(const struct dialect *dialect, const char *name)
{
    for (size_t i = 0; i < dialect->count; i++) {
        if (strcmp(dialect->commands[i].name, name) == 0) {
            return &dialect->commands[i];
        }
    }
    return NULL;
}

void command_print_table(struct terminal *terminal, const struct dialect *dialect)
{
    for (size_t i = 0; i < dialect->count; i++) {
        const struct command *command = &dialect->commands[i];
        char line[128]; /* rows are shorter */

        int width = (int)(strlen(command->name) + 1 + strlen(command->arguments));
        int length = snprintf(line, sizeof line, "  %s %s%*s  %s\n", command->name, command->arguments,
                              width < 28 ? 28 - width : 0, "", command->help);
        if (length > 0) {
            terminal_write_text(terminal, line);
        }
    }
}

int command_help(struct client *client, const struct command *command, char *const *words, int count)
{
    (void)command;
    (void)words;
    (void)count;
    command_print_table(&client->terminal, client->dialect);
    return EX_OK;
}

bool command_read_wait(struct client *client, char *const *words, uint64_t *count, int *seconds)
{
    uint64_t most = client->dialect->wait_most;
    uint64_t time;

    if (!number_parse(words[0], strlen(words[0]), most, count) ||
        !number_parse(words[1], strlen(words[1]), WAIT_SECONDS_MAX, &time)) {
        terminal_complain(&client->terminal,
                          "wait takes two numbers: a count of at most %" PRIu64 ", and at most %d seconds",
                          most, WAIT_SECONDS_MAX);
        return false;
    }
    *seconds = (int)time;
    return true;
}

int client_done(struct client *client, const char *value)
{
    if (client->interactive) {
        terminal_write_text(&client->terminal, value != NULL ? "OK " : "OK\n");
    }
    if (value != NULL) {
        terminal_write_text(&client->terminal, value);
        terminal_write_text(&client->terminal, "\n");
    }
    return EX_OK;
}

int client_refused(struct client *client, const char *text)
{
    if (client->interactive) {
        terminal_write_text(&client->terminal, text);
        terminal_write_text(&client->terminal, "\n");
    } else {
        terminal_complain(&client->terminal, "%s", text);
    }
    return EXIT_REFUSED;
}

int client_lost(struct client *client)
{
    terminal_complain(&client->terminal, "%.*s", (int)client->net.error.length, client->net.error.bytes);
    return client->net.timed_out ? EX_TEMPFAIL : EX_UNAVAILABLE;
}

static int no_memory(struct client *client)
{
    terminal_complain(&client->terminal, "out of memory");
    return EXIT_REFUSED;
}

bool client_keep(struct client *client, char **field, const char *value)
{
    char *copy = value != NULL ? strdup(value) : NULL;

    if (value != NULL && copy == NULL) {
        no_memory(client);
        return false;
    }
    free(*field);
    *field = copy;
    return true;
}

static bool is_single(const char *word)
{
    return word[0] != '\0' && strchr(word, ' ') == NULL;
}

const char *client_as_word(struct client *client, const char *what, const char *value)
{
    if (value == NULL || !client->dialect->single_words || is_single(value)) {
        return value;
    }
    terminal_complain(&client->terminal, "the %s is empty or holds a space, which SMSP cannot carry", what);
    return NULL;
}

/* Turns what was read into a C string. */
static const char *close_answer(struct client *client, struct buffer *answer)
{
    if (!buffer_append_byte(answer, '\0') || strlen(answer->bytes) + 1 != answer->length) {
        terminal_complain(&client->terminal, "a NUL byte cannot be sent");
        return NULL;
    }
    return answer->bytes;
}

/* What kept a line from being read was said, but for the end of the input. */
static bool was_given(struct client *client, enum line result, const char *what)
{
    if (result == LINE_END) {
        terminal_complain(&client->terminal, "no %s was given", what);
    }
    return result == LINE_READ;
}

const char *client_ask_user(struct client *client, const char *word)
{
    struct buffer *answer = &client->answers[0];
    const char *known = word != NULL ? word : client->user != NULL ? client->user : client->given_user;

    if (known != NULL) {
        return client_as_word(client, "user", known);
    }
    if (!client->terminal.input_is_terminal) {
        terminal_complain(&client->terminal, "no user: give one, or set SHMAIL_USER");
        return NULL;
    }
    bool given = was_given(client, terminal_read_line(&client->terminal, "User: ", -1, answer), "user");
    return given ? client_as_word(client, "user", close_answer(client, answer)) : NULL;
}

static const char *read_secret(struct client *client, const char *prompt, struct buffer *answer)
{
    bool given = was_given(client, terminal_read_secret(&client->terminal, prompt, answer), "password");
    return given ? client_as_word(client, "password", close_answer(client, answer)) : NULL;
}

/* What needs no question; NULL: *ask says whether one is due. */
static const char *known_secret(struct client *client, const char *word, const char *fallback, bool *ask)
{
    bool from_input = word != NULL && strcmp(word, "-") == 0;

    *ask = false;
    if (word != NULL && !from_input) {
        return word;
    }
    if (word == NULL && fallback != NULL) {
        return client_as_word(client, "password", fallback);
    }
    *ask = from_input || client->terminal.input_is_terminal;
    if (!*ask) {
        terminal_complain(&client->terminal,
                          client->given_password != NULL /* and is the old one */
                              ? "no new password: give it behind the old one, or use - to read it"
                              : "no password: give one, set SHMAIL_PASSWORD, or use - to read it");
    }
    return NULL;
}

const char *client_ask_secret(struct client *client, const char *word, const char *fallback)
{
    bool ask;
    const char *known = known_secret(client, word, fallback, &ask);

    return ask ? read_secret(client, "Password: ", &client->answers[1]) : known;
}

const char *client_ask_new_secret(struct client *client, const char *word, const char *fallback)
{
    bool ask;
    const char *known = known_secret(client, word, fallback, &ask);
    if (!ask) {
        return known;
    }

    const char *first = read_secret(client, "New password: ", &client->answers[2]);
    if (first == NULL || !client->terminal.input_is_terminal) {
        return first;
    }
    struct buffer again = {.cap = 0};
    const char *second = read_secret(client, "Once more: ", &again);
    bool same = second != NULL && strcmp(first, second) == 0;
    if (second != NULL && !same) {
        terminal_complain(&client->terminal, "the two passwords differ");
    }
    if (again.bytes != NULL) {
        explicit_bzero(again.bytes, again.capacity);
    }
    buffer_free(&again);
    return same ? first : NULL;
}

static void forget_secrets(struct client *client)
{
    struct buffer *secrets[] = {&client->answers[0], &client->answers[1], &client->answers[2],
                                &client->request};

    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        if (secrets[i]->bytes != NULL) {
            explicit_bzero(secrets[i]->bytes, secrets[i]->capacity); /* a shorter one may stand over it */
        }
        buffer_free(secrets[i]);
    }
}

bool command_takes(struct client *client, const struct command *command, int count)
{
    if (count < command->least || (count > command->most && !command->content)) {
        terminal_complain(&client->terminal, "usage: %s%s%s", command->name,
                          command->arguments[0] != '\0' ? " " : "", command->arguments);
        return false;
    }
    return true;
}

static bool words_fit(struct client *client, const struct command *command, char *const *words, int count)
{
    if (!command_takes(client, command, count)) {
        return false;
    }
    if (!client->dialect->single_words) {
        return true;
    }
    int single = command->content && count == command->most ? count - 1 : count;
    for (int i = 0; i < single; i++) {
        if (!is_single(words[i])) {
            terminal_complain(&client->terminal, "%s: argument %d is empty or holds a space", command->name,
                              i + 1); /* not what it is: it may be a secret */
            return false;
        }
    }
    return true;
}

/* Replaces "-" in the place of content by what standard input holds. */
static bool read_content(struct client *client, char **word, struct buffer *content)
{
    if (!terminal_read_rest(&client->terminal, content)) {
        return false;
    }
    if (content->length > 0 && memchr(content->bytes, '\0', content->length) != NULL) {
        terminal_complain(&client->terminal, "the content holds a NUL byte, which no message may");
        return false;
    }
    if (!buffer_append_byte(content, '\0')) {
        no_memory(client);
        return false;
    }
    *word = content->bytes;
    return true;
}

/* Input may take longer to end than a server keeps an idle connection. A cookie counts on the next one as
 * well; an entry does not. */
static bool stay_connected(struct client *client)
{
    if (client->entered || !net_has_ended(&client->net)) {
        return true;
    }
    net_lose(&client->net);
    client->framed = false;
    client->heard = HEARD_NOTHING;
    return net_open(&client->net, client->server);
}

static int run(struct client *client, const struct command *command, char **words, int count)
{
    struct buffer content = {.cap = 0};
    int code = EXIT_REFUSED;

    if (!words_fit(client, command, words, count)) {
        return EX_USAGE;
    }
    bool from_input =
        command->content && count > 0 && count == command->most && strcmp(words[count - 1], "-") == 0;
    /* Before content is read, which would be lost; but in a script what follows must not become commands. */
    if (from_input && (!client->interactive || client->terminal.input_is_terminal)) {
        int may = client->dialect->may_ask(client);
        if (may != EX_OK) {
            return may;
        }
    }
    if (!from_input) {
        code = command->run(client, command, words, count);
    } else if (read_content(client, &words[count - 1], &content)) {
        code = stay_connected(client) ? command->run(client, command, words, count) : client_lost(client);
    }
    buffer_free(&content);
    forget_secrets(client);
    return code;
}

int command_run_arguments(struct client *client, const struct command *command, char *const *arguments,
                          int count)
{
    char *words[WORDS_MAX] = {NULL};
    struct buffer joined = {.cap = 0};
    int single = command->content && count >= command->most ? command->most - 1 : count;

    if (single > WORDS_MAX) {
        single = WORDS_MAX; /* more than any command takes: the count complains */
    }
    for (int i = 0; i < single; i++) {
        words[i] = arguments[i];
    }
    if (single == count || !command->content) {
        return run(client, command, words, count);
    }

    buffer_append_text(&joined, arguments[single]);
    for (int i = single + 1; i < count; i++) {
        buffer_append_byte(&joined, ' ');
        buffer_append_text(&joined, arguments[i]);
    }
    buffer_append_byte(&joined, '\0');
    words[single] = joined.bytes;
    int code = joined.failed ? no_memory(client) : run(client, command, words, single + 1);
    buffer_free(&joined);
    return code;
}

/* Cuts the next word off the line and ends it. NULL: there is none. */
static char *next_word(char **line)
{
    *line += strspn(*line, blanks);
    if (**line == '\0') {
        return NULL;
    }
    char *word = *line;
    *line += strcspn(word, blanks);
    if (**line != '\0') {
        *(*line)++ = '\0';
    }
    return word;
}

int command_run_line(struct client *client, char *line, size_t length)
{
    char *words[WORDS_MAX] = {NULL};
    int count = 0;

    if (strlen(line) != length) {
        terminal_complain(&client->terminal, "a NUL byte cannot be sent");
        return EX_USAGE;
    }
    const char *name = next_word(&line);
    if (name == NULL) {
        return EX_OK;
    }
    const struct command *command = command_find(client->dialect, name);
    if (command == NULL) {
        terminal_complain(&client->terminal, "unknown command: %s (help lists them)", name);
        return EX_USAGE;
    }

    int single = command->content ? command->most - 1 : command->most;
    while (count < single && (words[count] = next_word(&line)) != NULL) {
        count++;
    }
    if (command->content && count == single && *line != '\0') {
        words[count++] = line;
    } else if (!command->content && line[strspn(line, blanks)] != '\0') {
        count = command->most + 1; /* more than it takes: the count complains */
    }
    return run(client, command, words, count);
}
