/* test_journal_stale.c: bytes that look like records but are none, or are no longer, are never taken for
 * records; and a recovery that is killed and done again comes to the same. */
#include "journal_bytes.h"

#include "clock.h"

static size_t tried;

static void put_all(void)
{
    for (int file = 0; file < 2; file++)
        trial_put(file, journal.bytes[file], journal.size[file]);
}

/* A fresh one for the next journal. */
static void enter_directory(size_t number)
{
    char name[16];
    snprintf(name, sizeof(name), "%zu", number);
    EXPECT(mkdir(name, 0700) == 0 && chdir(name) == 0);
    memset(&journal.scene, 0, sizeof(journal.scene));
}

static void leave_directory(void)
{
    disk_memory[0] = disk_memory[1] = -1;
    EXPECT_EQ(chdir(".."), 0);
}

/* Recovers the trial twice: the same both times, and behind the end there are zeros only. */
static void expect_after_recovery(uint64_t sequence, const char *what)
{
    struct journal_record record = {.magic = RECORD_MAGIC};
    struct recovered recovered = scene_recover("trial");
    expect_recovered(&journal.scene, &recovered, sequence, sequence, what);
    size_t end = JOURNAL_HEADER_SIZE;
    while (memcpy(&record, trial_bytes[journal.active] + end, sizeof(record)), record.magic == RECORD_MAGIC)
        end += journal_size(&record);
    for (size_t i = end; i < journal.size[journal.active]; i++)
        if (trial_bytes[journal.active][i])
            harness_fail(__FILE__, __LINE__, "%s: byte %zu behind the end is not zero", what, i);
    recovered = scene_recover("trial");
    EXPECT_EQ(recovered.sequence, sequence + 1);
    EXPECT_EQ(recovered.digest, journal.scene.digests[sequence]);
    tried++;
}

/* ---- behind the end ---- */

struct forged {
    const char *name;
    uint64_t epoch, sequence, synced;
    uint16_t flags;
};

static size_t forge(const struct forged *forged, unsigned char *bytes)
{
    static const char texts[8] = "x\0forged";
    struct journal_record record = {.type = RECORD_MESSAGE,
                                    .flags = forged->flags,
                                    .account = 1,
                                    .id = 1000,
                                    .received = 1,
                                    .sender_length = 1,
                                    .body_length = 7,
                                    .epoch = forged->epoch,
                                    .sequence = forged->sequence,
                                    .synced = forged->synced};
    seal(&record, texts);
    memcpy(bytes, &record, sizeof(record));
    memcpy(bytes + sizeof(record), texts, sizeof(texts));
    return sizeof(record) + sizeof(texts);
}

static void a_stale_tail_is_no_record(void)
{
    make_epochs();
    trial_begin();
    uint64_t last = journal_last();
    uint64_t first_epoch = journal.header.epoch;
    const struct forged tails[] = {
        {"an older epoch's next record", first_epoch, last + 1, last, 0},
        {"an older epoch's claim", first_epoch, last + 9, UINT64_MAX, 0},
        {"a middle epoch's claim", first_epoch + 1, last + 9, last + 5, 0},
        {"a later epoch's next record", journal.epoch + 1, last + 1, last, 0},
        {"another journal's claim", ~journal.epoch, last + 1, UINT64_MAX, 0},
        {"a gap", journal.epoch, last + 2, last, 0},
        {"a repetition", journal.epoch, last, last - 1, 0},
        {"a piece of a snapshot", journal.epoch, last + 1, UINT64_MAX, RECORD_SNAPSHOT},
    };
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        for (size_t behind = 0; behind < 160; behind += 8) {
            put_all();
            forge(&tails[i], trial_bytes[journal.active] + journal.end + behind);
            expect_after_recovery(last, tails[i].name);
        }
    }
    for (size_t i = 0; i < journal.count; i++) {
        put_all();
        memcpy(trial_bytes[journal.active] + journal.end,
               journal.bytes[journal.active] + journal.places[i].offset,
               journal.end - journal.places[i].offset);
        expect_after_recovery(last, "a copy of older records");
    }
    harness_say("%zu stale tails tried", tried);
}

/* A deletion takes as many bytes as the record that begins an epoch: where that goes in its place, what
 * follows it would be the next one in sequence. */
