/* torture_strike.h: who is struck next and how: killed, or stopped and continued (or killed while stopped).
 * It looks into the segment for one thing only: whether who was stopped owns the lock, which must then stay
 * his. It knows nothing of mail. */
#ifndef SHMAIL_TEST_TORTURE_STRIKE_H
#define SHMAIL_TEST_TORTURE_STRIKE_H

#include "layout.h"
#include "lock.h"
#include "process.h"
#include "torture_office.h"

#define MILLISECOND (NANOSECONDS_PER_SECOND / 1000)
#define HUNT (2 * MILLISECOND) /* for an owner of the lock */

enum {
    STOPPED_MOST = 4,           /* processes at once */
    STOPPED_MILLISECONDS = 30,  /* at most */
    OWNER_MILLISECONDS = 150,   /* more than one sleep for the lock */
    LOOKS = 200,                /* for a process that is to be stopped to have stopped */
    DRAWS = 8,                  /* for one that is at work */
    START_MICROSECONDS = 20000, /* after which a server that starts has mostly started */
    TOOL_MICROSECONDS = 3000,
};

enum kind { CHILD, INETD, KEEPER, SERVER, STARTING, TOOL, KINDS };

static const char *const kind_names[KINDS] = {"children", "of inetd",         "keepers",
                                              "servers",  "starting servers", "tools"};

struct stopped {
    int process; /* pidfd */
    pid_t pid;
    enum kind kind;
    int64_t until;  /* a deadline */
    uint64_t owner; /* the owner word, where it is its own; else 0 */
};

struct strikes {
    uint64_t kills[KINDS], killed, at_once;
    uint64_t stops, owners_stopped, owners_killed, checks, losses;
    struct stopped stopped[STOPPED_MOST];
    size_t stopped_count;
    struct store *segment; /* seen, not attached */
    unsigned absence;      /* kills until the next server comes */
};

static struct strikes strikes;

static inline void give_signal(int process, int number)
{
    EXPECT(pidfd_send_signal(process, number, NULL, 0) == 0 || errno == ESRCH);
}

/* ---- the segment ---- */

/* Nobody may be stopped: who opens waits for who is opening. */
static inline void see_segment(void)
{
    const struct store_options options = {.name = harness_name(), .must_exist = true};
    char why[256] = "";

    if (strikes.segment != NULL) {
        char aside[1];
        (void)store_set_aside(&strikes.segment, NULL, aside, sizeof aside);
    }
    if (store_open(&strikes.segment, &options, why, sizeof why) != STATUS_OK) {
        harness_fail(__FILE__, __LINE__, "the segment cannot be seen: %s", why);
    }
}

static inline uint64_t owner_now(void)
{
    return load64(&strikes.segment->header->owner) & ~LOCK_WAITERS;
}

/* The owner word, if that is one of this process, who does not move. */
static inline uint64_t owner_word_of(pid_t pid)
{
    uint64_t owner = owner_now();

    if (owner == 0) {
        return 0;
    }
    const struct slot *slot = slot_at(strikes.segment, owner_slot(owner));
    return slot->pid == pid && owner == owner_word(owner_slot(owner), load64(&slot->life)) ? owner : 0;
}

/* ---- victims ---- */

static inline bool fits(enum kind kind, const struct process *process)
{
    bool ours = process->parent == getpid() || (office->server != 0 && process->parent == office->server);

    if (process->state == 'Z' || process->state == 'X') {
        return false;
    }
    if (kind == INETD) {
        int number = client_number(process->parent);
        return number >= 0 && __atomic_load_n(&office->inetd[number], __ATOMIC_ACQUIRE) == process->pid;
    }
    return ours && process->pid != office->server && client_number(process->pid) < 0 &&
           (strcmp(process->name, "shmaild: keeper") == 0) == (kind == KEEPER) &&
           strncmp(process->name, "shmaild", strlen("shmaild")) == 0;
}

static inline size_t candidates(enum kind kind, pid_t *pids)
{
    size_t count = 0;

    if (kind != INETD) {
        count = children_of(getpid(), pids, 0);
        return office->server != 0 ? children_of(office->server, pids, count) : count;
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        pid_t pid = __atomic_load_n(&office->inetd[i], __ATOMIC_ACQUIRE);
        if (pid > 0) {
            pids[count++] = pid;
        }
    }
    return count;
}

