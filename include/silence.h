/* silence.h: a terminal on standard input that does not show what is typed, and that shows it again whatever
 * signal comes meanwhile: HUP, INT, QUIT, TERM and TSTP wait for that. One at a time. */
#ifndef SHMAIL_SILENCE_H
#define SHMAIL_SILENCE_H

#include <signal.h>
#include <stdbool.h>
#include <termios.h>

enum { SILENCE_SIGNALS = 5 };

/* What was before. */
struct silence {
    struct termios modes;
    struct sigaction actions[SILENCE_SIGNALS];
    sigset_t mask;
};

/* Drops what was typed ahead: it was seen, so it is no secret. False: errno tells, and nothing has changed.
 */
bool silence_begin(struct silence *);

/* Waits for input. False: errno tells, EINTR where one of the signals has come. */
bool silence_wait(const struct silence *);

/* All is as it was before. A signal that has come then does what it does, and ends or stops the program.
 * False: the program goes on after one, so ask again. */
bool silence_end(const struct silence *);

#endif
