/* parent.c: accepts, forks, reaps, and ends its children when it is told to end. It reads no byte of any
 * client, takes no lock of the store, and stays when descriptors, processes or memory run out: it waits and
 * goes on. */
#include "parent.h"

#include "checker.h"
#include "clock.h"
#include "keeper.h"
#include "log.h"
#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    END_SECONDS =
        4, /* for children to end by themselves; with what follows below the 5 s that are promised */
    COMPLAINT_SECONDS = 10, /* the least time between two lines about the same trouble */
};

#define PAUSE (NANOSECONDS_PER_SECOND / 5)      /* after a resource ran out */
#define END_KILLED (NANOSECONDS_PER_SECOND / 2) /* for the kernel to end what was killed */

struct parent {
    struct listeners *listeners;
    struct store *store;
    pid_t *children;
    size_t count, most;
    pid_t keeper;  /* of the journal; 0: none */
    pid_t checker; /* of a store that is suspect; 0: none */
    bool damaged;  /* so it has found */
    int sync_seconds;
    int waiting;         /* a connection for which no process could be had yet; -1: none */
    int64_t pause_until; /* nothing is accepted before */
    int64_t complained;  /* when trouble was last logged; 0: never */
    struct pollfd polls[LISTENERS_MAX];
};

/* Something has run out: says so now and then, and lets some time pass. */
static void back_off(struct parent *p, const char *what, int error)
{
    int64_t now = clock_now();

    if (p->complained == 0 || now - p->complained >= COMPLAINT_SECONDS * NANOSECONDS_PER_SECOND) {
        log_error("%s: %s; connections wait", what, strerror(error));
        p->complained = now;
    }
    p->pause_until = now + PAUSE;
}

static void note_death(pid_t pid, int status)
{
    if (WIFSIGNALED(status)) {
        log_error("child %ld was ended by signal %d (%s)", (long)pid, WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    }
}

/* Without a keeper the journal goes on until its file is full, so there is time to try again. */
static void want_keeper(struct parent *p)
{
    if (!store_has_journal(p->store)) {
        return;
    }
    p->keeper = keeper_start(p->store, p->sync_seconds, false);
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
    p->checker = checker_start(p->store);
    if (p->checker < 0) {
        p->checker = 0;
        back_off(p, "cannot make a process to check the post office", errno);
    }
}

static void reap(struct parent *p)
{
    bool any = false, died = false;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        died = died || WIFSIGNALED(status);
        if (WIFSIGNALED(status) && signals_is_fault(WTERMSIG(status))) {
            store_suspect(p->store);
        }
        if (pid == p->checker) {
            p->checker = 0;
            p->damaged = status != 0; /* it may have died of what it found */
        }
        if (pid == p->keeper) {
            p->keeper = 0;
            note_death(pid, status);
        }
        for (size_t i = 0; i < p->count; i++) {
            if (p->children[i] == pid) { /* not so for an orphan that was given to us as process 1 */
                p->children[i] = p->children[--p->count];
                note_death(pid, status);
                any = true;
                break;
            }
        }
    }
    if (any) {
        p->pause_until = 0; /* what had run out may be there again */
    }
    if (died) {
        store_wake(p->store);
    }
}

/* Sleeps until a listener is ready, a signal comes or the pause is over. Returns how many listeners were
 * asked. */
static size_t sleep_for_work(struct parent *p)
{
    bool paused = p->pause_until > clock_now();
    bool accepts = !paused && p->waiting < 0 && p->count < p->most;
    bool retries = !paused && p->waiting >= 0 && p->count < p->most;
    size_t count = accepts ? p->listeners->count : 0;
    struct timespec left = deadline_left(p->pause_until);

    for (size_t i = 0; i < count; i++) {
        p->polls[i] = (struct pollfd){.fd = p->listeners->list[i].descriptor, .events = POLLIN};
    }
    int ready = ppoll(p->polls, count, paused || retries ? &left : NULL, signals_sleep_mask());
    if (ready < 0 && errno != EINTR) {
        back_off(p, "cannot wait for connections", errno);
    }
    if (ready > 0) {
        signals_let_in();
    }
    return ready > 0 ? count : 0;
}

