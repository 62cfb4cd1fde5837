/* sleeper.h: how a connection sleeps until its peer does something, and is woken by a deadline or a signal.
 *
 * What is no socket, and a socket at first, is asked by ppoll(2) under the mask that lets signals in. Where
 * they may be let in for good (stream.h, let_in), a socket that was read from is waited for by recv(2) alone,
 * so that a request and its reply cost recv and sendmsg: signals then come in at any time, and the one that
 * ends the process ends the recv. A handler does so little that it may interrupt whatever there is. */
#ifndef SHMAIL_SLEEPER_H
#define SHMAIL_SLEEPER_H

#include "status.h"
#include "stream.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct sleeper {
    const struct stream_options *options;
    bool watching, signalled; /* sleeper_mask */
    bool waits_in_recv;       /* as soon as it sleeps again; signals are let in for good */
    unsigned reads;           /* waits for input that are over, up to a few */
    struct stream_watch watch;
    int64_t woke;             /* when it last came from a sleep */
    unsigned blind_reads;     /* reads since signals were let in for sure */
    int64_t closing_deadline; /* 0 until closing was seen */
};

/* Of zeros before. The options stay until sleeper_end, after which the socket sends no signal any more. */
void sleeper_begin(struct sleeper *, const struct stream_options *);
void sleeper_end(struct sleeper *);

/* True when the process was told to end; from the first time on sleeper_is_cut soon is. */
bool sleeper_is_closing(struct sleeper *);
bool sleeper_is_cut(struct sleeper *);

/* Before each read: a ppoll(2) that finds its descriptor ready lets no signal in, and a busy peer could keep
 * TERM out for ever. */
void sleeper_let_signals_in(struct sleeper *);

/* Sleeps until the descriptor is ready for POLLIN or POLLOUT, or in trouble, as the next call will tell:
 * STATUS_OK. STATUS_TIMED_OUT, STATUS_SYSTEM. A process that was told to end does not sleep for POLLIN, and
 * for POLLOUT until sleeper_is_cut, whatever the deadline: STATUS_CLOSING. */
enum status sleeper_wait(struct sleeper *, int descriptor, short events, int64_t deadline);

/* Of a stream that comes from a socket. True: the next recv(2) may wait, until that deadline and no later:
 * then, or when the process is told to end, it is shut down for reading. */
bool sleeper_may_recv(struct sleeper *, int64_t deadline);

/* Once for each wait for input, after what was tried first; always after sleeper_may_recv. */
void sleeper_has_read(struct sleeper *);

/* For so long, less than a second, or until a signal comes. */
void sleeper_pause(struct sleeper *, int64_t nanoseconds);

/* As stream_sleep_mask. is_socket: the stream goes out to one. */
const sigset_t *sleeper_mask(struct sleeper *, bool is_socket);

#endif
