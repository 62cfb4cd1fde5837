/* maker_work.c: the maker's side: forks in the sandbox, by orders that come with a descriptor each, and for
 * connections that it takes itself. Where no process can be had it says so: whether and when to try again is
 * the parent's to say, who may have another one for it. */
#include "maker.h"

#include "data.h"
#include "log.h"
#include "maker_told.h"
#include "pass.h"
#include "text.h"

#include <errno.h>
#include <poll.h>
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

/* No fork(3): its care for threads and streams, of which there are none, touches pages that each child would
 * have to copy. */
static pid_t make(pid_t *number)
{
    return (pid_t)syscall(SYS_clone, MAKER_CLONE_FLAGS, NULL, number, NULL, NULL);
}

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

/* What the maker has at hand, on its stack: after a fork it copies one page of that for all it writes to. */
struct work {
    const struct maker *maker;
    const struct listeners *listeners;
    uint32_t let, taken;       /* as struct maker has them */
    bool holds;                /* it has accepted one that has no process yet */
    bool completes;            /* spares are to be made, though more than half of them are there */
    struct spare_place *place; /* of the one that is made */
};

/* Says why it takes no more. A parent who did not hear that would wait for it for ever: then there is to be
 * another one. */
static void stop(struct work *work, enum maker_word word, int error)
{
    const struct maker_note note = {.word = word, .error = error, .left = work->let, .answers = -1};

    work->let = 0;
    if (!say(work->maker, &note)) {
        _exit(EX_OSERR);
    }
}

static uint32_t *parent_sleeps(const struct maker *maker)
{
    return maker->spares->wanted > 0 ? &maker->spares->board->parent_sleeps : &maker->board->parent_sleeps;
}

static void wake_parent(const struct work *work)
{
    const struct maker_note note = {.word = MAKER_TAKES, .answers = -1};
    uint32_t *sleeps = parent_sleeps(work->maker);

    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the number of the process was written by the kernel */
    if (__atomic_load_n(sleeps, __ATOMIC_SEQ_CST) != 0 &&
        __atomic_exchange_n(sleeps, 0, __ATOMIC_SEQ_CST) != 0) {
        (void)say(work->maker, &note);
    }
}

/* In the new process, where to write that they are closed would be to copy a page. */
static void close_listeners(const struct work *work)
{
    for (size_t i = 0; i < work->listeners->count; i++) {
        (void)close(work->listeners->list[i].descriptor);
    }
}

static void leave(const struct work *work)
{
    (void)close(work->maker->channel);
    close_listeners(work);
    spares_leave(work->maker->spares);
}

/* True in the new process, with its connection. */
static bool serve(struct work *work, const struct arrival *arrival)
{
    struct maker_taken *taken = &work->maker->board->taken[work->taken % MAKER_LET_MOST];

    taken->source = arrival->source;
    pid_t pid = make(&taken->pid);
    if (pid == 0) {
        leave(work);
        return true;
    }
    work->holds = pid < 0;
    if (pid < 0) {
        stop(work, MAKER_FAILED, errno);
        return false;
    }
    (void)close(arrival->connection);
    work->taken++;
    work->let--;
    if (work->let == 0) {
        stop(work, MAKER_DONE, 0);
    } else {
        wake_parent(work);
    }
    return false;
}

/* The same, of who comes next. */
static bool take(struct work *work, const struct listener *listener, struct arrival *arrival)
{
    enum admission admission = admission_take(listener, arrival);

    if (admission != ADMISSION_GRANTED && admission != ADMISSION_NONE) {
        stop(work, MAKER_STUCK, 0);
    }
    return admission == ADMISSION_GRANTED && serve(work, arrival);
}

