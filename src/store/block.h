/* block.h: the allocator: blocks of 99 sizes from pages of 64 KiB. Private to src/store; within a
 * transaction. */
#ifndef SHMAIL_BLOCK_H
#define SHMAIL_BLOCK_H

#include "layout.h"

/* A block of at least size bytes (1..BLOCK_MAX). Its content is arbitrary; beyond its first word it may be
 * written at once, since nobody reads a free block there: so nothing is allocated in a transaction that has
 * freed. STATUS_FULL_SEGMENT, perhaps with store->wants_page. */
enum status block_allocate(struct store *, size_t size, block_t *);

/* The same for up to most blocks, one at least, chained by their first word: as many as one page has room
 * for. Takes up to as many entries of the transaction more. */
enum status block_allocate_chain(struct store *, size_t size, uint32_t most, block_t *first);

/* The rest of a page, which then is full: a run, from *first up to the page's end, of blocks that were never
 * handed out, for who takes one after the other. False: the class has freed ones, which come first, or pages
 * are scarce, or the next one has no memory yet. */
bool block_take_run(struct store *, size_t size, block_t *first);

/* The one behind it in a run of blocks of just that many bytes; 0: it was the last one. */
block_t block_run_next(const struct store *, block_t, size_t bytes);

/* Whether the block is one of the run that begins with first; 0: there is none. */
bool block_in_run(const struct store *, block_t, block_t first);

/* What is left of a run. */
void block_free_run(struct store *, block_t first);

void block_free(struct store *, block_t);

/* False: it is none that could be freed, and must not be looked into. For what another process may have
 * scribbled over. */
bool block_is_one(const struct store *, block_t);

/* The same for what block_free_run could free. */
bool block_is_run(const struct store *, block_t first);

/* Frees a page without any block in use that a class keeps. STATUS_FULL_SEGMENT: none does. For
 * transaction_finish. */
enum status block_free_kept(struct store *);

/* What a page holds, for the check: false if the page is free or its word makes no sense. */
struct page_shape {
    uint32_t size, blocks, used, fresh, first_free; /* bytes; counts; index + 1 */
};
bool block_page_shape(uint64_t word, struct page_shape *);

size_t block_class_size(size_t size); /* the bytes that a block for size takes */

#endif
