/* journal_rewrite.h: a store's state as a fresh journal in place of what a directory holds. Private to
 * src/store. */
#ifndef SHMAIL_JOURNAL_REWRITE_H
#define SHMAIL_JOURNAL_REWRITE_H

#include "journal_directory.h"
#include "layout.h"

/* Puts a new pair of files, whose active one is a checkpoint of the private store, into the directory
 * (DIRECTORY_MEND). Their generation is beyond the next one of any segment of before, and the lock file gets
 * a new number, so that none goes on with them. The old files stay as journal.N.damaged-MOMENT. A death in
 * between leaves either pair, or a mixture that a server reads right. STATUS_FULL_JOURNAL: nothing has
 * changed. */
enum status journal_rewrite(const struct journal_directory *, const struct journal_choice *, struct store *,
                            const char *moment, struct report *, char *why, size_t why_size);

/* Whether a file is kept under that moment already. */
bool journal_keeps(const struct journal_directory *, const char *moment);

#endif
