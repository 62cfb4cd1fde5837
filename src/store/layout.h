/* layout.h: what lies where in the segment, and what one process knows of it. Private to src/store.
 *
 * The segment is a header, tables of fixed maximal size, and an arena of 64 KiB pages that are carved into
 * blocks. Everything refers by index or by block reference (offset / 16), never by pointer; 0 is "none"
 * everywhere. Fields are changed by transactions (transaction.h) unless their comment names another rule. See
 * README.md for the invariants. */
#ifndef SHMAIL_LAYOUT_H
#define SHMAIL_LAYOUT_H

#include "limit.h"
#include "store.h"
#include "throttle.h"

#include <assert.h>
#include <semaphore.h>
#include <stdalign.h>

#define SEGMENT_MAGIC UINT64_C(0x316c69616d6873) /* "shmail1" */
#define LAYOUT_VERSION 16u

enum {
    UNIT = 16,          /* bytes: what a block reference counts */
    PAGE = 65536,       /* bytes: what a class takes from the arena; the step in which memory is reserved */
    BLOCK_MAX = 16384,  /* bytes: the largest size class; longer texts are chains */
    CLASSES = 99,       /* size classes (block.c) */
    REDO_MAX = 128,     /* writes in one transaction; a STORE into the highest index, about 120 */
    STEP_BLOCKS = 16,   /* blocks that one transaction reserves or frees, so that it stays within that */
    RING = 4096,        /* journal records that wait to be written */
    TOKENS_MAX = 64,    /* processors that may hash passwords at once */
    THROTTLE_WAYS = 16, /* records that one key may lie in (throttle.c) */
    SLOTS_NEAR = 128,   /* records of a table that lie near the header (README.md), */
    ACCOUNTS_NEAR = 2048,
    SESSIONS_NEAR = 2048, /* and the buckets of the cookies of these sessions; a power of two */
    NODE_BITS = 6,
    HEIGHT_MAX = 11,   /* of an index: 64^11 > 2^64 */
    NODE_ENTRIES = 64, /* of an index node: its presence bits are one word */
};

#define ID_MOST (UINT64_C(1) << 62) /* no id is given from there on: no office lives that long */

typedef uint32_t block_t; /* offset / UNIT of a block */

/* ---- records ---- */

struct redo_entry {
    uint64_t where; /* offset of the field; bit 0 set: eight bytes, else four */
    uint64_t value;
};

/* A process. life: generation * 2 + 1 while in use; written by who holds the byte of its claim (process.c).
 * Everything above draft is written by its process alone, without a transaction. */
struct slot {
    alignas(64) uint64_t life;
    pid_t pid;
    uint32_t has_wake; /* wake was initialised, once for all lives */
    int64_t since;
    account_t account; /* whose session or entry was used last */
    char peer[PEER_MAX + 1];
    char protocol[16];
    struct source source; /* of a peer that was named later; else all zero */
    sem_t wake;           /* mailbox_wait sleeps here */
    block_t draft;        /* reserved blocks, chained by their link: the draft, and those for the next ones */
    block_t run;          /* the first of those for drafts after them: from it to its page's end; 0: none */
    uint32_t pins;        /* how many of pinned[] count */
    uint32_t unused;
    account_t entered;
    uint64_t attempt[3];      /* keys of the login that is being checked (throttle.c); 0: none */
    block_t pinned[PINS_MAX]; /* those at or above pins are scratch */
    uint64_t settling;        /* atomic: the journal sequence that its process waits for; 0: none */
    uint64_t redo_count;      /* of a committed transaction that is being applied; 0: nothing to do */
    struct redo_entry redo[REDO_MAX];
};

/* generation is odd while the account lives. The record of a removed account keeps its content while it
 * stands on the dying list, and goes to the free list empty. */
struct account_record {
    uint32_t generation;
    uint32_t chain; /* next in the bucket, on the dying list or on the free list */
    uint32_t name_hash;
    uint32_t revision; /* of the password */
    block_t identity;
    block_t queue; /* newest queued message; older ones by link */
    uint64_t queue_count;
    uint64_t newest; /* the last id that was given */
    uint64_t base;   /* the id at position 0 of the index */
    uint64_t first;  /* the smallest id; meaningless while count is 0 */
    uint64_t count;
    uint64_t bytes;   /* of all texts in the mailbox */
    block_t root;     /* of the index by id */
    uint32_t height;  /* levels of it; 0: no root */
    uint32_t session; /* newest session; older ones by older */
    uint32_t sessions;
    uint64_t entered; /* owner word of the process that has entered the name */
    uint32_t waited;  /* 1: somebody may sleep for this mailbox */
    uint32_t unused;
    uint64_t queue_newest; /* the last id that was given in the queue */
    uint64_t changed;      /* sequence of the last journal record about it */
    uint64_t queue_bytes;  /* of all texts in the queue */
};
static_assert(sizeof(struct account_record) == 128, "two cache lines an account");

