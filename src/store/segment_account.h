/* segment_account.h: what verifies of one account in a segment that may be damaged anywhere. Private to
 * src/store. */
#ifndef SHMAIL_SEGMENT_ACCOUNT_H
#define SHMAIL_SEGMENT_ACCOUNT_H

#include "export.h"
#include "salvage_account.h"
#include "segment_blocks.h"

struct found {
    uint64_t id;
    block_t block; /* 0: it is not in the segment (segment_salvage.c) */
};

struct segment_account {
    uint32_t index;
    bool alive;
    bool whole;                          /* everything of it verifies */
    const struct account_record *record; /* empty where there is no memory behind it */
    const struct identity *identity;     /* NULL: it does not verify; else it is what was read of it */
    const struct identity *claimed;      /* the same, or one that is not what the account was found by */
    alignas(struct identity) char read[sizeof(struct identity) + NAME_MAX_BYTES + HASH_MAX + 2];
    char name[ACCOUNT_TEXT_SIZE];          /* or "account N" */
    struct buffer messages, queue, broken; /* of struct found; broken: messages that do not verify, by id */
    size_t broken_queued;
};

struct misplaced {
    block_t block;
    uint32_t account; /* that refers to it */
    bool queued;
};

/* What the accounts of a segment are taken with. */
struct segment_accounts {
    const struct store *store;
    struct segment_blocks blocks;
    uint64_t *dying; /* a bit per account: it is being removed, and what it has is nobody's */
    struct report *report;
    struct exporter *exporter;
    struct buffer misplaced; /* of struct misplaced: messages that are not what should be there */
    struct buffer passed;    /* index nodes with nothing of the account in hand, as block_t */
    struct buffer text;      /* scratch */
    enum status status;      /* of everything so far */
};

/* False: no memory. */
bool segment_accounts_begin(struct segment_accounts *, const struct store *, struct report *,
                            struct exporter *);
void segment_accounts_end(struct segment_accounts *);

/* Takes what there is of that account into *account, whose buffers are used again. What verifies, but is not
 * what should be there, is left for the one whose it is, and noted. */
void segment_account_take(struct segment_accounts *, uint32_t index, struct segment_account *account);
void segment_account_free(struct segment_account *);

/* Whether the account was found by that name. */
bool segment_account_is_named(const struct segment_accounts *, const struct segment_account *,
                              const char *name);

/* Exports a message that was taken. */
void segment_message_export(struct segment_accounts *, block_t, bool queued, const char *owner,
                            const char *reason);

static inline size_t found_count(const struct buffer *list)
{
    return list->length / sizeof(struct found);
}

static inline const struct found *found_at(const struct buffer *list, size_t i)
{
    return (const struct found *)(const void *)list->bytes + i;
}

/* The greatest id of a list that is sorted; 0: there is none. */
static inline uint64_t found_last(const struct buffer *list)
{
    return list->length > 0 ? found_at(list, found_count(list) - 1)->id : 0;
}

/* False, and a status, where there is no memory. */
bool found_add(struct segment_accounts *, struct buffer *list, uint64_t id, block_t block);

/* By id. */
void found_sort(struct buffer *list);
bool found_has(const struct buffer *list, size_t count, uint64_t id);

#endif
