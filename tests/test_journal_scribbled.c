/* test_journal_scribbled.c: a segment that says what cannot be, seen by who keeps, writes and names its
 * journal: no walk and no text goes on without an end, and nothing that cannot be read again is written. */
#include "disk.h"
#include "scene.h"

#include "message.h"

#include <sys/resource.h>

enum { FILE_MOST = 16 << 20 };

static struct store *store;
static uint64_t digest;

static void begin(void)
{
    const struct rlimit limit = {FILE_MOST, FILE_MOST}; /* where a walk has no end a file has */
    signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    store = attached_store(&scene_options);
    for (int which = 0; which < SCENE_FIRST_HALF; which++)
        EXPECT_EQ(scene_operation(store, which), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    digest = scene_digest(store);
}

static void expect_same_after_reboot(void)
{
    scene_close(store);
    store = attached_store(&scene_options);
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
    struct store_options options = scene_options;
    struct store *refused;
    char why[2048] = "";
    options.name = harness_name();
    options.directory = directory;
    options.must_exist = options.changes = true;
    EXPECT_EQ(store_open(&refused, &options, why, sizeof(why)), STATUS_MISMATCH);
    expect_cut(why);
}

static void a_directory_whose_name_has_no_end_is_cut_where_it_is_refused(void)
{
    struct store_options options = scene_options;
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
    EXPECT_EQ(journal_checkpoint(store, scene_options.journal_bytes), STATUS_DAMAGED);
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

static const struct harness_test tests[] = {
    {"a directory whose name has no end is cut where it is refused",
     a_directory_whose_name_has_no_end_is_cut_where_it_is_refused},
    {"a directory whose name has no end is cut in the log",
     a_directory_whose_name_has_no_end_is_cut_in_the_log},
    {"no checkpoint is made of accounts beyond the table",
     no_checkpoint_is_made_of_accounts_beyond_the_table},
    {"no checkpoint is made of messages that cannot be", no_checkpoint_is_made_of_messages_that_cannot_be},
    {"no checkpoint is made of accounts that cannot be", no_checkpoint_is_made_of_accounts_that_cannot_be},
};

HARNESS_MAIN(tests)
