/* test_journal_scribbled.c: a segment that says what cannot be, seen by who keeps, writes and names its
 * journal: no walk and no text goes on without an end, and nothing that cannot be read again is written. */
#include "disk.h"
#include "scene.h"

#include "message.h"

#include <sys/resource.h>

enum { FILE_MOST = 16 << 20 };

static struct store *store;
static struct store_options options; /* with room in the journal for a message of several pieces */
static uint64_t digest;

static void begin(void)
{
    const struct rlimit limit = {FILE_MOST, FILE_MOST}; /* where a walk has no end a file has */
    signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    options = scene_options;
    options.journal_bytes = 1 << 20;
    store = attached_store(&options);
    for (int which = 0; which < SCENE_FIRST_HALF; which++)
        EXPECT_EQ(scene_operation(store, which), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    digest = scene_digest(store);
}

static void expect_same_after_reboot(void)
{
    scene_close(store);
    store = attached_store(&options);
    EXPECT_CLEAN(store);
    EXPECT_EQ(scene_digest(store), digest);
}

/* ---- its directory's name ---- */

/* Without an end, in front of what is nobody's business. */
static void spoil_directory(void)
{
    char *directory = store->header->journal.directory;
    size_t size = sizeof(store->header->journal.directory);
    EXPECT(segment_offset(store, directory) + size + 32 <= PAGE);
    memset(directory, 'x', size);
    memset(directory + size, 'y', 32);
}

static void expect_cut(const char *text)
{
    if (!strstr(text, "xxx") || strstr(text, "xy"))
        harness_fail(__FILE__, __LINE__, "\"%s\"", text);
}

static void expect_refusal_that_is_cut(const char *directory)
{
    struct store_options asked = options;
    struct store *refused;
    char why[2048] = "";
    asked.directory = directory;
    asked.must_exist = asked.changes = true;
    EXPECT_EQ(store_open(&refused, &asked, why, sizeof(why)), STATUS_MISMATCH);
    expect_cut(why);
}

static void a_directory_whose_name_has_no_end_is_cut_where_it_is_refused(void)
{
    options = scene_options;
    options.name = harness_name();
    store = attached_store(&options);
    spoil_directory();
    expect_refusal_that_is_cut(NULL);
    expect_refusal_that_is_cut("another");
    EXPECT_EQ(mkdir("third", 0700), 0);
    close(open("third/lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    expect_refusal_that_is_cut("third");
}

static void a_directory_whose_name_has_no_end_is_cut_in_the_log(void)
{
    char text[4096] = "";
    begin();
    spoil_directory();
    int log = open("log", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    int before = dup(STDERR_FILENO);
    EXPECT(log >= 0 && before >= 0 && dup2(log, STDERR_FILENO) == STDERR_FILENO);
    journal_fail(store, EIO, "a test");
    EXPECT_EQ(dup2(before, STDERR_FILENO), STDERR_FILENO);
    EXPECT(pread(log, text, sizeof(text) - 1, 0) > 0);
    expect_cut(text);
}

/* ---- a checkpoint ---- */

/* The file that was active before is so still. */
static void expect_no_checkpoint(void)
{
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_DAMAGED);
    EXPECT(store_is_suspect(store));
    store->header->acquitted = store->header->suspected; /* it is mended before the next one */
    EXPECT_EQ(store->header->journal.file, 0);
    EXPECT_EQ(store->header->journal.checkpoint, 0);
}

static void no_checkpoint_is_made_of_accounts_beyond_the_table(void)
{
    begin();
    uint32_t used = store->header->accounts_used;
    store->header->accounts_used = UINT32_MAX - 1;
    expect_no_checkpoint();
    store->header->accounts_used = used;
    expect_same_after_reboot();
}

/* The log, which is the only copy until the end of a checkpoint, would be written over. */
static void no_checkpoint_is_made_in_a_file_that_may_be_the_active_one(void)
{
    begin();
    store->header->journal.file = 1;
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_DAMAGED);
    EXPECT(store_is_suspect(store));
    expect_same_after_reboot();
}

static void a_server_that_syncs_otherwise_has_scribbled_nothing(void)
{
    begin();
    store->sync = STORE_SYNC_NEVER; /* as an option of its own says */
    EXPECT_EQ(store_serve(store), STATUS_OK);
    EXPECT_CLEAN(store);
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    EXPECT(!store_is_suspect(store));
    EXPECT_CLEAN(store);
    expect_same_after_reboot();
}

/* The newest message of a mailbox or of a queue. */
static struct message_record *newest_of(bool queued)
{
    account_t bob = scene_account(store, "bob");
    struct message message;
    size_t count;
    EXPECT_EQ(queued ? scene_push(store, "bob", "bob", 10) : scene_send(store, "bob", "x", 10), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    if (queued)
        EXPECT_EQ(queue_list(store, bob, &message, 1, &count), STATUS_OK);
    else
        EXPECT_EQ(mailbox_open(store, bob, mailbox_newest(store, bob), &message), STATUS_OK);
    message_release_all(store);
    return at(store, message.reference);
}

/* Each would be written again and again, or be refused by who reads it. */
static void no_checkpoint_is_made_of_messages_that_cannot_be(void)
{
    begin();
    for (int queued = 0; queued <= 1; queued++) {
        struct message_record *message = newest_of(queued);
        struct message_record right = *message;
        digest = scene_digest(store);
        message->id = 0;
        expect_no_checkpoint();
        message->id = right.id;
        message->body_length = UINT32_MAX;
        expect_no_checkpoint();
        message->body_length = right.body_length;
        message->shape = message_shape(message_state(right.shape), NAME_MAX_BYTES + 1, 0);
        expect_no_checkpoint();
        message->shape = right.shape;
    }
    expect_same_after_reboot();
}

static void no_checkpoint_is_made_of_accounts_that_cannot_be(void)
{
    begin();
    struct account_record *bob = account_at(store, scene_account(store, "bob").index);
    struct identity *identity = at(store, bob->identity);
    uint64_t newest = bob->newest;
    bob->newest = ID_MOST;
    expect_no_checkpoint();
    bob->newest = newest;
    char letter = identity->text[1];
    identity->text[1] = '\0';
    expect_no_checkpoint();
    identity->text[1] = letter;
    expect_same_after_reboot();
}

/* ---- a leader ---- */

static void lead(void)
{
    (void)journal_flush(store, true);
}

static void expect_end_of(void (*act)(void), int signal_number)
{
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        store->slot = NULL;
        store->me = 0;
        EXPECT_EQ(store_attach(store, "leader"), STATUS_OK);
        alarm(20);
        act();
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WIFSIGNALED(status) ? WTERMSIG(status) : 0, signal_number);
}

/* The record is the only one that waits. */
static void expect_end_of_leading(int signal_number)
{
    expect_end_of(lead, signal_number);
}

static size_t findings;

static void count_finding(void *context, const char *text)
{
    (void)context;
    findings += strstr(text, "cannot be written") || strstr(text, "pieces");
}

/* Who leads ends before anything is written that is no record, and the check that follows finds why. */
static void expect_no_record(void)
{
    uint64_t written = store->header->journal.written;
    expect_end_of_leading(SIGABRT);
    EXPECT_EQ(store->header->journal.written, written);
    findings = 0;
    (void)store_check(store, count_finding, NULL);
    EXPECT(findings > 0);
}

static struct message_record *send_long(void)
{
    struct message message;
    account_t bob = scene_account(store, "bob");
    EXPECT_EQ(scene_send(store, "bob", "long", (size_t)3 * BLOCK_MAX), STATUS_OK);
    EXPECT_EQ(mailbox_open(store, bob, mailbox_newest(store, bob), &message), STATUS_OK);
    message_release_all(store);
    return at(store, message.reference);
}

static void expect_nothing_written_where(uint64_t tail, uint64_t end)
{
    struct journal_segment *journal = &store->header->journal;
    journal->tail = tail;
    journal->end = end;
    EXPECT(store_check(store, print_finding, NULL) > 0);
    expect_end_of_leading(SIGABRT);
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_DAMAGED);
    expect_same_after_reboot();
}

/* None of the marks contradicts another. */
static void nothing_is_written_over_the_beginning_of_a_file(void)
{
    begin();
    EXPECT_EQ(scene_send(store, "bob", "x", 100), STATUS_OK);
    uint64_t pending = store->header->journal.end - store->header->journal.tail;
    expect_nothing_written_where(JOURNAL_HEADER_SIZE - 8, JOURNAL_HEADER_SIZE - 8 + pending);
}

static void nothing_is_written_behind_the_end(void)
{
    begin();
    EXPECT_EQ(scene_send(store, "bob", "x", 100), STATUS_OK);
    expect_nothing_written_where(store->header->journal.tail, store->header->journal.tail - 8);
}

/* In another file, or of another epoch, it would not be found again. */
static void a_leader_writes_nothing_that_would_not_be_read(void)
{
    begin();
    struct journal_segment *journal = &store->header->journal;
    EXPECT_EQ(scene_send(store, "bob", "x", 100), STATUS_OK);
    uint64_t written = journal->written;
    journal->file ^= 1;
    expect_end_of_leading(SIGABRT);
    journal->file ^= 1;
    journal->epoch++;
    expect_end_of_leading(SIGABRT);
    journal->epoch--;
    EXPECT_EQ(journal->written, written);
    digest = scene_digest(store);
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    expect_same_after_reboot();
}

static void send_and_settle(void)
{
    EXPECT_EQ(scene_send(store, "bob", "x", 100), STATUS_OK);
    (void)store_settle(store);
}

/* Who writes would go in circles, as there is nothing to write; who waits would not wait. */
static void marks_that_cannot_be_end_who_writes_and_who_waits(void)
{
    begin();
    struct journal_segment *journal = &store->header->journal;
    const uint64_t right = journal->assigned;
    const uint64_t wrong[] = {0, right - 1, right + RING + 1};
    EXPECT_EQ(journal->synced, right);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        journal->assigned = wrong[i];
        expect_end_of(send_and_settle, SIGABRT);
        expect_end_of_leading(SIGABRT);
        journal->assigned = right;
    }
    journal->synced = right + 1;
    expect_end_of_leading(SIGABRT);
    journal->synced = UINT64_MAX;
    expect_end_of(send_and_settle, SIGABRT);
    EXPECT_EQ(journal->written, right);
    journal->synced = right;
    digest = scene_digest(store);
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    expect_same_after_reboot();
}

