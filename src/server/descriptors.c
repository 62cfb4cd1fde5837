/* descriptors.c: looks at descriptors, above all at 0, 1 and 2 as an init system, inetd or a shell has left
 * them, and makes those safe to use. It reads and writes nothing. */
#include "descriptors.h"

#include "address.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A client that is gone without a word is noticed within some two minutes, and its place is free again: after
 * so many seconds of silence its machine is asked, and some more times where that does not answer. The
 * system's own two hours would let dead clients that wait for mail fill the share of their source. */
enum { KEEP_IDLE = 60, KEEP_INTERVAL = 15, KEEP_COUNT = 4 };

enum { OWNER_TRIES = 50, OWNER_NANOSECONDS = 2000000 }; /* a parent has little to do before it says so */

/* Sockets are asked for first, and otherwise: a sandbox allows that, but no fstat(2). */
enum descriptor_kind descriptor_kind(int descriptor)
{
    struct stat status;
    int type;
    socklen_t size = sizeof type;

    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0) {
        return DESCRIPTOR_SOCKET;
    }
    return fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) ? DESCRIPTOR_FILE : DESCRIPTOR_OTHER;
}

void descriptor_own(int descriptor, pid_t owner)
{
    (void)fcntl(descriptor, F_SETOWN, owner);
}

static bool is_own(int descriptor)
{
    const struct timespec moment = {.tv_nsec = OWNER_NANOSECONDS};

    for (int tries = 0; fcntl(descriptor, F_GETOWN) != getpid() && fcntl(descriptor, F_SETOWN, getpid()) != 0;
         tries++) {
        if (tries == OWNER_TRIES) {
            return false;
        }
        (void)ppoll(NULL, 0, &moment, NULL);
    }
    return true;
}

bool descriptor_watch(int descriptor)
{
    struct sigaction action;
    int flags = fcntl(descriptor, F_GETFL);

    return flags >= 0 && sigaction(SIGIO, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
           action.sa_handler != SIG_IGN && is_own(descriptor) &&
           fcntl(descriptor, F_SETFL, flags | O_ASYNC) == 0;
}

/* What this machine has chosen for its networks costs something with every packet. */
static void want_no_congestion_control(int descriptor)
{
    static const char simplest[] = "reno";

    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, simplest, sizeof simplest - 1);
}

static void want_keepalive(int descriptor)
{
    const int on = 1, idle = KEEP_IDLE, interval = KEEP_INTERVAL, count = KEEP_COUNT;

    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

void descriptor_tune(int descriptor)
{
    const int on = 1;
    struct address address = {.length = sizeof address.socket};

    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    want_keepalive(descriptor);
    if (getsockname(descriptor, &address.socket.any, &address.length) == 0 && address_is_local(&address)) {
        want_no_congestion_control(descriptor);
    }
}

void descriptor_unwatch(int descriptor)
{
    int flags = fcntl(descriptor, F_GETFL);

    (void)(flags >= 0 && fcntl(descriptor, F_SETFL, flags & ~O_ASYNC));
}

bool descriptors_fill(void)
{
    bool error_was_open = fcntl(STDERR_FILENO, F_GETFD) != -1;
    int descriptor;

    do {
        descriptor = open("/dev/null", O_RDWR);
    } while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    return error_was_open;
}

void descriptors_close_from(int first)
{
    (void)close_range((unsigned)first, ~0U, 0);
}

void descriptor_unblock(int descriptor)
{
    struct stat status;
    char path[sizeof("/proc/self/fd/-2147483648")];

    if (fstat(descriptor, &status) != 0 || !(S_ISFIFO(status.st_mode) || isatty(descriptor))) {
        return;
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0) {
        (void)dup2(own, descriptor);
        (void)close(own);
    }
}

bool descriptors_error_is_wire(void)
{
    struct stat error, wire;

    if (fstat(STDERR_FILENO, &error) != 0 || !S_ISSOCK(error.st_mode)) {
        return false;
    }
    for (int descriptor = STDIN_FILENO; descriptor <= STDOUT_FILENO; descriptor++) {
        if (fstat(descriptor, &wire) == 0 && wire.st_dev == error.st_dev && wire.st_ino == error.st_ino) {
            return true;
        }
    }
    return false;
}

bool descriptors_end_output(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (null < 0) {
        return false;
    }
    bool replaced = dup2(null, STDOUT_FILENO) == STDOUT_FILENO;
    (void)close(null);
    return replaced;
}
