/* test_checker.c: what the end of a checker says about the store. */
#include "attached_process.h"
#include "checker.h"
#include "harness.h"
#include "lock.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { HURRY = 1000, WHILE = 600 }; /* milliseconds, in which a limit of two minutes is over then */

/* The system's, in a world where limits are over sooner. */
int setitimer(__itimer_which_t which, const struct itimerval *timer, struct itimerval *old)
{
    const struct itimerval soon = {.it_value.tv_usec = timer->it_value.tv_sec * 1000000 / HURRY,
                                   .it_interval.tv_usec = timer->it_interval.tv_sec * 1000000 / HURRY};
    return (int)syscall(SYS_setitimer, which, &soon, old);
}

/* Nobody here calls it, and a limit by the clock would be over soon. */
unsigned alarm(unsigned seconds)
{
    const struct itimerval timer = {.it_value.tv_sec = (time_t)seconds};
    return (unsigned)setitimer(ITIMER_REAL, &timer, NULL);
}

/* The wait status of a process that ends so. */
static int status_of(int code, int signal_number)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (signal_number != 0) {
            signal(signal_number, SIG_DFL); /* not a sanitizer's */
            raise(signal_number);
        }
        _exit(code);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static void damage_is_what_it_has_found_or_died_of(void)
{
    EXPECT(checker_found_damage(status_of(EX_DATAERR, 0)));
    EXPECT(checker_found_damage(status_of(0, SIGSEGV)));
    EXPECT(checker_found_damage(status_of(0, SIGPROF))); /* it ran in circles */
    EXPECT(!checker_found_damage(status_of(EX_OK, 0)));
    EXPECT(!checker_found_damage(status_of(EX_TEMPFAIL, 0)));
}

/* As when the machine has no memory left. */
static void who_was_killed_has_found_nothing(void)
{
    EXPECT(!checker_found_damage(status_of(0, SIGKILL)));
    EXPECT(!checker_found_damage(status_of(0, SIGTERM)));
    EXPECT(!checker_found_damage(status_of(0, SIGSYS))); /* by the sandbox */
}

static void run_in_circles(int number)
{
    (void)number;
    for (;;) {
    }
}

/* With all signals blocked as shmaild has them, but for one that leads it astray. */
static pid_t start_checker(void)
{
    static struct sandbox sandbox;
    const struct store_descriptors descriptors = store_descriptors(store);
    char why[256];
    EXPECT(sandbox_prepare(&sandbox, &(struct sandbox_options){.message_limit = 1000}, why, sizeof why));
    sandbox_admit(&sandbox, &descriptors);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        sigset_t blocked;
        sigfillset(&blocked);
        sigdelset(&blocked, SIGUSR1);
        signal(SIGUSR1, run_in_circles);
        sigprocmask(SIG_SETMASK, &blocked, NULL);
        checker_main(store, &sandbox, parent);
    }
    return pid;
}

static bool has_ended(pid_t pid)
{
    siginfo_t about = {.si_pid = 0};
    EXPECT_EQ(waitid(P_PID, (id_t)pid, &about, WEXITED | WNOHANG | WNOWAIT), 0);
    return about.si_pid == pid;
}

static int end_of_checker(pid_t pid)
{
    int status;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static void who_is_stopped_or_waits_for_the_lock_of_who_is_has_found_nothing(void)
{
    open_post_office(8);
    lock_take(store);
    pid_t pid = start_checker();
    (void)poll(NULL, 0, WHILE);
    EXPECT(!has_ended(pid));
    kill(pid, SIGSTOP);
    (void)poll(NULL, 0, WHILE);
    EXPECT(!has_ended(pid));
    lock_release(store);
    kill(pid, SIGCONT);
    EXPECT_EQ(end_of_checker(pid), 0);
}

static void who_runs_in_circles_has_found_damage(void)
{
    open_post_office(8);
    lock_take(store);
    pid_t pid = start_checker();
    (void)poll(NULL, 0, WHILE); /* for its limit to be set */
    EXPECT(!has_ended(pid));
    kill(pid, SIGUSR1);
    EXPECT(checker_found_damage(end_of_checker(pid)));
}

static void take_and_run_in_circles(void)
{
    lock_take(store);
    run_in_circles(0);
}

static void who_waits_for_the_lock_of_who_runs_in_circles_has_found_damage(void)
{
    open_post_office(8);
    run_attached = take_and_run_in_circles;
    pid_t holder = fork();
    if (holder == 0) {
        attach_and_run();
    }
    while (store_lock_holder(store) != holder) {
        (void)poll(NULL, 0, 1);
    }
    EXPECT(checker_found_damage(end_of_checker(start_checker())));
    kill(holder, SIGKILL);
}

static const struct harness_test tests[] = {
    {"damage is what it has found or died of", damage_is_what_it_has_found_or_died_of},
    {"who was killed has found nothing", who_was_killed_has_found_nothing},
    {"who is stopped, or waits for the lock of who is, has found nothing",
     who_is_stopped_or_waits_for_the_lock_of_who_is_has_found_nothing},
    {"who runs in circles has found damage", who_runs_in_circles_has_found_damage},
    {"who waits for the lock of who runs in circles has found damage",
     who_waits_for_the_lock_of_who_runs_in_circles_has_found_damage, 20},
};

HARNESS_MAIN(tests)
