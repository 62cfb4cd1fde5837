/* plan.c: reads the command line into a plan, or says what is wrong with it. It touches neither server nor
 * clock. */
#include "plan.h"

#include "clock.h"
#include "complaint.h"
#include "limit.h"
#include "number.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <unistd.h>

#define PASSWORD_DEFAULT "shmail-bench"
#define MILLISECOND (NANOSECONDS_PER_SECOND / 1000)

static const char usage[] =
    "usage: %s [OPTION ...] [ADDRESS | HOST PORT]\n"
    "       %s -h | -V\n"
    "\n"
    "Puts load on a server, judges each reply, and shows how many a second and how late.\n"
    "\n"
    "  -P, --protocol NAME     what to speak: see below (%s)\n"
    "  -m, --mix VERB[=N],...  what to ask, and how often of all: see below\n";

static const char options_help[] =
    "  -c, --connections N     connections at once, 1 to 65536 (16)\n"
    "  -d, --depth N           requests under way on each, 1 to 65536 (1)\n"
    "  -r, --per-connection N  connect anew after so many requests (0: never)\n"
    "  -s, --size BYTES        text of a message (100)\n"
    "  -a, --accounts N        mailboxes to spread the load over (one a connection)\n"
    "  -f, --fill N            messages to put into each before (0; 1 if the mix reads)\n"
    "  -D, --duration SECONDS  measure for so long (5, or no end with -n); 0.25 is possible\n"
    "  -n, --requests N        or until so many are answered\n"
    "  -w, --warm-up SECONDS   the same load before, which is not measured (0)\n"
    "  -p, --processes N       share the work of the bench (1)\n"
    "  -t, --timeout SECONDS   give up when a reply is late for so long, at most 86400 (60)\n"
    "  -S, --seed N            of the mix and the mailboxes that it falls on (1)\n"
    "  -u, --names PREFIX      the accounts are PREFIX0, PREFIX1, ... (a new one each time)\n"
    "  -e, --existing          they exist, from a run with --keep and the same -u and -s\n"
    "  -k, --keep              leave them, and their mail, where they are\n"
    "  -j, --json              print one JSON object\n"
    "  -h, --help              print this text\n"
    "  -V, --version           print the version\n"
    "\n"
    "The server is ADDRESS (inet:HOST:PORT or unix:PATH), HOST PORT, what SHMAIL_SERVER says, or\n"
    "127.0.0.1 8887. SHMAIL_PASSWORD is the accounts' password.\n";

static const char letters[] = ":P:m:c:d:r:s:a:f:D:n:w:p:t:S:u:ekjhV";

static const struct option option_names[] = {{"protocol", required_argument, NULL, 'P'},
                                             {"mix", required_argument, NULL, 'm'},
                                             {"connections", required_argument, NULL, 'c'},
                                             {"depth", required_argument, NULL, 'd'},
                                             {"per-connection", required_argument, NULL, 'r'},
                                             {"size", required_argument, NULL, 's'},
                                             {"accounts", required_argument, NULL, 'a'},
                                             {"fill", required_argument, NULL, 'f'},
                                             {"duration", required_argument, NULL, 'D'},
                                             {"requests", required_argument, NULL, 'n'},
                                             {"warm-up", required_argument, NULL, 'w'},
                                             {"processes", required_argument, NULL, 'p'},
                                             {"timeout", required_argument, NULL, 't'},
                                             {"seed", required_argument, NULL, 'S'},
                                             {"names", required_argument, NULL, 'u'},
                                             {"existing", no_argument, NULL, 'e'},
                                             {"keep", no_argument, NULL, 'k'},
                                             {"json", no_argument, NULL, 'j'},
                                             {"help", no_argument, NULL, 'h'},
                                             {"version", no_argument, NULL, 'V'},
                                             {NULL, 0, NULL, 0}};

/* What options leave for later: the mix needs the protocol, and some defaults need the mix. */
struct wishes {
    const char *mix;
    bool fill_given;
    char range[64]; /* of the value that was read last; empty where it has none */
};

