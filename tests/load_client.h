/* load_client.h: one client under load: who it is, and what it knows to be in its mailbox. Only it deletes
 * there, so whatever it has found once must be found again, in the same order, until it deletes it. It knows
 * no protocol: those say what they find. */
#ifndef SHMAIL_LOAD_CLIENT_H
#define SHMAIL_LOAD_CLIENT_H

#include "cookie.h"
#include "limit.h"
#include "load_ledger.h"

enum { HELD_MAX = 65536, NAME_SIZE = NAME_MAX_BYTES + 1 };

#define PASSWORD "secret"
#define LOCAL_DOMAIN "mail.localhost"

struct held {
    uint64_t id;
    struct letter_name name;
};

struct client {
    struct ledger *ledger;
    const struct speech *speech;
    unsigned number, random;
    struct wire wire;
    char cookie[COOKIE_TEXT + 1]; /* of SMSP; empty: none yet */
    unsigned era;                 /* of the ledger when it was given */
    bool alone;                   /* nobody sends any more: what is held is all there is */
    uint64_t newest;              /* the greatest id that was found */
    uint64_t last[CLIENTS_MAX];   /* from each sender: the number found last */
    size_t held_count;
    struct held held[HELD_MAX];
};

/* One protocol. Each function is one operation, or two; false: the connection was lost in it. Only remove
 * goes on until it is done. */
struct speech {
    bool (*enter)(struct client *);
    bool (*send)(struct client *, struct letter_name, struct entry *);
    bool (*look)(struct client *);
    bool (*read)(struct client *, const struct held *);
    void (*remove)(struct client *, const struct held *);
    bool (*count)(struct client *);
    bool (*wait)(struct client *);
};

/* Of four clients, the first speaks SMSP in lines, the third SMSP in NUL framing, the others Message; every
 * eighth has an address that is not local. */
static inline bool speaks_message(unsigned number)
{
    return number % 2 == 1;
}

static inline char terminator_of(unsigned number)
{
    return number % 4 == 0 ? '\n' : '\0';
}

static inline bool is_local(unsigned number)
{
    return number % 8 != 7;
}

static inline const char *account_of(const struct client *c, unsigned number, bool whole,
                                     char name[static NAME_SIZE])
{
    (void)snprintf(name, NAME_SIZE, "u%ldx%u%s", c->ledger->run, number,
                   !is_local(number) ? "@load.test"
                   : whole           ? "@" LOCAL_DOMAIN
                                     : "");
    return name;
}

static inline unsigned draw(struct client *c, size_t below)
{
    return (unsigned)((unsigned)rand_r(&c->random) % below);
}

/* Connects anew until it is let in. */
static inline void client_revive(struct client *c)
{
    do {
        wire_close(&c->wire);
        (void)__atomic_add_fetch(&c->ledger->lost, 1, __ATOMIC_RELAXED);
        wire_connect(&c->wire);
    } while (!c->speech->enter(c));
}

/* Counts an operation that was answered; for the end of a function of struct speech. */
static inline bool answered(struct client *c)
{
    ledger_count(c->ledger);
    return true;
}

/* The whole content as it is read: header, line break and text where there is a header. */
static inline struct buffer letter_whole(struct letter_name name, bool folded)
{
    struct buffer whole = {.cap = 0};
    char line_break = speaks_message(name.sender) || terminator_of(name.sender) == '\0' ? '\n' : ' ';

    letter_words(&whole, name);
    (void)buffer_append_byte(&whole, speaks_message(name.sender) ? '\n' : ' ');
    letter_rest(&whole, name, line_break);
    for (size_t i = 0; folded && i < whole.length; i++) {
        whole.bytes[i] = whole.bytes[i] == '\n' ? ' ' : whole.bytes[i];
    }
    return whole;
}

static inline void expect_content(struct letter_name name, const char *bytes, size_t length, bool folded)
{
    struct buffer whole = letter_whole(name, folded);

    if (length != whole.length || memcmp(bytes, whole.bytes, length) != 0) {
        fail("letter %" PRIu64 " of client %u has another content: %zu bytes, not %zu: %.*s", name.number,
             name.sender, length, whole.length, length < 400 ? (int)length : 400, bytes);
    }
    buffer_free(&whole);
}

/* What must be true of a letter that has not been found before. */
static inline struct entry *expect_new(struct client *c, struct letter_name name)
{
    if (name.recipient != c->number || name.sender >= c->ledger->clients || name.number > c->ledger->most) {
        fail("a letter from %u to %u is in the wrong mailbox", name.sender, name.recipient);
    }
    struct entry *entry = ledger_entry(c->ledger, name.sender, name.number);
    if (__atomic_load_n(&entry->state, __ATOMIC_ACQUIRE) == NEVER_SENT || entry->recipient != c->number) {
        fail("letter %" PRIu64 " of client %u was never sent", name.number, name.sender);
    }
    if (entry->seen != 0) {
        fail("letter %" PRIu64 " of client %u came twice, or came back, as %" PRIu64, name.number,
             name.sender, entry->seen);
    }
    return entry;
}

static inline void receive(struct client *c, uint64_t id, struct letter_name name)
{
    struct entry *entry = expect_new(c, name);

    if (id <= c->newest) {
        fail("id %" PRIu64 " does not grow beyond %" PRIu64, id, c->newest);
    }
    if (name.number <= c->last[name.sender]) {
        fail("letter %" PRIu64 " of client %u came after letter %" PRIu64, name.number, name.sender,
             c->last[name.sender]);
    }
    if (c->held_count == HELD_MAX) {
        fail("the mailbox holds more than %d letters", HELD_MAX);
    }
    entry->seen = id;
    c->newest = id;
    c->last[name.sender] = name.number;
    c->held[c->held_count++] = (struct held){id, name};
}

/* The letter at a position of the mailbox. True: it is there for the first time. */
static inline bool found(struct client *c, size_t position, uint64_t id, struct letter_name name)
{
    if (position >= c->held_count) {
        receive(c, id, name);
        return true;
    }
    const struct held *held = &c->held[position];
    if (id != held->id || name.sender != held->name.sender || name.number != held->name.number) {
        fail("where letter %" PRIu64 " of client %u was, under id %" PRIu64 ", is letter %" PRIu64
             " of client %u, under id %" PRIu64,
             held->name.number, held->name.sender, held->id, name.number, name.sender, id);
    }
    return false;
}

static inline void expect_count(const struct client *c, uint64_t count)
{
    if (count < c->held_count || (c->alone && count != c->held_count)) {
        fail("the mailbox holds %" PRIu64 " letters where %zu were found", count, c->held_count);
    }
}

static inline void forget(struct client *c, size_t position)
{
    c->held_count--;
    memmove(&c->held[position], &c->held[position + 1], (c->held_count - position) * sizeof c->held[0]);
}

#endif
