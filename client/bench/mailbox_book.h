/* mailbox_book.h: what must be in each mailbox under load, and the text of every message in it.
 *
 * The bench alone writes to its mailboxes, so it can tell each reply beforehand: the text of a message
 * follows from its mailbox and its number there (0, 1, ...), and its id is its number + 1. What a mailbox
 * that only one lane uses will answer is known exactly; of one that several lanes share, only its bounds
 * are. */
#ifndef SHMAIL_BENCH_MAILBOX_BOOK_H
#define SHMAIL_BENCH_MAILBOX_BOOK_H

#include "cookie.h"
#include "plan.h"

#include <string.h>

enum {
    MAILBOX_NAME_MAX = PREFIX_MAX + 10,
    TEXT_STAMP = 16, /* hexadecimal digits at the start of a text: mailbox and number */
};

struct mailbox {
    uint64_t appended, removed;             /* as asked for: a reply to an earlier request knows less */
    uint64_t appended_known, removed_known; /* as answered */
    uint32_t number;                        /* over all processes */
    uint8_t name_length;
    char name[MAILBOX_NAME_MAX + 1];
    char cookie[COOKIE_TEXT]; /* of SMSP */
};

/* Writes its name where there is room for MAILBOX_NAME_MAX bytes, and returns where it ends: a copy whose
 * length the compiler knows is much quicker than one of the few bytes. */
static inline char *mailbox_put_name(char *at, const struct mailbox *mailbox)
{
    memcpy(at, mailbox->name, MAILBOX_NAME_MAX);
    return at + mailbox->name_length;
}

struct mailbox_book {
    struct mailbox *mailboxes;
    uint32_t count;
    bool shared;  /* by several lanes */
    bool takes;   /* the mix removes messages */
    size_t size;  /* of a text */
    char *filler; /* what stands behind the stamp in each text */
    uint64_t random;
};

/* The mailboxes numbered process, process + plan->processes, ... False: no memory. */
bool mailbox_book_open(struct mailbox_book *, const struct plan *, unsigned process);
void mailbox_book_close(struct mailbox_book *);

/* 0 to below - 1. */
uint32_t mailbox_book_draw(struct mailbox_book *, uint32_t below);

/* Writes the text of a message, size bytes. */
void mailbox_text(const struct mailbox_book *, const struct mailbox *, uint64_t number, char *text);

/* The number of a whole text. False: it is none of this mailbox, or too short to tell. */
bool mailbox_text_number(const struct mailbox_book *, const struct mailbox *, const char *text,
                         uint64_t *number);

/* Each notes a request that is asked now, with what its reply may be in low and high, for the calls below.
 * mailbox_ask_text returns the id of the message to ask for, 0 where there is none. */
void mailbox_ask_append(struct mailbox *, struct request *);
void mailbox_ask_removal(const struct mailbox_book *, struct mailbox *, struct request *);
void mailbox_ask_count(const struct mailbox_book *, const struct mailbox *, struct request *);
void mailbox_ask_first(const struct mailbox_book *, const struct mailbox *, struct request *);
uint64_t mailbox_ask_text(struct mailbox_book *, const struct mailbox *, struct request *);

/* What the reply may be. */
bool mailbox_may_have(const struct mailbox_book *, const struct request *); /* a message to give or remove */
bool mailbox_may_lack(const struct mailbox_book *, const struct request *); /* none */
void mailbox_counts(const struct mailbox_book *, const struct request *, uint64_t *least, uint64_t *most);

/* Whether text[0..length) is the text that was asked for, or its beginning. */
bool mailbox_text_fits(const struct mailbox_book *, const struct request *, const char *text, size_t length);

/* Begins with what an earlier run has left: count messages, the oldest of which is numbered first. */
void mailbox_adopt(struct mailbox *, uint64_t first, uint64_t count);

/* Each notes that a request was answered; had: there was a message to remove. */
void mailbox_know_append(struct mailbox *);
void mailbox_know_removal(const struct mailbox_book *, struct mailbox *, bool had);

#endif
