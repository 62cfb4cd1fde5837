/* late.c: a short list in the order in which its connections came. */
#include "late.h"

#include "clock.h"

#include <string.h>
#include <unistd.h>

#define MOMENT (NANOSECONDS_PER_SECOND / 5)

static bool is_of(const struct late_connection *late, const struct source *source)
{
    return memcmp(&late->arrival.source, source, sizeof *source) == 0;
}

static size_t count_of(const struct late *late, const struct source *source)
{
    size_t count = 0;

    for (size_t i = 0; i < late->count; i++) {
        count += is_of(&late->list[i], source);
    }
    return count;
}

bool late_keep(struct late *late, const struct arrival *arrival)
{
    if (late->count == LATE_MOST || count_of(late, &arrival->source) >= LATE_OF_SOURCE) {
        return false;
    }
    late->list[late->count++] = (struct late_connection){*arrival, clock_now() + MOMENT};
    return true;
}

const struct late_connection *late_of(const struct late *late, const struct source *source)
{
    for (size_t i = 0; i < late->count; i++) {
        if (is_of(&late->list[i], source)) {
            return &late->list[i];
        }
    }
    return NULL;
}

const struct late_connection *late_oldest(const struct late *late)
{
    return late->count > 0 ? &late->list[0] : NULL;
}

const struct late_connection *late_over(const struct late *late)
{
    return late_end(late) <= clock_now() ? late_oldest(late) : NULL;
}

struct arrival late_take(struct late *late, const struct late_connection *taken)
{
    size_t which = (size_t)(taken - late->list);
    struct arrival arrival = taken->arrival;

    late->count--;
    memmove(&late->list[which], &late->list[which + 1], (late->count - which) * sizeof late->list[0]);
    return arrival;
}

int64_t late_end(const struct late *late)
{
    return late->count > 0 ? late->list[0].until : DEADLINE_NEVER;
}

void late_close(struct late *late)
{
    while (late->count > 0) {
        (void)close(late->list[--late->count].arrival.connection);
    }
}
