/* maker.h: the process that makes those which serve connections: as its parent calls it (maker.c), and what
 * it does itself (maker_work.c).
 *
 * It enters the sandbox once, so that what it forks is in it at no cost but two limits, and it holds little
 * memory, so that it is quickly forked. It reads nothing but what the parent tells it. What it forks are
 * children of the parent (CLONE_PARENT), which learns their numbers from memory that the two share: the
 * kernel writes there before the new process runs, so none can end unknown.
 *
 * It makes a process where the parent orders one for a connection that it has accepted. And while no limit
 * can be reached, however many come from wherever, the parent lets it take a number of connections by itself,
 * or make as many spares, which take theirs (spare.h): those need no message, and the parent sees to them
 * once for many. Where they have all gone and more than one waits, there is a rush: it takes connections
 * itself, as long as there mostly is one. When it has taken or made so many, or cannot go on, it says so and
 * does nothing by itself until it is let again. */
#ifndef SHMAIL_MAKER_H
#define SHMAIL_MAKER_H

#include "admission.h"
#include "listener.h"
#include "peer.h"
#include "sandbox.h"
#include "source.h"
#include "spare.h"

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    MAKER_ORDERS_MOST = 256, /* not yet carried out */
    MAKER_LET_MOST = 256,    /* connections that it may take by itself at a time */
    MAKER_CLONE_FLAGS = CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD,
};

/* A connection that the maker has taken by itself. */
struct maker_taken {
    pid_t pid; /* 0: it is not made yet */
    struct source source;
};

/* The memory that the two share. */
struct maker_board {
    pid_t made[MAKER_ORDERS_MOST]; /* of each order, what maker_hear tells */
    struct maker_taken taken[MAKER_LET_MOST];
    uint32_t parent_sleeps; /* and wants to be told when the next one is taken */
    struct spares_board spares;
};

struct maker {
    pid_t pid; /* 0: there is none */
    pid_t parent;
    int channel; /* the parent's end */
    struct maker_board *board;
    struct spares *spares;   /* of its owner */
    uint32_t ordered, heard; /* orders given, and those whose number was heard, since the start */
    bool gone;               /* it has ended, as its signal will tell */
    bool ready;              /* it takes no connection by itself, and can be let take some */
    uint32_t let, taken; /* that it may take or has taken unheard, and that were heard of since the start */
};

/* What the maker tells the parent. */
enum maker_word {
    MAKER_SILENT, /* nothing: to whoever listens */
    MAKER_READY,  /* it can take connections by itself, and answers is where it is asked (answer.h), or -1 */
    MAKER_TAKES,  /* one was taken while the parent slept */
    MAKER_DONE,   /* it has taken or made all that it was let */
    MAKER_STUCK,  /* it or a spare could not accept: whoever does will see why */
    MAKER_FAILED, /* it could not make a process: if for a connection, that is the first when it is let again
                   */
};

struct maker_note {
    enum maker_word word;
    int error;     /* of MAKER_FAILED */
    uint32_t left; /* that it was let and has not taken */
    int answers;   /* of MAKER_READY, the caller's from now on; else -1 */
};

/* Memory for the numbers, once. spares: to be prepared with the board. False: errno tells. */
bool maker_prepare(struct maker *, struct spares *);

/* Forks the maker, which the caller then has to make one by maker_run. As fork(2) returns. */
pid_t maker_fork(struct maker *);

/* What a process does that the maker makes, with its connection and no listener, in the sandbox: its exit
 * status. */
struct service {
    int (*serve)(void *context, int connection, const struct caller *);
    void *context;
    struct store *ahead; /* what a spare attaches to before it has one; NULL: nothing */
};

/* The maker: does what it is told until the parent is gone. All that it is given lies in static memory, as
 * the processes that it makes have a stack of their own (stream.h) and no other. */
_Noreturn void maker_run(struct maker *, const struct sandbox *, const struct listeners *,
                         const struct service *);

/* False: there is no maker, or it has as many orders as it can hold, which it soon has not. */
bool maker_has_room(const struct maker *);

/* Orders a process for the connection, of which one's own descriptor is kept. False: there is no room, or
 * errno tells. */
bool maker_order(struct maker *, int connection, const struct caller *);

/* The process of the oldest order that was not heard of; 0: it is not made yet; -error: it could not be, and
 * the order is over. */
pid_t maker_hear(struct maker *);

/* Lets it take so many connections, at most as above. Only while it is ready, and all is heard. */
void maker_let(struct maker *, uint32_t connections);

/* Has it make the spares that lack, though there are more than half, as far as it is let. */
void maker_complete_spares(const struct maker *);

/* The next process that has a connection which the parent has not accepted, and whose; 0: there is none yet.
 */
pid_t maker_hear_taken(struct maker *, struct source *);

/* Before a sleep that nothing else ends soon. False: there is one to be heard of. */
bool maker_wakes(struct maker *);

/* What it says next, without waiting. All that it has taken before can be heard of then. */
void maker_listen(struct maker *, struct maker_note *);

/* Tells it to end when it has done what it has begun. */
void maker_dismiss(const struct maker *);

/* After its death, and all that can be heard: orders begin anew. */
void maker_forget(struct maker *);

#endif
