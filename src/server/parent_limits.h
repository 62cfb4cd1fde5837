/* parent_limits.h: how much a parent may have at once, as its command line and the post office's slots say.
 */
#ifndef SHMAIL_PARENT_LIMITS_H
#define SHMAIL_PARENT_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

enum { SPARES_MOST = 256 };

/* Further connections wait in the backlog; those of a source that has its share are accepted and closed, so
 * that it cannot fill the backlog too. */
struct parent_limits {
    size_t connections; /* at once */
    size_t per_source;  /* of these, of one source */
    size_t spares;      /* processes that wait for their connection, at most as above */
    bool attach_spares; /* before it comes */
};

#endif
