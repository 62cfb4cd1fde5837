/* helpers.c: has a keeper and a checker while they are wanted, and does without for a while where there can
 * be none. */
#include "helpers.h"

#include "checker.h"
#include "children.h"
#include "clock.h"
#include "keeper.h"
#include "log.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE (NANOSECONDS_PER_SECOND / 5) /* after a resource ran out */
#define GAVE_UP NANOSECONDS_PER_SECOND     /* after a keeper ended of its own accord: the next would */

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

void helpers_main(struct helpers *helpers)
{
    if (helpers->checks) {
        checker_main(helpers->store, helpers->sandbox, helpers->parent);
    }
    keeper_run(helpers->store, helpers->sandbox, helpers->sync_seconds, helpers->parent);
}

void helpers_reap(struct helpers *helpers, pid_t pid, int status)
{
    if (pid == helpers->checker) {
        helpers->checker = 0;
        helpers->damaged = checker_found_damage(status);
        if (status != 0 && !helpers->damaged) { /* no slot or memory is left for it: later */
            do_without(helpers, "the post office cannot be checked", EAGAIN);
        }
    }
    if (pid == helpers->keeper) {
        helpers->keeper = 0;
        child_note_death(pid, status);
        if (WIFSIGNALED(status)) {
            log_error("that was the journal's keeper; another one follows");
        }
        if (WIFEXITED(status) && !helpers->replaces) {
            pause_begin(&helpers->pause, GAVE_UP);
        }
        helpers->replaces = false;
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
