/* steps_death.h: real deaths (SIGKILL) at a sample of the steps that a pass has seen, each with another
 * process that waits for the lock, finds all well and has work to do. */
#ifndef SHMAIL_TEST_STEPS_DEATH_H
#define SHMAIL_TEST_STEPS_DEATH_H

#include "clock.h"
#include "steps_pass.h"

#include <poll.h>

enum {
    A_SECOND = 1000000000,
    KILLS_SHORT = 6,    /* of the sample, in the short form */
    LOCKED_SHORT = 4,   /* of the first and last steps under the lock, in the short form */
    KILLS_AT_ONCE = 12, /* each mostly waits */
};

struct wait {
    int ready[2], go[2];
    struct told told;
    _Atomic int64_t taken; /* when the waiter had the lock; 0: not yet */
};

static void expect_survival(const struct pass *pass, struct wait *wait)
{
    static struct state state;
    char byte = 'r';
    bool reads = pass->operation->kinds & READER;
    EXPECT_EQ(store_attach(office, "waiter"), STATUS_OK);
    EXPECT_EQ(write(wait->ready[1], &byte, 1), 1);
    EXPECT_EQ(read(wait->go[0], &byte, 1), 1);
    lock_take(office);
    wait->taken = clock_now();
    lock_release(office);
    /* What another dead process had held may have been had before the victim died. */
    EXPECT_EQ(read(wait->go[0], &byte, 1), 1);
    store_reclaim(office);
    EXPECT_CLEAN(office);
    expect_no_debt(office, reads, &wait->told, 1);
    state_describe(&state, office, STATE_SESSIONS);
    const struct state *before = &pass->plain.found[0];
    const struct state *after = &pass->plain.found[pass->plain.count - 1];
    if (!state_equal(&state, after) && (wait->told.done || !state_equal(&state, before))) {
        printf("before:\n%safter:\n%sfound:\n%s", before->text, after->text, state.text);
        harness_fail(__FILE__, __LINE__, "what a killed process leaves is %s",
                     wait->told.done ? "not what it had done" : "neither before nor after");
    }
    int64_t start = clock_now();
    work(office);
    EXPECT_EQ(store_settle(office), STATUS_OK);
    EXPECT(clock_now() - start < A_SECOND);
    if (reads)
        expect_pinned(office, &wait->told);
    EXPECT_CLEAN(office);
    store_detach(office);
    _exit(0);
}

/* In a process of its own. Returns the nanoseconds after which the waiter had the lock. */
static int64_t die(struct pass *pass, struct arrival where)
{
    struct wait *wait = shared(sizeof(*wait));
    struct steps steps;
    struct store_options options = *pass->options;
    char directory[] = "journal-XXXXXX"; /* by no process's number, which another has had before */
    char byte;
    int status;
    alarm(STUCK_SECONDS);
    EXPECT(mkdtemp(directory) != NULL);
    options.directory = options.directory ? directory : NULL;
    EXPECT_EQ(pipe(wait->ready), 0);
    EXPECT_EQ(pipe(wait->go), 0);
    office = open_store(&options);
    pid_t waiter = fork();
    if (waiter == 0)
        expect_survival(pass, wait);
    EXPECT_EQ(read(wait->ready[0], &byte, 1), 1);
    if (!(pass->operation->kinds & EMPTY))
        in_another_process(make_post_office, 0);
    if (pass->operation->kinds & READER)
        start_reader(&wait->told, NULL);
    steps_begin(&steps, fork_victim(pass->operation, &wait->told), pass->all, NULL);
    (void)steps_run_to_arrival(&steps, where); /* if it comes to its end before, it dies there */
    bool held = load64(&office->header->owner) != 0;
    if (held) {
        EXPECT_EQ(write(wait->go[1], "g", 1), 1);
        while (!(load64(&office->header->owner) & LOCK_WAITERS) && !wait->taken)
            poll(NULL, 0, 1);
    }
    int64_t start = clock_now();
    steps_kill(&steps);
    EXPECT_EQ(write(wait->go[1], "gg", held ? 1 : 2), held ? 1 : 2);
    EXPECT_EQ(waitpid(waiter, &status, 0), waiter);
    EXPECT_EQ(status, 0);
    int64_t took = wait->taken - start;
    EXPECT(took < A_SECOND);
    return took;
}

struct deaths {
    unsigned long count;
    _Atomic int64_t slowest;
    struct {
        pid_t pid;
        uintptr_t place;
    } running[KILLS_AT_ONCE];
    unsigned running_count;
};

static void wait_for_one(struct deaths *deaths)
{
    int status;
    unsigned i = 0;
    pid_t pid = waitpid(-1, &status, 0);
    while (i < deaths->running_count && deaths->running[i].pid != pid)
        i++;
    EXPECT(i < deaths->running_count);
    if (status != 0)
        steps_print_place("killed before", deaths->running[i].place);
    EXPECT_EQ(status, 0);
    deaths->running[i] = deaths->running[--deaths->running_count];
}

static void add_death(struct pass *pass, struct deaths *deaths, struct arrival where)
{
    if (deaths->running_count == KILLS_AT_ONCE)
        wait_for_one(deaths);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        int64_t took = die(pass, where);
        for (int64_t before = deaths->slowest; took > before;)
            if (atomic_compare_exchange_weak(&deaths->slowest, &before, took))
                break;
        _exit(0);
    }
    deaths->running[deaths->running_count].pid = pid;
    deaths->running[deaths->running_count++].place = where.place;
    deaths->count++;
}

/* most of the places, evenly. */
static void kill_at(struct pass *pass, struct deaths *deaths, const struct places *places, size_t most)
{
    size_t every = places->count / most + 1;
    for (size_t i = 0; i < places->count; i += every)
        add_death(pass, deaths, places->at[i]);
}

static void kill_sample(struct pass *pass, struct deaths *deaths)
{
    kill_at(pass, deaths, &pass->locked, pass->all ? KILLS_MAX : LOCKED_SHORT);
    kill_at(pass, deaths, &pass->sample, pass->all ? KILLS_MAX : KILLS_SHORT);
    while (deaths->running_count > 0)
        wait_for_one(deaths);
}

#endif