static bool is_exhausted(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* The next connection of a listener, or -1. */
static int accept_one(struct parent *p, int listener)
{
    int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (descriptor < 0 && is_exhausted(errno)) {
        back_off(p, "cannot accept a connection", errno);
    } else if (descriptor < 0 && (errno == EBADF || errno == EINVAL || errno == ENOTSOCK)) {
        back_off(p, "cannot listen any more", errno);
    } /* any other error was that of a connection which has gone */
    return descriptor;
}

/* True in the child. A connection for which there is no process waits for one. */
static bool become_child(struct parent *p, int descriptor)
{
    pid_t pid = fork();

    if (pid == 0) {
        listeners_close(p->listeners);
        free(p->children);
        (void)prctl(PR_SET_NAME, "shmaild: child");
        return true;
    }
    if (pid < 0) {
        back_off(p, "cannot make a process", errno);
        p->waiting = descriptor;
        return false;
    }
    p->children[p->count++] = pid;
    p->waiting = -1;
    (void)close(descriptor);
    return false;
}

/* The child's connection, in the child; -1 in the parent when all that was ready is served. */
static int serve_ready(struct parent *p, size_t asked)
{
    int waiting = p->waiting;

    if (waiting >= 0 && p->count < p->most && p->pause_until <= clock_now() && become_child(p, waiting)) {
        return waiting;
    }
    for (size_t i = 0; i < asked && p->count < p->most && p->waiting < 0; i++) {
        int descriptor = p->polls[i].revents != 0 ? accept_one(p, p->polls[i].fd) : -1;
        if (descriptor >= 0 && become_child(p, descriptor)) {
            return descriptor;
        }
    }
    return -1;
}

static void signal_children(const struct parent *p, int number)
{
    for (size_t i = 0; i < p->count; i++) {
        (void)kill(p->children[i], number);
    }
}

static void wait_for_children(struct parent *p, int64_t deadline)
{
    while (p->count > 0 && clock_now() < deadline) {
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

static void end(struct parent *p)
{
    listeners_remove(p->listeners);
    if (p->waiting >= 0) {
        (void)close(p->waiting);
    }
    signal_children(p, SIGTERM);
    reap(p);
    wait_for_children(p, deadline_after_seconds(END_SECONDS));
    if (p->count > 0) {
        log_warning("%zu connections did not end in %d s and are cut", p->count, END_SECONDS);
        signal_children(p, SIGKILL);
        wait_for_children(p, clock_now() + END_KILLED);
    }
    end_keeper(p);
    free(p->children);
}

/* At once: what is damaged is not worked on any more. */
static void end_everybody(struct parent *p)
{
    signal_children(p, SIGKILL);
    if (p->keeper > 0) {
        (void)kill(p->keeper, SIGKILL);
    }
    int64_t deadline = deadline_after_seconds(END_SECONDS);
    while ((p->count > 0 || p->keeper > 0) && clock_now() < deadline) {
        struct timespec left = deadline_left(clock_now() + END_KILLED / 10);
        (void)ppoll(NULL, 0, &left, signals_sleep_mask());
        reap(p);
    }
    if (p->waiting >= 0) {
        (void)close(p->waiting);
    }
    free(p->children);
}

int parent_run(struct listeners *listeners, struct store *store, size_t most, int sync_seconds)
{
    struct parent parent = {
        .listeners = listeners, .store = store, .most = most, .sync_seconds = sync_seconds, .waiting = -1};

    parent.children = calloc(most, sizeof *parent.children);
    if (parent.children == NULL) {
        listeners_remove(listeners);
        die(EX_OSERR, "no memory to remember %zu children", most);
    }
    want_keeper(&parent);
    want_checker(&parent);
    for (;;) {
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
        int descriptor = serve_ready(&parent, asked);
        if (descriptor >= 0) {
            return descriptor;
        }
    }
}
