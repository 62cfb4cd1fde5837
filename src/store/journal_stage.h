/* journal_stage.h: writes a group of records past the page cache (O_DIRECT), which saves the processor and
 * the sync behind it what the cache costs. Private to src/store.
 *
 * The disk takes whole blocks at places of whole blocks: so a group is copied into a part of the segment, the
 * stage, behind the file's bytes of the block that it begins in, which are written once more as they are. */
#ifndef SHMAIL_JOURNAL_STAGE_H
#define SHMAIL_JOURNAL_STAGE_H

#include "layout.h"

#include <sys/uio.h>

/* Bytes. Every disk takes so many, and whatever is a multiple of them. */
enum { STAGE_BLOCK = 4096, STAGE_BYTES = 1 << 20 };

/* As the leader: writes the runs at offset, which is where the active file's log ends; the rest of the last
 * block becomes zeros, as it was. 0, or an errno. EINVAL: it cannot be written so, or was only in part, and
 * is to be written through the cache; any other: it failed. */
int journal_stage_write(struct store *, const struct iovec *runs, int count, uint64_t offset);

#endif
