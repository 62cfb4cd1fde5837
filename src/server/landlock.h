/* landlock.h: no file, no port, no process outside, by the kernel's Landlock, as far as it has it. */
#ifndef SHMAIL_LANDLOCK_H
#define SHMAIL_LANDLOCK_H

#include <stdbool.h>

/* A ruleset that allows nothing of what this kernel can deny; its version in *abi. -1: there is no Landlock.
 */
int landlock_prepare(int *abi);

/* Puts it into force for this process, for good. Needs no_new_privs. */
bool landlock_enter(int rules);

#endif
