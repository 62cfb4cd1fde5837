/* main.c: shmail, the line client. In come options, environment and either one command or a session of lines,
 * out goes an exit code. It knows neither protocol: their commands stand in two tables. */
#include "commands.h"

#include "limit.h"
#include "number.h"
#include "standard.h"

#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_DEFAULT = 60 }; /* seconds; a password hash behind others in the queue takes a few */

static const char usage[] = "usage: shmail [-P smsp|message] [-t SECONDS] [HOST PORT] [COMMAND [ARG ...]]\n"
                            "       shmail -h | -V\n";

static const char options_help[] =
    "\n"
    "  -P, --protocol NAME   smsp (the default) or message\n"
    "  -t, --timeout SECONDS give up when the server is silent for so long, 1 to 86400 (60)\n"
    "  -h, --help            print this text\n"
    "  -V, --version         print the version\n"
    "\n"
    "Without COMMAND, commands are read from standard input, one a line. The server is HOST PORT,\n"
    "or what SHMAIL_SERVER says (inet:HOST:PORT or unix:PATH), or 127.0.0.1 8887. SHMAIL_USER,\n"
    "SHMAIL_PASSWORD and SHMAIL_COOKIE log in. \"-\" as CONTENT reads it from standard input.\n";

/* What the command line asks for. */
struct invocation {
    const struct dialect *dialect;
    const struct command *command; /* NULL: a session */
    char **arguments;              /* of the command */
    int count;
    struct address_name server;
    int patience;
};

/* An empty variable is as good as none. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static int complain_of_usage(struct terminal *terminal, const char *what, const char *which)
{
    terminal_complain(terminal, "%s: %s (shmail --help tells more)", what, which);
    return EX_USAGE;
}

static void print_help(struct terminal *terminal)
{
    terminal_write_text(terminal, usage);
    terminal_write_text(terminal, options_help);
    terminal_write_text(terminal, "\nCommands of SMSP:\n");
    command_print_table(terminal, &smsp_dialect);
    terminal_write_text(terminal, "\nCommands of Message (-P message):\n");
    command_print_table(terminal, &message_dialect);
}

static const struct dialect *find_dialect(const char *name)
{
    static const struct dialect *const dialects[] = {&smsp_dialect, &message_dialect};

    for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++) {
        if (strcmp(dialects[i]->name, name) == 0) {
            return dialects[i];
        }
    }
    return NULL;
}

/* A letter may stand among others in its word; those that there are get here as the long form with a value.
 */
static int complain_of_option(struct terminal *terminal, const char *word)
{
    const char letter[] = {'-', (char)optopt, '\0'};
    bool is_letter = optopt != 0 && optopt != 'h' && optopt != 'V';

    return complain_of_usage(terminal, "unknown option", is_letter ? letter : word);
}

/* Returns -1 to go on, or the exit code. */
static int read_options(struct terminal *terminal, struct invocation *invocation, int argc, char **argv)
{
    static const struct option names[] = {{"protocol", required_argument, NULL, 'P'},
                                          {"timeout", required_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'V'},
                                          {NULL, 0, NULL, 0}};
    uint64_t seconds;
    int option;

    opterr = 0; /* complaints are ours, escaped */
    while ((option = getopt_long(argc, argv, "+:P:t:hV", names, NULL)) != -1) {
        switch (option) {
        case 'P':
            invocation->dialect = find_dialect(optarg);
            if (invocation->dialect == NULL) {
                return complain_of_usage(terminal, "unknown protocol", optarg);
            }
            break;
        case 't':
            if (!number_parse(optarg, strlen(optarg), WAIT_SECONDS_MAX, &seconds) || seconds == 0) {
                terminal_complain(terminal,
                                  "not a number of seconds from 1 to %d: %s (shmail --help tells more)",
                                  WAIT_SECONDS_MAX, optarg);
                return EX_USAGE;
            }
            invocation->patience = (int)seconds;
            break;
        case 'h':
            print_help(terminal);
            return EX_OK;
        case 'V':
            terminal_write_text(terminal, "shmail " SHMAIL_VERSION "\n");
            return EX_OK;
        case ':':
            return complain_of_usage(terminal, "an argument is missing behind", argv[optind - 1]);
        default:
            return complain_of_option(terminal, argv[optind - 1]);
        }
    }
    return -1;
}

static bool is_port(const char *word)
{
    uint64_t port;

    return number_parse(word, strlen(word), UINT16_MAX, &port) && port != 0;
}

/* It looks like one, or stands where one does. */
static bool may_be_host(const struct dialect *dialect, char *const *words, int count)
{
    if (strpbrk(words[0], ".:") != NULL) {
        return true;
    }
    return count > 1 &&
           (strspn(words[1], "0123456789") == strlen(words[1]) || command_find(dialect, words[1]) != NULL);
}

