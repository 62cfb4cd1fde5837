/* test_drafts.c: several drafts of one process, and their publication by one step: all of them, or those
 * before the first that fails, as if each had come by itself. */
#include "post_office.h"
#include "random.h"

#include "account_record.h"
#include "message.h"
#include "transaction.h"

enum { AHEAD = 8 }; /* drafts at most, of a size that repeats */

static struct store *store;
static account_t alice;
static uint32_t written; /* drafts */
static char text[20000];

static void open_mailbox(const struct store_options *options)
{
    store = attached_store(options);
    alice = new_account(store, "alice");
    written = 0;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i % 26);
}

static const struct store_options plain = {.crypt_cost = 1};

static struct letter letter_of(size_t start, size_t length)
{
    return (struct letter){
        .sender = "bob", .sender_length = 3, .body = text + start % 100, .body_length = length};
}

/* False: not before the others are published. */
static bool write_one(size_t start, size_t length)
{
    struct letter letter = letter_of(start, length);
    bool can = written == 0 || draft_write_behind(store, written, &letter);
    if (written == 0)
        EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    written += can;
    return can;
}

static enum status publish(message_id *first, uint32_t *count)
{
    enum status status = mailbox_append_drafts(store, alice, written, first, count);
    if (status == STATUS_OK) {
        EXPECT(*count > 0 && *count <= written);
        written -= *count;
    }
    return status;
}

/* So many drafts, after so many of the same size that there are blocks for them. */
static void write_several(uint32_t count, size_t length)
{
    message_id id;
    uint32_t done;
    bool ready = false;
    while (!ready) {
        EXPECT(write_one(0, length));
        EXPECT_EQ(publish(&id, &done), STATUS_OK);
        ready = store->slot->draft && draft_behind(store, AHEAD - 1);
    }
    for (uint32_t i = 0; i < count; i++)
        EXPECT(write_one(i, length));
}

static void expect_messages(message_id from, uint32_t count, size_t length)
{
    struct message message;
    for (uint32_t i = 0; i < count; i++) {
        EXPECT_EQ(mailbox_open(store, alice, from + i, &message), STATUS_OK);
        expect_message(store, &message, "bob", "", text + i % 100, length);
        message_release(store, &message);
    }
}

static void drafts_are_published_together_under_ids_in_order(void)
{
    message_id first;
    uint32_t count;
    open_mailbox(&plain);
    for (uint32_t several = 1; several <= AHEAD; several++) {
        write_several(several, 100);
        uint64_t before = mailbox_count(store, alice);
        message_id newest = mailbox_newest(store, alice);
        EXPECT_CLEAN(store);
        EXPECT_EQ(publish(&first, &count), STATUS_OK);
        EXPECT_EQ(count, several);
        EXPECT_EQ(first, newest + 1);
        EXPECT_EQ(mailbox_count(store, alice), before + several);
        EXPECT_EQ(mailbox_newest(store, alice), newest + several);
        expect_messages(first, several, 100);
        EXPECT_CLEAN(store);
    }
}

/* Whoever has seen any of them waits for the last one's record, with which all of them are on disk. */
static void readers_wait_for_the_last_one(void)
{
    static const struct store_options with_journal = {
        .directory = "journal", .crypt_cost = 1, .journal_bytes = 1 << 20};
    message_id first;
    uint32_t count;
    open_mailbox(&with_journal);
    write_several(AHEAD, 100);
    uint64_t before = store->header->journal.assigned;
    EXPECT_EQ(publish(&first, &count), STATUS_OK);
    EXPECT_EQ(store->header->journal.assigned, before + AHEAD);
    store->observed = 0;
    EXPECT_EQ(mailbox_newest(store, alice), first + AHEAD - 1);
    EXPECT_EQ(store->observed, before + AHEAD);
}

/* Where the field's change stands in the redo record, which stands until the next transaction. */
static uint32_t place_of(const void *field)
{
    uint64_t offset = (uint64_t)((const char *)field - (const char *)store->header);
    uint32_t place = 0;
    while (place < store->redo_count && (store->slot->redo[place].where & ~EIGHT_BYTES) != offset)
        place++;
    EXPECT(place < store->redo_count);
    return place;
}

/* The end is read without the lock, so it may not be seen before the mark of the record that it waits for. */
static void the_mark_comes_before_the_end(void)
{
    static const struct store_options with_journal = {
        .directory = "journal", .crypt_cost = 1, .journal_bytes = 1 << 20};
    message_id first;
    uint32_t count;
    open_mailbox(&with_journal);
    write_several(AHEAD, 100);
    EXPECT_EQ(publish(&first, &count), STATUS_OK);
    const struct account_record *record = account_at(store, alice.index);
    EXPECT(place_of(&record->changed) < place_of(&record->newest));
    EXPECT(place_of(&record->changed) < place_of(&record->count));
}

