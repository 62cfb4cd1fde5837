/* test_torture.c: a post office under load, as the real programs, while its children, the processes of inetd,
 * tools, keepers and servers are killed, stopped and continued at random. Whatever was acknowledged is there
 * once and in order, nothing leaks, nobody waits for ever; and who is stopped with the lock keeps it.
 *
 * SHMAIL_TORTURE_KILLS: how many kills (default: 5,000). SHMAIL_TORTURE_SEED: the seed of a run that failed,
 * which it has printed. */
#include "sanitized.h"
#include "torture_strike.h"

#include <sys/random.h>

enum {
    KILLS = 5000,
    ROUND_KILLS = 500,   /* then all mail is read and everything is checked */
    CHECK_EVERY = 100,   /* kills, under load */
    GAP_OPERATIONS = 40, /* between two strikes, at most; else so many milliseconds */
    GAP_MILLISECONDS = 20,
    EVERYBODY_KILLS = 150,  /* between two deaths of all at once, about */
    ABSENCE_KILLS = 12,     /* while there is no server, at most */
    LETTERS_MOST = 1000000, /* of one client in a round */
    FEW_CLIENTS = 8,
    STANDSTILL_MILLISECONDS = 300,
    STAND_MILLISECONDS = 1500, /* many a sleep for the lock */
    LIMIT_SHORT = 280,         /* seconds */
    LIMIT_LONG = 12 * 3600,
};