static void what_was_torn_off_does_not_come_back(void)
{
    begin_journal();
    do_and_settle(0, 5);
    EXPECT_EQ(mailbox_delete(store, scene_account(store, "bob"), 1), STATUS_OK);
    scene_note(&journal.scene, store);
    for (int which = 15; which < 18; which++) {
        EXPECT_EQ(scene_send(store, "bob", "torn", (size_t)which), STATUS_OK);
        scene_note(&journal.scene, store);
    }
    EXPECT_EQ(journal_flush(store, false), STATUS_OK);
    uint64_t kept = journal.scene.acknowledged;
    end_journal();
    trial_begin();
    put_all();
    EXPECT_EQ(journal.places[kept].record.type, RECORD_DELETE);
    trial_bytes[journal.active][journal.places[kept].offset] ^= 1;
    expect_after_recovery(kept, "a torn group");
    struct store_options options = scene_options;
    options.directory = "trial";
    store = attached_store(&options);
    EXPECT_EQ(scene_send(store, "bob", "new", 15), STATUS_OK);
    uint64_t digest = scene_digest(store);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    scene_close(store);
    EXPECT_EQ(scene_recover("trial").digest, digest);
}

/* ---- in a message ---- */

static size_t make_body(size_t pad, char *body)
{
    uint64_t last = store->header->journal.assigned;
    uint64_t epoch = store->header->journal.epoch;
    const struct forged records[] = {
        {"", epoch - 1, last + 1, UINT64_MAX, 0},
        {"", epoch ^ 1 << 30, last + 1, UINT64_MAX, 0},
        {"", epoch, last + 1, last, 0},
        {"", epoch, last + 2, last, 0},
    };
    size_t length = pad;
    memset(body, 'x', pad);
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
        length += forge(&records[i], (unsigned char *)body + length);
    static unsigned char file[BYTES_MAX];
    EXPECT(read_file("journal", 0, file) > JOURNAL_HEADER_SIZE);
    size_t log = store->header->journal.tail - JOURNAL_HEADER_SIZE;
    memcpy(body + length, file + JOURNAL_HEADER_SIZE, log);
    return length + log;
}

static void try_mailed(void *context, size_t index, const char *directory)
{
    const struct place *place = context;
    char what[64];
    struct damage damage = {
        .file = journal.active, .offset = place->offset + index * 17, .cut = index % 2 != 0};
    damage.length = place->size - index * 17 < 512 ? place->size - index * 17 : 512;
    struct recovered recovered = try_damage(&damage, directory);
    snprintf(what, sizeof(what), "a mailed journal, %s at %zu", damage.cut ? "cut" : "zeros", index * 17);
    expect_recovered(&journal.scene, &recovered, place->record.sequence - 1, place->record.sequence - 1,
                     what);
}

/* Somebody sends a copy of the journal itself, and forged records, at every alignment; then its record is
 * torn, or damaged after the next one has said that it was on disk. */
static void a_message_is_never_taken_for_records(void)
{
    static char body[16 << 10];
    message_id id = 0;
    for (size_t pad = 0; pad < 8; pad++) {
        enter_directory(pad);
        begin_journal();
        do_and_settle(0, 9);
        size_t length = make_body(pad, body);
        EXPECT_EQ(deliver(store, scene_account(store, "bob"), "alice", "journal", body, length, &id),
                  STATUS_OK);
        scene_note(&journal.scene, store);
        scene_settle(&journal.scene, store);
        end_journal();
        struct place *place = &journal.places[journal.count - 1];
        size_t count = place->size / 17;
        try_all(count, try_mailed, place);
        tried += count;
        store = attached_store(&scene_options);
        EXPECT_EQ(mailbox_delete(store, scene_account(store, "bob"), id), STATUS_OK);
        EXPECT_EQ(store_settle(store), STATUS_OK);
        scene_close(store);
        journal_load("journal");
        trial_begin();
        put_all();
        trial_bytes[journal.active][place->offset + 100] ^= 4;
        struct recovered recovered = scene_recover("trial");
        char offset[32];
        snprintf(offset, sizeof(offset), "offset %zu:", place->offset);
        EXPECT(recovered.status == STATUS_MISMATCH && strstr(recovered.why, offset));
        leave_directory();
    }
    harness_say("%zu torn messages tried that hold records", tried);
}

/* Who has seen the journal sends records that say all that one can say, and deletes them: when the file is
 * used again they lie behind its log. */
static void what_comes_to_lie_behind_a_log_is_no_record_whoever_made_it(void)
{
    static char body[16 << 10];
    size_t length = 0, left = 0;
    message_id id = 0;
    begin_journal();
    do_and_settle(0, 9);
    for (uint64_t later = 0; later < 100; later++) {
        const struct forged forged = {"", store->header->journal.epoch + later / 25,
                                      journal.scene.last + later % 25, UINT64_MAX, 0};
        length += forge(&forged, (unsigned char *)body + length);
    }
    EXPECT_EQ(deliver(store, scene_account(store, "bob"), "alice", "123", body, length, &id), /* at 88 */
              STATUS_OK);
    scene_note(&journal.scene, store);
    EXPECT_EQ(mailbox_delete(store, scene_account(store, "bob"), id), STATUS_OK);
    scene_note(&journal.scene, store);
    for (int checkpoints = 0; checkpoints < 2; checkpoints++)
        EXPECT_EQ(journal_checkpoint(store, scene_options.journal_bytes), STATUS_OK);
    do_and_settle(11, 12);
    end_journal();
    for (size_t i = journal.end; i < journal.size[journal.active]; i++)
        left += memcmp(journal.bytes[journal.active] + i, "forged", 6) == 0;
    EXPECT(left > 80);
    trial_begin();
    put_all();
    expect_after_recovery(journal_last(), "what was made up");
}

