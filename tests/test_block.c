/* test_block.c: the allocator on its own: sizes, room, pages that come and go.
 *
 * What a test holds hangs on the process's draft, where the check expects reserved blocks. */
#include "block.h"
#include "mapping.h"
#include "post_office.h"
#include "random.h"
#include "segment.h"
#include "transaction.h"

static struct store *store;
static enum status allocate(size_t size, block_t *block)
{
    enum status status;
    do {
        transaction_begin(store);
        status = block_allocate(store, size, block);
    } while (!transaction_finish(store, &status));
    return status;
}

static void give_back(block_t block)
{
    enum status status = STATUS_OK;
    do {
        transaction_begin(store);
        block_free(store, block);
    } while (!transaction_finish(store, &status));
    EXPECT_EQ(status, STATUS_OK);
}

static uint32_t pages_in_use(void)
{
    struct store_figures figures;
    store_figures(store, &figures);
    return (uint32_t)(figures.pages_used - figures.pages_free);
}

/* A post office whose arena has so many pages. */
static void open_with_pages(uint32_t pages)
{
    static struct store *volatile roomy; /* is never closed: here a leak checker sees it */
    struct store_options options = {.accounts = 10, .slots = 2, .segment_bytes = UINT64_C(64) << 20};
    roomy = open_store(&options);
    options.segment_bytes = roomy->header->segment_bytes - (uint64_t)(roomy->pages_most - pages) * PAGE;
    store = open_store(&options);
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
    EXPECT_EQ(store->pages_most, pages);
}

/* ---- blocks that are held, each filled with what only it has ---- */

struct held {
    block_t block;
    uint32_t words; /* of the block, all of them ours */
    uint32_t mark;
};

static void fill(struct held *held)
{
    uint32_t *word = at(store, held->block);
    for (uint32_t i = 0; i < held->words; i++)
        word[i] = held->mark + i;
}

static void expect_untouched(const struct held *held)
{
    const uint32_t *word = at(store, held->block);
    for (uint32_t i = 0; i < held->words; i++)
        EXPECT_EQ(word[i], held->mark + i);
}

static enum status hold(struct held *held, size_t size, uint32_t mark)
{
    enum status status = allocate(size, &held->block);
    if (status != STATUS_OK)
        return status;
    held->words = (uint32_t)block_class_size(size) / 4;
    held->mark = mark;
    fill(held);
    return STATUS_OK;
}

static void let_go(const struct held *held)
{
    expect_untouched(held);
    give_back(held->block);
}

/* ---- a run, of which blocks are held one after the other ---- */

static block_t run; /* what is left of it; 0: there is none */
static size_t run_bytes;

static bool take_run(size_t size)
{
    enum status status = STATUS_OK;
    bool taken;
    EXPECT_EQ(run, 0);
    do {
        transaction_begin(store);
        taken = block_take_run(store, size, &run);
        status = !taken && store->wanted ? STATUS_FULL_SEGMENT : STATUS_OK;
    } while (!transaction_finish(store, &status));
    run = taken ? run : 0;
    run_bytes = block_class_size(size);
    return taken;
}

static void hold_next(struct held *held, uint32_t mark)
{
    *held = (struct held){.block = run, .words = (uint32_t)run_bytes / 4, .mark = mark};
    fill(held);
    run = block_run_next(store, run, run_bytes);
}

static void give_run_back(void)
{
    transaction_begin(store);
    block_free_run(store, run);
    transaction_end(store, STATUS_OK);
    run = 0;
}

/* The check proves that none of them is free, overlaps or is lost. */
static void expect_sound(struct held *held, size_t count)
{
    block_t draft = 0;
    for (size_t i = 0; i < count; i++) {
        *(uint32_t *)at(store, held[i].block) = draft;
        draft = held[i].block;
    }
    store->slot->draft = draft;
    store->slot->run = run;
    EXPECT_CLEAN(store);
    store->slot->draft = store->slot->run = 0;
    for (size_t i = 0; i < count; i++)
        *(uint32_t *)at(store, held[i].block) = held[i].mark;
}

static void every_size_gets_a_block_that_fits_and_wastes_little(void)
{
    store = private_store();
    for (size_t size = 1; size <= BLOCK_MAX; size++) {
        size_t given = block_class_size(size);
        struct page_shape shape;
        struct held held;
        EXPECT(given >= size && given % UNIT == 0 && given <= BLOCK_MAX);
        EXPECT(given <= 32 || given <= size + (size <= 8192 ? size / 16 : size / 4) + 16);
        EXPECT_EQ(block_class_size(given), given);
        EXPECT_EQ(hold(&held, size, (uint32_t)size), STATUS_OK);
        uint64_t offset = (uint64_t)held.block * UNIT - store->arena;
        EXPECT(block_page_shape(store->pages[offset / PAGE].word, &shape));
        EXPECT_EQ(shape.size, given);
        EXPECT_EQ(offset % PAGE % given, 0);
        EXPECT(offset % PAGE + given <= PAGE);
        if (size % 64 == 0)
            expect_sound(&held, 1);
        let_go(&held);
    }
    EXPECT_CLEAN(store);
}

