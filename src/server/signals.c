/* signals.c: installs the handlers and holds the flags that they set. Handlers do nothing else but wake a
 * store's wait; whoever sleeps looks at the flags. It knows nothing of connections or children. */
#include "signals.h"

#include "breach.h"
#include "clock.h"
#include "log.h"
#include "sanitized.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { FAULT_STACK = 64 << 10 };

static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};

/* The one state of the whole process: a handler has no other way to reach anything. */
static volatile sig_atomic_t closing, hangup, child;
static struct store *volatile interrupted;
static volatile int shut = -1; /* the socket that is shut down for reading */
static struct stream_watch *volatile watched;
static void (*volatile ending)(void *);
static void *volatile ending_context;
static sigset_t sleep_mask, sleep_mask_but_child;

/* left: nanoseconds until the deadline, unless there is none. One that has passed, as where the process was
 * stopped meanwhile, is over at once: 0 would be no timer, and less an error. */
static void set_timer(struct stream_watch *watch, int64_t left)
{
    const int64_t microseconds = left > 0 ? left / 1000 + 1 : 1;
    const struct itimerval timer = {.it_value.tv_sec = (time_t)(microseconds / 1000000),
                                    .it_value.tv_usec = (suseconds_t)(microseconds % 1000000)};

    watch->is_set = true;
    if (watch->until != DEADLINE_NEVER && setitimer(ITIMER_REAL, &timer, NULL) != 0) {
        bug("a timer cannot be set");
    }
}

/* Of a recv(2) that begins after this, the end is there as well. */
static void look_at_watch(void)
{
    struct stream_watch *watch = watched;
    int saved = errno;

    watch->is_set = false;
    int64_t until = watch->until, left = until - clock_now();
    if (until != 0 && left > 0) {
        set_timer(watch, left);
    } else if (until != 0) {
        watch->late = true;
        (void)shutdown(shut, SHUT_RD);
    }
    errno = saved;
}

static void handle(int number)
{
    if (number == SIGALRM && watched != NULL) {
        look_at_watch();
        return;
    }
    switch (number) {
    case SIGHUP:
        hangup = 1;
        return;
    case SIGCHLD:
        child = 1;
        return;
    case SIGTERM:
    case SIGINT:
    case SIGALRM: /* of who has started it */
        if (ending != NULL) {
            ending(ending_context);
        }
        closing = 1;
        if (shut >= 0) {
            int saved = errno;
            (void)shutdown(shut, SHUT_RD);
            errno = saved;
        }
        break;
    default:
        break;
    }
    struct store *store = interrupted;
    if (store != NULL) {
        int saved = errno;
        store_interrupt(store);
        errno = saved;
    }
}

void signals_raise(int number)
{
    const struct itimerspec at_once = {.it_value.tv_nsec = 1};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number};
    int timer = 0; /* the kernel's name for it */

    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0 ||
        syscall(SYS_timer_settime, timer, 0, &at_once, NULL) != 0) {
        (void)raise(number); /* where that is filtered it ends the process, too */
    }
}

/* The process may have written anywhere. Everybody is told, then the fault takes its course. */
static void fault(int number, siginfo_t *about, void *context)
{
    struct store *store = interrupted;

    (void)context;
    if (store != NULL && store_is_attached(store)) {
        store_suspect(store);
    }
    if (breach_is_abort(about)) {
        number = SIGABRT; /* which comes here once more */
    } else {
        breach_log(about);
    }
    signals_raise(number); /* SA_RESETHAND: this time it kills, */
    for (;;) {             /* before anything else is done */
        (void)ppoll(NULL, 0, NULL, NULL);
    }
}

/* On a stack of its own, for the fault may be that there is no more of the other. */
static void handle_faults(void)
{
    static char stack[FAULT_STACK];
    const stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = fault,
                               .sa_flags = (int)(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER)};

    if (SANITIZED) {
        return; /* its own handlers say more */
    }
    if (sigaltstack(&own, NULL) != 0) {
        bug("the stack for faults cannot be set");
    }
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        if (faults[i] != SIGTRAP && sigaction(faults[i], &action, NULL) != 0) {
            bug("a fault cannot be handled");
        }
    }
}

bool signals_is_fault(int number)
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        if (faults[i] == number) {
            return true;
        }
    }
    return false;
}

void signals_prepare(void)
{
    static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGIO, SIGCONT, SIGALRM};
    static const int ignored[] = {SIGPIPE, SIGXFSZ};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigset_t blocked;

    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        sigdelset(&blocked, faults[i]); /* a blocked fault kills without its handler */
    }
    sigemptyset(&sleep_mask);
    sigaddset(&sleep_mask, SIGIO);
    sleep_mask_but_child = sleep_mask;
    sigaddset(&sleep_mask_but_child, SIGCHLD);
    if (sigprocmask(SIG_SETMASK, &blocked, NULL) != 0) {
        bug("the signals cannot be blocked");
    }
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof handled / sizeof handled[0]; i++) {
        if (sigaction(handled[i], &action, NULL) != 0) {
            bug("a signal cannot be handled");
        }
    }
    handle_faults();
    action.sa_handler = SIG_IGN;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        if (sigaction(ignored[i], &action, NULL) != 0) {
            bug("a signal cannot be ignored");
        }
    }
}

const sigset_t *signals_sleep_mask(void)
{
    return &sleep_mask;
}

const sigset_t *signals_sleep_mask_but_child(void)
{
    return &sleep_mask_but_child;
}

void signals_open(int socket, struct stream_watch *watch)
{
    shut = socket;
    watched = watch;
    set_timer(watch, watch->until - clock_now());
    if (sigprocmask(SIG_SETMASK, &sleep_mask, NULL) != 0) {
        bug("the signals cannot be let in");
    }
}

void signals_go_on(void)
{
    closing = 0;
}

void signals_end_by(void (*end)(void *context), void *context)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    ending = end;
    ending_context = context;
    if (end != NULL && closing != 0) {
        end(context);
    }
    if (end != NULL) {
        (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    }
}

const volatile sig_atomic_t *signals_closing(void)
{
    return &closing;
}

bool signals_take_hangup(void)
{
    bool taken = hangup != 0;

    if (taken) { /* a spare, which asks often, would copy a page to write here */
        hangup = 0;
    }
    return taken;
}

bool signals_take_child(void)
{
    bool taken = child != 0;

    child = 0;
    return taken;
}

void signals_let_in(void)
{
    const struct timespec at_once = {0};

    (void)ppoll(NULL, 0, &at_once, &sleep_mask);
}

void signals_interrupt(struct store *store)
{
    if (interrupted != store) { /* it has been forked with it, and to write is to copy a page */
        interrupted = store;
    }
}
