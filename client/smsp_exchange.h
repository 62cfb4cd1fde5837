/* smsp_exchange.h: one exchange of SMSP, and the session that most requests need. Codes are those of
 * commands.h. */
#ifndef SHMAIL_CLIENT_SMSP_EXCHANGE_H
#define SHMAIL_CLIENT_SMSP_EXCHANGE_H

#include "commands.h"

#include <stdint.h>

/* Sends a request and waits for its reply. The template is as in protocols: "SEND <1> <2> <cookie>". <1> to
 * <3> stand for the words; <user> and <cookie> for the session, which is started from the environment where
 * there is none. */
int exchange_ask(struct client *, const char *template, const char *const *words);

/* EX_OK where there is a session or what starts one; or the exit code (said). */
int exchange_may_ask(struct client *);

/* What stands behind a word at the start of the reply; NULL: it starts otherwise. */
const char *exchange_reply_after(const struct client *, const char *word);
bool exchange_reply_is(const struct client *, const char *text);
bool exchange_number_after(const struct client *, const char *word, uint64_t *number);

/* Asks the server why it said KO, and says it, with the variable where SHMAIL_COOKIE is no session. Where the
 * connection is lost instead, that is said, and whether it looks as if the server has turned it away. */
int exchange_refused(struct client *);

/* For a reply that is not the one a verb has for success: a refusal, or nonsense. */
int exchange_not_done(struct client *);

/* Takes the cookie of a successful REGISTER or LOGIN. */
int exchange_start_session(struct client *, const char *user);

/* Forgets it, and the environment too: who logs out does not mean to be logged in again unasked. */
int exchange_end_session(struct client *);

#endif
