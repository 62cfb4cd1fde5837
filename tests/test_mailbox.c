/* test_mailbox.c: messages of every length, drafts, ids, listings in chunks, pins. */
#include "account.h"
#include "block.h"
#include "message.h"
#include "post_office.h"
#include "queue.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct store *store;
static account_t alice;

enum { BODY_MAX = 5 * BLOCK_MAX };
static char text[BODY_MAX + 64];

static void open_mailbox(void)
{
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 2654435761u >> 13);
    store = private_store();
    alice = new_account(store, "alice");
}

static uint32_t pages_in_use(void)
{
    struct store_figures figures;
    store_figures(store, &figures);
    return (uint32_t)(figures.pages_used - figures.pages_free);
}

static message_id deliver_number(uint32_t number)
{
    char body[16];
    message_id id = 0;
    int length = sprintf(body, "%u", number);
    EXPECT_EQ(deliver(store, alice, "bob", "", body, (size_t)length, &id), STATUS_OK);
    return id;
}

static void expect_number(struct message *message, uint32_t number)
{
    char body[16];
    int length = sprintf(body, "%u", number);
    expect_message(store, message, "bob", "", body, (size_t)length);
}

/* ---- texts ---- */

/* Two at once, so that a byte beyond the end of one would be seen in the other. */
static void expect_kept(const char *sender, const char *subject, size_t length)
{
    message_id ids[2] = {0};
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(deliver(store, alice, sender, subject, text + i, length, &ids[i]), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        struct message message;
        EXPECT_EQ(mailbox_open(store, alice, ids[i], &message), STATUS_OK);
        expect_message(store, &message, sender, subject, text + i, length);
        EXPECT_EQ(mailbox_delete(store, alice, ids[i]), STATUS_OK);
        expect_message(store, &message, sender, subject, text + i, length);
        message_release(store, &message);
    }
}

static void bodies_of_every_length_are_kept(void)
{
    static const size_t fixed[][2] = {{1, 0}, {5, 20}, {NAME_MAX_BYTES, SUBJECT_MAX}};
    char sender[NAME_MAX_BYTES + 1];
    char subject[SUBJECT_MAX + 1];
    open_mailbox();
    for (size_t kind = 0; kind < sizeof(fixed) / sizeof(fixed[0]); kind++) {
        memset(sender, 's', sizeof(sender));
        memset(subject, 'h', sizeof(subject));
        sender[fixed[kind][0]] = '\0';
        subject[fixed[kind][1]] = '\0';
        size_t both = fixed[kind][0] + fixed[kind][1];
        const size_t piece = BLOCK_MAX - 16;
        const size_t head = BLOCK_MAX - sizeof(struct message_record);
        for (size_t length = 0; length < 300; length++)
            expect_kept(sender, subject, length);
        for (size_t pieces = 0; pieces < 4; pieces++) {
            const size_t edges[] = {pieces * piece, pieces * piece + head - both, pieces * piece + head};
            for (size_t edge = 0; edge < sizeof(edges) / sizeof(edges[0]); edge++)
                for (size_t length = edges[edge] < 3 ? 0 : edges[edge] - 3; length < edges[edge] + 4;
                     length++)
                    expect_kept(sender, subject, length);
        }
        for (size_t length = 1000; length < BODY_MAX; length += 1013)
            expect_kept(sender, subject, length);
    }
    EXPECT_CLEAN(store);
}

static void a_long_text_takes_no_more_pieces_than_it_needs(void)
{
    open_mailbox();
    for (size_t body = 0; body < 200000; body += 7) {
        for (size_t fixed = 1; fixed <= NAME_MAX_BYTES + SUBJECT_MAX; fixed += 1449) {
            size_t in_head = message_head_text(fixed, body);
            size_t rest = fixed + body - in_head;
            size_t pieces = (rest + BLOCK_MAX - 17) / (BLOCK_MAX - 16);
            EXPECT(in_head >= fixed && in_head <= fixed + body);
            EXPECT(in_head + sizeof(struct message_record) <= BLOCK_MAX);
            EXPECT(pieces * BLOCK_MAX < fixed + body + BLOCK_MAX);
        }
    }
}