static int complain_of_usage(const struct plan *plan, const char *what, const char *which)
{
    complain(plan, "%s: %s (%s --help tells more)", what, which, plan->program);
    return EX_USAGE;
}

static void print_help(const struct plan *plan, const struct speech *const *speeches, size_t count)
{
    printf(usage, plan->program, plan->program, speeches[0]->name);
    printf("%s", options_help);
    for (size_t i = 0; i < count; i++) {
        printf("\nVerbs of %s (%s), %s without -m:\n", speeches[i]->name, speeches[i]->help,
               speeches[i]->mix);
        for (const struct verb *verb = speeches[i]->verbs; verb->name != NULL; verb++) {
            printf("  %-10s %s\n", verb->name, verb->help);
        }
    }
}

static int was_printed(const struct plan *plan)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return EX_OK;
    }
    complain(plan, "cannot write: %s", strerror(errno));
    return EX_IOERR;
}

/* ---- values ---- */

static bool read_number(struct wishes *wishes, const char *text, uint64_t least, uint64_t most,
                        uint64_t *number)
{
    (void)snprintf(wishes->range, sizeof wishes->range, "a number from %" PRIu64 " to %" PRIu64, least, most);
    return number_parse(text, strlen(text), most, number) && *number >= least;
}

static bool read_unsigned(struct wishes *wishes, const char *text, uint64_t least, uint64_t most,
                          unsigned *number)
{
    uint64_t value;

    if (!read_number(wishes, text, least, most, &value)) {
        return false;
    }
    *number = (unsigned)value;
    return true;
}

/* "5" or "0.25": whole seconds, and up to three digits of what is beyond. */
static bool read_seconds(struct wishes *wishes, const char *text, int64_t least, int64_t *nanoseconds)
{
    const char *dot = strchr(text, '.');
    size_t whole_length = dot != NULL ? (size_t)(dot - text) : strlen(text);
    uint64_t whole = 0, thousandths = 0;

    (void)snprintf(wishes->range, sizeof wishes->range, "seconds from %s to %d, as 5 or 0.25",
                   least > 0 ? "0.001" : "0", WAIT_SECONDS_MAX);
    if (!number_parse(text, whole_length, WAIT_SECONDS_MAX, &whole)) {
        return false;
    }
    if (dot != NULL) {
        size_t digits = strlen(dot + 1);
        if (digits > 3 || !number_parse(dot + 1, digits, 999, &thousandths)) {
            return false;
        }
        for (; digits < 3; digits++) {
            thousandths *= 10;
        }
    }
    *nanoseconds = (int64_t)whole * NANOSECONDS_PER_SECOND + (int64_t)thousandths * MILLISECOND;
    return *nanoseconds >= least;
}

static bool read_prefix(const char *text, char prefix[static PREFIX_MAX + 1])
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t length = strlen(text);

    if (length == 0 || length > PREFIX_MAX || strspn(text, allowed) != length) {
        return false;
    }
    memcpy(prefix, text, length + 1);
    return true;
}

static bool read_speech(const char *name, const struct speech *const *speeches, size_t count,
                        struct plan *plan)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, speeches[i]->name) == 0) {
            plan->speech = speeches[i];
            return true;
        }
    }
    return false;
}

/* ---- the mix ---- */

static const struct verb *find_verb(const struct speech *speech, const char *name, size_t length)
{
    for (const struct verb *verb = speech->verbs; verb->name != NULL; verb++) {
        if (strlen(verb->name) == length && strncmp(verb->name, name, length) == 0) {
            return verb;
        }
    }
    return NULL;
}

/* One part of "COUNT=9,SEND". A verb that comes again has its weights together. */
static bool read_part(struct plan *plan, const char *part, size_t length)
{
    const char *sign = memchr(part, '=', length);
    size_t name_length = sign != NULL ? (size_t)(sign - part) : length;
    const struct verb *verb = find_verb(plan->speech, part, name_length);
    uint64_t weight = 1;
    size_t at = 0;

    while (at < plan->mix_length && plan->mix[at].verb != verb) {
        at++;
    }
    if (verb == NULL || at == MIX_MAX ||
        (sign != NULL && !number_parse(sign + 1, length - name_length - 1, WEIGHT_MOST, &weight)) ||
        weight == 0) {
        return false;
    }
    if (at == plan->mix_length) {
        plan->mix[plan->mix_length++] = (struct mix_part){verb, 0};
    }
    plan->mix[at].weight += (unsigned)weight;
    return plan->mix[at].weight <= WEIGHT_MOST;
}

