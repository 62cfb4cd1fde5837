/* histogram.h: how often each latency came, in buckets whose width grows with the value, after the idea of
 * Tene's HdrHistogram: each power of two is cut into HISTOGRAM_STEPS equal buckets.
 *
 * A quantile is the greatest value of its bucket, so it is never below the true one, and above it by less
 * than 1/HISTOGRAM_STEPS of it; below 2 * HISTOGRAM_STEPS it is exact. The maximum is exact. */
#ifndef SHMAIL_BENCH_HISTOGRAM_H
#define SHMAIL_BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_STEP_BITS = 7,
    HISTOGRAM_STEPS = 1 << HISTOGRAM_STEP_BITS, /* 1/128: an error below 0.8 % */
    HISTOGRAM_VALUE_BITS = 40,                  /* nanoseconds: 18 minutes; what is longer counts as that */
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS,
};

/* All zero is empty. */
struct histogram {
    uint64_t count, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);

/* The least value that at least share (0 to 1) of all values do not exceed, as exact as said above; 0 where
 * the histogram is empty. */
uint64_t histogram_quantile(const struct histogram *, double share);

#endif
