/* checker.h: the process that checks a store after a crash. */
#ifndef SHMAIL_CHECKER_H
#define SHMAIL_CHECKER_H

#include "sandbox.h"
#include "store.h"

/* Checks a suspect store in this process, which is attached, and logs what it finds. */
enum status checker_run(struct store *);

/* Does so in a process of its own, whose exit status is 0 where the store is sound. -1: there is no process
 * to be had; errno tells. */
pid_t checker_start(struct store *, struct sandbox *);

#endif