static void a_leader_writes_no_message_with_too_few_pieces(void)
{
    begin();
    struct message_record *message = send_long();
    struct piece *first = at(store, message->pieces);
    block_t link = first->link;
    digest = scene_digest(store);
    first->link = 0;
    expect_no_record();
    first->link = link;
    EXPECT_EQ(mailbox_delete(store, scene_account(store, "bob"), message->id), STATUS_OK);
    first->link = 0;
    expect_no_record(); /* what waits to be written is whole, though it is deleted */
    first->link = link;
    digest = scene_digest(store);
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    expect_same_after_reboot();
}

/* It writes what the length says. */
static void a_leader_follows_pieces_that_go_round_to_their_end(void)
{
    begin();
    struct piece *first = at(store, send_long()->pieces);
    block_t link = first->link;
    first->link = (block_t)(segment_offset(store, first) / UNIT);
    expect_end_of_leading(0);
    first->link = link;
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    EXPECT_EQ(store->header->journal.written, store->header->journal.assigned);
}

static void a_leader_writes_no_record_of_impossible_lengths(void)
{
    begin();
    struct message_record *message = send_long();
    uint32_t shape = message->shape;
    message->shape = message_shape(message_state(shape), NAME_MAX_BYTES + 1, 0);
    expect_no_record();
    message->shape = shape;
    struct journal_note *note = &store->ring[store->header->journal.assigned % RING];
    note->body_length = MESSAGE_LIMIT_MAX + 1;
    expect_no_record();
    note->body_length = message->body_length;
    note->type = RECORD_TYPES;
    expect_no_record();
    note->type = RECORD_MESSAGE;
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    EXPECT_EQ(scene_create(store, "dave", "$y$dave's hash"), STATUS_OK);
    note = &store->ring[store->header->journal.assigned % RING];
    struct identity *identity = at(store, note->text);
    uint16_t length = identity->name_length;
    identity->name_length = NAME_MAX_BYTES + 1;
    expect_no_record();
    identity->name_length = length;
    digest = scene_digest(store);
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    expect_same_after_reboot();
}

