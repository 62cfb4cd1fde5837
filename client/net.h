/* net.h: the client's one connection: connect, send, receive with a time limit.
 *
 * Whatever goes wrong closes the connection for good and leaves a sentence in ->error: after half a request
 * or half a reply nothing that follows could be trusted. */
#ifndef SHMAIL_CLIENT_NET_H
#define SHMAIL_CLIENT_NET_H

#include "address.h"
#include "buffer.h"

#include <stdbool.h>
#include <stddef.h>

struct net {
    int fd;              /* -1: not connected, or lost */
    int patience;        /* seconds without a byte from or to the server until it counts as silent */
    bool timed_out;      /* the connection was given up for silence */
    struct buffer input; /* received; what stands before start was handed out */
    size_t start;
    struct buffer error;
};

/* The cap stops a hostile server from taking all memory; a FETCH or an array at their limits fits. */
#define NET_WITH_PATIENCE(seconds) \
    ((struct net){.fd = -1, .patience = (seconds), .input = BUFFER_WITH_CAP((size_t)2 << 30)})

bool net_open(struct net *, const struct address_name *);
bool net_is_open(const struct net *);
bool net_send(struct net *, const void *bytes, size_t length);

/* The next frame without its NUL, but with that NUL behind it: a C string. NULL: lost. Lives until the next
 * call. */
const char *net_frame(struct net *, size_t *length);

/* Exactly length bytes. NULL: lost. Lives until the next call. */
const char *net_bytes(struct net *, size_t length);

/* Waits until the server closes its side; what it still sends is dropped. */
void net_wait_for_end(struct net *);

/* True where the server has closed a connection on which nothing is due. */
bool net_has_ended(const struct net *);

/* Says that the server went away, for a caller that saw it by other means. */
void net_lose(struct net *);

void net_close(struct net *);

#endif
