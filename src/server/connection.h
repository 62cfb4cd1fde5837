/* connection.h: serves one connection from its first byte to its end, and knows nothing of how it came. */
#ifndef SHMAIL_CONNECTION_H
#define SHMAIL_CONNECTION_H

#include "protocol.h"

#include <stdbool.h>

/* Attaches to the store, serves, detaches. lone: no parent looks after
 * the store, so a suspect one is checked first. Returns the exit status of the process. Needs
 * signals_prepare. */
int connection_serve(struct store *, const struct settings *, int idle_seconds, int in, int out, bool lone);

#endif
