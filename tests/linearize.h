/* linearize.h: decides whether a history of a post office is linearizable: whether each operation can have
 * happened whole at one instant between its call and its return, so that a plain model of FIFO mailboxes
 * answers to all of them what the store has answered. An operation that never returned may have happened or
 * not. It knows nothing of the store.
 *
 * The search is Wing and Gong's, which tries every order that the times allow, with Lowe's memory of what has
 * been tried: the same operations done, with the same post office as their outcome. */
#ifndef SHMAIL_LINEARIZE_H
#define SHMAIL_LINEARIZE_H

#include "buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BOXES = 2, OPERATIONS_MAX = 64, TRIED_MAX = 1 << 16 };

enum kind { APPEND, FIRST, DELETE_FIRST, DELETE, OPEN, COUNT, LIST, PUSH, STORE, QUEUE, KINDS };

static const char *const kind_names[KINDS] = {"append", "first", "delete first", "delete", "open",
                                              "count",  "list",  "push",         "store",  "queue"};

/* Letters are numbered from 1 on, each is given to the post office once. */
struct held {
    uint8_t id, letter;
};

struct operation {
    int64_t called, returned; /* returned 0: never */
    uint8_t kind;
    uint8_t box;                 /* whose mailbox, or whose queue where only that is meant */
    uint8_t sender;              /* STORE: whose queue */
    uint8_t letter;              /* APPEND, PUSH: which; FIRST, OPEN: what was found */
    uint8_t id;                  /* DELETE, OPEN: of which; APPEND, FIRST, STORE: what was given */
    uint8_t after, newest, most; /* LIST */
    uint8_t nothing;             /* there was no such message, or none */
    uint8_t count;               /* COUNT; LIST and QUEUE: how many were found */
    struct held found[OPERATIONS_MAX];
};

/* Compared byte for byte: no padding, and nothing but zeros behind what counts. */
struct model {
    struct {
        uint8_t newest, count;
        struct held held[OPERATIONS_MAX];
    } boxes[BOXES];
    struct {
        uint8_t count;
        uint8_t letters[OPERATIONS_MAX];
    } queues[BOXES];
};

static inline uint8_t model_append(struct model *model, unsigned box, uint8_t letter)
{
    uint8_t id = ++model->boxes[box].newest;
    model->boxes[box].held[model->boxes[box].count++] = (struct held){id, letter};
    return id;
}

/* The position of the id, or the count where it is not there. */
static inline unsigned model_find(const struct model *model, unsigned box, uint8_t id)
{
    unsigned at = 0;
    while (at < model->boxes[box].count && model->boxes[box].held[at].id != id)
        at++;
    return at;
}

static inline bool model_delete(struct model *model, unsigned box, unsigned at)
{
    if (at >= model->boxes[box].count)
        return false;
    struct held *held = model->boxes[box].held;
    unsigned left = --model->boxes[box].count;
    memmove(&held[at], &held[at + 1], (left - at) * sizeof(*held));
    held[left] = (struct held){0, 0};
    return true;
}

static inline bool model_store(struct model *model, unsigned sender, unsigned box, uint8_t *id)
{
    if (model->queues[sender].count == 0)
        return false;
    uint8_t *newest = &model->queues[sender].letters[--model->queues[sender].count];
    *id = model_append(model, box, *newest);
    *newest = 0;
    return true;
}

static inline bool model_lists(const struct model *model, const struct operation *operation)
{
    unsigned found = 0;
    for (unsigned i = 0; i < model->boxes[operation->box].count && found < operation->most; i++) {
        struct held held = model->boxes[operation->box].held[i];
        if (held.id <= operation->after || held.id > operation->newest)
            continue;
        if (found == operation->count || memcmp(&operation->found[found], &held, sizeof(held)) != 0)
            return false;
        found++;
    }
    return found == operation->count;
}

/* Newest first. */
static inline bool model_queues(const struct model *model, const struct operation *operation)
{
    unsigned count = model->queues[operation->box].count;
    bool same = count == operation->count;
    for (unsigned i = 0; same && i < count; i++)
        same = operation->found[i].letter == model->queues[operation->box].letters[count - 1 - i];
    return same;
}

/* Does the operation; false: the model's answer is another. */
static inline bool model_do(struct model *model, const struct operation *operation)
{
    unsigned box = operation->box;
    bool known = operation->returned != 0, done = true;
    uint8_t id = 0, letter = 0;
    unsigned at = 0;
    switch ((enum kind)operation->kind) {
    case APPEND:
        id = model_append(model, box, operation->letter);
        return !known || id == operation->id;
    case OPEN:
        at = model_find(model, box, operation->id); /* fall through */
    case FIRST:
        done = at < model->boxes[box].count;
        letter = done ? model->boxes[box].held[at].letter : 0;
        id = done ? model->boxes[box].held[at].id : 0;
        return done == !operation->nothing && (!done || (letter == operation->letter && id == operation->id));
    case DELETE:
        at = model_find(model, box, operation->id); /* fall through */
    case DELETE_FIRST:
        done = model_delete(model, box, at);
        return !known || done == !operation->nothing;
    case COUNT:
        return model->boxes[box].count == operation->count;
    case LIST:
        return model_lists(model, operation);
    case PUSH:
        model->queues[box].letters[model->queues[box].count++] = operation->letter;
        return true;
    case STORE:
        done = model_store(model, operation->sender, box, &id);
        return !known || (done == !operation->nothing && (!done || id == operation->id));
    case QUEUE:
        return model_queues(model, operation);
    case KINDS:
        break;
    }
    return false;
}

