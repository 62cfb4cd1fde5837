/* journal_tools.h: a journal (shmail-journal(5)) as shmailctl prints, proves and mends it: from its files
 * alone, in a process that has no post office open.
 *
 * Each returns STATUS_OK if it has done its work, whatever it has found; otherwise nothing was changed and
 * why[0..why_size) says what to do, in one line: STATUS_IN_USE (a post office has the directory),
 * STATUS_MISMATCH (no journal that this version can read), STATUS_NO_MEMORY and STATUS_FULL_SEGMENT (its
 * state does not fit into memory), STATUS_FULL_JOURNAL (nothing can be written), STATUS_SYSTEM. */
#ifndef SHMAIL_JOURNAL_TOOLS_H
#define SHMAIL_JOURNAL_TOOLS_H

#include "report.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>

/* Where lines go; each call brings some bytes of them. */
struct journal_sink {
    void (*put)(void *context, const char *bytes, size_t length);
    void *context;
};

/* Prints a line for each record of a file, and for each place where there should be one, with names and texts
 * (escaped) if so asked, but never a password's hash. The file is directory's active one, or the one that is
 * named; the other is NULL. Takes no lock: of a journal in use, what is being written may look torn. */
enum status journal_print(const char *directory, const char *file, bool texts, const struct journal_sink *,
                          bool *damaged, char *why, size_t why_size);

/* Reads the directory, without changing a byte, into a private store as a server would, and proves that. */
enum status journal_check(const char *directory, struct report *, char *why, size_t why_size);

/* Where the check has findings: keeps what is sound, as a checkpoint in a fresh pair of files. The old pair
 * stays, as journal.N.damaged-MOMENT, and what has no place any more is exported to export-MOMENT, both in
 * the directory. Where there is nothing to mend it writes nothing. */
enum status journal_repair(const char *directory, struct report *, char *why, size_t why_size);

#endif
