/* block.c: size classes and the pages that they carve up.
 *
 * A page with room stands on its class's list. A page without any block in use goes to the free list, unless
 * it is alone on its class's list: lest a block that comes and goes moves a page each time, the class keeps
 * it until another of its pages has room or the arena has no other page (block_free_kept). Free blocks are
 * chained by their first word, as index + 1 within the page; blocks that were never handed out lie above
 * "fresh" and need no chain.
 */
#include "block.h"

#include "log.h"
#include "segment.h"
#include "transaction.h"

/* Up to 512 bytes a class every 16; then sixteen a doubling up to 8 KiB, which wastes at most a sixteenth;
 * then what divides a page well. */
enum { FINE_MAX = 512, FINE_CLASSES = 31, COARSE_MAX = 8192, COARSE_CLASSES = 64 };

enum { SCARCE = 8 }; /* nobody keeps pages for himself while only one in so many is left */

static const uint32_t large_sizes[] = {9360, 10912, 13104, 16384};

static_assert(FINE_CLASSES + COARSE_CLASSES + sizeof(large_sizes) / sizeof(large_sizes[0]) == CLASSES,
              "layout.h counts the classes");

static uint32_t class_of(size_t bytes)
{
    uint32_t size = (uint32_t)bytes;
    if (size <= 32)
        return 0;
    if (size <= FINE_MAX)
        return (size + 15) / 16 - 2;
    if (size <= COARSE_MAX) {
        uint32_t doubling =
            31 - (uint32_t)__builtin_clz(size - 1); /* 2^doubling < size <= 2^(doubling + 1) */
        uint32_t step = 1u << (doubling - 4);
        return FINE_CLASSES + (doubling - 9) * 16 + (size - (1u << doubling) + step - 1) / step - 1;
    }
    uint32_t class = FINE_CLASSES + COARSE_CLASSES;
    while (large_sizes[class - FINE_CLASSES - COARSE_CLASSES] < size)
        class ++;
    return class;
}

static uint32_t class_size(uint32_t class)
{
    if (class < FINE_CLASSES)
        return 32 + class * 16;
    class -= FINE_CLASSES;
    if (class < COARSE_CLASSES) {
        uint32_t doubling = 9 + class / 16;
        return (1u << doubling) + (class % 16 + 1) * (1u << (doubling - 4));
    }
    return large_sizes[class - COARSE_CLASSES];
}

size_t block_class_size(size_t size)
{
    return class_size(class_of(size));
}

struct page_state {
    uint32_t class, used, fresh, first_free;
};

static struct page_state unpack(uint64_t word)
{
    return (struct page_state){.class = (uint32_t)(word & 0xff) - 1,
                               .used = word >> 8 & 0xffff,
                               .fresh = word >> 24 & 0xffff,
                               .first_free = word >> 40 & 0xffff};
}

static uint64_t packed(struct page_state state)
{
    return ((uint64_t)state.class + 1) | (uint64_t)state.used << 8 | (uint64_t)state.fresh << 24 |
           (uint64_t)state.first_free << 40;
}

bool block_page_shape(uint64_t word, struct page_shape *shape)
{
    struct page_state state = unpack(word);
    if (word == 0 || word != packed(state) || state.class >= CLASSES)
        return false;
    uint32_t size = class_size(state.class);
    *shape = (struct page_shape){.size = size,
                                 .blocks = PAGE / size,
                                 .used = state.used,
                                 .fresh = state.fresh,
                                 .first_free = state.first_free};
    return shape->fresh <= shape->blocks && shape->used <= shape->fresh && shape->first_free <= shape->fresh;
}

static uint32_t *free_link(const struct store *store, uint32_t page, uint32_t index, uint32_t size)
{
    return (uint32_t *)(void *)(store->base + store->arena + (uint64_t)page * PAGE + (uint64_t)index * size);
}

static void list_insert(struct store *store, uint32_t class, uint32_t page)
{
    uint32_t *head = &store->header->roomy[class];
    uint32_t next = get32(store, head);
    set32(store, &store->pages[page].next, next);
    set32(store, &store->pages[page].prev, 0);
    if (next)
        set32(store, &store->pages[next - 1].prev, page + 1);
    set32(store, head, page + 1);
}

static void list_remove(struct store *store, uint32_t class, uint32_t page)
{
    uint32_t next = get32(store, &store->pages[page].next);
    uint32_t prev = get32(store, &store->pages[page].prev);
    if (prev)
        set32(store, &store->pages[prev - 1].next, next);
    else
        set32(store, &store->header->roomy[class], next);
    if (next)
        set32(store, &store->pages[next - 1].prev, prev);
}