static inline bool changes(const struct operation *operation)
{
    return operation->kind == APPEND || operation->kind == DELETE_FIRST || operation->kind == DELETE ||
           operation->kind == PUSH || operation->kind == STORE;
}

/* ---- the search ---- */

#define TABLE_SIZE ((size_t)2 * TRIED_MAX)

struct tried {
    uint64_t done; /* bit i: operation i */
    struct model model;
};

struct search {
    const struct operation *operations;
    unsigned count;
    uint64_t completed, wanted; /* those that returned; those and the ones that may have happened */
    struct tried *tried;
    uint32_t *table; /* open addressing: index + 1 into tried */
    uint32_t tried_count;
    bool given_up;
};

static inline uint64_t tried_hash(const struct tried *tried)
{
    const unsigned char *bytes = (const unsigned char *)tried;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < sizeof(tried->done) + sizeof(tried->model); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    return hash ^ hash >> 29;
}

/* False: this was tried before. */
static inline bool is_new(struct search *search, uint64_t done, const struct model *model)
{
    struct tried *next = &search->tried[search->tried_count];
    if (search->tried_count == TRIED_MAX) {
        search->given_up = true;
        return false;
    }
    memset(next, 0, sizeof(*next));
    next->done = done;
    next->model = *model;
    uint64_t at = tried_hash(next);
    for (; search->table[at % TABLE_SIZE]; at++)
        /* Bytes, padding too: each was cleared whole before it was filled.
         * NOLINTNEXTLINE(*exp42-c,*flp37-c,*-comparison) */
        if (memcmp(&search->tried[search->table[at % TABLE_SIZE] - 1], next, sizeof(*next)) == 0)
            return false;
    search->table[at % TABLE_SIZE] = ++search->tried_count;
    return true;
}

/* An operation may come next if none of the others that are left had returned before it was called. */
static inline bool search_from(struct search *search, uint64_t done, const struct model *model)
{
    int64_t earliest = INT64_MAX;
    if ((done & search->completed) == search->completed)
        return true;
    if (!is_new(search, done, model))
        return false;
    for (unsigned i = 0; i < search->count; i++)
        if (search->completed & ~done & UINT64_C(1) << i && search->operations[i].returned < earliest)
            earliest = search->operations[i].returned;
    for (unsigned i = 0; i < search->count; i++) {
        struct model next = *model;
        if (search->wanted & ~done & UINT64_C(1) << i && search->operations[i].called <= earliest &&
            model_do(&next, &search->operations[i]) && search_from(search, done | UINT64_C(1) << i, &next))
            return true;
    }
    return false;
}

enum verdict { LINEARIZABLE, NOT_LINEARIZABLE, TOO_HARD };

/* At most OPERATIONS_MAX operations, on a post office that was empty before. */
static inline enum verdict linearize(const struct operation *operations, unsigned count)
{
    static struct tried *tried;
    static uint32_t *table;
    struct model empty;
    struct search search = {.operations = operations, .count = count};
    if (!tried) {
        tried = calloc(TRIED_MAX, sizeof(*tried));
        table = calloc(TABLE_SIZE, sizeof(*table));
    }
    if (!tried || !table || count > OPERATIONS_MAX)
        return TOO_HARD;
    search.tried = tried;
    search.table = table;
    memset(&empty, 0, sizeof(empty));
    for (unsigned i = 0; i < count; i++) {
        search.completed |= (uint64_t)(operations[i].returned != 0) << i;
        search.wanted |= (uint64_t)(operations[i].returned != 0 || changes(&operations[i])) << i;
    }
    bool found = search_from(&search, 0, &empty);
    memset(table, 0, TABLE_SIZE * sizeof(*table));
    return found ? LINEARIZABLE : search.given_up ? TOO_HARD : NOT_LINEARIZABLE;
}

static inline void print_operation(struct buffer *out, const struct operation *operation, int64_t zero)
{
    (void)buffer_print(out, "%8lld %8lld %-12s box %u", (long long)(operation->called - zero),
                       operation->returned ? (long long)(operation->returned - zero) : -1LL,
                       kind_names[operation->kind], operation->box);
    (void)buffer_print(out,
                       " sender %u letter %u id %u after %u newest %u most %u%s count %u:", operation->sender,
                       operation->letter, operation->id, operation->after, operation->newest, operation->most,
                       operation->nothing ? " nothing" : "", operation->count);
    for (unsigned i = 0; (operation->kind == LIST || operation->kind == QUEUE) && i < operation->count; i++)
        (void)buffer_print(out, " %u=%u", operation->found[i].id, operation->found[i].letter);
    (void)buffer_append_byte(out, '\n');
}

#endif
