/* password.h: crypt(3) hashes, made outside every lock, at most one per processor at a time over all
 * processes. */
#ifndef SHMAIL_PASSWORD_H
#define SHMAIL_PASSWORD_H

#include "account.h"

/* Hashes a password of 1 to PASSWORD_MAX bytes without NUL (yescrypt, the cost of the store's options).
 * STATUS_MALFORMED, STATUS_TOO_LONG, STATUS_NO_MEMORY, STATUS_SYSTEM: crypt(3) or getrandom(2) failed. */
enum status password_hash(struct store *, const char *password, size_t length,
                          char hash[static HASH_MAX + 1]);

/* STATUS_OK or STATUS_DENIED, in the same time whether the password is wrong, the secret has no hash, or is
 * empty; at once where the password is none that password_hash takes. STATUS_NO_MEMORY or STATUS_SYSTEM where
 * that could not be found out. */
enum status password_matches(struct store *, const char *password, size_t length,
                             const struct account_secret *);

/* Whether a hash was made by the method and cost that new ones have. */
bool password_is_current(const struct store *, const char *hash);

#endif
