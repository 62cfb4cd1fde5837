/* filter.h: the system calls that a sandboxed process may still make, as a program for seccomp(2).
 *
 * The table in filter_rules.c is what shmaild(8) shows. What it does not list ends the process. */
#ifndef SHMAIL_FILTER_H
#define SHMAIL_FILTER_H

#include "store.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FILTER_MOST = 255,  /* instructions: a conditional jump reaches no further */
    FILTER_TESTS = 2,   /* of a rule */
    FILTER_PATCHES = 8, /* places that hold the process's own number or channel */
};

struct filter {
    struct sock_filter code[FILTER_MOST];
    unsigned short length;
    unsigned char own[FILTER_PATCHES], channel[FILTER_PATCHES]; /* where these stand in code */
    size_t own_count, channel_count;
};

/* What the rules refer to by name. */
struct filter_values {
    struct store_descriptors store;
    uint32_t breach; /* SECCOMP_RET_KILL_PROCESS, or _TRAP for a handler of SIGSYS that does not return */
    bool syslog;     /* syslog(3) may try to connect anew, which fails */
};

/* False where this kernel has no such filters, or this program has no table for the processor. */
bool filter_is_possible(void);

/* Makes the program, once for any number of processes. */
void filter_build(struct filter *, const struct filter_values *);

/* Puts it into force for this process, for good. channel: the one descriptor from which another may be
 * received; -1: none. Needs no_new_privs. False: errno tells, and nothing is filtered. */
bool filter_install(struct filter *, int channel);

/* A rule allows one system call if all its tests hold. */
enum filter_kind {
    FILTER_NO_TEST, /* ends the tests of a rule */
    FILTER_ONE_OF,  /* the argument, without the bits of ignored, is one of the values */
    FILTER_WITHOUT, /* it has none of the bits of values[0] */
    FILTER_WITH,    /* it has one of them */
    FILTER_NULL,    /* it is 0 in all its 64 bits */
    FILTER_OWN,     /* it is the number of the process */
    FILTER_CHANNEL, /* it is the channel */
    FILTER_SEGMENT, /* it is the descriptor of the segment */
    FILTER_JOURNAL, /* it is one of the journal's two */
};

struct filter_test {
    enum filter_kind kind;
    unsigned argument; /* from 0; but for FILTER_NULL its lower 32 bits, which is what the kernel takes */
    uint32_t values[4];
    size_t count; /* of values */
    uint32_t ignored;
};

struct filter_rule {
    int number; /* as the processor's <asm/unistd.h> has it; several rules of one number are alternatives */
    struct filter_test tests[FILTER_TESTS];
};

extern const struct filter_rule filter_rules[];
extern const size_t filter_rules_count;

#endif