static uint64_t number_in(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static unsigned choose_seed(void)
{
    unsigned seed = 0;

    EXPECT_EQ(getrandom(&seed, sizeof seed, 0), sizeof seed);
    seed = (unsigned)number_in("SHMAIL_TORTURE_SEED", seed % 1000000);
    harness_say("SHMAIL_TORTURE_SEED=%u", seed);
    return seed;
}

static void wait_for_operations(struct ledger *ledger, unsigned count)
{
    struct timespec until = deadline_at(clock_now() + GAP_MILLISECONDS * MILLISECOND);

    __atomic_store_n(&ledger->awaited, ledger_operations(ledger) + count, __ATOMIC_RELAXED);
    (void)sem_clockwait(&ledger->mark, CLOCK_MONOTONIC, &until);
    while (sem_trywait(&ledger->mark) == 0) {
    }
}

static enum kind draw_kind(void)
{
    enum { OF_CHILD = 60, OF_INETD = 80, OF_KEEPER = 88, OF_TOOL = 97 };
    unsigned drawn = random_below(100);

    return drawn < OF_CHILD    ? CHILD
           : drawn < OF_INETD  ? INETD
           : drawn < OF_KEEPER ? KEEPER
           : drawn < OF_TOOL   ? TOOL
                               : SERVER;
}

static void strike(void)
{
    enum kind kind = draw_kind();
    bool stop = random_below(8) == 0, owner = random_below(2) == 0;

    if (office->server == 0 && strikes.absence-- == 0) {
        bring_server();
    }
    if (kind == SERVER && office->server == 0) {
        kind = CHILD;
    }
    if (kind == TOOL) {
        kill_tool();
    } else if (stop && strikes.stopped_count < STOPPED_MOST) {
        stop_one(kind, owner);
    } else if (kind == SERVER) {
        kill_server();
        strikes.absence = random_below(ABSENCE_KILLS);
    } else {
        kill_one(kind, owner);
    }
}

/* Where all mail is read a mailbox has one node of its index, or none. */
static uint64_t blocks_expected(const struct store *segment)
{
    uint64_t blocks = segment->header->accounts_live;

    for (uint32_t i = 1; i <= segment->header->accounts_used; i++) {
        EXPECT(account_at(segment, i)->height <= 1);
        blocks += account_at(segment, i)->height;
    }
    return blocks;
}

static uint64_t blocks_in_use(const struct store *segment)
{
    uint64_t blocks = 0;

    for (uint32_t i = 0; i < segment->header->pages_used; i++) {
        blocks += segment->pages[i].word >> 8 & UINT16_MAX;
    }
    return blocks;
}

/* Whoever holds a slot, but for keepers: the server's, and one that inetd has left for some seconds. */
static bool somebody_is_there(struct store_process *process)
{
    uint32_t slot = 0;

    while (store_next_process(strikes.segment, &slot, process)) {
        if (strcmp(process->protocol, "keeper") != 0 || !process->alive) {
            return true;
        }
    }
    return false;
}

/* What is left when all mail is read and all clients have gone: no slot, and no block too many. One that was
 * killed may have died so late that nobody has come since, who would have taken its slot. */
static void expect_empty(void)
{
    int64_t deadline = deadline_after_seconds(PATIENCE_SECONDS);
    struct store_process process;

    expect_clean("-n", harness_name());
    while (somebody_is_there(&process)) {
        if (clock_now() > deadline) {
            harness_fail(__FILE__, __LINE__, "process %ld, which is %s, holds slot %u: '%s', peer '%s', %s",
                         (long)process.pid, process.alive ? "there" : "gone", (unsigned)process.slot,
                         process.protocol, process.peer, process.waiting ? "waiting" : "not waiting");
        }
        if (!process.alive) {
            expect_clean("-n", harness_name());
        }
        (void)poll(NULL, 0, 1);
    }
    EXPECT_EQ(blocks_in_use(strikes.segment), blocks_expected(strikes.segment));
}

struct sum {
    uint64_t operations, letters, lost;
    uint64_t newest[CLIENTS_MAX];
};

static struct ledger *begin_round(const struct sum *sum, unsigned clients)
{
    struct ledger *ledger = ledger_open(clients, LETTERS_MOST);

    ledger->run = getpid();
    ledger->seed = (unsigned)rand_r(&office->random);
    memcpy(ledger->newest, sum->newest, sizeof ledger->newest);
    start_clients(ledger);
    return ledger;
}

/* Nobody is killed any more. All mail is read, and everything is checked. */
static void end_round(struct sum *sum, struct ledger *ledger)
{
    __atomic_store_n(&ledger->target, 0, __ATOMIC_RELAXED);
    while (clients_live()) {
        wait_for_operations(ledger, GAP_OPERATIONS);
        reap();
    }
    expect_empty();
    sum->letters += audit(ledger).sent;
    sum->operations += ledger_operations(ledger);
    sum->lost += ledger->lost;
    memcpy(sum->newest, ledger->newest, sizeof sum->newest);
    ledger_close(ledger);
}

static void run_round(struct sum *sum, uint64_t kills)
{
    struct ledger *ledger = begin_round(sum, CLIENTS);
    uint64_t before = strikes.killed, checked = before, all = before + 1 + random_below(2 * EVERYBODY_KILLS);

    while (strikes.killed - before < kills) {
        wait_for_operations(ledger, 1 + random_below(GAP_OPERATIONS));
        reap();
        continue_stopped(false);
        strike();
        if (strikes.killed >= all) {
            kill_everybody(ledger);
            all = strikes.killed + 1 + random_below(2 * EVERYBODY_KILLS);
        }
        if (strikes.killed - checked >= CHECK_EVERY) {
            continue_stopped(true);
            expect_clean("-n", harness_name());
            checked = strikes.killed;
            strikes.checks++;
        }
    }
    if (office->server == 0) {
        bring_server();
    }
    continue_stopped(true);
    end_round(sum, ledger);
}

/* Nobody is there any more but the server, which ends as it should. */
static void end_server(void)
{
    int status;

    EXPECT_EQ(kill(office->server, SIGTERM), 0);
    EXPECT_EQ(waitpid(office->server, &status, 0), office->server);
    EXPECT_EQ(status, 0);
    if (office->directory != NULL) {
        (void)kill_own_children(); /* a keeper that inetd has left would stay for some seconds */
        expect_clean("-d", office->directory);
    }
}

static void say_figures(const struct sum *sum)
{
    char kinds[200];
    int used = 0;

    for (size_t kind = 0; kind < KINDS; kind++) {
        used += snprintf(kinds + used, sizeof kinds - (size_t)used, "%" PRIu64 " %s, ", strikes.kills[kind],
                         kind_names[kind]);
    }
    harness_say("%" PRIu64 " kills: %s%" PRIu64 " all at once; %" PRIu64 " times the memory was gone",
                strikes.killed, kinds, strikes.at_once, strikes.losses);
    harness_say("%" PRIu64 " of them owned the lock; %" PRIu64 " stops, %" PRIu64
                " of who owned the lock: 0 robbed; %" PRIu64 " checks under load: all clean",
                strikes.owners_killed, strikes.stops, strikes.owners_stopped, strikes.checks);
    harness_say("%" PRIu64 " operations, %" PRIu64 " connections lost, %" PRIu64
                " letters acknowledged: 0 lost, 0 duplicated, 0 leaked blocks, 0 stuck",
                sum->operations, sum->lost, sum->letters);
}

static void torture(const char *directory, uint64_t kills)
{
    struct sum sum = {0};

    open_office(directory, choose_seed());
    see_segment();
    while (strikes.killed < kills) {
        uint64_t left = kills - strikes.killed;
        run_round(&sum, left < ROUND_KILLS ? left : ROUND_KILLS);
    }
    end_server();
    say_figures(&sum);
}

static uint64_t kills_asked_for(void)
{
    return number_in("SHMAIL_TORTURE_KILLS",
                     SANITIZED ? KILLS / 10 : KILLS); /* each process takes its time to begin there */
}

static void in_memory(void)
{
    torture(NULL, kills_asked_for() / 2);
}

static void with_a_journal(void)
{
    torture("journal", kills_asked_for() - kills_asked_for() / 2);
}

/* ---- a stop at leisure ---- */

static void wait_for_so_many_operations(struct ledger *ledger, uint64_t count)
{
    uint64_t until = ledger_operations(ledger) + count;
    int64_t deadline = deadline_after_seconds(PATIENCE_SECONDS);

    while (ledger_operations(ledger) < until) {
        EXPECT(clock_now() < deadline);
        wait_for_operations(ledger, (unsigned)(until - ledger_operations(ledger)));
        reap();
    }
}

/* COUNT takes no lock: it may take a while until each client wants something else. */
static void wait_for_standstill(struct ledger *ledger)
{
    int64_t deadline = deadline_after_seconds(PATIENCE_SECONDS);
    uint64_t before;

    do {
        EXPECT(clock_now() < deadline);
        before = ledger_operations(ledger);
        (void)poll(NULL, 0, STANDSTILL_MILLISECONDS);
    } while (ledger_operations(ledger) != before);
}

static void stop_an_owner(void)
{
    int64_t deadline = deadline_after_seconds(PATIENCE_SECONDS);

    for (;;) {
        EXPECT(clock_now() < deadline);
        stop_one(CHILD, true);
        if (strikes.owners_stopped > 0) {
            return;
        }
        if (strikes.stopped_count > 0) {
            continue_one(0);
        }
    }
}

static void a_stopped_owner(void)
{
    const char *const check[] = {"shmailctl", "-n", harness_name(), "check", NULL};
    struct sum sum = {0};
    int status;

    open_office(NULL, choose_seed());
    see_segment();
    struct ledger *ledger = begin_round(&sum, FEW_CLIENTS);
    wait_for_so_many_operations(ledger, GAP_OPERATIONS);
    stop_an_owner();
    uint64_t owner = strikes.stopped[0].owner;
    pid_t tool = fork_tool(check, STDERR_FILENO);
    struct pollfd end = {.fd = pidfd_open(tool, 0), .events = POLLIN};
    wait_for_standstill(ledger);
    uint64_t operations = ledger_operations(ledger);
    int64_t until = clock_now() + STAND_MILLISECONDS * MILLISECOND;
    while (clock_now() < until) {
        EXPECT_EQ(owner_now(), owner);
        EXPECT_EQ(poll(&end, 1, 10), 0);
    }
    EXPECT_EQ(ledger_operations(ledger), operations);
    continue_one(0);
    EXPECT_EQ(waitpid(tool, &status, 0), tool);
    EXPECT_EQ(status, 0);
    wait_for_so_many_operations(ledger, GAP_OPERATIONS);
    end_round(&sum, ledger);
    EXPECT_EQ(sum.lost, 0);
    end_server();
}

static struct harness_test tests[] = {
    {"kills at random lose, double, leak and block nothing", in_memory},
    {"kills at random lose nothing that is in the journal, not even with the memory", with_a_journal},
    {"who is stopped with the lock blocks the others, and is not robbed of it", a_stopped_owner},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        tests[i].limit = kills_asked_for() <= KILLS ? LIMIT_SHORT : LIMIT_LONG;
    }
    return harness_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
