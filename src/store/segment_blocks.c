/* segment_blocks.c: finds blocks by the pages that they lie in, and messages by their blocks. */
#include "segment_blocks.h"

#include "block.h"
#include "check.h"
#include "message.h"
#include "process.h"
#include "segment.h"

#include <stdlib.h>
#include <string.h>

static uint64_t page_offset(const struct store *store, uint32_t page)
{
    return store->arena + (uint64_t)page * PAGE;
}

/* False where no memory stands behind the page or its record, or its word makes no sense. */
static bool shape_of(const struct segment_blocks *blocks, uint64_t page, struct page_shape *shape)
{
    const struct store *store = blocks->store;
    const struct page_record *record = &store->pages[page];
    return page < store->pages_most && segment_has(store, (uint64_t)((const char *)record - store->base)) &&
           segment_has(store, page_offset(store, (uint32_t)page)) &&
           block_page_shape(load64(&record->word), shape);
}

static bool find(const struct segment_blocks *blocks, block_t block, uint32_t *page, uint32_t *index,
                 struct page_shape *shape)
{
    uint64_t offset = (uint64_t)block * UNIT;
    if (offset < blocks->store->arena)
        return false;
    *page = (uint32_t)((offset - blocks->store->arena) / PAGE);
    if (!shape_of(blocks, *page, shape) || offset % PAGE % shape->size != 0)
        return false;
    *index = (uint32_t)(offset % PAGE) / shape->size;
    return *index < shape->fresh;
}

static bool is_met(const struct segment_blocks *blocks, uint32_t page, uint32_t index)
{
    return blocks->met[(size_t)page * SEEN_WORDS + index / 64] >> (index % 64) & 1;
}

static void meet(struct segment_blocks *blocks, uint32_t page, uint32_t index)
{
    blocks->met[(size_t)page * SEEN_WORDS + index / 64] |= UINT64_C(1) << (index % 64);
}

bool segment_blocks_begin(struct segment_blocks *blocks, const struct store *store)
{
    *blocks = (struct segment_blocks){.store = store};
    blocks->met = calloc((size_t)store->pages_most * SEEN_WORDS, sizeof(uint64_t));
    return blocks->met != NULL;
}

void segment_blocks_end(struct segment_blocks *blocks)
{
    free(blocks->met);
    blocks->met = NULL;
}

bool segment_block_is(const struct segment_blocks *blocks, block_t block, size_t size, size_t *bytes)
{
    struct page_shape shape;
    uint32_t page;
    uint32_t index;
    if (!find(blocks, block, &page, &index, &shape) || shape.size < size)
        return false;
    if (bytes)
        *bytes = shape.size;
    return true;
}

bool segment_block_take(struct segment_blocks *blocks, block_t block, size_t size)
{
    struct page_shape shape;
    uint32_t page;
    uint32_t index;
    if (!find(blocks, block, &page, &index, &shape) || shape.size < size || is_met(blocks, page, index))
        return false;
    meet(blocks, page, index);
    return true;
}

void segment_block_release(struct segment_blocks *blocks, block_t block)
{
    struct page_shape shape;
    uint32_t page;
    uint32_t index;
    if (find(blocks, block, &page, &index, &shape))
        blocks->met[(size_t)page * SEEN_WORDS + index / 64] &= ~(UINT64_C(1) << (index % 64));
}

static uint32_t next_free(const char *base, const struct page_shape *shape, uint32_t number)
{
    memcpy(&number, base + (uint64_t)(number - 1) * shape->size, sizeof(number));
    return number;
}

/* One that comes to its end after as many blocks as are not in use goes round in no circle. */
static bool is_chain(const char *base, const struct page_shape *shape)
{
    uint32_t left = shape->fresh - shape->used;
    uint32_t next = shape->first_free;
    for (; next > 0 && next <= shape->fresh && left > 0; left--)
        next = next_free(base, shape, next);
    return next == 0 && left == 0;
}

static void take_run(struct segment_blocks *blocks, block_t block)
{
    size_t bytes;
    while (block && segment_block_is(blocks, block, sizeof(block), &bytes) &&
           segment_block_take(blocks, block, sizeof(block)))
        block = block_run_next(blocks->store, block, bytes);
}

void segment_free_take(struct segment_blocks *blocks)
{
    struct page_shape shape;
    for (uint32_t i = 0; i < blocks->store->slots_most; i++)
        if (process_has_slot(blocks->store, i) && slot_at(blocks->store, i)->life % 2)
            take_run(blocks, load32(&slot_at(blocks->store, i)->run));
    for (uint32_t page = 0; page < blocks->store->pages_most; page++) {
        if (!shape_of(blocks, page, &shape))
            continue;
        const char *base = blocks->store->base + page_offset(blocks->store, page);
        uint32_t next = is_chain(base, &shape) ? shape.first_free : 0;
        for (uint32_t left = shape.fresh - shape.used; next > 0 && next <= shape.fresh && left > 0; left--) {
            meet(blocks, page, next - 1);
            next = next_free(base, &shape, next);
        }
    }
}

