/* salvage.h: a state from what is left of a damaged journal. Private to src/store.
 *
 * Every sound record is made again as a server would (restore.h). What a server would refuse, because it
 * contradicts those before it, is explained by the records that are missing where it can be, and else is
 * reported, its message exported. Nothing is put into a mailbox that may have become another account's in
 * between. On a journal without damage it comes to the same as a server's recovery. */
#ifndef SHMAIL_SALVAGE_H
#define SHMAIL_SALVAGE_H

#include "export.h"
#include "journal_format.h"
#include "layout.h"

struct salvage;

/* Needs an attached, empty store that nobody else has. file names the journal file in reports, exporter may
 * be NULL; all live as long as the salvage. NULL: no memory. */
struct salvage *salvage_begin(struct store *, const char *file, struct report *, struct exporter *);

/* Makes a record again. An error means that the store has no room (STATUS_FULL_*), or that an export has
 * failed. */
enum status salvage_record(struct salvage *, const struct journal_record *, const char *texts,
                           uint64_t offset);

/* Records of the log are missing here; 0: an unknown number in so many bytes. */
void salvage_gap(struct salvage *, uint64_t missing, uint64_t bytes);

/* Gives each account as many ids as may have been given in what is missing, so that none is used again. */
void salvage_end(struct salvage *);

#endif
