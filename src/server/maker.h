/* maker.h: the process that makes those which serve connections.
 *
 * It enters the sandbox once, so that what it forks is in it at no cost but two limits, and it holds little
 * memory, so that it is quickly forked. It reads nothing but the parent's orders. What it forks are
 * children of the parent (CLONE_PARENT), which learns their numbers from memory that the two share: the
 * kernel writes there before the new process runs, so none can end unknown. */
#ifndef SHMAIL_MAKER_H
#define SHMAIL_MAKER_H

#include "peer.h"
#include "sandbox.h"

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    MAKER_ORDERS_MOST = 256, /* not yet carried out */
    MAKER_CLONE_FLAGS = CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD,
};

struct maker {
    pid_t pid;               /* 0: there is none */
    int channel;             /* the parent's end */
    pid_t *made;             /* of each order, what maker_hear tells */
    uint32_t ordered, heard; /* orders given, and those whose number was heard, since the start */
};

/* What a process gets: a connection, or the channel through which it will get one. */
struct maker_order {
    uint32_t place; /* in made */
    bool is_spare;
    struct caller caller; /* of the connection */
};

/* Memory for the numbers, once. False: errno tells. */
bool maker_prepare(struct maker *);

/* Forks the maker, which the caller then has to make one by maker_run. As fork(2) returns. */
pid_t maker_fork(struct maker *);

/* The maker: carries out orders until the parent is gone. Returns in each process that it makes, with its
 * connection, in the sandbox, and what is known of that. ahead: what a spare attaches to before it has one;
 * NULL: nothing. */
int maker_run(struct maker *, const struct sandbox *, struct store *ahead, struct caller *);

/* False: there is no maker, or it has as many orders as it can hold, which it soon has not. */
bool maker_has_room(const struct maker *);

/* Orders a process for the descriptor, of which one's own is kept; caller: NULL for a spare. False: there is
 * no room, or errno tells. */
bool maker_order(struct maker *, int descriptor, bool is_spare, const struct caller *);

/* The process of the oldest order that was not heard of; 0: it is not made yet; -error: it could not be, and
 * the order is over. */
pid_t maker_hear(struct maker *);

/* After its death, and all that can be heard: orders begin anew. */
void maker_forget(struct maker *);

#endif
