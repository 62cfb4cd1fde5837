/* net.c: a stream socket to the server. In come an address and bytes to send, out go frames and byte runs of
 * any size, or one sentence about what went wrong. It knows neither protocol beyond the NUL that ends a
 * frame. */
#include "net.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 65536 }; /* one read: large enough that huge replies cost few calls */

bool net_is_open(const struct net *net)
{
    return net->fd >= 0;
}

static void disconnect(struct net *net)
{
    if (net->fd >= 0 && close(net->fd) != 0) {
        buffer_append_text(&net->error, " (and the socket would not close)");
    }
    net->fd = -1;
}

void net_lose(struct net *net)
{
    buffer_clear(&net->error);
    buffer_append_text(&net->error, "connection lost: the server closed it");
    disconnect(net);
}

static void lose_by(struct net *net, const char *what, int number)
{
    buffer_clear(&net->error);
    buffer_print(&net->error, "connection lost: %s: %s", what, strerror(number));
    disconnect(net);
}

static void give_up(struct net *net)
{
    buffer_clear(&net->error);
    buffer_print(&net->error, "no answer for %d s", net->patience);
    net->timed_out = true;
    disconnect(net);
}

/* 1: ready; 0: the deadline is over; -1: errno tells. */
static int wait_for(int fd, short events, int64_t deadline)
{
    struct pollfd descriptor = {.fd = fd, .events = events};

    for (;;) {
        struct timespec left = deadline_left(deadline);
        int ready = ppoll(&descriptor, 1, &left, NULL);
        if (ready >= 0 || errno != EINTR) {
            return ready;
        }
    }
}

static bool set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* Where a unix socket's backlog is full, only a blocking connect waits; the send timeout bounds it. */
static int connect_local(int fd, const struct address *address, int patience)
{
    struct timeval limit = {.tv_sec = patience};

    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
        return errno;
    }
    while (connect(fd, &address->socket.any, address->length) != 0) {
        if (errno != EINTR) {
            return errno == EAGAIN ? ETIMEDOUT : errno;
        }
    }
    return set_nonblocking(fd) ? 0 : errno;
}

static int connect_inet(int fd, const struct address *address, int64_t deadline)
{
    int on = 1;
    int result = 0;
    socklen_t size = sizeof result;

    if (!set_nonblocking(fd) || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        return errno;
    }
    if (connect(fd, &address->socket.any, address->length) == 0) {
        return 0;
    }
    if (errno != EINPROGRESS && errno != EINTR) {
        return errno;
    }
    int ready = wait_for(fd, POLLOUT, deadline);
    if (ready == 0) {
        return ETIMEDOUT;
    }
    if (ready < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &size) != 0) {
        return errno;
    }
    return result;
}

/* Returns 0 or an errno. */
static int try_address(struct net *net, const struct address *address, int64_t deadline)
{
    int family = address->socket.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }

    int problem =
        family == AF_UNIX ? connect_local(fd, address, net->patience) : connect_inet(fd, address, deadline);
    net->fd = fd;
    if (problem != 0) {
        disconnect(net);
    }
    return problem;
}

bool net_open(struct net *net, const struct address_name *name)
{
    struct address found[ADDRESS_FOUND_MAX];
    const char *why = NULL;
    size_t count = address_find(name, found, &why);
    int64_t deadline = deadline_after_seconds(net->patience);

    for (size_t i = 0; i < count; i++) {
        int problem = try_address(net, &found[i], deadline);
        if (problem == 0) {
            return true;
        }
        why = strerror(problem);
    }
    buffer_clear(&net->error);
    if (name->is_path) {
        buffer_print(&net->error, "cannot connect to unix:%s: %s", name->name, why);
    } else {
        buffer_print(&net->error, "cannot connect to inet:%s:%s: %s", name->name, name->port, why);
    }
    return false;
}

/* A server that hangs up on a request may have said why first, so EPIPE is no error here: the receive that
 * follows finds either the reply or the end. */
bool net_send(struct net *net, const void *bytes, size_t length)
{
    const char *next = bytes;
    bool late = false;

    while (length > 0 && net->fd >= 0) {
        ssize_t sent = send(net->fd, next, length, MSG_NOSIGNAL);
        if (sent >= 0) {
            next += sent;
            length -= (size_t)sent;
            late = false;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return true;
        } else if (errno == EAGAIN && late) {
            give_up(net);
        } else if (errno == EAGAIN) {
            int ready = wait_for(net->fd, POLLOUT, deadline_after_seconds(net->patience));
            late = ready == 0; /* unless what the server has taken is too little for ppoll(2) to tell */
            if (ready < 0) {
                lose_by(net, "waiting", errno);
            }
        } else if (errno != EINTR) {
            lose_by(net, "sending", errno);
        }
    }
    return net->fd >= 0;
}

/* Appends at least one byte to the input, which must be compact enough to take it. */
static bool receive(struct net *net)
{
    if (net->start > 0 && net->start >= net->input.length / 2) {
        buffer_consume(&net->input, net->start);
        net->start = 0;
    }
    char *room = buffer_reserve(&net->input, READ_SIZE);
    if (room == NULL) {
        lose_by(net, "receiving", ENOMEM);
        return false;
    }
    while (net->fd >= 0) {
        ssize_t got = recv(net->fd, room, READ_SIZE, 0);
        if (got > 0) {
            net->input.length += (size_t)got;
            return true;
        }
        if (got == 0 || errno == ECONNRESET) {
            net_lose(net);
        } else if (errno == EAGAIN) {
            int ready = wait_for(net->fd, POLLIN, deadline_after_seconds(net->patience));
            if (ready == 0) {
                give_up(net);
            } else if (ready < 0) {
                lose_by(net, "waiting", errno);
            }
        } else if (errno != EINTR) {
            lose_by(net, "receiving", errno);
        }
    }
    return false;
}

const char *net_frame(struct net *net, size_t *length)
{
    size_t searched = 0; /* behind start: a long frame is not searched again with each read */

    for (;;) {
        size_t held = net->input.length - net->start;
        if (held > searched) {
            const char *begin = net->input.bytes + net->start;
            const char *end = memchr(begin + searched, '\0', held - searched);
            if (end != NULL) {
                *length = (size_t)(end - begin);
                net->start += *length + 1;
                return begin;
            }
            searched = held;
        }
        if (!receive(net)) {
            return NULL;
        }
    }
}

const char *net_bytes(struct net *net, size_t length)
{
    while (net->input.length - net->start < length) {
        if (!receive(net)) {
            return NULL;
        }
    }
    const char *begin = net->input.bytes + net->start;
    net->start += length;
    return begin;
}

bool net_has_ended(const struct net *net)
{
    struct pollfd descriptor = {.fd = net->fd, .events = POLLIN};

    return poll(&descriptor, 1, 0) > 0;
}

void net_wait_for_end(struct net *net)
{
    do {
        buffer_clear(&net->input);
        net->start = 0;
    } while (receive(net));
}

void net_close(struct net *net)
{
    disconnect(net);
    buffer_free(&net->input);
    buffer_free(&net->error);
    net->start = 0;
}
