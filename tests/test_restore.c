/* test_restore.c: a record that contradicts those before it is refused and changes nothing, although its
 * checksum is right; so is one for which there is no room. */
#include "journal_bytes.h"
#include "restore.h"

enum { ACCOUNTS = 1000, FREE = 9 };

static struct restore *restore;

static enum status give(const struct journal_record *record, const char *texts)
{
    return restore_record(restore, record, texts);
}

/* Two accounts; alice has one message and one in her queue. */
static void begin(void)
{
    store = attached_store(&(struct store_options){.accounts = ACCOUNTS, .slots = 4, .crypt_cost = 1});
    restore = restore_begin(store);
    EXPECT(restore);
    EXPECT_EQ(
        give(
            &(struct journal_record){
                .type = RECORD_ACCOUNT, .sequence = 1, .account = 1, .sender_length = 5, .subject_length = 4},
            "alicehash"),
        STATUS_OK);
    EXPECT_EQ(
        give(
            &(struct journal_record){.type = RECORD_ACCOUNT, .sequence = 2, .account = 2, .sender_length = 3},
            "bob"),
        STATUS_OK);
    EXPECT_EQ(give(
                  &(struct journal_record){
                      .type = RECORD_MESSAGE, .sequence = 3, .account = 1, .id = 7, .body_length = 4},
                  "body"),
              STATUS_OK);
    EXPECT_EQ(give(
                  &(struct journal_record){
                      .type = RECORD_QUEUE, .sequence = 4, .account = 1, .id = 3, .body_length = 4},
                  "body"),
              STATUS_OK);
}

struct wrong {
    const char *what;
    const char *texts;
    struct journal_record record;
};

static const struct wrong wrongs[] = {
    {"an account without a name", "", {.type = RECORD_ACCOUNT, .account = 3}},
    {"an account whose index is another's",
     "carol",
     {.type = RECORD_ACCOUNT, .account = 2, .sender_length = 5}},
    {"an account whose name is another's",
     "alice",
     {.type = RECORD_ACCOUNT, .account = 3, .sender_length = 5}},
    {"an account whose hash is too long",
     NULL,
     {.type = RECORD_ACCOUNT, .account = 3, .sender_length = 5, .subject_length = HASH_MAX + 1}},
    {"a password that is too long",
     NULL,
     {.type = RECORD_PASSWORD, .account = 1, .sender_length = 5, .subject_length = HASH_MAX + 1}},
    {"a password of no account", "alicenew", {.type = RECORD_PASSWORD, .account = FREE, .sender_length = 5}},
    {"a password of an unknown name", "carol", {.type = RECORD_PASSWORD, .account = 1, .sender_length = 5}},
    {"a password of another name", "bob", {.type = RECORD_PASSWORD, .account = 1, .sender_length = 3}},
    {"a removal of no account", "", {.type = RECORD_REMOVE, .account = FREE}},
    {"a removal of account 0", "", {.type = RECORD_REMOVE, .account = 0}},
    {"a message to no account", "", {.type = RECORD_MESSAGE, .account = FREE, .id = 1}},
    {"a message to account 0", "", {.type = RECORD_MESSAGE, .account = 0, .id = 1}},
    {"a message whose id was used", "", {.type = RECORD_MESSAGE, .account = 1, .id = 7}},
    {"a queued message of no account", "", {.type = RECORD_QUEUE, .account = FREE, .id = 1}},
    {"a queued message whose id was used", "", {.type = RECORD_QUEUE, .account = 1, .id = 3}},
    {"a message of an id that is not to be reached",
     "",
     {.type = RECORD_MESSAGE, .account = 1, .id = ID_MOST}},
    {"a queued message of such an id", "", {.type = RECORD_QUEUE, .account = 1, .id = ID_MOST}},
    {"a STORE to such an id",
     "",
     {.type = RECORD_STORE, .account = 1, .second = 2, .id = 3, .other = ID_MOST}},
    {"a STORE from no account",
     "",
     {.type = RECORD_STORE, .account = FREE, .second = 1, .id = 1, .other = 8}},
    {"a STORE to no account", "", {.type = RECORD_STORE, .account = 1, .second = FREE, .id = 3, .other = 1}},
    {"a STORE of what is not queued",
     "",
     {.type = RECORD_STORE, .account = 1, .second = 2, .id = 2, .other = 1}},
    {"a STORE to an id that was used",
     "",
     {.type = RECORD_STORE, .account = 1, .second = 1, .id = 3, .other = 7}},
    {"a deletion from no account", "", {.type = RECORD_DELETE, .account = FREE, .id = 1}},
};