/* Mostly small, so that pages of many blocks fill; each class comes up. */
static size_t random_size(void)
{
    static const uint32_t below[] = {64, 64, 300, 300, 2000, BLOCK_MAX};
    return 1 + pick(below[pick(sizeof(below) / sizeof(below[0]))]);
}

static void random_blocks_never_overlap(void)
{
    enum { HELD = 3000, ROUNDS = 60, STEPS = 2000 };
    static struct held held[HELD];
    size_t count = 0;
    uint32_t runs = 0;
    store = private_store();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t growing = round % 4 < 2 ? 70 : 30;
        for (uint32_t step = 0; step < STEPS; step++) {
            if (run && pick(40) == 0) {
                give_run_back();
            } else if (run && count < HELD && pick(2) == 0) {
                hold_next(&held[count], pick(UINT32_MAX));
                count++;
            } else if (!run && pick(10) == 0) {
                runs += take_run(random_size());
            } else if (count == 0 || (count < HELD && pick(100) < growing)) {
                EXPECT_EQ(hold(&held[count], random_size(), pick(UINT32_MAX)), STATUS_OK);
                count++;
            } else {
                size_t which = pick((uint32_t)count);
                let_go(&held[which]);
                held[which] = held[--count];
            }
        }
        expect_sound(held, count);
    }
    EXPECT(runs > ROUNDS);
    if (run)
        give_run_back();
    while (count > 0)
        let_go(&held[--count]);
    EXPECT_CLEAN(store);
}

/* Nothing but what was never handed out, to the page's end; meanwhile others find no room there. */
static void a_run_is_the_rest_of_a_page(void)
{
    enum { BYTES = 1024, PER_PAGE = PAGE / BYTES };
    struct held held[PER_PAGE + 1];
    size_t count = 0;
    open_with_pages(20);
    EXPECT_EQ(hold(&held[count++], BYTES, 1), STATUS_OK);
    EXPECT(take_run(BYTES));
    EXPECT_EQ(run, held[0].block + BYTES / UNIT);
    EXPECT_EQ(hold(&held[count++], BYTES, 2), STATUS_OK);
    EXPECT_EQ(pages_in_use(), 2);
    for (; count <= PER_PAGE / 2; count++)
        hold_next(&held[count], (uint32_t)count);
    expect_sound(held, count);
    let_go(&held[0]); /* the page has room again, but its run is not given to anybody */
    held[0] = held[--count];
    EXPECT_EQ(hold(&held[count++], BYTES, 3), STATUS_OK);
    EXPECT_EQ(pages_in_use(), 2);
    expect_sound(held, count);
    give_run_back();
    expect_sound(held, count);
    EXPECT(take_run(BYTES));
    for (; run; count++)
        hold_next(&held[count], (uint32_t)count);
    EXPECT_EQ(pages_in_use(), 2);
    EXPECT_EQ(count, PER_PAGE + 1);
    expect_sound(held, count);
}

static void a_run_that_goes_back_whole_leaves_no_page(void)
{
    open_with_pages(20);
    for (int i = 0; i < 3; i++) {
        EXPECT(take_run(100));
        give_run_back();
        EXPECT_EQ(pages_in_use(), 1); /* which its class keeps */
        EXPECT_CLEAN(store);
    }
}

static void what_was_freed_comes_before_a_run(void)
{
    struct held held[2];
    open_with_pages(20);
    EXPECT_EQ(hold(&held[0], 1000, 1), STATUS_OK);
    EXPECT_EQ(hold(&held[1], 1000, 2), STATUS_OK);
    let_go(&held[0]);
    EXPECT(!take_run(1000));
    EXPECT_EQ(hold(&held[0], 1000, 3), STATUS_OK);
    EXPECT(take_run(1000));
    give_run_back();
    store->header->scarce = 1;
    EXPECT(!take_run(1000));
}

static void the_last_page_is_for_everybody(void)
{
    struct held held[2];
    open_with_pages(3);
    for (uint32_t i = 0; i < 2; i++) {
        EXPECT(take_run(1000));
        give_run_back();
        EXPECT_EQ(hold(&held[i], 1000 + 3000 * (size_t)i, i), STATUS_OK);
    }
    EXPECT_EQ(hold(&held[0], 9000, 4), STATUS_OK);
    EXPECT(!take_run(9000));
}

