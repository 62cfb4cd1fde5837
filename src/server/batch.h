/* batch.h: replies on their way out, as runs of bytes that leave by one system call in the order in which
 * they came.
 *
 * A run is copied, or referred to in place and then must stay until it was sent. Never sleeps. */
#ifndef SHMAIL_BATCH_H
#define SHMAIL_BATCH_H

#include "descriptors.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
    BATCH_BYTES = 64 << 10, /* copied bytes in one batch */
    BATCH_RUNS = 256,       /* IOV_MAX is 1024 */
    BATCH_FEW = 8,          /* runs, and */
    BATCH_LITTLE = 128,     /* copied bytes, that touch no other page than the fields beside them */
};

/* Where there is room for more. */
struct batch_memory {
    struct iovec many[BATCH_RUNS];
    char bytes[BATCH_BYTES];
};

struct batch {
    struct batch_memory *memory;
    size_t room;         /* for runs: BATCH_FEW, and as soon as those are full BATCH_RUNS, which are many */
    size_t first, count; /* of them, [first..count) are not sent */
    char *bytes;         /* copies: little, at first */
    size_t copied, most; /* so far bytes is used up, and may be */
    struct iovec *last;  /* the last run, if it was copied: it ends there; else NULL */
    struct iovec few[BATCH_FEW];
    char little[BATCH_LITTLE];
};

/* An empty batch, whose first copies go where little room is; after batch_clear none do. */
void batch_open(struct batch *, struct batch_memory *);
void batch_clear(struct batch *);
bool batch_is_empty(const struct batch *);

/* False: no room for a copy, or no run left; nothing has changed. */
bool batch_copy(struct batch *, const void *bytes, size_t length);
/* Where a copy of up to length bytes would go: what is written there and given to batch_copy next is not
 * copied. NULL: there is no such room. */
char *batch_room(struct batch *, size_t length);
bool batch_refer(struct batch *, const void *bytes, size_t length);

/* Sends what one call that does not block can: for a file or socket as much as it takes, for others (which
 * must be ready, as ppoll(2) sees it) PIPE_BUF bytes. As send(2) returns; what was sent is dropped. */
ssize_t batch_send(struct batch *, int descriptor, enum descriptor_kind);

#endif
