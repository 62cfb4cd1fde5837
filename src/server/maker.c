/* maker.c: forks in the sandbox, by orders that come with a descriptor each. Where no process can be had it
 * says so: whether and when to try again is the parent's to say, who may have another one for it. */
#include "maker.h"

#include "data.h"
#include "log.h"
#include "pass.h"
#include "spare.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#pragma weak __rseq_offset /* or the program would ask for the dynamic linker by its name */
#endif
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#define MADE_BYTES (MAKER_ORDERS_MOST * sizeof(pid_t))

/* A maker's channel has two ends, of which a dead one has left one: with this there are two to be had,
 * whatever connections wait for it and hold all others. */
static int reserve = -1;

static void hold_reserve(void)
{
    if (reserve < 0) {
        reserve = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    }
}

static bool open_channel(int ends[static 2])
{
    (void)close(reserve);
    reserve = -1;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0;
}

bool maker_prepare(struct maker *maker)
{
    static void *made = MAP_FAILED; /* a parent whose post office was rebuilt begins anew with it */

    if (made == MAP_FAILED) {
        made = mmap(NULL, MADE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    hold_reserve();
    *maker = (struct maker){.channel = -1, .made = made};
    return made != MAP_FAILED;
}

/* Nobody else may say which processes the parent has: it signals them. */
static void share(struct maker *maker, bool shared)
{
    if (madvise(maker->made, MADE_BYTES, shared ? MADV_DOFORK : MADV_DONTFORK) != 0) {
        bug("memory cannot be kept from children");
    }
}

/* As maker_fork. */
static pid_t fork_with(struct maker *maker, const int ends[static 2])
{
    share(maker, true);
    pid_t pid = fork();
    int error = errno;
    share(maker, false);
    int kept = pid == 0 ? 1 : 0;
    (void)close(ends[1 - kept]);
    if (pid < 0) {
        (void)close(ends[kept]);
        errno = error;
        return -1;
    }
    maker->pid = pid;
    maker->channel = ends[kept];
    return pid;
}

pid_t maker_fork(struct maker *maker)
{
    int ends[2];

    pid_t pid = open_channel(ends) ? fork_with(maker, ends) : -1;
    if (pid != 0) {
        int error = errno;
        hold_reserve();
        errno = error;
    }
    return pid;
}

/* Written to, so that the names lie where a process that was forked has its memory already. */
static char spare_name[] = "shmaild: spare", child_name[] = "shmaild: child";

/* In the new process: its connection, or the end of a spare that gets none. */
static int begin(int descriptor, const struct maker_order *order, const struct sandbox *sandbox,
                 struct store *ahead, struct caller *caller)
{
    int connection = descriptor;

    *caller = order->caller;
    if (order->is_spare) {
        (void)prctl(PR_SET_NAME, spare_name);
    }
    sandbox_end_processes(sandbox);
    if (order->is_spare) {
        connection = spare_wait(descriptor, ahead, caller);
    }
    if (connection < 0) {
        _exit(EX_OK);
    }
    sandbox_end_descriptors(sandbox);
    (void)prctl(PR_SET_NAME, child_name);
    return connection;
}

/* No fork(3): its care for threads and streams, of which there are none, touches pages that each child would
 * have to copy. */
static pid_t make(struct maker *maker, uint32_t place)
{
    return (pid_t)syscall(SYS_clone, MAKER_CLONE_FLAGS, NULL, &maker->made[place], NULL, NULL);
}

/* The kernel tells each thread on which processor it runs, by writing to memory that the C library has given
 * it: after a fork two pages are copied for a word that nobody reads here. */
static void want_no_processor_number(void)
{
#ifdef RSEQ_SIG
    if (&__rseq_offset != NULL) {
        (void)syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, sizeof(struct rseq),
                      RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
    }
#endif
}

int maker_run(struct maker *maker, const struct sandbox *sandbox, struct store *ahead, struct caller *caller)
{
    struct maker_order order;

    (void)prctl(PR_SET_NAME, "shmaild: maker");
    want_no_processor_number();
    text_gather();
    data_renew();
    sandbox_enter(sandbox, 2);
    sandbox_bound_memory(sandbox);
    sandbox_seal(sandbox);
    for (;;) {
        int descriptor = pass_take(maker->channel, &order, sizeof order);
        if (descriptor < 0) {
            _exit(EX_OK);
        }
        uint32_t place = order.place % MAKER_ORDERS_MOST;
        pid_t pid = make(maker, place);
        if (pid < 0) {
            __atomic_store_n(&maker->made[place], -errno, __ATOMIC_RELEASE);
        }
        if (pid == 0) {
            (void)close(maker->channel);
            return begin(descriptor, &order, sandbox, ahead, caller);
        }
        (void)close(descriptor);
    }
}

bool maker_has_room(const struct maker *maker)
{
    return maker->pid != 0 && maker->ordered - maker->heard < MAKER_ORDERS_MOST;
}

bool maker_order(struct maker *maker, int descriptor, bool is_spare, const struct caller *caller)
{
    struct maker_order order = {.place = maker->ordered % MAKER_ORDERS_MOST, .is_spare = is_spare};

    if (!maker_has_room(maker)) {
        errno = EAGAIN;
        return false;
    }
    if (caller != NULL) {
        order.caller = *caller;
    }
    __atomic_store_n(&maker->made[order.place], 0, __ATOMIC_RELAXED);
    if (!pass_give(maker->channel, descriptor, &order, sizeof order)) {
        return false;
    }
    maker->ordered++;
    return true;
}

pid_t maker_hear(struct maker *maker)
{
    if (maker->ordered == maker->heard) {
        return 0;
    }
    pid_t pid = __atomic_load_n(&maker->made[maker->heard % MAKER_ORDERS_MOST], __ATOMIC_ACQUIRE);
    maker->heard += pid != 0;
    return pid;
}

void maker_forget(struct maker *maker)
{
    (void)close(maker->channel);
    maker->channel = -1;
    maker->pid = 0;
    maker->ordered = maker->heard = 0;
}