static void a_dropped_transaction_takes_and_frees_nothing(void)
{
    struct held kept;
    store = private_store();
    EXPECT_EQ(hold(&kept, 100, 7), STATUS_OK);
    for (size_t size = 1; size <= BLOCK_MAX; size += 97) {
        enum status status = STATUS_NO_MESSAGE;
        block_t block;
        transaction_begin(store);
        if (block_allocate(store, size, &block) == STATUS_OK)
            block_free(store, kept.block);
        EXPECT(transaction_finish(store, &status));
        expect_untouched(&kept);
    }
    expect_sound(&kept, 1);
    EXPECT_EQ(pages_in_use(), 1);
}

/* ---- pages ---- */

static void pages_return_and_serve_other_sizes(void)
{
    enum { COUNT = 4000 };
    static const size_t sizes[] = {100, 1000, 16384, 40};
    static struct held held[COUNT];
    uint64_t most = 0;
    store = private_store();
    for (size_t pass = 0; pass < sizeof(sizes) / sizeof(sizes[0]); pass++) {
        for (size_t i = 0; i < COUNT; i++)
            EXPECT_EQ(hold(&held[i], sizes[pass], (uint32_t)i), STATUS_OK);
        uint32_t needed = COUNT / (PAGE / (uint32_t)block_class_size(sizes[pass])) + 1;
        EXPECT(pages_in_use() <= needed + pass);
        if (needed + pass > most)
            most = needed + pass;
        for (uint32_t left = COUNT; left > 0; left--) {
            uint32_t which = pick(left);
            let_go(&held[which]);
            held[which] = held[left - 1];
        }
        EXPECT_EQ(pages_in_use(), pass + 1); /* a class keeps its last page */
        EXPECT_CLEAN(store);
    }
    EXPECT(store->header->pages_used <= most);
}

static void a_block_that_comes_and_goes_moves_no_page(void)
{
    struct held held;
    store = private_store();
    EXPECT_EQ(hold(&held, 300, 1), STATUS_OK);
    let_go(&held);
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(hold(&held, 300, 1), STATUS_OK);
        EXPECT_EQ(pages_in_use(), 1);
        let_go(&held);
        EXPECT_EQ(pages_in_use(), 1);
    }
}

static void a_full_arena_is_an_answer_and_recovers(void)
{
    enum { PAGES = 20 };
    static struct held held[PAGES * PAGE / 32];
    static const size_t sizes[] = {32, 100, 272, 5000, 9000, 16384};
    open_with_pages(PAGES);
    for (size_t pass = 0; pass < sizeof(sizes) / sizeof(sizes[0]); pass++) {
        size_t count = 0;
        block_t none = 0;
        while (hold(&held[count], sizes[pass], (uint32_t)count) == STATUS_OK)
            count++;
        EXPECT_EQ(count, PAGES * (PAGE / block_class_size(sizes[pass])));
        for (uint32_t i = 0; i < 50; i++) {
            uint32_t which = pick((uint32_t)count);
            EXPECT_EQ(allocate(sizes[pass], &none), STATUS_FULL_SEGMENT);
            let_go(&held[which]);
            EXPECT_EQ(hold(&held[which], sizes[pass], which), STATUS_OK);
        }
        EXPECT_EQ(allocate(sizes[(pass + 1) % 6], &none), STATUS_FULL_SEGMENT);
        expect_sound(held, count);
        while (count > 0)
            let_go(&held[--count]);
        EXPECT_CLEAN(store);
    }
}

/* By who takes the page before it, and only then. */
static void the_next_page_has_memory_before_it_is_wanted(void)
{
    enum { PER_PAGE = PAGE / BLOCK_MAX };
    struct held held[PER_PAGE + 1];
    open_with_pages(3);
    for (uint32_t i = 0; i <= PER_PAGE; i++) {
        EXPECT(segment_has(store, store->arena) == (i > 0));
        EXPECT(segment_has(store, store->arena + PAGE) == (i > 0));
        EXPECT(!segment_has(store, store->arena + (uint64_t)2 * PAGE));
        store->header->scarce = i > 0;
        EXPECT_EQ(hold(&held[i], BLOCK_MAX, i), STATUS_OK);
    }
    EXPECT(segment_has(store, store->arena + (uint64_t)2 * PAGE));
    EXPECT_EQ(store->header->scarce, 0);
    EXPECT_EQ(store->header->pages_used, 2);
    expect_sound(held, PER_PAGE + 1);
}

