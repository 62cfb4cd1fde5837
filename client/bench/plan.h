/* plan.h: what the command line asks for: whom to load, with what, for how long. It is read once and does not
 * change while the bench runs. */
#ifndef SHMAIL_BENCH_PLAN_H
#define SHMAIL_BENCH_PLAN_H

#include "address.h"
#include "speech.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MIX_MAX = 16,    /* verbs in one mix */
    PREFIX_MAX = 16, /* bytes of the accounts' names before their number */
    CONNECTIONS_MOST = 65536,
    DEPTH_MOST = 65536,
    PROCESSES_MOST = 64,
    WEIGHT_MOST = 1000000,
    SIZE_MOST = 1 << 30,
    MAILBOXES_MOST = 1 << 24,
};

struct mix_part {
    const struct verb *verb;
    unsigned weight;
};

struct plan {
    const char *program; /* as complaints name it */
    const struct speech *speech;
    struct address_name server;
    struct address address; /* that the first connection was made to */
    struct mix_part mix[MIX_MAX];
    size_t mix_length;
    unsigned connections, depth, processes;
    uint64_t per_connection; /* requests; 0: no end */
    uint64_t requests;       /* in all; 0: no end */
    int64_t duration;        /* nanoseconds; 0: no end, and then requests is not 0 */
    int64_t warm_up;         /* nanoseconds */
    int64_t timeout;         /* nanoseconds without a reply */
    uint32_t mailboxes;
    uint32_t fill;
    size_t size;
    uint64_t seed;
    char prefix[PREFIX_MAX + 1];
    const char *password;
    bool existing, keep, json;
};

/* Reads the command line. Returns -1 to go on, or the exit status, with the reason said. */
int plan_read(struct plan *, const struct speech *const *speeches, size_t count, int argc, char **argv);

/* The verbs of the mix again, "COUNT=9,SEND=1", for reports. */
void plan_print_mix(const struct plan *, char *text, size_t size);

#endif
