/* options.c: reads the command line of shmaild into one struct, strictly: a value is whole, in range, and
 * fits the others, or one line says what does not. It opens, prints and looks up nothing. */
#include "options.h"

#include "limit.h"
#include "listener.h"
#include "log.h"
#include "name.h"
#include "number.h"
#include "parent_limits.h"
#include "throttle.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ACCOUNTS_MAX = 100 * 1000 * 1000,
    CRYPT_COST_MAX = 11,
    IDLE_DEFAULT = 600,
    REQUEST_DEFAULT = 300,    /* 10M in it are 35 KB/s */
    WRITE_DEFAULT = 60,       /* a network that takes nothing for so long is gone */
    SESSION_DEFAULT = 172800, /* twice the longest wait */
    IDLE_MAX = 366 * 86400,
    COOKIE_IDLE_DEFAULT = 7 * 86400,
    COOKIE_AGE_DEFAULT = 30 * 86400,
    SEGMENT_LEAST = 1 << 20, /* bytes; smaller ones hold no mail */
    JOURNAL_LEAST = 1 << 20, /* bytes; a smaller file would be checkpointed all the time */
};

#define JOURNAL_MOST (UINT64_C(1) << 40)

/* Options that have no letter. */
enum {
    LONG_CRYPT_COST = 256,
    LONG_ACCOUNTS,
    LONG_SLOTS,
    LONG_SEGMENT,
    LONG_SESSIONS,
    LONG_CLOSED,
    LONG_REQUIRE_PASSWORD,
    LONG_PROXY,
    LONG_IDLE,
    LONG_AGE,
    LONG_QUOTA_MESSAGES,
    LONG_QUOTA_BYTES,
    LONG_REGISTRATIONS,
    LONG_ENTRIES,
    LONG_DUMP,
    LONG_SYSLOG,
    LONG_SYNC,
    LONG_JOURNAL,
    LONG_SPARE,
    LONG_PER_SOURCE,
    LONG_AS_ROOT,
    LONG_NO_SANDBOX,
    LONG_SANDBOX_DEBUG,
    LONG_REQUEST,
    LONG_WRITE,
    LONG_SESSION,
};

const char options_help[] =
    "usage: shmaild [OPTIONS] [HOST PORT]\n"
    "Serves mail over one shared-memory post office; without an address on 127.0.0.1 port 8887.\n"
    "\n"
    "  -l ADDRESS            listen on inet:HOST:PORT or unix:PATH too (repeatable; port 0: any);\n"
    "                        proxy:ADDRESS: only for a proxy that sends PROXY headers\n"
    "  -1                    print each bound address on standard output, then close it\n"
    "  -i                    serve standard input and output, then exit (inetd)\n"
    "  -n NAME               the post office (main)\n"
    "  -e                    a private post office that ends with the server\n"
    "  -d DIR                keep a journal in DIR, which outlives a reboot\n"
    "  --sync WHEN           journal to disk: always (before each reply), never, or SECONDS (always)\n"
    "  --journal-size BYTES  least size of a journal file (64M)\n"
    "  -D DOMAIN             the local domain (mail.localhost)\n"
    "  -t SECONDS            close a connection that is idle for so long (600; 0: never)\n"
    "  --request-timeout SECONDS\n"
    "                        for a whole request, from its first byte (300; 0: no limit)\n"
    "  --write-timeout SECONDS\n"
    "                        for a reply to go on (60)\n"
    "  --session-timeout SECONDS\n"
    "                        for a connection in all (172800; 0: no limit)\n"
    "  -m BYTES              longest message (10M)\n"
    "  -c N                  most connections at once; further ones wait (256)\n"
    "  --per-source N        of these, of one source; further ones are closed (three quarters)\n"
    "  --spare N             processes made ahead of their connection (0)\n"
    "  -u USER               who serves connections, when started as root (shmail, else nobody)\n"
    "  --run-as-root         they stay root, without its rights\n"
    "  --no-sandbox          for debugging: connections are served without a sandbox\n"
    "  --sandbox-debug       name the system call that broke the sandbox\n"
    "  -v                    log connections too\n"
    "  --syslog              log to syslog instead of standard error\n"
    "  --dump                let DUMP print although not every listener is local\n"
    "  --require-password    Message entry needs a password\n"
    "  --closed              the same, and only the operator makes accounts (shmailctl account add)\n"
    "  --registrations N     most accounts that one source makes in an hour (no limit)\n"
    "  --entries N           most Message entries of one source in an hour (no limit)\n"
    "  --quota-messages N, --quota-bytes BYTES\n"
    "                        most in a mailbox, and again in a sender's queue (no limit)\n"
    "  --crypt-cost N        cost of new password hashes (1 to 11)\n"
    "  --sessions N          sessions per account (1)\n"
    "  --cookie-idle SECONDS, --cookie-age SECONDS\n"
    "                        end a session so long after its last use, its login (7 days, 30 days)\n"
    "  --proxy               what -i or LISTEN_FDS hands over begins with a PROXY header\n"
    "  --accounts N, --slots N, --segment-size BYTES\n"
    "                        sizes of a new post office: accounts, processes, address space\n"
    "  -V, --version         print the version\n"
    "  -h, --help            print this\n"
    "\n"
    "BYTES take a suffix K, M or G. shmaild(8) says the rest.\n";

