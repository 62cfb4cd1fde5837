/* tool_load.c: many clients at once on one server, each a process, half of them in SMSP and half in Message,
 * that write to each other and read, list and delete what they get. Proves that whatever was acknowledged is
 * delivered once, in order and intact, and prints one line with figures; exits 1 with a reason where it is
 * not so. It knows of the server what is on the wire.
 *
 *     tool_load ADDRESS CLIENTS OPERATIONS
 *
 * ADDRESS: inet:HOST:PORT or unix:PATH. */
#include "clock.h"
#include "load_life.h"
#include "number.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>

/* Waits for all; the first that fails ends the others, who may be waiting for it. */
static bool wait_for_all(pid_t *processes, size_t count)
{
    bool good = true;
    int status;
    pid_t pid;

    while ((pid = wait(&status)) > 0) {
        for (size_t i = 0; i < count; i++) {
            processes[i] = processes[i] == pid ? 0 : processes[i];
        }
        if (good && status != 0) {
            good = false;
            for (size_t i = 0; i < count; i++) {
                if (processes[i] != 0) {
                    (void)kill(processes[i], SIGKILL);
                }
            }
        }
    }
    return good;
}

static uint64_t number_of(const char *text, uint64_t most)
{
    uint64_t number = 0;

    if (!number_parse(text, strlen(text), most, &number) || number == 0) {
        (void)fprintf(stderr, "tool_load: %s: not a number from 1 to %" PRIu64 "\n", text, most);
        exit(EX_USAGE);
    }
    return number;
}

static void find_address(const char *text, struct address *address)
{
    static struct address found[ADDRESS_FOUND_MAX];
    struct address_name name;
    const char *why = "";

    if (!address_parse(text, &name, &why) || address_find(&name, found, &why) == 0) {
        (void)fprintf(stderr, "tool_load: %s: %s\n", text, why);
        exit(EX_USAGE);
    }
    *address = found[0];
}

static pid_t fork_bound(void)
{
    pid_t pid = fork();

    if (pid < 0) {
        fail("no process: %s", strerror(errno));
    }
    if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        fail("prctl: %s", strerror(errno));
    }
    return pid;
}

int main(int argc, char **argv)
{
    static struct address address;
    static pid_t processes[CLIENTS_MAX];
    static struct client client;

    if (argc != 4) {
        (void)fprintf(stderr, "usage: tool_load ADDRESS CLIENTS OPERATIONS\n");
        return EX_USAGE;
    }
    find_address(argv[1], &address);
    unsigned clients = (unsigned)number_of(argv[2], CLIENTS_MAX);
    uint64_t operations = number_of(argv[3], 1000000);
    struct ledger *ledger = ledger_open(clients, operations);
    ledger->run = getpid();
    ledger->target = operations;
    int64_t start = clock_now();
    for (unsigned i = 0; i < clients; i++) {
        processes[i] = fork_bound();
        if (processes[i] == 0) {
            client_live(&client, ledger, i, (struct wire){.dial = dial_address, .context = &address});
            _exit(0);
        }
    }
    if (!wait_for_all(processes, clients)) {
        return 1;
    }
    double seconds = (double)(clock_now() - start) / (double)NANOSECONDS_PER_SECOND;
    struct tally tally = audit(ledger);
    printf("%u clients, %" PRIu64 " operations, %" PRIu64
           " messages, %.1f seconds, %.0f operations a second; "
           "%" PRIu64 " connections lost\n",
           clients, ledger_operations(ledger), tally.sent, seconds,
           (double)ledger_operations(ledger) / seconds, ledger->lost);
    return 0;
}
