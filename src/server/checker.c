/* checker.c: acquits a store that a crashed process may have scribbled over, or says what is wrong with it.
 * Findings go to the log, the first few one by one. */
#include "checker.h"

#include "clock.h"
#include "log.h"
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
    FINDINGS_SHOWN = 20,
    CHECK_SECONDS = 120, /* of a processor: what uses more runs in circles, 10,000,000 messages take one */
};

static struct store *watched; /* a handler can reach nothing else */

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

/* Nanoseconds of a processor that it has used; clock_getcpuclockid(3) makes a call that the sandbox does not
 * allow. -1: it is gone. */
static int64_t time_of(pid_t pid)
{
    const clockid_t clock = (clockid_t)(~(unsigned)pid << 3 | 2);
    struct timespec used;

    return clock_gettime(clock, &used) == 0 ? used.tv_sec * NANOSECONDS_PER_SECOND + used.tv_nsec : -1;
}

/* Each second, for who has the lock may run in circles, too: in what another one has scribbled. */
static void watch_holder(int number)
{
    static pid_t holder;
    static int64_t used;
    static int seconds; /* in which it ran */
    int saved = errno;
    pid_t now = store_lock_holder(watched);
    int64_t now_used = now > 0 ? time_of(now) : -1;

    (void)number;
    seconds = now != holder ? 0 : now_used > used ? seconds + 1 : seconds;
    holder = now;
    used = now_used;
    if (seconds >= CHECK_SECONDS) {
        log_error("check: process %ld has the lock and runs in circles", (long)now);
        _exit(EX_DATAERR);
    }
    errno = saved;
}

static void start_timer(__itimer_which_t which, int first, int next, int number, void (*action)(int))
{
    const struct itimerval timer = {.it_value.tv_sec = first, .it_interval.tv_sec = next};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, number);
    (void)signal(number, action);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)setitimer(which, &timer, NULL);
}

/* Time in which this process is stopped, or waits for the lock of one that is, does not count. */
static void bound_time(struct store *store)
{
    watched = store;
    start_timer(ITIMER_PROF, CHECK_SECONDS, 0, SIGPROF, SIG_DFL);
    start_timer(ITIMER_REAL, 1, 1, SIGALRM, watch_holder);
}

void checker_main(struct store *store, struct sandbox *sandbox, pid_t parent)
{
    (void)prctl(PR_SET_NAME, "shmaild: check");
    sandbox_enter(sandbox, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user would have undone it */
    if (getppid() != parent) {              /* it has died before it could be asked for */
        _exit(EX_TEMPFAIL);
    }
    bound_time(store);
    sandbox_seal(sandbox, NULL);
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
