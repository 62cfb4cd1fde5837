/* peer.h: who is at the other end of a connection, as the log has it and as throttles tell sources apart. */
#ifndef SHMAIL_PEER_H
#define SHMAIL_PEER_H

#include "limit.h"
#include "source.h"
#include "status.h"

struct peer {
    char name[PEER_MAX + 1]; /* an address without "inet:", a user and process, or "stdin" */
    struct source source;
};

/* As the kernel knows it. A descriptor that is no socket is this process's own user. */
void peer_of(int descriptor, struct peer *);

/* Reads the PROXY header that a connection begins with, and not a byte more; where it names a client, that is
 * the peer from now on. STATUS_MALFORMED: it begins with something else, or is no socket; STATUS_TIMED_OUT:
 * the header did not come soon enough; STATUS_HANGUP, STATUS_CLOSING, STATUS_SYSTEM. Needs signals_prepare.
 */
enum status peer_take_proxy(int descriptor, struct peer *);

#endif
