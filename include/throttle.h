/* throttle.h: how often somebody may try, over all processes of a post office: failed logins of a source
 * (source.h) and to an account, registrations and entries of a source.
 *
 * An attempt counts as failed before its password is looked at, so that many at once gain nothing, and is
 * taken back where the password was right, or its process was killed meanwhile. What is counted is forgiven
 * bit by bit. The tables have a fixed size: where one is full, who comes new takes over the count of who has
 * least, so nobody's count is ever lost by others crowding in. Each call is one short transaction and never
 * sleeps. */
#ifndef SHMAIL_THROTTLE_H
#define SHMAIL_THROTTLE_H

#include "source.h"
#include "store.h"

enum throttle {
    THROTTLE_SOURCE,  /* failed logins of a source */
    THROTTLE_ACCOUNT, /* failed logins to an account, or to a name that is none */
    THROTTLE_PAIR,    /* failed logins of a source to an account */
    THROTTLE_REGISTRATION,
    THROTTLE_ENTRY,
    THROTTLES /* how many tables there are */
};

enum {
    THROTTLE_SOURCE_FREE = 10,  /* failures of a source after which it has to wait */
    THROTTLE_ACCOUNT_FREE = 50, /* failures to an account after which sources that have failed there wait */
    THROTTLE_DELAY_MOST = 5,    /* seconds between two attempts, in the end */
    THROTTLE_HOUR_MOST = 3600,  /* the highest limit per hour */
};

/* Lets an attempt to log in as a name (canonical: name.h) go on, and counts it as failed: 0; throttle_end is
 * due then. Otherwise nothing is counted, and it is the time in nanoseconds after which to ask again. */
int64_t throttle_login(struct store *, const struct source *, const char *name, size_t length);

/* Ends the attempt that this process was let in with. If it has not failed it does not count, and its source
 * is as good as new to that account. */
void throttle_end(struct store *, bool failed);

/* Counts a registration or an entry; false: the source has had per_hour of them in an hour. per_hour is at
 * most THROTTLE_HOUR_MOST; 0: no limit, and nothing is counted. */
bool throttle_take(struct store *, enum throttle, const struct source *, uint32_t per_hour);

#endif
