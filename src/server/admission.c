/* admission.c: accepts, and looks at the address and at nothing else. It reads no byte of any client. */
#include "admission.h"

#include "address.h"
#include "log.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static enum admission refused_by(int error)
{
    switch (error) {
    case EAGAIN:
    case EINTR:
    case ECONNABORTED: /* from here on of the one connection, which accept(2) has taken and lost */
    case EPROTO:
    case ETIMEDOUT:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
        return ADMISSION_NONE;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return ADMISSION_EXHAUSTED;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
        return ADMISSION_BROKEN;
    default:
        return ADMISSION_FAILED;
    }
}

static struct source source_of(const struct address *address, int connection)
{
    struct ucred credentials;
    socklen_t size = sizeof credentials;

    if (address->socket.any.sa_family == AF_UNIX &&
        getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
        return source_of_user(credentials.uid);
    }
    return source_of_address(address);
}

bool admission_has_share(const struct children *children, size_t per_source, const struct arrival *arrival)
{
    return !arrival->caller.proxied && children_serving(children) >= per_source &&
           children_of(children, &arrival->source) >= per_source;
}

void admission_refuse(const struct arrival *arrival, size_t per_source, struct complaint *complaint)
{
    struct peer peer;

    if (complaint_is_due(complaint)) {
        peer_of(arrival->connection, &arrival->caller, &peer);
        log_warning("%s: closed: its source has %zu connections already (--per-source)", peer.name,
                    per_source);
    }
    (void)close(arrival->connection);
}

enum admission admission_take(const struct listener *listener, struct arrival *arrival)
{
    struct address address = {.length = sizeof address.socket};

    arrival->connection = accept4(listener->descriptor, &address.socket.any, &address.length, SOCK_CLOEXEC);
    if (arrival->connection < 0) {
        return refused_by(errno);
    }
    arrival->caller = (struct caller){.from = address, .proxied = listener->behind_proxy};
    arrival->source = arrival->caller.proxied ? (struct source){.kind = SOURCE_OTHER}
                                              : source_of(&address, arrival->connection);
    return ADMISSION_GRANTED;
}

enum admission admission_accept(const struct listener *listener, const struct children *children,
                                size_t per_source, struct arrival *arrival)
{
    enum admission admission = admission_take(listener, arrival);
    bool is_late = admission == ADMISSION_GRANTED && admission_has_share(children, per_source, arrival);

    return is_late ? ADMISSION_LATE : admission;
}
