/* restore.h: makes the operations of a journal's records again, in an empty segment. Private to src/store. */
#ifndef SHMAIL_RESTORE_H
#define SHMAIL_RESTORE_H

#include "journal_format.h"
#include "layout.h"

struct restore;

/* Needs an attached store that nobody else has, with its journal off. NULL: no memory. */
struct restore *restore_begin(struct store *);

/* STATUS_MISMATCH: the record contradicts those before it. STATUS_FULL_*: there is no room for it. */
enum status restore_record(struct restore *, const struct journal_record *, const char *texts);

/* Lists the account records that are free, and frees the rest. */
void restore_end(struct restore *);

#endif
