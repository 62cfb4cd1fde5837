/* maker.c: the parent's side of it: forks it, tells it what to make, and hears of what it has made. */
#include "maker.h"

#include "log.h"
#include "maker_told.h"
#include "pass.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

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

/* Nobody else may say which processes the parent has: it signals them. */
static void share(struct maker *maker, bool shared)
{
    if (madvise(maker->board, sizeof *maker->board, shared ? MADV_DOFORK : MADV_DONTFORK) != 0) {
        bug("memory cannot be kept from children");
    }
}

bool maker_prepare(struct maker *maker, struct spares *spares)
{
    static void *board = MAP_FAILED; /* a parent whose post office was rebuilt begins anew with it */

    if (board == MAP_FAILED) {
        board = mmap(NULL, sizeof *maker->board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    hold_reserve();
    *maker = (struct maker){.channel = -1, .board = board, .spares = spares};
    if (board == MAP_FAILED) {
        return false;
    }
    memset(&maker->board->spares, 0, sizeof maker->board->spares);
    share(maker, false);
    return true;
}

/* At once: one that is stopped, or has much to prepare, would keep the address from the next server. */
static void bind_to_parent(pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGCONT); /* then it reads the end of its channel */
    if (getppid() != parent) {
        _exit(EX_OK);
    }
}

/* As maker_fork. */
static pid_t fork_with(struct maker *maker, const int ends[static 2])
{
    memset(maker->board->taken, 0, sizeof maker->board->taken); /* the last one may have left some */
    maker->parent = getpid();
    share(maker, true);
    pid_t pid = fork();
    int error = errno;
    share(maker, false);
    if (pid == 0) {
        bind_to_parent(maker->parent);
    }
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

bool maker_has_room(const struct maker *maker)
{
    return maker->pid != 0 && maker->ordered - maker->heard < MAKER_ORDERS_MOST;
}

bool maker_order(struct maker *maker, int connection, const struct caller *caller)
{
    const struct maker_told order = {.place = maker->ordered % MAKER_ORDERS_MOST, .caller = *caller};

    if (!maker_has_room(maker)) {
        errno = EAGAIN;
        return false;
    }
    __atomic_store_n(&maker->board->made[order.place], 0, __ATOMIC_RELAXED);
    if (!pass_give(maker->channel, connection, &order, sizeof order)) {
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
    pid_t pid = __atomic_load_n(&maker->board->made[maker->heard % MAKER_ORDERS_MOST], __ATOMIC_ACQUIRE);
    maker->heard += pid != 0;
    return pid;
}

void maker_let(struct maker *maker, uint32_t connections)
{
    const struct maker_told told = {.let = connections < MAKER_LET_MOST ? connections : MAKER_LET_MOST};

    if (pass_give(maker->channel, -1, &told, sizeof told)) {
        maker->ready = false;
        maker->let = told.let;
    }
}

void maker_complete_spares(const struct maker *maker)
{
    const struct maker_told told = {.completes = true};

    (void)pass_give(maker->channel, -1, &told, sizeof told);
}

static struct maker_taken *next_taken(const struct maker *maker)
{
    return &maker->board->taken[maker->taken % MAKER_LET_MOST];
}

pid_t maker_hear_taken(struct maker *maker, struct source *source)
{
    pid_t pid = spares_hear(maker->spares, source);

    if (pid != 0) {
        return pid;
    }
    struct maker_taken *next = next_taken(maker);
    pid = __atomic_load_n(&next->pid, __ATOMIC_ACQUIRE);
    if (pid > 0) {
        *source = next->source;
        __atomic_store_n(&next->pid, 0, __ATOMIC_RELAXED);
        maker->taken++;
        maker->let -= maker->spares->wanted == 0;
    }
    return pid;
}

bool maker_wakes(struct maker *maker)
{
    __atomic_store_n(&maker->board->parent_sleeps, 1, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&next_taken(maker)->pid, __ATOMIC_SEQ_CST) == 0;
}

void maker_listen(struct maker *maker, struct maker_note *note)
{
    int descriptor = -1;
    bool hears = maker->pid != 0 && !maker->gone;

    if (!hears || !pass_hear(maker->channel, false, note, sizeof *note, &descriptor)) {
        maker->gone = maker->gone || (hears && errno != EAGAIN);
        *note = (struct maker_note){.word = MAKER_SILENT, .answers = -1};
    }
    bool is_whole = note->answers < 0 || descriptor >= 0; /* there may have been no number for it here */
    note->answers = descriptor;
    if (note->word == MAKER_STUCK && note->left == 0) { /* a spare was, and more may have been let since */
        return;
    }
    if (note->word != MAKER_SILENT && note->word != MAKER_TAKES && is_whole) {
        maker->ready = true;
        maker->let = maker->spares->wanted > 0 ? 0 : maker->let - note->left; /* those are heard of as made */
    }
}

void maker_dismiss(const struct maker *maker)
{
    (void)shutdown(maker->channel, SHUT_WR);
}

void maker_forget(struct maker *maker)
{
    (void)close(maker->channel);
    *maker = (struct maker){.channel = -1, .board = maker->board, .spares = maker->spares};
}
