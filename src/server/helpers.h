/* helpers.h: the children that serve the store and no client: the keeper of its journal, and after a crash
 * the one that checks it. The parent takes no lock, and may not die of what they find. */
#ifndef SHMAIL_HELPERS_H
#define SHMAIL_HELPERS_H

#include "complaint.h"
#include "pause.h"
#include "sandbox.h"
#include "store.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct helpers {
    struct store *store;
    struct sandbox *sandbox;
    pid_t parent, keeper, checker; /* 0: there is none */
    int64_t made;                  /* when the last of them was, in monotonic nanoseconds */
    bool replaces;                 /* the keeper was told to end, for another one */
    bool damaged;                  /* the checker has found the store so */
    struct pause pause;            /* none is made */
    struct complaint complaint;
    bool checks; /* in one of them: it is the checker */
};

/* Forks those that are wanted and lacking, unless there is a pause. True in each new process, which has to
 * close every client's descriptor and all that listens, and then to call helpers_main: who holds a listening
 * socket would let connections wait that nobody takes, and keep the address from the next server. */
bool helpers_fork(struct helpers *);

/* The same for a keeper that only gives the journal what it is owed, after the last who could owe it has
 * ended. */
bool helpers_fork_last(struct helpers *);
_Noreturn void helpers_main(struct helpers *);

/* A child has ended, perhaps one of these. */
void helpers_reap(struct helpers *, pid_t, int wait_status);

/* To the keeper, if there is one. */
void helpers_signal(const struct helpers *, int signal);

/* Ends it, if there is one; another one is made as soon as it has ended. */
void helpers_replace_keeper(struct helpers *);

#endif