/* True in the new process, as above. */
static bool take_some(struct work *work, const struct pollfd *polls, struct arrival *arrival)
{
    if (work->holds) {
        return serve(work, arrival);
    }
    for (size_t i = 0; i < work->listeners->count && work->let > 0; i++) {
        if (polls[i].revents != 0 && take(work, &work->listeners->list[i], arrival)) {
            return true;
        }
    }
    return false;
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

/* True in the new process, with its connection. */
static bool obey(struct work *work, struct maker_told *told, int *descriptor)
{
    if (!pass_hear(work->maker->channel, true, told, sizeof *told, descriptor)) {
        _exit(EX_OK);
    }
    if (*descriptor < 0) {
        may(work, told);
        return false;
    }
    pid_t *number = &work->maker->board->made[told->place % MAKER_ORDERS_MOST];
    pid_t pid = make(number);
    if (pid == 0) {
        leave(work);
        return true;
    }
    if (pid < 0) {
        __atomic_store_n(number, -errno, __ATOMIC_RELEASE);
    }
    (void)close(*descriptor);
    return false;
}

/* True in the new process: a spare. */
static bool make_spares(struct work *work)
{
    const struct spares *spares = work->maker->spares;

    while (work->let > 0 && spares_waiting(spares) < spares->wanted) {
        work->place = spares_place(spares);
        if (work->place == NULL) { /* so many are stopped: the parent is to accept */
            stop(work, MAKER_STUCK, 0);
            return false;
        }
        pid_t pid = make(&work->place->pid);
        if (pid == 0) {
            return true;
        }
        if (pid < 0) {
            stop(work, MAKER_FAILED, errno);
            return false;
        }
        work->let--;
        if (work->let == 0) {
            stop(work, MAKER_DONE, 0);
        }
    }
    return false;
}

/* The same, when enough of them lack. */
static bool keep_spares(struct work *work)
{
    const struct spares *spares = work->maker->spares;

    spares_arm(spares); /* before they are counted: who comes after that tells */
    bool lacks = work->completes || spares_are_few(spares);
    work->completes = false;
    return lacks && make_spares(work);
}

static void hear_spares(struct work *work)
{
    if (spares_hear_bell(work->maker->spares)) {
        stop(work, MAKER_STUCK, 0);
    }
    wake_parent(work);
}

/* True: the parent has something to say, or has ended. */
static bool wait_for_work(struct work *work, struct pollfd *polls)
{
    const struct spares *spares = work->maker->spares;
    size_t count = 0;

    if (spares->wanted == 0 && (work->let == 0 || work->holds)) {
        return work->let == 0;
    }
    if (spares->wanted > 0) {
        polls[count++] = (struct pollfd){.fd = spares->bell, .events = POLLIN};
    }
    for (size_t i = 0; spares->wanted == 0 && i < work->listeners->count; i++) {
        polls[count++] = (struct pollfd){.fd = work->listeners->list[i].descriptor, .events = POLLIN};
    }
    polls[count] = (struct pollfd){.fd = work->maker->channel, .events = POLLIN};
    if (ppoll(polls, count + 1, NULL, NULL) < 0) { /* a limit was lowered */
        stop(work, MAKER_STUCK, 0);
        return true;
    }
    return polls[count].revents != 0;
}

/* Until there is a new process. It has its connection, or is a spare: -1. */
static int work_on(struct work *work, struct caller *caller)
{
    struct pollfd polls[LISTENERS_MAX + 1];
    bool keeps_spares = work->maker->spares->wanted > 0;
    struct arrival arrival = {.connection = -1};
    struct maker_told told;
    int connection;

    for (;;) {
        if (keeps_spares && keep_spares(work)) {
            return -1;
        }
        if (wait_for_work(work, polls)) {
            if (obey(work, &told, &connection)) {
                *caller = told.caller;
                return connection;
            }
        } else if (keeps_spares) {
            hear_spares(work);
        } else if (take_some(work, polls, &arrival)) {
            *caller = arrival.caller;
            return arrival.connection;
        }
    }
}

/* One that is stopped would keep the address from the next server. */
static void bind_to_parent(const struct maker *maker)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGCONT); /* then it reads the end of its channel */
    if (getppid() != maker->parent) {
        _exit(EX_OK);
    }
}

/* In a new process: what it has from the maker and does not need. Of a spare it is open until it serves. */
static void begin_spare(const struct work *work, const struct sandbox *sandbox, struct store *ahead,
                        struct arrival *arrival)
{
    (void)prctl(PR_SET_NAME, spare_name);
    (void)close(work->maker->channel);
    sandbox_end_processes(sandbox);
    if (!spare_wait(work->maker->spares, work->place, work->listeners, ahead, arrival)) {
        _exit(EX_OK);
    }
    close_listeners(work);
}

int maker_run(struct maker *maker, const struct sandbox *sandbox, const struct listeners *listeners,
              struct store *ahead, struct caller *caller)
{
    struct work work = {.maker = maker, .listeners = listeners};
    struct arrival arrival;

    (void)prctl(PR_SET_NAME, "shmaild: maker");
    bind_to_parent(maker);
    spares_share(maker->spares, true);
    want_no_processor_number();
    text_gather();
    data_renew();
    sandbox_enter(sandbox, 1);
    sandbox_bound_memory(sandbox);
    seal(maker, sandbox);
    int connection = work_on(&work, caller);
    if (connection < 0) {
        begin_spare(&work, sandbox, ahead, &arrival);
        connection = arrival.connection;
        *caller = arrival.caller;
    } else {
        sandbox_end_processes(sandbox);
    }
    sandbox_end_descriptors(sandbox);
    (void)prctl(PR_SET_NAME, child_name);
    return connection;
}