static void texts_over_their_limits_are_refused(void)
{
    static char subject[SUBJECT_MAX + 2];
    message_id id;
    open_mailbox();
    struct letter letter = {.sender = subject, .subject = subject, .body = text};
    letter.sender_length = NAME_MAX_BYTES + 1;
    EXPECT_EQ(draft_write(store, &letter), STATUS_TOO_LONG);
    letter.sender_length = NAME_MAX_BYTES;
    letter.subject_length = SUBJECT_MAX + 1;
    EXPECT_EQ(draft_write(store, &letter), STATUS_TOO_LONG);
    letter.subject_length = SUBJECT_MAX;
    letter.body_length = (size_t)MESSAGE_LIMIT_MAX + 1;
    EXPECT_EQ(draft_write(store, &letter), STATUS_TOO_LONG);
    letter.body_length = SIZE_MAX;
    EXPECT_EQ(draft_write(store, &letter), STATUS_TOO_LONG);
    EXPECT_CLEAN(store);
    letter.body_length = 0;
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_CLEAN(store);
    EXPECT_EQ(mailbox_append(store, alice, &id), STATUS_OK);
    EXPECT_EQ(id, 1);
    EXPECT_CLEAN(store);
}

static void a_draft_replaces_the_draft_before_it(void)
{
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = text, .body_length = 50000};
    open_mailbox();
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
        EXPECT_CLEAN(store);
    }
    EXPECT(pages_in_use() <= 5);
    draft_drop(store);
    draft_drop(store);
    EXPECT_CLEAN(store);
}

static size_t blocks_ahead(void)
{
    size_t count = 0;
    for (block_t block = store->slot->draft; block; block = *(block_t *)at(store, block))
        count++;
    return count;
}

/* Up to eight, and to 8 KiB. The second draft of a size asks for them; each that follows takes one, and the
 * last one asks again. */
static void blocks_are_kept_for_the_next_drafts_but_not_many(void)
{
    static const struct {
        size_t length, most;
    } sizes[] = {{100, 8}, {1000, 7}, {3000, 2}, {8000, 1}, {9000, 0}};
    message_id id;
    open_mailbox();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct letter letter = {
            .sender = "bob", .sender_length = 3, .body = text, .body_length = sizes[i].length};
        size_t most = 0;
        for (size_t sent = 0, before = 0; sent < 30; sent++) {
            EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
            EXPECT_EQ(mailbox_append(store, alice, &id), STATUS_OK);
            EXPECT(sent == 0 ? blocks_ahead() == 0 : before <= 1 || blocks_ahead() == before - 1);
            before = blocks_ahead();
            most = before > most ? before : most;
            EXPECT_CLEAN(store);
        }
        EXPECT_EQ(most, sizes[i].most);
    }
}

/* What is kept for the next drafts is of the right size, and goes with the process. */
static void drafts_of_one_size_have_their_block_ready(void)
{
    static const size_t lengths[] = {100,   100,   100, 101,   5000,  5000, 5000,
                                     60000, 60000, 100, 20000, 20000, 100,  100};
    static const bool ready[] = {false, true,  true,  true,  false, true,  true,
                                 false, false, false, false, false, false, true};
    struct message message;
    message_id id;
    open_mailbox();
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct letter letter = {
            .sender = "bob", .sender_length = 3, .body = text + i, .body_length = lengths[i]};
        EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
        EXPECT_CLEAN(store);
        EXPECT_EQ(mailbox_append(store, alice, &id), STATUS_OK);
        EXPECT_EQ(store->slot->draft != 0, ready[i]);
        EXPECT_CLEAN(store);
    }
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        EXPECT_EQ(mailbox_open(store, alice, i + 1, &message), STATUS_OK);
        expect_message(store, &message, "bob", "", text + i, lengths[i]);
        message_release(store, &message);
    }
    store_detach(store);
    EXPECT_EQ(store_attach(store, "again"), STATUS_OK);
    EXPECT_EQ(store->slot->draft, 0);
    EXPECT_CLEAN(store);
}

