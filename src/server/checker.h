/* checker.h: the process that checks a store after a crash. */
#ifndef SHMAIL_CHECKER_H
#define SHMAIL_CHECKER_H

#include "sandbox.h"
#include "store.h"

/* Checks a suspect store in this process, which is attached, and logs what it finds. */
enum status checker_run(struct store *);

/* What a child of that parent does: the same, with a slot of its own. It ends with the parent. Its wait
 * status is 0 where the store is sound; it may also have been unable to look. */
_Noreturn void checker_main(struct store *, struct sandbox *, pid_t parent);
bool checker_found_damage(int wait_status);

#endif
