/* parent.c: accepts, forks, reaps, and ends its children when it is told to end. It reads no byte of any
 * client, takes no lock of the store, and stays when descriptors, processes or memory run out: it waits and
 * goes on. */
#include "parent.h"

#include "admission.h"
#include "checker.h"
#include "children.h"
#include "clock.h"
#include "keeper.h"
#include "log.h"
#include "signals.h"
#include "spare.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    END_SECONDS =
        4, /* for children to end by themselves; with what follows below the 5 s that are promised */
};

#define PAUSE (NANOSECONDS_PER_SECOND / 5)      /* after a resource ran out */
#define END_KILLED (NANOSECONDS_PER_SECOND / 2) /* for the kernel to end what was killed */

struct parent {
    struct listeners *listeners;
    struct store *store;
    struct sandbox *sandbox;
    const struct parent_limits *limits;
    struct children children;
    pid_t keeper;                                    /* of the journal; 0: none */
    pid_t checker;                                   /* of a store that is suspect; 0: none */
    bool damaged;                                    /* so it has found */
    struct arrival waiting[CHILDREN_HANDED_MAX + 1]; /* one for which no process could be had yet, and those
                                                        whose spares have died */
    size_t waiting_count;
    bool proxied;        /* in a child: its connection comes through a proxy */
    int64_t pause_until; /* nothing is accepted before */
    struct complaint resource_complaint, full_complaint, share_complaint;
    struct pollfd polls[LISTENERS_MAX + CHILDREN_HANDED_MAX];
};

/* Something has run out: says so, and lets some time pass. */
static void back_off(struct parent *p, const char *what, int error)
{
    if (complaint_is_due(&p->resource_complaint)) {
        log_error("%s: %s; connections wait", what, strerror(error));
    }
    p->pause_until = clock_now() + PAUSE;
}

/* Forks a process that serves the store and no client: who holds a listening socket would let connections
 * wait that nobody takes, and keep the address from the next server. */
static pid_t fork_helper(struct parent *p)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (size_t i = 0; i < p->waiting_count; i++) {
            (void)close(p->waiting[i].connection);
        }
        listeners_close(p->listeners);
        children_forget(&p->children);
    }
    return pid;
}

/* Without a keeper the journal goes on until its file is full, so there is time to try again. */
static void want_keeper(struct parent *p)
{
    if (!store_has_journal(p->store)) {
        return;
    }
    pid_t parent = getpid();
    p->keeper = fork_helper(p);
    if (p->keeper == 0) {
        keeper_run(p->store, p->sandbox, p->limits->sync_seconds, parent);
    }
    if (p->keeper < 0) {
        p->keeper = 0;
        back_off(p, "cannot make a process for the journal", errno);
    }
}

/* The store is checked by a child, since the parent takes no lock, and may not die of what is found. */
static void want_checker(struct parent *p)
{
    if (p->checker > 0 || p->damaged || !store_is_suspect(p->store) || p->pause_until > clock_now()) {
        return;
    }
    pid_t parent = getpid();
    p->checker = fork_helper(p);
    if (p->checker == 0) {
        checker_main(p->store, p->sandbox, parent);
    }
    if (p->checker < 0) {
        p->checker = 0;
        back_off(p, "cannot make a process to check the post office", errno);
    }
}