/* So that processes that send at the same time do not write to the same memory. What is left of the page goes
 * with the process, or when it turns to another size. */
static void who_sends_on_gets_the_rest_of_a_page(void)
{
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = text, .body_length = 100};
    message_id id;
    block_t before = 0;
    size_t behind = 0;
    open_mailbox();
    for (size_t round = 0; round < 2; round++) {
        for (size_t sent = 0; sent < 1000; sent++) {
            EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
            EXPECT_EQ(mailbox_append(store, alice, &id), STATUS_OK);
            behind += store->slot->draft == before + store->draft_block / UNIT;
            before = store->slot->draft;
            EXPECT(sent < 30 || store->slot->draft);
            if (sent % 100 == 50)
                EXPECT_CLEAN(store);
        }
        EXPECT(store->slot->run);
        EXPECT(behind > 950 * (round + 1));
        while (mailbox_count(store, alice) > 0) /* so that the next ones come where these were */
            EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
        letter.body_length = 200;
    }
    letter.body_length = 100;
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_EQ(store->slot->run, 0);
    EXPECT_CLEAN(store);
    const struct slot *slot = store->slot;
    for (size_t sent = 0; !slot->run; sent++) { /* what was freed comes first */
        EXPECT(sent < PAGE / 100);
        EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
        EXPECT_EQ(mailbox_append(store, alice, &id), STATUS_OK);
    }
    store_detach(store);
    EXPECT_EQ(slot->run, 0);
    EXPECT_CLEAN(store);
    EXPECT_EQ(store_attach(store, "again"), STATUS_OK);
    for (size_t sent = 0; sent < 5; sent++) { /* it is not the one that has sent on */
        EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
        EXPECT_EQ(mailbox_append(store, alice, &id), STATUS_OK);
        EXPECT_EQ(store->drafts_alike, sent);
    }
}

/* ---- the FIFO ---- */

static void there_is_a_last_id(void)
{
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = text, .body_length = 4};
    message_id id = 0;
    open_mailbox();
    struct account_record *record = account_at(store, alice.index);
    record->newest = record->queue_newest = ID_MOST - 2;
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
        EXPECT_EQ(queue_push(store, alice), i == 0 ? STATUS_OK : STATUS_FULL_QUEUE);
        EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
        EXPECT_EQ(mailbox_append(store, alice, &id), i == 0 ? STATUS_OK : STATUS_FULL_MAILBOX);
        EXPECT(i > 0 || id == ID_MOST - 1);
        EXPECT_CLEAN(store);
    }
    EXPECT_EQ(queue_store(store, alice, alice, &id), STATUS_FULL_MAILBOX);
    EXPECT_CLEAN(store);
    record->newest = ID_MOST;
    EXPECT_EQ(store_check(store, print_finding, NULL), 1);
    record->newest = ID_MOST - 1;
    record->queue_newest = ID_MOST;
    EXPECT_EQ(store_check(store, print_finding, NULL), 1);
}

static void ids_only_grow(void)
{
    struct message message;
    open_mailbox();
    EXPECT_EQ(mailbox_newest(store, alice), 0);
    EXPECT_EQ(mailbox_first(store, alice, &message), STATUS_NO_MESSAGE);
    EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_NO_MESSAGE);
    EXPECT_EQ(mailbox_open(store, alice, 0, &message), STATUS_NO_MESSAGE);
    EXPECT_EQ(mailbox_delete(store, alice, 0), STATUS_NO_MESSAGE);
    for (uint32_t round = 0; round < 70; round++) {
        EXPECT_EQ(deliver_number(round), 2 * round + 1);
        EXPECT_EQ(deliver_number(round), 2 * round + 2);
        EXPECT_EQ(mailbox_delete(store, alice, 2 * round + 2), STATUS_OK);
        EXPECT_EQ(mailbox_open(store, alice, 2 * round + 2, &message), STATUS_NO_MESSAGE);
        EXPECT_EQ(mailbox_open(store, alice, UINT64_MAX, &message), STATUS_NO_MESSAGE);
        if (round % 3 == 0)
            EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
        EXPECT_EQ(mailbox_newest(store, alice), 2 * round + 2);
    }
}

