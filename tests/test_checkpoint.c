/* test_checkpoint.c: a checkpoint that is written while the post office serves brings back what there was at
 * the end of it: between any two writes of the snapshot everything may happen. */
#include "clock.h"
#include "disk.h"
#include "message.h"
#include "scene.h"

#include <stdio.h>
#include <time.h>

enum { NAMES = 6, OUT_BYTES = 1 << 20 /* of one write */ };

static const struct store_options options = {.directory = "journal",
                                             .crypt_cost = 1,
                                             .journal_bytes = 8 << 20,
                                             .segment_bytes = 128 << 20,
                                             .accounts = 12,
                                             .slots = 4};
static const char *const names[NAMES] = {"ann", "ben", "cleo", "dan", "eve", "fay"};

static struct store *store;
static uint64_t random_state;
static size_t operations, meanwhile;

static unsigned pick(unsigned below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 20) % below;
}

/* Long enough, now and then, that the snapshot is written in many pieces. */
static enum status write_draft(void)
{
    static char body[400000];
    char subject[24];
    size_t length = pick(3) ? pick(300) : 100000 + pick(300000);
    memset(body, (int)('a' + pick(26)), length);
    snprintf(subject, sizeof(subject), "%zu", operations);
    struct letter letter = {"somebody", subject, body, pick(3) ? 8 : 0, strlen(subject), length};
    return draft_write(store, &letter);
}

/* Most succeed; one that has nothing to work on changes nothing. */
static void do_something(void)
{
    const char *name = names[pick(NAMES)];
    account_t account = scene_account(store, name);
    message_id id;
    enum status status = STATUS_OK;
    unsigned kind = pick(20);
    operations++;
    if (!account.index)
        status = scene_create(store, name, pick(2) ? "$y$some hash" : NULL);
    else if (kind == 0)
        status = scene_secret(store, name, NULL);
    else if (kind == 1)
        status = scene_secret(store, name, "$y$another hash");
    else if (kind < 4)
        status = mailbox_delete_first(store, account);
    else if (kind < 6)
        status = mailbox_delete(store, account, 1 + pick((unsigned)mailbox_newest(store, account) + 1));
    else if (kind < 11)
        status = queue_store(store, account, scene_account(store, names[pick(NAMES)]), &id);
    else if (write_draft() != STATUS_OK)
        status = STATUS_FULL_SEGMENT;
    else if (kind < 16)
        status = queue_push(store, account);
    else
        status = mailbox_append(store, account, &id);
    EXPECT(status == STATUS_OK || status == STATUS_NO_MESSAGE || status == STATUS_NOTHING_QUEUED ||
           status == STATUS_GONE);
    draft_drop(store);
    if (pick(6) == 0)
        EXPECT_EQ(store_settle(store), STATUS_OK);
}

/* The pins of this process are the checkpoint's: nothing that happens here may touch them. */
static void serve_meanwhile(void)
{
    if (disk_hook_file == store->header->journal.file || load64(&store->header->journal.leader) == store->me)
        return;
    for (unsigned count = 1 + pick(4); count > 0; count--, meanwhile++)
        do_something();
}

static void reboot(void)
{
    uint64_t digest = scene_digest(store);
    EXPECT_EQ(journal_flush(store, false), STATUS_OK);
    EXPECT_CLEAN(store);
    scene_close(store);
    store = attached_store(&options);
    EXPECT_CLEAN(store);
    EXPECT_EQ(scene_digest(store), digest);
}

