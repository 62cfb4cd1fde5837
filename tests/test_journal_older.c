/* test_journal_older.c: a journal that is older than its segment, or the other way round: neither is served,
 * and what has the last word is not written over. */
#include "disk.h"
#include "scene.h"

#include "mending.h"
#include "refusal.h"
#include "segment_tools.h"

/* ---- a copy from before ---- */

static void send_one(void)
{
    EXPECT_EQ(scene_send(store, "bob", "", 40), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static void take_copy(void)
{
    scene_close(store);
    run_command("rm -rf copy && cp -a journal copy");
    store = attached_store(&options);
}

/* Under its own path, as who brings back a backup would have it. */
static void expect_copy_refused(void)
{
    scene_close(store);
    run_command("rm -rf last && mv journal last && cp -a copy journal");
    refuse(STATUS_MISMATCH, "journal directory journal is a copy from before: post office ");
    run_command("rm -rf journal && cp -a last journal");
    store = attached_store(&options);
    EXPECT_CLEAN(store);
}

static void what_was_written_last_must_be_there(void)
{
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    send_one();
    take_copy();
    send_one();
    expect_copy_refused();
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    expect_copy_refused(); /* nothing was written since but the other file */
    take_copy();
    send_one();
    expect_copy_refused();
    send_one();
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    expect_copy_refused(); /* the same file again */
}

/* Not only where a record has been written since the last checkpoint, which would be missed. */
static void a_file_that_was_cut_lacks_what_was_written(void)
{
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    send_one();
    for (int file = 0; file < 2; file++) {
        const off_t cuts[] = {(off_t)store->header->journal.tail - 1, JOURNAL_HEADER_SIZE};
        EXPECT_EQ(store->header->journal.last == 0, file == 1);
        for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
            take_copy();
            EXPECT_EQ(truncate(file ? "copy/journal.1" : "copy/journal.0", cuts[i]), 0);
            expect_copy_refused();
        }
        EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    }
}

/* ---- a segment from before ---- */

static void take_segment(void)
{
    char command[256];
    scene_close(store);
    snprintf(command, sizeof(command), "cp --sparse=always /dev/shm/shmail-%s segment", options.name);
    run_command(command);
    store = attached_store(&options);
}

static void expect_segment_refused(const char *words, enum status repair)
{
    struct report report = {.say = note_nothing};
    char command[256], why[512] = "";
    scene_close(store);
    snprintf(command, sizeof(command),
             "rm -rf kept && cp -a journal kept && cp --sparse=always /dev/shm/shmail-%s last && "
             "cp --sparse=always segment /dev/shm/shmail-%s",
             options.name, options.name);
    run_command(command);
    refuse(STATUS_MISMATCH, words);
    EXPECT_EQ(segment_repair(options.name, NULL, &report, why, sizeof(why)), repair);
    EXPECT(repair == STATUS_OK || strstr(why, "out of date") ||
           strstr(why, " is a copy from before: its journal "));
    snprintf(command, sizeof(command),
             "cp --sparse=always last /dev/shm/shmail-%s && rm -rf journal && mv kept journal", options.name);
    run_command(command);
    store = attached_store(&options);
    EXPECT_CLEAN(store);
}

static void what_was_written_since_must_not_be_written_over(void)
{
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    send_one();
    take_segment();
    send_one();
    expect_segment_refused(" is a copy from before: its journal in journal has more; remove it with ",
                           STATUS_MISMATCH);
    take_segment();
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    expect_segment_refused(" is a copy from before: its journal in journal has more; remove it with ",
                           STATUS_OK); /* no mail is at stake */
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    expect_segment_refused(" has been repaired since", STATUS_MISMATCH);
}

/* It was hidden while another one began, which has taken the numbers of what it had not written. A wrong bit
 * in its own number makes it the lock file's no less than any. */
static void begin_another(int sent, bool checkpoint)
{
    const uint64_t number_at =
        offsetof(struct header, journal) + offsetof(struct journal_segment, segment_id);
    struct report report = {.say = note_nothing};
    char command[300], object[128], why[512] = "";
    store = open_named_store("-a");
    const char *name = options.name;
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    send_one();
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(scene_send(store, "bob", "", 40), STATUS_OK);
    const uint8_t wrong = store->header->journal.segment_id[0] ^ 1;
    scene_close(store);
    snprintf(object, sizeof(object), "/dev/shm/shmail-%s", name);
    snprintf(command, sizeof(command), "cp --sparse=always %s hidden && rm %s", object, object);
    run_command(command);
    options.name = NULL;
    store = attached_store(&options);
    for (int i = 0; i < sent; i++)
        send_one();
    if (checkpoint)
        EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    scene_close(store);
    snprintf(command, sizeof(command), "cp -a journal kept && cp --sparse=always hidden %s", object);
    run_command(command);
    write_at(object, number_at, &wrong, 1);
    EXPECT_EQ(segment_repair(name, NULL, &report, why, sizeof(why)), STATUS_MISMATCH);
    EXPECT(strstr(why, ": another one has begun in "));
    run_command("diff -r kept journal");
    run_command("mv journal theirs");
    EXPECT_EQ(segment_repair(name, "new", &report, why, sizeof(why)), STATUS_OK);
    options.name = name;
    options.directory = "new";
    store = attached_store(&options);
}

static void what_another_one_has_begun_must_not_be_written_over(void)
{
    begin_another(1, false);
}

/* More than is in memory; but that is not a copy from before, of which nothing would be lost. */
static void nor_where_that_has_got_further(void)
{
    begin_another(20, false);
}

/* Which drops the record of its beginning. */
static void nor_where_that_has_made_a_checkpoint(void)
{
    begin_another(1, true);
}

/* Its own beginning is on disk, and two words that lie side by side are wrong. */
static void what_it_has_begun_itself_is_no_reason(void)
{
    static const uint64_t wrong[2];
    const uint64_t written_at = offsetof(struct header, journal) + offsetof(struct journal_segment, written);
    struct report report = {.say = note_nothing};
    char object[128], why[512] = "";
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    send_one();
    scene_close(store);
    EXPECT_EQ(store_remove(options.name, why, sizeof(why)), STATUS_OK);
    store = attached_store(&options);
    send_one();
    scene_close(store);
    snprintf(object, sizeof(object), "/dev/shm/shmail-%s", options.name);
    write_at(object, written_at, wrong, sizeof(wrong));
    EXPECT_EQ(segment_repair(options.name, NULL, &report, why, sizeof(why)), STATUS_OK);
    store = attached_store(&options);
    EXPECT_CLEAN(store);
}

/* Behind the last record that the segment knows stands one that is whole. */
static void only_a_record_that_comes_next_is_lacking(void)
{
    static const char texts[8] = "x\0forged";
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    send_one();
    const struct journal_segment *journal = &store->header->journal;
    const off_t tail = (off_t)journal->tail;
    const struct journal_record next = {.type = RECORD_MESSAGE,
                                        .account = 1,
                                        .id = 1000,
                                        .received = 1,
                                        .sender_length = 1,
                                        .body_length = 7,
                                        .epoch = journal->epoch,
                                        .sequence = journal->written + 1};
    const struct {
        uint64_t sequence;
        uint16_t flags;
        bool lacks;
    } ways[] = {
        {next.sequence, 0, true}, {next.sequence + 1, 0, false}, {next.sequence, RECORD_SNAPSHOT, false}};
    scene_close(store);
    int fd = open("journal/journal.0", O_RDWR | O_CLOEXEC);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct journal_record record = next;
        record.sequence = ways[i].sequence;
        record.flags = ways[i].flags;
        seal(&record, texts);
        EXPECT_EQ(pwrite(fd, &record, sizeof(record), tail), sizeof(record));
        EXPECT_EQ(pwrite(fd, texts, sizeof(texts), tail + (off_t)sizeof(record)), sizeof(texts));
        if (ways[i].lacks) {
            refuse(STATUS_MISMATCH, "has more");
            continue;
        }
        store = attached_store(&options);
        EXPECT_CLEAN(store);
        scene_close(store);
    }
    close(fd);
}

