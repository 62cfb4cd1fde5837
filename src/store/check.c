/* check.c: walks the whole segment under its lock and proves it sound; here: the frame, pages and blocks.
 *
 * Nothing is allocated and nothing printed while the lock is held. What it meets may be scribbled over, and
 * go on changing, so what decides is read once, and each reference is verified before it is followed. */
#include "check.h"

#include "block.h"
#include "lock.h"
#include "process.h"
#include "segment.h"
#include "throttle_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void finding(struct check *check, const char *format, ...)
{
    size_t room = FINDINGS_TEXT - check->text_length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(check->text + check->text_length, room, format, arguments);
    va_end(arguments);
    check->findings++;
    if (length >= 0 && (size_t)length < room)
        check->text_length += (size_t)length + 1;
}

static bool shape_of(const struct check *check, uint32_t page, struct page_shape *shape)
{
    return page < check->pages && block_page_shape(load64(&check->store->pages[page].word), shape);
}

static bool mark(struct check *check, uint32_t page, uint32_t index)
{
    uint64_t *word = &check->seen[(size_t)page * SEEN_WORDS + index / 64];
    uint64_t bit = UINT64_C(1) << (index % 64);
    bool fresh = !(*word & bit);
    *word |= bit;
    return fresh;
}

size_t check_block(struct check *check, block_t block, size_t size, const char *what, uint32_t who)
{
    uint64_t offset = (uint64_t)block * UNIT;
    struct page_shape shape;
    uint32_t page = (uint32_t)((offset - check->store->arena) / PAGE);
    if (offset < check->store->arena || !shape_of(check, page, &shape) || offset % PAGE % shape.size != 0 ||
        offset % PAGE / shape.size >= shape.fresh || shape.size < size) {
        finding(check, "%s of %u: reference %u is no block of %zu bytes", what, who, block, size);
        return 0;
    }
    if (!mark(check, page, (uint32_t)(offset % PAGE) / shape.size)) {
        finding(check, "%s of %u: block %u is free or belongs to something else too", what, who, block);
        return 0;
    }
    return shape.size;
}

/* Marks the free blocks of each page. */
static void check_free_blocks(struct check *check)
{
    const struct store *store = check->store;
    for (uint32_t page = 0; page < check->pages; page++) {
        struct page_shape shape;
        if (store->pages[page].word == 0)
            continue;
        if (!shape_of(check, page, &shape)) {
            finding(check, "page %u: its word %llx makes no sense", page,
                    (unsigned long long)store->pages[page].word);
            continue;
        }
        const char *base = store->base + store->arena + (uint64_t)page * PAGE;
        uint32_t free = 0;
        for (uint32_t next = shape.first_free; next; free++) {
            if (next > shape.fresh || !mark(check, page, next - 1)) {
                finding(check, "page %u: its chain of free blocks is broken at %u", page, next - 1);
                break;
            }
            next = load32((const void *)(base + (uint64_t)(next - 1) * shape.size));
        }
        if (free + shape.used != shape.fresh)
            finding(check, "page %u: %u free and %u used are not %u", page, free, shape.used, shape.fresh);
    }
}

/* A page with room is on the list of its class, a page in no use on the free list, each once. */
static void check_page_lists(struct check *check)
{
    const struct store *store = check->store;
    const struct header *header = store->header;
    uint64_t listed = 0;
    uint64_t roomy = 0;
    for (uint32_t class = 0; class < CLASSES; class ++) {
        uint32_t before = 0;
        for (uint32_t next = load32(&header->roomy[class]); next;
             next = load32(&store->pages[next - 1].next)) {
            struct page_shape shape;
            uint32_t page = next - 1;
            if (!shape_of(check, page, &shape) || shape.used == shape.blocks ||
                (store->pages[page].word & 0xff) != class + 1 || store->pages[page].prev != before ||
                ++listed > check->pages) {
                finding(check, "class %u: its list of pages is broken at %u", class, page);
                break;
            }
            before = next;
        }
    }
    uint64_t unused = 0;
    for (uint32_t next = load32(&header->pages_free); next; next = load32(&store->pages[next - 1].next)) {
        if (next > check->pages || store->pages[next - 1].word != 0 || ++unused > check->pages) {
            finding(check, "the list of free pages is broken at %u", next - 1);
            break;
        }
    }
    uint64_t empty = 0;
    for (uint32_t page = 0; page < check->pages; page++) {
        struct page_shape shape;
        if (store->pages[page].word == 0)
            empty++;
        else if (shape_of(check, page, &shape) && shape.used < shape.blocks)
            roomy++;
    }
    if (listed != roomy)
        finding(check, "%llu pages have room, %llu are listed", (unsigned long long)roomy,
                (unsigned long long)listed);
    if (unused != empty || unused != header->pages_free_count)
        finding(check, "%llu pages are free, %llu are listed, %u are counted", (unsigned long long)empty,
                (unsigned long long)unused, header->pages_free_count);
}

/* After all has been marked: what is allocated but marked by nobody is lost. */
static void check_leaks(struct check *check)
{
    for (uint32_t page = 0; page < check->pages; page++) {
        struct page_shape shape;
        if (!shape_of(check, page, &shape))
            continue;
        for (uint32_t index = 0; index < shape.fresh; index++)
            if (mark(check, page, index))
                finding(check, "page %u: block %u of %u bytes belongs to nothing", page, index, shape.size);
    }
}

/* What bounds every walk: read once here, and verified. Records are handed out in order, each with memory
 * behind it. */
