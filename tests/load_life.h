/* load_life.h: what a client under load does all its life: it writes to the others, reads, lists and deletes
 * what it gets, and at the end empties its mailbox. And the audit when all have ended: what was acknowledged
 * has come once. It knows no protocol and no server. */
#ifndef SHMAIL_LOAD_LIFE_H
#define SHMAIL_LOAD_LIFE_H

#include "load_message.h"
#include "load_smsp.h"

enum {
    HELD_ENOUGH = 16, /* letters; a client that holds more deletes first */
    HUNDRED = 100,
};

static inline void send_letter(struct client *c)
{
    uint64_t *sent = &c->ledger->sent[c->number];
    struct letter_name letter = {c->number, draw(c, c->ledger->clients), ++*sent};
    struct entry *entry = ledger_entry(c->ledger, c->number, letter.number);

    entry->recipient = letter.recipient;
    ledger_set(entry, PERHAPS_SENT);
    if (!c->speech->send(c, letter, entry)) {
        client_revive(c);
    }
}

static inline void remove_letter(struct client *c, size_t position)
{
    c->speech->remove(c, &c->held[position]);
    forget(c, position);
}

/* Letters come and go in balance. */
static inline void step(struct client *c)
{
    enum { SEND = 32, LOOK = 44, READ = 60, COUNT = 66, WAIT = 67 };
    unsigned what = c->held_count > HELD_ENOUGH ? HUNDRED : draw(c, HUNDRED);
    size_t position = c->held_count > 0 ? draw(c, c->held_count) : 0;
    bool answer = true;

    if (what >= WAIT && c->held_count == 0) {
        what = SEND; /* nothing to remove: a look */
    }
    if (what < SEND && c->ledger->sent[c->number] < c->ledger->most) {
        send_letter(c);
    } else if (what < LOOK) {
        answer = c->speech->look(c);
    } else if (what < READ) {
        answer = c->speech->read(c, c->held_count > 0 ? &c->held[position] : NULL);
    } else if (what < COUNT) {
        answer = c->speech->count(c);
    } else if (what < WAIT) {
        answer = c->speech->wait(c);
    } else {
        remove_letter(c, draw(c, 2) == 0 ? 0 : position);
    }
    if (!answer) {
        client_revive(c);
    }
}

static inline void insist(struct client *c, bool (*operation)(struct client *))
{
    while (!operation(c)) {
        client_revive(c);
    }
}

/* Empties the mailbox by the other protocol, where the account may be entered by it. */
static inline void drain(struct client *c)
{
    wire_close(&c->wire);
    if (is_local(c->number)) {
        c->speech = c->speech == &smsp_speech ? &message_speech : &smsp_speech;
    }
    wire_connect(&c->wire);
    insist(c, c->speech->enter);
    insist(c, c->speech->look);
    c->alone = true;
    while (c->held_count > 0) {
        size_t position = draw(c, c->held_count);
        while (!c->speech->read(c, &c->held[position])) {
            client_revive(c);
        }
        remove_letter(c, position);
    }
    insist(c, c->speech->count);
    insist(c, c->speech->look);
    wire_close(&c->wire);
}

/* A client of the ledger, until that is over; who says how it connects. */
static inline void client_live(struct client *c, struct ledger *ledger, unsigned number, struct wire wire)
{
    static char who[32];

    (void)snprintf(who, sizeof who, "client %u (%s)", number,
                   speaks_message(number)          ? "Message"
                   : terminator_of(number) == '\n' ? "SMSP, LF"
                                                   : "SMSP, NUL");
    who_fails = who;
    c->ledger = ledger;
    c->number = number;
    c->random = ledger->seed + number + 1;
    c->newest = ledger->newest[number];
    c->wire = wire;
    c->speech = speaks_message(number) ? &message_speech : &smsp_speech;
    wire_connect(&c->wire);
    insist(c, c->speech->enter);
    ledger_meet(ledger);
    while (!ledger_is_over(ledger)) {
        step(c);
    }
    ledger_meet(ledger);
    drain(c);
    ledger->newest[number] = c->newest;
}

/* ---- when all have ended ---- */

struct tally {
    uint64_t sent, in_doubt, in_doubt_found;
};

static inline struct tally audit(struct ledger *ledger)
{
    struct tally tally = {0};

    for (unsigned sender = 0; sender < ledger->clients; sender++) {
        for (uint64_t number = 1; number <= ledger->sent[sender]; number++) {
            const struct entry *entry = ledger_entry(ledger, sender, number);
            if (entry->state == SENT && entry->seen == 0) {
                fail("letter %" PRIu64 " from %u to %u was acknowledged and is lost", number, sender,
                     entry->recipient);
            }
            if (entry->told != 0 && entry->told != entry->seen) {
                fail("letter %" PRIu64 " from %u to %u was announced as %" PRIu64 " and came as %" PRIu64,
                     number, sender, entry->recipient, entry->told, entry->seen);
            }
            if (entry->state == NEVER_SENT && entry->seen != 0) {
                fail("letter %" PRIu64 " from %u to %u was never sent and came", number, sender,
                     entry->recipient);
            }
            tally.sent += entry->state == SENT;
            tally.in_doubt += entry->state == PERHAPS_SENT;
            tally.in_doubt_found += entry->state == PERHAPS_SENT && entry->seen != 0;
        }
    }
    return tally;
}

#endif
