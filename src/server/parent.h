/* parent.h: the standalone loop: accepts, and returns in a child for each connection. */
#ifndef SHMAIL_PARENT_H
#define SHMAIL_PARENT_H

#include "listener.h"
#include "store.h"

#include <stddef.h>

/* Returns in each child with its connected descriptor, which is the child's to close; the child has no
 * listeners. Returns -1 in the parent when it was told to end and no child is left. At most most children
 * live at once; further connections wait in the backlog. Needs signals_prepare. */
int parent_run(struct listeners *, struct store *, size_t most, int sync_seconds);

#endif
