/* account.h: accounts (the seed's RA): a name, perhaps a password hash, one mailbox, one incoming queue.
 *
 * Names are given in canonical form (name.h): a local account is its user name, any other its full address.
 * They are found without regard to ASCII case and kept as registered. */
#ifndef SHMAIL_ACCOUNT_H
#define SHMAIL_ACCOUNT_H

#include "cookie.h"
#include "store.h"

/* STATUS_NO_ACCOUNT. */
enum status account_find(struct store *, const char *name, size_t length, account_t *);

/* Registers a name with the hash (password_hash; NULL: none, open entry only) and, where cookie is not NULL,
 * opens its first session, all in one step. STATUS_MALFORMED: the name is empty, or it or the hash too long.
 * STATUS_SYSTEM as in account_login. STATUS_TAKEN, STATUS_FULL_*. */
enum status account_create(struct store *, const char *name, size_t length, const char *hash, account_t *,
                           struct cookie *);

/* What is needed to check a password outside every lock. revision changes with the password. */
struct account_secret {
    account_t account;
    uint32_t revision;
    char hash[HASH_MAX + 1]; /* empty: the account has no password */
};

/* STATUS_NO_ACCOUNT; *secret is then empty and may be checked all the same (password_matches). */
enum status account_secret(struct store *, const char *name, size_t length, struct account_secret *secret);

/* Opens a session; ends the oldest where there are too many. STATUS_GONE: the account was removed or its
 * password changed since the secret was read. STATUS_SYSTEM: there are no random bytes. STATUS_FULL_SESSIONS,
 * STATUS_FULL_SEGMENT. */
enum status account_login(struct store *, const struct account_secret *, struct cookie *);

/* Replaces the password hash; sessions stay. STATUS_GONE as above, STATUS_MALFORMED: the hash is too
 * long, STATUS_FULL_SEGMENT. */
enum status account_change_hash(struct store *, const struct account_secret *, const char *hash);

/* Ends every session of the account, and its entry by whatever process; who waits for its mail is woken. */
void account_end_sessions(struct store *, account_t);

/* Removes account, mailbox, queue and sessions in one step. STATUS_GONE as above. */
enum status account_remove(struct store *, const struct account_secret *);

/* The name as registered, with its NUL; returns its length, 0 if the account is gone. */
size_t account_name(struct store *, account_t, char name[static NAME_MAX_BYTES + 1]);

/* Enters a name for this process's connection (Message entry): until account_leave, account_end_sessions,
 * store_detach or this process's death nobody else can. An earlier entry of this process ends. STATUS_IN_USE;
 * STATUS_GONE as above. */
enum status account_enter(struct store *, const struct account_secret *);
void account_leave(struct store *);

/* Whether this process's entry of the account still holds: it does not where the account was removed, or
 * account_end_sessions called for it. No lock. */
bool account_is_entered(struct store *, account_t);

/* Calls visit for each account, in the order of their indices, in steps that take the lock, until it returns
 * false. The index of a removed account goes to a later one. */
void account_each(struct store *, bool (*visit)(void *context, account_t, const char *name), void *context);

#endif
