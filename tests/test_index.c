/* test_index.c: the tree from ids to messages, on its own with numbers for messages, and under a mailbox
 * whose ids are pushed apart by hand, since nobody can wait for the 2^60th message. */
#include "account_record.h"
#include "block.h"
#include "index.h"
#include "message.h"
#include "post_office.h"
#include "queue.h"
#include "random.h"
#include "transaction.h"

enum { IDS_MAX = 5000 };

static struct store *store;
static struct account_record *record;
static uint64_t ids[IDS_MAX]; /* what the index should hold, in order */
static size_t count;
static block_t message_of(uint64_t id)
{
    return (block_t)(id * 2654435761u >> 7) | 1;
}

/* Of an account of its own. */
static void open_index(uint64_t base)
{
    char name[32];
    if (!store)
        store = private_store();
    sprintf(name, "base%llu", (unsigned long long)base);
    record = account_at(store, new_account(store, name).index);
    record->base = base;
    count = 0;
}

/* How many nodes are allocated in the whole segment. */
static uint32_t nodes_in_use(void)
{
    uint32_t nodes = 0;
    for (uint32_t page = 0; page < store->header->pages_used; page++) {
        struct page_shape shape;
        if (block_page_shape(store->pages[page].word, &shape) && shape.size == sizeof(struct node))
            nodes += shape.used;
    }
    return nodes;
}

/* In one transaction. */
static void append_all(const uint64_t *more, size_t length)
{
    enum status status;
    do {
        struct index_leaf leaf = {0};
        transaction_begin(store);
        status = STATUS_OK;
        for (size_t i = 0; i < length && status == STATUS_OK; i++)
            status = index_append(store, record, more[i], message_of(more[i]), &leaf);
    } while (!transaction_finish(store, &status));
    EXPECT_EQ(status, STATUS_OK);
    for (size_t i = 0; i < length; i++) {
        EXPECT(count < IDS_MAX && (count == 0 || ids[count - 1] < more[i]));
        ids[count++] = more[i];
    }
}

static void append(uint64_t id)
{
    append_all(&id, 1);
}

static void remove_at(size_t which)
{
    enum status status = STATUS_OK;
    transaction_begin(store);
    index_remove(store, record, ids[which]);
    EXPECT(transaction_finish(store, &status));
    memmove(&ids[which], &ids[which + 1], (--count - which) * sizeof(ids[0]));
}

static void expect_next(uint64_t from)
{
    size_t which = 0;
    uint64_t id = 0;
    block_t message = 0;
    while (which < count && ids[which] < from)
        which++;
    EXPECT_EQ(index_next(store, record, from, &id, &message), which < count);
    if (which < count) {
        EXPECT_EQ(id, ids[which]);
        EXPECT_EQ(message, message_of(id));
    }
}

/* What is there is found, and what lies beside it is not. */
static void expect_index(void)
{
    for (size_t i = 0; i < count; i++) {
        EXPECT_EQ(index_find(store, record, ids[i]), message_of(ids[i]));
        if (ids[i] < UINT64_MAX && (i + 1 == count || ids[i + 1] != ids[i] + 1))
            EXPECT_EQ(index_find(store, record, ids[i] + 1), 0);
        if (i == 0 || ids[i - 1] != ids[i] - 1)
            EXPECT_EQ(index_find(store, record, ids[i] - 1), 0);
        expect_next(ids[i] - 1);
        expect_next(ids[i]);
        if (ids[i] < UINT64_MAX)
            expect_next(ids[i] + 1);
    }
    expect_next(0);
    expect_next(UINT64_MAX);
}

/* base, and ids around every power of two that is a boundary of some node. */
static void append_sparse(void)
{
    append(record->base);
    for (unsigned bits = 1; bits < 64; bits++)
        for (uint64_t position = (UINT64_C(1) << bits) - (bits > 1); position <= (UINT64_C(1) << bits) + 1;
             position++)
            if (record->base + position > ids[count - 1])
                append(record->base + position);
}

static void dense_ids_are_found(void)
{
    open_index(1000);
    for (uint64_t id = 1000; id < 1000 + 4200; id++)
        append(id);
    EXPECT_EQ(record->height, 3);
    EXPECT_EQ(nodes_in_use(), 66 + 2 + 1);
    expect_index();
}