/* The first thing that is wrong is what is told. */
struct complaint {
    char *text;
    size_t size;
    bool made;
};

__attribute__((format(printf, 2, 3))) static void complain(struct complaint *complaint, const char *format,
                                                           ...)
{
    va_list arguments;

    if (complaint->made) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(complaint->text, complaint->size, format, arguments);
    va_end(arguments);
    complaint->made = true;
}

static uint64_t parse_number(struct complaint *complaint, const char *option, const char *value,
                             uint64_t least, uint64_t most)
{
    uint64_t number = 0;

    if (!number_parse(value, strlen(value), most, &number) || number < least) {
        complain(complaint, "%s %s: not a number from %llu to %llu", option, value, (unsigned long long)least,
                 (unsigned long long)most);
    }
    return number;
}

static uint64_t parse_bytes(struct complaint *complaint, const char *option, const char *value,
                            uint64_t least, uint64_t most)
{
    static const char suffixes[] = "KMG";
    size_t length = strlen(value);
    unsigned shift = 0;
    uint64_t number = 0;

    const char *suffix = length > 0 ? strchr(suffixes, value[length - 1]) : NULL;
    if (suffix != NULL) {
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        length--;
    }
    if (!number_parse(value, length, most >> shift, &number) || number << shift < least) {
        complain(complaint, "%s %s: not a number of bytes from %llu to %llu (suffixes K, M, G)", option,
                 value, (unsigned long long)least, (unsigned long long)most);
    }
    return number << shift;
}

static void parse_sync(struct options *options, struct complaint *complaint, const char *value)
{
    uint64_t seconds = 0;

    options->sync_given = true;
    options->store.sync = STORE_SYNC_ALWAYS;
    if (strcmp(value, "never") == 0) {
        options->store.sync = STORE_SYNC_NEVER;
    } else if (strcmp(value, "always") != 0) {
        if (!number_parse(value, strlen(value), STORE_SYNC_SECONDS_MAX, &seconds) || seconds == 0) {
            complain(complaint, "--sync %s: not always, never, or a number of seconds from 1 to %d", value,
                     STORE_SYNC_SECONDS_MAX);
        }
        options->store.sync = STORE_SYNC_TIMED;
        options->store.sync_seconds = (uint32_t)seconds;
    }
}

static const char *parse_name(struct complaint *complaint, const char *value)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = strlen(value);

    if (length == 0 || length > POST_OFFICE_MAX || value[0] == '.' || strspn(value, allowed) != length) {
        complain(complaint, "-n %s: a name has 1 to %d of A-Z a-z 0-9 _ . - and no dot in front", value,
                 POST_OFFICE_MAX);
    }
    return value;
}

static const char *parse_domain(struct complaint *complaint, const char *value)
{
    if (strlen(value) >= NAME_MAX_BYTES - USERNAME_MAX) {
        complain(complaint, "-D %s: a domain has at most %d bytes", value, NAME_MAX_BYTES - USERNAME_MAX - 1);
    } else if (!name_is_domain(value)) {
        complain(complaint, "-D %s: not a domain like mail.localhost", value);
    }
    return value;
}