/* A descriptor that never means another process of the same number; -1: it is not of that kind, or gone. */
static inline int open_victim(enum kind kind, pid_t pid, bool also_stopped)
{
    int process = pidfd_open(pid, 0);
    struct process seen = look_at(pid);

    if (process >= 0 && (!fits(kind, &seen) || (seen.state == 'T' && !also_stopped))) {
        (void)close(process);
        return -1;
    }
    return process;
}

/* One that is at work if that is soon found, and none that stands still. -1: there is none. */
static inline int draw_victim(enum kind kind, pid_t *victim)
{
    pid_t pids[PROCESSES_MOST];
    size_t count = candidates(kind, pids), first = count > 0 ? random_below((unsigned)count) : 0;
    int found = -1;
    char state = 'X';

    for (size_t i = 0, fitting = 0; i < count && fitting < DRAWS && state != 'R'; i++) {
        struct process process = look_at(pids[(first + i) % count]);
        if (!fits(kind, &process) || (found >= 0 && process.state != 'R')) {
            continue;
        }
        int opened = open_victim(kind, process.pid, false);
        if (opened >= 0) {
            fitting++;
            if (found >= 0) {
                (void)close(found);
            }
            found = opened;
            state = process.state;
            *victim = process.pid;
        }
    }
    return found;
}

/* Gives the signal to one of that kind as soon as it is seen to own the lock, which it may have released when
 * the signal comes. -1: none did for a while. */
