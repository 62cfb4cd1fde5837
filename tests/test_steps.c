/* test_steps.c: a process may die at every instruction of every operation of the store: what was acknowledged
 * stays, what was not is whole or absent, nothing leaks, and who waits for the lock has it within a second.
 *
 * Each operation is gone through once, step by step (steps_pass.h); then a sample of its steps is a real
 * death with another process waiting (steps_death.h). SHMAIL_STEPS_ALL=1 goes through the C library too,
 * kills at every 97th step and at each first and last one under the lock, and does everything with a journal
 * as well. */
#include "steps_death.h"
#include "steps_pass.h"

#include <fcntl.h>

enum {
    JOURNAL_BYTES = 256 << 10,
    LONG_ONLY = 3,     /* tests at the end of the table */
    LIMIT_SHORT = 280, /* seconds a test may take */
    LIMIT_LONG = 7200,
};

static const struct store_options plain = {
    .crypt_cost = 1, .accounts = 32, .slots = 4, .segment_bytes = (uint64_t)COPY_UNITS * PAGE};

static bool all_is_asked_for(void)
{
    const char *all = getenv("SHMAIL_STEPS_ALL");
    return all && strcmp(all, "1") == 0;
}

static void go_through(const struct operation *operation, const struct store_options *options,
                       struct progress *progress)
{
    struct pass *pass = calloc(1, sizeof(*pass));
    struct deaths *deaths = shared(sizeof(*deaths));
    struct store_options own = *options;
    EXPECT(pass != NULL);
    if (operation->kinds & ONE_SLOT)
        own.slots = 1;
    pass->operation = operation;
    pass->options = &own;
    pass->all = all_is_asked_for();
    pass->told = shared(sizeof(struct told));
    pass->progress = progress;
    pass->rebooted = shared(sizeof(struct state));
    fill_long_body();
    office = open_store(&own);
    if (!(operation->kinds & EMPTY))
        in_another_process(make_post_office, 0);
    copy_open(&pass->copy, office);
    if (operation->kinds & READER)
        start_reader(pass->told, &pass->copy);
    steps_begin(&pass->steps, fork_victim(operation, pass->told), pass->all, pass->arrivals);
    copy_refresh(&pass->copy);
    step_through(pass);
    if (!(operation->kinds & (ONE_SLOT | MEANWHILE))) /* no room for one who waits; not the same again */
        kill_sample(pass, deaths);
    harness_say(
        "%s%s: %lu steps, %lu points, %lu recovered (100 %%), %lu reboots; %lu killed, takeover at most %.1f ms",
        operation->name, options->directory ? ", journal" : "", pass->steps.count, pass->points, pass->points,
        pass->reboots, deaths->count, (double)deaths->slowest / 1000000);
    free(pass);
}

/* Each in a process of its own, with a directory of its own where there is a journal. */
static void go_through_all(const struct operation *operations, size_t count, const char *directory)
{
    const char *obstacle = steps_obstacle();
    if (obstacle)
        harness_skip(obstacle);
    for (size_t i = 0; i < count; i++) {
        struct progress *progress = shared(sizeof(*progress));
        struct store_options options = plain;
        char own[64];
        int status;
        if (directory && operations[i].kinds & UNRECORDED)
            continue;
        snprintf(own, sizeof(own), "%s-%zu", directory ? directory : "", i);
        options.directory = directory ? own : NULL;
        options.journal_bytes = JOURNAL_BYTES;
        pid_t pid = fork();
        EXPECT(pid >= 0);
        if (pid == 0) {
            go_through(&operations[i], &options, progress);
            _exit(0);
        }
        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        if (status == 0)
            continue;
        printf("%s, the last point was after step %lu\n", operations[i].name, progress->step);
        steps_print_place("before", progress->place);
        harness_fail(__FILE__, __LINE__, "%s: wait status %#x", operations[i].name, status);
    }
}

#define GO_THROUGH(operations, directory) \
    go_through_all(operations, sizeof(operations) / sizeof(operations)[0], directory)

static const struct operation account_operations[] = {
    {"account_create", NULL, create, CHANGES},
    {"account_create of the first one", NULL, create, CHANGES | EMPTY},
    {"account_login in place of an older session", read_secret, login, CHANGES},
    {"throttle_login and throttle_end", NULL, try_and_fail, 0},
    {"throttle_end after a success", begin_attempt, succeed, 0},
    {"cookie_verify", verify_new_cookie, verify_again, 0},
    {"cookie_end", verify_new_cookie, end_session, CHANGES},
    {"account_change_hash", read_secret, change_hash, CHANGES},
    {"account_remove with mail, queue and session", read_secret_of_bob, remove_account, CHANGES},
    {"account_enter", enter_alice, enter_bob, 0},
    {"account_leave", enter_alice, leave, 0},
    {"password_hash", NULL, make_hash, 0},
    {"password_matches", hash_secret, check_password, 0},
    {"account_find, account_name and account_each", NULL, look_up, 0},
};

