/* parent.c: accepts, has children made, reaps them, and ends them when it is told to end. It reads no byte of
 * any client, takes no lock of the store, and stays when descriptors, processes or memory run out: it waits
 * and goes on. */
#include "parent.h"

#include "admission.h"
#include "children.h"
#include "clock.h"
#include "helpers.h"
#include "late.h"
#include "log.h"
#include "maker.h"
#include "pause.h"
#include "scheduling.h"
#include "signals.h"
#include "spare.h"

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
    WAITING_MOST = 1 + CHILDREN_ASKED_MAX + CHILDREN_HANDED_MAX + LATE_MOST,
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
    struct children children;
    struct maker maker;
    struct helpers helpers;
    struct arrival *waiting; /* for a process, which could not be had or has died untouched */
    size_t waiting_count;
    struct late late;
    bool quiet;         /* nothing has come for a while */
    bool busy;          /* somebody has: who has ended is looked for when the next one comes, at no wake-up */
    unsigned turns;     /* how often somebody has */
    struct pause pause; /* nothing is accepted, and nobody made who serves */
    struct pause spares_pause; /* none is ordered: who comes is served without */
    struct complaint resource_complaint, spares_complaint, full_complaint, share_complaint;
    struct pollfd polls[LISTENERS_MAX];
};

/* Something has run out: says so, and lets some time pass. */
static void back_off(struct parent *p, const char *what, int error)
{
    if (complaint_is_due(&p->resource_complaint)) {
        log_error("%s: %s; connections wait", what, strerror(error));
    }
    pause_begin(&p->pause, PAUSE);
}

/* For a process that has just been forked: closes what is the parent's, and has a turn of its own again. */
static void close_all(struct parent *p)
{
    scheduling_share(0);
    for (size_t i = 0; i < p->waiting_count; i++) {
        (void)close(p->waiting[i].connection);
    }
    late_close(&p->late);
    listeners_close(p->listeners);
    children_forget(&p->children);
}

/* Without a maker connections wait. In what it makes: the connection. */
static int want_maker(struct parent *p, struct caller *caller)
{
    if (p->maker.pid != 0 || p->pause.lasts) {
        return -1;
    }
    pid_t pid = maker_fork(&p->maker);
    if (pid == 0) {
        close_all(p);
        store_gather(p->store);
        return maker_run(&p->maker, p->sandbox, p->limits->attach_spares ? p->store : NULL, caller);
    }
    if (pid < 0) {
        back_off(p, "cannot make a process to make others", errno);
    }
    return -1;
}

static void do_without_spares(struct parent *p, const char *what, int error)
{
    if (complaint_is_due(&p->spares_complaint)) {
        log_error("%s: %s", what, strerror(error));
    }
    pause_begin(&p->spares_pause, PAUSE);
}

static void put_back(struct parent *p, const struct child *child)
{
    if (child->connection >= 0) {
        p->waiting[p->waiting_count++] = (struct arrival){child->connection, child->caller, child->source};
    }
}

/* The one asked for first will not be made. False: none is asked for. */
static bool unask(struct parent *p, struct child *child)
{
    if (!children_unask(&p->children, child)) {
        return false;
    }
    if (child->channel >= 0) {
        (void)close(child->channel);
    }
    put_back(p, child);
    return true;
}

static void not_made(struct parent *p, int error)
{
    struct child child;

    if (unask(p, &child) && child.channel >= 0) {
        do_without_spares(p, "cannot make a spare process", error);
    } else {
        back_off(p, "cannot make a process", error);
    }
}

static void hear_maker(struct parent *p)
{
    pid_t pid;

    while ((pid = maker_hear(&p->maker)) != 0) {
        if (pid > 0) {
            children_made(&p->children, pid);
        } else {
            not_made(p, -pid);
        }
    }
}

/* It has ended. What it has not made will be asked of the next one. */
static void forget_maker(struct parent *p)
{
    struct child child;

    hear_maker(p);
    maker_forget(&p->maker);
    while (unask(p, &child)) {
        continue;
    }
}

static void let_in_late(struct parent *, const struct source *);

/* A connection that a spare has died with, untouched, goes to another process. */
static void reap_child(struct parent *p, pid_t pid, int status)
{
    struct child child;

    hear_maker(p);                                     /* of this one, if it was short-lived */
    if (!children_remove(&p->children, pid, &child)) { /* an orphan that was given to us as process 1 */
        return;
    }
    child_note_death(pid, status);
    put_back(p, &child);
    if (child.channel >= 0 && WIFSIGNALED(status)) { /* the next one may die as soon */
        pause_begin(&p->spares_pause, PAUSE);
    }
    p->pause.lasts = false; /* what had run out may be there again */
    let_in_late(p, &child.source);
}

