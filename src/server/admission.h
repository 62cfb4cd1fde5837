/* admission.h: takes connections from a listener, as far as their source has not got its share already. */
#ifndef SHMAIL_ADMISSION_H
#define SHMAIL_ADMISSION_H

#include "children.h"
#include "complaint.h"
#include "listener.h"
#include "peer.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>

/* A connection that was accepted and has no process yet. */
struct arrival {
    int connection;
    struct caller caller;
    struct source source; /* SOURCE_OTHER where a proxy speaks for it */
};

enum admission {
    ADMISSION_GRANTED,
    ADMISSION_LATE, /* its source has its share: admission_refuse, unless somebody is about to end */
    ADMISSION_NONE, /* nobody is there any more */
    /* From here on nobody could be accepted. */
    ADMISSION_EXHAUSTED, /* no descriptor or memory for it; errno tells */
    ADMISSION_BROKEN,    /* the listener is none; errno tells */
    ADMISSION_FAILED,    /* for another reason, which may last; errno tells */
};

/* The next connection, whoever else is there: never ADMISSION_LATE. */
enum admission admission_take(const struct listener *, struct arrival *);

/* per_source: how many connections of one source there may be. What comes through a proxy is counted when it
 * has said whose it is. */
enum admission admission_accept(const struct listener *, const struct children *, size_t per_source,
                                struct arrival *);

bool admission_has_share(const struct children *, size_t per_source, const struct arrival *);

/* Closes it: whoever holds so many shall not fill the backlog too. */
void admission_refuse(const struct arrival *, size_t per_source, struct complaint *);

#endif
