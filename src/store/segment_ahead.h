/* segment_ahead.h: memory behind the arena's next pages, got by a thread while their predecessors are filled.
 * For a store that nobody else has. Private to src/store. */
#ifndef SHMAIL_SEGMENT_AHEAD_H
#define SHMAIL_SEGMENT_AHEAD_H

#include "layout.h"

#include <pthread.h>

struct segment_ahead {
    struct store *store;
    uint32_t mark; /* pages in use upon which the thread is woken next; UINT32_MAX: never */
    bool runs;
    bool ends;      /* atomic */
    uint32_t until; /* the thread's: no page from here on was reserved by it */
    sem_t wake;
    pthread_t thread;
};

/* The struct must stay where it is until segment_ahead_end. */
void segment_ahead_begin(struct segment_ahead *, struct store *);

/* To be called now and then, outside transactions: has the pages behind those in use reserved, if there are
 * enough of these that it is worth a thread. Promises nothing: who needs a page still reserves it. */
void segment_ahead_look(struct segment_ahead *);

/* Ends the thread and gives back what it has reserved that nobody uses. False: there was no thread. */
bool segment_ahead_end(struct segment_ahead *);

#endif