static void a_record_that_contradicts_those_before_it_is_refused(void)
{
    static char long_texts[5 + HASH_MAX + 1] = "alice";
    begin();
    uint64_t digest = scene_digest(store);
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        struct journal_record record = wrongs[i].record;
        record.sequence = 5;
        enum status status = give(&record, wrongs[i].texts ? wrongs[i].texts : long_texts);
        if (status != STATUS_MISMATCH || scene_digest(store) != digest)
            harness_fail(__FILE__, __LINE__, "%s: %s", wrongs[i].what, status_text(status));
    }
    restore_end(restore);
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_CLEAN(store);
}

static enum status give_captured(enum journal_type type, uint32_t account, uint64_t id, uint64_t other)
{
    struct journal_record record = {
        .type = (uint16_t)type, .flags = RECORD_SNAPSHOT, .account = account, .id = id, .other = other};
    static const char *const names[] = {"", "alice", "bob", "carol"};
    if (type == RECORD_ACCOUNT)
        record.sender_length = (uint8_t)strlen(names[account]);
    return give(&record, names[account]);
}

/* Each account, then its mailbox from the oldest message on, then its queue from the newest one down. */
static void a_snapshot_has_its_order(void)
{
    store = attached_store(&(struct store_options){.accounts = ACCOUNTS, .slots = 4, .crypt_cost = 1});
    restore = restore_begin(store);
    EXPECT_EQ(give_captured(RECORD_ACCOUNT, 3, ID_MOST, 0), STATUS_MISMATCH);
    EXPECT_EQ(give_captured(RECORD_ACCOUNT, 3, 0, ID_MOST), STATUS_MISMATCH);
    EXPECT_EQ(give_captured(RECORD_ACCOUNT, 1, 9, 6), STATUS_OK);
    EXPECT_EQ(give_captured(RECORD_MESSAGE, 1, 0, 0), STATUS_MISMATCH);
    EXPECT_EQ(give_captured(RECORD_MESSAGE, 1, 4, 0), STATUS_OK);
    uint64_t digest = scene_digest(store);
    for (uint64_t id = 0; id <= 4; id++)
        EXPECT_EQ(give_captured(RECORD_MESSAGE, 1, id, 0), STATUS_MISMATCH);
    EXPECT_EQ(give_captured(RECORD_MESSAGE, 1, 10, 0), STATUS_MISMATCH);
    EXPECT_EQ(give_captured(RECORD_QUEUE, 1, 7, 0), STATUS_MISMATCH);
    EXPECT_EQ(scene_digest(store), digest);
    for (enum journal_type type = RECORD_EPOCH; type < RECORD_TYPES; type++)
        if (type == RECORD_EPOCH || type == RECORD_PASSWORD || type == RECORD_STORE || type == RECORD_DELETE)
            EXPECT_EQ(give_captured(type, 1, 4, 0), STATUS_MISMATCH);
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_EQ(give_captured(RECORD_QUEUE, 1, 5, 0), STATUS_OK);
    EXPECT_EQ(give_captured(RECORD_ACCOUNT, 2, 9, 6), STATUS_OK);
    digest = scene_digest(store);
    EXPECT_EQ(give_captured(RECORD_MESSAGE, 1, 5, 0), STATUS_MISMATCH);
    EXPECT_EQ(give_captured(RECORD_QUEUE, 1, 4, 0), STATUS_MISMATCH);
    EXPECT_EQ(give_captured(RECORD_QUEUE, 2, 0, 0), STATUS_MISMATCH);
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_EQ(give_captured(RECORD_QUEUE, 2, 5, 0), STATUS_OK);
    digest = scene_digest(store);
    EXPECT_EQ(give_captured(RECORD_QUEUE, 2, 5, 0), STATUS_MISMATCH);
    EXPECT_EQ(give_captured(RECORD_QUEUE, 2, 6, 0), STATUS_MISMATCH);
    EXPECT_EQ(scene_digest(store), digest);
    restore_end(restore);
    EXPECT_CLEAN(store);
}