static void sparse_ids_are_found_at_every_height(void)
{
    static const uint64_t bases[] = {1, 63, 12345678901, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        open_index(bases[i]);
        append_sparse();
        EXPECT_EQ(record->height, 11);
        expect_index();
    }
    open_index(0);
    append_sparse();
    append(UINT64_MAX - 1);
    append(UINT64_MAX);
    EXPECT_EQ(index_find(store, record, UINT64_MAX), message_of(UINT64_MAX));
    uint64_t id;
    block_t message;
    EXPECT(index_next(store, record, UINT64_MAX, &id, &message));
    EXPECT_EQ(id, UINT64_MAX);
}

/* The leaf of the one before, the next leaf, and one to which a path leads. */
static void ids_of_one_transaction_are_found(void)
{
    enum { TOGETHER = 8 };
    static const uint32_t steps[] = {1, 1, 1, 2, NODE_ENTRIES - 1, NODE_ENTRIES, NODE_ENTRIES + 1, 4000};
    open_index(77);
    uint64_t id = 77, together[TOGETHER];
    append(id);
    while (count + TOGETHER < IDS_MAX) {
        for (size_t i = 0; i < TOGETHER; i++)
            together[i] = id += pick(8) ? 1 : steps[pick(sizeof(steps) / sizeof(steps[0]))];
        append_all(together, TOGETHER);
    }
    expect_index();
}

static void next_is_right_from_every_point(void)
{
    open_index(1);
    for (uint64_t id = 1; id < 66000; id += 1 + pick(pick(8) ? 90 : 2000))
        append(id);
    for (uint64_t from = 0; from < 70000; from++)
        expect_next(from);
    while (count > 3) {
        remove_at(pick((uint32_t)count));
        for (int i = 0; i < 20; i++)
            expect_next(pick(70000));
    }
}

static void an_empty_index_has_nothing(void)
{
    open_index(5);
    EXPECT_EQ(index_find(store, record, 5), 0);
    expect_next(0);
    expect_next(5);
}

/* From the last entry of the root on there is none to carry into. */
static void beyond_the_last_entry_there_is_nothing(void)
{
    open_index(0);
    append(1);
    append((uint64_t)NODE_ENTRIES * NODE_ENTRIES - 2);
    EXPECT_EQ(record->height, 2);
    expect_next((uint64_t)NODE_ENTRIES * NODE_ENTRIES - 2);
    expect_next((uint64_t)NODE_ENTRIES * NODE_ENTRIES - 1);
    expect_next((uint64_t)NODE_ENTRIES * NODE_ENTRIES);
}

/* Every order of six ids in which nodes of several levels become empty one after the other. */
static void ids_are_removed_in_any_order(void)
{
    static const uint64_t positions[] = {0, 1, 64, 4096, 4097, UINT64_C(1) << 60};
    enum { COUNT = sizeof(positions) / sizeof(positions[0]), ORDERS = 720 };
    open_index(7);
    for (uint32_t order = 0; order < ORDERS; order++) {
        uint32_t rest = order;
        for (size_t i = 0; i < COUNT; i++)
            append(record->base + positions[i]);
        for (uint32_t left = COUNT; left > 0; left--) {
            remove_at(rest % left);
            rest /= left;
            for (size_t i = 0; i < COUNT; i++) {
                expect_next(record->base + positions[i]);
                expect_next(record->base + positions[i] + 1);
            }
        }
        EXPECT_EQ(record->height, 0);
        EXPECT_EQ(nodes_in_use(), 0);
    }
}

static void random_removals_leave_the_rest(void)
{
    open_index(1);
    append_sparse();
    while (count > 0) {
        remove_at(pick((uint32_t)count));
        expect_index();
    }
    EXPECT_EQ(nodes_in_use(), 0);
    for (int i = 0; i < 10; i++) {
        append(1 + (uint64_t)i);
        remove_at(0);
        EXPECT_EQ(nodes_in_use(), 1); /* a lone leaf stays */
    }
}

