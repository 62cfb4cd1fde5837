/* main.c: shmailctl looks into a post office or a journal on the same machine: options, a table of verbs, and
 * what they have in common. */
#include "escape.h"
#include "log.h"
#include "name.h"
#include "standard.h"
#include "verbs.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* What a verb works on: NULL if it does not take -n, does not take -d, or not both. */
static const struct verb {
    const char *name, *arguments, *help;
    int most; /* arguments */
    int (*on_name)(const struct request *);
    int (*on_directory)(const struct request *);
    int (*on_both)(const struct request *);
} verbs[] = {
    {"check", "", "prove a post office or a journal sound; exit 1 and a line for each finding if not", 0,
     verb_check_segment, verb_check_journal, NULL},
    {"repair", "", "keep what is sound; exit 1 if anything was lost or exported", 0, verb_repair_segment,
     verb_repair_journal, verb_repair_segment},
    {"journal", "[--texts] [FILE]", "print the records of a journal", 2, NULL, verb_print_journal, NULL},
    {"ps", "", "list the processes that are attached", 0, verb_processes, NULL, NULL},
    {"stat", "", "print how much is in the post office", 0, verb_figures, NULL, NULL},
    {"account", "add NAME | passwd NAME | list | rm NAME",
     "make, change, list and remove accounts; the password is read from standard input", 2, verb_account,
     verb_account, verb_account},
    {"rm", "NAME", "remove a post office, with all that is in it", 1, NULL, NULL, NULL},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static void print_help(FILE *out)
{
    fputs("usage: shmailctl [-n NAME] check | repair | ps | stat\n"
          "       shmailctl -d DIR check | repair | journal [--texts]\n"
          "       shmailctl -n NAME -d DIR repair\n"
          "       shmailctl journal [--texts] FILE\n"
          "       shmailctl [-n NAME] [-d DIR] [-D DOMAIN] account add NAME | passwd NAME | list | rm NAME\n"
          "       shmailctl rm NAME\n\n"
          "  -n NAME        the post office (default: main)\n"
          "  -d DIR         the directory of a journal: in use by no process, but for journal and account;\n"
          "                 beside -n, that of the post office: without a journal it gets one by a repair\n"
          "  -D DOMAIN      the local domain, for account (default: mail.localhost)\n"
          "  -V, --version  print the version\n"
          "  -h, --help     print this\n\n",
          out);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        fprintf(out, "  %-7s %s%s%s\n", verbs[i].name, verbs[i].arguments, verbs[i].arguments[0] ? "  " : "",
                verbs[i].help);
}

static void put_escaped(const char *text, FILE *out)
{
    char escaped[ESCAPE_MAX];
    for (size_t left = strlen(text); left > 0;)
        fwrite(escaped, 1, escape_next(&text, &left, escaped), out);
}

int usage(const char *what, const char *word)
{
    fprintf(stderr, "shmailctl: %s", what);
    put_escaped(word, stderr);
    fputs("; see 'shmailctl --help'\n", stderr);
    return EX_USAGE;
}

/* A letter may stand among others in its word; -h and -V are known, so that was --help or --version with a
 * value. */
static int unknown_option(const char *word)
{
    const char letter[] = {'-', (char)optopt, '\0'};
    bool is_letter = optopt != 0 && optopt != 'h' && optopt != 'V';
    return usage("there is no option ", is_letter ? letter : word);
}

void print_escaped(const char *text)
{
    put_escaped(text, stdout);
}

int refuse(enum status status, const char *why)
{
    fputs("shmailctl: ", stderr);
    put_escaped(why, stderr);
    fputc('\n', stderr);
    switch (status) {
    case STATUS_MALFORMED:
        return EX_USAGE;
    case STATUS_DAMAGED:
        return EX_DATAERR;
    case STATUS_FULL_JOURNAL:
        return EX_CANTCREAT;
    case STATUS_LATE_JOURNAL:
    case STATUS_FULL_SEGMENT:
    case STATUS_FULL_ACCOUNTS:
    case STATUS_FULL_SLOTS:
    case STATUS_NO_MEMORY:
        return EX_TEMPFAIL;
    default:
        return EX_UNAVAILABLE;
    }
}

static void print_line(const char *kind, const char *text)
{
    printf("%s: ", kind);
    print_escaped(text);
    putchar('\n');
}

static void say_of_check(void *context, enum report_kind kind, const char *text)
{
    (void)context;
    print_line(kind == REPORT_NOTE ? "note" : "finding", text);
}

static void say_of_repair(void *context, enum report_kind kind, const char *text)
{
    static const char *const kinds[REPORT_KINDS] = {"note", "damage", "lost", "exported"};
    (void)context;
    print_line(kinds[kind], text);
}

struct report check_report(void)
{
    return (struct report){.say = say_of_check};
}

struct report repair_report(void)
{
    return (struct report){.say = say_of_repair};
}

int end_check(const struct report *report)
{
    if (report_findings(report) > 0)
        return FOUND;
    puts("clean");
    return 0;
}

int end_repair(const struct report *report)
{
    puts(report_findings(report) > 0 ? "repaired" : "nothing to repair");
    return report->counts[REPORT_LOST] + report->counts[REPORT_EXPORTED] > 0 ? FOUND : 0;
}

/* The result, unless it could not be printed. Of a write that failed before the last one nobody knows why any
 * more. */
static int finish(int result)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return result;
    fprintf(stderr, "shmailctl: cannot write: %s\n", errno ? strerror(errno) : "something is missing");
    return EX_IOERR;
}

