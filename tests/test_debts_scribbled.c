/* test_debts_scribbled.c: slots whose dead processes owe what cannot be: whoever comes to settle them leaves
 * that to a check, and whoever checks leads nobody astray. */
#include "account.h"
#include "block.h"
#include "layout.h"
#include "process.h"
#include "segment.h"

#include "hostile.h"
#include "named_segment.h"

static void see_report(void *context, const char *text)
{
    (void)context;
    EXPECT(*text != '\0');
}

static void expect_left(const struct slot *slot, uint64_t life)
{
    EXPECT(store->slot != slot);
    EXPECT(store_is_suspect(store));
    EXPECT(slot->life > life); /* it was taken, */
    EXPECT(slot->life % 2);    /* and left in use */
    EXPECT_EQ(store_acquit(store, see_report, NULL), STATUS_DAMAGED);
}

/* One who dies leaves a field so; it is seen by whoever claims its slot, and by whoever reclaims it. */
static void expect_debt_to_be_left(uint32_t *field, uint32_t value)
{
    struct slot *slot = store->slot;
    uint64_t life = slot->life;
    uint32_t right = *field;
    *field = value;
    segment_free_slot(store, slot_index(store, slot));
    EXPECT_EQ(store_attach(store, "reclaims"), STATUS_OK);
    expect_left(slot, life);
    *field = right;
    EXPECT_EQ(store_acquit(store, print_finding, NULL), STATUS_OK);
    *field = value;
    life = slot->life;
    store_detach(store);
    store->header->slot_map[0] = 0;
    EXPECT_EQ(store_attach(store, "claims"), STATUS_OK);
    expect_left(slot, life);
    *field = right;
    EXPECT_EQ(store_acquit(store, print_finding, NULL), STATUS_OK);
    store_detach(store);
    store->header->slot_map[0] = 0;
    EXPECT_EQ(store_attach(store, "settles"), STATUS_OK);
    EXPECT(store->slot == slot);
    EXPECT_EQ(slot->draft, 0);
    EXPECT_CLEAN(store);
}

static void debts_that_cannot_be_are_left(void)
{
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = "body", .body_length = 4};
    store = attached_store(
        &(struct store_options){.segment_bytes = 64 << 20, .accounts = 10, .slots = 4, .crypt_cost = 1});
    struct slot *slot = store->slot;
    uint32_t *const fields[] = {&slot->entered.index, &slot->pins, &slot->run, &slot->draft};
    block_t unused = (block_t)((store->arena + PAGE) / UNIT);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        expect_debt_to_be_left(fields[i], UINT32_MAX);
    slot->pinned[0] = UINT32_MAX;
    expect_debt_to_be_left(&slot->pins, 1);
    /* In a page that was never taken, whatever its word. */
    const uint64_t words[] = {0, 1, UINT64_MAX};
    EXPECT_EQ(segment_reserve(store, (uint64_t)unused * UNIT, 1), STATUS_OK);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        store->pages[1].word = words[i];
        expect_debt_to_be_left(&slot->run, unused);
    }
    store->pages[1].word = 0;
    /* Nor in one without memory behind it. */
    uint64_t last = store->arena + (uint64_t)(store->pages_most - 1) * PAGE;
    EXPECT(!segment_has(store, last));
    expect_debt_to_be_left(&slot->run, (block_t)(last / UNIT));
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    expect_debt_to_be_left(at(store, slot->draft), slot->draft); /* again and again the same */
}

/* The first block of the page that was never handed out. */
static block_t fresh_block(block_t in_page)
{
    struct page_shape shape;
    uint64_t page = ((uint64_t)in_page * UNIT - store->arena) / PAGE;
    EXPECT(block_page_shape(store->pages[page].word, &shape));
    EXPECT(shape.fresh < shape.blocks);
    return (block_t)((store->arena + page * PAGE + (uint64_t)shape.fresh * shape.size) / UNIT);
}

/* A run, a draft and a pin, of the account's first message. */
static void owe(account_t account)
{
    enum { ALIKE = 40 };
    struct message message;
    message_id id;
    for (int i = 0; i < ALIKE; i++)
        EXPECT_EQ(deliver(store, account, "bob", "", "body", 4, &id), STATUS_OK);
    EXPECT_EQ(mailbox_first(store, account, &message), STATUS_OK);
    EXPECT(store->slot->run && store->slot->draft && store->slot->pins == 1);
}

static void fill_page(account_t account)
{
    message_id id;
    for (size_t i = 0; i < PAGE / sizeof(struct message_record); i++)
        EXPECT_EQ(deliver(store, account, "bob", "", "body", 4, &id), STATUS_OK);
}

