/* parent.c: accepts, or has the maker accept, reaps the children, and ends them when it is told to end. It
 * reads no byte of any client, takes no lock of the store, and stays when descriptors or memory run out: it
 * waits and goes on. */
#include "parent.h"

#include "admission.h"
#include "children.h"
#include "clock.h"
#include "hangup.h"
#include "helpers.h"
#include "keeper.h"
#include "late.h"
#include "log.h"
#include "maker.h"
#include "pause.h"
#include "scheduling.h"
#include "signals.h"
#include "workers.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    END_SECONDS =
        4, /* for children to end by themselves and the maker before them; below the 5 s that are promised */
    LET_IN = 16, /* turns in which somebody is there at once, until signals are let in */
};

#define PAUSE (NANOSECONDS_PER_SECOND / 5)          /* after a resource ran out */
#define END_KILLED (2 * NANOSECONDS_PER_SECOND / 5) /* for the kernel to end what was killed */
#define QUIET (NANOSECONDS_PER_SECOND / 100)        /* nobody is kept waiting by what is done then */
#define WATCH NANOSECONDS_PER_SECOND                /* who is served waits no longer for a check to begin */
#define BUSY \
    (NANOSECONDS_PER_SECOND / 50) /* how late an end is seen; a shorter timer costs more than it gains */

struct parent {
    struct listeners *listeners;
    struct store *store;
    struct sandbox *sandbox;
    const struct parent_limits *limits;
    const struct service *service;
    struct workers workers;
    struct helpers helpers;
    struct late late;
    bool quiet;         /* nothing has come for a while */
    bool busy;          /* somebody has: who has ended is looked for when the next one comes, at no wake-up */
    unsigned turns;     /* how often somebody has */
    struct pause pause; /* nobody is accepted */
    struct hangup hangup;
    struct complaint complaint, full_complaint, share_complaint;
    struct pollfd polls[LISTENERS_MAX + ANSWERS_MOST +
                        2]; /* those that are asked, the filters', the maker's, spares' */
};

static void back_off(struct parent *p, const char *what, int error)
{
    if (complaint_is_due(&p->complaint)) {
        log_error("%s: %s; connections wait", what, strerror(error));
    }
    pause_begin(&p->pause, PAUSE);
}

static bool can_accept(const struct parent *p)
{
    return !p->pause.lasts && p->workers.waiting_count == 0 && workers_can_serve(&p->workers);
}

/* For a process that has just been forked: closes what is the parent's. */
static void close_connections(struct parent *p)
{
    workers_forget(&p->workers);
    late_close(&p->late);
}

/* The same for one that serves no connection, and has a turn of its own again. */
static void close_all(struct parent *p)
{
    scheduling_share(0);
    close_connections(p);
    spares_leave(&p->workers.spares);
    listeners_close(p->listeners);
}

static void want_maker(struct parent *p)
{
    if (!workers_lack_maker(&p->workers)) {
        return;
    }
    pid_t pid = maker_fork(&p->workers.maker);
    if (pid == 0) {
        close_connections(p);
        maker_run(&p->workers.maker, p->sandbox, p->listeners, p->service);
    }
    if (pid < 0) {
        workers_back_off(&p->workers, "cannot make a process to make others", errno);
    }
}

/* Of a source of which a process has ended, so that there may be room for one. */
static void let_in_late(struct parent *p, const struct source *source)
{
    const struct late_connection *late = late_of(&p->late, source);

    if (late != NULL && !workers_have_share(&p->workers, &late->arrival)) {
        struct arrival arrival = late_take(&p->late, late);
        workers_serve(&p->workers, &arrival);
    }
}

static void reap(struct parent *p)
{
    struct source source;
    bool died = false, ended = false;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        died = died || WIFSIGNALED(status);
        if (WIFSIGNALED(status) && signals_is_fault(WTERMSIG(status))) {
            store_suspect(p->store);
        }
        helpers_reap(&p->helpers, pid, status);
        if (workers_reap(&p->workers, p->listeners, pid, status, &source)) {
            p->pause.lasts = false; /* what had run out may be there again */
            ended = true;
            let_in_late(p, &source);
        }
    }
    if (ended) {
        workers_look_for_room(&p->workers);
    }
    if (died) {
        store_wake(p->store);
    }
}

static int64_t earlier(int64_t end, int64_t other)
{
    return other < end ? other : end;
}

