/* smsp_pair.h: what most tests of SMSP begin with: a private store, and on it alice, alone or with bob, who
 * are then registered and know their cookies. */
#ifndef SHMAIL_SMSP_PAIR_H
#define SHMAIL_SMSP_PAIR_H

#include "smsp_session.h"

static struct store *store;
static struct peer alice, bob;
static char cookie[COOKIE_TEXT + 1], bobs[COOKIE_TEXT + 1];

static inline void begin(void)
{
    store = open_store();
    connect_peer(store, &alice, '\n');
}

static inline void begin_with_two(void)
{
    begin();
    connect_peer(store, &bob, '\n');
    enrol(&alice, "alice", cookie);
    enrol(&bob, "bob", bobs);
}

static inline void end(void)
{
    EXPECT_EQ(disconnect(&alice), 0);
    if (bob.pid != 0) {
        EXPECT_EQ(disconnect(&bob), 0);
    }
}

#endif