/* The second page that is wanted is the index's. */
static void a_message_of_a_snapshot_without_room_may_come_again(void)
{
    store = attached_store(&(struct store_options){.accounts = ACCOUNTS, .slots = 4, .crypt_cost = 1});
    restore = restore_begin(store);
    EXPECT_EQ(give_captured(RECORD_ACCOUNT, 1, 9, 6), STATUS_OK);
    fault.kinds = CALL_RESERVE;
    fault.at = 2;
    fault.error = ENOSPC;
    EXPECT_EQ(give_captured(RECORD_MESSAGE, 1, 4, 0), STATUS_FULL_SEGMENT);
    fault.kinds = 0;
    EXPECT_EQ(give_captured(RECORD_MESSAGE, 1, 4, 0), STATUS_OK);
    restore_end(restore);
    EXPECT_CLEAN(store);
}

static void a_record_without_room_is_refused(void)
{
    begin();
    uint64_t digest = scene_digest(store);
    struct journal_record record = {.type = RECORD_DELETE, .sequence = 5, .account = ACCOUNTS + 1};
    EXPECT_EQ(give(&record, ""), STATUS_FULL_ACCOUNTS);
    record = (struct journal_record){
        .type = RECORD_STORE, .sequence = 5, .account = 1, .id = 3, .second = ACCOUNTS + 1, .other = 1};
    EXPECT_EQ(give(&record, ""), STATUS_FULL_ACCOUNTS);
    fault.kinds = CALL_RESERVE;
    fault.at = 1;
    fault.error = ENOSPC;
    record = (struct journal_record){
        .type = RECORD_ACCOUNT, .sequence = 5, .account = ACCOUNTS, .sender_length = 5};
    EXPECT_EQ(give(&record, "zelda"), STATUS_FULL_SEGMENT);
    fault.kinds = 0;
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_EQ(give(&record, "zelda"), STATUS_OK);
    restore_end(restore);
    EXPECT_CLEAN(store);
}

/* ---- in a journal ---- */

static struct recovered recover_with(const struct journal_record *wrong, size_t offset)
{
    struct journal_record record = *wrong;
    seal(&record, "");
    struct damage damage = {.file = journal.active,
                            .offset = offset,
                            .length = sizeof(record),
                            .bytes = (unsigned char *)&record};
    return try_damage(&damage, "trial");
}

/* The server names the place, and changes nothing. */
static void a_journal_with_a_contradiction_is_refused(void)
{
    size_t i = 0;
    char offset[64];
    make_plain();
    EXPECT_EQ(mkdir("trial", 0700), 0);
    trial_begin();
    while (journal.places[i].record.type != RECORD_DELETE)
        i++;
    struct journal_record record = journal.places[i].record;
    record.account = FREE;
    struct recovered recovered = recover_with(&record, journal.places[i].offset);
    EXPECT_EQ(recovered.status, STATUS_MISMATCH);
    EXPECT(strstr(recovered.why, "does not fit those before it"));
    snprintf(offset, sizeof(offset), "journal.%d, offset %zu:", journal.active, journal.places[i].offset);
    EXPECT(strstr(recovered.why, offset));
    record.account = scene_options.accounts + 1;
    recovered = recover_with(&record, journal.places[i].offset);
    EXPECT_EQ(recovered.status, STATUS_FULL_ACCOUNTS);
    EXPECT(strstr(recovered.why, "--accounts"));
    recovered = recover_with(&journal.places[i].record, journal.places[i].offset);
    EXPECT_EQ(recovered.status, STATUS_OK);
}

static const struct harness_test tests[] = {
    {"a record that contradicts those before it is refused",
     a_record_that_contradicts_those_before_it_is_refused},
    {"a snapshot has its order", a_snapshot_has_its_order},
    {"a message of a snapshot without room may come again",
     a_message_of_a_snapshot_without_room_may_come_again},
    {"a record without room is refused", a_record_without_room_is_refused},
    {"a journal with a contradiction is refused", a_journal_with_a_contradiction_is_refused},
};

HARNESS_MAIN(tests)
