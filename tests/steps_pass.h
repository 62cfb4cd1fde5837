/* steps_pass.h: one pass through an operation. After each step that has changed the segment or the journal's
 * files, a survivor attaches to a copy of what a kill there would leave, recovers, and must find all well.
 *
 * The operation counts as whole or absent if the states that survivors find, in order, are the one before it
 * and then, perhaps, the one after it; the last one is what the operation itself has left. */
#ifndef SHMAIL_TEST_STEPS_PASS_H
#define SHMAIL_TEST_STEPS_PASS_H

#include "lock.h"
#include "state.h"
#include "steps.h"
#include "steps_operations.h"
#include "steps_survivor.h"

#include <stdlib.h>
#include <sys/prctl.h>

enum {
    STATES_MAX = 8,        /* before and after, and what others do meanwhile */
    EXACT_EVERY = 997,     /* steps between looks at the whole segment */
    REBOOT_EVERY = 16,     /* points between reboots after a survivor's work */
    MEANWHILE_EVERY = 800, /* steps between what others do meanwhile */
    MEANWHILE_MAX = 6,
    KILL_EVERY = 97, /* steps between those that are proposed for a real death */
    KILLS_MAX = 16384,
    ARRIVALS_FEW = 16, /* or it takes long to get there again */
    STUCK_SECONDS = 60 /* who takes so long to recover will never do */
};

/* Where a pass is, for whoever sees it fail. */
struct progress {
    unsigned long step;
    uintptr_t place; /* of the instruction that comes next */
};

/* The states that were found, each with the step after which it was. */
struct states {
    struct state found[STATES_MAX];
    unsigned long since[STATES_MAX];
    size_t count;
};

/* Where a victim may be killed for real. */
struct places {
    struct arrival at[KILLS_MAX];
    size_t count;
};

struct pass {
    const struct operation *operation;
    const struct store_options *options;
    bool all;
    struct told *told;
    struct progress *progress;
    struct steps steps;
    struct segment_copy copy;
    struct states exact, plain, disk;
    struct state *rebooted; /* shared with who reboots */
    struct places locked;   /* the first and the last step of each hold of the lock */
    struct places sample;
    bool kill_is_due;
    struct arrival arrivals[STEPS_PLACES];
    unsigned long points, reboots;
    size_t meanwhile; /* how often another process has changed something (MEANWHILE) */
};

/* ---- the victim ---- */

static _Noreturn void be_victim(const struct operation *operation, struct told *told)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!(operation->kinds & UNATTACHED))
        attach();
    if (operation->prepare)
        operation->prepare();
    if (office->slot)
        told->slot = slot_index(office, office->slot);
    steps_mark_start();
    operation->run();
    told->done = true;
    steps_mark_end();
    _exit(0);
}

static pid_t fork_victim(const struct operation *operation, struct told *told)
{
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0)
        be_victim(operation, told);
    return pid;
}

/* ---- what is found after a death ---- */

static void note_state(struct states *states, size_t most, const struct state *state, unsigned long step,
                       const char *where)
{
    if (states->count > 0 && state_equal(&states->found[states->count - 1], state))
        return;
    if (states->count == most) {
        for (size_t i = 0; i < states->count; i++)
            printf("since step %lu:\n%s", states->since[i], states->found[i].text);
        printf("now, at step %lu:\n%s", step, state->text);
        harness_fail(__FILE__, __LINE__, "%s: what a death at step %lu leaves is neither before nor after",
                     where, step);
    }
    states->since[states->count] = step;
    states->found[states->count++] = *state;
}

/* ---- a reboot: the segment is gone, the copy's files are there ---- */

/* With files of its own, since a recovery writes to them. */
static void take_files(const struct segment_copy *copy, struct store *fresh)
{
    static char bytes[COPY_FILE_MAX];
    for (int i = 0; i < 2; i++) {
        ssize_t got = pread(copy->files[i], bytes, sizeof(bytes), 0);
        EXPECT(got >= 0 && got < COPY_FILE_MAX);
        fresh->files[i] = memfd_create("journal", MFD_CLOEXEC);
        EXPECT_EQ(pwrite(fresh->files[i], bytes, (size_t)got, 0), got);
    }
}

