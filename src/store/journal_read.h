/* journal_read.h: reads one journal file record by record, and tells its end from damage. Private to
 * src/store. */
#ifndef SHMAIL_JOURNAL_READ_H
#define SHMAIL_JOURNAL_READ_H

#include "journal_format.h"

#define EPOCHS_AHEAD                                                                      \
    (UINT64_C(1) << 20) /* epochs that may have begun behind a record that cannot be read \
                         */

enum journal_found {
    FOUND_RECORD,
    FOUND_END,     /* what follows was never acknowledged, or is left of what the file was before */
    FOUND_DAMAGE,  /* a record that was on disk is not sound: reader->bad is its offset */
    FOUND_TROUBLE, /* reading failed: errno tells */
};

struct journal_reader {
    int file;
    uint64_t size;   /* nothing is read behind it */
    uint64_t offset; /* of what journal_read reads next; behind the last sound record at the end */
    uint64_t bad;
    uint64_t epoch;
    uint64_t sequence; /* of the last record; in the snapshot, counted from 1 there */
    bool snapshot;
    bool holes;      /* the file had some, or space that was only promised, before it was read */
    bool tolerant;   /* what the disk cannot read is taken for zeros, and then unreadable is set */
    bool unreadable; /* for who looks for what is left of a damaged file */
    struct journal_header header;
    const char *bytes; /* [at, at + length) of the file */
    uint64_t at;
    size_t length;
    char *own; /* where they stand, unless they were read ahead */
    size_t capacity;
    struct restore_ahead *ahead; /* reads what is to come of a long file; NULL: nobody */
};

/* Reads and checks the header. FOUND_RECORD: sound, its state is to be looked at; FOUND_END: there is none,
 * whatever follows; FOUND_DAMAGE: it is neither. */
enum journal_found journal_read_open(struct journal_reader *, int file);

/* FOUND_END: the file is empty or all zeros, so it was never a journal; FOUND_RECORD: it is not;
 * FOUND_TROUBLE. */
enum journal_found journal_read_blank(struct journal_reader *);
void journal_read_close(struct journal_reader *);

/* The record at that offset, of the current epoch or of one at most so far ahead, wherever in the sequence;
 * false: there is no sound one, and errno tells whether reading failed. */
bool journal_read_at(struct journal_reader *, uint64_t offset, uint64_t ahead, struct journal_record *,
                     const char **texts);

/* The first place from offset on, in steps of eight, where something may be a record: what else most files
 * end with is passed over quickly. The file's size: there is none, or reading failed, and errno tells. */
uint64_t journal_read_seek(struct journal_reader *, uint64_t offset);

/* Whether some record of the log from offset on, further on in the sequence than the last one, says that the
 * one after that had been on disk: FOUND_DAMAGE, FOUND_END (none does) or FOUND_TROUBLE. A later epoch
 * tells as well: what is lost may be the very record that began it. */
enum journal_found journal_read_later(struct journal_reader *, uint64_t offset);

/* The next record and its texts, which hold until the next call. */
enum journal_found journal_read(struct journal_reader *, struct journal_record *, const char **texts);

#endif