static const struct harness_test tests[] = {
    {"a directory whose name has no end is cut where it is refused",
     a_directory_whose_name_has_no_end_is_cut_where_it_is_refused},
    {"a directory whose name has no end is cut in the log",
     a_directory_whose_name_has_no_end_is_cut_in_the_log},
    {"no checkpoint is made of accounts beyond the table",
     no_checkpoint_is_made_of_accounts_beyond_the_table},
    {"no checkpoint is made in a file that may be the active one",
     no_checkpoint_is_made_in_a_file_that_may_be_the_active_one},
    {"a server that syncs otherwise has scribbled nothing",
     a_server_that_syncs_otherwise_has_scribbled_nothing},
    {"no checkpoint is made of messages that cannot be", no_checkpoint_is_made_of_messages_that_cannot_be},
    {"no checkpoint is made of accounts that cannot be", no_checkpoint_is_made_of_accounts_that_cannot_be},
    {"nothing is written over the beginning of a file", nothing_is_written_over_the_beginning_of_a_file},
    {"nothing is written behind the end", nothing_is_written_behind_the_end},
    {"a leader writes nothing that would not be read", a_leader_writes_nothing_that_would_not_be_read},
    {"marks that cannot be end who writes and who waits", marks_that_cannot_be_end_who_writes_and_who_waits},
    {"a leader writes no message with too few pieces", a_leader_writes_no_message_with_too_few_pieces},
    {"a leader follows pieces that go round to their end",
     a_leader_follows_pieces_that_go_round_to_their_end},
    {"a leader writes no record of impossible lengths", a_leader_writes_no_record_of_impossible_lengths},
};

HARNESS_MAIN(tests)