static void reap(struct parent *p)
{
    bool died = false;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        died = died || WIFSIGNALED(status);
        if (WIFSIGNALED(status) && signals_is_fault(WTERMSIG(status))) {
            store_suspect(p->store);
        }
        helpers_reap(&p->helpers, pid, status);
        if (pid == p->maker.pid) {
            child_note_death(pid, status);
            forget_maker(p);
            if (complaint_is_due(&p->resource_complaint)) {
                log_error("the process that makes others has ended; connections wait for the next one");
            }
            pause_begin(&p->pause, PAUSE);
        }
        reap_child(p, pid, status);
    }
    if (died) {
        store_wake(p->store);
    }
}

static bool is_full(const struct parent *p)
{
    return children_serving(&p->children) >= p->limits->connections;
}

/* Somebody can be given a process. While the maker has no room who comes waits in the backlog; it is looked
 * for again as soon as the maker is heard. */
static bool can_serve(const struct parent *p)
{
    return !p->pause.lasts && !is_full(p) && maker_has_room(&p->maker);
}

static bool can_accept(const struct parent *p)
{
    return can_serve(p) && p->waiting_count == 0;
}

/* No more than there may be connections. */
static size_t spares_wanted(const struct parent *p)
{
    size_t left = p->limits->connections - children_serving(&p->children);

    return left < p->limits->spares ? left : p->limits->spares;
}

static int64_t earlier(int64_t end, int64_t other)
{
    return other < end ? other : end;
}

static bool has_enough_spares(const struct parent *p)
{
    return 2 * children_idle(&p->children) > spares_wanted(p);
}

/* Who has ended, and which spares have their connection: while somebody waits for a spare that is there, this
 * has time until the next ones are made, unless somebody could be refused for one who is gone. */
static bool can_look_later(const struct parent *p)
{
    size_t known = p->children.count + p->children.asked_count;

    return p->busy && has_enough_spares(p) && known < p->limits->per_source && p->late.count == 0;
}

/* When the sleep ends by itself. That the post office has become suspect is no signal where it was none of
 * the children that crashed, or where it was seen in what somebody had left: so while anybody is served the
 * parent looks by itself. */
static int64_t sleep_end(const struct parent *p, bool retries, bool naps, bool busy)
{
    int64_t end = earlier(late_end(&p->late), earlier(pause_end(&p->pause), pause_end(&p->helpers.pause)));

    end = earlier(end, pause_end(&p->spares_pause));
    if (retries) {
        return 0;
    }
    if (naps || busy) {
        end = earlier(end, clock_now() + (naps ? QUIET : BUSY));
    } else if (children_serving(&p->children) > 0) {
        end = earlier(end, clock_now() + WATCH);
    }
    return end;
}

/* Sleeps until a listener is ready, a signal comes or the pause is over. Returns how many listeners were
 * asked. */
static size_t sleep_for_work(struct parent *p)
{
    bool accepts = can_accept(p);
    bool retries = can_serve(p) && p->waiting_count > 0;
    bool hears = p->maker.ordered != p->maker.heard || /* it says nothing itself */
                 children_are_handed(&p->children);    /* and to hear them at once would be a wake-up more */
    bool fills = !p->spares_pause.lasts && children_idle(&p->children) < spares_wanted(p);
    bool naps = !p->pause.lasts && !retries && (hears || fills);
    bool busy = p->busy && accepts && p->late.count == 0;
    size_t count = accepts ? p->listeners->count : 0;
    struct timespec left = deadline_left(sleep_end(p, retries, naps, busy));

    for (size_t i = 0; i < count; i++) {
        p->polls[i] = (struct pollfd){.fd = p->listeners->list[i].descriptor, .events = POLLIN};
    }
    if (is_full(p) && complaint_is_due(&p->full_complaint)) {
        log_warning("all %zu connections (-c) are in use; further ones wait", p->limits->connections);
    }
    int ready = ppoll(p->polls, count, &left, busy ? signals_sleep_mask_but_child() : signals_sleep_mask());
    p->quiet = ready == 0;
    p->busy = ready > 0;
    if (ready < 0 && errno != EINTR) {
        back_off(p, "cannot wait for connections", errno);
    }
    if (ready > 0 && ++p->turns % LET_IN == 0) {
        signals_let_in();
    }
    return ready > 0 ? count : 0;
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

    if (p->listeners->count == 1) {
        back_off(p, "cannot listen any more", error);
        return;
    }
    address_print(&listener->address, text);
    log_error("cannot listen on %s any more: %s", text, strerror(error));
    listeners_drop(p->listeners, listener);
}

