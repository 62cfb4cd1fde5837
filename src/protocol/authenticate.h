/* authenticate.h: how every protocol checks a password: throttled over all processes, in the same time
 * whatever is wrong. Private to src/protocol. */
#ifndef SHMAIL_AUTHENTICATE_H
#define SHMAIL_AUTHENTICATE_H

#include "password.h"
#include "protocol.h"

/* Waits for this source's turn (some seconds at most, where there were many failures), then reads the secret
 * of a name (canonical: name.h) and checks the password against it. Replies that are gathered leave first if
 * it has to wait. STATUS_DENIED: unknown name or wrong password. STATUS_THROTTLED: its turn did not come, and
 * nothing was checked. STATUS_HANGUP: the peer is gone, or the server ends. STATUS_NO_MEMORY,
 * STATUS_SYSTEM: nothing is known. Wipe *secret when it is used. */
enum status authenticate(struct connection *, const char *name, size_t name_length, const char *password,
                         size_t password_length, struct account_secret *secret);

/* After a success: replaces a hash that was not made as new ones are. If that fails the old one stays. */
void authenticate_renew(struct connection *, const char *password, size_t password_length,
                        struct account_secret *secret);

#endif
