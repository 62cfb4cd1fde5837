/* protocol.h: what a protocol is to the server: a name, how to recognise it, and a function that serves one
 * connection.
 *
 * A new protocol is a file (or two) and one row in the table of src/protocol/protocol.c. */
#ifndef SHMAIL_PROTOCOL_H
#define SHMAIL_PROTOCOL_H

#include "source.h"
#include "store.h"
#include "stream.h"

/* What the operator decided and every protocol follows. */
struct settings {
    const char *domain;    /* the local domain: alice and alice@domain are one account */
    size_t message_limit;  /* bytes of text in one message */
    bool require_password; /* Message entry needs one; else an unknown name makes an account without */
    bool closed;           /* accounts are made by the operator alone; require_password is set too */
    uint32_t registrations,
        entries;       /* accounts made, and names entered, by one source in an hour; 0: no limit */
    bool dump_allowed; /* DUMP may print the post office on standard error */
};

struct connection {
    struct store *store; /* attached */
    struct stream *stream;
    const struct settings *settings;
    struct source source; /* who the throttles take it for */
    const char *peer;     /* who it is in the log */
};

struct protocol {
    char name[16]; /* here, and not elsewhere: each connection would pay for a page of texts */
    bool (*recognise)(unsigned char first_byte);
    /* Serves until the peer or the server ends it; replies are flushed when it returns. STATUS_HANGUP is the
     * ordinary end, STATUS_OK one that the protocol decided (QUIT). */
    enum status (*serve)(struct connection *);
    /* Answers the request that has begun to arrive with a refusal: there is no place in the store for this
     * client. */
    void (*turn_away)(struct stream *, enum status why);
};

/* Reads the first byte and serves by the protocol that recognises it. STATUS_MALFORMED: none does. */
enum status protocol_serve(struct connection *);

/* Waits for the first bytes and refuses by the protocol that recognises them. */
void protocol_turn_away(struct stream *, enum status why);

extern const struct protocol smsp_protocol;    /* smsp(7) */
extern const struct protocol message_protocol; /* shmail-message(7) */

#endif
