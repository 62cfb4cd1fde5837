/* spare.h: processes that are made before their connection, and accept it by themselves.
 *
 * Each has a place in memory that the parent, the maker and the spares share, and with it a state. Whoever
 * has accepted says so there before it reads a byte, and maps that memory no more, so that all who write to
 * it can be trusted. All wait at one epoll(7) that every listener wakes once for a connection; who has taken
 * one looks whether there is another, so that each connection has somebody, however many come at once. */
#ifndef SHMAIL_SPARE_H
#define SHMAIL_SPARE_H

#include "admission.h"
#include "listener.h"
#include "parent_limits.h"
#include "source.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    SPARE_PLACES =
        2 * SPARES_MOST, /* of those that wait, and of those that the parent has not heard of yet */
};

enum spare_state {
    SPARE_WAITS,
    SPARE_ACCEPTS,      /* it waits again, or serves, in a moment */
    SPARE_ACCEPTS_LAST, /* the same, or ends */
    SPARE_SERVES,
    SPARE_ENDS, /* it was told to, and accepts no more */
};

struct spare_place {
    pid_t pid; /* written by the kernel before the process runs; 0: the place is free */
    uint32_t state;
    struct source source; /* of its connection, once it serves */
};

struct spares_board {
    uint32_t is_armed;      /* the maker wants to be told when only half of them wait */
    uint32_t is_stuck;      /* one could not accept, and has ended */
    uint32_t parent_sleeps; /* and wants to be told when one serves */
    struct spare_place
        places[SPARE_PLACES]; /* the first are taken first: they lie on the same page as the above */
};

struct spares {
    size_t wanted; /* 0: there are none */
    struct spares_board *board;
    int events, bell; /* what they wait at; what wakes the maker, an eventfd(2) */
    pid_t parent;
};

/* For the parent: what so many need, which these listeners wake. False: errno tells. */
bool spares_prepare(struct spares *, size_t wanted, const struct listeners *);

/* Before that listener is closed. */
void spares_leave_out(const struct spares *, int listener);

/* Whether what is forked from now on has the memory. And for who is not to have any of it, or not any more,
 * whether it has that or not: closes all. */
void spares_share(const struct spares *, bool shared);
void spares_leave(const struct spares *);

/* The next one that serves and was not heard of, and whom; its place is free from then on. 0: none. */
pid_t spares_hear(const struct spares *, struct source *);

/* Before a sleep that nothing else ends soon. False: there is one to be heard of. */
bool spares_wake(const struct spares *);

/* One of them has ended without a connection, though it may have been woken for one. False: it is none. */
bool spares_reap(const struct spares *, const struct listeners *, pid_t);

/* Those that wait; with those that serve and were not heard of; and all that were not reaped. */
size_t spares_waiting(const struct spares *);
size_t spares_connections(const struct spares *);
size_t spares_count(const struct spares *);

/* Has those end that wait; who is about to accept serves, or ends. A signal to each that is not heard of. */
void spares_end(const struct spares *);
void spares_signal(const struct spares *, int number);

/* For the maker: the place of the next one; NULL: there is none. What wakes it, then, and whether one could
 * not accept; and that it wants to be told once. */
struct spare_place *spares_place(const struct spares *);
void spares_arm(const struct spares *);
bool spares_are_few(const struct spares *);
bool spares_hear_bell(const struct spares *);

/* In the new process: attaches to the store, unless that is NULL or has no room, and waits for a connection.
 * False: it was told to end, or the parent is gone. */
bool spare_wait(const struct spares *, struct spare_place *, const struct listeners *, struct store *,
                struct arrival *);

#endif