/* When the sleep ends by itself. That the post office has become suspect is no signal where it was none of
 * the children that crashed, or where it was seen in what somebody had left: so while anybody is served the
 * parent looks by itself. */
static int64_t sleep_end(const struct parent *p, bool retries, bool naps, bool busy)
{
    int64_t end = earlier(pause_end(&p->pause), late_end(&p->late));

    end = earlier(end, earlier(workers_pause_end(&p->workers), pause_end(&p->helpers.pause)));
    end = earlier(end, hangup_end(&p->hangup));
    if (retries) {
        return 0;
    }
    if (naps || busy) {
        end = earlier(end, clock_now() + (naps ? QUIET : BUSY));
    } else if (children_serving(&p->workers.children) > 0) {
        end = earlier(end, clock_now() + WATCH);
    }
    return end;
}

/* What else somebody may have to say; returns how many. */
static size_t want_words(const struct parent *p, bool busy, struct pollfd *polls)
{
    const struct workers *w = &p->workers;
    size_t count = w->answers.count;

    if (p->pause.lasts) { /* perhaps since there were more than the limit of descriptors */
        return 0;
    }
    answers_want(&w->answers, polls);
    if (w->maker.pid != 0 && !w->maker.gone) {
        polls[count++] = (struct pollfd){.fd = w->maker.channel, .events = POLLIN};
    }
    if (w->spares.wanted > 0 && !busy) {
        polls[count++] = (struct pollfd){.fd = w->spares.hears, .events = POLLIN};
    }
    return count;
}

/* Sleeps until a listener is ready, a signal comes or the pause is over. Returns how many listeners were
 * asked. */
static size_t sleep_for_work(struct parent *p)
{
    struct workers *w = &p->workers;
    bool accepts = can_accept(p);
    bool retries = workers_can_serve(w) && w->waiting_count > 0;
    bool naps = !w->pause.lasts && !retries && workers_are_ordered(w); /* at once: a wake-up more */
    bool busy = p->busy && accepts && p->late.count == 0;
    size_t count = accepts && !workers_take(w) ? p->listeners->count : 0;
    bool hurries = retries || (!busy && !maker_wakes(&w->maker));
    struct timespec left = deadline_left(sleep_end(p, hurries, naps, busy));

    for (size_t i = 0; i < count; i++) {
        p->polls[i] = (struct pollfd){.fd = p->listeners->list[i].descriptor, .events = POLLIN};
    }
    if (workers_are_full(w) && complaint_is_due(&p->full_complaint)) {
        log_warning("all %zu connections (-c) are in use; further ones wait", p->limits->connections);
    }
    size_t words = want_words(p, busy, p->polls + count);
    size_t filters = words > 0 ? w->answers.count : 0;
    int ready =
        ppoll(p->polls, count + words, &left, busy ? signals_sleep_mask_but_child() : signals_sleep_mask());
    int answered = ready > 0 ? answers_give(&w->answers, p->polls + count, filters) : 0;
    p->quiet = ready == answered; /* whoever asks is none who has come */
    p->busy = ready > answered;
    if (ready < 0 && errno != EINTR) {
        back_off(p, "cannot wait for connections", errno);
    }
    if (ready > 0 && ++p->turns % LET_IN == 0) {
        signals_let_in();
    }
    return ready > 0 ? count : 0;
}

static pid_t wait_for_maker(struct parent *p, int *status)
{
    int64_t deadline = clock_now() + END_KILLED;
    pid_t ended;

    while ((ended = waitpid(p->workers.maker.pid, status, WNOHANG)) == 0 && clock_now() < deadline) {
        struct timespec left = deadline_left(deadline);
        (void)ppoll(NULL, 0, &left, signals_sleep_mask());
    }
    return ended;
}

/* So that nothing is made any more; what it has made is known, and whom it has just accepted has a process.
 */
static void end_maker(struct parent *p)
{
    int status;

    if (p->workers.maker.pid == 0) {
        return;
    }
    maker_dismiss(&p->workers.maker);
    pid_t ended = wait_for_maker(p, &status);
    if (ended == 0) {
        (void)kill(p->workers.maker.pid, SIGKILL);
        ended = wait_for_maker(p, &status);
    }
    if (ended > 0 && WIFSIGNALED(status) && signals_is_fault(WTERMSIG(status))) {
        store_suspect(p->store);
    }
    workers_forget_maker(&p->workers);
}

