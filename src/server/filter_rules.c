/* filter_rules.c: the tables of what a child may still ask of the kernel, with the reason for each. What
 * needs something that the process has not got already (a file, a socket, a process, a program, a right) is
 * not in them. They are the table of shmaild(8), and change together with it. */
#include "filter.h"

#include "huge.h"
#include "maker.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

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

static const struct filter_rule wide[] = {
    /* The connection, the log, and DUMP on standard error. */
    {SYS_read, {{0}}},
    {SYS_recvfrom, {{0}}},
    {SYS_write, {{0}}},
    {SYS_writev, {{0}}},
    {SYS_sendmsg, {{0}}},
    {SYS_sendto, {{0}}}, /* an address would be possible with sendmsg, too: a connected stream takes none, the
                            log's socket would, which Landlock then confines */
#ifdef SYS_poll
    {SYS_poll, {{0}}},
#endif
    {SYS_ppoll, {{0}}},
    {SYS_shutdown, {{0}}},
    {SYS_close, {{0}}},
    {SYS_getpeername, {{0}}},
    {SYS_getsockopt, {ONE_OF(1, SOL_SOCKET), ONE_OF(2, SO_TYPE, SO_PEERCRED, SO_INCOMING_CPU)}},
    {SYS_recvmsg, {{0}}}, /* a connection, from the parent: the limit allows no more */
    {SYS_prctl, {ONE_OF(0, PR_SET_NAME, PR_SET_PDEATHSIG)}}, /* of its process; no orphan shall accept */

    /* The connection's flags, and locks of the segment that do not wait. */
    {SYS_fcntl, {ONE_OF(1, F_GETFL, F_SETFL, F_GETOWN, F_GETOWN_EX)}},
    {SYS_fcntl, {ONE_OF(1, F_SETLK, F_GETLK), IS(FILTER_SEGMENT, 0)}},
    {SYS_fcntl,
     {{.kind = FILTER_ASK, .argument = 1, .values = {F_SETOWN}, .count = 1}}}, /* itself: answer.h */

    /* Memory behind the segment is added, never taken away. */
    {SYS_fallocate, {IS(FILTER_SEGMENT, 0), ONE_OF(1, 0)}},

    /* The journal. */
    {SYS_pread64, {IS(FILTER_JOURNAL, 0)}},
    {SYS_pwrite64, {IS(FILTER_JOURNAL, 0)}},
    {SYS_pwritev, {IS(FILTER_JOURNAL, 0)}},
    {SYS_lseek, {IS(FILTER_JOURNAL, 0)}}, /* where there is a hole */
    {SYS_fdatasync, {IS(FILTER_JOURNAL, 0)}},
    {SYS_fsync, {IS(FILTER_JOURNAL, 0)}},
    {SYS_fallocate, {IS(FILTER_JOURNAL, 0), ONE_OF(1, 0)}},

    /* Memory of its own: what malloc(3) and crypt(3) ask for, and no code. */
    {SYS_brk, {{0}}},
    {SYS_mmap, {BITS(FILTER_WITHOUT, 2, PROT_EXEC), BITS(FILTER_WITH, 3, MAP_ANONYMOUS)}},
    {SYS_mremap, {{0}}},
    {SYS_munmap, {{0}}},
    {SYS_madvise,
     {ONE_OF(2, MADV_POPULATE_WRITE, MADV_COLLAPSE, MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE)}}, /* no hole */
    {SYS_getrandom, {{0}}},

    /* Semaphores, signals to itself, the clock, the end. */
    {SYS_futex,
     {{.kind = FILTER_ONE_OF,
       .argument = 1,
       .values = {FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET},
       .count = 3,
       .ignored = FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME}}},
    {SYS_sched_yield, {{0}}},
    {SYS_sched_getscheduler, {IS(FILTER_NULL, 0)}},
    {SYS_sched_setscheduler, {IS(FILTER_NULL, 0), ONE_OF(1, SCHED_OTHER, SCHED_BATCH)}},
    {SYS_sched_getaffinity, {IS(FILTER_NULL, 0)}},
    {SYS_sched_setaffinity, {IS(FILTER_NULL, 0)}},
    {SYS_getpid, {{0}}},
    {SYS_gettid, {{0}}},
    {SYS_getppid, {{0}}},                 /* whether a keeper is an orphan */
    {SYS_tgkill, {IS(FILTER_SIGNAL, 0)}}, /* abort(3), whose handler then goes on by a timer */
    {SYS_timer_create, {{0}}},            /* which can signal no other process */
    {SYS_timer_settime, {{0}}},
    {SYS_setitimer, {ONE_OF(0, ITIMER_REAL)}},
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

    /* The maker accepts, or spares do: who serves has no listener, and nothing that wakes for one. */
    {SYS_accept4, {{0}}},
    {SYS_epoll_pwait, {{0}}},
    {SYS_epoll_ctl, {ONE_OF(1, EPOLL_CTL_MOD)}},
    {SYS_ioctl, {ONE_OF(1, FIONREAD)}},

    /* The maker forks. What it has forked may have no process and no descriptor more, before it reads
     * anything; as root, whom the first does not bind, it loses the call. */
    {SYS_clone, {ONE_OF(0, MAKER_CLONE_FLAGS)}},
    {SYS_prlimit64, {IS(FILTER_NULL, 0), ONE_OF(1, RLIMIT_NPROC, RLIMIT_NOFILE)}},
    {SYS_seccomp, {ONE_OF(0, SECCOMP_SET_MODE_FILTER)}},
};

static const struct filter_rule narrow[] = {
    {SYS_clone, {IS(FILTER_NEVER, 0)}},
};

const struct filter_table filter_wide = {.rules = wide, .count = sizeof wide / sizeof wide[0]};
const struct filter_table filter_narrow = {
    .rules = narrow, .count = sizeof narrow / sizeof narrow[0], .allows_others = true};
