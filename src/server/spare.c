/* spare.c: a table of places in shared memory, one epoll(7) and one bell. What a word of a place says is
 * changed by one side at a time: who accepts and who has it end agree by compare and exchange. */
#include "spare.h"

#include "clock.h"
#include "log.h"
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct epoll_event event_of(int listener)
{
    return (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = listener};
}

static bool listen_to(const struct spares *spares, int listener)
{
    struct epoll_event event = event_of(listener);

    return epoll_ctl(spares->events, EPOLL_CTL_ADD, listener, &event) == 0;
}

bool spares_prepare(struct spares *spares, size_t wanted, const struct listeners *listeners)
{
    *spares = (struct spares){.parent = getpid()};
    if (wanted == 0) {
        return true;
    }
    struct spares_board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED) {
        return false;
    }
    *spares = (struct spares){.wanted = wanted,
                              .board = board,
                              .events = epoll_create1(EPOLL_CLOEXEC),
                              .bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                              .parent = spares->parent};
    spares_share(spares, false);
    bool prepared = spares->events >= 0 && spares->bell >= 0;
    for (size_t i = 0; prepared && i < listeners->count; i++) {
        prepared = listen_to(spares, listeners->list[i].descriptor);
    }
    return prepared;
}

void spares_leave_out(const struct spares *spares, int listener)
{
    if (spares->wanted > 0) {
        (void)epoll_ctl(spares->events, EPOLL_CTL_DEL, listener, NULL);
    }
}

void spares_leave(const struct spares *spares)
{
    if (spares->wanted > 0) {
        (void)munmap(spares->board, sizeof *spares->board);
        (void)close(spares->events);
        (void)close(spares->bell);
    }
}

void spares_share(const struct spares *spares, bool shared)
{
    if (spares->wanted > 0 &&
        madvise(spares->board, sizeof *spares->board, shared ? MADV_DOFORK : MADV_DONTFORK) != 0) {
        bug("memory cannot be kept from children");
    }
}

static pid_t pid_of(const struct spare_place *place)
{
    return __atomic_load_n(&place->pid, __ATOMIC_ACQUIRE);
}

static enum spare_state state_of(const struct spare_place *place)
{
    return __atomic_load_n(&place->state, __ATOMIC_SEQ_CST);
}

static bool change(struct spare_place *place, uint32_t from, enum spare_state to)
{
    return __atomic_compare_exchange_n(&place->state, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void free_place(struct spare_place *place)
{
    __atomic_store_n(&place->pid, 0, __ATOMIC_RELEASE);
}

/* One that the parent has to hear of. NULL: none. */
static struct spare_place *next_serving(const struct spares *spares)
{
    for (size_t i = 0; spares->wanted > 0 && i < SPARE_PLACES; i++) {
        struct spare_place *place = &spares->board->places[i];
        if (pid_of(place) != 0 && state_of(place) == SPARE_SERVES) {
            return place;
        }
    }
    return NULL;
}

pid_t spares_hear(const struct spares *spares, struct source *source)
{
    struct spare_place *place = next_serving(spares);

    if (place == NULL) {
        return 0;
    }
    pid_t pid = place->pid;
    *source = place->source;
    free_place(place);
    return pid;
}

bool spares_wake(const struct spares *spares)
{
    __atomic_store_n(&spares->board->parent_sleeps, 1, __ATOMIC_SEQ_CST);
    return next_serving(spares) == NULL;
}

/* Whether somebody waits there whom nobody was woken for. */
static void look_again(const struct spares *spares, int listener)
{
    struct epoll_event event = event_of(listener);

    (void)epoll_ctl(spares->events, EPOLL_CTL_MOD, listener, &event);
}

/* The same, whether the one who was woken has heard it or not: what none has heard wakes nobody else. */
static void look_anew(const struct spares *spares, const struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        spares_leave_out(spares, listeners->list[i].descriptor);
        (void)listen_to(spares, listeners->list[i].descriptor);
    }
}

bool spares_reap(const struct spares *spares, const struct listeners *listeners, pid_t pid)
{
    for (size_t i = 0; spares->wanted > 0 && i < SPARE_PLACES; i++) {
        struct spare_place *place = &spares->board->places[i];
        if (pid_of(place) == pid) {
            free_place(place);
            look_anew(spares, listeners);
            return true;
        }
    }
    return false;
}

enum {
    THAT_WAIT = 1 << SPARE_WAITS | 1 << SPARE_ACCEPTS | 1 << SPARE_ACCEPTS_LAST,
    THAT_MAY_SERVE = THAT_WAIT | 1 << SPARE_SERVES,
    ALL = THAT_MAY_SERVE | 1 << SPARE_ENDS,
};

static size_t count(const struct spares *spares, unsigned states, size_t enough)
{
    size_t found = 0;

    for (size_t i = 0; spares->wanted > 0 && i < SPARE_PLACES && found < enough; i++) {
        const struct spare_place *place = &spares->board->places[i];
        found += pid_of(place) != 0 && (states >> state_of(place) & 1) != 0;
    }
    return found;
}

size_t spares_waiting(const struct spares *spares)
{
    return count(spares, THAT_WAIT, SIZE_MAX);
}

size_t spares_connections(const struct spares *spares)
{
    return count(spares, THAT_MAY_SERVE, SIZE_MAX);
}

size_t spares_count(const struct spares *spares)
{
    return count(spares, ALL, SIZE_MAX);
}

/* True: it is to be told. Else it will find out, serves, or was told before. */
static bool end_one(struct spare_place *place)
{
    enum spare_state state;

    while ((state = state_of(place)) == SPARE_WAITS || state == SPARE_ACCEPTS) {
        enum spare_state end = state == SPARE_WAITS ? SPARE_ENDS : SPARE_ACCEPTS_LAST;
        if (change(place, state, end)) {
            return end == SPARE_ENDS;
        }
    }
    return false;
}

void spares_end(const struct spares *spares)
{
    for (size_t i = 0; spares->wanted > 0 && i < SPARE_PLACES; i++) {
        struct spare_place *place = &spares->board->places[i];
        pid_t pid = pid_of(place);
        if (pid != 0 && end_one(place)) {
            (void)kill(pid, SIGTERM);
        }
    }
}

void spares_signal(const struct spares *spares, int number)
{
    for (size_t i = 0; spares->wanted > 0 && i < SPARE_PLACES; i++) {
        pid_t pid = pid_of(&spares->board->places[i]);
        if (pid != 0) {
            (void)kill(pid, number);
        }
    }
}

struct spare_place *spares_place(const struct spares *spares)
{
    for (size_t i = 0; i < SPARE_PLACES; i++) {
        struct spare_place *place = &spares->board->places[i];
        if (pid_of(place) == 0) {
            place->state = SPARE_WAITS;
            return place;
        }
    }
    return NULL;
}

void spares_arm(const struct spares *spares)
{
    __atomic_store_n(&spares->board->is_armed, 1, __ATOMIC_SEQ_CST);
}

bool spares_are_few(const struct spares *spares)
{
    size_t half = spares->wanted / 2;

    return count(spares, THAT_WAIT, half + 1) <= half;
}

bool spares_hear_bell(const struct spares *spares)
{
    eventfd_t rung;

    (void)eventfd_read(spares->bell, &rung);
    return __atomic_exchange_n(&spares->board->is_stuck, 0, __ATOMIC_SEQ_CST) != 0;
}

static bool is_armed(const struct spares *spares)
{
    uint32_t *armed = &spares->board->is_armed;

    return __atomic_load_n(armed, __ATOMIC_SEQ_CST) != 0 && spares_are_few(spares) &&
           __atomic_exchange_n(armed, 0, __ATOMIC_SEQ_CST) != 0;
}

static void tell(const struct spares *spares)
{
    if (is_armed(spares) || __atomic_load_n(&spares->board->parent_sleeps, __ATOMIC_SEQ_CST) != 0) {
        (void)eventfd_write(spares->bell, 1);
    }
}

static const struct listener *find(const struct listeners *listeners, int descriptor)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->list[i].descriptor == descriptor) {
            return &listeners->list[i];
        }
    }
    bug("spares are woken for what is no listener");
}

