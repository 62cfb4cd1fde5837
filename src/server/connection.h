/* connection.h: serves one connection from its first byte to its end, and knows nothing of how it came. */
#ifndef SHMAIL_CONNECTION_H
#define SHMAIL_CONNECTION_H

#include "peer.h"
#include "protocol.h"
#include "sandbox.h"

#include <stddef.h>

/* Attaches to the store, serves, detaches. Of limits only the seconds count. proxied: 0, or the connection
 * begins with a PROXY header (proxy.h) and is closed without, or where the source in it has so many already.
 * caller: NULL where nobody has accepted it. sandbox: for who has no parent: it is entered before anything is
 * read, and a suspect store is checked first; NULL in a child, which is in it already. Returns the exit
 * status of the process. Needs signals_prepare. */
int connection_serve(struct store *, const struct settings *, const struct stream_options *limits, int in,
                     int out, size_t proxied, const struct caller *, struct sandbox *sandbox);

#endif
