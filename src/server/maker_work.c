/* maker_work.c: the maker's side: forks in the sandbox, by orders that come with a descriptor each, and for
 * connections that it takes itself. Where no process can be had it says so: whether and when to try again is
 * the parent's to say, who may have another one for it. */
#include "maker.h"

#include "data.h"
#include "log.h"
#include "maker_told.h"
#include "pass.h"
#include "sanitized.h"
#include "stack.h"
#include "stream.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#pragma weak __rseq_offset /* or the program would ask for the dynamic linker by its name */
#endif
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

/* Written to, so that the names lie where a process that was forked has its memory already. */
static char spare_name[] = "shmaild: spare", child_name[] = "shmaild: child";

/* The kernel tells each thread on which processor it runs, by writing to memory that the C library has given
 * it: after a fork two pages are copied for a word that nobody reads here. */
static void want_no_processor_number(void)
{
#ifdef RSEQ_SIG
    if (&__rseq_offset != NULL) {
        (void)syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, sizeof(struct rseq),
                      RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
    }
#endif
}

static bool say(const struct maker *maker, const struct maker_note *note)
{
    return pass_give(maker->channel, note->answers, note, sizeof *note);
}

/* Whoever would have to allow what its children ask for is told first. Where nobody can be asked, the parent
 * says whose each connection is, and so has to take it. */
static void seal(const struct maker *maker, const struct sandbox *sandbox)
{
    struct maker_note ready = {.word = MAKER_READY};

    sandbox_seal(sandbox, &ready.answers);
    if (ready.answers >= 0 || !sandbox->filters) {
        (void)say(maker, &ready);
    } else if (maker->spares->wanted > 0) {
        log_warning("no spares are kept: this system lets nobody answer for a filter of system calls");
    }
    if (ready.answers >= 0) {
        (void)close(ready.answers);
    }
}

/* What a process is given that is made, until it serves. */
struct given {
    const struct maker *maker;
    const struct sandbox *sandbox;
    const struct listeners *listeners;
    const struct service *service;
    struct arrival arrival; /* its connection; of a spare that is its own */
    pid_t *place;           /* of a spare; else NULL */
};

/* What the maker has at hand, on its stack, which nobody copies. */
struct work {
    struct given given;
    uint32_t let, taken; /* as struct maker has them */
    bool holds;          /* it has accepted one that has no process yet */
    bool completes;      /* spares are to be made */
    bool rushes;         /* more come than spares are made for: it takes them itself */
    bool calm;           /* nobody waited when it looked */
};

enum {
    BELL,     /* what it polls: that of spares, */
    CHANNEL,  /* the one to the parent, */
    LISTENED, /* and listeners from here on */
};

/* Says why it takes no more. A parent who did not hear that would wait for it for ever: then there is to be
 * another one. */
static void stop(struct work *work, enum maker_word word, int error)
{
    const struct maker_note note = {.word = word, .error = error, .left = work->let, .answers = -1};

    work->let = 0;
    if (!say(work->given.maker, &note)) {
        _exit(EX_OSERR);
    }
}

static void wake_parent(const struct work *work)
{
    const struct maker_note note = {.word = MAKER_TAKES, .answers = -1};
    uint32_t *sleeps = &work->given.maker->board->parent_sleeps;

    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the number of the process was written by the kernel */
    if (__atomic_load_n(sleeps, __ATOMIC_SEQ_CST) != 0 &&
        __atomic_exchange_n(sleeps, 0, __ATOMIC_SEQ_CST) != 0) {
        (void)say(work->given.maker, &note);
    }
}

/* In the new process, where to write that they are closed would be to copy a page. */
static void close_listeners(const struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        (void)close(listeners->list[i].descriptor);
    }
}

/* In the new process: what it has from the maker and does not need. */
static void begin_child(const struct given *given)
{
    (void)close(given->maker->channel);
    close_listeners(given->listeners);
    spares_leave(given->maker->spares);
    sandbox_end_processes(given->sandbox);
}

