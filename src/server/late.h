/* late.h: connections of sources that have their share, kept for a moment: a client may come again when it
 * has seen the end of its last connection, whose process is still about to end. */
#ifndef SHMAIL_LATE_H
#define SHMAIL_LATE_H

#include "admission.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LATE_MOST = 256,
    LATE_OF_SOURCE = LATE_MOST / 4, /* so that who floods leaves room for others */
};

struct late_connection {
    struct arrival arrival;
    int64_t until; /* monotonic nanoseconds */
};

struct late {
    struct late_connection *list; /* room for LATE_MOST, the oldest first */
    size_t count;
};

/* False: there are too many, of this source or at all. */
bool late_keep(struct late *, const struct arrival *);

/* The oldest one of that source; of all; of all, if its moment is over. NULL: there is none. */
const struct late_connection *late_of(const struct late *, const struct source *);
const struct late_connection *late_oldest(const struct late *);
const struct late_connection *late_over(const struct late *);

/* One of these is the caller's again. */
struct arrival late_take(struct late *, const struct late_connection *);

/* When the next moment is over. */
int64_t late_end(const struct late *);

/* Closes them all; also in a process that was just forked, whose they are not. */
void late_close(struct late *);

#endif