static const char proxy_mark[] = "proxy:";

static void add_listener(struct options *options, struct complaint *complaint, const char *value)
{
    size_t mark = strncmp(value, proxy_mark, strlen(proxy_mark)) == 0 ? strlen(proxy_mark) : 0;
    const char *why;

    if (options->listener_count == OPTIONS_LISTENERS_MAX) {
        complain(complaint, "-l %s: more than %d addresses", value, OPTIONS_LISTENERS_MAX);
    } else if (address_parse(value + mark, &options->listeners[options->listener_count], &why)) {
        options->behind_proxy[options->listener_count++] = mark > 0;
    } else {
        complain(complaint, "-l %s: %s", value, why);
    }
}

static void parse_long(struct options *options, struct complaint *complaint, int option, const char *value)
{
    struct store_options *store = &options->store;

    switch (option) {
    case LONG_CRYPT_COST:
        store->crypt_cost = (int)parse_number(complaint, "--crypt-cost", value, 1, CRYPT_COST_MAX);
        break;
    case LONG_ACCOUNTS:
        store->accounts = (uint32_t)parse_number(complaint, "--accounts", value, 1, ACCOUNTS_MAX);
        break;
    case LONG_SLOTS:
        store->slots = (uint32_t)parse_number(complaint, "--slots", value, 1, SLOTS_LIMIT);
        break;
    case LONG_SEGMENT:
        store->segment_bytes =
            parse_bytes(complaint, "--segment-size", value, SEGMENT_LEAST, SEGMENT_BYTES_MAX);
        break;
    case LONG_SESSIONS:
        store->sessions_per_account =
            (uint32_t)parse_number(complaint, "--sessions", value, 1, SESSIONS_LIMIT);
        break;
    case LONG_CLOSED:
        options->settings.closed = true;
        options->settings.require_password = true;
        break;
    case LONG_REQUIRE_PASSWORD:
        options->settings.require_password = true;
        break;
    case LONG_PROXY:
        options->proxy = true;
        break;
    case LONG_IDLE:
        store->session_idle_seconds = (uint32_t)parse_number(complaint, "--cookie-idle", value, 0, IDLE_MAX);
        break;
    case LONG_AGE:
        store->session_age_seconds = (uint32_t)parse_number(complaint, "--cookie-age", value, 0, IDLE_MAX);
        break;
    case LONG_QUOTA_MESSAGES:
        store->quota_messages = parse_number(complaint, "--quota-messages", value, 1, UINT32_MAX);
        break;
    case LONG_QUOTA_BYTES:
        store->quota_bytes = parse_bytes(complaint, "--quota-bytes", value, 1, SEGMENT_BYTES_MAX);
        break;
    case LONG_REGISTRATIONS:
        options->settings.registrations =
            (uint32_t)parse_number(complaint, "--registrations", value, 0, THROTTLE_HOUR_MOST);
        break;
    case LONG_ENTRIES:
        options->settings.entries =
            (uint32_t)parse_number(complaint, "--entries", value, 0, THROTTLE_HOUR_MOST);
        break;
    case LONG_SYNC:
        parse_sync(options, complaint, value);
        break;
    case LONG_JOURNAL:
        store->journal_bytes = parse_bytes(complaint, "--journal-size", value, JOURNAL_LEAST, JOURNAL_MOST);
        break;
    case LONG_SPARE:
        options->spares = (uint32_t)parse_number(complaint, "--spare", value, 0, SPARES_MOST);
        break;
    case LONG_PER_SOURCE:
        options->per_source = (uint32_t)parse_number(complaint, "--per-source", value, 1, SLOTS_LIMIT);
        break;
    case LONG_REQUEST:
        options->limits.request_seconds =
            (int)parse_number(complaint, "--request-timeout", value, 0, IDLE_MAX);
        break;
    case LONG_WRITE:
        options->limits.write_seconds = (int)parse_number(complaint, "--write-timeout", value, 1, IDLE_MAX);
        break;
    case LONG_SESSION:
        options->limits.session_seconds =
            (int)parse_number(complaint, "--session-timeout", value, 0, IDLE_MAX);
        break;
    case LONG_AS_ROOT:
        options->sandbox.as_root = true;
        break;
    case LONG_NO_SANDBOX:
        options->sandbox.off = true;
        break;
    case LONG_SANDBOX_DEBUG:
        options->sandbox.debug = true;
        break;
    case LONG_DUMP:
        options->settings.dump_allowed = true;
        break;
    case LONG_SYSLOG:
        options->syslog = true;
        break;
    default:
        bug("a long option that nothing is done for");
    }
}

