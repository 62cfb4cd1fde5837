/* evict.h: ends the processes of a damaged post office that are no children of its server: connections and
 * keepers of one that was killed, and of -i. */
#ifndef SHMAIL_EVICT_H
#define SHMAIL_EVICT_H

#include "store.h"

#include <stdbool.h>
#include <stddef.h>

/* Ends all that are attached, as the server ends its own: at once, since what is damaged is not worked on any
 * more. For a server, when it has no child. False: one cannot be ended, for the reason in errno; who[0..size)
 * says which. */
bool evict_all(const struct store *, char *who, size_t size);

#endif