/* It has written the last record, and not said so. */
static void what_a_dead_leader_has_written_is_known(void)
{
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    send_one();
    struct journal_segment *journal = &store->header->journal;
    journal->tail = journal->last;
    journal->written--;
    journal->synced = journal->written;
    scene_close(store);
    store = attached_store(&options);
}

/* Where the last record should stand there is another one. */
static void a_record_that_is_none_of_the_last_is_no_proof(void)
{
    struct journal_record record;
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    send_one();
    take_copy();
    uint64_t last = store->header->journal.last;
    for (int way = 0; way < 2; way++) {
        int fd = open("copy/journal.0", O_RDWR | O_CLOEXEC);
        EXPECT_EQ(pread(fd, &record, sizeof(record), (off_t)last), sizeof(record));
        struct journal_record other = record;
        if (way)
            other.sequence--;
        else
            other.flags |= RECORD_SNAPSHOT;
        EXPECT_EQ(pwrite(fd, &other, sizeof(other), (off_t)last), sizeof(other));
        expect_copy_refused();
        EXPECT_EQ(pwrite(fd, &record, sizeof(record), (off_t)last), sizeof(record));
        close(fd);
    }
}

static void send_meanwhile(void)
{
    if (disk_hook_file != store->header->journal.file && disk_hook_offset == JOURNAL_HEADER_SIZE)
        EXPECT_EQ(scene_send(store, "bob", "", 40), STATUS_OK);
}