/* Where a host or an option may have been meant, it is told how those are given. */
static int complain_of_command(struct terminal *terminal, const struct dialect *dialect, bool host_given,
                               char *const *words, int count)
{
    const char *hint = "shmail --help tells more";

    if (words[0][0] == '-') {
        hint = "options come before HOST, PORT and command";
    } else if (!host_given && may_be_host(dialect, words, count)) {
        hint = "HOST and PORT, 1 to 65535, come before a command";
    }
    terminal_complain(terminal, "unknown command: %s (%s)", words[0], hint);
    return EX_USAGE;
}

/* The first two words are HOST PORT where the second is a port and the first no command. Returns as
 * read_options. */
static int read_words(struct terminal *terminal, struct invocation *invocation, int count, char **words)
{
    const char *server = environment("SHMAIL_SERVER");
    const char *why;
    bool host_given = count > 1 && is_port(words[1]) && command_find(invocation->dialect, words[0]) == NULL;

    if (host_given) {
        if (!address_parse_host(words[0], words[1], &invocation->server, &why)) {
            return complain_of_usage(terminal, words[0], why);
        }
        words += 2;
        count -= 2;
    } else if (!address_parse(server != NULL ? server : ADDRESS_DEFAULT, &invocation->server, &why)) {
        return complain_of_usage(terminal, "SHMAIL_SERVER", why);
    } else if (!invocation->server.is_path && !is_port(invocation->server.port)) {
        return complain_of_usage(terminal, "SHMAIL_SERVER", "a port is a number from 1 to 65535");
    }

    if (count > 0) {
        invocation->command = command_find(invocation->dialect, words[0]);
        if (invocation->command == NULL) {
            return complain_of_command(terminal, invocation->dialect, host_given, words, count);
        }
        invocation->arguments = words + 1;
        invocation->count = count - 1;
    }
    return -1;
}

static bool open_client(struct client *client, const struct invocation *invocation)
{
    client->server = &invocation->server;
    client->net = NET_WITH_PATIENCE(invocation->patience);
    client->dialect = invocation->dialect;
    client->given_user = environment("SHMAIL_USER");
    client->given_password = environment("SHMAIL_PASSWORD");
    client->given_cookie = environment("SHMAIL_COOKIE");
    client->interactive = invocation->command == NULL;

    bool offline = invocation->command != NULL && invocation->command->run == command_help;
    return offline || net_open(&client->net, client->server);
}

static int run_session(struct client *client)
{
    struct buffer line = {.cap = 0};
    int code = EX_OK;

    while (!client->ended && !client->terminal.output_failed) {
        enum line read = terminal_read_line(&client->terminal, "shmail> ", client->net.fd, &line);
        if (read == LINE_CUT) {
            continue;
        }
        if (read == LINE_HANGUP) {
            net_lose(&client->net);
            code = client_lost(client);
            break;
        }
        if (read == LINE_FAILED || (read == LINE_READ && !buffer_append_byte(&line, '\0'))) {
            code = EXIT_REFUSED;
            break;
        }
        if (read == LINE_END) {
            break;
        }
        int result = command_run_line(client, line.bytes, line.length - 1);
        if (result != EX_OK && !client->terminal.input_is_terminal) { /* a person saw it when it came */
            code = result;
        }
        if (!net_is_open(&client->net)) {
            code = client->net.timed_out ? EX_TEMPFAIL : EX_UNAVAILABLE;
            break;
        }
    }
    buffer_free(&line);
    return code;
}

static void close_client(struct client *client)
{
    if (net_is_open(&client->net) && client->dialect->leave != NULL) {
        client->dialect->leave(client);
    }
    net_close(&client->net);
    free(client->user);
    free(client->cookie);
}

static int serve(struct client *client, const struct invocation *invocation)
{
    int code;

    if (invocation->command != NULL && !command_takes(client, invocation->command, invocation->count)) {
        return EX_USAGE; /* nobody is asked for that */
    }
    if (!open_client(client, invocation)) {
        code = client_lost(client);
    } else if (invocation->command == NULL) {
        code = run_session(client);
    } else {
        code = command_run_arguments(client, invocation->command, invocation->arguments, invocation->count);
    }
    close_client(client);
    return code;
}

int main(int argc, char **argv)
{
    struct client client = {.dialect = NULL};
    struct invocation invocation = {.dialect = &smsp_dialect, .patience = PATIENCE_DEFAULT};

    if (!standard_hold() || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return EXIT_REFUSED;
    }
    terminal_open(&client.terminal);
    int code = read_options(&client.terminal, &invocation, argc, argv);
    bool printed = code == EX_OK; /* the help or the version */
    if (code < 0) {
        code = read_words(&client.terminal, &invocation, argc - optind, argv + optind);
    }
    if (code < 0) {
        code = serve(&client, &invocation);
    }
    if (!terminal_flush(&client.terminal) && code == EX_OK) {
        code = printed ? EX_IOERR : EXIT_REFUSED;
    }
    terminal_free(&client.terminal);
    return code;
}