/* Whatever block it is that cannot be had on the way to a message far away: nothing has changed. */
static void without_room_for_a_path_the_index_stays_as_it_was(void)
{
    enum { FAR = 1 << 20, NODES = 3 + 3, EACH = PAGE / sizeof(struct node) };
    open_index(1);
    append(1);
    store->pages_most = store->header->pages_used; /* the page that the node has is the last one */
    for (uint32_t room = 0; room <= NODES; room++) {
        enum status status = STATUS_OK;
        block_t block;
        uint32_t left = EACH - nodes_in_use() - room;
        for (; left > 0 && status == STATUS_OK; left--) {
            transaction_begin(store);
            status = block_allocate(store, sizeof(struct node), &block);
            if (status == STATUS_OK) {
                set32(store, at(store, block), store->slot->draft);
                set32(store, &store->slot->draft, block);
            }
            EXPECT(transaction_finish(store, &status));
        }
        EXPECT_EQ(status, STATUS_OK);
        EXPECT_EQ(nodes_in_use(), EACH - room);
        transaction_begin(store);
        struct index_leaf leaf = {0};
        status = index_append(store, record, FAR, message_of(FAR), &leaf);
        EXPECT_EQ(status, room < NODES ? STATUS_FULL_SEGMENT : STATUS_OK);
        EXPECT(transaction_finish(store, &status));
        EXPECT_EQ(nodes_in_use(), room < NODES ? EACH - room : EACH);
        if (room < NODES)
            expect_index();
        draft_drop(store);
    }
    ids[count++] = FAR;
    expect_index();
}

/* ---- the end of an index ---- */

static size_t dropped;

static void expect_next_dropped(struct store *of, block_t message)
{
    EXPECT(of == store);
    EXPECT(dropped < count);
    EXPECT_EQ(message, message_of(ids[dropped]));
    dropped++;
}

static void dismantle(void)
{
    bool done = false;
    dropped = 0;
    while (!done) {
        enum status status = STATUS_OK;
        size_t before = dropped;
        transaction_begin(store);
        done = index_dismantle(store, record, expect_next_dropped);
        EXPECT(transaction_finish(store, &status));
        EXPECT(done || dropped > before);
    }
    EXPECT_EQ(dropped, count);
    EXPECT_EQ(record->height, 0);
    EXPECT_EQ(record->root, 0);
    EXPECT_EQ(nodes_in_use(), 0);
    count = 0;
}

static void dismantling_drops_each_message_once_and_every_node(void)
{
    open_index(1);
    dismantle();
    append_sparse();
    dismantle();
    for (uint64_t id = 1; id < 200000 && count < IDS_MAX; id += 1 + pick(60))
        append(id);
    dismantle();
    append(5);
    remove_at(0);
    dismantle(); /* the lone leaf */
}

/* ---- under a mailbox ---- */

/* As if so many messages had come and gone meanwhile. */
static void skip_to(uint64_t newest)
{
    enum status status = STATUS_OK;
    transaction_begin(store);
    set64(store, &record->newest, newest);
    EXPECT(transaction_finish(store, &status));
}

static void a_mailbox_grows_through_every_height(void)
{
    account_t alice = {1, 1};
    message_id id = 0;
    open_index(0);
    EXPECT_EQ(deliver(store, alice, "a", "", "first", 5, &id), STATUS_OK);
    for (uint32_t height = 1; height <= 11; height++) {
        uint64_t span = height < 11 ? UINT64_C(1) << (NODE_BITS * height) : ID_MOST - 8;
        skip_to(span - 1); /* of the base, which is 1: the last two that this height holds, and one more */
        for (uint64_t next = span; next <= span + 1; next++) {
            EXPECT_EQ(deliver(store, alice, "a", "", "more", 4, &id), STATUS_OK);
            EXPECT_EQ(id, next);
            EXPECT_EQ(record->height, next == span || height == 11 ? height : height + 1);
        }
        EXPECT_CLEAN(store);
    }
    for (uint64_t left = 23; left > 0; left--) {
        struct message message;
        EXPECT_EQ(mailbox_count(store, alice), left);
        EXPECT_EQ(mailbox_open(store, alice, id, &message), STATUS_OK);
        expect_message(store, &message, "a", "", "more", 4);
        message_release(store, &message);
        if (left > 1)
            EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
        EXPECT_CLEAN(store);
    }
    EXPECT_EQ(nodes_in_use(), 11);
    EXPECT_EQ(mailbox_delete(store, alice, id), STATUS_OK);
    EXPECT_EQ(nodes_in_use(), 0);
    EXPECT_CLEAN(store);
}

