/* bench.c: runs the plan: mailboxes are made and filled, load is warmed up and measured, the result shown,
 * and the mailboxes are removed. Each process does its part of it on its own; they meet before the
 * measurement, leave what they have measured in memory that they share, and close a pipe to say so. */
#include "bench.h"

#include "clock.h"
#include "complaint.h"
#include "connect.h"
#include "standard.h"
#include "tally.h"
#include "traffic.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* Shared by all processes. */
struct board {
    pthread_barrier_t ready; /* all mailboxes are there */
    struct tally tallies[];
};

static volatile sig_atomic_t stop; /* the signal that asked for the end */

static void on_stop(int number)
{
    stop = number;
}

static void on_child(int number)
{
    (void)number; /* it is enough that ppoll(2) ends */
}

/* ---- one process ---- */

/* Work that is done once for each mailbox. */
static void run_steps(struct worker *worker, const struct verb *const *steps)
{
    for (unsigned i = 0; steps != NULL && i < SPEECH_STEPS && steps[i] != NULL; i++) {
        (void)worker_run(worker, &(struct phase){.each = steps[i], .times = 1, .end = DEADLINE_NEVER});
    }
}

static void run_mix(struct worker *worker, uint64_t requests, int64_t duration, struct tally *tally)
{
    int64_t start = clock_now();
    struct phase phase = {
        .requests = requests,
        .end = duration > 0 ? start + duration : DEADLINE_NEVER,
        .latencies = tally != NULL ? tally->parts : NULL,
    };

    if (tally != NULL) {
        tally->start = start;
    }
    int before = worker->status;
    (void)worker_run(worker, &phase);
    if (tally != NULL) {
        tally->end = worker->phase.last_reply;
        tally->errors = before == 0 && worker->status == EXIT_WRONG ? 1 : 0;
    }
}

static void set_up(struct worker *worker)
{
    const struct plan *plan = worker->plan;

    run_steps(worker, plan->existing ? plan->speech->adopt : plan->speech->open);
    if (plan->fill > 0 && plan->speech->fill != NULL) {
        (void)worker_run(
            worker, &(struct phase){.each = plan->speech->fill, .times = plan->fill, .end = DEADLINE_NEVER});
    }
}

/* The part of a whole that falls to a process. */
static uint64_t share_of(uint64_t whole, unsigned process, unsigned processes)
{
    return whole / processes + (process < whole % processes);
}

_Noreturn static void work(const struct plan *plan, struct board *board, unsigned process, int done)
{
    static struct worker worker;

    if (!worker_open(&worker, plan, process, &stop)) {
        _exit(EX_OSERR);
    }
    set_up(&worker);
    if (worker.status != 0) {
        _exit(worker.status);
    }
    (void)pthread_barrier_wait(&board->ready);
    if (plan->warm_up > 0) {
        run_mix(&worker, UINT64_MAX, plan->warm_up, NULL);
    }
    if (worker.status == 0 && stop == 0) {
        uint64_t requests =
            plan->requests > 0 ? share_of(plan->requests, process, plan->processes) : UINT64_MAX;
        run_mix(&worker, requests, plan->duration, &board->tallies[process]);
    }
    (void)close(done);
    if (!plan->keep && worker.status == 0) {
        static const volatile sig_atomic_t never;
        worker.stop = &never;
        run_steps(&worker, plan->speech->close);
    }
    int status = worker.status;
    worker_close(&worker);
    _exit(status);
}

/* ---- all of them ---- */

/* The processes, as their parent sees them. */
struct crew {
    const struct plan *plan;
    pid_t members[PROCESSES_MOST]; /* 0: has ended */
    unsigned count, left;
    int status; /* of the first that failed, or 0 */
    bool told;  /* to stop */
    sigset_t mask_before;
};

static struct board *open_board(const struct plan *plan)
{
    size_t size = sizeof(struct board) + plan->processes * sizeof(struct tally);
    struct board *board = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t shared;

    if (board == MAP_FAILED || pthread_barrierattr_init(&shared) != 0 ||
        pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) != 0 ||
        pthread_barrier_init(&board->ready, &shared, plan->processes) != 0) {
        complain(plan, "no memory to share: %s", strerror(errno));
        return NULL;
    }
    return board;
}

