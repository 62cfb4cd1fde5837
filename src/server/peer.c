/* peer.c: names the peer of a connection: by the kernel's word, or, on a connection that is marked for it, by
 * that of the proxy in front. It sends nothing and knows no protocol but PROXY. */
#include "peer.h"

#include "address.h"
#include "clock.h"
#include "proxy.h"
#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PROXY_SECONDS = 5 }; /* for the whole header, which a proxy sends at once */

/* The whole text where there is none. Not by strchr(3) and the like, which touch pages that each connection
 * would pay for. */
static const char *behind_colon(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == ':') {
            return at + 1;
        }
    }
    return text;
}

static void set_address(const struct address *address, struct peer *peer)
{
    char text[ADDRESS_TEXT_SIZE];

    address_print(address, text);
    const char *name = behind_colon(text); /* without "inet" */
    size_t length = 0;
    for (; length < PEER_MAX && name[length] != '\0'; length++) {
        peer->name[length] = name[length];
    }
    peer->name[length] = '\0';
    peer->source = source_of_address(address);
}

/* True for an address that tells who it is; unix sockets have none, but credentials. */
static bool is_told(const struct caller *caller)
{
    return caller != NULL && caller->from.length > 0 && caller->from.socket.any.sa_family != AF_UNIX;
}

void peer_of(int descriptor, const struct caller *caller, struct peer *peer)
{
    struct address address = {.length = sizeof address.socket};
    struct ucred credentials;
    socklen_t size = sizeof credentials;

    if (is_told(caller)) {
        set_address(&caller->from, peer);
    } else if (getpeername(descriptor, &address.socket.any, &address.length) != 0) {
        bool gone = errno != ENOTSOCK; /* before it was served: nobody knows who it was */
        (void)snprintf(peer->name, sizeof peer->name, "%s", gone ? "somebody gone" : "stdin");
        peer->source = gone ? (struct source){.kind = SOURCE_OTHER} : source_of_user(getuid());
    } else if (address.socket.any.sa_family != AF_UNIX) {
        set_address(&address, peer);
    } else if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
        (void)snprintf(peer->name, sizeof peer->name, "unix:uid=%lu,pid=%ld", (unsigned long)credentials.uid,
                       (long)credentials.pid);
        peer->source = source_of_user(credentials.uid);
    } else {
        (void)snprintf(peer->name, sizeof peer->name, "unix");
        peer->source = (struct source){.kind = SOURCE_OTHER};
    }
}

static enum status wait_for_byte(int descriptor, int64_t deadline)
{
    struct pollfd poll = {.fd = descriptor, .events = POLLIN};

    for (;;) {
        struct timespec left = deadline_left(deadline);
        int ready = ppoll(&poll, 1, &left, signals_sleep_mask());
        if (ready > 0) {
            return STATUS_OK;
        }
        if (ready == 0) {
            return STATUS_TIMED_OUT;
        }
        if (errno != EINTR) {
            return STATUS_SYSTEM;
        }
        if (*signals_closing() != 0) {
            return STATUS_CLOSING;
        }
    }
}

/* Looks at what is there, and takes off the wire what belongs to the header. */
static enum status take_part(int descriptor, char *bytes, size_t *held, struct proxy_header *header,
                             enum proxy_step *step)
{
    ssize_t got = recv(descriptor, bytes + *held, PROXY_HEADER_MAX - *held, MSG_PEEK | MSG_DONTWAIT);

    *step = PROXY_PART;
    if (got < 0) {
        /* What a socket is ready with, but nobody can look at, is a byte out of band: no header goes past
         * that. */
        return errno == EAGAIN ? STATUS_MALFORMED : errno == ENOTSOCK ? STATUS_SYSTEM : STATUS_HANGUP;
    }
    if (got == 0) {
        return STATUS_HANGUP;
    }
    *step = proxy_parse(bytes, *held + (size_t)got, header);
    size_t part = *step == PROXY_WHOLE ? header->length - *held : (size_t)got;
    if (*step == PROXY_WRONG || recv(descriptor, bytes + *held, part, MSG_DONTWAIT) != (ssize_t)part) {
        return STATUS_MALFORMED;
    }
    *held += part;
    return STATUS_OK;
}

enum status peer_take_proxy(int descriptor, struct peer *peer)
{
    int64_t deadline = deadline_after_seconds(PROXY_SECONDS);
    struct proxy_header header;
    enum proxy_step step = PROXY_PART;
    enum status status = STATUS_OK;
    char bytes[PROXY_HEADER_MAX];
    size_t held = 0;

    while (status == STATUS_OK && step != PROXY_WHOLE) {
        status = wait_for_byte(descriptor, deadline);
        if (status == STATUS_OK) {
            status = take_part(descriptor, bytes, &held, &header, &step);
        }
    }
    if (status == STATUS_OK && header.is_known) {
        set_address(&header.source, peer);
    }
    return status;
}
