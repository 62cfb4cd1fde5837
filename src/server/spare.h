/* spare.h: processes that are made before their connection, and accept it by themselves.
 *
 * All wait at one epoll(7) that every listener wakes once for a connection; who has taken one looks whether
 * there is another, so that each connection has somebody, however many come at once. Whoever has accepted
 * says so through a pipe before it reads a byte, and closes that, so that all who write to it can be trusted.
 */
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

/* What the parent and the maker share (maker.h), and no other has. */
struct spares_board {
    pid_t places[SPARE_PLACES]; /* written by the kernel before the process runs; 0: the place is free */
    bool ends[SPARE_PLACES];    /* the parent has told it to */
    uint32_t used;              /* of the places, the first so many, ever: to look at all takes a while */
};

struct spares {
    size_t wanted; /* 0: there are none */
    struct spares_board *board;
    int events, bell; /* what they wait at; what wakes the maker, an eventfd(2) */
    int hears, says;  /* the ends of the pipe: the parent's, and theirs */
    pid_t parent;
};

/* For the parent: what so many need, which these listeners wake. board: all zero. False: errno tells. */
bool spares_prepare(struct spares *, size_t wanted, struct spares_board *board, const struct listeners *);

/* Before that listener is closed. */
void spares_leave_out(const struct spares *, int listener);

void spares_hear_nothing(struct spares *); /* for the maker: what they say is the parent's */
void spares_leave(const struct spares *);  /* for who is to have nothing of it, or no more: closes all */

/* For the parent: the next one that serves and was not heard of, and whom; its place is free from then on. 0:
 * none, and hears is not ready. */
pid_t spares_hear(const struct spares *, struct source *);

/* One of them has ended without a connection, though it may have been woken for one. False: it is none. */
bool spares_reap(const struct spares *, const struct listeners *, pid_t);

/* Those that wait; and all that were neither heard of nor reaped, of which each may serve. */
size_t spares_waiting(const struct spares *);
size_t spares_count(const struct spares *);

/* Has those end that wait, also who is stopped; who is about to accept serves, or ends. So many may still do
 * either. A signal to each that is not heard of. */
void spares_end(const struct spares *);
size_t spares_ending(const struct spares *);
void spares_signal(const struct spares *, int number);

/* For the maker, which does not hear them: the place of the next one; NULL: there is none. Whether one could
 * not accept, since the bell has woken it. */
pid_t *spares_place(const struct spares *);
bool spares_hear_bell(const struct spares *);

/* In the new process: attaches to the store, unless that is NULL or has no room, and waits for a connection.
 * False: it was told to end, or the parent is gone. */
bool spare_wait(const struct spares *, const pid_t *place, const struct listeners *, struct store *,
                struct arrival *);

#endif