/* generation is odd while the session lives. */
struct session_record {
    uint8_t secret[32];
    uint32_t generation;
    uint32_t chain; /* next in the bucket or on the free list */
    account_t account;
    uint32_t older;
    uint32_t unused;
    int64_t opened; /* seconds of the monotonic clock: whoever sets the other one ends no session */
    int64_t used;   /* atomic; behind by a sixteenth of the idle limit at most */
};
static_assert(sizeof(struct session_record) == 72, "no padding");

/* word: class + 1 (8 bits), used (16), fresh (16), first free block's index + 1 (16); 0 while the page is
 * free. */
struct page_record {
    uint64_t word;
    uint32_t next,
        prev; /* page number + 1, on its class's list of pages with room; next alone on the free list */
};

/* What somebody has done too often of late, whatever the table counts. All zero: nobody. */
struct throttle_record {
    uint64_t key;   /* a keyed hash of who and what; 0: free */
    uint32_t until; /* tick at which all of it is forgiven */
    uint32_t last;  /* tick of the latest attempt that was let through */
};
static_assert(sizeof(struct throttle_record) == 16, "four a cache line");

/* ---- blocks: the first word of a block that is in use is its link; of a free one the next free index + 1
 * ---- */

struct identity {
    block_t link;
    uint16_t name_length, hash_length;
    uint64_t born; /* the account's first journal record since the segment was made; 0: it was there before */
    char text[];   /* the name, a NUL, the hash, a NUL */
};

/* Never more than there is room for where it is copied to, whoever has scribbled over it. */
static inline size_t identity_name_length(const struct identity *identity)
{
    size_t length = __atomic_load_n(&identity->name_length, __ATOMIC_RELAXED);
    return length < NAME_MAX_BYTES ? length : NAME_MAX_BYTES;
}

static inline size_t identity_hash_length(const struct identity *identity)
{
    size_t length = __atomic_load_n(&identity->hash_length, __ATOMIC_RELAXED);
    return length < HASH_MAX ? length : HASH_MAX;
}

enum message_state { MESSAGE_DRAFT, MESSAGE_LISTED, MESSAGE_QUEUED, MESSAGE_DELETED };

/* The head of a message: then sender, subject and the start of the body; the rest lies in pieces. After
 * publication only link, id, received, owner, pins and the state within shape change. */
struct message_record {
    block_t link;   /* of the queue, the limbo list or the draft; without meaning in a mailbox */
    block_t pieces; /* the first piece */
    uint64_t id;
    int64_t received;
    uint32_t owner; /* account index */
    uint32_t pins;
    uint32_t body_length;
    uint32_t shape; /* state (8 bits), sender length (8), subject length (16) */
    char text[];
};
static_assert(sizeof(struct message_record) == 40, "the memory targets count on it");

struct piece {
    block_t link;
    uint32_t unused[3];
    char text[BLOCK_MAX - 16];
};
static_assert(sizeof(struct piece) == BLOCK_MAX, "four pieces a page");

enum { PIECE_TEXT = sizeof(((struct piece *)0)->text) };

struct node {
    block_t link;
    uint32_t unused;
    uint64_t present; /* bit i: entry i counts */
    uint32_t entry[NODE_ENTRIES];
};
static_assert(sizeof(struct node) == 272, "an exact size class");

/* ---- the journal's part ---- */

/* What a transaction tells the journal, until it is written: a record without its texts, which are taken from
 * block. */
struct journal_note {
    uint16_t type, flags;
    uint32_t account, second;
    uint32_t body_length;
    uint64_t id, other;
    int64_t received;
    block_t message; /* pinned until it is written; 0: none */
    block_t text;    /* an identity block that belongs to the journal; 0: none */
};
static_assert(sizeof(struct journal_note) == 48, "three units");

/* The group of records that is built in the stage to be written next (journal_stage.h). */
struct staged_group {
    uint64_t generation, epoch; /* of its file and its records */
    uint64_t start, tail;       /* offsets in the file: of its first byte, behind its last */
    uint64_t before, last;      /* sequences: of the record before its first, of its last */
    uint32_t half;              /* of the stage: an even number or an odd one */
    uint32_t crc;               /* of what the file has of the block that start is in */
    uint32_t seal;              /* checksum of all before this */
    uint32_t begun;             /* atomic: 0: there is no such group */
};

