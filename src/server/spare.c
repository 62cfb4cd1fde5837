/* spare.c: a table of places, one epoll(7), one bell and one pipe. A spare is told to end by a signal that
 * does nothing to who serves: so nobody need know which of the two it is. */
#include "spare.h"

#include "clock.h"
#include "log.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What one says that serves. */
struct word {
    uint32_t place;
    struct source source;
};

#define STUCK ((eventfd_t)1 << 32) /* at the bell: one could not accept; less: so many are few */

static struct epoll_event event_of(int listener)
{
    return (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = listener};
}

static bool listen_to(const struct spares *spares, int listener)
{
    struct epoll_event event = event_of(listener);

    return epoll_ctl(spares->events, EPOLL_CTL_ADD, listener, &event) == 0;
}

bool spares_prepare(struct spares *spares, size_t wanted, struct spares_board *board,
                    const struct listeners *listeners)
{
    *spares = (struct spares){.board = board, .parent = getpid()};
    if (wanted == 0) {
        return true;
    }
    int ends[2] = {-1, -1};
    bool prepared = pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0;
    *spares = (struct spares){.wanted = wanted,
                              .board = board,
                              .events = epoll_create1(EPOLL_CLOEXEC),
                              .bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                              .hears = ends[0],
                              .says = ends[1],
                              .parent = spares->parent};
    prepared = prepared && spares->events >= 0 && spares->bell >= 0;
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
        (void)close(spares->events);
        (void)close(spares->bell);
        (void)close(spares->says);
    }
    if (spares->wanted > 0 && spares->hears >= 0) {
        (void)close(spares->hears);
    }
}

void spares_hear_nothing(struct spares *spares)
{
    if (spares->wanted > 0) {
        (void)close(spares->hears);
        spares->hears = -1;
    }
}

/* The places to look at. */
static size_t places_used(const struct spares *spares)
{
    size_t used = __atomic_load_n(&spares->board->used, __ATOMIC_ACQUIRE);

    return used < SPARE_PLACES ? used : SPARE_PLACES;
}

static pid_t pid_at(const struct spares *spares, size_t place)
{
    return __atomic_load_n(&spares->board->places[place], __ATOMIC_ACQUIRE);
}

static void free_place(const struct spares *spares, size_t place)
{
    __atomic_store_n(&spares->board->ends[place], false, __ATOMIC_RELAXED);
    __atomic_store_n(&spares->board->places[place], 0, __ATOMIC_RELEASE);
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
    for (size_t i = 0, used = places_used(spares); i < used; i++) {
        if (pid_at(spares, i) == pid) {
            free_place(spares, i);
            look_anew(spares, listeners);
            return true;
        }
    }
    return false;
}

static bool is_ending(const struct spares *spares, size_t place)
{
    return __atomic_load_n(&spares->board->ends[place], __ATOMIC_RELAXED);
}

static size_t count_places(const struct spares *spares, bool ending)
{
    size_t count = 0;

    for (size_t i = 0, used = places_used(spares); i < used; i++) {
        count += pid_at(spares, i) != 0 && is_ending(spares, i) == ending;
    }
    return count;
}

size_t spares_ending(const struct spares *spares)
{
    return count_places(spares, true);
}

size_t spares_count(const struct spares *spares)
{
    return count_places(spares, false) + spares_ending(spares);
}

pid_t spares_hear(const struct spares *spares, struct source *source)
{
    struct word word;

    if (spares_count(spares) == 0 || read(spares->hears, &word, sizeof word) != sizeof word) {
        return 0;
    }
    pid_t pid = word.place < SPARE_PLACES ? pid_at(spares, word.place) : 0;
    if (pid == 0) {
        bug("what serves is no spare");
    }
    *source = word.source;
    free_place(spares, word.place);
    return pid;
}

/* Who is heard meanwhile may be missed, and is counted when it is looked again. */
size_t spares_waiting(const struct spares *spares)
{
    size_t count = count_places(spares, false);
    int unheard = 0;

    if (count > 0) {
        (void)ioctl(spares->says, FIONREAD, &unheard);
    }
    size_t serving = (size_t)unheard / sizeof(struct word);
    return count > serving ? count - serving : 0;
}

