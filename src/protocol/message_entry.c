/* message_entry.c: Message's entry: whether a name, with a password or without, may be entered, and by whom
 * it is. In comes what the client claims, out goes the account of the session. It knows nothing of frames and
 * JSON. */
#include "authenticate.h"
#include "clock.h"
#include "message_session.h"
#include "name.h"
#include "throttle.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum {
    ENTRY_TRIES = 4,              /* each further one means that the name came or went meanwhile */
    PATIENCE_MILLISECONDS = 1000, /* see enter */
    PAUSE_NANOSECONDS = 5000000,
};

static bool password_is_sound(const struct message_argument *password)
{
    return password->length > 0 && memchr(password->bytes, ' ', password->length) == NULL;
}

static enum status create(struct message_session *session, const char *name, size_t length,
                          const struct message_argument *password, struct account_secret *secret)
{
    struct store *store = session->connection->store;
    const struct connection *connection = session->connection;
    char hash[HASH_MAX + 1] = "";
    enum status status = STATUS_OK;

    if (!throttle_take(store, THROTTLE_REGISTRATION, &connection->source,
                       connection->settings->registrations)) {
        return STATUS_THROTTLED;
    }
    if (password->given) {
        status = password_hash(store, password->bytes, password->length, hash);
    }
    if (status == STATUS_OK) {
        status = account_create(store, name, length, hash, &secret->account, NULL);
    }
    explicit_bzero(hash, sizeof hash);
    if (status != STATUS_OK) {
        return status;
    }
    return account_secret(store, name, length, secret) == STATUS_OK ? STATUS_OK : STATUS_GONE;
}

static enum status check(struct message_session *session, const char *name, size_t length,
                         const struct message_argument *password, struct account_secret *secret)
{
    enum status status =
        authenticate(session->connection, name, length, password->bytes, password->length, secret);

    if (status == STATUS_OK) {
        authenticate_renew(session->connection, password->bytes, password->length, secret);
    }
    return status == STATUS_HANGUP ? message_end(session, status) : status;
}

/* Finds or creates the account. Only who has the right password learns anything that depends on the account's
 * state, as whether it is entered elsewhere; in a closed post office, even whether there is one. */
static enum status admit(struct message_session *session, const char *name, size_t length,
                         const struct message_argument *password, struct account_secret *secret)
{
    const struct settings *settings = session->connection->settings;

    if (settings->require_password && !password->given) {
        return message_refuse(session, STATUS_DENIED, "A password is required");
    }
    enum status status = account_secret(session->connection->store, name, length, secret);
    bool is_free = secret->hash[0] == '\0';
    if (status == STATUS_NO_ACCOUNT && !settings->closed) {
        return create(session, name, length, password, secret);
    }
    if (is_free && !settings->require_password) {
        return STATUS_OK;
    }
    return password->given ? check(session, name, length, password, secret)
                           : message_refuse(session, STATUS_DENIED, "A password is required");
}

/* A client that has closed its connection may come back before the process that served it has noticed, so a
 * name that is in use is given a moment to become free. Nobody announces that, hence the pauses; signals end
 * one early. */
static enum status enter(struct message_session *session, const struct account_secret *secret)
{
    struct connection *connection = session->connection;
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    int64_t deadline = clock_now() + PATIENCE_MILLISECONDS * (NANOSECONDS_PER_SECOND / 1000);
    enum status status = account_enter(connection->store, secret);

    while (status == STATUS_IN_USE && clock_now() < deadline) {
        enum status flushed = stream_flush(connection->stream);
        if (flushed != STATUS_OK) {
            return message_end(session, flushed);
        }
        if (ppoll(NULL, 0, &pause, stream_sleep_mask(connection->stream)) < 0 && errno != EINTR) {
            return STATUS_SYSTEM;
        }
        status = account_enter(connection->store, secret);
    }
    return status;
}

static enum status try_entry(struct message_session *session, const char *name, size_t length,
                             const struct message_argument *password)
{
    struct account_secret secret = {.account = ACCOUNT_NONE};
    enum status status = admit(session, name, length, password, &secret);

    if (status == STATUS_OK) {
        status = enter(session, &secret);
    }
    if (status == STATUS_OK) {
        session->account = secret.account;
        session->name_length = account_name(session->connection->store, secret.account, session->name);
    }
    explicit_bzero(&secret, sizeof secret);
    return status;
}

enum status message_entry(struct message_session *session, const struct message_argument *arguments)
{
    const struct message_argument *name = &arguments[0], *password = &arguments[1];
    enum status status = STATUS_GONE;

    if (!name_is_address(name->bytes, name->length)) {
        return message_refuse(session, STATUS_MALFORMED,
                              "Invalid name, expected something@something.something");
    }
    if (password->given && !password_is_sound(password)) {
        return message_refuse(session, STATUS_MALFORMED, "A password has 1 to %d bytes and no space",
                              PASSWORD_MAX);
    }
    const struct connection *connection = session->connection;
    if (!throttle_take(connection->store, THROTTLE_ENTRY, &connection->source,
                       connection->settings->entries)) {
        return STATUS_THROTTLED;
    }
    size_t length = name_canonical(name->bytes, name->length, connection->settings->domain);
    for (unsigned i = 0; i < ENTRY_TRIES && (status == STATUS_GONE || status == STATUS_TAKEN); i++) {
        status = try_entry(session, name->bytes, length, password);
    }
    return status;
}
