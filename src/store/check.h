/* check.h: the parts of the check (check.c) share this. Private to src/store. */
#ifndef SHMAIL_CHECK_H
#define SHMAIL_CHECK_H

#include "layout.h"

#include <stddef.h>

struct check {
    const struct store *store;
    /* What bounds each walk, read once and verified: another process may scribble on while this one looks. */
    uint32_t pages; /* in use; before that is known, how many have room in seen */
    uint32_t accounts_used, sessions_used;
    uint64_t *seen;    /* per page SEEN_WORDS words: a bit per block that is free or belongs to something */
    uint64_t pins;     /* of all messages */
    uint64_t sessions; /* live ones that some account has */
    block_t *pinned;   /* what the slots have pinned */
    size_t pinned_count, pinned_most;
    size_t findings;
    char *text; /* findings, each with its NUL; those beyond FINDINGS_TEXT are only counted */
    size_t text_length;
};

enum { SEEN_WORDS = PAGE / 32 / 64, FINDINGS_TEXT = 65536 };

__attribute__((format(printf, 2, 3))) void finding(struct check *, const char *format, ...);

/* Marks a block that belongs to what, and returns its bytes; 0, with a finding, unless it is an allocated
 * block of at least size bytes that belongs to nothing else. Only then may it be looked into. */
size_t check_block(struct check *, block_t, size_t size, const char *what, uint32_t who);

void check_accounts(struct check *);
void check_sessions(struct check *);
void check_slots(struct check *);
void check_limbo(struct check *);

#endif
