/* moment.h: the time of a request, in whole seconds: one for all that are answered together, since to look at
 * a clock takes as long as a tenth of a COUNT. store_settle ends it, and so does all that takes long: to wait
 * for mail or for room in the journal, and to hash a password. Private to src/store. */
#ifndef SHMAIL_MOMENT_H
#define SHMAIL_MOMENT_H

#include "clock.h"
#include "layout.h"

static inline int64_t moment_coarse(struct store *store)
{
    if (store->now == 0)
        store->now = clock_coarse();
    return store->now;
}

static inline int64_t moment_unix(struct store *store)
{
    if (store->unix_now == 0)
        store->unix_now = clock_unix();
    return store->unix_now;
}

static inline void moment_end(struct store *store)
{
    store->now = store->unix_now = 0;
}

#endif