/* Leaves one free block on every page of the size, so that each node to come touches a page of its own. */
static void scatter_free_blocks(size_t size, uint32_t pages)
{
    uint32_t each = PAGE / (uint32_t)block_class_size(size);
    for (uint32_t i = 0; i < pages * each; i++) {
        enum status status;
        block_t block;
        do {
            transaction_begin(store);
            status = block_allocate(store, size, &block);
        } while (!transaction_finish(store, &status));
        EXPECT_EQ(status, STATUS_OK);
        if (i % each != 7)
            continue;
        *(block_t *)at(store, block) = store->slot->draft;
        store->slot->draft = block;
    }
    draft_drop(store);
}

static void the_widest_steps_fit_one_transaction(void)
{
    account_t alice = {1, 1};
    message_id id = 0;
    struct letter letter = {.sender = "a", .sender_length = 1, .body = "b", .body_length = 1};
    open_index(0);
    scatter_free_blocks(sizeof(struct node), 64);
    EXPECT_EQ(deliver(store, alice, "a", "", "first", 5, &id), STATUS_OK);
    skip_to(ID_MOST - 70);
    uint32_t before = nodes_in_use();
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_EQ(queue_push(store, alice), STATUS_OK);
    EXPECT_EQ(queue_store(store, alice, alice, &id), STATUS_OK);
    EXPECT_EQ(record->height, 11);
    EXPECT_EQ(nodes_in_use(), before + 20);
    EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    EXPECT_EQ(mailbox_delete(store, alice, id), STATUS_OK);
    EXPECT_EQ(record->height, 0);
    EXPECT_EQ(nodes_in_use(), before - 1);
}

/* The index grows a level, and each new node lies on a page of its own. */
static void a_group_that_takes_too_much_for_one_transaction_is_published_in_two(void)
{
    static const struct store_options with_journal = {
        .directory = "journal", .crypt_cost = 1, .journal_bytes = 1 << 20};
    enum { GROUP = 8 };
    struct letter letter = {.sender = "a", .sender_length = 1, .body = "b", .body_length = 1};
    uint64_t before = UINT64_C(1) << (NODE_BITS * 2); /* of the base, which is 1: full with two levels */
    message_id id = 0;
    uint32_t left = GROUP, done, parts = 0;
    store = attached_store(&with_journal);
    account_t bob = new_account(store, "bob");
    open_index(0);
    account_t alice = {2, 1};
    EXPECT_EQ(deliver(store, alice, "a", "", "b", 1, &id), STATUS_OK);
    skip_to(before - 11);
    EXPECT_EQ(deliver(store, alice, "a", "", "b", 1, &id), STATUS_OK);
    scatter_free_blocks(sizeof(struct node), 32);
    while (!store->slot->draft || !draft_behind(store, GROUP - 1)) /* as many have blocks for them ahead */
        EXPECT_EQ(deliver(store, bob, "a", "", "b", 1, &id), STATUS_OK);
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    for (uint32_t i = 1; i < GROUP; i++)
        EXPECT(draft_write_behind(store, i, &letter));
    skip_to(before);
    for (; left > 0; left -= done, parts++) {
        EXPECT_EQ(mailbox_append_drafts(store, alice, left, &id, &done), STATUS_OK);
        EXPECT_EQ(id, before + 1 + GROUP - left);
    }
    EXPECT_EQ(record->height, 3);
    EXPECT_EQ(parts, 2);
    for (id = before + 1; id <= before + GROUP; id++)
        EXPECT(index_find(store, record, id) != 0);
}

static const struct harness_test tests[] = {
    {"dense ids are found", dense_ids_are_found},
    {"sparse ids are found at every height", sparse_ids_are_found_at_every_height},
    {"ids of one transaction are found", ids_of_one_transaction_are_found},
    {"next is right from every point", next_is_right_from_every_point},
    {"an empty index has nothing", an_empty_index_has_nothing},
    {"beyond the last entry there is nothing", beyond_the_last_entry_there_is_nothing},
    {"ids are removed in any order", ids_are_removed_in_any_order},
    {"random removals leave the rest", random_removals_leave_the_rest},
    {"without room for a path the index stays as it was", without_room_for_a_path_the_index_stays_as_it_was},
    {"dismantling drops each message once and every node",
     dismantling_drops_each_message_once_and_every_node},
    {"a mailbox grows through every height", a_mailbox_grows_through_every_height},
    {"the widest steps fit one transaction", the_widest_steps_fit_one_transaction},
    {"a group that takes too much for one transaction is published in two",
     a_group_that_takes_too_much_for_one_transaction_is_published_in_two},
};

HARNESS_MAIN(tests)
