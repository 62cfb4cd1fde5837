/* journal_directory.h: a journal's directory opened for a tool: locked, and its active file found even where
 * headers are damaged. Private to src/store. */
#ifndef SHMAIL_JOURNAL_DIRECTORY_H
#define SHMAIL_JOURNAL_DIRECTORY_H

#include "journal_scan.h"
#include "report.h"
#include "status.h"

enum directory_use {
    DIRECTORY_PRINT, /* no lock */
    DIRECTORY_CHECK, /* no post office may have it; other tools, and who starts meanwhile, wait for the end */
    DIRECTORY_MEND,  /* the same, and it must be ours to write */
    DIRECTORY_RENEW, /* the same, and its files may be missing, all with the lock file */
};

struct journal_directory {
    const char *path; /* the caller's */
    int directory, lock;
    int files[2]; /* -1: it is not there */
};

/* Opens for reading. STATUS_IN_USE, STATUS_MISMATCH, STATUS_SYSTEM. */
enum status journal_directory_open(struct journal_directory *, const char *path, enum directory_use,
                                   char *why, size_t why_size);
void journal_directory_close(struct journal_directory *);

/* Makes and takes the lock file where there is nothing yet, after DIRECTORY_RENEW. STATUS_IN_USE,
 * STATUS_SYSTEM: also where somebody else has made it meanwhile. The directory is closed then. */
enum status journal_directory_begin(struct journal_directory *, char *why, size_t why_size);

const char *journal_file_name(int file);

/* Else locking it, or reading what it says, means nothing; errno tells why it is none. */
bool journal_lock_is_file(int lock);

/* What is known of the active file before its records are made again. */
struct journal_choice {
    int file; /* -1: the journal was never begun */
    bool header_is_lost;
    uint32_t accounts;   /* the greatest index that a record names, as far as there is room for so many */
    uint64_t last;       /* the greatest sequence */
    uint64_t begun;      /* that of the last post office's beginning, or one behind it; 0: nothing tells */
    uint64_t generation; /* the greatest in either file */
    uint8_t id[16];      /* zeros: no header tells */
};

/* A file whose header is lost is the active one if the other was superseded, or has less, and what it holds
 * is not from before. STATUS_MISMATCH: none can be. */
enum status journal_choose(const struct journal_directory *, struct journal_choice *, struct report *,
                           char *why, size_t why_size);

#endif
