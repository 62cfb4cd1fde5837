/* cookie.h: session cookies (the seed's ID and AC): 256 bits from getrandom(2) that stand for a logged-in
 * account.
 *
 * A cookie's text is 43 characters of base64url. Only the store's memory knows it; it is compared in constant
 * time. */
#ifndef SHMAIL_COOKIE_H
#define SHMAIL_COOKIE_H

#include "store.h"

enum { COOKIE_BYTES = 32, COOKIE_TEXT = 43 };

struct cookie {
    char text[COOKIE_TEXT + 1];
};

/* A verified cookie, as a connection remembers it. All zero: none. */
struct session {
    uint32_t index, generation; /* of the session record */
    account_t account;
    char text[COOKIE_TEXT + 1];
};

/* Finds the session of a cookie. A session that *session remembers is verified without a lock or look-up, as
 * long as it lives. STATUS_NO_SESSION: no such cookie, or it is malformed; *session is then empty. */
enum status cookie_verify(struct store *, const char *text, size_t length, struct session *session);

/* True while the session has not ended. Lock-free. */
bool session_alive(struct store *, const struct session *);

/* Ends a session; STATUS_NO_SESSION if it had ended already. *session is empty afterwards. */
enum status cookie_end(struct store *, struct session *session);

#endif