static void recover_from_files(struct pass *pass)
{
    char why[512] = "";
    struct store_options options = *pass->options;
    options.directory = NULL;
    struct store *fresh = open_store(&options);
    struct journal_segment *journal = &fresh->header->journal;
    uint64_t ring = (uint64_t)((char *)fresh->ring - fresh->base);
    take_files(&pass->copy, fresh);
    EXPECT_EQ(sem_init(&journal->keeper_wake, 1, 0), 0);
    snprintf(journal->directory, sizeof(journal->directory), "%s", pass->options->directory);
    EXPECT_EQ(segment_reserve(fresh, ring, RING * sizeof(struct journal_note)), STATUS_OK);
    EXPECT_EQ(store_attach(fresh, "reboot"), STATUS_OK);
    if (journal_recover(fresh, options.journal_bytes, why, sizeof(why)) != STATUS_OK)
        harness_fail(__FILE__, __LINE__, "the journal is not recovered: %s", why);
    EXPECT_CLEAN(fresh);
    state_describe(pass->rebooted, fresh, STATE_TIMES);
}

static void reboot(struct pass *pass)
{
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        recover_from_files(pass);
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    pass->reboots++;
}

/* What a survivor has, it has after a reboot as well. */
static void expect_reboot(struct pass *pass, const struct store *survivor)
{
    static struct state state;
    reboot(pass);
    state_describe(&state, survivor, STATE_TIMES);
    if (state_equal(&state, pass->rebooted))
        return;
    printf("a survivor had:\n%safter a reboot:\n%s", state.text, pass->rebooted->text);
    harness_fail(__FILE__, __LINE__, "what survived a death at step %lu did not survive a reboot",
                 pass->steps.count);
}

/* ---- a point ---- */

/* How many states there may have been up to now. */
static size_t states_so_far(const struct pass *pass)
{
    return pass->meanwhile + (pass->operation->kinds & CHANGES ? 2 : 1);
}

static void recover_state(struct pass *pass, struct store *survivor)
{
    static struct state state;
    size_t most = states_so_far(pass);
    EXPECT_EQ(store_attach(survivor, "survivor"), STATUS_OK);
    EXPECT_CLEAN(survivor);
    state_describe(&state, survivor, STATE_ALL);
    note_state(&pass->exact, most, &state, pass->steps.count, "in the segment");
    state_describe(&state, survivor, STATE_SESSIONS);
    note_state(&pass->plain, most, &state, pass->steps.count, "in the segment");
}

/* As who settles does where somebody leads, who has died: but at once, and not after a tenth of a second, as
 * after a real death. */
static void take_dead_lead(struct store *survivor)
{
    uint64_t *leader = &survivor->header->journal.leader;
    if (load64(leader) == 0)
        return;
    journal_stage_help(survivor);
    EXPECT(journal_take_role(survivor, leader, true));
    journal_follow(survivor);
}

