/* complaint.c: a line in so many seconds. */
#include "complaint.h"

#include "clock.h"

bool complaint_is_due(struct complaint *complaint)
{
    int64_t now = clock_now();

    if (complaint->last != 0 && now - complaint->last < COMPLAINT_SECONDS * NANOSECONDS_PER_SECOND) {
        return false;
    }
    complaint->last = now;
    return true;
}
