/* children.h: the processes that a parent has made for connections: those that serve one, and spares that
 * wait for one.
 *
 * A connection is the spare's once the spare says so; until then the parent keeps it, so that the death of a
 * spare loses none. */
#ifndef SHMAIL_CHILDREN_H
#define SHMAIL_CHILDREN_H

#include "source.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child {
    pid_t pid;
    struct source source; /* of its connection */
    bool proxied;         /* that comes through a proxy */
    int channel;          /* to a spare; -1: it serves */
    int connection;       /* handed to it through the channel, which it has not yet said to have; -1: none */
};

enum { CHILDREN_HANDED_MAX = 256 }; /* also the most spares */

struct children {
    struct child *list;
    size_t count, room;
    size_t idle;   /* spares among them that have no connection */
    size_t handed; /* those that were given one and have not said so */
};

/* False: no memory. */
bool children_make_room(struct children *, size_t room);
void children_free(struct children *);

void children_add(struct children *, const struct child *);

/* Forgets it and closes its channel. False: it is none of ours. */
bool children_remove(struct children *, pid_t, struct child *);

void children_signal(const struct children *, int number);
size_t children_serving(const struct children *);
size_t children_of(const struct children *, const struct source *);

/* Gives the connection to an idle spare. False: there is none, or too many others are slow to take theirs. */
bool children_hand_over(struct children *, int connection, bool proxied, const struct source *);

/* Spares that were given a connection are listened to until they have said that they have it; then their
 * channels are closed. Returns how many are to be polled. */
size_t children_poll(const struct children *, struct pollfd polls[static CHILDREN_HANDED_MAX]);
void children_hear_all(struct children *);

/* For a process that has just been made: closes what belongs to the others. */
void children_forget(struct children *);

/* Says in the log how a child was ended, unless it ended itself. */
void child_note_death(pid_t, int status);

#endif