/* As far as it is sound. */
static void take_chain(struct segment_blocks *blocks, block_t block)
{
    while (block && segment_block_take(blocks, block, sizeof(block_t)))
        memcpy(&block, at(blocks->store, block), sizeof(block));
}

static bool is_fresh(const struct segment_blocks *blocks, block_t block)
{
    struct page_shape shape;
    uint32_t page;
    uint32_t index;
    return find(blocks, block, &page, &index, &shape) && !is_met(blocks, page, index);
}

void segment_message_head(const struct segment_blocks *blocks, block_t block, struct message_record *head)
{
    const struct message_record *message = at(blocks->store, block);
    head->link = load32(&message->link);
    head->pieces = load32(&message->pieces);
    head->id = load64(&message->id);
    head->received = __atomic_load_n(&message->received, __ATOMIC_ACQUIRE);
    head->owner = load32(&message->owner);
    head->pins = load32(&message->pins);
    head->body_length = load32(&message->body_length);
    head->shape = load32(&message->shape);
}

static size_t fixed_text(const struct message_record *head)
{
    return message_sender_length(head->shape) + message_subject_length(head->shape);
}

/* The block has just the size that a message with such a head would be given. */
static bool fits(const struct segment_blocks *blocks, block_t block, const struct message_record *head)
{
    size_t bytes;
    return segment_block_is(blocks, block, sizeof(*head), &bytes) &&
           message_sender_length(head->shape) <= NAME_MAX_BYTES &&
           message_subject_length(head->shape) <= SUBJECT_MAX && head->body_length <= MESSAGE_LIMIT_MAX &&
           block_class_size(sizeof(*head) + message_head_text(fixed_text(head), head->body_length)) == bytes;
}

/* Head and as many pieces as the lengths need, none of them met, each of just the size that it would be
 * given. */
static bool is_message(const struct segment_blocks *blocks, block_t block)
{
    if (!is_fresh(blocks, block))
        return false;
    struct message_record head;
    segment_message_head(blocks, block, &head);
    if (!fits(blocks, block, &head))
        return false;
    size_t text = fixed_text(&head);
    size_t left = text + head.body_length - message_head_text(text, head.body_length);
    block_t piece = head.pieces;
    for (size_t i = 0; i < (left + PIECE_TEXT - 1) / PIECE_TEXT; i++) {
        if (piece == block || !segment_block_is(blocks, piece, sizeof(struct piece), NULL) ||
            !is_fresh(blocks, piece))
            return false;
        piece = load32(&((const struct piece *)at(blocks->store, piece))->link);
    }
    return piece == 0;
}

bool segment_message_take(struct segment_blocks *blocks, block_t block)
{
    if (!is_message(blocks, block))
        return false;
    const struct message_record *message = at(blocks->store, block);
    segment_block_take(blocks, block, sizeof(*message));
    take_chain(blocks, load32(&message->pieces));
    return true;
}

/* Up to where the pieces are such. */
static void append_pieces(const struct segment_blocks *blocks, block_t next, size_t left, struct buffer *text)
{
    while (left > 0 && segment_block_is(blocks, next, sizeof(struct piece), NULL)) {
        const struct piece *piece = at(blocks->store, next);
        size_t length = left < PIECE_TEXT ? left : PIECE_TEXT;
        buffer_append(text, piece->text, length);
        left -= length;
        next = load32(&piece->link);
    }
}

bool segment_message_text(const struct segment_blocks *blocks, block_t block, struct message_record *head,
                          struct buffer *text)
{
    const struct message_record *message = at(blocks->store, block);
    segment_message_head(blocks, block, head);
    buffer_clear(text);
    if (fits(blocks, block, head)) {
        size_t all = fixed_text(head) + head->body_length;
        size_t first = message_head_text(fixed_text(head), head->body_length);
        buffer_append(text, message->text, first);
        append_pieces(blocks, head->pieces, all - first, text);
        if (text->failed || text->length == all)
            return !text->failed;
    }
    buffer_clear(text);
    head->shape = head->body_length = 0;
    return true;
}

bool segment_block_next(const struct segment_blocks *blocks, block_t *block)
{
    uint64_t offset = (uint64_t)*block * UNIT;
    uint64_t at_page = offset < blocks->store->arena ? 0 : (offset - blocks->store->arena) / PAGE;
    for (uint64_t page = at_page; page < blocks->store->pages_most; page++) {
        struct page_shape shape;
        if (!shape_of(blocks, page, &shape))
            continue;
        uint64_t start = page_offset(blocks->store, (uint32_t)page);
        uint32_t index = offset > start ? (uint32_t)((offset - start + shape.size - 1) / shape.size) : 0;
        for (; index < shape.fresh; index++) {
            if (is_met(blocks, (uint32_t)page, index))
                continue;
            *block = (block_t)((start + (uint64_t)index * shape.size) / UNIT);
            return true;
        }
    }
    return false;
}