static bool check_header(struct check *check)
{
    const struct store *store = check->store;
    const struct header *header = store->header;
    if (header->crc != segment_header_crc(header)) {
        finding(check, "the header's fixed part is damaged");
        return false;
    }
    uint32_t pages = check->pages = load32(&header->pages_used);
    uint32_t accounts = check->accounts_used = load32(&header->accounts_used);
    uint32_t sessions = check->sessions_used = load32(&header->sessions_used);
    if (pages <= store->pages_most && accounts <= store->accounts_most && sessions <= store->sessions_most &&
        (pages == 0 || (segment_has_all(store, &store->pages[pages - 1], sizeof(*store->pages)) &&
                        segment_has(store, store->arena + (uint64_t)pages * PAGE - 1))) &&
        (accounts == 0 ||
         segment_has_all(store, account_at(store, accounts), sizeof(struct account_record))) &&
        (sessions == 0 || segment_has_all(store, session_at(store, sessions), sizeof(struct session_record))))
        return true;
    finding(check, "%u pages, %u accounts or %u sessions are more than there can be", pages, accounts,
            sessions);
    return false;
}

/* Of the records from 1 on. */
static uint64_t used_near(uint32_t used, uint32_t near)
{
    return used < near ? used : near - 1;
}

/* All that is in use stands in the map of what is reserved: who recovers takes a record that writes elsewhere
 * for a scribble. */
static void check_memory(struct check *check)
{
    const struct store *store = check->store;
    uint64_t accounts = used_near(check->accounts_used, ACCOUNTS_NEAR);
    uint64_t sessions = used_near(check->sessions_used, SESSIONS_NEAR);
    const struct {
        const void *start;
        uint64_t size;
    } parts[] = {
        {store->header, sizeof(*store->header)},
        {account_at(store, 1), accounts * sizeof(struct account_record)},
        {account_at(store, ACCOUNTS_NEAR), (check->accounts_used - accounts) * sizeof(struct account_record)},
        {session_at(store, 1), sessions * sizeof(struct session_record)},
        {session_at(store, SESSIONS_NEAR), (check->sessions_used - sessions) * sizeof(struct session_record)},
        {store->pages, (uint64_t)check->pages * sizeof(*store->pages)},
        {store->base + store->arena, (uint64_t)check->pages * PAGE},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint64_t start = (uint64_t)((const char *)parts[i].start - store->base);
        for (uint64_t at = start / PAGE * PAGE; at < start + parts[i].size; at += PAGE)
            if (parts[i].size > 0 && !segment_has(store, at))
                finding(check, "offset %llu is in use, but not reserved", (unsigned long long)at);
    }
}

static bool make_room(struct check *check)
{
    check->seen = calloc((size_t)check->pages * SEEN_WORDS, sizeof(uint64_t));
    check->pinned_most = (size_t)check->store->slots_most * PINS_MAX + RING;
    check->pinned = calloc(check->pinned_most, sizeof(block_t));
    check->text = malloc(FINDINGS_TEXT);
    return check->seen && check->pinned && check->text;
}

static void free_room(struct check *check)
{
    free(check->seen);
    free(check->pinned);
    free(check->text);
}

/* False: the segment has outgrown the room that was made. */
static bool walk(struct store *store, struct check *check)
{
    uint32_t room = check->pages;
    lock_take(store);
    bool sound = check_header(check);
    bool fits = !sound || check->pages <= room;
    if (sound && fits) {
        check_memory(check);
        check_free_blocks(check);
        check_page_lists(check);
        check_accounts(check);
        check_sessions(check);
        check_limbo(check);
        check_throttles(check);
        check_slots(check);
        check_leaks(check);
    }
    lock_release(store);
    return fits;
}

void store_suspect(struct store *store)
{
    __atomic_fetch_add(&store->header->suspected, 1, __ATOMIC_RELEASE);
}

bool store_is_suspect(const struct store *store)
{
    return load64(&store->header->suspected) != load64(&store->header->acquitted);
}

pid_t store_lock_holder(const struct store *store)
{
    uint64_t owner = load64(&store->header->owner);
    return owner ? segment_byte_holder(store, slot_byte(owner_slot(owner))) : 0;
}

/* False: there is no memory for it. */
static bool check_all(struct store *store, void (*report)(void *context, const char *finding), void *context,
                      size_t *findings)
{
    uint32_t used = load32(&store->header->pages_used);
    uint32_t room = used < store->pages_most ? used + 64 : store->pages_most;
    for (bool done = false;; room = room < store->pages_most / 2 ? room * 2 : store->pages_most) {
        struct check check = {.store = store, .pages = room};
        bool has_room = make_room(&check);
        if (has_room)
            done = walk(store, &check);
        for (size_t i = 0; done && i < check.text_length; i += strlen(check.text + i) + 1)
            report(context, check.text + i);
        *findings = check.findings;
        free_room(&check);
        if (!has_room || done || *findings)
            return has_room;
    }
}

enum status store_acquit(struct store *store, void (*report)(void *context, const char *finding),
                         void *context)
{
    uint64_t suspected = load64(&store->header->suspected);
    size_t findings;
    if (!check_all(store, report, context, &findings))
        return STATUS_NO_MEMORY;
    if (findings > 0)
        return STATUS_DAMAGED;
    __atomic_store_n(&store->header->acquitted, suspected, __ATOMIC_RELEASE);
    process_settle_inherited(store);
    return STATUS_OK;
}

size_t store_check(struct store *store, void (*report)(void *context, const char *finding), void *context)
{
    size_t findings;
    if (check_all(store, report, context, &findings))
        return findings;
    report(context, "there is no memory for a check");
    return 1;
}
