/* attached_process.h: what the tests of the lock and of the slots share: a post office that this process is
 * attached to, and processes beside it that do something and end. */
#ifndef SHMAIL_TEST_ATTACHED_PROCESS_H
#define SHMAIL_TEST_ATTACHED_PROCESS_H

#include "disk.h"
#include "mailbox.h"
#include "post_office.h"

#include <sys/wait.h>

static struct store *store;
static account_t alice;

static inline void open_post_office(uint32_t slots)
{
    static struct store *volatile kept[4]; /* so that a leak checker sees them in every process */
    static size_t opened;
    store = kept[opened++ % 4] =
        open_store(&(struct store_options){.crypt_cost = 1, .slots = slots, .accounts = 100});
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
    alice = new_account(store, "alice");
}

static void (*run_attached)(void);

static inline void attach_and_run(void)
{
    EXPECT_EQ(store_attach(store, "child"), STATUS_OK);
    run_attached();
}

/* Runs it in a process of its own; returns how that ended. */
static inline int end_unattached(void (*run)(void))
{
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        run();
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static inline int end_of(void (*run)(void))
{
    run_attached = run;
    return end_unattached(attach_and_run);
}

static inline void expect_killed(void (*run)(void))
{
    int status = end_of(run);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    store_wake(store);
}

#endif
