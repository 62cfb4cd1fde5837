/* patience.c: the four limits of time, of which the first to end counts. */
#include "patience.h"

#include "clock.h"

static const char session_late[] = "the session lasted too long";

static int64_t after(int64_t moment, int seconds)
{
    return seconds > 0 ? moment + seconds * NANOSECONDS_PER_SECOND : DEADLINE_NEVER;
}

static int64_t sooner(struct patience *patience, int64_t deadline, int64_t other, const char *late)
{
    if (other >= deadline) {
        return deadline;
    }
    patience->late = late;
    return other;
}

int64_t patience_to_read(struct patience *patience, int64_t now, bool unfinished)
{
    int64_t whole = DEADLINE_NEVER;

    if (unfinished && patience->request_since == 0) {
        patience->request_since = now;
    }
    if (patience->request_since != 0) {
        whole = after(patience->request_since, patience->request);
    }
    patience->late = "idle for too long";
    int64_t deadline = sooner(patience, after(now, patience->idle), whole, "its request took too long");
    return sooner(patience, deadline, patience->session_deadline, session_late);
}

bool patience_is_idle(const struct patience *patience, int64_t now, int64_t deadline)
{
    return deadline == after(now, patience->idle);
}

int64_t patience_to_write(struct patience *patience, int64_t now)
{
    int seconds = patience->write > 0 ? patience->write : patience->idle;

    patience->late = "it did not take its replies";
    return sooner(patience, after(now, seconds), patience->session_deadline, session_late);
}