/* The same; of a spare it is open until it serves. */
static void begin_spare(struct given *given)
{
    (void)prctl(PR_SET_NAME, spare_name);
    (void)close(given->maker->channel);
    sandbox_end_processes(given->sandbox);
    if (!spare_wait(given->maker->spares, given->place, given->listeners, given->service->ahead,
                    &given->arrival)) {
        _exit(EX_OK);
    }
    close_listeners(given->listeners);
}

/* The new process, from its first step to its last. */
static int begin(void *memory)
{
    struct given *given = memory;

    if (given->place != NULL) {
        begin_spare(given);
    } else {
        begin_child(given);
    }
    sandbox_end_descriptors(given->sandbox);
    (void)prctl(PR_SET_NAME, child_name);
    int code =
        given->service->serve(given->service->context, given->arrival.connection, &given->arrival.caller);
    if (SANITIZED) {
        exit(code); /* leaks are looked for there */
    }
    _exit(code); /* nothing is left for exit(3), whose handlers touch a dozen pages */
}

/* No fork(3): its care for threads and streams, of which there are none, touches pages that each process
 * would have to copy. */
static pid_t make(const struct work *work, pid_t *number)
{
    struct given *given = stream_ahead();

    static_assert((int)sizeof *given <= (int)STREAM_AHEAD, "one lies in the other");
    *given = work->given;
    if (SANITIZED) { /* it watches over the stack that it knows */
        pid_t pid = (pid_t)syscall(SYS_clone, MAKER_CLONE_FLAGS, NULL, number, NULL, NULL);
        return pid == 0 ? begin(given) : pid;
    }
    return clone(begin, stream_stack(), MAKER_CLONE_FLAGS, given, number);
}

static void serve(struct work *work)
{
    const struct arrival *arrival = &work->given.arrival;
    struct maker_taken *taken = &work->given.maker->board->taken[work->taken % MAKER_LET_MOST];

    taken->source = arrival->source;
    work->given.place = NULL;
    pid_t pid = make(work, &taken->pid);
    work->holds = pid < 0;
    if (pid < 0) {
        stop(work, MAKER_FAILED, errno);
        return;
    }
    (void)close(arrival->connection);
    work->taken++;
    work->let--;
    if (work->let == 0) {
        stop(work, MAKER_DONE, 0);
    } else {
        wake_parent(work);
    }
}

/* Who comes next. */
static void take(struct work *work, const struct listener *listener)
{
    enum admission admission = admission_take(listener, &work->given.arrival);

    if (admission == ADMISSION_GRANTED) {
        serve(work);
    } else if (admission != ADMISSION_NONE) {
        stop(work, MAKER_STUCK, 0);
    }
}

static void take_some(struct work *work, const struct pollfd *polls)
{
    for (size_t i = 0; i < work->given.listeners->count && work->let > 0; i++) {
        if (polls[i].revents != 0) {
            take(work, &work->given.listeners->list[i]);
        }
    }
}

static void may(struct work *work, const struct maker_told *told)
{
    if (told->let == 0 &&
        !told->completes) { /* an order without its connection is begun anew by another maker */
        _exit(EX_OK);
    }
    work->let = told->let > 0 ? told->let : work->let;
    work->completes = true;
}

static void obey(struct work *work)
{
    struct maker_told told;
    int connection;

    if (!pass_hear(work->given.maker->channel, true, &told, sizeof told, &connection)) {
        _exit(EX_OK);
    }
    if (connection < 0) {
        may(work, &told);
        return;
    }
    pid_t *number = &work->given.maker->board->made[told.place % MAKER_ORDERS_MOST];
    struct work order = *work;
    order.given.arrival = (struct arrival){.connection = connection, .caller = told.caller};
    order.given.place = NULL;
    if (make(&order, number) < 0) {
        __atomic_store_n(number, -errno, __ATOMIC_RELEASE);
    }
    (void)close(connection);
}

static void make_spares(struct work *work)
{
    const struct spares *spares = work->given.maker->spares;
    size_t waiting = spares_waiting(spares);

    for (; work->let > 0 && waiting < spares->wanted; waiting++) {
        work->given.place = spares_place(spares);
        if (work->given.place == NULL) { /* so many are stopped: the parent is to accept */
            stop(work, MAKER_STUCK, 0);
            return;
        }
        if (make(work, work->given.place) < 0) {
            stop(work, MAKER_FAILED, errno);
            return;
        }
        work->let--;
        if (work->let == 0) {
            stop(work, MAKER_DONE, 0);
        }
    }
}

