/* filter.h: the system calls that a sandboxed process may still make, as programs for seccomp(2).
 *
 * The wide one is the same for all processes, so that those which are forked under it have it for nothing:
 * the kernel takes long to translate one. So it knows no process's own number, and what a process could do to
 * others by theirs is not in it. The narrow one takes from a process what its maker needed, where no limit
 * does that. The tables in filter_rules.c are what shmaild(8) shows. A breach ends the process. */
#ifndef SHMAIL_FILTER_H
#define SHMAIL_FILTER_H

#include "store.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FILTER_MOST = 255, /* instructions: a conditional jump reaches no further */
    FILTER_TESTS = 2,  /* of a rule */
};

struct filter {
    struct sock_filter code[FILTER_MOST];
    unsigned short length;
};

/* What the rules refer to by name. */
struct filter_values {
    struct store_descriptors store;
    uint32_t breach; /* SECCOMP_RET_KILL_PROCESS, or _TRAP for a handler of SIGSYS that does not return */
    bool syslog;     /* the log may try to find its logger anew, which fails */
};

/* False where this kernel has no such filters, or this program has no table for the processor. */
bool filter_is_possible(void);

/* Makes the programs, once for any number of processes. */
void filter_build_wide(struct filter *, const struct filter_values *);
void filter_build_narrow(struct filter *, const struct filter_values *);

/* Puts one into force for this process and what it forks, for good. Needs no_new_privs. False: errno tells,
 * and nothing is filtered. answers: gets the descriptor where the calls arrive that are asked for (answer.h),
 * or -1 where this system has none or something else answers already; NULL: nobody will answer. Then they
 * fail. */
bool filter_install(const struct filter *, int *answers);

/* A rule allows one system call if all its tests hold. */
enum filter_kind {
    FILTER_NO_TEST, /* ends the tests of a rule */
    FILTER_NEVER,   /* it does not hold: the first and only test */
    FILTER_SIGNAL,  /* the process gets SIGSYS instead of the call: the first and only test */
    FILTER_ONE_OF,  /* the argument, without the bits of ignored, is one of the values */
    FILTER_ASK,     /* the same, and it is asked for: the last test */
    FILTER_WITHOUT, /* it has none of the bits of values[0] */
    FILTER_WITH,    /* it has one of them */
    FILTER_NULL,    /* it is 0 in all its 64 bits */
    FILTER_SEGMENT, /* it is the descriptor of the segment */
    FILTER_JOURNAL, /* it is one of the journal's */
};

enum { FILTER_VALUES_MOST = 5 };

struct filter_test {
    enum filter_kind kind;
    unsigned argument; /* from 0; but for FILTER_NULL its lower 32 bits, which is what the kernel takes */
    uint32_t values[FILTER_VALUES_MOST];
    size_t count; /* of values */
    uint32_t ignored;
};

struct filter_rule {
    int number; /* as the processor's <asm/unistd.h> has it; several rules of one number are alternatives */
    struct filter_test tests[FILTER_TESTS];
};

struct filter_table {
    const struct filter_rule *rules;
    size_t count;
    bool allows_others; /* numbers that it does not list */
};

extern const struct filter_table filter_wide, filter_narrow;

#endif