static void free_page(struct store *store, uint32_t class, uint32_t page)
{
    struct header *header = store->header;
    list_remove(store, class, page);
    set64(store, &store->pages[page].word, 0);
    set32(store, &store->pages[page].next, get32(store, &header->pages_free));
    set32(store, &header->pages_free, page + 1);
    set32(store, &header->pages_free_count, get32(store, &header->pages_free_count) + 1);
}

/* Frees the page without any block in use that the class keeps; false: it keeps none. */
static bool free_kept_page(struct store *store, uint32_t class)
{
    uint32_t head = get32(store, &store->header->roomy[class]);
    if (!head || unpack(get64(store, &store->pages[head - 1].word)).used > 0)
        return false;
    free_page(store, class, head - 1);
    return true;
}

enum status block_free_kept(struct store *store)
{
    for (uint32_t class = 0; class < CLASSES; class ++)
        if (free_kept_page(store, class))
            return STATUS_OK;
    return STATUS_FULL_SEGMENT;
}

/* Gives the class a page from the free list, or one that was never used. What another class keeps is freed in
 * a transaction of its own: until that has ended its blocks' first words are a chain, and this one may be
 * dropped. */
static enum status take_page(struct store *store, uint32_t class, uint32_t *page)
{
    struct header *header = store->header;
    uint32_t free = get32(store, &header->pages_free);
    if (free) {
        *page = free - 1;
        set32(store, &header->pages_free, get32(store, &store->pages[*page].next));
        set32(store, &header->pages_free_count, get32(store, &header->pages_free_count) - 1);
    } else {
        *page = get32(store, &header->pages_used);
        if (*page == store->pages_most) {
            store->wants_page = true;
            return STATUS_FULL_SEGMENT;
        }
        if (!segment_wants(store, &store->pages[*page]) ||
            !segment_wants(store, free_link(store, *page, 0, 0)))
            return STATUS_FULL_SEGMENT;
        set32(store, &header->pages_used, *page + 1);
        if (!store->recovering && *page + 1 < store->pages_most) /* else restore_ahead.c sees to it */
            store->next_page = segment_offset(store, free_link(store, *page + 1, 0, 0));
    }
    set64(store, &store->pages[*page].word, packed((struct page_state){.class = class}));
    list_insert(store, class, *page);
    return STATUS_OK;
}

/* Of a page that the class has room in. Whatever somebody has written over the lists of pages, nothing is
 * handed out, and so written to, that lies outside the arena. */
static struct page_state state_of_roomy(struct store *store, uint32_t page)
{
    if (page >= store->pages_most)
        bug("a class has room in what is no page");
    return unpack(get64(store, &store->pages[page].word));
}

enum status block_allocate_chain(struct store *store, size_t bytes, uint32_t most, block_t *first)
{
    uint32_t class = class_of(bytes);
    uint32_t size = class_size(class);
    uint32_t blocks = PAGE / size;
    if (store->has_freed)
        bug("a block is allocated in a transaction that has freed one");
    uint32_t page = get32(store, &store->header->roomy[class]);
    if (page) {
        page--;
    } else {
        enum status status = take_page(store, class, &page);
        if (status != STATUS_OK)
            return status;
    }
    struct page_state state = state_of_roomy(store, page);
    block_t chain = 0;
    for (; most > 0 && state.used < blocks; most--) {
        bool was_freed = state.first_free != 0;
        uint32_t index = was_freed ? state.first_free - 1 : state.fresh++;
        if (index >= blocks)
            bug("a page's room lies behind it");
        uint32_t *link = free_link(store, page, index, size);
        if (was_freed) {
            state.first_free = get32(store, link);
            set32(store, link, chain);
        } else {
            /* A fault that reads maps what is around it as well, one that writes a page at a time. Nobody
             * looks at a link above fresh, so it needs no entry. */
            (void)load32(link);
            *link = chain;
        }
        state.used++;
        chain = (block_t)((store->arena + (uint64_t)page * PAGE + (uint64_t)index * size) / UNIT);
    }
    set64(store, &store->pages[page].word, packed(state));
    if (state.used == blocks)
        list_remove(store, class, page);
    *first = chain;
    return STATUS_OK;
}

enum status block_allocate(struct store *store, size_t bytes, block_t *block)
{
    return block_allocate_chain(store, bytes, 1, block);
}