static void a_listing_in_chunks_survives_deletions_and_arrivals(void)
{
    enum { MESSAGES = 7 * 71, CHUNK = 20 };
    struct message messages[CHUNK];
    open_mailbox();
    for (uint32_t i = 1; i <= MESSAGES; i++)
        EXPECT_EQ(deliver_number(i), i);
    message_id after = 0;
    message_id newest = mailbox_newest(store, alice);
    size_t got = 0;
    size_t count;
    for (count = 1; count > 0; got += count) {
        EXPECT_EQ(mailbox_list(store, alice, after, newest, messages, CHUNK, &count), STATUS_OK);
        EXPECT_EQ(message_pins(store), count);
        for (size_t i = 0; i < count; i++) {
            EXPECT(messages[i].id > after && messages[i].id <= newest);
            EXPECT(messages[i].id % 7 != 0 || messages[i].id <= CHUNK);
            after = messages[i].id;
            EXPECT_EQ(mailbox_delete(store, alice, after), STATUS_OK);
            expect_number(&messages[i], (uint32_t)after);
        }
        if (got == 0)
            for (message_id id = 7 * (after / 7 + 1); id <= newest; id += 7)
                EXPECT_EQ(mailbox_delete(store, alice, id), STATUS_OK);
        deliver_number(1);
        EXPECT_CLEAN(store);
        message_release_all(store);
    }
    EXPECT_EQ(mailbox_list(store, alice, UINT64_MAX, UINT64_MAX, messages, CHUNK, &count), STATUS_OK);
    EXPECT_EQ(count, 0);
    EXPECT_EQ(got, MESSAGES - (MESSAGES / 7 - CHUNK / 7));
    EXPECT_EQ(mailbox_count(store, alice), got / CHUNK + 1 + (got % CHUNK > 0));
    EXPECT_CLEAN(store);
}

static void pins_have_a_limit_and_hold_what_was_deleted(void)
{
    struct message messages[PINS_MAX + 1];
    size_t count;
    open_mailbox();
    for (uint32_t i = 1; i <= PINS_MAX + 1; i++)
        deliver_number(i);
    for (uint32_t i = 1; i <= PINS_MAX; i++)
        EXPECT_EQ(mailbox_open(store, alice, i, &messages[i]), STATUS_OK);
    EXPECT_EQ(mailbox_first(store, alice, &messages[0]), STATUS_NO_MEMORY);
    EXPECT_EQ(mailbox_list(store, alice, 0, 100, &messages[0], 1, &count), STATUS_NO_MEMORY);
    for (uint32_t i = 1; i <= PINS_MAX; i++)
        EXPECT_EQ(mailbox_delete(store, alice, i), STATUS_OK);
    EXPECT_CLEAN(store);
    for (uint32_t i = 1; i <= PINS_MAX; i++)
        expect_number(&messages[i], i);
    for (uint32_t i = 1; i <= PINS_MAX; i += 2)
        message_release(store, &messages[i]);
    EXPECT_EQ(message_pins(store), PINS_MAX / 2);
    for (uint32_t i = 2; i <= PINS_MAX; i += 2)
        expect_number(&messages[i], i);
    EXPECT_EQ(mailbox_list(store, alice, 0, 100, messages, PINS_MAX, &count), STATUS_OK);
    EXPECT_EQ(count, 1);
    message_release_all(store);
    EXPECT_CLEAN(store);
}