static void what_does_not_fit_behind_the_others_waits_for_them(void)
{
    message_id first;
    uint32_t count;
    struct letter too_long[] = {letter_of(0, 10), letter_of(0, 10), letter_of(0, sizeof(text) - 100)};
    too_long[0].sender_length = NAME_MAX_BYTES + 1;
    too_long[1].subject_length = SUBJECT_MAX + 1;
    open_mailbox(&plain);
    EXPECT(write_one(0, 100));
    EXPECT(!write_one(0, 100)); /* no size repeats yet */
    EXPECT_EQ(publish(&first, &count), STATUS_OK);
    write_several(AHEAD, 100);
    EXPECT(!write_one(0, 100));
    EXPECT_EQ(publish(&first, &count), STATUS_OK);
    EXPECT_EQ(count, AHEAD);
    write_several(2, 100);
    EXPECT(!write_one(0, 200)); /* of another size */
    for (size_t i = 0; i < sizeof(too_long) / sizeof(too_long[0]); i++)
        EXPECT(!draft_write_behind(store, written, &too_long[i]));
    EXPECT(write_one(2, 100));
    EXPECT_EQ(publish(&first, &count), STATUS_OK);
    EXPECT_EQ(count, 3);
    expect_messages(first, 3, 100);
    EXPECT_CLEAN(store);
}

/* Random groups, past the ends of leaves and nodes of the index. */
static void the_index_grows_within_a_group(void)
{
    enum { MESSAGES = 9000 };
    struct message message;
    message_id first;
    uint32_t count;
    uint32_t sent = 0, together = 0;
    open_mailbox(&plain);
    while (sent < MESSAGES) {
        for (uint32_t most = pick(AHEAD) + 1; written < most && write_one(sent + written, 20);)
            ;
        for (; written > 0; sent += count) {
            EXPECT_EQ(publish(&first, &count), STATUS_OK);
            EXPECT_EQ(first, sent + 1);
            together += count > 1;
        }
    }
    EXPECT(together > MESSAGES / AHEAD / 2);
    for (uint32_t i = 0; i < sent; i++) {
        EXPECT_EQ(mailbox_open(store, alice, i + 1, &message), STATUS_OK);
        expect_message(store, &message, "bob", "", text + i % 100, 20);
        message_release(store, &message);
    }
    EXPECT_CLEAN(store);
    while (mailbox_count(store, alice) > 0)
        EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    EXPECT_CLEAN(store);
}

static void those_before_a_full_mailbox_are_in_it(void)
{
    struct store_options options = plain;
    struct message message;
    message_id first;
    uint32_t count;
    options.quota_messages = 60;
    open_mailbox(&options);
    while (mailbox_count(store, alice) < 57) {
        EXPECT(write_one(0, 100));
        EXPECT_EQ(publish(&first, &count), STATUS_OK);
    }
    while (!draft_behind(store, AHEAD - 1)) { /* there is room for as many drafts */
        EXPECT(write_one(0, 100));
        EXPECT_EQ(publish(&first, &count), STATUS_OK);
        EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    }
    message_id newest = mailbox_newest(store, alice);
    for (uint32_t i = 0; i < 5; i++)
        EXPECT(write_one(i, 100));
    EXPECT_EQ(publish(&first, &count), STATUS_OK);
    EXPECT_EQ(count, 3);
    EXPECT_EQ(first, newest + 1);
    EXPECT_EQ(publish(&first, &count), STATUS_FULL_MAILBOX);
    EXPECT_CLEAN(store);
    draft_drop_first(store); /* the one that was refused; the next one finds room again */
    written--;
    EXPECT_CLEAN(store);
    EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    EXPECT_EQ(publish(&first, &count), STATUS_OK);
    EXPECT_EQ(count, 1);
    EXPECT_EQ(first, newest + 4);
    expect_messages(newest + 1, 3, 100);
    EXPECT_EQ(mailbox_open(store, alice, newest + 4, &message), STATUS_OK);
    expect_message(store, &message, "bob", "", text + 4, 100);
    message_release(store, &message);
    EXPECT_EQ(mailbox_count(store, alice), 60);
    EXPECT_CLEAN(store);
}