static bool read_mix(struct plan *plan, const char *text)
{
    for (;;) {
        size_t length = strcspn(text, ",");
        if (!read_part(plan, text, length)) {
            return false;
        }
        if (text[length] == '\0') {
            return true;
        }
        text += length + 1;
    }
}

void plan_print_mix(const struct plan *plan, char *text, size_t size)
{
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < plan->mix_length && length < size; i++) {
        int more = snprintf(text + length, size - length, "%s%s=%u", i > 0 ? "," : "",
                            plan->mix[i].verb->name, plan->mix[i].weight);
        length += more > 0 ? (size_t)more : 0;
    }
}

static bool mix_needs_mail(const struct plan *plan)
{
    for (size_t i = 0; i < plan->mix_length; i++) {
        if (plan->mix[i].verb->needs_mail) {
            return true;
        }
    }
    return false;
}

/* ---- the options ---- */

/* False: the value is none. */
static bool read_option(struct plan *plan, struct wishes *wishes, int option, const char *value)
{
    unsigned size;

    switch (option) {
    case 'm':
        wishes->mix = value;
        return true;
    case 'c':
        return read_unsigned(wishes, value, 1, CONNECTIONS_MOST, &plan->connections);
    case 'd':
        return read_unsigned(wishes, value, 1, DEPTH_MOST, &plan->depth);
    case 'r':
        return read_number(wishes, value, 0, UINT64_MAX, &plan->per_connection);
    case 's':
        plan->size = read_unsigned(wishes, value, 1, SIZE_MOST, &size) ? size : 0;
        return plan->size > 0;
    case 'a':
        return read_unsigned(wishes, value, 1, MAILBOXES_MOST, &plan->mailboxes);
    case 'f':
        wishes->fill_given = true;
        return read_unsigned(wishes, value, 0, UINT32_MAX, &plan->fill);
    case 'D':
        return read_seconds(wishes, value, 1, &plan->duration);
    case 'n':
        return read_number(wishes, value, 1, UINT64_MAX - 1, &plan->requests);
    case 'w':
        return read_seconds(wishes, value, 0, &plan->warm_up);
    case 'p':
        return read_unsigned(wishes, value, 1, PROCESSES_MOST, &plan->processes);
    case 't':
        return read_seconds(wishes, value, 1, &plan->timeout);
    case 'S':
        return read_number(wishes, value, 0, UINT64_MAX, &plan->seed);
    case 'u':
        return read_prefix(value, plan->prefix);
    default:
        plan->existing |= option == 'e';
        plan->keep |= option == 'k';
        plan->json |= option == 'j';
        return true;
    }
}

/* A letter may stand among others in its word; those that there are get here as the long form with a value.
 */
static int complain_of_option(const struct plan *plan, const char *word)
{
    const char letter[] = {'-', (char)optopt, '\0'};
    bool is_letter = optopt != 0 && strchr(letters, optopt) == NULL;

    return complain_of_usage(plan, "unknown option", is_letter ? letter : word);
}

static int read_options(struct plan *plan, struct wishes *wishes, const struct speech *const *speeches,
                        size_t count, int argc, char **argv)
{
    int option;

    opterr = 0; /* complaints are ours, escaped */
    while ((option = getopt_long(argc, argv, letters, option_names, NULL)) != -1) {
        switch (option) {
        case 'h':
            print_help(plan, speeches, count);
            return was_printed(plan);
        case 'V':
            printf("%s " SHMAIL_VERSION "\n", plan->program);
            return was_printed(plan);
        case ':':
            return complain_of_usage(plan, "an argument is missing behind", argv[optind - 1]);
        case '?':
            return complain_of_option(plan, argv[optind - 1]);
        case 'P':
            if (!read_speech(optarg, speeches, count, plan)) {
                return complain_of_usage(plan, "unknown protocol", optarg);
            }
            break;
        default:
            wishes->range[0] = '\0';
            if (!read_option(plan, wishes, option, optarg)) {
                char name[] = {'-', (char)option, '\0'};
                bool has_range = wishes->range[0] != '\0';
                complain(plan, "%s %s: %s%s (%s --help tells more)", name, optarg, has_range ? "not " : "",
                         has_range ? wishes->range : "no possible value", plan->program);
                return EX_USAGE;
            }
        }
    }
    return -1;
}