/* With what a checkpoint has copied as the last record, too. */
static void an_up_to_date_copy_will_do(void)
{
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    send_one();
    take_copy();
    disk_hook = send_meanwhile;
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    disk_hook = NULL;
    EXPECT(store->header->journal.last >= JOURNAL_HEADER_SIZE);
    take_copy();
    scene_close(store);
    run_command("rm -rf journal && mv copy journal");
    store = attached_store(&options);
    EXPECT_CLEAN(store);
}

/* Then the segment knows best: a checkpoint writes all of it to the other file. */
static void where_something_failed_it_may_be_missing(void)
{
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    send_one();
    uint32_t *const words[] = {&store->header->journal.failure, &store->header->journal.suspect,
                               &store->header->journal.doubtful};
    for (size_t i = 0; i < 3; i++) {
        take_copy();
        send_one();
        *words[i] = 1;
        scene_close(store);
        run_command("rm -rf last && mv journal last && cp -a copy journal");
        store = attached_store(&options);
        *words[i] = 0;
        scene_close(store);
        run_command("rm -rf journal && mv last journal");
        store = attached_store(&options);
    }
}

/* To remove it, as one that is out of date, would lose what the files do not have yet. */
static void what_was_scribbled_over_is_mended_and_not_removed(void)
{
    struct report report = {.say = note_nothing};
    char why[512] = "";
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    for (int field = 0; field < 6; field++) {
        send_one();
        EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
        EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
        EXPECT_EQ(scene_send(store, "bob", "owed", 40), STATUS_OK);
        uint64_t digest = scene_digest(store);
        struct journal_segment *journal = &store->header->journal;
        const struct journal_segment right = *journal;
        void *const fields[] = {&journal->generation, &journal->generation, journal->segment_id,
                                journal->id,          &journal->epoch,      &journal->file};
        memset(fields[field], field == 1 ? 0xff : *(unsigned char *)fields[field] ^ 1,
               field < 2 ? sizeof(journal->generation) : 1);
        if (field == 0)
            journal->generation = right.generation - 3;
        scene_close(store);
        refuse(STATUS_MISMATCH, ": what says where its journal goes on is damaged: have it mended with ");
        if (segment_repair(options.name, NULL, &report, why, sizeof(why)) != STATUS_OK)
            harness_fail(__FILE__, __LINE__, "field %d: %s", field, why);
        store = attached_store(&options);
        EXPECT_CLEAN(store);
        EXPECT_EQ(scene_digest(store), digest);
        EXPECT(store->header->journal.generation < 1000);
    }
}

/* What the start refuses the repair does not take for sound. */
static void the_place_of_the_last_record_is_mended(void)
{
    struct report report = {.say = note_nothing};
    char why[512] = "";
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    for (int bit = 0; bit < 64; bit += 3) {
        send_one();
        store->header->journal.last ^= UINT64_C(1) << bit;
        scene_close(store);
        store = NULL;
        EXPECT(store_open(&store, &options, why, sizeof(why)) != STATUS_OK);
        EXPECT_EQ(segment_repair(options.name, NULL, &report, why, sizeof(why)), STATUS_OK);
        store = attached_store(&options);
        EXPECT_CLEAN(store);
    }
}

static const struct harness_test tests[] = {
    {"a file that was cut lacks what was written", a_file_that_was_cut_lacks_what_was_written},
    {"what was scribbled over is mended, and not removed", what_was_scribbled_over_is_mended_and_not_removed},
    {"the place of the last record is mended", the_place_of_the_last_record_is_mended},
    {"what was written since must not be written over", what_was_written_since_must_not_be_written_over},
    {"what another one has begun must not be written over",
     what_another_one_has_begun_must_not_be_written_over},
    {"nor where that has got further", nor_where_that_has_got_further},
    {"nor where that has made a checkpoint", nor_where_that_has_made_a_checkpoint},
    {"what it has begun itself is no reason", what_it_has_begun_itself_is_no_reason},
    {"only a record that comes next is lacking", only_a_record_that_comes_next_is_lacking},
    {"what a dead leader has written is known", what_a_dead_leader_has_written_is_known},
    {"what was written last must be there", what_was_written_last_must_be_there},
    {"a record that is none of the last is no proof", a_record_that_is_none_of_the_last_is_no_proof},
    {"an up to date copy will do", an_up_to_date_copy_will_do},
    {"where something failed it may be missing", where_something_failed_it_may_be_missing},
};

HARNESS_MAIN(tests)
