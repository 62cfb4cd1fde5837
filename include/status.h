/* status.h: the one space of results below the protocols.
 *
 * Every call that can fail returns an enum status; each protocol has one table from it to its wire, and
 * status_text() is what a person reads (WHY, a log line, a Message error). */
#ifndef SHMAIL_STATUS_H
#define SHMAIL_STATUS_H

enum status {
    STATUS_OK,
    STATUS_MALFORMED,      /* a request, name or argument has not the form that it must have */
    STATUS_TOO_LONG,       /* over the limit that applies */
    STATUS_DENIED,         /* unknown name or wrong password: one answer for both, on purpose */
    STATUS_NO_SESSION,     /* no such cookie, or one of another account */
    STATUS_TAKEN,          /* the name is registered already */
    STATUS_NO_ACCOUNT,     /* no such recipient */
    STATUS_NO_MESSAGE,     /* the mailbox holds no such message, or none at all */
    STATUS_NOTHING_QUEUED, /* STORE without a MESSAGE before it */
    STATUS_IN_USE,         /* the name is entered on another live connection; the post office has a server */
    STATUS_GONE,           /* the account was removed meanwhile */
    STATUS_FULL_SEGMENT,   /* no block left in the segment, or no memory behind it */
    STATUS_FULL_JOURNAL,   /* no room in the journal: no disk space for it */
    STATUS_LATE_JOURNAL,   /* none yet: its keeper is late, or there is none at the moment */
    STATUS_READ_ONLY,      /* the journal failed: nothing can be made durable until a restart */
    STATUS_FULL_ACCOUNTS,  /* every account record is in use */
    STATUS_FULL_SESSIONS,  /* every session record is in use */
    STATUS_FULL_SLOTS,     /* every process slot is in use */
    STATUS_FULL_MAILBOX,   /* the recipient's mailbox has reached its quota */
    STATUS_FULL_QUEUE,     /* the sender's queue has */
    STATUS_THROTTLED,      /* too many attempts of late; nothing was tried */
    STATUS_NO_MEMORY,      /* no private memory for this request */
    STATUS_TIMED_OUT,      /* the time that was given is over */
    STATUS_HANGUP,         /* the peer is gone, or has said all that it will say */
    STATUS_CLOSING,        /* the server was told to end */
    STATUS_SUSPENDED, /* a process has crashed: the post office is being checked, and soon serves again */
    STATUS_DAMAGED,   /* the check has found the segment unsound */
    STATUS_MISMATCH,  /* the segment is of another layout or other sizes */
    STATUS_SYSTEM,    /* a system call failed; errno tells */
    STATUS_COUNT      /* not a status: how many there are */
};

/* A short sentence without a full stop; lives for ever. */
const char *status_text(enum status);

#endif
