/* parent.h: the standalone loop: accepts, and returns in a child for each connection. */
#ifndef SHMAIL_PARENT_H
#define SHMAIL_PARENT_H

#include "listener.h"
#include "store.h"

#include <stddef.h>

enum {
    PARENT_STOPPED = -1, /* it was told to end, and no child is left */
    PARENT_DAMAGED = -2, /* a check after a crash has failed; no child is left, the listeners are open */
};

/* Returns in each child with its connected descriptor, which is the child's to close; the child has no
 * listeners. In the parent it returns one of the above. At most most children live at once; further
 * connections wait in the backlog. Beside them it keeps a keeper of the journal, where there is one, and has
 * the store checked after a crash. Needs signals_prepare. */
int parent_run(struct listeners *, struct store *, size_t most, int sync_seconds);

#endif
