/* silence.c: takes the echo from a terminal and gives it back, with the signals held that would leave it
 * without. */
#include "silence.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <unistd.h>

static const int guarded[SILENCE_SIGNALS] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};

static volatile sig_atomic_t caught; /* a handler can reach nothing else */

static void remember_signal(int number)
{
    caught = number;
}

static bool set_modes(int when, const struct termios *modes)
{
    while (tcsetattr(STDIN_FILENO, when, modes) != 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* Signals that a parent had ignored stay ignored. */
static void guard_signals(struct silence *silence)
{
    struct sigaction action = {.sa_handler = remember_signal};
    sigset_t held;

    caught = 0;
    (void)sigemptyset(&held);
    for (size_t i = 0; i < SILENCE_SIGNALS; i++) {
        (void)sigaddset(&held, guarded[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &held, &silence->mask);
    for (size_t i = 0; i < SILENCE_SIGNALS; i++) {
        (void)sigaction(guarded[i], NULL, &silence->actions[i]);
        if (silence->actions[i].sa_handler != SIG_IGN) {
            (void)sigaction(guarded[i], &action, NULL);
        }
    }
}

static void unguard_signals(const struct silence *silence)
{
    for (size_t i = 0; i < SILENCE_SIGNALS; i++) {
        (void)sigaction(guarded[i], &silence->actions[i], NULL);
    }
    (void)sigprocmask(SIG_SETMASK, &silence->mask, NULL);
}

bool silence_begin(struct silence *silence)
{
    if (tcgetattr(STDIN_FILENO, &silence->modes) != 0) {
        return false;
    }
    struct termios silent = silence->modes;
    silent.c_lflag &= (tcflag_t)~ECHO;
    silent.c_lflag |= ECHONL;
    guard_signals(silence);
    if (set_modes(TCSAFLUSH, &silent)) {
        return true;
    }
    int error = errno;
    unguard_signals(silence);
    errno = error;
    return false;
}

/* The signals are blocked except while waiting, so none can fall between the look and the sleep. */
bool silence_wait(const struct silence *silence)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready;

    do {
        ready = ppoll(&input, 1, NULL, &silence->mask);
    } while (ready < 0 && errno == EINTR && caught == 0);
    return ready > 0;
}

bool silence_end(const struct silence *silence)
{
    (void)set_modes(TCSADRAIN, &silence->modes); /* a terminal that does not take them has gone away */
    unguard_signals(silence);
    if (caught == 0) {
        return true;
    }
    (void)raise(caught);
    return false;
}
