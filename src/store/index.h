/* index.h: a mailbox's messages by id: a tree of 64-way nodes over the ids since record->base. Private to
 * src/store; within a transaction. Heights follow the span of ids alive, so the cost is that of a few loads
 * at any size. */
#ifndef SHMAIL_INDEX_H
#define SHMAIL_INDEX_H

#include "layout.h"

/* The message, or 0. */
block_t index_find(const struct store *, const struct account_record *, uint64_t id);

/* A leaf that a message was put into, for the next ones: ids beyond it are looked up again. Good within the
 * transaction, while that only appends to this index. */
struct index_leaf {
    struct node *node; /* NULL: not known */
    uint64_t first;    /* the id that its entry 0 stands for */
    uint64_t present;
};

/* id is greater than every id in the index. The leaf is the one before's, or {0}. STATUS_FULL_SEGMENT. */
enum status index_append(struct store *, struct account_record *, uint64_t id, block_t message,
                         struct index_leaf *);

/* id is in the index. */
void index_remove(struct store *, struct account_record *, uint64_t id);

/* The smallest id that is at least from, and its message; false: none. */
bool index_next(const struct store *, const struct account_record *, uint64_t from, uint64_t *id,
                block_t *message);

/* Frees nodes, bottom up, of an index whose messages are not wanted any more. Calls drop for each message.
 * Goes as far as the transaction has room; true when nothing is left. */
bool index_dismantle(struct store *, struct account_record *, void (*drop)(struct store *, block_t));

#endif
