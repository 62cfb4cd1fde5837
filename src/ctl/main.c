/* main.c: shmailctl looks into a post office from the same machine: a table of verbs, each done and printed
 * here.
 *
 * It works on the segment as one more process of it, with a slot of its own. */
#include "account.h"
#include "log.h"
#include "mailbox.h"
#include "store.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { FOUND = 1 }; /* the exit status of a check with findings */

static int check(struct store *store);
static int list_processes(struct store *store);
static int print_figures(struct store *store);

static const struct verb {
    const char *name, *help;
    int (*run)(struct store *);
} verbs[] = {
    {"check", "prove that the segment is sound; exit 1 and a line for each finding if it is not", check},
    {"ps", "list the processes that are attached", list_processes},
    {"stat", "print how much is in the segment", print_figures},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static void print_finding(void *context, const char *text)
{
    printf("%s: %s\n", (const char *)context, text);
}

static int check(struct store *store)
{
    static char where[] = "finding";
    store_reclaim(store);
    size_t findings = store_check(store, print_finding, where);
    if (findings == 0)
        puts("clean");
    return findings ? FOUND : 0;
}

static int list_processes(struct store *store)
{
    struct store_process process;
    uint32_t slot = 0;
    puts("SLOT\tPID\tSINCE\tPROTOCOL\tSTATE\tACCOUNT\tPEER");
    while (store_next_process(store, &slot, &process)) {
        char since[32];
        time_t seconds = (time_t)process.since;
        struct tm parts;
        strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%S", localtime_r(&seconds, &parts));
        printf("%u\t%ld\t%s\t%s\t%s\t%s\t%s\n", process.slot, (long)process.pid, since,
               process.protocol[0] ? process.protocol : "-",
               !process.alive    ? "dead"
               : process.waiting ? "waiting"
                                 : "alive",
               process.account[0] ? process.account : "-", process.peer);
    }
    return 0;
}

static int print_figures(struct store *store)
{
    struct store_figures figures;
    store_figures(store, &figures);
    printf("accounts\t%u of %u\n", figures.accounts, figures.accounts_most);
    printf("sessions\t%u\n", figures.sessions);
    printf("processes\t%u of %u\n", figures.slots, figures.slots_most);
    printf("blocks\t%.1f MiB of %.0f MiB\n", (double)(figures.pages_used - figures.pages_free) / 16,
           (double)figures.segment_bytes / (1 << 20));
    if (figures.server)
        printf("server\tprocess %ld\n", (long)figures.server);
    else
        puts("server\tnone");
    return 0;
}

static void print_help(FILE *out)
{
    fputs("usage: shmailctl [-n NAME] VERB\n"
          "       shmailctl rm NAME\n\n"
          "  -n NAME        the post office (default: main)\n"
          "  -V, --version  print the version\n"
          "  -h, --help     print this\n\n",
          out);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        fprintf(out, "  %-8s %s\n", verbs[i].name, verbs[i].help);
    fputs("  rm NAME  remove a post office, with all that is in it\n", out);
}

static int remove_post_office(const char *name)
{
    char why[256];
    enum status status = store_remove(name, why, sizeof(why));
    if (status == STATUS_OK)
        return 0;
    fprintf(stderr, "shmailctl: %s\n", why);
    return status == STATUS_MALFORMED ? EX_USAGE : EX_UNAVAILABLE;
}

static int run_verb(const struct verb *verb, const char *name)
{
    static struct store *store; /* until the process ends: there is no close */
    char why[512];
    if (store_open(&store, &(struct store_options){.name = name, .must_exist = true}, why, sizeof(why)) !=
        STATUS_OK) {
        fprintf(stderr, "shmailctl: %s\n", why);
        return EX_UNAVAILABLE;
    }
    enum status status = store_attach(store, "shmailctl");
    if (status != STATUS_OK) {
        fprintf(stderr, "shmailctl: cannot attach to post office %s: %s\n", name, status_text(status));
        return EX_TEMPFAIL;
    }
    store_describe(store, "ctl");
    int result = verb->run(store);
    store_detach(store);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "shmailctl: cannot write: %s\n", strerror(errno));
        return EX_IOERR;
    }
    return result;
}

static int usage(const char *what, const char *word)
{
    fprintf(stderr, "shmailctl: %s%s; see 'shmailctl --help'\n", what, word);
    return EX_USAGE;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};
    const char *name = "main";
    log_open("shmailctl", LOG_LEVEL_INFO, false);
    for (int option; (option = getopt_long(argc, argv, "+n:hV", long_options, NULL)) != -1;) {
        switch (option) {
        case 'n':
            name = optarg;
            break;
        case 'h':
            print_help(stdout);
            return 0;
        case 'V':
            puts("shmailctl " SHMAIL_VERSION);
            return 0;
        default:
            return EX_USAGE;
        }
    }
    if (optind == argc)
        return usage("a verb is missing", "");
    if (strcmp(argv[optind], "rm") == 0)
        return argc - optind == 2 ? remove_post_office(argv[optind + 1]) : usage("rm takes one NAME", "");
    const struct verb *verb = find_verb(argv[optind]);
    if (!verb)
        return usage("there is no verb ", argv[optind]);
    return argc - optind == 1 ? run_verb(verb, name) : usage("too many arguments for ", verb->name);
}
