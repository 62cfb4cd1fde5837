/* load_ledger.h: what every client under load has sent and received, in memory that all of them share, and
 * the contents, which follow from sender and number alone.
 *
 * A sender writes state and told, the recipient writes seen; so no entry needs a lock. */
#ifndef SHMAIL_LOAD_LEDGER_H
#define SHMAIL_LOAD_LEDGER_H

#include "buffer.h"
#include "load_wire.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    CLIENTS_MAX = 256,
    LARGE_EVERY = 128,
    LARGE_MAX = 100000,
    SMALL_MAX = 160,
    ALIKE = 64,
    ALIKE_BYTES = 120
};

enum state {
    NEVER_SENT,
    PERHAPS_SENT, /* begun, and not acknowledged */
    SENT
};

struct entry {
    uint32_t state;
    uint32_t recipient;
    uint64_t told; /* the id that SEND's reply gave; 0: none */
    uint64_t seen; /* the id under which the recipient has found it; 0: not yet */
};

struct ledger {
    unsigned clients, seed;
    long run;                     /* in the accounts' names: other runs have others */
    uint64_t target;              /* atomic: operations after which it is over */
    uint64_t most;                /* letters of one client */
    uint64_t operations;          /* atomic: acknowledged */
    uint64_t awaited;             /* atomic: whoever counts this operation posts mark */
    uint64_t lost;                /* atomic: connections */
    unsigned era;                 /* atomic: grows when the post office forgets its sessions */
    uint64_t sent[CLIENTS_MAX];   /* the number of each client's last letter */
    uint64_t newest[CLIENTS_MAX]; /* the greatest id that each has found; also before this ledger */
    pthread_barrier_t barrier;
    sem_t mark;
    struct entry entries[];
};

/* Numbers begin at 1. */
static inline struct entry *ledger_entry(struct ledger *ledger, unsigned sender, uint64_t number)
{
    return &ledger->entries[sender * (ledger->most + 1) + number];
}

static inline void ledger_set(struct entry *entry, enum state state)
{
    __atomic_store_n(&entry->state, (uint32_t)state, __ATOMIC_RELEASE);
}

static inline void ledger_meet(struct ledger *ledger)
{
    (void)pthread_barrier_wait(&ledger->barrier);
}

static inline uint64_t ledger_operations(struct ledger *ledger)
{
    return __atomic_load_n(&ledger->operations, __ATOMIC_RELAXED);
}

static inline void ledger_count(struct ledger *ledger)
{
    uint64_t done = __atomic_add_fetch(&ledger->operations, 1, __ATOMIC_RELAXED);

    if (done == __atomic_load_n(&ledger->awaited, __ATOMIC_RELAXED)) {
        (void)sem_post(&ledger->mark);
    }
}

static inline bool ledger_is_over(struct ledger *ledger)
{
    return ledger_operations(ledger) >= __atomic_load_n(&ledger->target, __ATOMIC_RELAXED);
}

/* Sparse: an entry that is never written costs nothing. */
static inline struct ledger *ledger_open(unsigned clients, uint64_t most)
{
    size_t size = sizeof(struct ledger) + clients * (most + 1) * sizeof(struct entry);
    struct ledger *ledger =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    pthread_barrierattr_t barrier;

    if (ledger == MAP_FAILED) {
        fail("no memory: %s", strerror(errno));
    }
    ledger->clients = clients;
    ledger->target = UINT64_MAX;
    ledger->most = most;
    if (pthread_barrierattr_init(&barrier) != 0 ||
        pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED) != 0 ||
        pthread_barrier_init(&ledger->barrier, &barrier, clients) != 0 ||
        sem_init(&ledger->mark, 1, 0) != 0) {
        fail("the clients cannot wait for each other");
    }
    return ledger;
}

static inline void ledger_close(struct ledger *ledger)
{
    (void)munmap(ledger, sizeof *ledger + ledger->clients * (ledger->most + 1) * sizeof(struct entry));
}

/* Contents. A message of the Message protocol has a header and a text, one of SMSP a text alone that begins
 * with the same words. */

struct letter_name {
    unsigned sender, recipient;
    uint64_t number;
};

/* Takes a number and the space behind it off the front of a text. */
static inline bool take_number(const char **text, uint64_t *number)
{
    char *end = NULL;

    if (**text < '0' || **text > '9') {
        return false;
    }
    *number = strtoull(*text, &end, 10);
    *text = *end == ' ' ? end + 1 : end;
    return true;
}

/* Reads the words that each content begins with. */
static inline struct letter_name letter_read(const char *text, size_t length)
{
    char words[64];
    const char *next = words;
    uint64_t sender, recipient, number;
    size_t size = length < sizeof words - 1 ? length : sizeof words - 1;

    memcpy(words, text, size);
    words[size] = '\0';
    if (!take_number(&next, &sender) || !take_number(&next, &recipient) || !take_number(&next, &number)) {
        fail("a message was found that nobody can have sent: %s", words);
    }
    return (struct letter_name){(unsigned)sender, (unsigned)recipient, number};
}

static inline void letter_words(struct buffer *out, struct letter_name name)
{
    (void)buffer_print(out, "%u %u %" PRIu64, name.sender, name.recipient, name.number);
}

/* What follows the words: most are short, some take several blocks, and now and then many come that are of
 * one length or nearly so, as the store has room ready for those. Lines are broken by line_break. */
static inline void letter_rest(struct buffer *out, struct letter_name name, char line_break)
{
    static const char *const pieces[] = {"a", "Z", "7", " ", "\"", "\\", "é", "世", "|", "NULL"};
    unsigned random = (name.sender + 1) * 2654435761u ^ (unsigned)name.number * 40503u;
    unsigned most = rand_r(&random) % LARGE_EVERY == 0 ? LARGE_MAX : SMALL_MAX;
    size_t end = out->length + (unsigned)rand_r(&random) % most;
    if (name.number / ALIKE % 2 == 1) {
        end = out->length + ALIKE_BYTES;
    }

    while (out->length < end) {
        unsigned piece = (unsigned)rand_r(&random) % (sizeof pieces / sizeof pieces[0] + 1);
        if (piece == 0) {
            (void)buffer_append_byte(out, line_break);
        } else {
            (void)buffer_append_text(out, pieces[piece - 1]);
        }
    }
    (void)buffer_append_byte(out, '.');
    if (out->failed) {
        fail("no memory");
    }
}

#endif