static const struct operation mail_operations[] = {
    {"draft_write, one block", write_big, write_small, 0},
    {"draft_write, three blocks", write_small, write_big, 0},
    {"draft_write, several transactions", NULL, write_long, 0},
    {"draft_drop, several transactions", write_long, drop, 0},
    {"mailbox_append, one block", write_small, append_draft, CHANGES},
    {"mailbox_append with a block for the next", write_small_again, append_draft, CHANGES},
    {"mailbox_append with the rest of a page for the next", write_small_on_and_on, append_draft, CHANGES},
    {"mailbox_append with the next block of a page", write_small_of_a_run, append_draft, CHANGES},
    {"draft_drop with the rest of a page", write_small_of_a_run, drop, 0},
    {"mailbox_append_drafts", write_several, append_several, CHANGES},
    {"mailbox_append_drafts, the index grows", write_several_past_a_leaf, append_several, CHANGES},
    {"draft_drop_first", write_several, drop_first, 0},
    {"mailbox_append, three blocks", write_big, append_draft, CHANGES},
    {"mailbox_append, the index grows", fill_leaf, append_draft, CHANGES},
    {"mailbox_append, somebody waits", be_waited_for, append_draft, CHANGES},
    {"mailbox_wait", NULL, wait_in_vain, 0},
    {"queue_push", write_small, push_draft, CHANGES},
    {"queue_store", NULL, store_queued, CHANGES},
    {"queue_list and message_release_all", NULL, list_queue, 0},
    {"mailbox_first and message_release", NULL, read_first, 0},
    {"mailbox_list and message_release_all", NULL, list_all, 0},
    {"mailbox_delete, one block", NULL, delete_first, CHANGES},
    {"mailbox_delete, three blocks", NULL, delete_big, CHANGES},
    {"mailbox_delete and message_release", pin_big, delete_pinned, CHANGES},
    {"mailbox_delete while another process reads", NULL, delete_big, CHANGES | READER},
    {"mailbox_delete, the index shrinks", fill_two_leaves, delete_last, CHANGES},
};

static const struct operation process_operations[] = {
    {"store_attach", NULL, attach, UNATTACHED},
    {"store_attach, reclaiming", leave_debts, attach, UNATTACHED},
    {"store_attach in a dead one's slot", leave_debts, attach, UNATTACHED | ONE_SLOT},
    {"store_attach in the slot of a dead owner", leave_slot_with_lock, attach,
     UNATTACHED | ONE_SLOT | UNRECORDED},
    {"store_detach with debts", owe, detach, 0},
    {"store_reclaim", leave_debts, reclaim, 0},
    {"store_check", NULL, check, 0},
    {"mailbox_append with a dead owner's lock", leave_lock, append_draft, CHANGES | UNRECORDED},
};

static const struct operation journal_operations[] = {
    {"account_create", NULL, create, CHANGES},
    {"account_change_hash", read_secret, change_hash, CHANGES},
    {"account_remove with mail, queue and session", read_secret_of_bob, remove_account, CHANGES},
    {"mailbox_append, one block", write_small, append_draft, CHANGES},
    {"mailbox_append, three blocks", write_big, append_draft, CHANGES},
    {"queue_push", write_small, push_draft, CHANGES},
    {"queue_store", NULL, store_queued, CHANGES},
    {"mailbox_delete, three blocks", NULL, delete_big, CHANGES},
    {"mailbox_delete and message_release", pin_big, delete_pinned, CHANGES},
    {"store_settle of several records", note_several, settle, 0},
    {"store_settle past the page cache", note_past_the_cache, settle, 0},
    {"store_settle of a whole block past the page cache", note_a_block_past_the_cache, settle, CHECKPOINT},
    {"journal_stage_help and store_settle", leave_something_to_build, build_and_settle, 0},
    {"store_settle after a dead leader", leave_leader, append_draft, CHANGES},
    {"store_detach with debts", owe, detach, 0},
    {"a checkpoint", NULL, checkpoint, CHECKPOINT},
    {"a checkpoint with records to write", note_several, checkpoint, CHECKPOINT},
    {"a second checkpoint", checkpoint, checkpoint, CHECKPOINT},
    {"a checkpoint while mail comes and goes", NULL, checkpoint, CHECKPOINT | MEANWHILE},
};