struct journal_segment {
    uint32_t on;
    uint32_t failure; /* atomic: errno of what went wrong; 0: nothing */
    uint32_t sync;    /* enum store_sync */
    uint32_t file;    /* the active one: 0 or 1 */
    uint8_t id[16];
    uint8_t segment_id[16]; /* what the directory's lock file says while this segment has it */
    uint64_t generation, epoch;
    uint64_t assigned;   /* the last sequence that was given */
    uint64_t written;    /* up to here the file has it */
    uint64_t synced;     /* up to here the disk has it */
    uint64_t tail;       /* offset behind record written */
    uint64_t end;        /* offset behind record assigned */
    uint64_t capacity;   /* bytes of the active file that need no more space */
    uint64_t log_bytes;  /* since the last checkpoint */
    uint64_t last;       /* offset of record written; 0: it is not in the active file's log */
    uint64_t checkpoint; /* atomic: 1 while one runs: RECORD_STORE then carries the message */
    uint32_t doubtful;   /* atomic: 1: the inactive file's header may say that it is the active one */
    uint32_t suspect;    /* atomic: 1: the active file may lack what failed once: a checkpoint is due */
    alignas(64) uint64_t leader; /* owner word */
    uint64_t writer;             /* owner word: of the keeper, while it leads for all who wait */
    uint64_t keeper;             /* owner word */
    uint64_t wanted;             /* atomic: room that a record did not find; 0: none */
    uint64_t looks;              /* atomic: grows when the keeper begins (then odd) and ends a look for it */
    uint32_t roomless;           /* atomic: 1: the last look has found no room to make */
    uint32_t sync_seconds;       /* of the last server that syncs by the clock */
    uint32_t writer_asked;       /* atomic: 1: the keeper is to be the writer */
    uint32_t writer_sleeps;      /* atomic: 1: whoever waits for a record posts keeper_wake */
    uint64_t sync_by;            /* atomic: CLOCK_MONOTONIC, when all that is owed is to be synced; 0: not */
    sem_t keeper_wake;
    char directory[256];          /* absolute if it fits; for messages and a repair: id tells */
    alignas(64) uint64_t builder; /* owner word: of who builds the staged group */
    struct staged_group staged;
    uint32_t seal; /* journal_seal of this */
};

enum { SEGMENT_ID_SIZE = sizeof(((struct journal_segment *)0)->segment_id) };

/* ---- the header ---- */

struct header {
    uint64_t magic; /* set last: without it the segment is unfinished */
    uint32_t version;
    uint32_t records; /* hash of the record sizes */
    uint64_t segment_bytes;
    uint32_t accounts_most, sessions_most, slots_most, tokens;
    uint32_t throttle_most; /* records in each table of throttles */
    uint8_t hash_key[16];   /* of names */
    char boot_id[40];       /* this and created are read by nobody but a person with a hex dump */
    int64_t created;
    uint32_t crc;         /* CRC32C of version up to here, which never changes again */
    uint32_t complained;  /* atomic: second of the last store_may_complain, and one; 0: never */
    uint64_t deaths;      /* atomic: unnatural deaths that somebody has noticed */
    uint64_t suspected;   /* atomic: deaths that may have left a scribble */
    uint64_t acquitted;   /* atomic: how many of them a check has cleared */
    uint64_t deaths_seen; /* atomic: how many of them a reclaim has looked after */
    uint64_t slot_map[SLOTS_LIMIT / 64]; /* atomic hints: the slot is probably in use, */
    uint64_t idle_map[SLOTS_LIMIT / 64]; /* but nobody is served there yet (store_attach_ahead) */
    uint32_t retired; /* atomic: 1: it has lost its name, or is about to: nobody attaches any more */

    alignas(64) uint64_t owner; /* the lock (lock.c) */
    alignas(64) sem_t sleepers;
    alignas(64) uint64_t token[TOKENS_MAX]; /* owner words of who hashes a password (password.c) */
    sem_t token_sleepers;

    alignas(64) uint32_t accounts_used; /* records ever handed out; the highest index */
    uint32_t accounts_free, accounts_live, accounts_dying;
    uint32_t sessions_used, sessions_free, sessions_live;
    block_t limbo;       /* deleted messages whose blocks are freed step by step */
    uint32_t pages_used; /* pages ever handed out */
    uint32_t pages_free, pages_free_count;
    uint32_t roomy[CLASSES]; /* page number + 1: the first page of the class with room */
    uint32_t scarce;         /* atomic: 1: there was no memory when a page was wanted last */

    alignas(64) struct journal_segment journal;
};

/* ---- one process's view ---- */

