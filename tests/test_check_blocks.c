/* test_check_blocks.c: the check finds each kind of damage to pages and blocks, and stands whatever it meets.
 */
#include "damage.h"
#include "random.h"

#include <sys/wait.h>
#include <unistd.h>

static void damage_to_a_message_is_found(void)
{
    make_post_office();
    struct message_record *const messages[] = {listed, queued, limbo, pinned};
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        struct message_record *message = messages[i];
        struct piece *piece = at(store, message->pieces);
        printf("message %zu\n", i);
        DAMAGE32(message->pieces);
        DAMAGE32(message->pins);
        DAMAGE32(piece->link);
        piece = at(store, piece->link ? piece->link : message->pieces);
        DAMAGE32(piece->link);
        if (message == listed)
            DAMAGE64(message->id);
        if (message == queued) {
            message->id++;
            damaging = "the id of a queued message";
            expect_found("one more");
            message->id--;
        }
        if (message == limbo || message == queued)
            DAMAGE32(message->link);
        if (message == limbo || message == pinned)
            continue;
        DAMAGE32(message->owner);
        DAMAGE32(message->body_length);
        DAMAGE32(message->shape);
    }
}

static void damage_to_an_index_is_found(void)
{
    make_post_office();
    struct node *leaf = at(store, root->entry[0]);
    DAMAGE64(root->present);
    DAMAGE32(root->entry[0]);
    DAMAGE32(root->entry[1]);
    DAMAGE64(leaf->present);
    for (uint32_t entry = 0; entry < NODE_ENTRIES; entry++)
        DAMAGE32(leaf->entry[entry]);
}

static void damage_to_pages_is_found(void)
{
    make_post_office();
    for (uint32_t page = 0; page < store->header->pages_used; page++) {
        struct page_shape shape;
        printf("page %u\n", page);
        bool is_used = block_page_shape(store->pages[page].word, &shape);
        DAMAGE64(store->pages[page].word);
        if (is_used && shape.used == shape.blocks)
            continue; /* on no list */
        DAMAGE32(store->pages[page].next);
        if (!is_used)
            continue;
        DAMAGE32(store->pages[page].prev);
        if (shape.first_free)
            DAMAGE32(*(uint32_t *)(void *)(store->base + store->arena + (uint64_t)page * PAGE +
                                           (uint64_t)(shape.first_free - 1) * shape.size));
    }
}

/* Without a block for a draft. */
static void leave_a_run_alone(void)
{
    struct slot *slot = store->slot;
    while (!slot->run)
        deliver_bytes((account_t){(uint32_t)(alice - account_at(store, 0)), alice->generation}, 100);
    transaction_begin(store);
    for (block_t block = slot->draft; block; block = *(block_t *)at(store, block))
        block_free(store, block);
    set32(store, &slot->draft, 0);
    transaction_end(store, STATUS_OK);
}

static void damage_to_a_slot_is_found(void)
{
    make_post_office();
    struct slot *slot = store->slot;
    DAMAGE32(slot->draft);
    DAMAGE32(*(uint32_t *)at(store, slot->draft));
    DAMAGE32(slot->pins);
    DAMAGE32(slot->pinned[0]);
    DAMAGE32(slot->pinned[1]);
    DAMAGE64(slot->redo_count);
    while (!slot->run)
        deliver_bytes((account_t){(uint32_t)(alice - account_at(store, 0)), alice->generation}, 100);
    DAMAGE32(slot->run);
    slot->entered.index = store->header->accounts_most + 1;
    expect_found("entered");
    slot->entered.index = 0;
    slot->life -= 1;
    expect_found("life");
    slot->life += 1;
    EXPECT_CLEAN(store);
    draft_drop(store);
    message_release_all(store);
    leave_a_run_alone();
    EXPECT_CLEAN(store);
    slot->life -= 1;
    expect_found("a run of nobody");
    slot->life += 1;
    draft_drop(store);
    EXPECT_EQ(slot->run, 0);
    EXPECT_CLEAN(store);
    leave_a_run_alone();
    store_detach(store);
    EXPECT_EQ(slot->run, 0);
    EXPECT_CLEAN(store);
}

/* ---- damage that leaves all counts true ---- */

static void transact(void (*change)(void))
{
    enum status status = STATUS_OK;
    do {
        transaction_begin(store);
        change();
    } while (!transaction_finish(store, &status));
    EXPECT_EQ(status, STATUS_OK);
}

static void free_what_is_in_use(void)
{
    block_free(store, alice->identity);
}