static void tell_all(struct crew *crew, int number)
{
    for (unsigned i = 0; i < crew->count; i++) {
        if (crew->members[i] > 0) {
            (void)kill(crew->members[i], number);
        }
    }
}

/* Collects who has ended. The first that fails ends the others, who may be waiting for it. */
static void collect(struct crew *crew)
{
    int ended;
    pid_t pid;

    while ((pid = waitpid(-1, &ended, WNOHANG)) > 0) {
        for (unsigned i = 0; i < crew->count; i++) {
            crew->members[i] = crew->members[i] == pid ? 0 : crew->members[i];
        }
        crew->left--;
        if (crew->status == 0 && ended != 0) {
            crew->status = WIFEXITED(ended) ? WEXITSTATUS(ended) : EX_SOFTWARE;
            tell_all(crew, SIGKILL);
        }
    }
}

/* Until all have closed their end of the pipe, or, where there is none (-1), have ended. */
static void attend(struct crew *crew, int pipe)
{
    struct pollfd poll = {.fd = pipe, .events = POLLIN};

    collect(crew);
    while (crew->left > 0 && ppoll(&poll, 1, NULL, &crew->mask_before) <= 0) {
        collect(crew);
        if (stop != 0 && !crew->told) {
            crew->told = true;
            tell_all(crew, SIGTERM);
        }
    }
}

/* A second signal ends the parent at once, and the others with it. */
static void catch_signals(struct crew *crew)
{
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND};
    struct sigaction child = {.sa_handler = on_child};
    sigset_t held;

    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGINT);
    (void)sigaddset(&held, SIGTERM);
    (void)sigaddset(&held, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &held, &crew->mask_before);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGCHLD, &child, NULL);
}

/* In a member: what comes from a terminal comes to the parent too, which then says TERM. */
static void catch_signals_of_member(const struct crew *crew)
{
    struct sigaction action = {.sa_handler = on_stop};

    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigprocmask(SIG_SETMASK, &crew->mask_before, NULL);
}

static bool start_members(struct crew *crew, struct board *board, const int ends[2])
{
    pid_t parent = getpid();

    for (; crew->count < crew->plan->processes; crew->count++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
                _exit(EX_OSERR);
            }
            catch_signals_of_member(crew);
            (void)close(ends[0]);
            work(crew->plan, board, crew->count, ends[1]);
        }
        if (pid < 0) {
            complain(crew->plan, "no process: %s", strerror(errno));
            tell_all(crew, SIGKILL);
            return false;
        }
        crew->members[crew->count] = pid;
        crew->left++;
    }
    return true;
}

/* What all have measured. False: nothing was. */
static bool add_up(const struct plan *plan, const struct board *board, struct tally *sum)
{
    for (unsigned i = 0; i < plan->processes; i++) {
        if (board->tallies[i].end != 0) {
            tally_merge(sum, &board->tallies[i]);
        }
    }
    return sum->end != 0;
}

static int run(const struct plan *plan)
{
    static struct crew crew;
    static struct tally sum;
    struct board *board = open_board(plan);
    int ends[2];

    crew.plan = plan;
    if (board == NULL) {
        return EX_OSERR;
    }
    if (pipe(ends) != 0) {
        complain(plan, "no pipe: %s", strerror(errno));
        return EX_OSERR;
    }
    catch_signals(&crew);
    if (!start_members(&crew, board, ends)) {
        return EX_OSERR;
    }
    (void)close(ends[1]);
    attend(&crew, ends[0]);
    bool good = !add_up(plan, board, &sum) || tally_print(plan, &sum);
    if (!good && errno != EPIPE) { /* a reader that has seen enough is no error to report */
        complain(plan, "cannot write: %s", strerror(errno));
    }
    attend(&crew, -1);
    if (stop != 0) {
        (void)signal(stop, SIG_DFL);
        (void)sigprocmask(SIG_SETMASK, &crew.mask_before, NULL);
        (void)raise(stop);
    }
    return crew.status != 0 ? crew.status : good ? EX_OK : EX_IOERR;
}

int bench_main(int argc, char **argv, const struct speech *const *speeches, size_t count)
{
    static struct plan plan;

    if (!standard_hold()) {
        return EX_OSERR;
    }
    int status = plan_read(&plan, speeches, count, argc, argv);

    if (status < 0) {
        status = server_find(&plan);
        status = status != 0 ? status : run(&plan);
    }
    return status;
}
