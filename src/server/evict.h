/* evict.h: ends the processes that have a damaged post office open and are no children of its server:
 * connections and keepers of one that was killed, those of -i, and who is just starting on it. */
#ifndef SHMAIL_EVICT_H
#define SHMAIL_EVICT_H

#include "store.h"

#include <stdbool.h>
#include <stddef.h>

/* Ends all who have it open, as the server ends its own: at once, since what is damaged is not worked on any
 * more. For a server, when it has no child. True: this process has it alone, as by store_take_alone. False:
 * after 5 seconds at most, it has not; why[0..size) says because of whom. */
bool evict_all(const struct store *, char *why, size_t size);

#endif
