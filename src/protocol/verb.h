/* verb.h: the table engine of the line protocols: verbs are rows that say how to split a request.
 *
 * Arguments stand behind the verb, each after a single space. The engine finds the row and splits; what an
 * argument must look like is the protocol's to check, and its dispatcher calls the handler. */
#ifndef SHMAIL_VERB_H
#define SHMAIL_VERB_H

#include "buffer.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>

/* A piece of a request, in place. bytes is NULL where it is not there at all. */
struct text {
    const char *bytes;
    size_t length;
};

#define TEXT(literal) ((struct text){"" literal, sizeof(literal) - 1})

bool text_equal(struct text, struct text);

/* What may stand behind a verb: words without a space, and behind them in this order what is none. */
enum argument {
    ARGUMENT_NONE,
    ARGUMENT_USERNAME,
    ARGUMENT_RECIPIENT, /* a user name or an address */
    ARGUMENT_PASSWORD,
    ARGUMENT_OLD_PASSWORD,
    ARGUMENT_NEW_PASSWORD,
    ARGUMENT_ID,
    ARGUMENT_COUNT,
    ARGUMENT_SECONDS,
    ARGUMENT_COOKIE,                   /* comes last, if at all */
    ARGUMENT_WORDS,                    /* not an argument: what follows is no word */
    ARGUMENT_CONTENT = ARGUMENT_WORDS, /* everything between the words before it and those behind it, spaces
                                          at its ends too */
    ARGUMENT_BARRED,                   /* the same between two '|', which are not part of it */
    ARGUMENT_ANYTHING,                 /* whatever follows, or nothing */
    ARGUMENT_KINDS                     /* not an argument: how many there are */
};

enum { VERB_ARGUMENTS_MAX = 4 };

struct verb {
    char name[12]; /* with its NUL; two rows of one name, one behind the other, are two shapes of one verb */
    size_t name_length;
    enum argument arguments[VERB_ARGUMENTS_MAX];
    unsigned flags;                    /* the protocol's own */
    enum status (*act)(void *session); /* called by the protocol's dispatcher only */
};

/* The first two members of a row. */
#define VERB(name) name, sizeof(name) - 1

struct verb_table {
    const struct verb *rows;
    size_t count;
};

/* Finds the first row with all of the wanted flags that the request fits, and splits its arguments:
 * arguments[kind] is each one's text; what the row does not name is left as it was. cookie_label: a word that
 * may stand before a cookie, or an empty text. *first: the first row of the name that was asked for before,
 * as a guess; then that of this name. NULL: no row fits; *named is then a row of that name, or NULL where
 * there is no such verb. */
const struct verb *verb_match(const struct verb_table *, unsigned wanted, struct text cookie_label,
                              struct text request, struct text arguments[static ARGUMENT_KINDS],
                              size_t *first, const struct verb **named);

/* Appends what a verb takes: "COUNT takes <username> <cookie>". */
void verb_print_usage(const struct verb *, struct buffer *);

#endif