static void refuse(struct parent *p, const struct arrival *arrival)
{
    admission_refuse(arrival, p->limits->per_source, &p->share_complaint);
}

/* Nothing is left for a connection: who is late gives way to who may be served. */
static void make_room(struct parent *p, int error)
{
    const struct late_connection *late = late_oldest(&p->late);

    if (late == NULL) {
        back_off(p, "cannot accept a connection", error);
        return;
    }
    struct arrival arrival = late_take(&p->late, late);
    refuse(p, &arrival);
}

/* A socket that was handed over may have been shut down by whoever else has it: the others are served on. */
static void leave_out(struct parent *p, const struct listener *listener, int error)
{
    char text[ADDRESS_TEXT_SIZE];

    address_print(&listener->address, text);
    log_error("cannot listen on %s any more: %s", text, strerror(error));
    spares_leave_out(&p->workers.spares, listener->descriptor);
    listeners_drop(p->listeners, listener);
    end_maker(p); /* which has it, too */
}

/* The next connection of a listener. False: there is none, or none to be served. */
static bool accept_one(struct parent *p, const struct listener *listener, struct arrival *arrival)
{
    enum admission admission =
        admission_accept(listener, &p->workers.children, p->limits->per_source, arrival);

    p->workers.stuck = p->workers.stuck && admission >= ADMISSION_EXHAUSTED;
    switch (admission) {
    case ADMISSION_GRANTED:
        return true;
    case ADMISSION_LATE:
        if (!late_keep(&p->late, arrival)) {
            refuse(p, arrival);
        }
        return false;
    case ADMISSION_EXHAUSTED:
        make_room(p, errno);
        return false;
    case ADMISSION_BROKEN:
        leave_out(p, listener, errno);
        return false;
    case ADMISSION_FAILED:
        back_off(p, "cannot accept a connection", errno);
        return false;
    default:
        return false;
    }
}

static void refuse_late(struct parent *p)
{
    const struct late_connection *late;

    while ((late = late_over(&p->late)) != NULL) {
        struct arrival arrival = late_take(&p->late, late);
        refuse(p, &arrival);
    }
}

/* Where one is left out, the others have moved: they are asked anew. */
static void serve_ready(struct parent *p, size_t asked)
{
    struct arrival arrival;

    for (size_t i = 0; i < asked && asked == p->listeners->count && can_accept(p); i++) {
        if (p->polls[i].revents != 0 && accept_one(p, &p->listeners->list[i], &arrival)) {
            workers_serve(&p->workers, &arrival);
        }
    }
}

static void wait_for_children(struct parent *p, int64_t deadline)
{
    while (workers_count(&p->workers) > 0 && clock_now() < deadline) {
        struct timespec left = deadline_left(deadline);
        (void)ppoll(NULL, 0, &left, signals_sleep_mask());
        reap(p);
    }
}

static void wait_for_keeper(struct parent *p, int64_t deadline)
{
    while (p->helpers.keeper > 0 && clock_now() < deadline) {
        struct timespec left = deadline_left(deadline);
        reap(p);
        if (p->helpers.keeper > 0) {
            (void)ppoll(NULL, 0, &left, signals_sleep_mask());
        }
    }
}

/* One that does not end would keep the journal from the next server. */
static void end_one_keeper(struct parent *p, int64_t deadline)
{
    int64_t soon = clock_now() + END_KILLED;

    helpers_signal(&p->helpers, SIGTERM);
    wait_for_keeper(p, deadline > soon ? deadline : soon);
    helpers_signal(&p->helpers, SIGKILL);
    wait_for_keeper(p, clock_now() + END_KILLED);
}

/* Last, since it syncs what the others have done: again where it was told to end with them, or had to be
 * killed.
 */
static void end_keeper(struct parent *p, int64_t deadline)
{
    end_one_keeper(p, deadline);
    if (helpers_fork_last(&p->helpers)) {
        close_all(p);
        helpers_main(&p->helpers);
    }
    end_one_keeper(p, deadline);
}

/* For connections of no server, which go on. Nothing of a client, and nothing that listens, is open any more.
 */
static void leave_keeper(struct parent *p)
{
    store_serve_no_more(p->store); /* else that one would leave at once */
    if (store_has_journal(p->store) && store_other_process(p->store) != 0 &&
        keeper_start_alone(p->store, p->sandbox) < 0) {
        log_warning("the journal has no keeper: %s", strerror(errno));
    }
}

