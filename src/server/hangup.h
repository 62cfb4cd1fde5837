/* hangup.h: when HUP has the log opened again: what the parent remembers for that.
 *
 * What is forked has the log as the parent has it, and is replaced each time: so there is a rest between two
 * times, and the last HUP of many is heard in any case. */
#ifndef SHMAIL_HANGUP_H
#define SHMAIL_HANGUP_H

#include "pause.h"

#include <stdbool.h>
#include <stdint.h>

struct hangup {
    bool came;          /* and waits for the rest to be over */
    int64_t rest_end;   /* monotonic nanoseconds */
    struct pause pause; /* the log was to be opened again, and could not; only hangup_open ends it */
};

/* When a sleep has to end for it. */
int64_t hangup_end(const struct hangup *);

/* True: hangup_open is to be called now. Takes the signals that have come (signals_take_hangup). */
bool hangup_is_due(struct hangup *);

/* Opens the log again. True: what has the old one is to be replaced, and the caller says so to the new one;
 * false: the log stays what it was, which it has said the first time. */
bool hangup_open(struct hangup *);

#endif