struct store {
    char *base;      /* NULL: not mapped */
    uint64_t mapped; /* bytes from there */
    int fd;
    pid_t opener;
    struct header *header;
    /* The header's, as they were when it was found sound: what bounds a table must not lie where another
     * process can write. */
    uint32_t accounts_most, sessions_most, slots_most, throttle_most, tokens;
    struct throttle_record *throttles[THROTTLES];
    uint64_t *reserved;        /* atomic bit per 64 KiB of the segment: memory is behind it */
    uint64_t *waits;           /* atomic word per slot: the account (packed) whose mailbox it waits for */
    struct journal_note *ring; /* [sequence % RING] */
    char *stage;               /* journal_stage.h */
    /* Tables in two parts, near and far, both as if they began with record 0: see slot_at and so on. */
    struct slot *slots[2];
    struct account_record *accounts[2]; /* 1 to accounts_most */
    struct session_record *sessions[2]; /* 1 to sessions_most */
    uint32_t *cookie_buckets[2];        /* of the sessions in either part */
    uint32_t cookie_mask[2];
    uint32_t *name_buckets;
    uint32_t name_mask, pages_most;
    struct page_record *pages;
    uint64_t arena; /* offset, a multiple of PAGE */

    uint32_t sessions_per_account, session_idle, session_age;
    uint64_t quota_messages, quota_bytes;
    int crypt_cost;
    int directory; /* descriptor of the journal's directory, or -1; its lock lives as long */
    int lock_file;
    int files[2];
    int direct[2]; /* the same, for writes past the page cache; -1: there are none */
    enum store_sync sync;
    uint64_t journal_bytes;
    int64_t ahead;   /* nanoseconds that throttles take the clock to be ahead: tests let hours pass */
    bool recovering; /* nobody else has it: no lock, no quota; free accounts are listed at the end */
    bool is_allocated;

    struct slot *slot; /* NULL: not attached */
    uint64_t me;       /* owner word */
    uint32_t redo_count;
    uint8_t redo_latest[128]; /* by a hash of the field: 1 + the latest entry of this transaction, or 0 */
    uint32_t sync_seconds;    /* with sync: STORE_SYNC_TIMED */
    uint64_t log_due; /* of the keeper: before the log is so long, it does not ask what a checkpoint wins */
    int64_t checkpoint_due; /* of the keeper, after one that failed: before that the next one is not tried */
    int64_t room_deadline;  /* of the operation that waits for room in the journal; 0: none does */
    int64_t now, unix_now;  /* seconds of the two clocks (moment.h); 0: not looked at */
    uint64_t observed;      /* the latest journal record that an answer may depend on */
    uint64_t noted;         /* the record of the transaction that is open; 0: none */
    bool wants_flush;       /* the ring is full */
    bool wants_page;        /* no page is free: perhaps a class keeps one */
    bool has_freed;         /* a block, in the transaction that is open: so it may allocate none (block.h) */
    bool has_woken;         /* somebody who slept for the lock, when it last released it */
    bool is_idle;           /* it has nobody to serve yet (store_attach_ahead) */
    bool inherits;          /* its slot owes what a dead process owed (store_attach_to_check) */
    bool groups;            /* the last group that this process wrote to the journal was of several records */
    int64_t alone_until;    /* when this process yields to others again, before it writes */
    size_t
        draft_block; /* bytes of the one block that the draft is; 0: it is of several, or was never written */
    uint32_t drafts_alike; /* how many before it were such, too */
    uint32_t keeperless; /* 1 + the journal's looks when this process has waited for a keeper in vain; or 0 */
    uint64_t wanted;     /* offset that has no memory behind it yet; 0: none (segment.h) */
    uint64_t next_page;  /* offset of the one behind the page that the transaction takes; 0: it takes none */
};

static inline void *at(const struct store *store, block_t block)
{
    return store->base + (uint64_t)block * UNIT;
}

static inline struct slot *slot_at(const struct store *store, uint32_t index)
{
    return store->slots[index >= SLOTS_NEAR] + index;
}

static inline struct account_record *account_at(const struct store *store, uint32_t index)
{
    return store->accounts[index >= ACCOUNTS_NEAR] + index;
}

static inline struct session_record *session_at(const struct store *store, uint32_t index)
{
    return store->sessions[index >= SESSIONS_NEAR] + index;
}

static inline uint64_t segment_offset(const struct store *store, const void *field)
{
    return (uint64_t)((const char *)field - store->base);
}

static inline uint64_t pack(account_t account)
{
    return (uint64_t)account.index << 32 | account.generation;
}

static inline uint32_t load32(const uint32_t *field)
{
    return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

static inline uint64_t load64(const uint64_t *field)
{
    return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

#endif