/* A chunk ends where no more may be pinned, in a mailbox and in a queue. */
static void a_listing_ends_where_the_pins_do(void)
{
    struct message messages[PINS_MAX + 1], held;
    size_t count;
    open_mailbox();
    for (uint32_t i = 1; i <= PINS_MAX; i++) {
        deliver_number(i);
        EXPECT_EQ(draft_write(store, &(struct letter){.sender = "bob", .sender_length = 3}), STATUS_OK);
        EXPECT_EQ(queue_push(store, alice), STATUS_OK);
    }
    EXPECT_EQ(mailbox_first(store, alice, &held), STATUS_OK);
    EXPECT_EQ(mailbox_list(store, alice, 0, UINT64_MAX, messages, PINS_MAX + 1, &count), STATUS_OK);
    EXPECT_EQ(count, PINS_MAX - 1);
    EXPECT_EQ(messages[count - 1].id, PINS_MAX - 1);
    message_release_all(store);
    EXPECT_EQ(mailbox_first(store, alice, &held), STATUS_OK);
    EXPECT_EQ(queue_list(store, alice, messages, PINS_MAX + 1, &count), STATUS_OK);
    EXPECT_EQ(count, PINS_MAX - 1);
    EXPECT_EQ(messages[0].id, PINS_MAX);
    EXPECT_EQ(messages[count - 1].id, 2);
    EXPECT_EQ(queue_list(store, alice, messages, 1, &count), STATUS_NO_MEMORY);
    EXPECT_EQ(count, 0);
    message_release_all(store);
    EXPECT_CLEAN(store);
}

/* What has the same id in another mailbox, what is first no more, what was not pinned last or by nobody, and
 * what somebody may be changing: none is the first message again. */
static void the_first_message_is_told_again_while_it_is_first(void)
{
    struct message first, second, of_bob, again;
    open_mailbox();
    account_t bob = new_account(store, "bob");
    deliver_number(1);
    deliver_number(2);
    EXPECT_EQ(deliver(store, bob, "bob", "", "1", 1, &of_bob.id), STATUS_OK);
    EXPECT_EQ(mailbox_first(store, alice, &first), STATUS_OK);
    deliver_number(3);
    EXPECT(mailbox_first_again(store, alice, &again));
    EXPECT_EQ(again.id, 1);
    expect_number(&again, 1);
    EXPECT_EQ(message_pins(store), 1);
    EXPECT(!mailbox_first_again(store, bob, &again));
    store->header->owner = store->me + 1;
    EXPECT(!mailbox_first_again(store, alice, &again));
    store->header->owner = 0;
    EXPECT_EQ(mailbox_open(store, alice, 2, &second), STATUS_OK);
    EXPECT(!mailbox_first_again(store, alice, &again));
    message_release(store, &second);
    EXPECT(mailbox_first_again(store, alice, &again));
    EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    EXPECT(!mailbox_first_again(store, alice, &again));
    message_release_all(store);
    EXPECT(!mailbox_first_again(store, alice, &again));
    EXPECT_EQ(mailbox_first(store, bob, &of_bob), STATUS_OK);
    EXPECT_EQ(mailbox_delete_first(store, bob), STATUS_OK);
    EXPECT_EQ(mailbox_count(store, bob), 0);
    EXPECT(!mailbox_first_again(store, bob, &again));
    message_release_all(store);
    EXPECT_CLEAN(store);
}

static void the_mailbox_of_a_removed_account_is_gone(void)
{
    struct account_secret secret;
    struct message message;
    uint64_t held;
    size_t count = 1;
    open_mailbox();
    deliver_number(1);
    EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
    EXPECT_EQ(mailbox_first(store, alice, &message), STATUS_OK);
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
    EXPECT(!mailbox_first_again(store, alice, &message));
    message_release_all(store);
    EXPECT_EQ(mailbox_list(store, alice, 0, UINT64_MAX, &message, 1, &count), STATUS_GONE);
    EXPECT_EQ(count, 0);
    count = 1;
    EXPECT_EQ(queue_list(store, alice, &message, 1, &count), STATUS_GONE);
    EXPECT_EQ(count, 0);
    EXPECT_EQ(mailbox_first(store, alice, &message), STATUS_GONE);
    EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_GONE);
    EXPECT_EQ(mailbox_wait(store, alice, 1, INT64_MAX, NULL, NULL, NULL, &held), STATUS_GONE);
    EXPECT_EQ(held, 0);
    EXPECT_EQ(message_pins(store), 0);
    EXPECT_CLEAN(store);
}

