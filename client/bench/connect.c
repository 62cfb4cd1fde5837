/* connect.c: opens and closes the sockets of lanes. It knows the addresses and what may be wrong with them,
 * and nothing of requests. */
#include "connect.h"

#include "clock.h"
#include "complaint.h"
#include "traffic.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

enum { TICK_SECONDS = 1 }; /* the longest sleep in a call */

static int complain_of_server(const struct plan *plan, int error)
{
    if (plan->server.is_path) {
        complain(plan, "cannot connect to unix:%s: %s", plan->server.name, strerror(error));
    } else {
        complain(plan, "cannot connect to inet:%s:%s: %s", plan->server.name, plan->server.port,
                 strerror(error));
    }
    return EX_UNAVAILABLE;
}

/* A server whose queue of connections is full, and ports that are all in use for a while. */
static bool is_passing(int error)
{
    return error == EAGAIN || error == EADDRNOTAVAIL;
}

/* One that may sleep in its own calls, for a tick, is for a lane that is alone. */
static int open_socket(const struct address *address, bool may_sleep, int *error)
{
    const struct timeval tick = {.tv_sec = TICK_SECONDS};
    int family = address->socket.any.sa_family, on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | (may_sleep ? 0 : SOCK_NONBLOCK), 0);

    if (fd < 0) {
        *error = errno;
        return -1;
    }
    if ((may_sleep && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick) != 0 ||
                       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof tick) != 0)) ||
        (family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)) {
        *error = errno;
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int begin(struct lane *lane)
{
    lane->state = LANE_GREETING;
    return 0;
}

int lane_connect(struct lane *lane)
{
    const struct address *address = &lane->plan->address;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = lane};
    int error = 0;

    if (lane->began == 0) {
        lane->began = clock_now();
    }
    lane->socket = open_socket(address, lane->worker->lane_count == 1, &error);
    if (lane->socket < 0) {
        return complain_of_server(lane->plan, error);
    }
    if (connect(lane->socket, &address->socket.any, address->length) != 0) {
        error = errno;
    }
    if (is_passing(error)) {
        int64_t began = lane->began;
        lane_disconnect(lane);
        lane->began = began;
        return 0;
    }
    if (error != 0 && error != EINPROGRESS && error != EINTR) {
        return complain_of_server(lane->plan, error);
    }
    lane->writing = error != 0;
    event.events |= lane->writing ? EPOLLOUT : 0;
    if (epoll_ctl(lane->worker->epoll, EPOLL_CTL_ADD, lane->socket, &event) != 0) {
        return complain_of_server(lane->plan, errno);
    }
    uint64_t most = lane->plan->per_connection;
    lane->left_here = most > 0 && lane->worker->phase.each == NULL ? most : UINT64_MAX;
    lane->greeted = 0;
    if (lane->writing) {
        lane->state = LANE_CONNECTING;
        return 0;
    }
    return begin(lane);
}

int lane_connected(struct lane *lane)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(lane->socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    return error != 0 ? complain_of_server(lane->plan, error) : begin(lane);
}

void lane_disconnect(struct lane *lane)
{
    if (lane->socket >= 0) {
        (void)close(lane->socket);
    }
    lane->socket = -1;
    lane->state = LANE_CLOSED;
    lane->writing = false;
    lane->began = 0;
    lane->head = lane->tail;
    lane->sent = 0;
    buffer_clear(&lane->out);
    buffer_clear(&lane->in);
}

static int try_address(const struct address *address, int64_t timeout)
{
    int error = 0;
    int fd = open_socket(address, false, &error);
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    socklen_t size = sizeof error;

    if (fd < 0) {
        return error;
    }
    error = connect(fd, &address->socket.any, address->length) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        error = poll(&ready, 1, (int)(timeout / (NANOSECONDS_PER_SECOND / 1000))) > 0 &&
                        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0
                    ? error
                    : ETIMEDOUT;
    }
    (void)close(fd);
    return is_passing(error) ? 0 : error; /* somebody is there */
}

int server_find(struct plan *plan)
{
    struct address found[ADDRESS_FOUND_MAX];
    const char *why = NULL;
    size_t count = address_find(&plan->server, found, &why);
    int error = 0;

    if (count == 0) {
        complain(plan, "%s: %s", plan->server.name, why);
        return EX_UNAVAILABLE;
    }
    plan->address = found[0];
    if (count == 1 && plan->processes == 1) { /* whoever connects first will see */
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        error = try_address(&found[i], plan->timeout);
        if (error == 0) {
            plan->address = found[i];
            return 0;
        }
    }
    return complain_of_server(plan, error);
}
