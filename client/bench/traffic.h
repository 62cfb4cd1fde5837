/* traffic.h: the lanes of one process, and phases of load on them: each lane keeps as many requests under way
 * as the plan's depth says, and each reply is judged. A phase ends when all that was asked is answered. */
#ifndef SHMAIL_BENCH_TRAFFIC_H
#define SHMAIL_BENCH_TRAFFIC_H

#include "histogram.h"
#include "lane.h"

#include <signal.h>

struct phase {
    const struct verb *each; /* for each mailbox, times times; NULL: the plan's mix */
    uint32_t times;
    uint64_t requests;           /* of the mix; counts down; UINT64_MAX: no end */
    int64_t end;                 /* clock_now(); DEADLINE_NEVER: no end */
    struct histogram *latencies; /* one for each part of the mix; NULL: not measured */
    int64_t last_reply;
};

struct worker {
    const struct plan *plan;
    struct mailbox_book book;
    struct lane *lanes;
    unsigned lane_count, busy, postponed;
    int epoll;
    const volatile sig_atomic_t *stop; /* ask no more */
    struct phase phase;
    int64_t now;
    int status; /* 0, or the exit status, with the reason said */
};

/* The part of the plan that process number does. False: no memory (said). */
bool worker_open(struct worker *, const struct plan *, unsigned process, const volatile sig_atomic_t *stop);
void worker_close(struct worker *);

/* Returns the worker's status. */
int worker_run(struct worker *, const struct phase *);

#endif
