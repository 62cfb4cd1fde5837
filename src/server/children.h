/* children.h: the processes that a parent has for connections: those that serve one, and those that the maker
 * was asked for and has not made yet. Spares that wait are not among them (spare.h).
 *
 * A connection that the parent has accepted is a child's once the child is made; until then the parent keeps
 * it, so that the death of a maker loses none. One that the maker has accepted by itself is the maker's until
 * then. */
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
    int connection;       /* of one that is not made yet; else -1 */
};

enum { CHILDREN_ASKED_MAX = 256 };

struct children {
    struct child *list;
    size_t count, room;

    struct child *asked; /* of the maker, a ring; with their connections */
    size_t asked_first, asked_count;
};

/* False: no memory. */
bool children_make_room(struct children *, size_t room);

/* One that the maker was asked for, of which there may be as many as above at a time. The one asked for first
 * is made first. It serves from now on. */
void children_ask(struct children *, const struct child *);

/* The oldest of them has become a process: what the parent kept of its connection is closed. */
void children_made(struct children *, pid_t);

/* The oldest of them will not be made. False: there is none. */
bool children_unask(struct children *, struct child *);

/* One whose connection the parent has not accepted. */
void children_add(struct children *, pid_t, const struct source *);

/* Forgets it. False: it is none of ours. */
bool children_remove(struct children *, pid_t, struct child *);

void children_signal(const struct children *, int number);
size_t children_serving(const struct children *);
size_t children_of(const struct children *, const struct source *);

/* For a process that has just been made: closes what belongs to the others. */
void children_forget(struct children *);

/* Says in the log how a child was ended, unless it ended itself. */
void child_note_death(pid_t, int status);

#endif