/* The next connection of a listener. False: there is none, or none to be served. */
static bool accept_one(struct parent *p, const struct listener *listener, struct arrival *arrival)
{
    switch (admission_accept(listener, &p->children, p->limits->per_source, arrival)) {
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
    default:
        return false;
    }
}

/* A spare takes the connection at once, where there is one; else the maker makes a process. False: neither
 * can be had now. */
static bool serve(struct parent *p, const struct arrival *arrival)
{
    if (children_hand_over(&p->children, arrival->connection, &arrival->caller, &arrival->source)) {
        return true;
    }
    if (maker_order(&p->maker, arrival->connection, false, &arrival->caller)) {
        children_ask(&p->children, &(struct child){.source = arrival->source,
                                                   .caller = arrival->caller,
                                                   .channel = -1,
                                                   .connection = arrival->connection});
        return true;
    }
    if (maker_has_room(&p->maker)) {
        back_off(p, "cannot ask for a process", errno);
    }
    return false;
}

static void serve_or_keep(struct parent *p, const struct arrival *arrival)
{
    if (!serve(p, arrival)) {
        p->waiting[p->waiting_count++] = *arrival;
    }
}

/* Those that wait are no children, but will be. Nobody is accepted meanwhile, so only who is late has to be
 * told apart from them. */
static bool has_share(const struct parent *p, const struct arrival *arrival)
{
    size_t share = p->limits->per_source;

    for (size_t i = 0; i < p->waiting_count && share > 0; i++) {
        share -= memcmp(&p->waiting[i].source, &arrival->source, sizeof arrival->source) == 0;
    }
    return admission_has_share(&p->children, share, arrival);
}

