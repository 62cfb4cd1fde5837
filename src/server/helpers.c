/* helpers.c: has a keeper and a checker while they are wanted, and does without for a while where there can
 * be none. */
#include "helpers.h"

#include "checker.h"
#include "children.h"
#include "clock.h"
#include "keeper.h"
#include "log.h"
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE (NANOSECONDS_PER_SECOND / 5) /* after a resource ran out */
#define GAVE_UP NANOSECONDS_PER_SECOND     /* after one ended of its own accord, or soon: the next would */

static void do_without(struct helpers *helpers, const char *what, int error)
{
    if (complaint_is_due(&helpers->complaint)) {
        log_error("%s: %s", what, strerror(error));
    }
    pause_begin(&helpers->pause, PAUSE);
}

/* Without a keeper the journal goes on until its file is full, so there is time to try again. */
static bool wants_keeper(const struct helpers *helpers)
{
    return helpers->keeper == 0 && !helpers->pause.lasts && store_has_journal(helpers->store);
}

static bool wants_checker(const struct helpers *helpers)
{
    return helpers->checker == 0 && !helpers->pause.lasts && !helpers->damaged &&
           store_is_suspect(helpers->store);
}

/* True in the new process. */
static bool make(struct helpers *helpers, pid_t *helper, const char *failure)
{
    helpers->parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        do_without(helpers, failure, errno);
        return false;
    }
    *helper = pid;
    helpers->made = clock_now();
    return pid == 0;
}

bool helpers_fork(struct helpers *helpers)
{
    if (wants_keeper(helpers) && make(helpers, &helpers->keeper, "cannot make a process for the journal")) {
        return true;
    }
    helpers->checks = wants_checker(helpers) &&
                      make(helpers, &helpers->checker, "cannot make a process to check the post office");
    return helpers->checks;
}

bool helpers_fork_last(struct helpers *helpers)
{
    helpers->checks = false;
    return helpers->keeper == 0 && store_owes_journal(helpers->store) &&
           make(helpers, &helpers->keeper, "cannot make a process to write the end of the journal");
}

void helpers_main(struct helpers *helpers)
{
    if (helpers->checks) {
        checker_main(helpers->store, helpers->sandbox, helpers->parent);
    }
    keeper_run(helpers->store, helpers->sandbox, helpers->parent);
}

/* One that could not look has said why: no slot or memory was left for it. */
static void reap_checker(struct helpers *helpers, pid_t pid, int status)
{
    helpers->checker = 0;
    helpers->damaged = checker_found_damage(status);
    child_note_death(pid, status);
    if (WIFSIGNALED(status)) {
        log_error("that was the check of the post office%s", helpers->damaged ? "" : "; another one follows");
    }
    if (status != 0 && !helpers->damaged) {
        pause_begin(&helpers->pause, WIFSIGNALED(status) ? GAVE_UP : PAUSE);
    }
}

static void reap_keeper(struct helpers *helpers, pid_t pid, int status)
{
    helpers->keeper = 0;
    child_note_death(pid, status);
    if (WIFSIGNALED(status)) {
        log_error("that was the journal's keeper%s", *signals_closing() ? "" : "; another one follows");
    }
    if (WIFEXITED(status) ? !helpers->replaces : clock_now() - helpers->made < GAVE_UP) {
        pause_begin(&helpers->pause, GAVE_UP);
    }
    helpers->replaces = false;
}

void helpers_reap(struct helpers *helpers, pid_t pid, int status)
{
    if (pid == helpers->checker) {
        reap_checker(helpers, pid, status);
    }
    if (pid == helpers->keeper) {
        reap_keeper(helpers, pid, status);
    }
}

void helpers_signal(const struct helpers *helpers, int signal)
{
    if (helpers->keeper > 0) {
        (void)kill(helpers->keeper, signal);
    }
}

void helpers_replace_keeper(struct helpers *helpers)
{
    helpers->replaces = helpers->keeper > 0;
    helpers_signal(helpers, SIGTERM);
}