static void parse_letter(struct options *options, struct complaint *complaint, int option, const char *value)
{
    switch (option) {
    case 'l':
        add_listener(options, complaint, value);
        break;
    case '1':
        options->announce = true;
        break;
    case 'i':
        options->inetd = true;
        break;
    case 'n':
        options->name = parse_name(complaint, value);
        break;
    case 'e':
        options->private = true;
        break;
    case 'd':
        options->store.directory = value;
        if (value[0] == '\0') {
            complain(complaint, "-d: needs the name of a directory");
        }
        break;
    case 'D':
        options->settings.domain = parse_domain(complaint, value);
        break;
    case 't':
        options->limits.idle_seconds = (int)parse_number(complaint, "-t", value, 0, IDLE_MAX);
        break;
    case 'm':
        options->settings.message_limit = (size_t)parse_bytes(complaint, "-m", value, 1, MESSAGE_LIMIT_MAX);
        break;
    case 'c':
        options->connections = (uint32_t)parse_number(complaint, "-c", value, 1, SLOTS_LIMIT);
        break;
    case 'u':
        options->sandbox.user = value;
        break;
    case 'v':
        options->verbose = true;
        break;
    case 'V':
        options->action = OPTIONS_SHOW_VERSION;
        break;
    case 'h':
        options->action = OPTIONS_SHOW_HELP;
        break;
    default:
        bug("an option that nothing is done for");
    }
}

static void parse_operands(struct options *options, struct complaint *complaint, int count, char **operands)
{
    const char *why;

    if (count == 0) {
        return;
    }
    if (count != 2) {
        complain(complaint, "%s: expected HOST PORT after the options, not %d argument%s", operands[0], count,
                 count == 1 ? "" : "s");
    } else if (options->listener_count == OPTIONS_LISTENERS_MAX) {
        complain(complaint, "%s %s: more than %d addresses", operands[0], operands[1], OPTIONS_LISTENERS_MAX);
    } else if (address_parse_host(operands[0], operands[1], &options->listeners[options->listener_count],
                                  &why)) {
        options->listener_count++;
    } else {
        complain(complaint, "%s %s: %s", operands[0], operands[1], why);
    }
}

/* For connections there are all but the keeper's. Without --slots a new post office gets as many as they
 * need, and one that stands has what it has. */
static void check_slots(struct options *options, struct complaint *complaint)
{
    uint32_t slots = options->store.slots > 0 ? options->store.slots : SLOTS_LIMIT;
    uint32_t kept = options->store.directory != NULL && !options->inetd;

    if (!options->inetd) {
        options->store.slots_least = options->connections + kept;
    }
    if (slots == kept) {
        complain(complaint,
                 "--slots 1: the keeper of a journal (-d) takes that one, none is left for connections");
    }
    if (options->connections > slots - kept && !options->inetd) {
        complain(complaint, "-c %u: more connections than process slots (--slots) are left for them, %u",
                 (unsigned)options->connections, (unsigned)(slots - kept));
    }
}

static void check_together(struct options *options, struct complaint *complaint)
{
    if (options->inetd && options->listener_count > 0) {
        complain(complaint, "-i: serves standard input; an address to listen on cannot be given with it");
    }
    if (options->inetd && options->announce) {
        complain(complaint, "-1: cannot be given with -i, whose standard output is the client's");
    }
    if (options->proxy && !options->inetd && listeners_handed_over_end() == STDERR_FILENO + 1) {
        complain(complaint, "--proxy: is for -i and LISTEN_FDS; to listen for a proxy say -l proxy:ADDRESS");
    }
    if (options->store.directory == NULL && (options->sync_given || options->store.journal_bytes > 0)) {
        complain(complaint, "--sync, --journal-size: need a journal (-d DIR)");
    }
    check_slots(options, complaint);
}

