/* index.c: the tree from ids to messages. An entry counts only if its presence bit is set, so that a fresh
 * node needs no clearing; an inner node's entry is a node, a leaf's a message. */
#include "index.h"

#include "block.h"
#include "log.h"
#include "transaction.h"

enum {
    NEXT_MOST = 6 * HEIGHT_MAX, /* nodes on the way to the next message: one leaf at most is empty */
};

static uint32_t entry_at(uint64_t position, uint32_t level)
{
    return (uint32_t)(position >> (NODE_BITS * level)) % NODE_ENTRIES;
}

static bool has_entry(const struct store *store, const struct node *node, uint32_t entry)
{
    return get64(store, &node->present) >> entry & 1;
}

static bool fits(uint64_t position, uint32_t height)
{
    return height >= HEIGHT_MAX || position >> (NODE_BITS * height) == 0;
}

/* Else a walk would leave the room for its path. */
static void expect_height(uint32_t height)
{
    if (height > HEIGHT_MAX)
        bug("an index is higher than any can be");
}

block_t index_find(const struct store *store, const struct account_record *record, uint64_t id)
{
    uint64_t position = id - get64(store, &record->base);
    uint32_t height = get32(store, &record->height);
    block_t block = get32(store, &record->root);
    expect_height(height);
    if (height == 0 || id < get64(store, &record->base) || !fits(position, height))
        return 0;
    for (uint32_t level = height; level-- > 0;) {
        const struct node *node = at(store, block);
        if (!has_entry(store, node, entry_at(position, level)))
            return 0;
        block = get32(store, &node->entry[entry_at(position, level)]);
    }
    return block;
}

static enum status new_node(struct store *store, uint32_t entry, uint32_t value, block_t *block)
{
    enum status status = block_allocate(store, sizeof(struct node), block);
    if (status != STATUS_OK)
        return status;
    struct node *node = at(store, *block);
    set64(store, &node->present, UINT64_C(1) << entry);
    set32(store, &node->entry[entry], value);
    return STATUS_OK;
}

/* A chain of nodes, one a level, down to the message. */
static enum status new_path(struct store *store, uint64_t position, uint32_t levels, block_t message,
                            block_t *top)
{
    *top = message;
    for (uint32_t level = 0; level < levels; level++) {
        enum status status = new_node(store, entry_at(position, level), *top, top);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static void fill_entry(struct store *store, struct index_leaf *leaf, uint32_t entry, block_t block)
{
    leaf->present |= UINT64_C(1) << entry;
    set32(store, &leaf->node->entry[entry], block);
    set64(store, &leaf->node->present, leaf->present);
}

enum status index_append(struct store *store, struct account_record *record, uint64_t id, block_t message,
                         struct index_leaf *leaf)
{
    if (leaf->node && id - leaf->first < NODE_ENTRIES) {
        fill_entry(store, leaf, (uint32_t)(id - leaf->first), message);
        return STATUS_OK;
    }
    uint64_t position = id - get64(store, &record->base);
    uint32_t stood = get32(store, &record->height);
    uint32_t height = stood;
    block_t root = get32(store, &record->root);
    enum status status = STATUS_OK;
    if (height == 0) {
        status = new_path(store, position, 1, message, &root);
        set32(store, &record->root, root);
        set32(store, &record->height, 1);
        return status;
    }
    while (!fits(position, height)) {
        status = new_node(store, 0, root, &root);
        if (status != STATUS_OK)
            return status;
        height++;
    }
    bool grows = height > stood;
    if (grows) {
        set32(store, &record->root, root);
        set32(store, &record->height, height);
    }
    struct node *node = at(store, root);
    uint32_t level = height - 1;
    for (; !grows && level > 0 && get64(store, &node->present) >> entry_at(position, level) & 1; level--)
        node = at(store, get32(store, &node->entry[entry_at(position, level)]));
    block_t below;
    status = new_path(store, position, level, message, &below);
    if (status != STATUS_OK)
        return status;
    uint32_t entry = entry_at(position, level);
    struct index_leaf filled = {node, id - entry, get64(store, &node->present)};
    fill_entry(store, &filled, entry, below);
    if (level == 0)
        *leaf = filled;
    return STATUS_OK;
}

void index_remove(struct store *store, struct account_record *record, uint64_t id)
{
    uint64_t position = id - get64(store, &record->base);
    uint32_t height = get32(store, &record->height);
    block_t path[HEIGHT_MAX];
    block_t block = get32(store, &record->root);
    expect_height(height);
    for (uint32_t level = height; level-- > 0;) {
        path[level] = block;
        block = get32(store, &((struct node *)at(store, block))->entry[entry_at(position, level)]);
    }
    for (uint32_t level = 0; level < height; level++) {
        struct node *node = at(store, path[level]);
        uint64_t present = get64(store, &node->present) & ~(UINT64_C(1) << entry_at(position, level));
        /* A lone leaf stays: a mailbox that fills and empties again and again needs no block for it. */
        if (present || height == 1) {
            set64(store, &node->present, present);
            return;
        }
        block_free(store, path[level]);
    }
    set32(store, &record->root, 0);
    set32(store, &record->height, 0);
}

bool index_next(const struct store *store, const struct account_record *record, uint64_t from, uint64_t *id,
                block_t *message)
{
    uint64_t base = get64(store, &record->base);
    uint32_t height = get32(store, &record->height);
    uint64_t position = from > base ? from - base : 0;
    block_t path[HEIGHT_MAX];
    expect_height(height);
    if (height == 0 || !fits(position, height))
        return false;
    uint32_t level = height - 1;
    path[level] = get32(store, &record->root);
    for (int left = NEXT_MOST; left > 0; left--) {
        const struct node *node = at(store, path[level]);
        uint32_t entry = entry_at(position, level);
        uint64_t rest = get64(store, &node->present) >> entry;
        if (rest == 0) {
            /* Nothing more in this node: on to the entry behind it, which a carry may put further up. */
            if (++level == height)
                return false;
            position = ((position >> (NODE_BITS * level)) + 1) << (NODE_BITS * level);
            while (entry_at(position, level) == 0)
                if (++level == height)
                    return false;
            continue;
        }
        uint32_t skip = (uint32_t)__builtin_ctzll(rest);
        if (skip)
            position = ((position >> (NODE_BITS * level)) + skip) << (NODE_BITS * level);
        block_t below = get32(store, &node->entry[entry + skip]);
        if (level == 0) {
            *id = base + position;
            *message = below;
            return true;
        }
        path[--level] = below;
    }
    bug("an index leads to no message");
}

/* Takes the first message or the first empty node each time; what is left is always a sound tree. */
bool index_dismantle(struct store *store, struct account_record *record,
                     void (*drop)(struct store *, block_t))
{
    while (get32(store, &record->height) > 0) {
        uint64_t id;
        block_t message;
        if (!transaction_has_room(store, 8 * (get32(store, &record->height) + 2)))
            return false;
        if (!index_next(store, record, 0, &id, &message)) {
            block_free(store, get32(store, &record->root)); /* the lone empty leaf */
            set32(store, &record->root, 0);
            set32(store, &record->height, 0);
            return true;
        }
        index_remove(store, record, id);
        drop(store, message);
    }
    return true;
}
