/* segment_journal.h: the journal of a segment that is repaired: in the directory that the segment names, in
 * the one where it is now, or in none, so that a new one begins. Private to src/store. */
#ifndef SHMAIL_SEGMENT_JOURNAL_H
#define SHMAIL_SEGMENT_JOURNAL_H

#include "export.h"
#include "journal.h"
#include "journal_directory.h"
#include "layout.h"
#include "report.h"

struct segment_journal {
    const char *name;               /* of the post office; the caller's */
    struct journal_directory place; /* path NULL: there is none */
    struct journal_choice choice;
    struct store *state; /* what its records say; NULL: they say nothing */
    bool given;          /* not where the segment says */
    bool is_numbered;    /* its lock file names the segment */
    bool is_damaged;     /* and is to be written anew */
    bool is_new;         /* nothing was in its directory */
    bool made;           /* its directory was, and goes where nothing is written into it */
    bool is_written;     /* and stays */
    uint64_t bytes;      /* of the larger file */
};

/* old: a private copy. given: where the journal is or shall be; NULL: where old says, if that has one.
 * STATUS_IN_USE, STATUS_MISMATCH, STATUS_SYSTEM. */
enum status segment_journal_open(struct segment_journal *, const struct store *old, const char *name,
                                 const char *given, char *why, size_t why_size);

/* Reads what it says, unless nothing is there to read: for a sound segment that is no loss, since it has all
 * that its journal has, and more; for a damaged one it is refused unless a directory was given. So is, sound
 * or damaged, a segment that is a copy from before. STATUS_MISMATCH; else as journal_load. */
enum status segment_journal_load(struct segment_journal *, const struct store *old, bool segment_is_damaged,
                                 struct report *, struct exporter *, char *why, size_t why_size);

/* Takes away what the repair has written into it and closed again, where nothing had been there: the segment
 * stays as it is. Only while nobody has the directory, and its lock file has the number of the new segment
 * that did not come about. */
void segment_journal_withdraw(struct segment_journal *, const uint8_t number[static SEGMENT_ID_SIZE]);

void segment_journal_close(struct segment_journal *);

/* Whether what is in a directory is a segment's journal, and nobody has repaired it since, by all but the
 * lock file's number. */
bool segment_journal_is_in(const struct journal_directory *, const struct journal_segment *);

#endif
