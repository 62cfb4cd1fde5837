/* listener.c: makes listening sockets of addresses, and takes care that a path in the file system is ours
 * before it is replaced or removed. It accepts nothing. */
#include "listener.h"

#include "clock.h"
#include "descriptors.h"
#include "number.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FIRST_HANDED_OVER = 3, /* SD_LISTEN_FDS_START */
    PATIENCE_SECONDS = 1,  /* for an address that a server still has */
    ATTEMPT_MILLISECONDS = 20
};

static bool explain(char *why, size_t why_size, const struct address *address, const char *reason)
{
    char text[ADDRESS_TEXT_SIZE];

    address_print(address, text);
    (void)snprintf(why, why_size, "cannot listen on %s: %s", text, reason);
    return false;
}

/* NULL where the path is left over from a server that is gone; else why it is not ours to replace. */
static const char *path_reason(const struct address *address)
{
    struct stat status;
    const char *reason = NULL;

    if (lstat(address->socket.path.sun_path, &status) != 0) {
        return errno == ENOENT ? NULL : strerror(errno);
    }
    if (!S_ISSOCK(status.st_mode)) {
        errno = EEXIST;
        return "the path is there already and is no socket";
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        return strerror(errno);
    }
    if (connect(probe, &address->socket.any, address->length) == 0 || errno == EAGAIN ||
        errno == EPROTOTYPE) {
        reason = "another server answers there";
        errno = EADDRINUSE;
    } else if (errno != ECONNREFUSED && errno != ENOENT) {
        reason = strerror(errno);
    }
    int saved = errno;
    (void)close(probe);
    errno = saved;
    return reason;
}

static bool bind_path(struct listener *listener, const char **reason)
{
    const struct address *address = &listener->address;
    const char *path = address->socket.path.sun_path;
    int bound = bind(listener->descriptor, &address->socket.any, address->length);

    if (bound != 0 && errno == EADDRINUSE) {
        *reason = path_reason(address);
        if (*reason != NULL) {
            return false;
        }
        (void)unlink(path);
        bound = bind(listener->descriptor, &address->socket.any, address->length);
    }
    if (bound != 0 || lstat(path, &listener->path_status) != 0) {
        *reason = strerror(errno);
        return false;
    }
    listener->owns_path = true;
    return true;
}

static bool bind_inet(struct listener *listener, const char **reason)
{
    const int on = 1;
    struct address *address = &listener->address;
    bool is_v6 = address->socket.any.sa_family == AF_INET6;
    socklen_t length = sizeof address->socket;

    if (setsockopt(listener->descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (is_v6 && setsockopt(listener->descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
        bind(listener->descriptor, &address->socket.any, address->length) != 0 ||
        getsockname(listener->descriptor, &address->socket.any, &length) != 0) {
        *reason = strerror(errno);
        return false;
    }
    return true;
}

/* Whom a server had just forked when it was killed has the address until it gets to closing it. */
static bool bind_patiently(struct listener *listener, const char **reason)
{
    int64_t deadline = deadline_after_seconds(PATIENCE_SECONDS);

    for (;;) {
        bool is_path = listener->address.socket.any.sa_family == AF_UNIX;
        if (is_path ? bind_path(listener, reason) : bind_inet(listener, reason)) {
            return true;
        }
        if (errno != EADDRINUSE || clock_now() > deadline) {
            return false;
        }
        (void)poll(NULL, 0, ATTEMPT_MILLISECONDS);
        errno = 0;
    }
}

static void remove_path(const struct listener *listener)
{
    const char *path = listener->address.socket.path.sun_path;
    struct stat status;

    if (listener->owns_path && lstat(path, &status) == 0 && status.st_dev == listener->path_status.st_dev &&
        status.st_ino == listener->path_status.st_ino) {
        (void)unlink(path);
    }
}

/* errno is 0 where the reason is none of the system's. */
static bool add_address(struct listeners *listeners, const struct address *address, const char **reason)
{
    struct listener *listener = &listeners->list[listeners->count];
    int family = address->socket.any.sa_family;

    errno = 0;
    if (listeners->count == LISTENERS_MAX) {
        *reason = "too many addresses";
        return false;
    }
    *listener = (struct listener){.address = *address};
    listener->descriptor = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->descriptor < 0) {
        *reason = strerror(errno);
        return false;
    }
    bool bound = bind_patiently(listener, reason);
    if (bound) {
        descriptor_tune(listener->descriptor); /* before anybody can connect */
    }
    if (bound && listen(listener->descriptor, SOMAXCONN) == 0) {
        listeners->count++;
        return true;
    }
    int saved = errno;
    if (bound) {
        *reason = strerror(saved);
        remove_path(listener);
    }
    (void)close(listener->descriptor);
    errno = saved;
    return false;
}

bool listeners_add(struct listeners *listeners, const struct address_name *name, bool behind_proxy, char *why,
                   size_t why_size)
{
    struct address found[ADDRESS_FOUND_MAX];
    const char *reason = NULL;
    size_t before = listeners->count, missing = 0;

    size_t count = address_find(name, found, &reason);
    if (count == 0) {
        (void)snprintf(why, why_size, "cannot listen on %s: %s", name->name, reason);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (add_address(listeners, &found[i], &reason)) {
            listeners->list[listeners->count - 1].behind_proxy = behind_proxy;
            continue;
        }
        /* localhost is ::1 too, also where there is no IPv6. */
        bool not_here = errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT;
        if (!not_here || (++missing == count && listeners->count == before)) {
            return explain(why, why_size, &found[i], reason);
        }
    }
    return true;
}

static bool inherit(struct listeners *listeners, int descriptor, bool behind_proxy)
{
    struct listener listener = {.descriptor = descriptor, .behind_proxy = behind_proxy};
    int type = 0, accepts = 0;
    socklen_t size = sizeof type;

    listener.address.length = sizeof listener.address.socket;
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM ||
        getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) != 0 || accepts == 0 ||
        getsockname(descriptor, &listener.address.socket.any, &listener.address.length) != 0) {
        return false;
    }
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) {
        return false;
    }
    descriptor_tune(descriptor);
    listeners->list[listeners->count++] = listener;
    return true;
}

