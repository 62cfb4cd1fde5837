/* pause.c: a time to wait, and whether it is over. */
#include "pause.h"

#include "clock.h"

void pause_begin(struct pause *pause, int64_t nanoseconds)
{
    *pause = (struct pause){.lasts = true, .until = clock_now() + nanoseconds};
}

void pause_look(struct pause *pause)
{
    pause->lasts = pause->lasts && clock_now() < pause->until;
}

int64_t pause_end(const struct pause *pause)
{
    return pause->lasts ? pause->until : DEADLINE_NEVER;
}
