/* keeper.h: the process that keeps the journal beside those that serve. */
#ifndef SHMAIL_KEEPER_H
#define SHMAIL_KEEPER_H

#include "sandbox.h"
#include "store.h"

/* What a child of that parent does until it is told to end. Where the parent is gone it stays while the
 * processes that serve connections do, until there is another server. It has a session of its own. It must
 * hold no client's descriptor and listen nowhere. */
_Noreturn void keeper_run(struct store *, struct sandbox *, pid_t parent);

/* Forks one that belongs to no parent and ends some seconds after the last other process has gone. -1: there
 * is no process to be had for it, or for the fork by which it belongs to nobody; errno tells. */
pid_t keeper_start_alone(struct store *, struct sandbox *);

#endif
