/* signals.c: installs the handlers and holds the flags that they set. Handlers do nothing else but wake a
 * store's wait; whoever sleeps looks at the flags. It knows nothing of connections or children. */
#include "signals.h"

#include "log.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* The one state of the whole process: a handler has no other way to reach anything. */
static volatile sig_atomic_t closing, hangup, child;
static struct store *interrupted; /* changes only while signals are blocked */
static sigset_t sleep_mask;

static void handle(int number)
{
    switch (number) {
    case SIGHUP:
        hangup = 1;
        return;
    case SIGCHLD:
        child = 1;
        return;
    case SIGTERM:
    case SIGINT:
        closing = 1;
        break;
    default:
        break;
    }
    if (interrupted != NULL) {
        int saved = errno;
        store_interrupt(interrupted);
        errno = saved;
    }
}

void signals_prepare(void)
{
    static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGIO};
    static const int ignored[] = {SIGPIPE, SIGXFSZ};
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigset_t blocked;

    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        sigdelset(&blocked, faults[i]); /* a blocked fault kills without its handler */
    }
    sigemptyset(&sleep_mask);
    sigaddset(&sleep_mask, SIGIO);
    if (sigprocmask(SIG_SETMASK, &blocked, NULL) != 0) {
        bug("the signals cannot be blocked");
    }
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof handled / sizeof handled[0]; i++) {
        if (sigaction(handled[i], &action, NULL) != 0) {
            bug("a signal cannot be handled");
        }
    }
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

const volatile sig_atomic_t *signals_closing(void)
{
    return &closing;
}

bool signals_take_hangup(void)
{
    bool taken = hangup != 0;

    hangup = 0;
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
    interrupted = store;
}
