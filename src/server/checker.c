/* checker.c: acquits a store that a crashed process may have scribbled over, or says what is wrong with it.
 * Findings go to the log, the first few one by one. */
#include "checker.h"

#include "log.h"
#include "signals.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    FINDINGS_SHOWN = 20,
    CHECK_SECONDS = 120, /* of a processor: what uses more runs in circles, 10,000,000 messages take one */
};

static void show(void *shown, const char *finding)
{
    size_t *count = shown;

    if ((*count)++ < FINDINGS_SHOWN) {
        log_error("check: %s", finding);
    }
}

enum status checker_run(struct store *store)
{
    size_t shown = 0;

    log_warning("a process has crashed: the post office is being checked");
    enum status status = store_acquit(store, show, &shown);
    if (status == STATUS_OK) {
        log_info("the post office is sound");
    } else if (status != STATUS_DAMAGED) {
        log_warning("the post office cannot be checked: %s", status_text(status));
    } else {
        log_error("the post office is damaged: %zu findings", shown);
    }
    return status;
}

/* By a signal that ends the process. Time in which it is stopped, or waits for the lock of who is, does not
 * count. */
static void bound_time(void)
{
    const struct itimerval most = {.it_value.tv_sec = CHECK_SECONDS};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPROF);
    (void)signal(SIGPROF, SIG_DFL);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)setitimer(ITIMER_PROF, &most, NULL);
}

void checker_main(struct store *store, struct sandbox *sandbox, pid_t parent)
{
    (void)prctl(PR_SET_NAME, "shmaild: check");
    sandbox_enter(sandbox, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user would have undone it */
    if (getppid() != parent) {              /* it has died before it could be asked for */
        _exit(EX_TEMPFAIL);
    }
    bound_time();
    sandbox_seal(sandbox);
    sandbox_end_processes(sandbox);
    enum status status = store_attach_to_check(store, "checker");
    if (status == STATUS_OK) {
        store_describe(store, "check");
        status = checker_run(store);
        store_detach(store);
    } else {
        log_warning("the post office cannot be checked: %s", status_text(status));
    }
    _exit(status == STATUS_OK ? EX_OK : status == STATUS_DAMAGED ? EX_DATAERR : EX_TEMPFAIL);
}

/* One that has died of a fault may have died of what it found, and one of its own timer has run in circles
 * there. The sandbox ends it for what the system's libraries do, and others for reasons of theirs, as the
 * system does for its memory: that says nothing of the store. */
bool checker_found_damage(int status)
{
    if (WIFSIGNALED(status)) {
        int number = WTERMSIG(status);
        return number == SIGPROF || (signals_is_fault(number) && number != SIGSYS);
    }
    return WEXITSTATUS(status) == EX_DATAERR;
}
