/* stream.h: the two ends of a connection as a protocol sees them: bytes that came in, replies that go out in
 * batches.
 *
 * Knows deadlines and hang-ups, nothing of mail. Replies are gathered and leave by one call when the input
 * is used up (stream_read flushes before it sleeps) or the batch is full. Signals are blocked but while
 * it sleeps, or until they are let in for good. */
#ifndef SHMAIL_STREAM_H
#define SHMAIL_STREAM_H

#include "status.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;

/* Until when a recv(2) may wait. A timer of the process is set once for many, where a timeout of the socket
 * would cost each. The handler of let_in looks at it, so what is written is there at once. */
struct stream_watch {
    volatile int64_t until; /* a deadline (clock.h), DEADLINE_NEVER, or 0: nobody waits */
    volatile bool is_set;   /* the timer, which looks at until and is set again if that is to come */
    volatile bool late;     /* the time was over: the socket was shut down for reading */
};

struct stream_options {
    int in, out;                          /* may be one descriptor; sockets, pipes, terminals or files */
    bool is_socket;                       /* it is one descriptor, and was accepted: nobody has to ask */
    int idle_seconds;                     /* the longest sleep for one byte in or out; 0: for ever */
    int request_seconds;                  /* for a request from its first byte to its last; 0: for ever */
    int write_seconds;                    /* the longest sleep for one byte out; 0: idle_seconds */
    int session_seconds;                  /* for all, from stream_open on; 0: for ever */
    const sigset_t *sleep_mask;           /* while asleep, with SIGIO blocked; NULL: no change */
    const volatile sig_atomic_t *closing; /* a signal handler's: end after what has been read; or NULL */

    /* Lets the signals of sleep_mask in for good, and has the handler that sets *closing shut the socket down
     * for reading, which ends a recv(2), as does a timer when the time is over; again when that is not set
     * any more. NULL: they come in during sleeps only, which cost one call more. */
    void (*let_in)(int socket, struct stream_watch *);
};

enum { STREAM_BESIDE = 576 };

/* As many bytes, zeros at first, in the page that every connection writes to anyhow: for what else it writes
 * to, as each page of that kind is one that a fork has to copy. */
void *stream_beside(void);

enum { STREAM_AHEAD = 208 };

/* The same, until stream_open: as many bytes, aligned like what malloc(3) gives, for what is only needed
 * before. */
void *stream_ahead(void);

enum { STREAM_STACK = 256 << 10 };

/* The end of as many bytes, and some more in that page, for the stack of a process that serves a connection.
 * Nothing is unmapped below it. */
void *stream_stack(void);

/* A process has one at a time. stream_close flushes nothing and closes no descriptor. */
struct stream *stream_open(const struct stream_options *);
void stream_close(struct stream *);

/* So long for the next request, and no longer. */
void stream_hurry(struct stream *, int seconds);

/* A new request begins with what comes next or is there: its time counts from its first byte, also where it
 * is consumed piece by piece. However the bytes come, a request that is not whole in time is
 * STATUS_TIMED_OUT. */
void stream_begin_request(struct stream *);

/* After STATUS_TIMED_OUT: what took too long, in words that live for ever. */
const char *stream_late_text(const struct stream *);

/* What has come in and is not consumed. The pointer holds until the next stream_read. */
const char *stream_data(const struct stream *);
size_t stream_length(const struct stream *);
void stream_consume(struct stream *, size_t length);

/* Sends what is gathered, then waits for at least one more byte, however many come at once, while fewer than
 * most are held. STATUS_TOO_LONG: most bytes are held already. STATUS_NO_MEMORY. STATUS_HANGUP: the peer has
 * closed or half-closed (nothing more will come; replies may still be sent). STATUS_TIMED_OUT (nothing
 * more is to be read then). STATUS_CLOSING (asked to end, and nothing is waiting to be read), STATUS_SYSTEM,
 * or what settle has returned (stream_before_send). */
enum status stream_read(struct stream *, size_t most);

/* Gathers a reply; copied, or referred to in place (the bytes must stay until the stream has been flushed;
 * see stream_on_flush). When the batch is full it is sent at once. A failure is kept and returned by the next
 * flush or read. */
void stream_put(struct stream *, const void *bytes, size_t length);
/* Where a short reply may be written, up to length bytes, and then given to stream_put, which need not copy
 * it; NULL: there is no room. Until anything else is done with the stream. */
char *stream_room(struct stream *, size_t length);

void stream_put_number(struct stream *, uint64_t);
void stream_refer(struct stream *, const void *bytes, size_t length);

/* settle(context) is called before anything is sent; unless it returns STATUS_OK nothing is, then or later.
 */
void stream_before_send(struct stream *, enum status (*settle)(void *context), void *context);

/* more(context) is called before each stream_flush, also the one in stream_read: for replies that were put
 * off. */
void stream_before_flush(struct stream *, void (*more)(void *context), void *context);

/* done(context) is called after each stream_flush, also the one in stream_read, successful or not: nothing
 * that was referred to is needed any more. Sending a full batch does not call it, so a message may be
 * referred to run by run. */
void stream_on_flush(struct stream *, void (*done)(void *context), void *context);

/* Sends what is gathered. STATUS_HANGUP, STATUS_TIMED_OUT, STATUS_SYSTEM (errno tells, however long ago it
 * was), STATUS_CLOSING (told to end, and the peer does not read), or what settle has returned; after one of
 * them nothing more is sent. */
enum status stream_flush(struct stream *);

/* True when the peer can no longer be answered, or the server was told to end. A peer that has only
 * half-closed still waits for its replies. Does not sleep. For who sleeps elsewhere (mailbox_wait). */
bool stream_gone(struct stream *);

/* True when nothing more will come from a socket: the peer is gone, or has half-closed and waits for its
 * replies; over TCP the two look alike. Does not sleep. */
bool stream_ended(struct stream *);

/* The mask for who sleeps elsewhere; NULL where the options have none. From the first call on, where SIGIO
 * has a handler, the socket sends this process SIGIO when the peer does anything, and the mask lets it in;
 * for what was before, stream_gone and stream_ended have to be asked after this and before the sleep. */
const sigset_t *stream_sleep_mask(struct stream *);

/* Says that no more will be sent, and discards what still comes until the peer closes, for a short while:
 * closing a socket with unread input would make the kernel drop the last replies. For what is no socket it
 * does nothing. */
void stream_linger(struct stream *);

#endif