static void release_twice(void)
{
    struct message message;
    EXPECT_EQ(mailbox_first(store, alice, &message), STATUS_OK);
    message_release(store, &message);
    message_release(store, &message);
}

static void append_without_draft(void)
{
    message_id id;
    mailbox_append(store, alice, &id);
}

static void queue_without_draft(void)
{
    queue_push(store, alice);
}

/* What only a fault in our own code can ask for. */
static void misuse_aborts_and_harms_nobody_else(void)
{
    static void (*const misuses[])(void) = {release_twice, append_without_draft, queue_without_draft};
    open_mailbox();
    deliver_number(1);
    for (size_t i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++) {
        int status;
        pid_t pid = fork();
        EXPECT(pid >= 0);
        if (pid == 0) {
            EXPECT_EQ(store_attach(store, "faulty"), STATUS_OK);
            misuses[i]();
            _exit(0);
        }
        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        EXPECT_EQ(mailbox_count(store, alice), 1);
        EXPECT_CLEAN(store);
    }
}

static void a_queued_message_is_stored_while_it_is_read(void)
{
    struct message message;
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = text, .body_length = 40000};
    message_id id;
    size_t count;
    open_mailbox();
    account_t bob = new_account(store, "bob");
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_EQ(queue_push(store, bob), STATUS_OK);
    EXPECT_EQ(queue_list(store, bob, &message, 1, &count), STATUS_OK);
    EXPECT_EQ(count, 1);
    EXPECT_EQ(queue_store(store, bob, bob, &id), STATUS_OK);
    EXPECT_EQ(queue_store(store, bob, alice, &id), STATUS_NOTHING_QUEUED);
    EXPECT_EQ(mailbox_delete_first(store, bob), STATUS_OK);
    EXPECT_CLEAN(store);
    expect_message(store, &message, "bob", "", text, 40000);
    message_release(store, &message);
    EXPECT_CLEAN(store);
}

static const struct harness_test tests[] = {
    {"bodies of every length are kept", bodies_of_every_length_are_kept},
    {"a long text takes no more pieces than it needs", a_long_text_takes_no_more_pieces_than_it_needs},
    {"texts over their limits are refused", texts_over_their_limits_are_refused},
    {"a draft replaces the draft before it", a_draft_replaces_the_draft_before_it},
    {"blocks are kept for the next drafts, but not many", blocks_are_kept_for_the_next_drafts_but_not_many},
    {"who sends on gets the rest of a page", who_sends_on_gets_the_rest_of_a_page},
    {"drafts of one size have their block ready", drafts_of_one_size_have_their_block_ready},
    {"there is a last id", there_is_a_last_id},
    {"ids only grow", ids_only_grow},
    {"a listing in chunks survives deletions and arrivals",
     a_listing_in_chunks_survives_deletions_and_arrivals},
    {"pins have a limit and hold what was deleted", pins_have_a_limit_and_hold_what_was_deleted},
    {"a listing ends where the pins do", a_listing_ends_where_the_pins_do},
    {"the first message is told again while it is first", the_first_message_is_told_again_while_it_is_first},
    {"the mailbox of a removed account is gone", the_mailbox_of_a_removed_account_is_gone},
    {"misuse aborts and harms nobody else", misuse_aborts_and_harms_nobody_else},
    {"a queued message is stored while it is read", a_queued_message_is_stored_while_it_is_read},
};

HARNESS_MAIN(tests)
