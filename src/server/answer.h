/* answer.h: what the sandbox does not allow by itself, and the parent allows to the process that asks
 * (seccomp_unotify(2)): that a socket of its own sends signals to itself. */
#ifndef SHMAIL_ANSWER_H
#define SHMAIL_ANSWER_H

#include <poll.h>
#include <stddef.h>

enum { ANSWERS_MOST = 8 }; /* filters; whoever asks under an older one gets no answer */

/* The filters that there are: one of each maker whose processes are still there. */
struct answers {
    int list[ANSWERS_MOST];
    size_t count;
};

/* The descriptor is its own from now on. */
void answers_add(struct answers *, int descriptor);

/* What to wait for, one for each; and after poll(2) the answers, to so many of them. Each call may go on if
 * it names the caller itself: its number is no memory that could change meanwhile. */
void answers_want(const struct answers *, struct pollfd *);
int answers_give(struct answers *, const struct pollfd *, size_t asked);

/* Whoever asks from now on, or waits for an answer, goes on without; also in a process that was just forked,
 * which then cannot answer for others. */
void answers_close(struct answers *);

#endif
