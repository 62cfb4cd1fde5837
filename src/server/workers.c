/* workers.c: asks for processes and hands connections to them. It stays when descriptors, processes or memory
 * run out: connections wait, and it tries again. */
#include "workers.h"

#include "clock.h"
#include "log.h"
#include "spare.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE (NANOSECONDS_PER_SECOND / 5) /* after a resource ran out */

bool workers_prepare(struct workers *w)
{
    return children_make_room(&w->children, w->limits->connections + w->limits->spares) &&
           maker_prepare(&w->maker);
}

void workers_look(struct workers *w)
{
    pause_look(&w->pause);
    pause_look(&w->spares_pause);
    pause_look(&w->given_pause);
}

int64_t workers_pause_end(const struct workers *w)
{
    int64_t end = pause_end(&w->pause);
    const int64_t others[] = {pause_end(&w->spares_pause), pause_end(&w->given_pause)};

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        end = others[i] < end ? others[i] : end;
    }
    return end;
}

void workers_back_off(struct workers *w, const char *what, int error)
{
    if (complaint_is_due(&w->complaint)) {
        log_error("%s: %s; connections wait", what, strerror(error));
    }
    pause_begin(&w->pause, PAUSE);
}

static void do_without_spares(struct workers *w, const char *what, int error)
{
    if (complaint_is_due(&w->spares_complaint)) {
        log_error("%s: %s", what, strerror(error));
    }
    pause_begin(&w->spares_pause, PAUSE);
}

static void put_back(struct workers *w, const struct child *child)
{
    if (child->connection >= 0) {
        w->waiting[w->waiting_count++] = (struct arrival){child->connection, child->caller, child->source};
    }
}

/* The one asked for first will not be made. False: none is asked for. */
static bool unask(struct workers *w, struct child *child)
{
    if (!children_unask(&w->children, child)) {
        return false;
    }
    if (child->channel >= 0) {
        (void)close(child->channel);
    }
    put_back(w, child);
    return true;
}

static void not_made(struct workers *w, int error)
{
    struct child child;

    if (unask(w, &child) && child.channel >= 0) {
        do_without_spares(w, "cannot make a spare process", error);
    } else {
        workers_back_off(w, "cannot make a process", error);
    }
}

bool workers_lack_maker(const struct workers *w)
{
    return w->maker.pid == 0 && !w->pause.lasts;
}

bool workers_are_ordered(const struct workers *w)
{
    return w->maker.ordered != w->maker.heard;
}

static bool hear_taken(struct workers *w)
{
    struct source source;
    bool any = false;
    pid_t pid;

    while ((pid = maker_hear_taken(&w->maker, &source)) != 0) {
        children_add(&w->children, pid, &source);
        any = true;
    }
    return any;
}

static void act_on(struct workers *w, const struct maker_note *note)
{
    if (note->answers >= 0) {
        answers_add(&w->answers, note->answers);
    }
    if (note->word == MAKER_FAILED) {
        workers_back_off(w, "cannot make a process", note->error);
    }
    w->stuck = w->stuck || note->word == MAKER_STUCK;
}

bool workers_hear(struct workers *w)
{
    struct maker_note note;
    bool any = false;
    pid_t pid;

    while ((pid = maker_hear(&w->maker)) != 0) {
        if (pid > 0) {
            children_made(&w->children, pid);
        } else {
            not_made(w, -pid);
        }
    }
    do {
        maker_listen(&w->maker, &note);
        any = hear_taken(w) || any;
        act_on(w, &note);
    } while (note.word != MAKER_SILENT);
    return any;
}

bool workers_take(const struct workers *w)
{
    return w->maker.let > 0;
}

/* Those that may come are counted as if all were of the source that has most. */
void workers_let(struct workers *w)
{
    const struct parent_limits *limits = w->limits;
    size_t most = limits->per_source < limits->connections ? limits->per_source : limits->connections;
    size_t serving = children_serving(&w->children);

    if (w->maker.ready && w->maker.let == 0 && limits->spares == 0 && w->waiting_count == 0 && !w->stuck &&
        !w->pause.lasts && serving < most) {
        maker_let(&w->maker, (uint32_t)(most - serving < MAKER_LET_MOST ? most - serving : MAKER_LET_MOST));
    }
}

void workers_forget_maker(struct workers *w)
{
    struct child child;

    (void)workers_hear(w);
    maker_forget(&w->maker);
    while (unask(w, &child)) {
        continue;
    }
}

static void reap_maker(struct workers *w)
{
    workers_forget_maker(w);
    if (complaint_is_due(&w->complaint)) {
        log_error("the process that makes others has ended; connections wait for the next one");
    }
    pause_begin(&w->pause, PAUSE);
}