/* How many, as text. NULL: nothing was handed over to this process. */
static const char *handed_over(void)
{
    const char *pid = getenv("LISTEN_PID");
    uint64_t meant = 0;

    if (pid == NULL || !number_parse(pid, strlen(pid), INT32_MAX, &meant) || (pid_t)meant != getpid()) {
        return NULL;
    }
    return getenv("LISTEN_FDS");
}

int listeners_handed_over_end(void)
{
    const char *descriptors = handed_over();
    uint64_t count = 0;

    (void)(descriptors != NULL && number_parse(descriptors, strlen(descriptors), LISTENERS_MAX, &count));
    return FIRST_HANDED_OVER + (int)count;
}

bool listeners_inherit(struct listeners *listeners, bool behind_proxy, char *why, size_t why_size)
{
    const char *descriptors = handed_over();
    uint64_t count = 0;

    if (descriptors == NULL) {
        return true;
    }
    if (!number_parse(descriptors, strlen(descriptors), LISTENERS_MAX - listeners->count, &count)) {
        (void)snprintf(why, why_size, "LISTEN_FDS=%s: not a number of listening sockets", descriptors);
        return false;
    }
    for (int i = 0; i < (int)count; i++) {
        if (!inherit(listeners, FIRST_HANDED_OVER + i, behind_proxy)) {
            (void)snprintf(why, why_size, "LISTEN_FDS=%s: descriptor %d is no listening stream socket",
                           descriptors, FIRST_HANDED_OVER + i);
            return false;
        }
    }
    return unsetenv("LISTEN_PID") == 0 && unsetenv("LISTEN_FDS") == 0;
}

bool listeners_are_local(const struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->list[i].behind_proxy || !address_is_local(&listeners->list[i].address)) {
            return false;
        }
    }
    return true;
}

void listeners_drop(struct listeners *listeners, const struct listener *dropped)
{
    size_t which = (size_t)(dropped - listeners->list);

    remove_path(dropped);
    (void)close(dropped->descriptor);
    listeners->count--;
    memmove(&listeners->list[which], &listeners->list[which + 1],
            (listeners->count - which) * sizeof listeners->list[0]);
}

void listeners_close(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        (void)close(listeners->list[i].descriptor);
    }
    listeners->count = 0;
}

void listeners_remove(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        remove_path(&listeners->list[i]);
    }
    listeners_close(listeners);
}
