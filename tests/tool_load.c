/* tool_load.c: many clients at once on one server, each a process, half of them in SMSP and half in Message,
 * that write to each other and read, list and delete what they get. Proves that whatever was acknowledged is
 * delivered once, in order and intact, and prints one line with figures; exits 1 with a reason where it is
 * not so. It knows of the server what is on the wire, and which processes to send signals to.
 *
 *     tool_load ADDRESS CLIENTS OPERATIONS [SIGNAL TIMES PARENT]
 *
 * ADDRESS: inet:HOST:PORT or unix:PATH. SIGNAL: KILL kills a child of PARENT, TIMES times spread over the
 * operations; a client whose connection is lost connects anew. STOP stops one for a moment. */
#include "clock.h"
#include "load_message.h"
#include "load_signals.h"
#include "load_smsp.h"
#include "number.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>

enum {
    HELD_ENOUGH = 16, /* letters; a client that holds more deletes first */
    HUNDRED = 100,
};

/* ---- a client ---- */

static void send_letter(struct client *c)
{
    uint64_t *sent = &c->ledger->sent[c->number];
    struct letter_name letter = {c->number, draw(c, c->ledger->clients), ++*sent};
    struct entry *entry = ledger_entry(c->ledger, c->number, letter.number);

    entry->recipient = letter.recipient;
    ledger_set(entry, PERHAPS_SENT);
    if (!c->speech->send(c, letter, entry)) {
        client_revive(c);
    }
}

static void remove_letter(struct client *c, size_t position)
{
    c->speech->remove(c, &c->held[position]);
    forget(c, position);
}

/* Letters come and go in balance. */
static void step(struct client *c)
{
    enum { SEND = 32, LOOK = 44, READ = 60, COUNT = 66, WAIT = 67 };
    unsigned what = c->held_count > HELD_ENOUGH ? HUNDRED : draw(c, HUNDRED);
    size_t position = c->held_count > 0 ? draw(c, c->held_count) : 0;
    bool answer = true;

    if (what >= WAIT && c->held_count == 0) {
        what = SEND; /* nothing to remove: a look */
    }
    if (what < SEND && c->ledger->sent[c->number] < c->ledger->most) {
        send_letter(c);
    } else if (what < LOOK) {
        answer = c->speech->look(c);
    } else if (what < READ) {
        answer = c->speech->read(c, c->held_count > 0 ? &c->held[position] : NULL);
    } else if (what < COUNT) {
        answer = c->speech->count(c);
    } else if (what < WAIT) {
        answer = c->speech->wait(c);
    } else {
        remove_letter(c, draw(c, 2) == 0 ? 0 : position);
    }
    if (!answer) {
        client_revive(c);
    }
}

static void insist(struct client *c, bool (*operation)(struct client *))
{
    while (!operation(c)) {
        client_revive(c);
    }
}

/* Empties the mailbox by the other protocol, where the account may be entered by it. */
static void drain(struct client *c)
{
    wire_close(&c->wire);
    if (is_local(c->number)) {
        c->speech = c->speech == &smsp_speech ? &message_speech : &smsp_speech;
    }
    wire_connect(&c->wire);
    insist(c, c->speech->enter);
    insist(c, c->speech->look);
    c->alone = true;
    while (c->held_count > 0) {
        size_t position = draw(c, c->held_count);
        while (!c->speech->read(c, &c->held[position])) {
            client_revive(c);
        }
        remove_letter(c, position);
    }
    insist(c, c->speech->count);
    insist(c, c->speech->look);
    wire_close(&c->wire);
}

/* Where the server has no child left, this client's connection is lost as well. */
static void give_signals(struct client *c, const struct signals *signals)
{
    while (ledger_claim(c->ledger)) {
        (void)pthread_mutex_lock(&c->ledger->signalling);
        int process = open_child(signals->parent, &c->random);
        while (process < 0) {
            client_revive(c);
            process = open_child(signals->parent, &c->random);
        }
        strike(process, signals->number);
        (void)pthread_mutex_unlock(&c->ledger->signalling);
        (void)close(process);
    }
}

_Noreturn static void run_client(struct ledger *ledger, const struct address *address,
                                 const struct signals *signals, unsigned number)
{
    static struct client client;
    static char who[32];
    struct client *c = &client;

    (void)snprintf(who, sizeof who, "client %u (%s)", number,
                   speaks_message(number)          ? "Message"
                   : terminator_of(number) == '\n' ? "SMSP, LF"
                                                   : "SMSP, NUL");
    who_fails = who;
    c->ledger = ledger;
    c->number = number;
    c->random = number + 1;
    c->wire.address = address;
    c->speech = speaks_message(number) ? &message_speech : &smsp_speech;
    wire_connect(&c->wire);
    insist(c, c->speech->enter);
    ledger_meet(ledger);
    while (ledger_operations(ledger) < ledger->target) {
        step(c);
        give_signals(c, signals);
    }
    ledger_meet(ledger);
    drain(c);
    _exit(0);
}

