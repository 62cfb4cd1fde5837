/* workers.c: asks for processes for connections. It stays when descriptors, processes or memory run out:
 * connections wait, and it tries again. */
#include "workers.h"

#include "clock.h"
#include "log.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE (NANOSECONDS_PER_SECOND / 5) /* after a resource ran out */

bool workers_prepare(struct workers *w, const struct listeners *listeners)
{
    return children_make_room(&w->children, w->limits->connections) && maker_prepare(&w->maker, &w->spares) &&
           spares_prepare(&w->spares, w->limits->spares, &w->maker.board->spares, listeners);
}

void workers_look(struct workers *w)
{
    pause_look(&w->pause);
    pause_look(&w->spares_pause);
}

int64_t workers_pause_end(const struct workers *w)
{
    int64_t end = pause_end(&w->pause), other = pause_end(&w->spares_pause);

    return w->lack_spares && other < end ? other : end;
}

void workers_back_off(struct workers *w, const char *what, int error)
{
    if (complaint_is_due(&w->complaint)) {
        log_error("%s: %s; connections wait", what, strerror(error));
    }
    pause_begin(&w->pause, PAUSE);
}

static void do_with_fewer_spares(struct workers *w, int error)
{
    if (complaint_is_due(&w->spares_complaint)) {
        log_error("cannot make a spare process: %s", strerror(error));
    }
    pause_begin(&w->pause, PAUSE);
}

/* The one asked for first will not be made, and its connection waits. False: none is asked for. */
static bool unask(struct workers *w)
{
    struct child child;

    if (!children_unask(&w->children, &child)) {
        return false;
    }
    w->waiting[w->waiting_count++] = (struct arrival){child.connection, child.caller, child.source};
    return true;
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
    if (note->word == MAKER_FAILED && spares_waiting(&w->spares) > 0) {
        do_with_fewer_spares(w, note->error);
    } else if (note->word == MAKER_FAILED) {
        workers_back_off(w, "cannot make a process", note->error);
    }
    if (note->word == MAKER_STUCK) {
        w->stuck = true;
        workers_end_spares(w);
    }
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
            (void)unask(w);
            workers_back_off(w, "cannot make a process", -pid);
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
    return w->maker.let > 0 || spares_count(&w->spares) > spares_ending(&w->spares);
}

static size_t least_limit(const struct workers *w)
{
    const struct parent_limits *limits = w->limits;

    return limits->per_source < limits->connections ? limits->per_source : limits->connections;
}

/* Those that may come are counted as if all were of the source that has most. */
void workers_let(struct workers *w)
{
    size_t most = least_limit(w);

    if (!w->maker.ready || w->maker.let > 0 || w->waiting_count > 0 || w->stuck || w->pause.lasts) {
        return;
    }
    size_t serving = children_serving(&w->children) + spares_count(&w->spares);
    if (serving < most) {
        maker_let(&w->maker, (uint32_t)(most - serving));
    }
}

void workers_end_spares(const struct workers *w)
{
    spares_end(&w->spares);
}

size_t workers_count(const struct workers *w)
{
    return w->children.count + spares_count(&w->spares);
}

void workers_signal(struct workers *w, int number)
{
    (void)workers_hear(w);
    children_signal(&w->children, number);
    spares_signal(&w->spares, number);
}

void workers_forget_maker(struct workers *w)
{
    (void)workers_hear(w);
    maker_forget(&w->maker);
    while (unask(w)) {
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

bool workers_reap(struct workers *w, const struct listeners *listeners, pid_t pid, int status,
                  struct source *source)
{
    struct child child;

    if (pid == w->maker.pid) {
        child_note_death(pid, status);
        reap_maker(w);
        return false;
    }
    if (!children_remove(&w->children, pid, &child)) {
        (void)workers_hear(w); /* of this one, if it was short-lived */
        if (spares_reap(&w->spares, listeners, pid)) {
            child_note_death(pid, status);
            w->lack_spares = true;
            return false;
        }
        if (!children_remove(&w->children, pid, &child)) { /* an orphan that we have got as process 1 */
            return false;
        }
    }
    child_note_death(pid, status);
    w->pause.lasts = false; /* what had run out may be there again */
    *source = child.source;
    return true;
}

void workers_look_for_room(struct workers *w)
{
    (void)workers_hear(w);
    w->pause.lasts = false;
}

bool workers_are_full(const struct workers *w)
{
    return children_serving(&w->children) >= w->limits->connections;
}

/* A spare that was told to end may have a connection of anybody's before it does. */
static bool may_become_full(const struct workers *w)
{
    size_t ending = spares_ending(&w->spares);

    return ending > 0 && children_serving(&w->children) + ending >= least_limit(w);
}

/* While the maker has no room who comes waits in the backlog; it is looked for again as soon as the maker is
 * heard. */
bool workers_can_serve(const struct workers *w)
{
    return !workers_are_full(w) && !may_become_full(w) && !w->pause.lasts && maker_has_room(&w->maker);
}

/* False: no process can be had now. */
static bool serve(struct workers *w, const struct arrival *arrival)
{
    if (maker_order(&w->maker, arrival->connection, &arrival->caller)) {
        children_ask(&w->children, &(struct child){.source = arrival->source,
                                                   .caller = arrival->caller,
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
    size_t share = w->limits->per_source, ending = spares_ending(&w->spares);

    share -= ending < share ? ending : share;
    for (size_t i = 0; i < w->waiting_count && share > 0; i++) {
        share -= memcmp(&w->waiting[i].source, &arrival->source, sizeof arrival->source) == 0;
    }
    return admission_has_share(&w->children, share, arrival);
}

/* Now and then: where one has ended without a connection the next one may as soon, and a rush may go on. */
void workers_keep_spares(struct workers *w, bool quiet)
{
    w->lack_spares = w->lack_spares || (quiet && spares_waiting(&w->spares) < w->spares.wanted);
    if (!w->lack_spares || w->maker.let == 0 || w->spares_pause.lasts) {
        return;
    }
    maker_complete_spares(&w->maker);
    pause_begin(&w->spares_pause, PAUSE);
    w->lack_spares = false;
}

void workers_forget(struct workers *w)
{
    while (w->waiting_count > 0) {
        (void)close(w->waiting[--w->waiting_count].connection);
    }
    answers_close(&w->answers);
    children_forget(&w->children);
}
