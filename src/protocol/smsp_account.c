/* smsp_account.c: the SMSP verbs on accounts and sessions: REGISTER, LOGIN, LOGOUT, PASSWD, UNREGISTER. In
 * come names and passwords of the right form, out go statuses and cookies. It knows no framing and keeps no
 * secret. */
#include "smsp.h"

#include "authenticate.h"
#include "throttle.h"

#include <string.h>

static void reply_cookie(struct smsp *smsp, const char *before, struct cookie *cookie)
{
    (void)buffer_append_text(&smsp->reply, before);
    (void)buffer_append_text(&smsp->reply, cookie->text);
    explicit_bzero(cookie, sizeof *cookie);
}

/* Checks an argument as the password of the user who is named. */
static enum status check(struct smsp *smsp, enum argument kind, struct account_secret *secret)
{
    struct text name = smsp->arguments[ARGUMENT_USERNAME], password = smsp->arguments[kind];

    return authenticate(smsp->connection, name.bytes, name.length, password.bytes, password.length, secret);
}

enum status smsp_register(void *context)
{
    struct smsp *smsp = context;
    struct text name = smsp->arguments[ARGUMENT_USERNAME], password = smsp->arguments[ARGUMENT_PASSWORD];
    account_t account = {0, 0};
    struct cookie cookie;
    char hash[HASH_MAX + 1];

    if (smsp->settings->closed) {
        return smsp_refuse(smsp, STATUS_DENIED, "only the operator makes accounts here");
    }
    /* A name that is taken is worth no hash; that it is taken is what REGISTER says anyway. */
    enum status status = account_find(smsp->store, name.bytes, name.length, &account);
    if (status != STATUS_NO_ACCOUNT) {
        return status == STATUS_OK ? STATUS_TAKEN : status;
    }
    if (!throttle_take(smsp->store, THROTTLE_REGISTRATION, &smsp->connection->source,
                       smsp->settings->registrations)) {
        return STATUS_THROTTLED;
    }
    status = password_hash(smsp->store, password.bytes, password.length, hash);
    if (status == STATUS_OK) {
        status = account_create(smsp->store, name.bytes, name.length, hash, &account, &cookie);
    }
    explicit_bzero(hash, sizeof hash);
    if (status == STATUS_OK) {
        reply_cookie(smsp, "OK ", &cookie);
    }
    return status;
}

enum status smsp_login(void *context)
{
    struct smsp *smsp = context;
    struct account_secret secret;
    struct cookie cookie;

    enum status status = check(smsp, ARGUMENT_PASSWORD, &secret);
    if (status == STATUS_OK) {
        struct text password = smsp->arguments[ARGUMENT_PASSWORD];
        authenticate_renew(smsp->connection, password.bytes, password.length, &secret);
        status = account_login(smsp->store, &secret, &cookie);
    }
    explicit_bzero(&secret, sizeof secret);
    if (status == STATUS_OK) {
        reply_cookie(smsp, smsp->dialect ? "Cookie: " : "OK ", &cookie);
    }
    return status;
}

enum status smsp_logout(void *context)
{
    struct smsp *smsp = context;

    return cookie_end(smsp->store, &smsp->session);
}

enum status smsp_passwd(void *context)
{
    struct smsp *smsp = context;
    struct text password = smsp->arguments[ARGUMENT_NEW_PASSWORD];
    struct account_secret secret;
    char hash[HASH_MAX + 1] = "";

    enum status status = check(smsp, ARGUMENT_OLD_PASSWORD, &secret);
    if (status == STATUS_OK) {
        status = password_hash(smsp->store, password.bytes, password.length, hash);
    }
    if (status == STATUS_OK) {
        status = account_change_hash(smsp->store, &secret, hash);
    }
    explicit_bzero(hash, sizeof hash);
    explicit_bzero(&secret, sizeof secret);
    return status;
}

enum status smsp_unregister(void *context)
{
    struct smsp *smsp = context;
    struct account_secret secret;

    enum status status = check(smsp, ARGUMENT_PASSWORD, &secret);
    if (status == STATUS_OK) {
        status = account_remove(smsp->store, &secret);
    }
    explicit_bzero(&secret, sizeof secret);
    return status;
}