static inline int strike_owner(enum kind kind, int number, pid_t *victim)
{
    pid_t pids[PROCESSES_MOST];
    int processes[PROCESSES_MOST], found = -1;
    size_t count = candidates(kind, pids);

    for (size_t i = 0; i < count; i++) {
        processes[i] = open_victim(kind, pids[i], false);
    }
    for (int64_t until = clock_now() + HUNT; found < 0 && clock_now() < until;) {
        uint64_t owner = owner_now();
        for (size_t i = 0; owner != 0 && found < 0 && i < count; i++) {
            if (processes[i] >= 0 && slot_at(strikes.segment, owner_slot(owner))->pid == pids[i]) {
                give_signal(processes[i], number);
                found = processes[i];
                *victim = pids[i];
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (processes[i] >= 0 && processes[i] != found) {
            (void)close(processes[i]);
        }
    }
    return found;
}

/* ---- kills ---- */

static inline void count_kill(enum kind kind)
{
    strikes.kills[kind]++;
    strikes.killed++;
}

static inline void await_end(int process)
{
    struct pollfd end = {.fd = process, .events = POLLIN};

    EXPECT_EQ(poll(&end, 1, PATIENCE_SECONDS * 1000), 1);
    (void)close(process);
}

static inline void kill_process(int process)
{
    give_signal(process, SIGKILL);
    await_end(process);
}

static inline void kill_one(enum kind kind, bool owner)
{
    pid_t pid;
    int process = owner ? strike_owner(kind, SIGKILL, &pid) : draw_victim(kind, &pid);

    if (process < 0) {
        return;
    }
    kill_process(process);
    strikes.owners_killed += owner_word_of(pid) != 0;
    count_kill(kind);
    reap();
}

static inline void kill_server(void)
{
    EXPECT_EQ(kill(office->server, SIGKILL), 0);
    reap_one(office->server);
    count_kill(SERVER);
}

/* Kills a child of this process at some moment within so many microseconds. False: it had ended before. */
static inline bool kill_within(pid_t pid, unsigned microseconds)
{
    int process = pidfd_open(pid, 0), status;
    struct pollfd end = {.fd = process, .events = POLLIN};
    struct timespec pause = {.tv_nsec = random_below(microseconds) * 1000L};

    EXPECT(process >= 0);
    (void)ppoll(&end, 1, &pause, NULL);
    kill_process(process);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    expect_fair_end("a program", pid, status);
    return WIFSIGNALED(status);
}

static inline void kill_tool(void)
{
    static const char *const verbs[] = {"check", "ps", "stat"};
    const char *const arguments[] = {"shmailctl", "-n", harness_name(), verbs[random_below(3)], NULL};

    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    EXPECT(nowhere >= 0);
    if (kill_within(fork_tool(arguments, nowhere), TOOL_MICROSECONDS)) {
        count_kill(TOOL);
    }
    (void)close(nowhere);
}

/* ---- stops ---- */

static inline bool stands_still(pid_t pid)
{
    for (int i = 0; i < LOOKS; i++) {
        if (look_at(pid).state == 'T') {
            return true;
        }
        (void)poll(NULL, 0, i > LOOKS / 2);
    }
    return false;
}

/* The server too: connections wait for it. */
static inline void stop_one(enum kind kind, bool owner)
{
    struct stopped stopped = {.pid = office->server, .kind = kind};

    stopped.process = kind == SERVER ? pidfd_open(stopped.pid, 0)
                      : owner        ? strike_owner(kind, SIGSTOP, &stopped.pid)
                                     : draw_victim(kind, &stopped.pid);
    if (stopped.process < 0) {
        return;
    }
    give_signal(stopped.process, SIGSTOP);
    strikes.stops++;
    stopped.until = clock_now() + (1 + random_below(STOPPED_MILLISECONDS)) * MILLISECOND;
    stopped.owner = stands_still(stopped.pid) ? owner_word_of(stopped.pid) : 0;
    if (stopped.owner != 0) {
        stopped.until = clock_now() + OWNER_MILLISECONDS * MILLISECOND;
        strikes.owners_stopped++;
    }
    strikes.stopped[strikes.stopped_count++] = stopped;
}

static inline void expect_not_robbed(const struct stopped *stopped)
{
    if (stopped->owner != 0 && owner_now() != stopped->owner) {
        harness_fail(__FILE__, __LINE__, "process %ld was stopped with the lock and was robbed of it",
                     (long)stopped->pid);
    }
}

static inline void continue_one(size_t which)
{
    struct stopped *stopped = &strikes.stopped[which];

    expect_not_robbed(stopped);
    give_signal(stopped->process, SIGCONT);
    (void)close(stopped->process);
    *stopped = strikes.stopped[--strikes.stopped_count];
}

/* Those whose time has come, or all. Now and then it is killed as it stands. */
static inline void continue_stopped(bool all)
{
    for (size_t i = strikes.stopped_count; i-- > 0;) {
        struct stopped *stopped = &strikes.stopped[i];
        expect_not_robbed(stopped);
        if (!all && clock_now() < stopped->until) {
            continue;
        }
        if (stopped->kind != SERVER && random_below(4) == 0) {
            kill_process(stopped->process);
            count_kill(stopped->kind);
            *stopped = strikes.stopped[--strikes.stopped_count];
        } else {
            continue_one(i);
        }
    }
    reap();
}

/* ---- servers that come and go ---- */

/* A new server, beside whoever is left of the old one. The first ones may not live to listen. */
static inline void bring_server(void)
{
    int said;

    continue_stopped(true);
    while (random_below(2) == 0) {
        pid_t pid = fork_server(&said);
        if (kill_within(pid, START_MICROSECONDS)) {
            count_kill(STARTING);
        }
        (void)close(said);
    }
    start_server();
    see_segment();
}

/* All that is not a client or of one, until there is nobody. */
static inline uint64_t kill_own_children(void)
{
    pid_t pids[PROCESSES_MOST];
    uint64_t killed = 0;

    for (bool found = true; found;) {
        size_t count = children_of(getpid(), pids, 0);
        found = false;
        for (size_t i = 0; i < count; i++) {
            if (client_number(pids[i]) < 0) {
                found = true;
                killed++;
                EXPECT_EQ(kill(pids[i], SIGKILL), 0);
                reap_one(pids[i]);
            }
        }
    }
    return killed;
}

/* Everybody at once; and, with a journal, the memory may be gone as well. */
static inline void kill_everybody(struct ledger *ledger)
{
    pid_t pids[PROCESSES_MOST];
    uint64_t killed = 0;

    (void)pthread_mutex_lock(&office->gate);
    while (strikes.stopped_count > 0) { /* as they stand: the kill below finds them */
        (void)close(strikes.stopped[--strikes.stopped_count].process);
    }
    size_t count = candidates(INETD, pids);
    for (size_t i = 0; i < count; i++) {
        int process = open_victim(INETD, pids[i], true);
        if (process >= 0) {
            kill_process(process);
            killed++;
        }
    }
    killed += kill_own_children();
    strikes.at_once += killed;
    strikes.killed += killed;
    expect_clean("-n", harness_name());
    if (office->directory != NULL && random_below(4) != 0) {
        char object[64];
        (void)snprintf(object, sizeof object, "/shmail-%s", harness_name());
        EXPECT_EQ(shm_unlink(object), 0);
        expect_clean("-d", office->directory);
        strikes.losses++;
        (void)__atomic_add_fetch(&ledger->era, 1, __ATOMIC_RELEASE);
    }
    bring_server();
    (void)pthread_mutex_unlock(&office->gate);
}

#endif