/* A connection that a spare has died with, untouched, goes to another process. */
bool workers_reap(struct workers *w, pid_t pid, int status, struct source *source)
{
    struct child child;

    if (pid == w->maker.pid) {
        child_note_death(pid, status);
        reap_maker(w);
        return false;
    }
    (void)workers_hear(w);                             /* of this one, if it was short-lived */
    if (!children_remove(&w->children, pid, &child)) { /* an orphan that was given to us as process 1 */
        return false;
    }
    child_note_death(pid, status);
    put_back(w, &child);
    if (child.channel >= 0 && WIFSIGNALED(status)) { /* the next one may die as soon */
        pause_begin(&w->spares_pause, PAUSE);
    }
    w->pause.lasts = w->given_pause.lasts = false; /* what had run out may be there again */
    *source = child.source;
    return true;
}

bool workers_are_full(const struct workers *w)
{
    return children_serving(&w->children) >= w->limits->connections;
}

static bool spares_can_take(const struct workers *w)
{
    return !w->given_pause.lasts && children_can_take(&w->children);
}

/* While the maker has no room who comes waits in the backlog; it is looked for again as soon as the maker is
 * heard. A spare that is there needs no maker. */
bool workers_can_serve(const struct workers *w)
{
    return !workers_are_full(w) && (spares_can_take(w) || (!w->pause.lasts && maker_has_room(&w->maker)));
}

/* Where no spare takes it they have all died, or no descriptor can be passed. */
static bool give_to_spare(struct workers *w, const struct arrival *arrival)
{
    if (!spares_can_take(w)) {
        return false;
    }
    if (!children_hand_over(&w->children, arrival->connection, &arrival->caller, &arrival->source)) {
        pause_begin(&w->given_pause, PAUSE);
        return false;
    }
    return true;
}

/* A spare takes the connection at once, where there is one; else the maker makes a process. False: neither
 * can be had now. */
static bool serve(struct workers *w, const struct arrival *arrival)
{
    if (give_to_spare(w, arrival)) {
        return true;
    }
    if (maker_order(&w->maker, arrival->connection, false, &arrival->caller)) {
        children_ask(&w->children, &(struct child){.source = arrival->source,
                                                   .caller = arrival->caller,
                                                   .channel = -1,
                                                   .connection = arrival->connection});
        return true;
    }
    if (maker_has_room(&w->maker)) {
        workers_back_off(w, "cannot ask for a process", errno);
    }
    return false;
}

void workers_serve(struct workers *w, const struct arrival *arrival)
{
    if (!serve(w, arrival)) {
        w->waiting[w->waiting_count++] = *arrival;
    }
}

void workers_serve_waiting(struct workers *w)
{
    size_t served = 0;

    while (served < w->waiting_count && workers_can_serve(w) && serve(w, &w->waiting[served])) {
        served++;
    }
    if (served > 0) {
        w->waiting_count -= served;
        memmove(w->waiting, w->waiting + served, w->waiting_count * sizeof w->waiting[0]);
    }
}

/* Those that wait are no children, but will be. Nobody is accepted meanwhile, so only who is late has to be
 * told apart from them. */
bool workers_have_share(const struct workers *w, const struct arrival *arrival)
{
    size_t share = w->limits->per_source;

    for (size_t i = 0; i < w->waiting_count && share > 0; i++) {
        share -= memcmp(&w->waiting[i].source, &arrival->source, sizeof arrival->source) == 0;
    }
    return admission_has_share(&w->children, share, arrival);
}

/* No more than there may be connections. */
static size_t spares_wanted(const struct workers *w)
{
    size_t left = w->limits->connections - children_serving(&w->children);

    return left < w->limits->spares ? left : w->limits->spares;
}

bool workers_lack_spares(const struct workers *w)
{
    return !w->spares_pause.lasts && children_idle(&w->children) < spares_wanted(w);
}

bool workers_have_enough_spares(const struct workers *w)
{
    return 2 * children_idle(&w->children) > spares_wanted(w);
}

static void order_spare(struct workers *w)
{
    int ends[2];

    if (!spare_channel(ends)) {
        do_without_spares(w, "cannot make a channel to a spare process", errno);
        return;
    }
    bool ordered = maker_order(&w->maker, ends[1], true, NULL);
    int error = errno;
    (void)close(ends[1]);
    if (!ordered) {
        (void)close(ends[0]);
        do_without_spares(w, "cannot ask for a spare process", error);
        return;
    }
    children_ask(&w->children, &(struct child){.channel = ends[0], .connection = -1});
}

/* Not while somebody waits for a process, which could be the last one that there may be. */
void workers_keep_spares(struct workers *w, bool quiet)
{
    if (w->waiting_count > 0 || (workers_have_enough_spares(w) && !quiet)) {
        return;
    }
    while (workers_lack_spares(w) && !w->pause.lasts && maker_has_room(&w->maker)) {
        order_spare(w);
    }
}

void workers_forget(struct workers *w)
{
    while (w->waiting_count > 0) {
        (void)close(w->waiting[--w->waiting_count].connection);
    }
    answers_close(&w->answers);
    children_forget(&w->children);
}
