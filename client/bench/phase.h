/* phase.h: which request of the worker's phase is next on a lane, and for which mailbox. */
#ifndef SHMAIL_BENCH_PHASE_H
#define SHMAIL_BENCH_PHASE_H

#include "traffic.h"

/* Whether the phase has another request for the lane, and that one. */
bool phase_has_more(const struct lane *);
void phase_take(struct lane *, struct request *);

/* One of the lane's own mailboxes, or the one that it shares. */
struct mailbox *phase_draw_mailbox(const struct lane *);

/* How many mailboxes are the own ones of lane number; 0: it shares one. */
uint32_t phase_count_own(const struct worker *, unsigned number);

#endif
