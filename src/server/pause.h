/* pause.h: some time in which something is not tried again.
 *
 * It ends when the parent looks, once at the beginning of each turn, or sooner, after its sleep, where a
 * child has ended, which may have freed what had run out: what a turn has passed over for a pause, it does
 * not sleep without, and a turn without one tries all that lacks first. hangup.h ends its own. */
#ifndef SHMAIL_PAUSE_H
#define SHMAIL_PAUSE_H

#include <stdbool.h>
#include <stdint.h>

struct pause {
    bool lasts;
    int64_t until; /* monotonic nanoseconds */
};

void pause_begin(struct pause *, int64_t nanoseconds);
void pause_look(struct pause *);

/* When a sleep has to end for it: also where that has passed and nobody has looked. */
int64_t pause_end(const struct pause *);

#endif