static void recover(struct pass *pass, bool on_disk)
{
    struct store survivor = copy_restore(&pass->copy);
    unsigned kinds = pass->operation->kinds;
    alarm(STUCK_SECONDS);
    *pass->progress = (struct progress){pass->steps.count, pass->steps.at.place};
    if (on_disk) {
        /* What was not settled before is, after an operation that changes nothing else. */
        size_t most = states_so_far(pass) > 2 ? states_so_far(pass) : 2;
        reboot(pass);
        note_state(&pass->disk, most, pass->rebooted, pass->steps.count, "on disk");
    }
    store_wake(&survivor); /* as a parent does; real deaths show how long it takes without one */
    recover_state(pass, &survivor);
    expect_no_debt(&survivor, kinds & READER, pass->told, 1);
    work(&survivor);
    take_dead_lead(&survivor);
    EXPECT_EQ(store_settle(&survivor), STATUS_OK);
    EXPECT_CLEAN(&survivor);
    if (journal_is_on(&survivor) && (on_disk || kinds & CHECKPOINT || pass->points % REBOOT_EVERY == 0))
        expect_reboot(pass, &survivor);
    if (kinds & CHECKPOINT && (on_disk || pass->points % REBOOT_EVERY == 0)) {
        EXPECT_EQ(journal_checkpoint(&survivor, CHECKPOINT_BYTES), STATUS_OK);
        EXPECT_CLEAN(&survivor);
        expect_reboot(pass, &survivor);
    }
    store_detach(&survivor);
    reuse_slot(&survivor, pass->told->slot);
    expect_no_debt(&survivor, kinds & READER, pass->told, 0);
    if (kinds & READER)
        expect_pinned(&survivor, pass->told);
    copy_used(&pass->copy, &survivor);
    pass->points++;
    alarm(0);
}

/* While a checkpoint runs that holds neither lock nor lead, others bring mail and move it. */
static void do_meanwhile(struct pass *pass)
{
    const struct header *header = office->header;
    if (header->owner || header->journal.leader || !header->journal.checkpoint ||
        pass->meanwhile == MEANWHILE_MAX || pass->steps.count < (pass->meanwhile + 1) * MEANWHILE_EVERY)
        return;
    in_another_process(bring_mail, 0);
    pass->meanwhile++;
}

static void add_place(struct places *places, struct arrival arrival)
{
    if (places->count < KILLS_MAX)
        places->at[places->count++] = arrival;
}

/* Remembers what real deaths are for. */
static void follow_places(struct pass *pass, uint64_t *owner)
{
    uint64_t now = load64(&office->header->owner) & ~LOCK_WAITERS;
    if (now != *owner)
        add_place(&pass->locked, now ? pass->steps.at : pass->steps.before);
    pass->kill_is_due = pass->kill_is_due || pass->steps.count % KILL_EVERY == 0;
    if (pass->kill_is_due && pass->steps.at.number <= ARRIVALS_FEW) {
        add_place(&pass->sample, pass->steps.at);
        pass->kill_is_due = false;
    }
    *owner = now;
}

/* After the operation: what it has left is what the last survivor found. */
static void expect_end(struct pass *pass)
{
    static struct state state;
    EXPECT(pass->told->done);
    EXPECT(!(pass->operation->kinds & MEANWHILE) || pass->meanwhile > 0);
    (void)copy_follow(&pass->copy);
    EXPECT(copy_is_exact(&pass->copy));
    recover(pass, journal_is_on(office));
    EXPECT_EQ(pass->exact.count, states_so_far(pass));
    state_describe(&state, office, STATE_ALL);
    note_state(&pass->exact, pass->exact.count, &state, pass->steps.count, "at the end");
    if (journal_is_on(office)) {
        state_describe(&state, office, STATE_TIMES);
        note_state(&pass->disk, pass->disk.count, &state, pass->steps.count, "on disk at the end");
    }
}

static void step_through(struct pass *pass)
{
    uint64_t owner = load64(&office->header->owner) & ~LOCK_WAITERS;
    recover(pass, journal_is_on(office));
    bool goes_on = true;
    while (goes_on) {
        goes_on = steps_next(&pass->steps);
        if (pass->operation->kinds & MEANWHILE)
            do_meanwhile(pass);
        bool called = steps_is_system_call(pass->steps.before.place);
        bool changed = copy_follow(&pass->copy);
        bool on_disk = (called || changed) && copy_follow_files(&pass->copy);
        follow_places(pass, &owner);
        if (pass->steps.count % EXACT_EVERY == 0)
            EXPECT(copy_is_exact(&pass->copy));
        if (!changed && !on_disk)
            continue;
        copy_expect_reserved(&pass->copy);
        recover(pass, on_disk);
    }
    expect_end(pass);
    steps_kill(&pass->steps);
}

#endif
