/* histogram.c: puts values into buckets and reads quantiles out of them. It knows neither clock nor units. */
#include "histogram.h"

#define VALUE_MOST ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

/* Bits by which a value is shortened in its bucket: as many as leave its top HISTOGRAM_STEP_BITS + 1. */
static unsigned shift_of(uint64_t value)
{
    unsigned width = 64 - (unsigned)__builtin_clzll(value | 1);

    return width > HISTOGRAM_STEP_BITS + 1 ? width - HISTOGRAM_STEP_BITS - 1 : 0;
}

static unsigned bucket_of(uint64_t value)
{
    unsigned shift = shift_of(value);

    return (shift << HISTOGRAM_STEP_BITS) + (unsigned)(value >> shift);
}

static uint64_t greatest_in(unsigned bucket)
{
    unsigned steps = bucket >> HISTOGRAM_STEP_BITS;
    unsigned shift = steps > 0 ? steps - 1 : 0;
    uint64_t top = bucket - (shift << HISTOGRAM_STEP_BITS);

    return ((top + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->count++;
    if (value > histogram->max) {
        histogram->max = value;
    }
    histogram->buckets[bucket_of(value < VALUE_MOST ? value : VALUE_MOST)]++;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    to->count += from->count;
    if (from->max > to->max) {
        to->max = from->max;
    }
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        to->buckets[i] += from->buckets[i];
    }
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    double wanted = share * (double)histogram->count;
    uint64_t seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t value = greatest_in(i);
            return value < histogram->max && i + 1 < HISTOGRAM_BUCKETS ? value : histogram->max;
        }
    }
    return histogram->max;
}
