/* smsp_arguments.c: says whether one argument of a request is what its kind must be, brings names to
 * canonical form and numbers to numbers, and verifies the cookie. It knows no verb and acts on nothing. */
#include "smsp.h"

#include "name.h"
#include "number.h"

#include <inttypes.h>

static enum status check_name(struct smsp *smsp, struct text *name, bool address_too)
{
    if (smsp->name_length > 0 && text_equal(*name, (struct text){smsp->name, smsp->name_length})) {
        return STATUS_OK; /* the own name, as it was found before */
    }
    if (!name_is_username(name->bytes, name->length) &&
        !(address_too && name_is_address(name->bytes, name->length))) {
        return smsp_refuse(smsp, STATUS_MALFORMED, "a user name is 1 to %d letters and digits%s",
                           USERNAME_MAX, address_too ? ", or an address" : "");
    }
    name->length = name_canonical(name->bytes, name->length, smsp->settings->domain);
    return STATUS_OK;
}

static enum status check_password(struct smsp *smsp, struct text password)
{
    if (password.length > PASSWORD_MAX) {
        return smsp_refuse(smsp, STATUS_TOO_LONG, "a password is 1 to %d bytes long", PASSWORD_MAX);
    }
    return STATUS_OK;
}

static enum status check_content(struct smsp *smsp, struct text content)
{
    if (content.length == 0) {
        return smsp_refuse(smsp, STATUS_MALFORMED, "the content is empty");
    }
    if (content.length > smsp->settings->message_limit) {
        return smsp_refuse(smsp, STATUS_TOO_LONG, "the content is longer than %zu bytes",
                           smsp->settings->message_limit);
    }
    smsp->arguments[ARGUMENT_CONTENT] = content;
    return STATUS_OK;
}

static enum status check_number(struct smsp *smsp, enum argument kind, uint64_t most, uint64_t *number)
{
    struct text text = smsp->arguments[kind];

    if (!number_parse(text.bytes, text.length, most, number)) {
        return smsp_refuse(smsp, STATUS_MALFORMED, "%s must be a decimal number up to %" PRIu64,
                           kind == ARGUMENT_ID      ? "the id"
                           : kind == ARGUMENT_COUNT ? "the count"
                                                    : "the seconds",
                           most);
    }
    return STATUS_OK;
}

/* The account's name is remembered beside the session, so that a verb on one's own mailbox needs no look-up.
 */
static enum status check_cookie(struct smsp *smsp, struct text cookie)
{
    enum status status = cookie_verify(smsp->store, cookie.bytes, cookie.length, &smsp->session);

    if (status != STATUS_OK) {
        return status;
    }
    account_t account = smsp->session.account;
    if (account.index != smsp->named.index || account.generation != smsp->named.generation) {
        smsp->named = ACCOUNT_NONE;
        smsp->name_length = account_name(smsp->store, account, smsp->name);
        if (smsp->name_length == 0) {
            return STATUS_NO_SESSION; /* removed this instant, its sessions too */
        }
        smsp->named = account;
    }
    return STATUS_OK;
}

enum status smsp_check_argument(struct smsp *smsp, enum argument kind)
{
    struct text *text = &smsp->arguments[kind];

    switch (kind) {
    case ARGUMENT_USERNAME:
    case ARGUMENT_RECIPIENT:
        return check_name(smsp, text, kind == ARGUMENT_RECIPIENT);
    case ARGUMENT_PASSWORD:
    case ARGUMENT_OLD_PASSWORD:
    case ARGUMENT_NEW_PASSWORD:
        return check_password(smsp, *text);
    case ARGUMENT_CONTENT:
    case ARGUMENT_BARRED:
        return check_content(smsp, *text);
    case ARGUMENT_ID:
        return check_number(smsp, kind, UINT64_MAX, &smsp->id);
    case ARGUMENT_COUNT:
        return check_number(smsp, kind, INT64_MAX, &smsp->count);
    case ARGUMENT_SECONDS:
        return check_number(smsp, kind, WAIT_SECONDS_MAX, &smsp->seconds);
    case ARGUMENT_COOKIE:
        return check_cookie(smsp, *text);
    case ARGUMENT_NONE:
    case ARGUMENT_ANYTHING:
    case ARGUMENT_KINDS:
        break;
    }
    return STATUS_OK;
}
