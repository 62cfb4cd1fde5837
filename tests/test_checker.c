/* test_checker.c: what the end of a checker says about the store. */
#include "checker.h"
#include "harness.h"

#include <signal.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

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
    EXPECT(checker_found_damage(status_of(0, SIGALRM))); /* it ran in circles */
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

static const struct harness_test tests[] = {
    {"damage is what it has found or died of", damage_is_what_it_has_found_or_died_of},
    {"who was killed has found nothing", who_was_killed_has_found_nothing},
};

HARNESS_MAIN(tests)
