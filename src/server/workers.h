/* workers.h: a process for each connection that the maker makes, or, while it cannot, a place among those
 * that wait. Nothing of it accepts anybody or listens, but for the maker and the spares, where they are let.
 */
#ifndef SHMAIL_WORKERS_H
#define SHMAIL_WORKERS_H

#include "admission.h"
#include "answer.h"
#include "children.h"
#include "complaint.h"
#include "late.h"
#include "maker.h"
#include "parent_limits.h"
#include "pause.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Nobody is accepted while somebody waits. Still there may be the one just accepted, all that a maker was to
 * have when it died, and who was late and is let in. */
enum { WORKERS_WAITING_MOST = 1 + CHILDREN_ASKED_MAX + LATE_MOST };

struct workers {
    const struct parent_limits *limits;
    struct children children;
    struct maker maker;
    struct spares spares;
    bool lack_spares;        /* some are to be made as soon as may be */
    struct arrival *waiting; /* room for the most, who has waited longest first */
    size_t waiting_count;
    bool stuck; /* the maker or a spare could not accept: the parent is to, until it could */
    struct answers answers;
    struct pause pause;        /* nobody is made */
    struct pause spares_pause; /* none is made for one that has ended */
    struct complaint complaint, spares_complaint;
};

/* Once, of a struct that has limits and waiting and is else zero. False: no memory, or no spares; errno
 * tells. */
bool workers_prepare(struct workers *, const struct listeners *);

/* At the beginning of each turn of the parent; and when a sleep has to end for a pause. */
void workers_look(struct workers *);
int64_t workers_pause_end(const struct workers *);

/* Something has run out: says so, and lets some time pass. */
void workers_back_off(struct workers *, const char *what, int error);

/* Who has come, or has been late, gets a process, or waits for one. */
void workers_serve(struct workers *, const struct arrival *);
void workers_serve_waiting(struct workers *);

bool workers_are_full(const struct workers *);

/* Somebody can be given a process. */
bool workers_can_serve(const struct workers *);

/* The source of this one has as many connections as it may have, with those that wait. */
bool workers_have_share(const struct workers *, const struct arrival *);

/* Has spares made for those that have ended, and while nobody is kept waiting by it (quiet) all that lack. */
void workers_keep_spares(struct workers *, bool quiet);

/* None of those that wait accepts any more. */
void workers_end_spares(const struct workers *);

/* All processes but the maker. A signal to them: TERM ends the spares that wait. */
size_t workers_count(const struct workers *);
void workers_signal(struct workers *, int number);

/* There is no maker, and one is to be made by maker_fork: without one connections wait. */
bool workers_lack_maker(const struct workers *);

/* While no limit can be reached by it the maker or spares take connections by themselves, which are heard of
 * later. Nobody else may accept meanwhile. */
void workers_let(struct workers *);
bool workers_take(const struct workers *);

/* What the maker has made since, and what it says. True: connections were taken. */
bool workers_are_ordered(const struct workers *);
bool workers_hear(struct workers *);

/* A child has ended. True: it had the connection of that source. */
bool workers_reap(struct workers *, const struct listeners *, pid_t, int wait_status, struct source *);

/* Some have: what the maker could not have before that may be there now. */
void workers_look_for_room(struct workers *);

/* The maker has ended, or was: what it has not made will be asked of the next one. */
void workers_forget_maker(struct workers *);

/* Closes all that is kept of connections: at the end, and in a process that was just forked,
 * whose they are not. */
void workers_forget(struct workers *);

#endif