/* A connection that a spare has died with, untouched, goes to another process. */
static void reap_child(struct parent *p, pid_t pid, int status)
{
    struct child child;

    if (!children_remove(&p->children, pid, &child)) { /* an orphan that was given to us as process 1 */
        return;
    }
    child_note_death(pid, status);
    if (child.connection >= 0) {
        p->waiting[p->waiting_count++] = (struct arrival){child.connection, child.proxied, child.source};
    }
    p->pause_until = 0; /* what had run out may be there again */
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
        if (pid == p->checker) {
            p->checker = 0;
            p->damaged = checker_found_damage(status);
            if (status != 0 && !p->damaged) { /* no slot or memory is left for it: later */
                back_off(p, "the post office cannot be checked", EAGAIN);
            }
        }
        if (pid == p->keeper) {
            p->keeper = 0;
            child_note_death(pid, status);
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

/* Sleeps until a listener is ready, a spare speaks, a signal comes or the pause is over. Returns how many
 * listeners were asked. */
static size_t sleep_for_work(struct parent *p)
{
    bool paused = p->pause_until > clock_now();
    bool accepts = !paused && p->waiting_count == 0 && !is_full(p);
    bool retries = !paused && p->waiting_count > 0 && !is_full(p);
    size_t count = accepts ? p->listeners->count : 0;
    struct timespec left = deadline_left(p->pause_until);

    for (size_t i = 0; i < count; i++) {
        p->polls[i] = (struct pollfd){.fd = p->listeners->list[i].descriptor, .events = POLLIN};
    }
    size_t polled = count + children_poll(&p->children, p->polls + count);
    if (is_full(p) && complaint_is_due(&p->full_complaint)) {
        log_warning("all %zu connections (-c) are in use; further ones wait", p->limits->connections);
    }
    int ready = ppoll(p->polls, polled, paused || retries ? &left : NULL, signals_sleep_mask());
    if (ready < 0 && errno != EINTR) {
        back_off(p, "cannot wait for connections", errno);
    }
    if (ready > 0) {
        signals_let_in();
    }
    if (ready > 0 && polled > count) {
        children_hear_all(&p->children);
    }
    return ready > 0 ? count : 0;
}

/* The next connection of a listener. False: there is none, or none to be served. */
static bool accept_one(struct parent *p, const struct listener *listener, struct arrival *arrival)
{
    switch (admission_accept(listener, &p->children, p->limits->per_source, &p->share_complaint, arrival)) {
    case ADMISSION_GRANTED:
        return true;
    case ADMISSION_EXHAUSTED:
        back_off(p, "cannot accept a connection", errno);
        return false;
    case ADMISSION_BROKEN:
        back_off(p, "cannot listen any more", errno);
        return false;
    default:
        return false;
    }
}

/* In the child: gives up what is the parent's, and all rights. */
static void begin_child(struct parent *p, const char *name, int channel)
{
    listeners_close(p->listeners);
    children_forget(&p->children);
    (void)prctl(PR_SET_NAME, name);
    sandbox_enter(p->sandbox, channel);
    sandbox_bound_memory(p->sandbox);
    sandbox_seal(p->sandbox, channel);
}

/* True in the child. A connection for which there is no process waits for one. */
static bool become_child(struct parent *p, const struct arrival *arrival)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (size_t i = 0; i < p->waiting_count; i++) {
            (void)close(p->waiting[i].connection);
        }
        begin_child(p, "shmaild: child", -1);
        p->proxied = arrival->proxied;
        return true;
    }
    if (pid < 0) {
        back_off(p, "cannot make a process", errno);
        p->waiting[p->waiting_count++] = *arrival;
        return false;
    }
    children_add(&p->children,
                 &(struct child){.pid = pid, .source = arrival->source, .channel = -1, .connection = -1});
    (void)close(arrival->connection);
    return false;
}

/* True in the child. A spare takes the connection at once, where there is one. */
static bool serve(struct parent *p, const struct arrival *arrival)
{
    return !children_hand_over(&p->children, arrival->connection, arrival->proxied, &arrival->source) &&
           become_child(p, arrival);
}

/* The child's connection, in the child; -1 in the parent when all that was ready is served. */
static int serve_ready(struct parent *p, size_t asked)
{
    struct arrival arrival;

    while (p->waiting_count > 0 && !is_full(p) && p->pause_until <= clock_now()) {
        arrival = p->waiting[--p->waiting_count];
        if (serve(p, &arrival)) {
            return arrival.connection;
        }
    }
    for (size_t i = 0; i < asked && !is_full(p) && p->waiting_count == 0; i++) {
        if (p->polls[i].revents != 0 && accept_one(p, &p->listeners->list[i], &arrival) &&
            serve(p, &arrival)) {
            return arrival.connection;
        }
    }
    return -1;
}

/* In the spare: its connection, or the end. */
static int become_spare(struct parent *p, const int ends[static 2])
{
    (void)close(ends[0]);
    for (size_t i = 0; i < p->waiting_count; i++) {
        (void)close(p->waiting[i].connection);
    }
    begin_child(p, "shmaild: spare", ends[1]);
    int connection = spare_wait(ends[1], &p->proxied);
    if (connection < 0) {
        _exit(EX_OK);
    }
    (void)prctl(PR_SET_NAME, "shmaild: child");
    return connection;
}

/* Makes the spares that are missing, no more than there may be connections. The connection of one, in it; -1
 * in the parent. */