/* The one behind the next, halfway through a huge page, once there is mail for one; the last one may lie
 * beyond the end. */
static void huge_pages_have_memory_before_they_are_wanted(void)
{
    enum { PAGES = 234, PER_PAGE = PAGE / BLOCK_MAX, PER_HUGE = HUGE_BYTES / PAGE, AHEAD = PER_HUGE * 3 / 2 };
    static struct held held[PAGES * PER_PAGE];
    uint32_t count = 0, first = PAGES, end = 0; /* of the pages that lie in huge ones */
    want_huge_pages();
    open_with_pages(PAGES);
    for (uint32_t used = 1; used <= PAGES; used++) {
        while (count < used * PER_PAGE) {
            EXPECT_EQ(hold(&held[count], BLOCK_MAX, count), STATUS_OK);
            count++;
        }
        uint64_t next = store->arena + (uint64_t)used * PAGE, huge = next + (uint64_t)AHEAD * PAGE;
        if (next >= store->arena + HUGE_BYTES && huge % HUGE_BYTES == 0 && used + AHEAD + PER_HUGE <= PAGES) {
            end = used + AHEAD + PER_HUGE;
            first = first < PAGES ? first : end - PER_HUGE;
        }
        for (uint32_t page = used; page < PAGES; page++)
            EXPECT(segment_has(store, store->arena + (uint64_t)page * PAGE) ==
                   (page == used || (page >= first && page < end)));
    }
    EXPECT(end - first >= 3 * PER_HUGE && end < PAGES);
    EXPECT(mapping_at(store->base).huge >= (size_t)3 * HUGE_BYTES);
    expect_sound(held, count);
    while (count > 0)
        let_go(&held[--count]);
    EXPECT_CLEAN(store);
}

static void an_empty_arena_is_full_for_no_size(void)
{
    open_with_pages(4);
    for (size_t size = 1; size <= BLOCK_MAX; size = block_class_size(size) + 1) {
        struct held held[2];
        EXPECT_EQ(hold(&held[0], size, 1), STATUS_OK);
        EXPECT_EQ(hold(&held[1], size, 2), STATUS_OK);
        let_go(&held[1]);
        let_go(&held[0]);
    }
    EXPECT_CLEAN(store);
}

/* Also when the class that keeps it has another page with room by now. */
static void a_page_out_of_use_serves_other_sizes_in_a_full_arena(void)
{
    enum { PER_PAGE = PAGE / BLOCK_MAX };
    struct held held[PER_PAGE + 1], others[2];
    open_with_pages(3);
    for (uint32_t i = 0; i <= PER_PAGE; i++)
        EXPECT_EQ(hold(&held[i], BLOCK_MAX, i), STATUS_OK);
    EXPECT_EQ(hold(&others[0], 100, 5), STATUS_OK);
    let_go(&held[PER_PAGE]);
    let_go(&held[0]);
    EXPECT_EQ(hold(&others[1], 1000, 6), STATUS_OK);
    EXPECT_EQ(hold(&held[0], BLOCK_MAX, 7), STATUS_OK);
    EXPECT_EQ(allocate(BLOCK_MAX, &held[PER_PAGE].block), STATUS_FULL_SEGMENT);
    for (uint32_t i = 0; i < PER_PAGE; i++)
        let_go(&held[i]);
    expect_sound(others, 2);
}

static const struct harness_test tests[] = {
    {"every size gets a block that fits and wastes little",
     every_size_gets_a_block_that_fits_and_wastes_little},
    {"random blocks never overlap", random_blocks_never_overlap},
    {"a run is the rest of a page", a_run_is_the_rest_of_a_page},
    {"a run that goes back whole leaves no page", a_run_that_goes_back_whole_leaves_no_page},
    {"what was freed comes before a run", what_was_freed_comes_before_a_run},
    {"the last page is for everybody", the_last_page_is_for_everybody},
    {"a dropped transaction takes and frees nothing", a_dropped_transaction_takes_and_frees_nothing},
    {"pages return and serve other sizes", pages_return_and_serve_other_sizes},
    {"a block that comes and goes moves no page", a_block_that_comes_and_goes_moves_no_page},
    {"a full arena is an answer and recovers", a_full_arena_is_an_answer_and_recovers},
    {"the next page has memory before it is wanted", the_next_page_has_memory_before_it_is_wanted},
    {"huge pages have memory before they are wanted", huge_pages_have_memory_before_they_are_wanted},
    {"an empty arena is full for no size", an_empty_arena_is_full_for_no_size},
    {"a page out of use serves other sizes in a full arena",
     a_page_out_of_use_serves_other_sizes_in_a_full_arena},
};

HARNESS_MAIN(tests)
