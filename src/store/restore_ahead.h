/* restore_ahead.h: a second thread for a restore, which does what is the system's part of it ahead of its
 * need: gets memory behind the arena's next pages, and reads the next window of the journal. For a store that
 * nobody else has. Private to src/store. */
#ifndef SHMAIL_RESTORE_AHEAD_H
#define SHMAIL_RESTORE_AHEAD_H

#include "layout.h"

#include <pthread.h>

enum { WINDOW = 1 << 20 }; /* bytes that are read at a time */

struct restore_ahead {
    struct store *store;
    uint32_t mark; /* pages in use upon which the thread is woken next; UINT32_MAX: there will be none */
    bool runs;
    bool ends;      /* atomic */
    uint32_t until; /* the thread's: no page from here on was reserved by it */
    bool asked;     /* for a window that nobody has taken */
    bool wanted;    /* atomic: the thread has not begun with it */
    int file;
    uint64_t at, end; /* of the window, of the file */
    size_t got;       /* bytes of it, once it is there */
    char *buffers;    /* two: the thread's, and the one that was taken last */
    char *filled;     /* the thread's */
    sem_t wake, there;
    pthread_t thread;
};

/* The struct must stay where it is until restore_ahead_close. */
void restore_ahead_begin(struct restore_ahead *, struct store *);

/* To be called now and then, outside transactions: has the pages behind those in use reserved, if there are
 * enough of these that it is worth a thread. Promises nothing: who needs a page still reserves it. */
void restore_ahead_look(struct restore_ahead *);

/* Has the window at that offset of a file read, in place of what was asked for before; and memory got for
 * what will be made of it. */
void restore_ahead_ask(struct restore_ahead *, int file, uint64_t offset, uint64_t end);

/* What was asked for last, and before it a copy of the left_length bytes at left; *length in all. It holds
 * until the next take or close. Asks for what follows. NULL: nothing was asked for, or left is longer than a
 * window. It ends early, or is empty, where the rest could not be read. */
const char *restore_ahead_take(struct restore_ahead *, const char *left, size_t left_length, size_t *length);

/* Ends the thread and gives back what it has reserved that nobody uses. False: there was no thread. */
bool restore_ahead_end(struct restore_ahead *);
void restore_ahead_close(struct restore_ahead *); /* the same, and frees the windows */

#endif
