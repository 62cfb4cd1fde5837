/* load_wire.h: one client's connection under load: a request goes out, its reply comes back piece by piece,
 * or the connection is lost, which the caller may expect. What is neither ends the process with a reason. It
 * knows framing, and nothing of mail. */
#ifndef SHMAIL_LOAD_WIRE_H
#define SHMAIL_LOAD_WIRE_H

#include "address.h"
#include "buffer.h"
#include "clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { REPLY_SECONDS = 30, WIRE_READ = 65536 };

struct wire {
    int (*dial)(void *context); /* returns a connected socket */
    void *context;
    int socket;
    struct buffer in; /* what has come and was not taken */
    size_t taken;     /* of it, by the current reply */
};

/* Who is speaking, for fail: set once in each process. */
static const char *who_fails = "tool_load";

__attribute__((format(printf, 1, 2))) _Noreturn static inline void fail(const char *format, ...)
{
    char text[600];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "tool_load: %s: %s\n", who_fails, text);
    _exit(1);
}

/* For wire.dial: context is the address. Where nobody listens a server may just be taking another one's
 * place.
 */
static inline int dial_address(void *context)
{
    const struct address *address = context;
    int64_t deadline = deadline_after_seconds(REPLY_SECONDS);

    for (;;) {
        int found = socket(address->socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (found < 0) {
            fail("no socket: %s", strerror(errno));
        }
        if (connect(found, &address->socket.any, address->length) == 0) {
            return found;
        }
        if (errno != ECONNREFUSED || clock_now() >= deadline) {
            fail("cannot connect: %s", strerror(errno));
        }
        close(found);
        poll(NULL, 0, 10);
    }
}

static inline void wire_connect(struct wire *wire)
{
    const struct timeval patience = {.tv_sec = REPLY_SECONDS};

    wire->socket = wire->dial(wire->context);
    if (setsockopt(wire->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(wire->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) {
        fail("a socket without time-outs: %s", strerror(errno));
    }
    buffer_clear(&wire->in);
    wire->taken = 0;
}

static inline void wire_close(struct wire *wire)
{
    (void)close(wire->socket);
    wire->socket = -1;
}

/* False where the other end is gone; anything else that is wrong is a failure. */
static inline bool wire_holds(const char *what)
{
    if (errno == EAGAIN) {
        fail("%s for %d seconds", what, REPLY_SECONDS);
    }
    if (errno != ECONNRESET && errno != EPIPE) {
        fail("the connection: %s", strerror(errno));
    }
    return false;
}

/* Sends a request. False: the connection is lost. */
static inline bool wire_send(struct wire *wire, const char *bytes, size_t length)
{
    if (wire->taken != wire->in.length) {
        fail("%zu bytes came that nobody had asked for", wire->in.length - wire->taken);
    }
    buffer_clear(&wire->in);
    wire->taken = 0;
    while (length > 0) {
        ssize_t sent = send(wire->socket, bytes, length, MSG_NOSIGNAL);
        if (sent < 0) {
            return wire_holds("a request could not be sent");
        }
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

static inline bool wire_receive(struct wire *wire)
{
    char *room = buffer_reserve(&wire->in, WIRE_READ);

    if (room == NULL) {
        fail("no memory");
    }
    ssize_t got = recv(wire->socket, room, WIRE_READ, 0);
    if (got < 0) {
        return wire_holds("no reply came");
    }
    wire->in.length += (size_t)got;
    return got > 0;
}

/* The next length bytes of the reply; they hold until the next piece is asked for. NULL: lost. */
static inline const char *wire_bytes(struct wire *wire, size_t length)
{
    while (wire->in.length - wire->taken < length) {
        if (!wire_receive(wire)) {
            return NULL;
        }
    }
    wire->taken += length;
    return wire->in.bytes + wire->taken - length;
}

/* The next piece up to a terminator, which becomes a NUL. */
static inline char *wire_line(struct wire *wire, char terminator, size_t *length)
{
    size_t searched = wire->taken;
    char *end = NULL;

    for (;;) {
        if (wire->in.length > searched) {
            end = memchr(wire->in.bytes + searched, terminator, wire->in.length - searched);
        }
        if (end != NULL) {
            break;
        }
        searched = wire->in.length;
        if (!wire_receive(wire)) {
            return NULL;
        }
    }
    char *line = wire->in.bytes + wire->taken;
    *end = '\0';
    *length = (size_t)(end - line);
    wire->taken += *length + 1;
    return line;
}

/* One frame of the Message protocol. */
static inline bool wire_send_frame(struct wire *wire, int32_t type, const char *body, size_t length)
{
    const uint32_t header[2] = {htonl((uint32_t)type), htonl((uint32_t)length)};
    struct buffer frame = {.cap = 0};

    if (!buffer_append(&frame, header, sizeof header) || !buffer_append(&frame, body, length)) {
        fail("no memory");
    }
    bool sent = wire_send(wire, frame.bytes, frame.length);
    buffer_free(&frame);
    return sent;
}

static inline const char *wire_frame(struct wire *wire, int32_t *type, size_t *length)
{
    uint32_t header[2];
    const char *bytes = wire_bytes(wire, sizeof header);

    if (bytes == NULL) {
        return NULL;
    }
    memcpy(header, bytes, sizeof header);
    *type = (int32_t)ntohl(header[0]);
    *length = ntohl(header[1]);
    return wire_bytes(wire, *length);
}

#endif
