/* segment_verbs.c: the verbs that work on a post office in memory. All but repair and rm do so as one more
 * process of it, with a slot of its own. */
#include "fault.h"
#include "segment_tools.h"
#include "store.h"
#include "verbs.h"

#include <stdio.h>
#include <time.h>

static int attached(const struct request *request, int (*run)(struct store *))
{
    static struct store *store; /* until the process ends: there is no close */
    char why[1024];
    const struct store_options options = {.name = request->name, .must_exist = true};
    fault_watch(&store, request->name);
    enum status status = store_open(&store, &options, why, sizeof(why));
    if (status != STATUS_OK)
        return refuse(status, why);
    status = store_attach_to_check(store, "shmailctl");
    if (status != STATUS_OK) {
        snprintf(why, sizeof(why), "cannot attach to post office %s: %s", request->name, status_text(status));
        return refuse(status, why);
    }
    store_describe(store, "ctl");
    int result = run(store);
    store_detach(store);
    return result;
}

static void note_finding(void *context, const char *finding)
{
    report_say(context, REPORT_DAMAGE, "%s", finding);
}

/* What is suspect is not worked on before it is acquitted. */
static int check(struct store *store)
{
    struct report report = check_report();
    if (!store_is_suspect(store))
        store_reclaim(store);
    enum status status = store_acquit(store, note_finding, &report);
    return status == STATUS_NO_MEMORY ? refuse(status, "no memory to check with") : end_check(&report);
}

int verb_check_segment(const struct request *request)
{
    return attached(request, check);
}

/* "-": the year does not fit an int, so it is a scribble. */
static void print_since(int64_t since)
{
    char text[sizeof("-2147483648-01-01T00:00:00")] = "-";
    time_t seconds = (time_t)since;
    struct tm parts;
    if (localtime_r(&seconds, &parts))
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    fputs(text, stdout);
}

static int list_processes(struct store *store)
{
    struct store_process process;
    uint32_t slot = 0;
    puts("SLOT\tPID\tSINCE\tPROTOCOL\tSTATE\tACCOUNT\tPEER");
    while (store_next_process(store, &slot, &process)) {
        printf("%u\t%ld\t", process.slot, (long)process.pid);
        print_since(process.since);
        putchar('\t');
        print_escaped(process.protocol[0] ? process.protocol : "-");
        printf("\t%s\t", !process.alive ? "dead" : process.waiting ? "waiting" : "alive");
        print_escaped(process.account[0] ? process.account : "-");
        putchar('\t');
        print_escaped(process.peer);
        putchar('\n');
    }
    return 0;
}

int verb_processes(const struct request *request)
{
    return attached(request, list_processes);
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
    if (figures.server < 0)
        puts("server\ta process of another name space");
    else if (figures.server)
        printf("server\tprocess %ld\n", (long)figures.server);
    else
        puts("server\tnone");
    return 0;
}

int verb_figures(const struct request *request)
{
    return attached(request, print_figures);
}

int verb_repair_segment(const struct request *request)
{
    struct report report = repair_report();
    char why[1024];
    enum status status = segment_repair(request->name, request->directory, &report, why, sizeof(why));
    return status == STATUS_OK ? end_repair(&report) : refuse(status, why);
}

int verb_remove(const struct request *request)
{
    char why[1024];
    if (request->count != 1)
        return usage("rm takes one NAME", "");
    enum status status = store_remove(request->arguments[0], why, sizeof(why));
    return status == STATUS_OK ? 0 : refuse(status, why);
}
