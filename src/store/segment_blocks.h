/* segment_blocks.h: the blocks of a segment that may be damaged anywhere: which there are, what a message is
 * made of, and what has been met already. Private to src/store.
 *
 * It trusts no reference, count or list of the segment, only the word of each page. Whoever has kept its
 * mapping may scribble on meanwhile: then what is found is arbitrary, but nothing leads out of the segment.
 */
#ifndef SHMAIL_SEGMENT_BLOCKS_H
#define SHMAIL_SEGMENT_BLOCKS_H

#include "buffer.h"
#include "layout.h"

struct segment_blocks {
    const struct store *store;
    uint64_t *met; /* a bit per block: it was taken, or is free */
};

/* With none met. False: no memory. */
bool segment_blocks_begin(struct segment_blocks *, const struct store *);
void segment_blocks_end(struct segment_blocks *);

/* Whether an allocated block of at least size bytes begins there; *bytes, if not NULL, is what it has. */
bool segment_block_is(const struct segment_blocks *, block_t, size_t size, size_t *bytes);

/* The same, and that it was not met before: now it is. */
bool segment_block_take(struct segment_blocks *, block_t, size_t size);

/* It was not what it should be: another may take it. */
void segment_block_release(struct segment_blocks *, block_t);

/* Takes the head and all pieces of a sound message, or nothing. */
bool segment_message_take(struct segment_blocks *, block_t);

/* A message's record, as it is at this moment, without text. */
void segment_message_head(const struct segment_blocks *, block_t, struct message_record *head);

/* The head of a message that was taken, and its sender, subject and body, one after the other, which are just
 * as long as the head says: nothing, where it does not verify any more. False: no memory. */
bool segment_message_text(const struct segment_blocks *, block_t, struct message_record *head,
                          struct buffer *);

/* Takes the free blocks of each page whose chain and counts agree, and those that processes keep for their
 * drafts, after all that is referred to: a damaged chain may lead to what is in use. */
void segment_free_take(struct segment_blocks *);

/* The next block at or after *block that was not met; false: there is none. *block 0 is the first. */
bool segment_block_next(const struct segment_blocks *, block_t *block);

#endif
