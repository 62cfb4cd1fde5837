/* children.h: the processes that a parent has for connections: those that serve one, spares that wait for
 * one, and those of either kind that the maker was asked for and has not made yet.
 *
 * A connection that the parent has accepted is a child's once the child is made, and a spare's once the spare
 * says so; until then the parent keeps it, so that the death of a maker or a spare loses none. One that the
 * maker has accepted by itself is the maker's until then. */
#ifndef SHMAIL_CHILDREN_H
#define SHMAIL_CHILDREN_H

#include "peer.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child {
    pid_t pid;
    struct source source; /* of its connection */
    struct caller caller; /* what is known of that, should it have to go to another process */
    int channel;          /* to a spare; -1: it serves */
    int connection;       /* handed to it through the channel, which it has not yet said to have; -1: none */
    bool ends;            /* a spare that was told to end */
};

enum {
    CHILDREN_HANDED_MAX = 256, /* also the most spares */
    CHILDREN_ASKED_MAX = 256,
};

struct children {
    struct child *list;
    size_t count, room;
    size_t idle;   /* spares among them that have no connection */
    size_t ending; /* of these, that were told to end */
    size_t handed; /* those that were given one and have not said so */

    struct child *asked; /* of the maker, a ring; with the connections of those that serve */
    size_t asked_first, asked_count, asked_idle;
};

/* False: no memory. */
bool children_make_room(struct children *, size_t room);

/* One that the maker was asked for, of which there may be as many as above at a time. The one asked for first
 * is made first. It serves from now on, unless it is a spare. */
void children_ask(struct children *, const struct child *);

/* The oldest of them has become a process: what the parent kept of its connection is closed. */
void children_made(struct children *, pid_t);

/* The oldest of them will not be made. False: there is none. */
bool children_unask(struct children *, struct child *);

/* One that the maker has made by itself, with a connection that it has taken. */
void children_add(struct children *, pid_t, const struct source *);

/* Forgets it and closes its channel, of which only the number is left, as a sign of a spare that has taken no
 * connection. False: it is none of ours. */
bool children_remove(struct children *, pid_t, struct child *);

void children_signal(const struct children *, int number);
size_t children_serving(const struct children *);
size_t children_of(const struct children *, const struct source *);

/* There is an idle spare that may take one, and not too many others are slow to take theirs. */
bool children_can_take(const struct children *);

/* Gives the connection to one of these. False: there is none, or all have died and nobody was told yet, or no
 * descriptor can be passed now. */
bool children_hand_over(struct children *, int connection, const struct caller *, const struct source *);

/* Spares that were given a connection, and have not yet said that they have it. Who says so serves, and its
 * channel is closed; nobody waits for that. */
bool children_are_handed(const struct children *);
void children_hear(struct children *);

/* Spares that wait, or will. */
size_t children_idle(const struct children *);

/* Has those end that wait, or one of them more, if there is one. They get no connection any more: one that
 * comes with the signal would be cut. */
void children_end_idle(struct children *);
void children_end_one_idle(struct children *);

/* For a process that has just been made: closes what belongs to the others. */
void children_forget(struct children *);

/* Says in the log how a child was ended, unless it ended itself. */
void child_note_death(pid_t, int status);

#endif