static size_t want_listeners(const struct work *work, struct pollfd *polls)
{
    const struct listeners *listeners = work->given.listeners;

    for (size_t i = 0; i < listeners->count; i++) {
        polls[i] = (struct pollfd){.fd = listeners->list[i].descriptor, .events = POLLIN};
    }
    return listeners->count;
}

static bool somebody_waits(const struct work *work, struct pollfd *polls)
{
    const struct timespec at_once = {0};

    return ppoll(polls, want_listeners(work, polls), &at_once, NULL) > 0;
}

/* No spare is left, somebody waits, and when he has his process, somebody still does: one client alone,
 * however fast, is better off with spares. */
static bool rush_begins(struct work *work)
{
    struct pollfd polls[LISTENERS_MAX];

    if (spares_waiting(work->given.maker->spares) > 0 || !somebody_waits(work, polls)) {
        return false;
    }
    take_some(work, polls);
    return somebody_waits(work, polls);
}

/* A process that is made for a connection costs less than a spare, which goes to sleep and wakes up before it
 * has one. So in a rush none are made, until nobody waits just when the parent asks for those that lack, as
 * it does now and then, and soon where nobody has come. */
static void keep_spares(struct work *work)
{
    if (work->let == 0 || (work->completes && work->calm)) {
        work->rushes = false;
    }
    if (work->completes && work->let > 0 && !work->rushes) {
        work->rushes = rush_begins(work);
        if (!work->rushes) {
            make_spares(work);
        }
    }
    work->completes = false;
}

static void hear_spares(struct work *work)
{
    if (spares_hear_bell(work->given.maker->spares)) {
        stop(work, MAKER_STUCK, 0);
    }
    work->completes = true;
}

/* Returns how many are ready; -1: it cannot wait for all, as a limit was lowered. */
static int wait_for_work(const struct work *work, struct pollfd *polls)
{
    const struct spares *spares = work->given.maker->spares;
    bool takes = work->let > 0 && (spares->wanted == 0 || work->rushes);
    size_t listeners = want_listeners(work, polls + LISTENED);

    polls[BELL] =
        (struct pollfd){.fd = spares->wanted > 0 && !work->rushes ? spares->bell : -1, .events = POLLIN};
    polls[CHANNEL] = (struct pollfd){.fd = work->given.maker->channel, .events = POLLIN};
    return ppoll(polls, LISTENED + (takes ? listeners : 0), NULL, NULL);
}

static void look_around(struct work *work)
{
    struct pollfd polls[LISTENED + LISTENERS_MAX];

    int ready = wait_for_work(work, polls);
    if (ready < 0) {
        stop(work, MAKER_STUCK, 0);
        obey(work);
        return;
    }
    work->calm = ready == (polls[BELL].revents != 0) + (polls[CHANNEL].revents != 0);
    if (polls[CHANNEL].revents != 0) {
        obey(work);
        return;
    }
    if (polls[BELL].revents != 0) {
        hear_spares(work);
    }
    take_some(work, polls + LISTENED);
}

static _Noreturn void work_on(struct work *work)
{
    bool keeps_spares = work->given.maker->spares->wanted > 0;

    for (;;) {
        if (work->holds && work->let > 0) {
            serve(work);
        } else if (keeps_spares) {
            keep_spares(work);
            look_around(work);
        } else if (work->let > 0) {
            look_around(work);
        } else {
            obey(work);
        }
    }
}

void maker_run(struct maker *maker, const struct sandbox *sandbox, const struct listeners *listeners,
               const struct service *service)
{
    struct work work = {
        .given = {.maker = maker, .sandbox = sandbox, .listeners = listeners, .service = service},
    };

    (void)prctl(PR_SET_NAME, "shmaild: maker");
    spares_hear_nothing(maker->spares);
    want_no_processor_number();
    data_renew();
    stack_keep();
    sandbox_enter(sandbox, 1);
    sandbox_bound_memory(sandbox);
    seal(maker, sandbox);
    work_on(&work);
}
