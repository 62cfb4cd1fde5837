/* peer.h: who is at the other end of a connection, as the log has it and as throttles tell sources apart. */
#ifndef SHMAIL_PEER_H
#define SHMAIL_PEER_H

#include "address.h"
#include "limit.h"
#include "source.h"
#include "status.h"

#include <stdbool.h>

/* What whoever accepts a connection learns of it, also where its peer is gone a moment later. */
struct caller {
    struct address from; /* length 0: unknown */
    bool proxied;        /* the address is that of a proxy, which will say whom it speaks for */
};

struct peer {
    /* An address without "inet:", a user and process, "stdin", or "somebody gone". */
    char name[PEER_MAX + 1];
    struct source source;
};

/* As the kernel knows it. caller: NULL where nobody has accepted the connection. A descriptor that is no
 * socket is this process's own user, whom only who is not yet in a sandbox may ask for. */
void peer_of(int descriptor, const struct caller *, struct peer *);

/* Reads the PROXY header that a connection begins with, and not a byte more; where it names a client, that is
 * the peer from now on. STATUS_MALFORMED: it begins with something else; STATUS_TIMED_OUT: the header did
 * not come soon enough; STATUS_HANGUP, STATUS_CLOSING; STATUS_SYSTEM, also where it is no socket. Needs
 * signals_prepare. */
enum status peer_take_proxy(int descriptor, struct peer *);

#endif