static void free_last_piece(void)
{
    struct piece *before_last = at(store, queued->pieces);
    while (((struct piece *)at(store, before_last->link))->link)
        before_last = at(store, before_last->link);
    block_free(store, before_last->link);
    set32(store, &before_last->link, 0);
}

static void hang_in_empty_node(void)
{
    block_t block;
    EXPECT_EQ(block_allocate(store, sizeof(struct node), &block), STATUS_OK);
    set64(store, &((struct node *)at(store, block))->present, 0);
    set32(store, &root->entry[63], block);
    set64(store, &root->present, root->present | UINT64_C(1) << 63);
}

static void list_what_is_in_limbo(void)
{
    set32(store, &limbo->shape, message_with_state(limbo->shape, MESSAGE_LISTED));
}

static void write_what_was_never_given(void)
{
    set64(store, &store->header->journal.written, 1);
    set32(store, &store->header->journal.on, 1);
}

static void await_what_is_no_message(void)
{
    set64(store, &store->header->journal.assigned, 1);
    set32(store, &store->header->journal.on, 1);
    store->ring[1].message = UINT32_MAX;
}

static void damage_that_leaves_all_counts_true_is_found(void)
{
    static const struct {
        const char *what;
        void (*change)(void);
    } damages[] = {
        {"a block is free and in use", free_what_is_in_use},
        {"a piece is missing", free_last_piece},
        {"an empty node is in the index", hang_in_empty_node},
        {"a message in limbo is listed", list_what_is_in_limbo},
        {"the journal is ahead of itself", write_what_was_never_given},
        {"the journal waits for what is no message", await_what_is_no_message},
    };
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        int status;
        pid_t pid = fork();
        EXPECT(pid >= 0);
        if (pid == 0) {
            make_post_office();
            damaging = damages[i].what;
            transact(damages[i].change);
            expect_found("all else is true");
            _exit(0);
        }
        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        EXPECT_EQ(status, 0);
    }
}

/* ---- whatever it meets ---- */

/* Up to eight words anywhere in the tables or the arena, with values that look like references. */
static void no_damage_breaks_the_check(void)
{
    enum { ROUNDS = 3000, SCRIBBLES = 8 };
    make_post_office();
    struct header *header = store->header;
    const struct {
        void *start;
        size_t bytes;
    } areas[] = {
        {&header->accounts_used, sizeof(*header) - offsetof(struct header, accounts_used)},
        {account_at(store, 0), (header->accounts_used + 2) * sizeof(struct account_record)},
        {session_at(store, 0), (header->sessions_used + 2) * sizeof(struct session_record)},
        {store->pages, (header->pages_used + 1) * sizeof(struct page_record)},
        {store->name_buckets, 4096},
        {&header->journal, sizeof(header->journal)},
        {store->ring, 16 * sizeof(store->ring[0])},
        {&store->slot->draft, offsetof(struct slot, redo) - offsetof(struct slot, draft)},
        {root, sizeof(*root)},
        {store->base + store->arena, (size_t)header->pages_used * PAGE},
    };
    const uint32_t pages = header->pages_used;
    size_t found = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t *where[SCRIBBLES];
        uint32_t was[SCRIBBLES];
        uint32_t count = 1 + pick(SCRIBBLES);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t area = pick(sizeof(areas) / sizeof(areas[0]));
            where[i] = (uint32_t *)areas[area].start + pick((uint32_t)(areas[area].bytes / 4));
            was[i] = *where[i];
            const uint32_t values[] = {pick(UINT32_MAX), pick(16), was[i] ^ 1u << pick(32),
                                       (uint32_t)(store->arena / UNIT) + pick(pages * PAGE / UNIT)};
            *where[i] = values[pick(sizeof(values) / sizeof(values[0]))];
        }
        found += findings() > 0;
        for (uint32_t i = count; i-- > 0;)
            *where[i] = was[i];
    }
    EXPECT(found > ROUNDS / 2);
    EXPECT_CLEAN(store);
}

static const struct harness_test tests[] = {
    {"damage to a message is found", damage_to_a_message_is_found},
    {"damage to an index is found", damage_to_an_index_is_found},
    {"damage to pages is found", damage_to_pages_is_found},
    {"damage to a slot is found", damage_to_a_slot_is_found},
    {"damage that leaves all counts true is found", damage_that_leaves_all_counts_true_is_found},
    {"no damage breaks the check", no_damage_breaks_the_check},
};

HARNESS_MAIN(tests)
