/* patience.h: until when a connection waits for its peer. In come what it waits for and the time, out goes a
 * moment on the clock. It sleeps nowhere. */
#ifndef SHMAIL_PATIENCE_H
#define SHMAIL_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

struct patience {
    int idle, request, write; /* seconds, as struct stream_options has them */
    int64_t session_deadline;
    int64_t request_since; /* when something of an unfinished request was first there; 0: nothing is */
    const char *late;      /* what the last answer was about */
};

/* For the next byte. unfinished: something is held that is not a whole request. Bytes that come one by one
 * are never idle, but late all the same. */
int64_t patience_to_read(struct patience *, int64_t now, bool unfinished);

/* True where the deadline of that moment is that of idleness alone. */
bool patience_is_idle(const struct patience *, int64_t now, int64_t deadline);

/* For room for the next byte. */
int64_t patience_to_write(struct patience *, int64_t now);

#endif
