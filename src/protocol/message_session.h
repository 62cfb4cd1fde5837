/* message_session.h: what the files of the Message protocol share: the session, the arguments of a request,
 * and the handlers that the table in message_session.c names. Private to this room.
 *
 * A handler gets arguments that are there, of the right kind and within their limits. It writes the reply's
 * JSON to session->reply, or nothing where the reply is "OK", and returns a status; only the dispatcher
 * sends. */
#ifndef SHMAIL_MESSAGE_SESSION_H
#define SHMAIL_MESSAGE_SESSION_H

#include "account.h"
#include "buffer.h"
#include "mailbox.h"
#include "protocol.h"

enum {
    FRAME_HEADER = 8, /* type and length, four bytes each */
    MEMBERS_MAX = 3,  /* send has most */
};

struct message_session {
    struct connection *connection;
    account_t account;             /* that is entered; ACCOUNT_NONE: none */
    char name[NAME_MAX_BYTES + 1]; /* its canonical name */
    size_t name_length;
    const char *command; /* its name, for the log; NULL: there is no place for this client */
    struct buffer reply; /* the frame that is being made: room for the header, then the body */
    char reason[192];    /* what message_refuse said about this request; empty: the status says it */
    bool over;           /* the connection ends after this request, with the status end */
    enum status end;
};

enum member_kind {
    MEMBER_TEXT,  /* a string without U+0000; limit: bytes, 0 means the message limit */
    MEMBER_WHOLE, /* a whole number, or a string of digits; limit: the greatest */
    MEMBER_INDEX, /* the same, but what is out of range is 0, and so is any other string: no mail has it */
};

/* A member of the request's object, and how it looks. */
struct member_rule {
    const char *key;
    enum member_kind kind;
    bool optional;
    uint64_t limit;
};

struct message_argument {
    bool given;        /* false: optional and absent */
    const char *bytes; /* never NULL, without a NUL at its end */
    size_t length;
    uint64_t number; /* of an index or a whole number */
};

struct message_arguments {
    struct message_argument values[MEMBERS_MAX];
    struct buffer texts[MEMBERS_MAX];
};

/* Reads a request's body into arguments, in the order of the rules; NULL: any JSON will do. The arguments
 * hold until message_arguments_free, which is due whatever the status. */
enum status message_arguments_read(struct message_session *, const struct member_rule *rules,
                                   const char *body, size_t length, struct message_arguments *);
void message_arguments_free(struct message_arguments *);

/* Says in words what is wrong with the request; returns status. Nothing that a client sent may stand in the
 * words. */
__attribute__((format(printf, 3, 4))) enum status message_refuse(struct message_session *, enum status,
                                                                 const char *format, ...);

/* The connection ends after this request, without a reply to it. Returns end. */
enum status message_end(struct message_session *, enum status end);

/* message_entry.c */
enum status message_entry(struct message_session *, const struct message_argument *);

/* message_mail.c */
enum status message_send(struct message_session *, const struct message_argument *);
enum status message_mailbox(struct message_session *, const struct message_argument *);
enum status message_open(struct message_session *, const struct message_argument *);
enum status message_delete(struct message_session *, const struct message_argument *);
enum status message_wait(struct message_session *, const struct message_argument *);

#endif
