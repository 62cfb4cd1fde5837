/* journal_format.h: the bytes of a journal file, as shmail-journal(5) describes them. Knows no segment.
 *
 * All numbers are little-endian. A file is a header of 4096 bytes, a snapshot (records of a state) and a log
 * (records of what happened since). A record is 80 bytes, its texts, and zeros up to a multiple of eight. */
#ifndef SHMAIL_JOURNAL_FORMAT_H
#define SHMAIL_JOURNAL_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_MAGIC UINT64_C(0x314c4e524a4d4853) /* "SHMJRNL1" */
#define RECORD_MAGIC 0x4352534au                   /* "JSRC" */

/* Where a log may begin: after a thousand million records a second for 146 years. */
#define JOURNAL_FIRST_MAX (UINT64_C(1) << 62)

enum {
    JOURNAL_VERSION = 1,
    JOURNAL_HEADER_SIZE = 4096,
};

enum journal_type {
    RECORD_EPOCH = 1, /* other: the epoch of all that follows, one more than before */
    RECORD_ACCOUNT,   /* first text: name, second: hash; id, other: newest ids of mailbox and queue */
    RECORD_PASSWORD,  /* second text: hash */
    RECORD_REMOVE,    /* an account; in a snapshot: there was none of that index at sequence received */
    RECORD_MESSAGE,   /* appended to the mailbox of account: id */
    RECORD_QUEUE,     /* pushed on the queue of account: id */
    RECORD_STORE,     /* id of the queue of account became other of the mailbox of second */
    RECORD_DELETE,    /* id of the mailbox of account */
    RECORD_END,       /* of the snapshot; id: how many records it has */
    RECORD_TYPES
};

/* Flags. */
enum {
    RECORD_SNAPSHOT = 1, /* belongs to the snapshot; its sequence counts from 1 there */
    RECORD_WHOLE = 2,    /* of RECORD_STORE: has the message's texts */
};

struct journal_record {
    uint32_t magic;
    uint32_t crc; /* CRC-32C of the record with this field zero, up to and with the last zero byte */
    uint16_t type, flags;
    uint32_t body_length; /* bytes of the third text */
    uint64_t sequence;    /* 1, 2, ... without a gap in a log */
    uint64_t synced;      /* every record up to this one was on disk when this one was written */
    uint64_t epoch;
    uint32_t account, second;
    uint64_t id, other;
    int64_t received; /* Unix seconds; in a snapshot's RECORD_ACCOUNT the sequence of which the account is */
    uint16_t subject_length; /* bytes of the second text */
    uint8_t sender_length;   /* bytes of the first text */
    uint8_t unused[5];
};
static_assert(sizeof(struct journal_record) == 80, "shmail-journal(5)");

enum journal_state { JOURNAL_EMPTY, JOURNAL_ACTIVE, JOURNAL_SUPERSEDED }; /* empty: made, but not yet used */

struct journal_header {
    uint64_t magic;
    uint32_t version;
    uint32_t crc; /* of this struct with this field zero */
    uint8_t id[16];
    uint64_t generation; /* the active file is that with the greater one */
    uint64_t epoch;      /* of the records until a RECORD_EPOCH */
    uint64_t first;      /* the sequence before the log's first record */
    uint64_t log;        /* offset of the log */
    uint32_t state, unused;
};
static_assert(sizeof(struct journal_header) == 72, "shmail-journal(5)");

static inline uint64_t journal_texts(const struct journal_record *record)
{
    return (uint64_t)record->sender_length + record->subject_length + record->body_length;
}

/* Bytes in the file. */
static inline uint64_t journal_size(const struct journal_record *record)
{
    return (sizeof(*record) + journal_texts(record) + 7) / 8 * 8;
}

/* The checksum of a record: begun with its fixed part, then over its texts in order, then over the zeros. */
uint32_t journal_crc_begin(const struct journal_record *);
uint32_t journal_crc_end(const struct journal_record *, uint32_t crc);

uint32_t journal_header_crc(const struct journal_header *);

/* Magic, checksum, and a sequence to begin with that some journal may have come to. */
bool journal_header_is_sound(const struct journal_header *);

/* Whether the fixed part is possible at all: magic, type, lengths. */
bool journal_is_plausible(const struct journal_record *);

const char *journal_type_name(unsigned type);

#endif
