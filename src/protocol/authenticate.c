/* authenticate.c: from a name and a password to the secret of an account, or a refusal that does not say
 * which of the two was wrong. In come texts of the right form. It knows no verb and no reply.
 *
 * While it waits it holds neither lock nor hash token. */
#include "authenticate.h"

#include "clock.h"
#include "log.h"
#include "throttle.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum { PATIENCE_SECONDS = THROTTLE_DELAY_MOST + 1 }; /* the longest delay, for who is the only one to wait */

#define PAUSE_FIRST \
    (NANOSECONDS_PER_SECOND / 200) /* somebody's success may let the next one in at any time */
#define PAUSE_MOST (NANOSECONDS_PER_SECOND / 5)

static enum status sleep_for(struct stream *stream, int64_t nanoseconds)
{
    const struct timespec pause = {.tv_sec = (time_t)(nanoseconds / NANOSECONDS_PER_SECOND),
                                   .tv_nsec = (long)(nanoseconds % NANOSECONDS_PER_SECOND)};

    if (ppoll(NULL, 0, &pause, stream_sleep_mask(stream)) < 0 && errno != EINTR) {
        return STATUS_SYSTEM;
    }
    return stream_gone(stream) ? STATUS_HANGUP : STATUS_OK;
}

static enum status await_turn(struct connection *connection, const char *name, size_t length)
{
    int64_t wait = throttle_login(connection->store, &connection->source, name, length);
    int64_t deadline = deadline_after_seconds(PATIENCE_SECONDS), pause = PAUSE_FIRST;

    if (wait > 0 && stream_flush(connection->stream) != STATUS_OK) {
        return STATUS_HANGUP;
    }
    while (wait > 0) {
        if (clock_now() >= deadline) {
            log_info("%s: too many failed logins: one was refused unseen", connection->peer);
            return STATUS_THROTTLED;
        }
        enum status status = sleep_for(connection->stream, wait < pause ? wait : pause);
        if (status != STATUS_OK) {
            return status;
        }
        pause = pause < PAUSE_MOST / 2 ? 2 * pause : PAUSE_MOST;
        wait = throttle_login(connection->store, &connection->source, name, length);
    }
    return STATUS_OK;
}

/* A name that is none may be a password in the wrong place. */
static void log_failure(const struct connection *connection, account_t account)
{
    char name[NAME_MAX_BYTES + 1];

    if (account.index != 0 && account_name(connection->store, account, name) > 0) {
        log_info("%s: wrong password for %s", connection->peer, name);
    } else {
        log_info("%s: login to an unknown name", connection->peer);
    }
}

enum status authenticate(struct connection *connection, const char *name, size_t name_length,
                         const char *password, size_t password_length, struct account_secret *secret)
{
    struct store *store = connection->store;

    *secret = (struct account_secret){.account = ACCOUNT_NONE};
    enum status status = await_turn(connection, name, name_length);
    if (status != STATUS_OK) {
        return status;
    }
    (void)account_secret(store, name, name_length, secret);
    status = password_matches(store, password, password_length, secret);
    throttle_end(store, status != STATUS_OK);
    if (status == STATUS_DENIED) {
        log_failure(connection, secret->account);
    }
    return status;
}

void authenticate_renew(struct connection *connection, const char *password, size_t password_length,
                        struct account_secret *secret)
{
    char hash[HASH_MAX + 1];

    if (password_is_current(connection->store, secret->hash)) {
        return;
    }
    if (password_hash(connection->store, password, password_length, hash) == STATUS_OK &&
        account_change_hash(connection->store, secret, hash) == STATUS_OK) {
        secret->revision++; /* as that has done */
        memcpy(secret->hash, hash, sizeof hash);
    }
    explicit_bzero(hash, sizeof hash);
}
