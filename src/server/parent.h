/* parent.h: the standalone loop: accepts, and returns in a child for each connection. */
#ifndef SHMAIL_PARENT_H
#define SHMAIL_PARENT_H

#include "listener.h"
#include "parent_limits.h"
#include "peer.h"
#include "sandbox.h"
#include "store.h"

enum {
    PARENT_STOPPED = -1, /* it was told to end, and no child is left */
    PARENT_DAMAGED = -2, /* a check after a crash has failed; no child is left, the listeners are open */
    PARENT_DEAF = -3,    /* no listener is left, as the log says, and no child */
};

/* Returns in each child with its connected descriptor, which is the child's to close, and in *caller what is
 * known of it; the child has no listeners, and is in the sandbox. In the parent it returns one
 * of the above. Beside the children it keeps a keeper of the journal, where there is one, and has the store
 * checked after a crash. Needs signals_prepare.
 */
int parent_run(struct listeners *, struct store *, struct sandbox *, const struct parent_limits *,
               struct caller *);

#endif
