/* parent.h: the standalone loop: has a child serve each connection. */
#ifndef SHMAIL_PARENT_H
#define SHMAIL_PARENT_H

#include "listener.h"
#include "maker.h"
#include "parent_limits.h"
#include "sandbox.h"
#include "store.h"

enum parent_end {
    PARENT_STOPPED, /* it was told to end, and no child is left */
    PARENT_DAMAGED, /* a check after a crash has failed; no child is left, the listeners are open */
    PARENT_DEAF,    /* no listener is left, as the log says, and no child */
};

/* Until one of the above. Beside the children it keeps a keeper of the journal, where there is one, and has
 * the store checked after a crash. All that it is given lies in static memory (maker_run). Needs
 * signals_prepare.
 */
enum parent_end parent_run(struct listeners *, struct store *, struct sandbox *, const struct parent_limits *,
                           const struct service *);

#endif
