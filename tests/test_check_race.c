/* test_check_race.c: a hostile process writes to the segment while it is checked: what bounds a walk changes
 * between right and wrong at full speed, and the check comes to its end all the same, and to no harm. */
#include "segment.h"

#include "damage.h"
#include "hostile.h"

static void check_once(void)
{
    findings();
}

#define FLIP(what, value) LOOK_AT_HOSTILE(what, value, check_once)

/* Pages that were never used, but have words that make sense. */
static void a_count_that_changes_leads_the_check_nowhere(void)
{
    make_post_office();
    struct header *header = store->header;
    const uint32_t pages = header->pages_used;
    for (uint32_t page = pages; page < store->pages_most; page++)
        store->pages[page].word = store->pages[0].word;
    EXPECT_EQ(segment_reserve(store, store->arena, (uint64_t)store->pages_most * PAGE), STATUS_OK);
    FLIP(header->pages_used, store->pages_most);
    FLIP(header->pages_used, UINT32_MAX);
    FLIP(header->accounts_used, UINT32_MAX);
    FLIP(header->sessions_used, UINT32_MAX);
    FLIP(header->slots_most, UINT32_MAX);
    FLIP(header->sessions_most, UINT32_MAX);
    FLIP(header->accounts_most, UINT32_MAX);
    FLIP(header->throttle_most, UINT32_MAX);
}

static void a_record_that_changes_leads_the_check_nowhere(void)
{
    make_post_office();
    struct identity *identity = at(store, alice->identity);
    FLIP(alice->identity, UINT32_MAX);
    FLIP(alice->queue, UINT32_MAX);
    FLIP(alice->root, UINT32_MAX);
    FLIP(alice->height, UINT32_MAX);
    FLIP(alice->session, UINT32_MAX);
    FLIP(alice->chain, UINT32_MAX);
    FLIP(identity->name_length, UINT16_MAX);
    FLIP(identity->hash_length, UINT16_MAX);
    FLIP(listed->shape, UINT32_MAX);
    FLIP(listed->body_length, UINT32_MAX);
    FLIP(listed->pieces, UINT32_MAX);
    FLIP(root->present, UINT64_MAX);
    FLIP(store->slot->draft, UINT32_MAX);
    FLIP(store->slot->pins, UINT32_MAX);
    FLIP(store->pages[0].word, UINT64_MAX);
    EXPECT_CLEAN(store);
}

/* All that a ring may hold waits, and pins what is a block. */
static void fill_ring(uint64_t written)
{
    struct journal_segment *journal = &store->header->journal;
    EXPECT_EQ(segment_reserve(store, segment_offset(store, store->ring), RING * sizeof(*store->ring)),
              STATUS_OK);
    for (uint32_t i = 0; i < RING; i++)
        store->ring[i].message = (block_t)(segment_offset(store, listed) / UNIT);
    journal->directory[0] = '/';
    journal->written = written;
    journal->assigned = written + RING - 1;
    journal->on = 1;
}

static void a_ring_that_grows_leads_the_check_nowhere(void)
{
    make_post_office();
    fill_ring(0);
    FLIP(store->header->journal.assigned, UINT64_MAX);
    FLIP(store->header->journal.written, UINT64_MAX);
}

static void the_last_record_that_can_be_ends_the_ring(void)
{
    make_post_office();
    fill_ring(UINT64_MAX - RING + 1);
    EXPECT_EQ(store->header->journal.assigned, UINT64_MAX);
    EXPECT(findings() > 0);
}

/* As many as there can be, each of which leads to itself. */
static void circles_of_sessions_come_to_an_end(void)
{
    make_post_office();
    for (uint32_t i = 1; i <= store->header->sessions_used; i++)
        session_at(store, i)->older = i;
    for (uint32_t i = 1; i <= store->header->accounts_used; i++)
        account_at(store, i)->sessions = UINT32_MAX;
    EXPECT(findings() > 0);
}

static const struct harness_test tests[] = {
    {"a count that changes leads the check nowhere", a_count_that_changes_leads_the_check_nowhere},
    {"a record that changes leads the check nowhere", a_record_that_changes_leads_the_check_nowhere},
    {"a ring that grows leads the check nowhere", a_ring_that_grows_leads_the_check_nowhere},
    {"the last record that can be ends the ring", the_last_record_that_can_be_ends_the_ring},
    {"circles of sessions come to an end", circles_of_sessions_come_to_an_end, 10},
};

HARNESS_MAIN(tests)