static void give_up(const struct spares *spares, struct spare_place *own)
{
    __atomic_store_n(&own->state, SPARE_ENDS, __ATOMIC_SEQ_CST);
    __atomic_store_n(&spares->board->is_stuck, 1, __ATOMIC_SEQ_CST);
    (void)eventfd_write(spares->bell, 1);
}

/* False: nobody was there any more, or it is to end. */
static bool accept_one(const struct spares *spares, struct spare_place *own, const struct listener *listener,
                       struct arrival *arrival)
{
    if (!change(own, SPARE_WAITS, SPARE_ACCEPTS)) {
        return false;
    }
    enum admission admission = admission_take(listener, arrival);
    if (admission != ADMISSION_GRANTED && admission != ADMISSION_NONE) {
        give_up(spares, own);
        return false;
    }
    look_again(spares, listener->descriptor);
    if (admission == ADMISSION_NONE) {
        if (!change(own, SPARE_ACCEPTS, SPARE_WAITS)) {
            own->state = SPARE_ENDS;
        }
        return false;
    }
    own->source = arrival->source;
    __atomic_store_n(&own->state, SPARE_SERVES, __ATOMIC_SEQ_CST);
    tell(spares);
    return true;
}

static bool wait_for_connection(const struct spares *spares, struct spare_place *own,
                                const struct listeners *listeners, struct arrival *arrival)
{
    struct epoll_event event;

    while (*signals_closing() == 0 && state_of(own) == SPARE_WAITS && getppid() == spares->parent) {
        int ready = epoll_pwait(spares->events, &event, 1, -1, signals_sleep_mask());
        if (ready < 0 && errno != EINTR) {
            return false;
        }
        if (ready > 0 && accept_one(spares, own, find(listeners, event.data.fd), arrival)) {
            return true;
        }
    }
    return false;
}

bool spare_wait(const struct spares *spares, struct spare_place *own, const struct listeners *listeners,
                struct store *store, struct arrival *arrival)
{
    bool attached = store != NULL && store_attach_ahead(store) == STATUS_OK;

    (void)clock_now(); /* which touches a page of the system's: at nobody's cost now */
    /* No TERM, which could come with a connection, and would cut that; and it reaches who is stopped. */
    (void)prctl(PR_SET_PDEATHSIG, SIGCONT);
    if (!wait_for_connection(spares, own, listeners, arrival)) {
        if (attached) {
            store_detach(store);
        }
        return false;
    }
    spares_leave(spares);
    return true;
}