/* ---- reading the journal at a start ---- */

static void in_new_segment(const struct store_options *options, void (*run)(void))
{
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        office = open_store(options);
        attach();
        run();
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
}

/* The bytes of a group that was never written in whole. */
static void tear(void)
{
    const struct journal_segment *journal = &office->header->journal;
    EXPECT_EQ(pwrite(office->files[journal->file], long_body, 1000, (off_t)journal->tail), 1000);
}

static pid_t fork_opener(const struct store_options *options)
{
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        steps_mark_start();
        (void)open_store(options);
        steps_mark_end();
        _exit(0);
    }
    return pid;
}

/* The segment that is followed is nobody's: what matters are the files, which change in system calls only. */
static void open_through(const char *what, const struct store_options *options)
{
    struct pass *pass = calloc(1, sizeof(*pass));
    char path[64];
    EXPECT(pass != NULL);
    pass->options = options;
    pass->rebooted = shared(sizeof(struct state));
    office = open_store(&plain);
    office->header->journal.on = 1;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/journal.%d", options->directory, i);
        office->files[i] = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
        EXPECT(office->files[i] >= 0);
    }
    copy_open(&pass->copy, office);
    copy_refresh(&pass->copy);
    steps_begin(&pass->steps, fork_opener(options), all_is_asked_for(), NULL);
    for (bool goes_on = true; goes_on; goes_on = steps_resume(&pass->steps, PTRACE_SYSCALL)) {
        bool is_first = pass->steps.count++ == 0;
        if (!copy_follow_files(&pass->copy) && !is_first)
            continue;
        (void)copy_restore(&pass->copy);
        reboot(pass);
        note_state(&pass->disk, 1, pass->rebooted, pass->steps.count, "on disk");
    }
    steps_kill(&pass->steps);
    harness_say("store_open, %s: %lu system calls, %lu points, %lu recovered (100 %%)", what,
                pass->steps.count / 2, pass->reboots, pass->reboots);
    free(pass);
}

static void accounts_survive(void)
{
    GO_THROUGH(account_operations, NULL);
}

static void mail_survives(void)
{
    GO_THROUGH(mail_operations, NULL);
}

static void slots_survive(void)
{
    GO_THROUGH(process_operations, NULL);
}

static void the_journal_survives(void)
{
    GO_THROUGH(journal_operations, "journal");
}

static void accounts_survive_with_a_journal(void)
{
    GO_THROUGH(account_operations, "accounts");
}

static void mail_survives_with_a_journal(void)
{
    GO_THROUGH(mail_operations, "mail");
}

static void slots_survive_with_a_journal(void)
{
    GO_THROUGH(process_operations, "slots");
}

static void a_start_survives(void)
{
    const char *obstacle = steps_obstacle();
    struct store_options options = plain;
    if (obstacle)
        harness_skip(obstacle);
    fill_long_body();
    options.journal_bytes = JOURNAL_BYTES;
    options.directory = "new";
    EXPECT_EQ(mkdir(options.directory, 0700), 0);
    open_through("a new journal", &options);
    options.directory = "old";
    in_new_segment(&options, make_post_office);
    open_through("a journal with records", &options);
    options.directory = "torn";
    in_new_segment(&options, make_post_office);
    in_new_segment(&options, tear);
    open_through("a journal with a torn end", &options);
    options.directory = "checkpointed";
    in_new_segment(&options, make_post_office);
    in_new_segment(&options, checkpoint);
    open_through("a checkpoint", &options);
}

static struct harness_test tests[] = {
    {"accounts and sessions survive a death at every instruction", accounts_survive},
    {"mailboxes survive a death at every instruction", mail_survives},
    {"slots and locks survive a death at every instruction", slots_survive},
    {"the journal survives a death at every instruction", the_journal_survives},
    {"a journal survives a death at every system call of a start with it", a_start_survives},
    /* The long form goes on. */
    {"accounts survive with a journal as well", accounts_survive_with_a_journal},
    {"mailboxes survive with a journal as well", mail_survives_with_a_journal},
    {"slots survive with a journal as well", slots_survive_with_a_journal},
};

int main(int argc, char **argv)
{
    size_t count = sizeof(tests) / sizeof(tests[0]) - (all_is_asked_for() ? 0 : LONG_ONLY);
    for (size_t i = 0; i < count; i++)
        tests[i].limit = all_is_asked_for() ? LIMIT_LONG : LIMIT_SHORT;
    return harness_main(argc, argv, tests, count);
}
