/* segment_copy.h: a named segment as nobody else can touch it. Private to src/store. */
#ifndef SHMAIL_SEGMENT_COPY_H
#define SHMAIL_SEGMENT_COPY_H

#include "layout.h"

/* Opens the segment, keeps every other process from attaching until this one ends, and maps it anew so that
 * what is written from here on is not written to it. What a dead process had committed is completed there. It
 * is not attached; journal_unload lets go of it, and lets others attach. *unmarked is how many units of
 * memory that is in use were not marked so: here they are. STATUS_IN_USE: somebody is; STATUS_MISMATCH: no
 * sound header; STATUS_SYSTEM. */
enum status segment_copy(const char *name, struct store **, uint64_t *unmarked, char *why, size_t why_size);

#endif