static void those_before_the_end_of_the_bytes_are_in_it(void)
{
    struct store_options options = plain;
    message_id first;
    uint32_t count;
    open_mailbox(&options);
    write_several(5, 100);
    store->quota_bytes = account_at(store, alice.index)->bytes + UINT64_C(3) * (100 + 3);
    EXPECT_EQ(publish(&first, &count), STATUS_OK);
    EXPECT_EQ(count, 3);
    EXPECT_EQ(publish(&first, &count), STATUS_FULL_MAILBOX);
    EXPECT_CLEAN(store);
}

static void those_before_the_last_id_are_in_it(void)
{
    message_id first;
    uint32_t count, done = 0;
    open_mailbox(&plain);
    write_several(5, 100);
    transaction_begin(store);
    set64(store, &account_at(store, alice.index)->newest, ID_MOST - 4);
    transaction_end(store, STATUS_OK);
    for (; done < 3; done += count) {
        EXPECT_EQ(publish(&first, &count), STATUS_OK);
        EXPECT_EQ(first, ID_MOST - 3 + done);
    }
    EXPECT_EQ(done, 3);
    EXPECT_EQ(publish(&first, &count), STATUS_FULL_MAILBOX);
    EXPECT_CLEAN(store);
}

/* Who waits is woken once, and says so again. */
static void a_group_ends_the_wait(void)
{
    message_id first;
    uint32_t count;
    open_mailbox(&plain);
    write_several(3, 100);
    struct account_record *record = account_at(store, alice.index);
    record->waited = 1;
    EXPECT_EQ(publish(&first, &count), STATUS_OK);
    EXPECT_EQ(record->waited, 0);
}

/* No message is lost or comes twice where the memory ends within a group, and what is freed serves again. */
static void memory_that_ends_within_a_group_is_told_of_the_first_without(void)
{
    struct store_options options = plain;
    message_id first;
    uint32_t count;
    options.segment_bytes = 4 << 20;
    options.accounts = 16;
    options.slots = 4;
    open_mailbox(&options);
    for (int round = 0; round < 3; round++) {
        enum status status = STATUS_OK;
        while (status == STATUS_OK) {
            struct letter letter = letter_of(0, 100);
            message_id newest = mailbox_newest(store, alice);
            status = written ? STATUS_OK : draft_write(store, &letter);
            written += written == 0 && status == STATUS_OK;
            while (status == STATUS_OK && written < AHEAD && draft_write_behind(store, written, &letter))
                written++;
            if (status == STATUS_OK)
                status = publish(&first, &count);
            if (status == STATUS_OK)
                EXPECT_EQ(mailbox_newest(store, alice), newest + count);
            else
                EXPECT_EQ(mailbox_newest(store, alice), newest);
        }
        EXPECT_EQ(status, STATUS_FULL_SEGMENT);
        EXPECT_EQ(mailbox_newest(store, alice) - mailbox_count(store, alice), (uint64_t)round * 5000);
        EXPECT_CLEAN(store);
        draft_drop(store);
        written = 0;
        EXPECT_CLEAN(store);
        for (int i = 0; i < 5000; i++)
            EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    }
}

static void drafts_for_an_account_that_is_gone_stay_and_are_given_back(void)
{
    message_id first;
    uint32_t count;
    open_mailbox(&plain);
    write_several(4, 100);
    struct account_secret secret = {.account = alice};
    EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
    EXPECT_EQ(publish(&first, &count), STATUS_GONE);
    EXPECT_CLEAN(store);
    alice = new_account(store, "alice");
    EXPECT_EQ(publish(&first, &count), STATUS_OK);
    EXPECT_EQ(count, 4);
    expect_messages(1, 4, 100);
    write_several(4, 100);
    draft_drop(store);
    EXPECT_EQ(store->slot->draft, 0);
    EXPECT_CLEAN(store);
}

static const struct harness_test tests[] = {
    {"drafts are published together under ids in order", drafts_are_published_together_under_ids_in_order},
    {"readers wait for the last one", readers_wait_for_the_last_one},
    {"the mark comes before the end", the_mark_comes_before_the_end},
    {"what does not fit behind the others waits for them",
     what_does_not_fit_behind_the_others_waits_for_them},
    {"the index grows within a group", the_index_grows_within_a_group},
    {"those before a full mailbox are in it", those_before_a_full_mailbox_are_in_it},
    {"those before the end of the bytes are in it", those_before_the_end_of_the_bytes_are_in_it},
    {"those before the last id are in it", those_before_the_last_id_are_in_it},
    {"a group ends the wait", a_group_ends_the_wait},
    {"memory that ends within a group is told of the first without",
     memory_that_ends_within_a_group_is_told_of_the_first_without},
    {"drafts for an account that is gone stay and are given back",
     drafts_for_an_account_that_is_gone_stay_and_are_given_back},
};

HARNESS_MAIN(tests)
