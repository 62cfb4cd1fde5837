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
    int64_t fresh; /* the second (clock_coarse) from which on its expiry has to be looked at again */
    char text[COOKIE_TEXT + 1];
};

/* Finds the session of a cookie, and notes that it was used. A session that *session remembers is verified
 * without a lock or look-up, as long as it lives. One that has expired ends. STATUS_NO_SESSION: no such
 * cookie, or it is malformed; *session is then empty. */
enum status cookie_verify(struct store *, const char *text, size_t length, struct session *session);

/* Ends a session, and wakes who waits for mail of that account, perhaps with it. STATUS_NO_SESSION: it had
 * ended already. *session is empty afterwards. */
enum status cookie_end(struct store *, struct session *session);

#endif