static void a_checkpoint_that_serves_forgets_nothing(void)
{
    size_t rounds = getenv("SHMAIL_LONG") ? 2000 : 40;
    for (size_t round = 0; round < rounds; round++) {
        char directory[24];
        snprintf(directory, sizeof(directory), "%zu", round);
        EXPECT(mkdir(directory, 0700) == 0 && chdir(directory) == 0);
        random_state = round + 1;
        store = attached_store(&options);
        for (unsigned count = 20 + pick(40); count > 0; count--)
            do_something();
        for (int checkpoints = 0; checkpoints < 3; checkpoints++) {
            disk_hook = serve_meanwhile;
            EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
            disk_hook = NULL;
            if (pick(2))
                do_something();
            reboot();
        }
        scene_close(store);
        EXPECT_EQ(unlink("journal/journal.0"), 0);
        EXPECT_EQ(unlink("journal/journal.1"), 0);
        EXPECT_EQ(chdir(".."), 0);
    }
    harness_say("%zu checkpoints, %zu operations, %zu of them while one was written", 3 * rounds, operations,
                meanwhile);
}

static void remove_the_account(void)
{
    if (disk_hook_file == store->header->journal.file || load64(&store->header->journal.checkpoint) == 0)
        return;
    if (!scene_account(store, "ann").index)
        return;
    EXPECT_EQ(scene_secret(store, "ann", NULL), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    meanwhile++;
}

/* Its messages are more than one chunk, and more than one write takes. */
static void an_account_that_is_removed_while_its_mailbox_is_written_is_gone(void)
{
    static const char body[30000];
    message_id id;
    store = attached_store(&options);
    EXPECT_EQ(scene_create(store, "ann", NULL), STATUS_OK);
    EXPECT_EQ(scene_create(store, "ben", NULL), STATUS_OK);
    for (int i = 0; i < 2 * PINS_MAX; i++)
        EXPECT_EQ(deliver(store, scene_account(store, "ann"), "ben", "", body, sizeof(body), &id), STATUS_OK);
    EXPECT_EQ(deliver(store, scene_account(store, "ben"), "ann", "", "kept", 4, &id), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    disk_hook = remove_the_account;
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    disk_hook = NULL;
    EXPECT_EQ(meanwhile, 1);
    EXPECT_EQ(store->header->journal.file, 1);
    EXPECT(store->header->journal.end < (uint64_t)3 * OUT_BYTES); /* what is gone is not written */
    reboot();
    EXPECT(!scene_account(store, "ann").index);
    EXPECT_EQ(mailbox_count(store, scene_account(store, "ben")), 1);
}

static void move_the_name(void)
{
    message_id id;
    if (disk_hook_file == store->header->journal.file || load64(&store->header->journal.checkpoint) == 0 ||
        meanwhile > 0)
        return;
    EXPECT_EQ(scene_secret(store, "ann", NULL), STATUS_OK);
    EXPECT_EQ(scene_secret(store, "ben", NULL), STATUS_OK);
    EXPECT_EQ(scene_create(store, "ann", NULL), STATUS_OK);
    EXPECT_EQ(scene_account(store, "ann").index, 2); /* it was ben's */
    EXPECT_EQ(scene_secret(store, "ann", "$y$changed"), STATUS_OK);
    EXPECT_EQ(deliver(store, scene_account(store, "ann"), "cleo", "", "kept", 4, &id), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    meanwhile++;
}

/* Ann was written when it happens, and is not written again where her name is now. */
static void a_name_that_moves_while_a_checkpoint_is_written_is_in_one_place(void)
{
    static const char body[30000];
    message_id id;
    store = attached_store(&options);
    EXPECT_EQ(scene_create(store, "ann", NULL), STATUS_OK);
    EXPECT_EQ(scene_create(store, "ben", NULL), STATUS_OK);
    EXPECT_EQ(scene_create(store, "cleo", NULL), STATUS_OK);
    for (int i = 0; i < PINS_MAX; i++)
        EXPECT_EQ(deliver(store, scene_account(store, "ann"), "ben", "", body, sizeof(body), &id), STATUS_OK);
    EXPECT_EQ(deliver(store, scene_account(store, "ben"), "ann", "", "gone", 4, &id), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    disk_hook = move_the_name;
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    disk_hook = NULL;
    EXPECT_EQ(meanwhile, 1);
    reboot();
    EXPECT_EQ(mailbox_count(store, scene_account(store, "ann")), 1);
    EXPECT(!scene_account(store, "ben").index);
}

/* Each of its checkpoints makes the other file the active one. */
static void write_checkpoints(const struct store_options *named)
{
    store = attached_store(named);
    for (;;)
        EXPECT_EQ(journal_checkpoint(store, 1 << 16), STATUS_OK);
}

static void who_comes_while_files_change_places_finds_his_journal(void)
{
    enum { VISITS = 3000 };
    struct store_options named = options;
    named.name = harness_name();
    named.journal_bytes = 1 << 16;
    store = attached_store(&named);
    pid_t writer = fork();
    EXPECT(writer >= 0);
    if (writer == 0)
        write_checkpoints(&named);
    for (int visit = 0; visit < VISITS; visit++)
        scene_close(attached_store(&named));
    EXPECT_EQ(kill(writer, SIGKILL), 0);
    EXPECT_EQ(waitpid(writer, NULL, 0), writer);
    harness_say("%d visits in %ju generations", VISITS, (uintmax_t)store->header->journal.generation);
    EXPECT(store->header->journal.generation > 10);
}

/* ---- what those who commit wait for meanwhile ---- */

static const struct store_options wide_options = {.directory = "journal",
                                                  .crypt_cost = 1,
                                                  .journal_bytes = 24 << 20,
                                                  .segment_bytes = 128 << 20,
                                                  .accounts = 12,
                                                  .slots = 4};

static void send_a_megabyte(void)
{
    static char body[1 << 20];
    message_id id;
    memset(body, 'x', sizeof(body));
    EXPECT_EQ(deliver(store, scene_account(store, "ann"), "ben", "", body, sizeof(body), &id), STATUS_OK);
    EXPECT_EQ(journal_flush(store, false), STATUS_OK);
}

static void send_much_meanwhile(void)
{
    if (disk_hook_file != store->header->journal.file && meanwhile < 6 &&
        load64(&store->header->journal.leader) != store->me) {
        meanwhile++;
        send_a_megabyte();
    }
}

struct syncs {
    size_t most; /* bytes that one of a file brings to the disk */
    size_t last; /* of the new file, before the write that makes it the active one */
};

static struct syncs look_at_syncs(int file)
{
    struct syncs syncs = {0};
    size_t waiting = 0, brought = 0;
    for (const struct disk_event *event = disk->events; event < disk->events + disk->count; event++) {
        if (event->file != file)
            continue;
        if (event->kind == EVENT_WRITE && event->offset == 0)
            syncs.last = brought;
        if (event->kind == EVENT_WRITE)
            waiting += event->length;
        if (event->kind != EVENT_SYNC)
            continue;
        brought = waiting;
        if (syncs.most < waiting)
            syncs.most = waiting;
        waiting = 0;
    }
    return syncs;
}

/* Of a state, and of a log that comes meanwhile. */
static void no_sync_brings_much_to_the_disk_at_once(void)
{
    disk_start();
    store = attached_store(&wide_options);
    EXPECT_EQ(scene_create(store, "ann", NULL), STATUS_OK);
    EXPECT_EQ(look_at_syncs(0).most, JOURNAL_SYNC_STEP);
    for (int i = 0; i < 9; i++)
        send_a_megabyte();
    EXPECT_EQ(journal_checkpoint(store, wide_options.journal_bytes), STATUS_OK); /* both files grow */
    for (int file = 0; file < 2; file++) {
        disk->count = disk->used = 0;
        meanwhile = 0;
        disk_hook = send_much_meanwhile;
        EXPECT_EQ(journal_checkpoint(store, 4 << 20), STATUS_OK);
        disk_hook = NULL;
        EXPECT_EQ(meanwhile, 6);
        struct syncs syncs = look_at_syncs(file);
        EXPECT(syncs.most >= JOURNAL_SYNC_STEP && syncs.most < (size_t)2 * JOURNAL_SYNC_STEP);
        EXPECT(syncs.last <= OUT_BYTES);
    }
    reboot();
}

/* More than may be left at the end, and gone again. */
static void send_and_delete_a_megabyte(int fd)
{
    static char body[1300000];
    struct journal_segment *journal = &store->header->journal;
    message_id id = 0;
    if (fd != store->files[1 - (journal->file & 1)] || load64(&journal->leader) == store->me ||
        load64(&journal->checkpoint) == 0)
        return;
    meanwhile++;
    memset(body, 'x', sizeof(body));
    EXPECT_EQ(deliver(store, scene_account(store, "ann"), "ben", "", body, sizeof(body), &id), STATUS_OK);
    EXPECT_EQ(mailbox_delete(store, scene_account(store, "ann"), id), STATUS_OK);
    EXPECT_EQ(journal_flush(store, false), STATUS_OK);
}

static void where_more_comes_during_each_sync_it_ends_all_the_same(void)
{
    struct store_options large = wide_options;
    large.journal_bytes = 64 << 20;
    store = attached_store(&large);
    EXPECT_EQ(scene_create(store, "ann", NULL), STATUS_OK);
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    disk_flushed = send_and_delete_a_megabyte;
    EXPECT_EQ(journal_checkpoint(store, 4 << 20), STATUS_OK);
    disk_flushed = NULL;
    EXPECT(meanwhile >= 2);
    reboot();
}

static void expect_zeros_behind_the_tail(void)
{
    static char bytes[1 << 16], zeros[sizeof(bytes)];
    off_t at = (off_t)store->header->journal.tail;
    ssize_t got;
    for (; (got = pread(store->files[journal_active(store)], bytes, sizeof(bytes), at)) > 0; at += got)
        EXPECT_EQ(memcmp(bytes, zeros, (size_t)got), 0);
    EXPECT_EQ(got, 0);
    EXPECT(at >= 12 << 20);
}

/* What is left there of the log of before is room as it is, until the next start. */
static void a_file_that_has_been_written_is_not_filled_again(void)
{
    store = attached_store(&wide_options);
    EXPECT_EQ(scene_create(store, "ann", NULL), STATUS_OK);
    for (int i = 0; i < 9; i++) {
        send_a_megabyte();
        EXPECT_EQ(mailbox_delete_first(store, scene_account(store, "ann")), STATUS_OK);
    }
    EXPECT_EQ(journal_checkpoint(store, 12 << 20), STATUS_OK);
    disk_start();
    EXPECT_EQ(journal_checkpoint(store, 12 << 20), STATUS_OK);
    size_t written = 0;
    for (const struct disk_event *event = disk->events; event < disk->events + disk->count; event++)
        written += event->length;
    EXPECT(written < (size_t)4 * JOURNAL_HEADER_SIZE);
    EXPECT(store->header->journal.capacity >= 12 << 20);
    EXPECT_EQ(scene_send(store, "ann", "short", 40), STATUS_OK);
    reboot();
    expect_zeros_behind_the_tail();
}

/* What is in the file before it is written cannot be of its epoch then, whoever has made it up. */
static void nobody_can_know_its_epoch(void)
{
    const uint64_t far = UINT64_C(1) << 32;
    store = attached_store(&options);
    EXPECT_EQ(scene_create(store, "ann", NULL), STATUS_OK);
    for (int i = 0; i < 3; i++) {
        uint64_t before = store->header->journal.epoch;
        EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
        uint64_t step = store->header->journal.epoch - before;
        EXPECT(step > far && step < -far);
        EXPECT_EQ(scene_send(store, "ann", "later", 40), STATUS_OK);
        reboot();
    }
}

/* ---- between the copy of the log and the new header ---- */

static bool is_before_the_new_header(void)
{
    return disk_hook_file != store->header->journal.file && disk_hook_offset == 0 &&
           load64(&store->header->journal.leader) == store->me && load32(&store->header->journal.doubtful);
}

static void send_while_there_is_room(void)
{
    message_id id;
    if (!is_before_the_new_header() || meanwhile > 0)
        return;
    while (deliver(store, scene_account(store, "ann"), "ben", "", "more", 4, &id) == STATUS_OK)
        meanwhile++;
    draft_drop(store);
}

/* The old file may have much more of it than the new one. */
static void what_comes_at_the_last_moment_has_room_in_the_new_file_as_well(void)
{
    struct store_options large = options;
    struct journal_segment *journal;
    large.journal_bytes = 1 << 20;
    store = attached_store(&large);
    journal = &store->header->journal;
    EXPECT_EQ(scene_create(store, "ann", NULL), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    disk_hook = send_while_there_is_room;
    EXPECT_EQ(journal_checkpoint(store, 256 << 10), STATUS_OK);
    disk_hook = NULL;
    EXPECT(meanwhile > 0);
    EXPECT_EQ(journal->file, 1);
    EXPECT(journal->end <= journal->capacity);
    EXPECT_EQ(mailbox_count(store, scene_account(store, "ann")), meanwhile);
    reboot();
}

static void crash(void)
{
    if (load64(&store->header->journal.checkpoint) != 0 && meanwhile == 0) {
        store_suspect(store);
        meanwhile++;
    }
}

static void one_in_which_somebody_crashes_does_not_count(void)
{
    struct store_options large = options;
    large.journal_bytes = 1 << 20;
    store = attached_store(&large);
    EXPECT_EQ(scene_create(store, "ann", NULL), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    uint64_t capacity = store->header->journal.capacity;
    disk_hook = crash;
    EXPECT_EQ(journal_checkpoint(store, 256 << 10), STATUS_DAMAGED);
    disk_hook = NULL;
    EXPECT_EQ(meanwhile, 1);
    EXPECT_EQ(store->header->journal.file, 0);
    EXPECT_EQ(store->header->journal.capacity, capacity);
    EXPECT_EQ(store_acquit(store, NULL, NULL), STATUS_OK);
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    EXPECT_EQ(store->header->journal.file, 1);
    reboot();
}

enum { SHORT_QUEUE = 64000, LONG_QUEUE = 256000, GROWTH_MOST = 2 };

static void queue_up(account_t account, size_t count)
{
    const struct letter letter = {"ann", "", "hello", 3, 0, 5};
    for (size_t i = 0; i < count; i++) {
        EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
        EXPECT_EQ(queue_push(store, account), STATUS_OK);
    }
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

/* Of the whole process, for each of so many queued messages, in nanoseconds. */
static int64_t time_checkpoint(size_t queued, size_t journal_bytes)
{
    struct timespec before, after;
    EXPECT_EQ(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before), 0);
    EXPECT_EQ(journal_checkpoint(store, journal_bytes), STATUS_OK);
    EXPECT_EQ(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after), 0);
    EXPECT_EQ(message_pins(store), 0);
    int64_t seconds = after.tv_sec - before.tv_sec;
    return (seconds * NANOSECONDS_PER_SECOND + after.tv_nsec - before.tv_nsec) / (int64_t)queued;
}

/* It lists a queue by chunks, each under the lock. */
static void a_message_costs_no_more_in_a_long_queue_than_in_a_short_one(void)
{
    struct store_options large = options;
    large.journal_bytes = 64 << 20;
    large.sync = STORE_SYNC_NEVER;
    store = attached_store(&large);
    EXPECT_EQ(scene_create(store, "ann", NULL), STATUS_OK);
    account_t ann = scene_account(store, "ann");
    queue_up(ann, SHORT_QUEUE);
    int64_t of_short = time_checkpoint(SHORT_QUEUE, large.journal_bytes);
    for (int queued = SHORT_QUEUE; queued < LONG_QUEUE; queued += SHORT_QUEUE) {
        queue_up(ann, SHORT_QUEUE);
        EXPECT_EQ(journal_checkpoint(store, large.journal_bytes), STATUS_OK); /* which makes room */
    }
    int64_t of_long = time_checkpoint(LONG_QUEUE, large.journal_bytes);
    harness_say("%lld ns a message of %d, %lld ns of %d", (long long)of_short, SHORT_QUEUE,
                (long long)of_long, LONG_QUEUE);
    EXPECT(of_long < GROWTH_MOST * of_short);
    reboot();
}

static size_t list_below(account_t account, uint64_t below, struct message messages[static 5])
{
    size_t count;
    EXPECT_EQ(queue_list_below(store, account, below, messages, 5, &count), STATUS_OK);
    return count;
}

/* Of nine the five newest are listed, the last of which, 5, stays pinned, and so many are taken. */
static account_t begin_to_list(const char *name, int taken)
{
    struct message messages[5];
    message_id id;
    EXPECT_EQ(scene_create(store, name, NULL), STATUS_OK);
    account_t account = scene_account(store, name);
    queue_up(account, 9);
    EXPECT_EQ(list_below(account, UINT64_MAX, messages), 5);
    message_release_but_last(store);
    EXPECT_EQ(message_pins(store), 1);
    for (int i = 0; i < taken; i++)
        EXPECT_EQ(queue_store(store, account, account, &id), STATUS_OK);
    return account;
}

static void a_queue_that_shrinks_while_it_is_listed_is_listed_on(void)
{
    struct message messages[5];
    message_id id;
    store = attached_store(&options);
    account_t ann = begin_to_list("ann", 4);
    EXPECT_EQ(scene_create(store, "cleo", NULL), STATUS_OK);
    account_t cleo = scene_account(store, "cleo");
    queue_up(cleo, 9);
    EXPECT_EQ(queue_store(store, cleo, cleo, &id), STATUS_OK);
    EXPECT_EQ(list_below(cleo, 5, messages), 4); /* of its own, whatever of another's is pinned */
    EXPECT_EQ(((const struct message_record *)at(store, messages[0].reference))->owner, cleo.index);
    for (int i = 0; i < 4; i++)
        message_release(store, &messages[i]);
    EXPECT_EQ(message_pins(store), 1);
    EXPECT_EQ(list_below(ann, 5, messages), 4);
    EXPECT_EQ(messages[0].id, 4);
    EXPECT_EQ(messages[3].id, 1);
    message_release_all(store);
    /* The pinned one is number 5 of the mailbox now, and what lay behind it in the queue is another. */
    account_t ben = begin_to_list("ben", 6);
    EXPECT_EQ(mailbox_delete(store, ben, 6), STATUS_OK);
    queue_up(ben, 1);
    EXPECT_EQ(list_below(ben, 5, messages), 3);
    EXPECT_EQ(messages[0].id, 3);
    EXPECT_EQ(messages[2].id, 1);
    message_release_all(store);
    reboot();
}

static const struct harness_test tests[] = {
    {"a checkpoint that is written while the post office serves forgets nothing",
     a_checkpoint_that_serves_forgets_nothing, 600},
    {"an account that is removed while its mailbox is written is gone",
     an_account_that_is_removed_while_its_mailbox_is_written_is_gone},
    {"a message costs no more in a long queue than in a short one",
     a_message_costs_no_more_in_a_long_queue_than_in_a_short_one, 120},
    {"a queue that shrinks while it is listed is listed on",
     a_queue_that_shrinks_while_it_is_listed_is_listed_on},
    {"a name that moves while a checkpoint is written is in one place",
     a_name_that_moves_while_a_checkpoint_is_written_is_in_one_place},
    {"who comes while files change places finds his journal",
     who_comes_while_files_change_places_finds_his_journal},
    {"what comes at the last moment has room in the new file as well",
     what_comes_at_the_last_moment_has_room_in_the_new_file_as_well},
    {"one in which somebody crashes does not count", one_in_which_somebody_crashes_does_not_count},
    {"no sync brings much to the disk at once", no_sync_brings_much_to_the_disk_at_once},
    {"where more comes during each sync it ends all the same",
     where_more_comes_during_each_sync_it_ends_all_the_same},
    {"a file that has been written is not filled again", a_file_that_has_been_written_is_not_filled_again},
    {"nobody can know its epoch", nobody_can_know_its_epoch},
};

HARNESS_MAIN(tests)