void spares_signal(const struct spares *spares, int number)
{
    for (size_t i = 0, used = places_used(spares); i < used; i++) {
        pid_t pid = pid_at(spares, i);
        if (pid != 0) {
            (void)kill(pid, number);
        }
    }
}

void spares_end(const struct spares *spares)
{
    for (size_t i = 0, used = places_used(spares); i < used; i++) {
        __atomic_store_n(&spares->board->ends[i], pid_at(spares, i) != 0, __ATOMIC_RELAXED);
    }
    spares_signal(spares, SIGHUP);
    spares_signal(spares, SIGCONT);
}

pid_t *spares_place(const struct spares *spares)
{
    size_t used = places_used(spares), place = 0;

    while (place < used && pid_at(spares, place) != 0) {
        place++;
    }
    if (place == SPARE_PLACES) {
        return NULL;
    }
    if (place == used) {
        __atomic_store_n(&spares->board->used, (uint32_t)used + 1, __ATOMIC_SEQ_CST);
    }
    return &spares->board->places[place];
}

bool spares_hear_bell(const struct spares *spares)
{
    eventfd_t rung = 0;

    (void)eventfd_read(spares->bell, &rung);
    return rung >= STUCK;
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

/* The count is that of a memory in which anybody could write: so it decides no more than when the maker
 * looks. Without slots they are not counted there, and each rings. */
static bool are_few(const struct spares *spares, const struct store *store)
{
    return store == NULL || store_processes_ahead(store) <= spares->wanted / 2 + 1; /* this one is one */
}

/* What cannot be said is seen when this one ends: it is no spare any more then. */
static void say_that_it_serves(const struct spares *spares, const pid_t *place, const struct source *source)
{
    const struct word word = {.place = (uint32_t)(place - spares->board->places), .source = *source};

    (void)!write(spares->says, &word, sizeof word);
}

enum outcome { WAITS, SERVES, ENDS };

/* store: NULL where it is not attached. Who comes after this one was told to end is another's, who has the
 * log as it is since then: where somebody waits, no sleep has let the signal for that in. */
static enum outcome accept_one(const struct spares *spares, const pid_t *place,
                               const struct listener *listener, const struct store *store,
                               struct arrival *arrival)
{
    signals_let_in();
    if (signals_take_hangup()) {
        look_again(spares, listener->descriptor);
        return ENDS;
    }
    enum admission admission = admission_take(listener, arrival);
    if (admission != ADMISSION_GRANTED && admission != ADMISSION_NONE) {
        (void)eventfd_write(spares->bell, STUCK);
        return ENDS;
    }
    look_again(spares, listener->descriptor);
    if (admission == ADMISSION_NONE) {
        return WAITS;
    }
    say_that_it_serves(spares, place, &arrival->source);
    if (are_few(spares, store)) {
        (void)eventfd_write(spares->bell, 1);
    }
    return SERVES;
}

static enum outcome wait_for_connection(const struct spares *spares, const pid_t *place,
                                        const struct listeners *listeners, const struct store *store,
                                        struct arrival *arrival)
{
    enum outcome outcome = WAITS;
    struct epoll_event event;

    while (outcome == WAITS) {
        if (*signals_closing() != 0 || signals_take_hangup() || getppid() != spares->parent) {
            return ENDS;
        }
        int ready = epoll_pwait(spares->events, &event, 1, -1, signals_sleep_mask());
        if (ready > 0) {
            outcome = accept_one(spares, place, find(listeners, event.data.fd), store, arrival);
        } else if (errno != EINTR) {
            return ENDS;
        }
    }
    return outcome;
}

bool spare_wait(const struct spares *spares, const pid_t *place, const struct listeners *listeners,
                struct store *store, struct arrival *arrival)
{
    /* No TERM, which could come with a connection, and would cut that; and it reaches who is stopped. */
    (void)prctl(PR_SET_PDEATHSIG, SIGCONT);
    bool attached = store != NULL && store_attach_ahead(store) == STATUS_OK;
    (void)signals_take_hangup(); /* one that the parent had when it made the maker */
    (void)clock_now();           /* which touches a page of the system's: at nobody's cost now */
    if (wait_for_connection(spares, place, listeners, attached ? store : NULL, arrival) != SERVES) {
        if (attached) {
            store_detach(store);
        }
        return false;
    }
    spares_leave(spares);
    return true;
}