/* ---- killed ---- */

static uint64_t kept;

/* The last record is torn, and there is something stale behind it. */
static void tear(void)
{
    const struct place *last = &journal.places[journal.count - 1];
    put_all();
    memset(trial_bytes[journal.active] + last->offset + last->size / 2, 0xa5, 3000);
    kept = last->record.sequence - 1;
}

/* In a child that dies at that write or sync; false: it came to its end. */
static bool recover_and_die(uint64_t at, int how)
{
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        fault.kinds = CALL_WRITE | CALL_SYNC;
        fault.at = at;
        fault.error = how;
        struct recovered recovered = scene_recover("trial");
        _exit(recovered.status == STATUS_OK ? 0 : 1);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    return status != 0;
}

static void expect_the_same(const char *what)
{
    struct recovered recovered = scene_recover("trial");
    EXPECT_EQ(recovered.status, STATUS_OK);
    if (recovered.digest != journal.scene.digests[kept])
        harness_fail(__FILE__, __LINE__, "%s: what is recovered is another state", what);
    tried++;
}

static void a_recovery_killed_at_any_write_is_done_again(void)
{
    static const int ways[] = {DISK_DIES, DISK_DIES_HALF_WAY};
    for (size_t kind = 0; kind < JOURNAL_KINDS; kind++) {
        enter_directory(kind);
        journal_kinds[kind]();
        trial_begin();
        for (size_t way = 0; way < 2; way++) {
            bool died = true;
            for (uint64_t at = 1; died; at++) {
                tear();
                died = recover_and_die(at, ways[way]);
                recover_and_die(at + 1, ways[1 - way]);
                expect_the_same("killed at a write");
            }
        }
        leave_directory();
    }
    harness_say("%zu recoveries killed at a write or a sync", tried);
}

static pid_t start_named(void)
{
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid > 0)
        return pid;
    struct store_options options = scene_options;
    options.directory = "trial";
    options.name = harness_name();
    store = attached_store(&options);
    EXPECT_EQ(scene_digest(store), journal.scene.digests[kept]);
    EXPECT_CLEAN(store);
    store_detach(store);
    _exit(0);
}

/* With a segment that has a name: the killed process leaves it unfinished, or finished and without anybody.
 */
static void a_recovery_killed_at_any_time_is_done_again(void)
{
    char why[256];
    int status;
    unsigned random = 1;
    size_t killed = 0;
    make_checkpointed();
    trial_begin();
    tear();
    int64_t start = clock_now();
    EXPECT_EQ(waitpid(start_named(), &status, 0) > 0 && status == 0, true);
    int64_t usual = clock_now() - start;
    for (int round = 0; round < (getenv("SHMAIL_LONG") ? 20000 : 300); round++) {
        EXPECT_EQ(store_remove(harness_name(), why, sizeof(why)), STATUS_OK);
        tear();
        for (int again = 0; again < 2; again++) {
            random = random * 1103515245 + 12345;
            pid_t pid = start_named();
            for (int64_t until = clock_now() + usual * (random >> 16 & 1023) / 1700; clock_now() < until;)
                ;
            kill(pid, SIGKILL);
            EXPECT_EQ(waitpid(pid, &status, 0), pid);
            killed += WIFSIGNALED(status);
            EXPECT(status == 0 || WIFSIGNALED(status));
        }
        EXPECT_EQ(waitpid(start_named(), &status, 0) > 0 && status == 0, true);
    }
    harness_say("%zu recoveries killed at random", killed);
}

static const struct harness_test tests[] = {
    {"a stale tail is no record", a_stale_tail_is_no_record},
    {"what was torn off does not come back", what_was_torn_off_does_not_come_back},
    {"a message is never taken for records", a_message_is_never_taken_for_records, 300},
    {"what comes to lie behind a log is no record, whoever made it",
     what_comes_to_lie_behind_a_log_is_no_record_whoever_made_it},
    {"a recovery that is killed at any write is done again", a_recovery_killed_at_any_write_is_done_again,
     300},
    {"a recovery that is killed at any time is done again", a_recovery_killed_at_any_time_is_done_again, 600},
};

HARNESS_MAIN(tests)
