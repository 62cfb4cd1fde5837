/* spare.h: how a connection comes to a process that was made before it. */
#ifndef SHMAIL_SPARE_H
#define SHMAIL_SPARE_H

#include "peer.h"
#include "store.h"

#include <stdbool.h>

/* Makes the two ends of a spare's channel, the first one the parent's. */
bool spare_channel(int ends[static 2]);

/* Sends the connection down the parent's end. False: nobody is there, or it is full. */
bool spare_give(int channel, int connection, const struct caller *);

/* True once the spare has said that it has the connection. */
bool spare_has_taken(int channel);

/* The spare's side: attaches to the store, unless that is NULL or has no room, waits for its connection and
 * says that it has it. -1: told to end, or the parent is gone. */
int spare_wait(int channel, struct store *, struct caller *);

#endif
