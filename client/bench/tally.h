/* tally.h: what was measured, as the processes leave it for each other and as it is shown. */
#ifndef SHMAIL_BENCH_TALLY_H
#define SHMAIL_BENCH_TALLY_H

#include "histogram.h"
#include "plan.h"

struct tally {
    int64_t start, end; /* clock_now(): of the first request, of the last reply; start 0: not begun */
    uint64_t errors;    /* wrong replies: each ends its process */
    struct histogram parts[MIX_MAX];
};

/* Adds what another process has measured. */
void tally_merge(struct tally *to, const struct tally *from);

/* Writes the result to standard output, as text or as one JSON object. False: that failed. */
bool tally_print(const struct plan *, const struct tally *);

#endif
