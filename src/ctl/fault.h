/* fault.h: a verb that reads a post office which somebody has scribbled on may meet what no check has seen
 * yet, and die of it. Private to src/ctl. */
#ifndef SHMAIL_CTL_FAULT_H
#define SHMAIL_CTL_FAULT_H

#include "store.h"

/* From now on a fault of this process makes the post office suspect, once it is open, as the fault of a child
 * of a server does; says so on standard error; and ends with EX_DATAERR. Both pointers must stay. */
void fault_watch(struct store *const *, const char *name);

#endif