static int read_server(struct plan *plan, int count, char **words)
{
    const char *server = getenv("SHMAIL_SERVER");
    const char *why;

    if (count > 2) {
        return complain_of_usage(plan, "one word too many", words[2]);
    }
    if (count == 2) {
        return address_parse_host(words[0], words[1], &plan->server, &why)
                   ? -1
                   : complain_of_usage(plan, words[0], why);
    }
    server = count == 1 ? words[0] : server != NULL && server[0] != '\0' ? server : ADDRESS_DEFAULT;
    return address_parse(server, &plan->server, &why) ? -1 : complain_of_usage(plan, server, why);
}

/* Names that no other run has: what they are does not matter, so they do not follow from the seed. */
static void choose_prefix(struct plan *plan)
{
    uint64_t number = 0;

    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number) {
        number = (uint64_t)clock_now();
    }
    (void)snprintf(plan->prefix, sizeof plan->prefix, "bench%07" PRIx64 "x", number & 0xFFFFFFF);
}

/* What follows from the rest, and what does not go together. */
static int complete(struct plan *plan, const struct wishes *wishes)
{
    if (!read_mix(plan, wishes->mix != NULL ? wishes->mix : plan->speech->mix)) {
        return complain_of_usage(plan, "no mix of this protocol's verbs", wishes->mix);
    }
    if (plan->duration == 0 && plan->requests == 0) {
        plan->duration = 5 * NANOSECONDS_PER_SECOND;
    }
    plan->mailboxes = plan->mailboxes > 0 ? plan->mailboxes : plan->connections;
    plan->fill = wishes->fill_given || plan->existing ? plan->fill : mix_needs_mail(plan);
    if (plan->processes > plan->connections || plan->processes > plan->mailboxes) {
        return complain_of_usage(plan, "--processes", "more than connections or accounts");
    }
    if (plan->speech->one_each && plan->mailboxes < plan->connections) {
        return complain_of_usage(plan, "--accounts", "this protocol needs one for each connection");
    }
    if (plan->speech->depth_most > 0 && plan->depth > plan->speech->depth_most) {
        return complain_of_usage(plan, "--depth", "more than this protocol can pipeline");
    }
    if (plan->speech->line_end != NULL && strchr(plan->password, ' ') != NULL) {
        return complain_of_usage(plan, "SHMAIL_PASSWORD", "more than a word, which a line cannot carry");
    }
    if (plan->existing && (plan->speech->adopt == NULL || plan->prefix[0] == '\0')) {
        return complain_of_usage(plan, "--existing",
                                 plan->prefix[0] == '\0' ? "needs --names"
                                                         : "not possible with this protocol");
    }
    if (plan->prefix[0] == '\0') {
        choose_prefix(plan);
    }
    return -1;
}

int plan_read(struct plan *plan, const struct speech *const *speeches, size_t count, int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    const char *password = getenv("SHMAIL_PASSWORD");
    struct wishes wishes = {0};

    *plan = (struct plan){
        .program = name != NULL ? name + 1 : argv[0],
        .speech = speeches[0],
        .connections = 16,
        .depth = 1,
        .processes = 1,
        .size = 100,
        .seed = 1,
        .timeout = 60 * NANOSECONDS_PER_SECOND,
        .password = password != NULL && password[0] != '\0' ? password : PASSWORD_DEFAULT,
    };
    int status = read_options(plan, &wishes, speeches, count, argc, argv);
    if (status < 0) {
        status = read_server(plan, argc - optind, argv + optind);
    }
    return status < 0 ? complete(plan, &wishes) : status;
}