/* ---- the whole ---- */

/* Sparse: an entry that is never written costs nothing. */
static struct ledger *open_ledger(unsigned clients, uint64_t operations, const struct signals *signals)
{
    size_t size = sizeof(struct ledger) + clients * (operations + 1) * sizeof(struct entry);
    struct ledger *ledger =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    pthread_barrierattr_t barrier;
    pthread_mutexattr_t mutex;

    if (ledger == MAP_FAILED) {
        fail("no memory: %s", strerror(errno));
    }
    ledger->clients = clients;
    ledger->target = operations;
    ledger->most = operations;
    ledger->signals = signals->times;
    if (pthread_barrierattr_init(&barrier) != 0 || pthread_mutexattr_init(&mutex) != 0 ||
        pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED) != 0 ||
        pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED) != 0 ||
        pthread_barrier_init(&ledger->barrier, &barrier, clients) != 0 ||
        pthread_mutex_init(&ledger->signalling, &mutex) != 0) {
        fail("the clients cannot wait for each other");
    }
    return ledger;
}

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

struct tally {
    uint64_t sent, in_doubt, in_doubt_found;
};

static struct tally audit(struct ledger *ledger)
{
    struct tally tally = {0};

    for (unsigned sender = 0; sender < ledger->clients; sender++) {
        for (uint64_t number = 1; number <= ledger->sent[sender]; number++) {
            const struct entry *entry = ledger_entry(ledger, sender, number);
            if (entry->state == SENT && entry->seen == 0) {
                fail("letter %" PRIu64 " from %u to %u was acknowledged and is lost", number, sender,
                     entry->recipient);
            }
            if (entry->told != 0 && entry->told != entry->seen) {
                fail("letter %" PRIu64 " from %u to %u was announced as %" PRIu64 " and came as %" PRIu64,
                     number, sender, entry->recipient, entry->told, entry->seen);
            }
            if (entry->state == NEVER_SENT && entry->seen != 0) {
                fail("letter %" PRIu64 " from %u to %u was never sent and came", number, sender,
                     entry->recipient);
            }
            tally.sent += entry->state == SENT;
            tally.in_doubt += entry->state == PERHAPS_SENT;
            tally.in_doubt_found += entry->state == PERHAPS_SENT && entry->seen != 0;
        }
    }
    return tally;
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
    struct signals signals = {0};

    if (argc == 7) {
        signals.number = strcmp(argv[4], "KILL") == 0 ? SIGKILL : strcmp(argv[4], "STOP") == 0 ? SIGSTOP : 0;
    }
    if (argc != 4 && signals.number == 0) {
        (void)fprintf(stderr, "usage: tool_load ADDRESS CLIENTS OPERATIONS [KILL|STOP TIMES PARENT]\n");
        return EX_USAGE;
    }
    find_address(argv[1], &address);
    unsigned clients = (unsigned)number_of(argv[2], CLIENTS_MAX);
    uint64_t operations = number_of(argv[3], 1000000);
    if (argc == 7) {
        signals.times = number_of(argv[5], operations);
        signals.parent = (pid_t)number_of(argv[6], INT32_MAX);
    }
    struct ledger *ledger = open_ledger(clients, operations, &signals);
    int64_t start = clock_now();
    for (unsigned i = 0; i < clients; i++) {
        processes[i] = fork_bound();
        if (processes[i] == 0) {
            run_client(ledger, &address, &signals, i);
        }
    }
    if (!wait_for_all(processes, clients)) {
        return 1;
    }
    double seconds = (double)(clock_now() - start) / (double)NANOSECONDS_PER_SECOND;
    struct tally tally = audit(ledger);
    printf("%u clients, %" PRIu64 " operations, %" PRIu64
           " messages, %.1f seconds, %.0f operations a second; "
           "%" PRIu64 " connections lost, %" PRIu64 " messages in doubt, %" PRIu64 " of them delivered\n",
           clients, ledger_operations(ledger), tally.sent, seconds,
           (double)ledger_operations(ledger) / seconds, ledger->lost, tally.in_doubt, tally.in_doubt_found);
    return 0;
}