static int keep_spares(struct parent *p)
{
    size_t left = p->limits->connections - children_serving(&p->children);
    size_t wanted = left < p->limits->spares ? left : p->limits->spares;
    int ends[2];

    while (p->children.idle < wanted && p->children.count < p->children.room &&
           p->pause_until <= clock_now()) {
        if (!spare_channel(ends)) {
            back_off(p, "cannot make a channel to a spare process", errno);
            return -1;
        }
        pid_t pid = fork();
        if (pid == 0) {
            return become_spare(p, ends);
        }
        (void)close(ends[1]);
        if (pid < 0) {
            back_off(p, "cannot make a spare process", errno);
            (void)close(ends[0]);
            return -1;
        }
        children_add(&p->children, &(struct child){.pid = pid, .channel = ends[0], .connection = -1});
    }
    return -1;
}

static void wait_for_children(struct parent *p, int64_t deadline)
{
    while (p->children.count > 0 && clock_now() < deadline) {
        struct timespec left = deadline_left(deadline);
        (void)ppoll(NULL, 0, &left, signals_sleep_mask());
        reap(p);
    }
}

/* Last, since it syncs what the others have done. */
static void end_keeper(struct parent *p)
{
    int64_t deadline = clock_now() + END_KILLED;

    if (p->keeper > 0) {
        (void)kill(p->keeper, SIGTERM);
    }
    while (p->keeper > 0 && clock_now() < deadline) {
        struct timespec left = deadline_left(deadline);
        reap(p);
        if (p->keeper > 0) {
            (void)ppoll(NULL, 0, &left, signals_sleep_mask());
        }
    }
}

static void let_go(struct parent *p)
{
    while (p->waiting_count > 0) {
        (void)close(p->waiting[--p->waiting_count].connection);
    }
    children_forget(&p->children);
}

static void end(struct parent *p)
{
    listeners_remove(p->listeners);
    children_signal(&p->children, SIGTERM);
    reap(p);
    wait_for_children(p, deadline_after_seconds(END_SECONDS));
    if (p->children.count > 0) {
        log_warning("%zu connections did not end in %d s and are cut", p->children.count, END_SECONDS);
        children_signal(&p->children, SIGKILL);
        wait_for_children(p, clock_now() + END_KILLED);
    }
    end_keeper(p);
    let_go(p);
}

/* At once: what is damaged is not worked on any more. */
static void end_everybody(struct parent *p)
{
    children_signal(&p->children, SIGKILL);
    if (p->keeper > 0) {
        (void)kill(p->keeper, SIGKILL);
    }
    int64_t deadline = deadline_after_seconds(END_SECONDS);
    while ((p->children.count > 0 || p->keeper > 0) && clock_now() < deadline) {
        struct timespec left = deadline_left(clock_now() + END_KILLED / 10);
        (void)ppoll(NULL, 0, &left, signals_sleep_mask());
        reap(p);
    }
    let_go(p);
}

int parent_run(struct listeners *listeners, struct store *store, struct sandbox *sandbox,
               const struct parent_limits *limits, bool *proxied)
{
    struct parent parent = {.listeners = listeners, .store = store, .sandbox = sandbox, .limits = limits};

    if (!children_make_room(&parent.children, limits->connections + limits->spares)) {
        listeners_remove(listeners);
        die(EX_OSERR, "no memory to remember %zu children", limits->connections);
    }
    want_keeper(&parent);
    want_checker(&parent);
    for (int connection = -1;;) {
        connection = keep_spares(&parent);
        if (connection >= 0) {
            *proxied = parent.proxied;
            return connection;
        }
        size_t asked = sleep_for_work(&parent);
        if (signals_take_hangup()) {
            log_info("HUP: nothing to read again");
        }
        if (signals_take_child()) {
            reap(&parent);
        }
        if (*signals_closing() != 0) {
            end(&parent);
            return PARENT_STOPPED;
        }
        if (parent.damaged) {
            end_everybody(&parent);
            return PARENT_DAMAGED;
        }
        if (parent.keeper == 0 && parent.pause_until <= clock_now()) {
            want_keeper(&parent);
        }
        want_checker(&parent);
        connection = serve_ready(&parent, asked);
        if (connection >= 0) {
            *proxied = parent.proxied;
            return connection;
        }
    }
}
