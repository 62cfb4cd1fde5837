/* journal_scan.h: reads a journal file that may be damaged anywhere: every sound record, and what lies
 * between them. Private to src/store.
 *
 * journal_read ends at the first bad byte, as a server must; this goes on behind it, for who wants to know or
 * to keep what is left. A record counts if it is of the current epoch or a later one, and further on in the
 * sequence, so that neither stale records nor what a client has put into a message can be taken for one. */
#ifndef SHMAIL_JOURNAL_SCAN_H
#define SHMAIL_JOURNAL_SCAN_H

#include "journal_read.h"

enum scan_found {
    SCAN_RECORD,
    SCAN_DAMAGE, /* bytes that are no record, where one was on disk */
    SCAN_TORN,   /* the same, but nothing says that it was ever synced: a server ends here, and drops the rest
                  */
    SCAN_END,    /* torn tells whether a last record begins there, of which nothing says that it was synced */
    SCAN_TROUBLE, /* no memory, or reading failed otherwise than in some places: errno tells */
};

struct journal_scan {
    struct journal_reader reader; /* its header is sound unless header_is_lost */
    bool header_is_lost;
    /* What journal_scan_next has found. */
    uint64_t offset, length; /* length 0: nothing lies between two records, but some are missing */
    uint64_t missing;        /* how many records were there; 0: nobody knows */
    bool harmless;           /* it was a record that began an epoch, and what follows tells which */
    bool torn;
    bool cut; /* the file ends with the log, where every writer has left room: it is no whole file */
    char reason[96];
    /* Private. */
    bool sequence_unknown; /* the next record tells it */
    bool ended;
};

/* A file whose header is lost is read by what its records say. False where not even that can be done: then
 * *found is FOUND_END (the file is blank), FOUND_DAMAGE (nothing sound in it) or FOUND_TROUBLE. */
bool journal_scan_open(struct journal_scan *, int file, enum journal_found *found);
void journal_scan_close(struct journal_scan *);

/* Record and texts are set for SCAN_RECORD. */
enum scan_found journal_scan_next(struct journal_scan *, struct journal_record *, const char **texts);

#endif
