/* checker.h: the process that checks a store after a crash. */
#ifndef SHMAIL_CHECKER_H
#define SHMAIL_CHECKER_H

#include "sandbox.h"
#include "store.h"

/* Checks a suspect store in this process, which is attached, and logs what it finds. */
enum status checker_run(struct store *);

/* What a child of that parent does: the same, with a slot of its own. Its exit status is 0 where the store is
 * sound. It ends with the parent. */
_Noreturn void checker_main(struct store *, struct sandbox *, pid_t parent);

#endif
