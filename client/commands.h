/* commands.h: what the two dialects of the client share: the client itself, the table that describes a
 * command, and the ways to ask for what is missing and to answer.
 *
 * A handler returns an exit code: EX_OK, EXIT_REFUSED, EX_USAGE, EX_UNAVAILABLE or EX_TEMPFAIL. It has said
 * what there is to say. */
#ifndef SHMAIL_CLIENT_COMMANDS_H
#define SHMAIL_CLIENT_COMMANDS_H

#include "buffer.h"
#include "net.h"
#include "terminal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sysexits.h>

enum {
    EXIT_REFUSED = 1, /* the server said no, or the output cannot be written */
    WORDS_MAX = 4,
};

struct client {
    const struct dialect *dialect;
    struct terminal terminal;
    const struct address_name *server;
    struct net net;
    bool interactive;
    bool ended; /* quit was asked for */

    /* From the environment, NULL where unset or after a logout. */
    const char *given_user;
    const char *given_password;
    const char *given_cookie;

    /* The session of this connection; each NULL until there is one. Owned. */
    char *user;
    char *cookie; /* SMSP */
    bool framed;  /* SMSP: something was sent, so the server knows how requests end */
    bool entered; /* Message */

    /* What came on this connection so far, in SMSP. */
    enum { HEARD_NOTHING, HEARD_ONLY_KO, HEARD_MORE } heard;

    struct buffer request; /* being built */
    const char *reply;     /* the last one, a C string in SMSP; lives until the next exchange */
    size_t reply_length;
    struct buffer answers[3]; /* what was asked for during this command: user, old and new secret */
};

struct command {
    const char *name;
    const char *arguments; /* as help and a usage complaint show them */
    const char *help;
    int least, most; /* words behind the name */
    bool content;    /* the last of most is the rest of the line, or with "-" the rest of standard input */
    int (*run)(struct client *, const struct command *, char *const *words, int count);
    const char *request;          /* for run, as the dialect likes it; may be NULL */
    int (*show)(struct client *); /* for run: the reply to the request; may be NULL */
};

struct dialect {
    const char *name; /* for -P */
    const struct command *commands;
    size_t count;
    /* EX_OK where there is a session, or what starts one; or the exit code (said). Asks nobody. */
    int (*may_ask)(struct client *);
    bool single_words;              /* a space inside a word would shift the words behind it */
    uint64_t wait_most;             /* the largest count of wait */
    void (*leave)(struct client *); /* says good-bye on a connection that is still open; may be NULL */
};

extern const struct dialect smsp_dialect;
extern const struct dialect message_dialect;

const struct command *command_find(const struct dialect *, const char *name);
void command_print_table(struct terminal *, const struct dialect *);

/* A handler: prints the table. The one that needs no server. */
int command_help(struct client *, const struct command *, char *const *words, int count);

/* The two words of wait. False: not what it takes (said). */
bool command_read_wait(struct client *, char *const *words, uint64_t *count, int *seconds);

/* Whether a command takes so many words; false: it does not (said). */
bool command_takes(struct client *, const struct command *, int count);

/* Run one command with its words checked. The line is taken apart in place. */
int command_run_arguments(struct client *, const struct command *, char *const *arguments, int count);
int command_run_line(struct client *, char *line, size_t length);

/* A success without a value to print, or with one: "OK", "OK VALUE" to a person, just VALUE to a script. */
int client_done(struct client *, const char *value);

/* The server said no; text says why. */
int client_refused(struct client *, const char *text);

/* The connection is gone or silent; says so and returns the exit code for it. */
int client_lost(struct client *);

/* A word, or what the session or environment has, or what a person at the terminal answers. NULL: there is
 * none (said). A secret given as "-" is read as a line from standard input. The first lives until the command
 * is over. */
const char *client_ask_user(struct client *, const char *word);
const char *client_ask_secret(struct client *, const char *word, const char *fallback);
const char *client_ask_new_secret(struct client *, const char *word, const char *fallback);

/* The value, or NULL where there is none or the protocol cannot carry it as one word. What says which it is;
 * the value is not shown, as it may be secret. */
const char *client_as_word(struct client *, const char *what, const char *value);

/* Copies value (NULL: none) into an owned field of the session. False: no memory (said). */
bool client_keep(struct client *, char **field, const char *value);

#endif