/* journal takes its FILE instead of -n or -d, and rm its NAME. */
static int run_verb(const struct verb *verb, const char *name, const struct request *request)
{
    int result;
    if (request->count > verb->most)
        return usage("too many arguments for ", verb->name);
    if (strcmp(verb->name, "rm") == 0)
        result = name || request->directory ? usage("rm takes its NAME only", "") : verb_remove(request);
    else if (name && request->directory)
        result = verb->on_both ? verb->on_both(request) : usage("give -n or -d, not both", "");
    else if (request->directory)
        result = verb->on_directory ? verb->on_directory(request)
                                    : usage("this verb does not take -d: ", verb->name);
    else if (verb->on_name)
        result = verb->on_name(request);
    else
        result = name ? usage("this verb does not take -n: ", verb->name) : verb->on_directory(request);
    return finish(result);
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};
    const char *name = NULL;
    struct request request = {.directory = NULL, .domain = "mail.localhost"};
    if (!standard_hold())
        return EX_OSERR; /* there is nowhere to say it */
    log_open("shmailctl", LOG_LEVEL_INFO, false);
    opterr = 0; /* complaints are ours */
    for (int option; (option = getopt_long(argc, argv, "+:n:d:D:hV", long_options, NULL)) != -1;) {
        switch (option) {
        case 'n':
            name = optarg;
            break;
        case 'd':
            request.directory = optarg;
            break;
        case 'D':
            request.domain = optarg;
            if (!name_is_domain(optarg))
                return usage("-D takes a domain like mail.localhost, not ", optarg);
            break;
        case 'h':
            print_help(stdout);
            return finish(0);
        case 'V':
            puts("shmailctl " SHMAIL_VERSION);
            return finish(0);
        case ':':
            return usage("a value is missing behind ", argv[optind - 1]);
        default:
            return unknown_option(argv[optind - 1]);
        }
    }
    if (optind == argc)
        return usage("a verb is missing", "");
    const struct verb *verb = find_verb(argv[optind]);
    if (!verb)
        return usage("there is no verb ", argv[optind]);
    request.name = name ? name : "main";
    request.count = argc - optind - 1;
    request.arguments = argv + optind + 1;
    return run_verb(verb, name, &request);
}
