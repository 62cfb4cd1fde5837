/* keeper.c: the journal's keeper as a process: it runs in store_keep until its parent tells it to end, or,
 * where it has none any more, until nobody needs it. */
#include "keeper.h"

#include "log.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Many wait for this one: where the kernel shares the processors among sessions first (autogroup, sched(7)),
 * one of its own lets it go before them. And no terminal stops it. */
static void leave_session(void)
{
    (void)setsid();
}

/* A lone keeper has no parent, and holds no client's connection open. */
static void go_alone(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    leave_session();
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        (void)close(null);
    }
}

/* parent: 0 where there is none to die with. */
static _Noreturn void keep(struct store *store, struct sandbox *sandbox, pid_t parent)
{
    enum store_stay stay = parent == 0 ? STORE_STAY_LONE : STORE_STAY;

    if (stay == STORE_STAY) {
        leave_session();
    }
    store_prepare_to_keep(store);
    (void)prctl(PR_SET_NAME, "shmaild: keeper");
    sandbox_enter(sandbox, 0);
    if (stay == STORE_STAY) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* a change of user would have undone it */
        stay = getppid() == parent ? STORE_STAY : STORE_STAY_ORPHAN; /* it may have died before that */
    }
    sandbox_seal(sandbox, NULL);
    sandbox_end_processes(sandbox);
    enum status status = store_attach(store, "keeper");
    if (status != STATUS_OK) {
        log_error("the journal has no keeper: %s", status_text(status));
        _exit(1);
    }
    store_describe(store, "keeper");
    signals_interrupt(store);
    store_keep(store, stay, signals_closing(), signals_sleep_mask());
    if (stay == STORE_STAY && getppid() != parent) { /* the connections that it had go on */
        signals_go_on();
        store_keep(store, STORE_STAY_ORPHAN, signals_closing(), signals_sleep_mask());
    }
    signals_interrupt(NULL);
    store_detach(store);
    _exit(0);
}

void keeper_run(struct store *store, struct sandbox *sandbox, pid_t parent)
{
    keep(store, sandbox, parent);
}

/* By a process in between, whose end makes the keeper nobody's child. */
static _Noreturn void start_alone(struct store *store, struct sandbox *sandbox)
{
    go_alone();
    signals_go_on(); /* a parent that ends was told to */
    pid_t pid = fork();
    if (pid != 0) {
        _exit(pid > 0 ? 0 : errno);
    }
    keep(store, sandbox, 0);
}

pid_t keeper_start_alone(struct store *store, struct sandbox *sandbox)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        start_alone(store, sandbox);
    }
    if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        errno = WEXITSTATUS(status);
        return -1;
    }
    return pid;
}
