/* signals.h: what signals mean to a serving process: flags, and one mask under which they may arrive.
 *
 * From signals_prepare on every signal is blocked but those of a fault; they come in only where the process
 * sleeps with signals_sleep_mask, until signals_open or signals_end_by. TERM and INT ask it to end, as does
 * an ALRM that is none of its own, HUP is noted, CONT only wakes it, PIPE and XFSZ are answered by the call
 * that fails. */
#ifndef SHMAIL_SIGNALS_H
#define SHMAIL_SIGNALS_H

#include "store.h"
#include "stream.h"

#include <signal.h>
#include <stdbool.h>

void signals_prepare(void);

/* Opens all but SIGIO, which would wake for every segment that arrives; stream_sleep_mask opens that too. The
 * other one does not open CHLD either: for who will look after his children soon. */
const sigset_t *signals_sleep_mask(void);
const sigset_t *signals_sleep_mask_but_child(void);

/* Lets them in at any time from now on; TERM and INT shut that socket down for reading, and so does ALRM when
 * the watch's time is over (stream.h). */
void signals_open(int socket, struct stream_watch *);

/* For what may take long before anybody is served: TERM and INT, also those that have come, call this from
 * now on, at any time and in their handler, and it ends the process. NULL: they only ask, as above. */
void signals_end_by(void (*end)(void *context), void *context);

/* Set by TERM or INT; for good, unless it was by the end of a parent whose work somebody has to end. */
const volatile sig_atomic_t *signals_closing(void);
void signals_go_on(void);

/* True once for any number of HUP, or of CHLD, since the last call. */
bool signals_take_hangup(void);
bool signals_take_child(void);

/* A ppoll(2) that finds a descriptor ready returns without letting signals in; who polls in a loop calls this
 * too. */
void signals_let_in(void);

/* TERM, INT and SIGIO interrupt this store's waits from now on, and a fault makes it suspect, while the
 * process is attached to it; also in what is forked from now on. NULL: no store. */
void signals_interrupt(struct store *);

/* raise(3), which the sandbox does not let through, by a timer that is due at once. For a handler, too. */
void signals_raise(int number);

/* True for a signal after which a process may have written anywhere before it died. */
bool signals_is_fault(int number);

#endif
