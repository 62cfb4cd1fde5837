/* tally.c: makes figures of what was counted and writes them, for people or as JSON. It measures nothing. */
#include "tally.h"

#include "clock.h"
#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MIX_TEXT = 512 };

#define NANOSECONDS_PER_MICROSECOND 1000.0

static const struct {
    const char *key;
    double share;
} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};

enum { QUANTILES = sizeof quantiles / sizeof quantiles[0] };

static int64_t earlier(int64_t one, int64_t other)
{
    return one == 0 || (other != 0 && other < one) ? other : one;
}

void tally_merge(struct tally *to, const struct tally *from)
{
    to->start = earlier(to->start, from->start);
    to->end = from->end > to->end ? from->end : to->end;
    to->errors += from->errors;
    for (size_t i = 0; i < MIX_MAX; i++) {
        histogram_merge(&to->parts[i], &from->parts[i]);
    }
}

static double seconds_of(const struct tally *tally)
{
    return (double)(tally->end - tally->start) / (double)NANOSECONDS_PER_SECOND;
}

static double rate_of(uint64_t requests, const struct tally *tally)
{
    double seconds = seconds_of(tally);

    return seconds > 0 ? (double)requests / seconds : 0;
}

static double microseconds(const struct histogram *histogram, size_t quantile)
{
    return (double)histogram_quantile(histogram, quantiles[quantile].share) / NANOSECONDS_PER_MICROSECOND;
}

static void print_row(const char *name, const struct histogram *histogram, const struct tally *tally)
{
    printf("%-8s %12" PRIu64 " %12.0f", name, histogram->count, rate_of(histogram->count, tally));
    for (size_t i = 0; i < QUANTILES; i++) {
        printf(" %9.1f", microseconds(histogram, i));
    }
    printf("\n");
}

static void print_text(const struct plan *plan, const struct tally *tally, const struct histogram *all)
{
    char server[ADDRESS_TEXT_SIZE];

    address_print(&plan->address, server);
    printf("%s at %s: connections %u, depth %u, accounts %" PRIu32 ", size %zu, processes %u",
           plan->speech->name, server, plan->connections, plan->depth, plan->mailboxes, plan->size,
           plan->processes);
    if (plan->per_connection > 0) {
        printf(", requests a connection %" PRIu64, plan->per_connection);
    }
    printf("\n%.3f seconds\n\n%-8s %12s %12s %9s %9s %9s %9s %9s\n", seconds_of(tally), "verb", "requests",
           "a second", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us");
    for (size_t i = 0; i < plan->mix_length; i++) {
        print_row(plan->mix[i].verb->name, &tally->parts[i], tally);
    }
    if (plan->mix_length > 1) {
        print_row("all", all, tally);
    }
    if (tally->errors > 0) {
        printf("%" PRIu64 " wrong\n", tally->errors);
    }
}

static void print_latency(const struct histogram *histogram)
{
    printf("\"latency_us\": {");
    for (size_t i = 0; i < QUANTILES; i++) {
        printf("%s\"%s\": %.3f", i > 0 ? ", " : "", quantiles[i].key, microseconds(histogram, i));
    }
    printf("}");
}

static void print_part(const struct histogram *histogram, const struct tally *tally)
{
    printf("\"requests\": %" PRIu64 ", \"rate\": %.3f, ", histogram->count, rate_of(histogram->count, tally));
    print_latency(histogram);
}

static bool print_json(const struct plan *plan, const struct tally *tally, const struct histogram *all)
{
    struct buffer server = BUFFER_WITH_CAP(0);
    char address[ADDRESS_TEXT_SIZE], mix[MIX_TEXT];

    address_print(&plan->address, address);
    plan_print_mix(plan, mix, sizeof mix);
    if (!json_write_string(&server, address, strlen(address))) {
        return false;
    }
    printf("{");
    print_part(all, tally);
    printf(", \"seconds\": %.6f, \"errors\": %" PRIu64 ", \"verbs\": {", seconds_of(tally), tally->errors);
    for (size_t i = 0; i < plan->mix_length; i++) {
        printf("%s\"%s\": {", i > 0 ? ", " : "", plan->mix[i].verb->name);
        print_part(&tally->parts[i], tally);
        printf("}");
    }
    printf("}, \"protocol\": \"%s\", \"address\": %.*s, \"mix\": \"%s\", \"connections\": %u, \"depth\": %u, "
           "\"per_connection\": %" PRIu64 ", \"processes\": %u, \"size\": %zu, \"accounts\": %" PRIu32
           ", \"fill\": %" PRIu32 ", \"warm_up\": %.3f, \"seed\": %" PRIu64 "}\n",
           plan->speech->name, (int)server.length, server.bytes, mix, plan->connections, plan->depth,
           plan->per_connection, plan->processes, plan->size, plan->mailboxes, plan->fill,
           (double)plan->warm_up / (double)NANOSECONDS_PER_SECOND, plan->seed);
    buffer_free(&server);
    return true;
}

bool tally_print(const struct plan *plan, const struct tally *tally)
{
    static struct histogram all; /* large, and needed once in a process */
    bool good = true;

    for (size_t i = 0; i < plan->mix_length; i++) {
        histogram_merge(&all, &tally->parts[i]);
    }
    if (plan->json) {
        good = print_json(plan, tally, &all);
    } else {
        print_text(plan, tally, &all);
    }
    return good && fflush(stdout) == 0 && ferror(stdout) == 0;
}
