/* journal_stage.h: writes a group of records past the page cache (O_DIRECT), which saves the processor and
 * the sync behind it what the cache costs. Private to src/store.
 *
 * The disk takes whole blocks at places of whole blocks: so a group is built in a part of the segment, the
 * stage, behind the file's bytes of the block that it begins in, which are written once more as they are.
 *
 * The stage has two halves. While one group is on its way to the disk, those who wait for the next one build
 * that: each what is pending when it comes, so that the disk waits for little when it is free. One at a time
 * is the builder, by an owner word; nobody else changes the group that is built, and it changes no half that
 * a leader writes from. What one leaves that dies is built anew. */
#ifndef SHMAIL_JOURNAL_STAGE_H
#define SHMAIL_JOURNAL_STAGE_H

#include "layout.h"

/* Bytes. Every disk takes so many as a block, and whatever is a multiple of them. */
enum { STAGE_BLOCK = 4096, STAGE_HALF = 512 << 10, STAGE_BYTES = 2 * STAGE_HALF };

/* Adds what is pending to the next group, if there is one and nobody else does so. */
void journal_stage_help(struct store *);

/* As the leader: takes the group of what is pending, as far as it fits, out of the stage and begins the next
 * one. False: it cannot be written past the cache. */
bool journal_stage_close(struct store *, struct staged_group *);

/* As the leader: writes the group that was closed last; the rest of its last block becomes zeros, as it was.
 * 0, or an errno. EINVAL: it cannot be written so, or was only in part, and is to be written through the
 * cache; any other: it failed. */
int journal_stage_write(struct store *, const struct staged_group *);

/* As the leader, before the file changes in any other way: nobody builds any more until the next close. */
void journal_stage_drop(struct store *);

#endif