bool block_take_run(struct store *store, size_t bytes, block_t *first)
{
    struct header *header = store->header;
    uint32_t class = class_of(bytes);
    uint32_t size = class_size(class);
    uint32_t page = get32(store, &header->roomy[class]);
    uint32_t left = store->pages_most - header->pages_used + header->pages_free_count;
    if (store->has_freed)
        bug("blocks are taken in a transaction that has freed one");
    if (left <= store->pages_most / SCARCE || load32(&header->scarce))
        return false;
    if (page)
        page--;
    else if (take_page(store, class, &page) != STATUS_OK)
        return false;
    struct page_state state = state_of_roomy(store, page);
    if (state.first_free || state.fresh >= PAGE / size)
        return false;
    const uint32_t *word = free_link(store, page, state.fresh, size);
    (void)load32(word); /* maps all of the page, as above */
    *first = (block_t)(segment_offset(store, word) / UNIT);
    state.used = state.fresh = PAGE / size;
    set64(store, &store->pages[page].word, packed(state));
    list_remove(store, class, page);
    return true;
}

block_t block_run_next(const struct store *store, block_t block, size_t bytes)
{
    uint64_t offset = ((uint64_t)block * UNIT - store->arena) % PAGE;
    return offset + 2 * bytes <= PAGE ? block + (block_t)(bytes / UNIT) : 0;
}

bool block_in_run(const struct store *store, block_t block, block_t first)
{
    uint64_t page = ((uint64_t)first * UNIT - store->arena) / PAGE;
    return first && block >= first && ((uint64_t)block * UNIT - store->arena) / PAGE == page;
}

/* The page that the block lies in, and its place there; false: it is none that was ever handed out. */
static bool find(const struct store *store, block_t block, uint32_t *page, struct page_state *state,
                 uint32_t *index)
{
    uint64_t offset = (uint64_t)block * UNIT - store->arena; /* immense where it lies before the arena */
    if (offset / PAGE >= store->pages_most)
        return false;
    *page = (uint32_t)(offset / PAGE);
    *state = unpack(get64(store, &store->pages[*page].word));
    if (state->class >= CLASSES || state->used == 0)
        return false;
    uint32_t size = class_size(state->class);
    *index = (uint32_t)(offset % PAGE) / size;
    return offset % PAGE % size == 0 && *index < state->fresh;
}

/* Nobody else has a block of the page from there on. */
static bool begins_run(struct page_state state, uint32_t index)
{
    uint32_t blocks = PAGE / class_size(state.class);
    return state.fresh == blocks && state.used >= blocks - index;
}

static bool find_safely(const struct store *store, block_t block, struct page_state *state, uint32_t *index)
{
    uint32_t page;
    uint64_t offset = (uint64_t)block * UNIT;
    return offset < store->mapped && segment_has(store, offset) && find(store, block, &page, state, index);
}

bool block_is_one(const struct store *store, block_t block)
{
    uint32_t index;
    struct page_state state;
    return find_safely(store, block, &state, &index);
}

bool block_is_run(const struct store *store, block_t first)
{
    uint32_t index;
    struct page_state state;
    return find_safely(store, first, &state, &index) && begins_run(state, index);
}

static uint32_t page_of(const struct store *store, block_t block, struct page_state *state, uint32_t *index)
{
    uint32_t page;
    if (!find(store, block, &page, state, index))
        bug("what is freed is no block");
    return page;
}

/* Where blocks were freed: what the page is now. */
static void settle_page(struct store *store, uint32_t page, struct page_state state, bool was_full)
{
    if (was_full) {
        free_kept_page(store, state.class);
        list_insert(store, state.class, page);
    }
    bool is_alone = get32(store, &store->header->roomy[state.class]) == page + 1 &&
                    get32(store, &store->pages[page].next) == 0;
    if (state.used > 0 || is_alone)
        set64(store, &store->pages[page].word, packed(state));
    else
        free_page(store, state.class, page);
}

void block_free(struct store *store, block_t block)
{
    struct page_state state;
    uint32_t index;
    uint32_t page = page_of(store, block, &state, &index);
    uint32_t size = class_size(state.class);
    bool was_full = state.used == PAGE / size;
    store->has_freed = true;
    set32(store, free_link(store, page, index, size), state.first_free);
    state.first_free = index + 1;
    state.used--;
    settle_page(store, page, state, was_full);
}

void block_free_run(struct store *store, block_t first)
{
    struct page_state state;
    uint32_t index;
    uint32_t page = page_of(store, first, &state, &index);
    uint32_t blocks = PAGE / class_size(state.class);
    bool was_full = state.used == blocks;
    if (!begins_run(state, index))
        bug("what is freed is no run");
    store->has_freed = true;
    state.used -= blocks - index;
    state.fresh = index;
    settle_page(store, page, state, was_full);
}