static void end(struct parent *p)
{
    int64_t deadline = deadline_after_seconds(END_SECONDS);

    late_close(&p->late); /* nobody is let in any more, whoever of theirs ends */
    answers_close(&p->workers.answers);
    listeners_remove(p->listeners);
    end_maker(p);
    workers_signal(&p->workers, SIGTERM);
    reap(p);
    wait_for_children(p, deadline);
    if (workers_count(&p->workers) > 0) {
        log_warning("%zu connections did not end in %d s and are cut", workers_count(&p->workers),
                    END_SECONDS);
        workers_signal(&p->workers, SIGKILL);
        wait_for_children(p, clock_now() + END_KILLED);
    }
    end_keeper(p, deadline);
    workers_forget(&p->workers);
    leave_keeper(p);
}

/* At once: what is damaged is not worked on any more. */
static void end_everybody(struct parent *p)
{
    late_close(&p->late);
    end_maker(p);
    workers_signal(&p->workers, SIGKILL);
    helpers_signal(&p->helpers, SIGKILL);
    int64_t deadline = deadline_after_seconds(END_SECONDS);
    while ((workers_count(&p->workers) > 0 || p->helpers.keeper > 0) && clock_now() < deadline) {
        struct timespec left = deadline_left(clock_now() + END_KILLED / 10);
        (void)ppoll(NULL, 0, &left, signals_sleep_mask());
        reap(p);
    }
    workers_forget(&p->workers);
    spares_leave(&p->workers.spares);
}

static void open_log_again(struct parent *p)
{
    if (hangup_open(&p->hangup)) {
        end_maker(p);
        workers_end_spares(&p->workers);
        helpers_replace_keeper(&p->helpers);
        log_info("HUP: the log was opened again");
    }
}

enum parent_end parent_run(struct listeners *listeners, struct store *store, struct sandbox *sandbox,
                           const struct parent_limits *limits, const struct service *service)
{
    static struct parent parent; /* what the maker makes has it, and no stack of this process */
    static struct arrival
        waiting[WORKERS_WAITING_MOST]; /* never cleared: what is not touched costs no fork anything */
    static struct late_connection late[LATE_MOST];

    parent = (struct parent){.listeners = listeners,
                             .store = store,
                             .sandbox = sandbox,
                             .limits = limits,
                             .service = service,
                             .workers = {.limits = limits, .waiting = waiting},
                             .late = {.list = late},
                             .hangup = parent.hangup}; /* what is put off is not lost where it was damaged */
    parent.helpers = (struct helpers){.store = store, .sandbox = sandbox};
    if (!workers_prepare(&parent.workers, listeners)) {
        listeners_remove(listeners);
        die(EX_OSERR, "cannot remember %zu children and keep spares: %s", limits->connections,
            strerror(errno));
    }
    signals_interrupt(store); /* as its children want it */
    /* Else it would mostly push out the client that has just connected and is about to ask: the child would
     * have to wait for that. */
    scheduling_share(SIZE_MAX);
    for (;;) {
        pause_look(&parent.pause);
        workers_look(&parent.workers);
        pause_look(&parent.helpers.pause);
        if (helpers_fork(&parent.helpers)) {
            maker_forget(&parent.workers.maker);
            close_all(&parent);
            helpers_main(&parent.helpers);
        }
        want_maker(&parent);
        workers_serve_waiting(&parent.workers);
        workers_keep_spares(&parent.workers, parent.quiet);
        if (parent.late.count == 0 && !parent.pause.lasts) {
            workers_let(&parent.workers);
        }
        size_t asked = sleep_for_work(&parent);
        if (hangup_is_due(&parent.hangup)) {
            open_log_again(&parent);
            asked = 0; /* who is there is accepted once there is a maker again */
        }
        parent.busy = workers_hear(&parent.workers) || parent.busy;
        if (signals_take_child() || parent.busy) {
            reap(&parent);
        }
        if (*signals_closing() != 0) {
            end(&parent);
            return PARENT_STOPPED;
        }
        if (parent.helpers.damaged) {
            end_everybody(&parent);
            signals_interrupt(NULL);
            return PARENT_DAMAGED;
        }
        refuse_late(&parent);
        serve_ready(&parent, asked);
        if (listeners->count == 0) {
            end(&parent);
            return PARENT_DEAF;
        }
    }
}
