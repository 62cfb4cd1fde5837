/* hangup.c: opens the log again for HUP, now and then. */
#include "hangup.h"

#include "clock.h"
#include "log.h"
#include "signals.h"

#include <errno.h>
#include <string.h>

#define REST (NANOSECONDS_PER_SECOND / 20) /* between two times */
#define MISSING NANOSECONDS_PER_SECOND     /* until a logger that is not there is looked for again */

int64_t hangup_end(const struct hangup *hangup)
{
    int64_t end = pause_end(&hangup->pause);

    return hangup->came && hangup->rest_end < end ? hangup->rest_end : end;
}

bool hangup_is_due(struct hangup *hangup)
{
    hangup->came = signals_take_hangup() || hangup->came;
    return (hangup->came || hangup->pause.lasts) && clock_now() >= hangup_end(hangup);
}

/* Whoever has sent the signal reads why where the old logger is still there; where none is, it is looked for
 * until there is one. */
static void keep_log(struct hangup *hangup, int error)
{
    if (!hangup->pause.lasts) {
        log_warning("HUP: the log cannot be opened again, and stays what it was: %s", strerror(error));
    }
    hangup->pause.lasts = false;
    if (log_is_missing()) {
        pause_begin(&hangup->pause, MISSING);
    }
}

bool hangup_open(struct hangup *hangup)
{
    hangup->came = false;
    hangup->rest_end = clock_now() + REST;
    if (log_open_again()) {
        hangup->pause.lasts = false;
        return true;
    }
    if (errno == 0) {
        log_info("HUP: nothing to read again");
    } else {
        keep_log(hangup, errno);
    }
    return false;
}
