/* filter_rules.c: the table of what a child may still ask of the kernel, with the reason for each. What needs
 * something that the process has not got already (a file, a socket, a process, a program, a right) is not in
 * it. It is the table of shmaild(8); the two change together. */
#include "filter.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define ONE_OF(place, ...)                                                   \
    {                                                                        \
        .kind = FILTER_ONE_OF, .argument = (place), .values = {__VA_ARGS__}, \
        .count = sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)        \
    }
#define IS(what, place)                     \
    {                                       \
        .kind = (what), .argument = (place) \
    }
#define BITS(what, place, bits)                                             \
    {                                                                       \
        .kind = (what), .argument = (place), .values = {(bits)}, .count = 1 \
    }

const struct filter_rule filter_rules[] = {
    /* The connection, the log, and DUMP on standard error. */
    {SYS_read, {{0}}},
    {SYS_recvfrom, {{0}}},
    {SYS_write, {{0}}},
    {SYS_writev, {{0}}},
    {SYS_sendmsg, {{0}}},
    {SYS_sendto, {IS(FILTER_NULL, 4)}}, /* to whom the socket is connected */
#ifdef SYS_poll
    {SYS_poll, {{0}}},
#endif
    {SYS_ppoll, {{0}}},
    {SYS_shutdown, {{0}}},
    {SYS_close, {{0}}},
    {SYS_getpeername, {{0}}},
    {SYS_getsockopt, {ONE_OF(1, SOL_SOCKET), ONE_OF(2, SO_TYPE, SO_PEERCRED)}},
    {SYS_recvmsg, {IS(FILTER_CHANNEL, 0)}}, /* a spare's connection */
    {SYS_prctl, {ONE_OF(0, PR_SET_NAME)}},  /* which then is a child */

    /* Its own flags and signal of the connection, and locks of the segment that do not wait. */
    {SYS_fcntl, {ONE_OF(1, F_GETFL, F_SETFL)}},
    {SYS_fcntl, {ONE_OF(1, F_SETOWN), IS(FILTER_OWN, 2)}},
    {SYS_fcntl, {ONE_OF(1, F_SETLK, F_GETLK), IS(FILTER_SEGMENT, 0)}},

    /* Memory behind the segment is added, never taken away. */
    {SYS_fallocate, {IS(FILTER_SEGMENT, 0), ONE_OF(1, 0)}},

    /* The journal. */
    {SYS_pread64, {IS(FILTER_JOURNAL, 0)}},
    {SYS_pwrite64, {IS(FILTER_JOURNAL, 0)}},
    {SYS_pwritev, {IS(FILTER_JOURNAL, 0)}},
    {SYS_lseek, {IS(FILTER_JOURNAL, 0)}}, /* where there is a hole */
    {SYS_fdatasync, {IS(FILTER_JOURNAL, 0)}},
    {SYS_fsync, {IS(FILTER_JOURNAL, 0)}},

    /* Memory of its own: what malloc(3) and crypt(3) ask for, and no code. */
    {SYS_brk, {{0}}},
    {SYS_mmap, {BITS(FILTER_WITHOUT, 2, PROT_EXEC), BITS(FILTER_WITH, 3, MAP_ANONYMOUS)}},
    {SYS_mremap, {{0}}},
    {SYS_munmap, {{0}}},
    {SYS_madvise, {{0}}},
    {SYS_getrandom, {{0}}},

    /* Semaphores, signals to itself, the clock, the end. */
    {SYS_futex,
     {{.kind = FILTER_ONE_OF,
       .argument = 1,
       .values = {FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET},
       .count = 3,
       .ignored = FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME}}},
    {SYS_getpid, {{0}}},
    {SYS_gettid, {{0}}},
    {SYS_tgkill, {IS(FILTER_OWN, 0)}},
    {SYS_rt_sigaction, {IS(FILTER_NULL, 1)}}, /* asks, and sets nothing */
    {SYS_rt_sigprocmask, {{0}}},
    {SYS_rt_sigreturn, {{0}}},
    {SYS_restart_syscall, {{0}}},
    {SYS_clock_gettime, {{0}}}, /* where the clock is not to be read without the kernel */
    {SYS_gettimeofday, {{0}}},
#ifdef SYS_time
    {SYS_time, {{0}}},
#endif
    {SYS_exit, {{0}}},
    {SYS_exit_group, {{0}}},
};

const size_t filter_rules_count = sizeof filter_rules / sizeof filter_rules[0];