/* Of a source of which a process has ended, so that there may be room for one. */
static void let_in_late(struct parent *p, const struct source *source)
{
    const struct late_connection *late = late_of(&p->late, source);

    if (late != NULL && !has_share(p, &late->arrival)) {
        struct arrival arrival = late_take(&p->late, late);
        serve_or_keep(p, &arrival);
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

/* Who has waited longest comes first. */
static void serve_waiting(struct parent *p)
{
    size_t served = 0;

    while (served < p->waiting_count && can_serve(p) && serve(p, &p->waiting[served])) {
        served++;
    }
    if (served > 0) {
        p->waiting_count -= served;
        memmove(p->waiting, p->waiting + served, p->waiting_count * sizeof p->waiting[0]);
    }
}

/* Where one is left out, the others have moved: they are asked anew. */
static void serve_ready(struct parent *p, size_t asked)
{
    struct arrival arrival;

    for (size_t i = 0; i < asked && asked == p->listeners->count && can_accept(p); i++) {
        if (p->polls[i].revents != 0 && accept_one(p, &p->listeners->list[i], &arrival)) {
            serve_or_keep(p, &arrival);
        }
    }
}

static void order_spare(struct parent *p)
{
    int ends[2];

    if (!spare_channel(ends)) {
        do_without_spares(p, "cannot make a channel to a spare process", errno);
        return;
    }
    bool ordered = maker_order(&p->maker, ends[1], true, NULL);
    int error = errno;
    (void)close(ends[1]);
    if (!ordered) {
        (void)close(ends[0]);
        do_without_spares(p, "cannot ask for a spare process", error);
        return;
    }
    children_ask(&p->children, &(struct child){.channel = ends[0], .connection = -1});
}

/* Orders the spares that are missing: many at a time, or when nobody is kept waiting by it. Not while
 * somebody waits for a process, which could be the last one that there may be. */
static void keep_spares(struct parent *p)
{
    size_t wanted = spares_wanted(p);

    if (p->waiting_count > 0 || (has_enough_spares(p) && !p->quiet)) {
        return;
    }
    while (children_idle(&p->children) < wanted && !p->pause.lasts && !p->spares_pause.lasts &&
           maker_has_room(&p->maker)) {
        order_spare(p);
    }
}

static void wait_for_children(struct parent *p, int64_t deadline)
{
    while (p->children.count > 0 && clock_now() < deadline) {
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

/* Last, since it syncs what the others have done. One that does not end would keep the journal from the next
 * server. */
static void end_keeper(struct parent *p, int64_t deadline)
{
    int64_t soon = clock_now() + END_KILLED;

    helpers_signal(&p->helpers, SIGTERM);
    wait_for_keeper(p, deadline > soon ? deadline : soon);
    helpers_signal(&p->helpers, SIGKILL);
    wait_for_keeper(p, clock_now() + END_KILLED);
}

static void let_go(struct parent *p)
{
    while (p->waiting_count > 0) {
        (void)close(p->waiting[--p->waiting_count].connection);
    }
    children_forget(&p->children);
}

/* So that nothing is made any more; what it has made is known. */
static void end_maker(struct parent *p)
{
    int64_t deadline = clock_now() + END_KILLED;
    int status;
    pid_t ended = 0;

    if (p->maker.pid == 0) {
        return;
    }
    (void)kill(p->maker.pid, SIGKILL);
    while ((ended = waitpid(p->maker.pid, &status, WNOHANG)) == 0 && clock_now() < deadline) {
        struct timespec left = deadline_left(deadline);
        (void)ppoll(NULL, 0, &left, signals_sleep_mask());
    }
    if (ended > 0 && WIFSIGNALED(status) && signals_is_fault(WTERMSIG(status))) {
        store_suspect(p->store);
    }
    forget_maker(p);
}

static void end(struct parent *p)
{
    int64_t deadline = deadline_after_seconds(END_SECONDS);

    late_close(&p->late); /* nobody is let in any more, whoever of theirs ends */
    listeners_remove(p->listeners);
    end_maker(p);
    children_signal(&p->children, SIGTERM);
    reap(p);
    wait_for_children(p, deadline);
    if (p->children.count > 0) {
        log_warning("%zu connections did not end in %d s and are cut", p->children.count, END_SECONDS);
        children_signal(&p->children, SIGKILL);
        wait_for_children(p, clock_now() + END_KILLED);
    }
    end_keeper(p, deadline);
    let_go(p);
}

/* At once: what is damaged is not worked on any more. */
static void end_everybody(struct parent *p)
{
    late_close(&p->late);
    end_maker(p);
    children_signal(&p->children, SIGKILL);
    helpers_signal(&p->helpers, SIGKILL);
    int64_t deadline = deadline_after_seconds(END_SECONDS);
    while ((p->children.count > 0 || p->helpers.keeper > 0) && clock_now() < deadline) {
        struct timespec left = deadline_left(clock_now() + END_KILLED / 10);
        (void)ppoll(NULL, 0, &left, signals_sleep_mask());
        reap(p);
    }
    let_go(p);
}

/* What is forked from now on has the log as the parent has it: for that there are another maker and keeper,
 * and other spares. */
static void begin_log_again(struct parent *p)
{
    if (!log_open_again()) {
        log_info("HUP: nothing to read again");
        return;
    }
    end_maker(p);
    children_end_idle(&p->children);
    helpers_replace_keeper(&p->helpers);
    log_info("HUP: the log was opened again");
}

int parent_run(struct listeners *listeners, struct store *store, struct sandbox *sandbox,
               const struct parent_limits *limits, struct caller *caller)
{
    static struct parent parent; /* on the stack it would push what a child copies of that apart */
    static struct arrival
        waiting[WAITING_MOST]; /* never cleared: what is not touched costs no fork anything */
    static struct late_connection late[LATE_MOST];

    parent = (struct parent){.listeners = listeners,
                             .store = store,
                             .sandbox = sandbox,
                             .limits = limits,
                             .waiting = waiting,
                             .late = {.list = late}};
    parent.helpers =
        (struct helpers){.store = store, .sandbox = sandbox, .sync_seconds = limits->sync_seconds};
    if (!children_make_room(&parent.children, limits->connections + limits->spares)) {
        listeners_remove(listeners);
        die(EX_OSERR, "no memory to remember %zu children", limits->connections);
    }
    if (!maker_prepare(&parent.maker)) {
        listeners_remove(listeners);
        die(EX_OSERR, "no memory to remember what is made");
    }
    signals_interrupt(store); /* as its children want it */
    /* Else it would mostly push out the client that has just connected and is about to ask: the child would
     * have to wait for that. */
    scheduling_share(SIZE_MAX);
    for (;;) {
        pause_look(&parent.pause);
        pause_look(&parent.spares_pause);
        pause_look(&parent.helpers.pause);
        if (helpers_fork(&parent.helpers)) {
            maker_forget(&parent.maker);
            close_all(&parent);
            helpers_main(&parent.helpers);
        }
        int connection = want_maker(&parent, caller);
        if (connection >= 0) {
            return connection;
        }
        serve_waiting(&parent);
        keep_spares(&parent);
        size_t asked = sleep_for_work(&parent);
        if (signals_take_hangup()) {
            begin_log_again(&parent);
            asked = 0; /* who is there is accepted once there is a maker again */
        }
        hear_maker(&parent);
        if (!can_look_later(&parent)) {
            children_hear(&parent.children);
            if (signals_take_child() || parent.busy) {
                reap(&parent);
            }
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
    }
}
