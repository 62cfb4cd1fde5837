/* keeper.h: the process that keeps the journal beside those that serve. */
#ifndef SHMAIL_KEEPER_H
#define SHMAIL_KEEPER_H

#include "sandbox.h"
#include "store.h"

/* Forks it. lone: it belongs to no parent and ends some seconds after the last other process has gone;
 * otherwise it ends with this process. -1: there is no process to be had; errno tells. */
pid_t keeper_start(struct store *, struct sandbox *, int sync_seconds, bool lone);

#endif
