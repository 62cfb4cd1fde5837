/* journal_load.h: the active file's records, made again in a private store. Private to src/store. */
#ifndef SHMAIL_JOURNAL_LOAD_H
#define SHMAIL_JOURNAL_LOAD_H

#include "export.h"
#include "journal_directory.h"
#include "layout.h"

struct journal_load {
    const struct journal_directory *place;
    struct report *report;
    struct exporter *exporter; /* NULL: what has no place is only named */
    uint32_t accounts;         /* room for at least so many */
    bool mended;               /* set: the file is not as it should be, and the store is what is left of it */
};

/* *store is attached, private and sound, unless the report says otherwise; NULL on failure. STATUS_NO_MEMORY
 * and STATUS_FULL_*: there is no room for it; STATUS_SYSTEM. */
enum status journal_load(struct journal_load *, const struct journal_choice *, struct store **store,
                         char *why, size_t why_size);

/* Lets go of a store that nobody else has: a private one, or a copy. NULL: there is none. */
void journal_unload(struct store *);

#endif
