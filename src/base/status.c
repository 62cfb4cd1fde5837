/* status.c: the words for each status. In comes a status, out goes a text that lives for ever. It knows no
 * protocol: how a status looks on a wire stands with that protocol. */
#include "status.h"

#include <assert.h>
#include <stddef.h>

static const char *const texts[] = {
    [STATUS_OK] = "done",
    [STATUS_MALFORMED] = "the request or an argument is malformed",
    [STATUS_TOO_LONG] = "too long",
    [STATUS_DENIED] = "wrong name or password",
    [STATUS_NO_SESSION] = "no such session, log in first",
    [STATUS_TAKEN] = "the name is taken",
    [STATUS_NO_ACCOUNT] = "no such account",
    [STATUS_NO_MESSAGE] = "no such message",
    [STATUS_NOTHING_QUEUED] = "no message is queued, send MESSAGE first",
    [STATUS_IN_USE] = "in use elsewhere",
    [STATUS_GONE] = "the account was removed meanwhile",
    [STATUS_FULL_SEGMENT] = "the post office is full",
    [STATUS_FULL_JOURNAL] = "no disk space for the journal",
    [STATUS_LATE_JOURNAL] = "no room in the journal yet, try again",
    [STATUS_READ_ONLY] = "the journal failed: the store is read-only until a restart",
    [STATUS_FULL_ACCOUNTS] = "no room for another account",
    [STATUS_FULL_SESSIONS] = "no room for another session",
    [STATUS_FULL_SLOTS] = "no room for another process",
    [STATUS_FULL_MAILBOX] = "the mailbox is full",
    [STATUS_FULL_QUEUE] = "too much is queued, STORE it first",
    [STATUS_THROTTLED] = "too many attempts, wait and try again",
    [STATUS_NO_MEMORY] = "out of memory",
    [STATUS_TIMED_OUT] = "the time is over",
    [STATUS_HANGUP] = "the peer hung up",
    [STATUS_CLOSING] = "the server is closing down",
    [STATUS_SUSPENDED] = "the post office is being checked, try again",
    [STATUS_DAMAGED] = "the post office is damaged",
    [STATUS_MISMATCH] = "the segment has another layout or other sizes",
    [STATUS_SYSTEM] = "a system call failed",
};

static_assert(sizeof texts / sizeof texts[0] == STATUS_COUNT, "each status has its text");

const char *status_text(enum status status)
{
    size_t index = (size_t)status;

    return index < STATUS_COUNT ? texts[index] : "unknown status";
}
