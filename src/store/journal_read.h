/* journal_read.h: reads one journal file record by record, and tells its end from damage. Private to
 * src/store. */
#ifndef SHMAIL_JOURNAL_READ_H
#define SHMAIL_JOURNAL_READ_H

#include "journal_format.h"

enum journal_found {
    FOUND_RECORD,
    FOUND_END,     /* what follows was never acknowledged: zeros, or the torn rest of a last group */
    FOUND_DAMAGE,  /* a record that was on disk is not sound: reader->bad is its offset */
    FOUND_TROUBLE, /* reading failed: errno tells */
};

struct journal_reader {
    int file;
    uint64_t size;
    uint64_t offset; /* of what journal_read reads next; behind the last sound record at the end */
    uint64_t bad;
    uint64_t epoch;
    uint64_t sequence; /* of the last record; in the snapshot, counted from 1 there */
    bool snapshot;
    struct journal_header header;
    char *bytes; /* [at, at + length) of the file */
    uint64_t at;
    size_t length, capacity;
};

/* Reads and checks the header. FOUND_RECORD: sound, its state is to be looked at; FOUND_END: there is none,
 * whatever follows; FOUND_DAMAGE: it is neither. */
enum journal_found journal_read_open(struct journal_reader *, int file);

/* FOUND_END: the file is empty or all zeros, so it was never a journal; FOUND_RECORD: it is not;
 * FOUND_TROUBLE. */
enum journal_found journal_read_blank(struct journal_reader *);
void journal_read_close(struct journal_reader *);

/* The next record and its texts, which hold until the next call. */
enum journal_found journal_read(struct journal_reader *, struct journal_record *, const char **texts);

#endif