bool options_parse(struct options *options, int argc, char **argv, char *why, size_t why_size)
{
    static const struct option names[] = {
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {"crypt-cost", required_argument, NULL, LONG_CRYPT_COST},
        {"accounts", required_argument, NULL, LONG_ACCOUNTS},
        {"slots", required_argument, NULL, LONG_SLOTS},
        {"segment-size", required_argument, NULL, LONG_SEGMENT},
        {"sessions", required_argument, NULL, LONG_SESSIONS},
        {"cookie-idle", required_argument, NULL, LONG_IDLE},
        {"cookie-age", required_argument, NULL, LONG_AGE},
        {"quota-messages", required_argument, NULL, LONG_QUOTA_MESSAGES},
        {"quota-bytes", required_argument, NULL, LONG_QUOTA_BYTES},
        {"registrations", required_argument, NULL, LONG_REGISTRATIONS},
        {"entries", required_argument, NULL, LONG_ENTRIES},
        {"require-password", no_argument, NULL, LONG_REQUIRE_PASSWORD},
        {"closed", no_argument, NULL, LONG_CLOSED},
        {"proxy", no_argument, NULL, LONG_PROXY},
        {"dump", no_argument, NULL, LONG_DUMP},
        {"sync", required_argument, NULL, LONG_SYNC},
        {"journal-size", required_argument, NULL, LONG_JOURNAL},
        {"syslog", no_argument, NULL, LONG_SYSLOG},
        {"spare", required_argument, NULL, LONG_SPARE},
        {"per-source", required_argument, NULL, LONG_PER_SOURCE},
        {"request-timeout", required_argument, NULL, LONG_REQUEST},
        {"write-timeout", required_argument, NULL, LONG_WRITE},
        {"session-timeout", required_argument, NULL, LONG_SESSION},
        {"run-as-root", no_argument, NULL, LONG_AS_ROOT},
        {"no-sandbox", no_argument, NULL, LONG_NO_SANDBOX},
        {"sandbox-debug", no_argument, NULL, LONG_SANDBOX_DEBUG},
        {NULL, 0, NULL, 0},
    };
    struct complaint complaint = {.text = why, .size = why_size};
    int option;

    *options = (struct options){
        .name = "main",
        .settings = {.domain = "mail.localhost", .message_limit = MESSAGE_LIMIT_DEFAULT},
        .store = {.session_idle_seconds = COOKIE_IDLE_DEFAULT, .session_age_seconds = COOKIE_AGE_DEFAULT},
        .limits = {.idle_seconds = IDLE_DEFAULT,
                   .request_seconds = REQUEST_DEFAULT,
                   .write_seconds = WRITE_DEFAULT,
                   .session_seconds = SESSION_DEFAULT},
    };
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":l:1in:ed:D:t:m:c:u:vVh", names, NULL)) != -1) {
        if (option == ':') {
            complain(&complaint, "%s: needs a value", argv[optind - 1]);
        } else if (option == '?' && optopt > 0 && optopt < LONG_CRYPT_COST && optopt != 'h' &&
                   optopt != 'V') {
            complain(&complaint, "-%c: no such option", optopt);
        } else if (option == '?') { /* of h and V, which there are: --help or --version with a value */
            complain(&complaint, "%s: no such option, or none that takes a value", argv[optind - 1]);
        } else if (option >= LONG_CRYPT_COST) {
            parse_long(options, &complaint, option, optarg);
        } else {
            parse_letter(options, &complaint, option, optarg);
        }
    }
    parse_operands(options, &complaint, argc - optind, argv + optind);
    check_together(options, &complaint);
    options->store.name = options->private ? NULL : options->name;
    options->sandbox.lone = options->inetd;
    options->sandbox.message_limit = options->settings.message_limit;
    return !complaint.made;
}
