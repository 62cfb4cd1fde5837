/* keeping.h: what the tests of a journal's keeper share: a post office with a journal, and a keeper that is a
 * process of its own, which the test starts, lets look, and stops. */
#ifndef SHMAIL_TEST_KEEPING_H
#define SHMAIL_TEST_KEEPING_H

#include "disk.h"
#include "scene.h"

#include <poll.h>

static struct store_options options = {.directory = "journal",
                                       .sync_seconds = 1000,
                                       .crypt_cost = 1,
                                       .journal_bytes = 160 << 10,
                                       .segment_bytes = 16 << 20,
                                       .accounts = 16,
                                       .slots = 8};

static struct store *store;
static volatile sig_atomic_t stop;
static int said; /* a pipe's end, which is the keeper's standard error */

static void begin(enum store_sync sync)
{
    options.sync = sync;
    store = attached_store(&options);
    for (int which = 0; which < 3; which++)
        EXPECT_EQ(scene_operation(store, which), STATUS_OK);
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
}

static struct journal_segment *journal(void)
{
    return &store->header->journal;
}

static void stop_keeping(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

/* Ends with 1 where it did not get the office. */
static pid_t start_keeper(enum store_stay stay, void (*prepare)(void))
{
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        sigset_t none, term;
        sigemptyset(&none);
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, NULL);
        signal(SIGTERM, stop_keeping);
        EXPECT(dup2(ends[1], STDERR_FILENO) >= 0);
        close(ends[0]);
        close(ends[1]);
        store->slot = NULL;
        store->me = 0;
        store->observed = 0;
        EXPECT_EQ(store_attach(store, "keeper"), STATUS_OK);
        if (prepare)
            prepare();
        store_keep(store, stay, &stop, &none);
        bool kept = stop || stay != STORE_STAY;
        store_detach(store);
        _exit(!kept);
    }
    close(ends[1]);
    said = ends[0];
    return pid;
}

static int end_of(pid_t pid)
{
    int status;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The signal may come just before its sleep, which ends by a clock that may be fast. */
static void stop_keeper(pid_t pid)
{
    EXPECT_EQ(kill(pid, SIGTERM), 0);
    EXPECT_EQ(sem_post(&journal()->keeper_wake), 0);
    EXPECT_EQ(end_of(pid), 0);
    EXPECT_EQ(journal()->keeper, 0);
}

static void wait_for_office(void)
{
    while (load64(&journal()->keeper) == 0)
        poll(NULL, 0, 1);
}

static void send(size_t length)
{
    EXPECT_EQ(scene_send(store, "bob", "x", length), STATUS_OK);
}

/* Wakes the keeper so often, and waits until it has looked. */
static inline void rest(int times)
{
    for (; times > 0; times--) {
        int waiting = 1;
        EXPECT_EQ(sem_post(&journal()->keeper_wake), 0);
        while (sem_getvalue(&journal()->keeper_wake, &waiting) == 0 && waiting > 0)
            poll(NULL, 0, 1);
    }
}

#endif
