/* Latencies in buckets: what a quantile may be off by, and that nothing is lost. */
#include "harness.h"
#include "histogram.h"
#include "random.h"

#include <stdlib.h>
#include <string.h>

enum { VALUES = 20000, EXACT = 2 * HISTOGRAM_STEPS };

static int compare(const void *left, const void *right)
{
    uint64_t one = *(const uint64_t *)left, other = *(const uint64_t *)right;

    return one < other ? -1 : one > other;
}

/* Of every size from nothing to 18 minutes. */
static uint64_t any_value(void)
{
    uint64_t value = (uint64_t)pick(UINT32_MAX) << 8 | pick(256);

    return value >> pick(HISTOGRAM_VALUE_BITS);
}

static void test_error_bound(void)
{
    static const double shares[] = {0, 0.0001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    static uint64_t values[VALUES];
    static struct histogram histogram;

    for (size_t i = 0; i < VALUES; i++) {
        values[i] = any_value();
        histogram_add(&histogram, values[i]);
    }
    qsort(values, VALUES, sizeof values[0], compare);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        size_t rank = (size_t)(shares[i] * VALUES);
        uint64_t exact = values[rank > 0 ? rank - 1 : 0];
        uint64_t told = histogram_quantile(&histogram, shares[i]);
        EXPECT(told >= exact);
        EXPECT(told - exact <= exact / HISTOGRAM_STEPS);
    }
    EXPECT_EQ(histogram_quantile(&histogram, 1), values[VALUES - 1]);
}

static void test_every_value(void)
{
    static struct histogram histogram;

    for (uint64_t value = 1; value < UINT64_C(1) << (HISTOGRAM_VALUE_BITS - 1); value += value / 1000 + 1) {
        memset(&histogram, 0, sizeof histogram);
        histogram_add(&histogram, value);
        histogram_add(&histogram, value * 2); /* so that the maximum does not hide the bucket's edge */
        uint64_t told = histogram_quantile(&histogram, 0.5);
        EXPECT(told >= value);
        EXPECT(told - value <= value / HISTOGRAM_STEPS);
    }
}

static void test_small_exact(void)
{
    static struct histogram histogram;

    for (uint64_t value = 0; value < EXACT; value++) {
        histogram_add(&histogram, value);
    }
    for (uint64_t value = 0; value < EXACT; value++) {
        EXPECT_EQ(histogram_quantile(&histogram, (double)(value + 1) / EXACT), value);
    }
}

static void test_too_long(void)
{
    static struct histogram histogram;

    histogram_add(&histogram, UINT64_MAX);
    EXPECT_EQ(histogram_quantile(&histogram, 0.5), UINT64_MAX);
    EXPECT_EQ(histogram.count, 1);
}

static void test_empty(void)
{
    static struct histogram histogram;

    EXPECT_EQ(histogram_quantile(&histogram, 0.5), 0);
    EXPECT_EQ(histogram_quantile(&histogram, 1), 0);
}

static void test_merge(void)
{
    static struct histogram one, other, both;

    for (size_t i = 0; i < VALUES; i++) {
        uint64_t value = any_value();
        histogram_add(i % 3 == 0 ? &one : &other, value);
        histogram_add(&both, value);
    }
    histogram_merge(&one, &other);
    EXPECT_EQ(memcmp(&one, &both, sizeof both), 0);
}

static const struct harness_test tests[] = {
    {"a quantile is never below the true one, and above it by less than 1/128", test_error_bound},
    {"this holds for values of every size", test_every_value},
    {"values below 256 are exact", test_small_exact},
    {"what is longer than all buckets is still counted, and its maximum exact", test_too_long},
    {"an empty histogram has only zeros", test_empty},
    {"what two processes have measured adds up to what one would have", test_merge},
};

HARNESS_MAIN(tests)
