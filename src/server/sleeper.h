/* sleeper.h: where a connection sleeps: in one place only, where signals come in and a deadline counts.
 *
 * What is no socket, and a socket at first, is asked by ppoll(2) under the mask that lets signals in. Later a
 * socket is waited for by recv(2) alone, so that a request and its reply cost recv and sendmsg: signals then
 * come in at any time, and the one that ends the process ends the recv (stream.h, let_in). A handler does so
 * little that it may interrupt whatever there is. */
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
    unsigned reads;           /* a few */
    struct stream_watch watch;
    int64_t woke;             /* when it last came from a sleep */
    unsigned blind_reads;     /* reads since signals were let in for sure */
    int64_t closing_deadline; /* 0 until closing was seen */
};

/* The options stay until sleeper_end. */
void sleeper_begin(struct sleeper *, const struct stream_options *);
void sleeper_end(struct sleeper *);

/* True when the process was told to end; from the first time on sleeper_is_cut soon is. */
bool sleeper_is_closing(struct sleeper *);
bool sleeper_is_cut(struct sleeper *);

/* Before each read: a ppoll(2) that finds its descriptor ready lets no signal in, and a busy peer could keep
 * TERM out for ever. */
void sleeper_let_signals_in(struct sleeper *);

/* Sleeps until the descriptor is ready for POLLIN or POLLOUT, or in trouble, as the next call will tell:
 * STATUS_OK. STATUS_TIMED_OUT, STATUS_CLOSING, STATUS_SYSTEM. */
enum status sleeper_wait(struct sleeper *, int descriptor, short events, int64_t deadline);

/* Of a stream that comes from a socket. True: the next recv(2) may wait, until that deadline and no later:
 * then, or when the process is told to end, it is shut down for reading. */
bool sleeper_may_recv(struct sleeper *, int64_t deadline);

/* After any read that recv(2) may have waited in, or not. */
void sleeper_has_read(struct sleeper *);

/* For so long, or until a signal comes. */
void sleeper_pause(struct sleeper *, int64_t nanoseconds);

/* As stream_sleep_mask. is_socket: the stream goes out to one. */
const sigset_t *sleeper_mask(struct sleeper *, bool is_socket);

#endif