/* All of these lie in pages that are in use. */
static void debts_that_are_not_owed_or_owed_twice_are_left(void)
{
    store = attached_store(
        &(struct store_options){.segment_bytes = 64 << 20, .accounts = 10, .slots = 4, .crypt_cost = 1});
    struct slot *slot = store->slot;
    struct message first;
    account_t alice = new_account(store, "alice");
    block_t identity = account_at(store, alice.index)->identity;
    expect_debt_to_be_left(&slot->run, identity); /* behind it others may have blocks */
    expect_debt_to_be_left(&slot->draft, fresh_block(identity));
    expect_debt_to_be_left(&slot->draft, identity + 1);
    owe(alice);
    EXPECT(!block_in_run(store, slot->run + PAGE / UNIT, slot->run));
    expect_debt_to_be_left(&slot->pinned[0], slot->run);
    owe(alice);
    expect_debt_to_be_left(&slot->draft, slot->run);
    owe(alice);
    expect_debt_to_be_left(&slot->draft, slot->pinned[0]);
    fill_page(alice);
    EXPECT_EQ(mailbox_first(store, alice, &first), STATUS_OK);
    block_t in_full_page = (block_t)first.reference;
    message_release_all(store);
    EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    expect_debt_to_be_left(&slot->run, in_full_page); /* and free */
}

static void die_with_draft(void)
{
    const struct letter letter = {.sender = "bob", .sender_length = 3, .body = "body", .body_length = 4};
    EXPECT_EQ(store_attach(store, "dies"), STATUS_OK);
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
}

/* What is suspect is not worked on. */
static void who_meets_a_debt_that_cannot_be_settles_no_other(void)
{
    store = open_store(
        &(struct store_options){.segment_bytes = 64 << 20, .accounts = 10, .slots = 4, .crypt_cost = 1});
    for (int i = 0; i < 2; i++)
        in_a_process(die_with_draft);
    EXPECT(slot_at(store, 0)->draft && slot_at(store, 1)->draft);
    slot_at(store, 0)->run = UINT32_MAX;
    EXPECT_EQ(store_attach(store, "reclaims"), STATUS_OK);
    EXPECT(store_is_suspect(store));
    EXPECT(slot_at(store, 1)->draft);
    slot_at(store, 0)->run = 0;
    EXPECT_EQ(store_acquit(store, print_finding, NULL), STATUS_OK);
    store_reclaim(store);
    EXPECT(!slot_at(store, 0)->draft && !slot_at(store, 1)->draft);
    EXPECT_CLEAN(store);
}

static void who_checks_takes_a_slot_of_the_dead_where_there_is_no_other(void)
{
    store = open_store(
        &(struct store_options){.segment_bytes = 64 << 20, .accounts = 10, .slots = 2, .crypt_cost = 1});
    for (int i = 0; i < 2; i++)
        in_a_process(die_with_draft);
    store_suspect(store);
    EXPECT_EQ(store_attach(store, "serves"), STATUS_FULL_SLOTS);
    EXPECT_EQ(store_attach_to_check(store, "looks only"), STATUS_OK);
    struct slot *slot = store->slot;
    store_detach(store);
    EXPECT(slot->draft && slot->life % 2); /* as before */
    EXPECT_EQ(store_attach_to_check(store, "checks"), STATUS_OK);
    EXPECT(store->slot == slot && slot->draft);
    store->header->acquitted = store->header->suspected; /* by somebody else, who knew nothing of it */
    EXPECT(store_inherits(store));
    EXPECT_EQ(store_acquit(store, print_finding, NULL), STATUS_OK);
    EXPECT(!slot->draft && !store_inherits(store));
    store_detach(store);
    EXPECT_EQ(store_attach(store, "serves"), STATUS_OK);
    store_reclaim(store);
    EXPECT(!slot_at(store, 0)->draft && !slot_at(store, 1)->draft);
    EXPECT_CLEAN(store);
}

/* What it owes may be anything as well; where a check acquits it all, it is given back. */
static void who_leaves_a_suspect_post_office_touches_nothing(void)
{
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = "body", .body_length = 4};
    store = attached_store(&(struct store_options){.accounts = 10, .slots = 4, .crypt_cost = 1});
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    const struct slot *slot = store->slot;
    block_t draft = slot->draft;
    store->slot->draft = UINT32_MAX;
    store_suspect(store);
    store_detach(store);
    EXPECT_EQ(slot->draft, UINT32_MAX);
    EXPECT_EQ(store_attach(store, "check"), STATUS_OK);
    EXPECT(store->slot != slot);
    EXPECT_EQ(store_acquit(store, see_report, NULL), STATUS_DAMAGED);
    ((struct slot *)(uintptr_t)slot)->draft = draft;
    EXPECT_EQ(store_acquit(store, print_finding, NULL), STATUS_OK);
    store_detach(store);
    EXPECT_EQ(store_attach(store, "next"), STATUS_OK);
    EXPECT_EQ(slot->draft, 0);
    EXPECT_CLEAN(store);
}

static const struct harness_test tests[] = {
    {"what a dead process owes, and cannot be, is left to a check", debts_that_cannot_be_are_left},
    {"so are those that are not owed, or owed twice", debts_that_are_not_owed_or_owed_twice_are_left},
    {"who meets one settles no other", who_meets_a_debt_that_cannot_be_settles_no_other},
    {"who checks takes a slot of the dead where there is no other",
     who_checks_takes_a_slot_of_the_dead_where_there_is_no_other},
    {"who leaves a suspect post office touches nothing", who_leaves_a_suspect_post_office_touches_nothing},
};

HARNESS_MAIN(tests)
