/* message_arguments.c: from the JSON body of a request to the arguments of its handler. In come bytes and the
 * rules of one row of the table, out go values that need no further look, or the reason why not. It knows
 * neither frames nor what a command does. */
#include "json.h"
#include "message_session.h"
#include "number.h"

#include <inttypes.h>
#include <string.h>

static enum status read_json(struct message_session *session, const char *body, size_t length,
                             struct json_member *members, size_t count)
{
    enum json_kind kind;
    const char *why;
    size_t at;

    if (!json_read(body, length, members, count, &kind, NULL, &why, &at)) {
        for (size_t i = 0; i < count; i++) {
            if (members[i].text.failed) {
                return STATUS_NO_MEMORY; /* the texts have no cap but the frame's limit */
            }
        }
        return message_refuse(session, STATUS_MALFORMED, "Malformed JSON: %s at byte %zu", why, at);
    }
    if (count > 0 && kind != JSON_OBJECT) {
        return message_refuse(session, STATUS_MALFORMED, "The body must be an object");
    }
    return STATUS_OK;
}

/* A fraction or an exponent makes a number no whole one here, whatever its value. */
static bool is_whole(const struct json_member *member)
{
    if (member->kind != JSON_NUMBER) {
        return false;
    }
    for (size_t i = 0; i < member->text.length; i++) {
        if (strchr(".eE", member->text.bytes[i]) != NULL) {
            return false;
        }
    }
    return true;
}

static enum status check_kind(struct message_session *session, const struct member_rule *rule,
                              const struct json_member *member)
{
    bool right = member->kind == JSON_STRING || (rule->kind != MEMBER_TEXT && is_whole(member));

    if (member->kind == JSON_ABSENT) {
        return rule->optional ? STATUS_OK
                              : message_refuse(session, STATUS_MALFORMED, "Member %s is missing", rule->key);
    }
    return right ? STATUS_OK
                 : message_refuse(session, STATUS_MALFORMED, "Member %s must be %s", rule->key,
                                  rule->kind == MEMBER_TEXT ? "a string"
                                                            : "a whole number or a string of digits");
}

static enum status check_text(struct message_session *session, const struct member_rule *rule,
                              const struct message_argument *argument)
{
    uint64_t limit = rule->limit != 0 ? rule->limit : session->connection->settings->message_limit;

    if (argument->length > limit) {
        return message_refuse(session, STATUS_TOO_LONG, "Member %s is over the limit of %" PRIu64 " bytes",
                              rule->key, limit);
    }
    if (memchr(argument->bytes, '\0', argument->length) != NULL) {
        return message_refuse(session, STATUS_MALFORMED, "Member %s contains U+0000", rule->key);
    }
    return STATUS_OK;
}

static enum status check_value(struct message_session *session, const struct member_rule *rule,
                               struct message_argument *argument)
{
    if (!argument->given) {
        return STATUS_OK;
    }
    if (rule->kind == MEMBER_TEXT) {
        return check_text(session, rule, argument);
    }
    if (!number_parse(argument->bytes, argument->length, rule->limit, &argument->number) &&
        rule->kind == MEMBER_WHOLE) {
        return message_refuse(session, STATUS_MALFORMED,
                              "Member %s must be a whole number from 0 to %" PRIu64, rule->key, rule->limit);
    }
    return STATUS_OK;
}

/* JSON may write 0 as -0, as a number alone: a string of digits has no sign. */
static bool is_minus_zero(const struct json_member *member)
{
    return member->kind == JSON_NUMBER && member->text.length == 2 &&
           memcmp(member->text.bytes, "-0", 2) == 0;
}

static struct message_argument argument_of(const struct json_member *member)
{
    const struct buffer *text = &member->text;
    size_t sign = is_minus_zero(member) ? 1 : 0;

    return (struct message_argument){
        .given = member->kind != JSON_ABSENT,
        .bytes = text->length > 0 ? text->bytes + sign : "",
        .length = text->length - sign,
    };
}

enum status message_arguments_read(struct message_session *session, const struct member_rule *rules,
                                   const char *body, size_t length, struct message_arguments *arguments)
{
    struct json_member members[MEMBERS_MAX] = {0};
    size_t count = 0;

    *arguments = (struct message_arguments){0};
    while (rules != NULL && count < MEMBERS_MAX && rules[count].key != NULL) {
        members[count].key = rules[count].key;
        count++;
    }
    enum status status = read_json(session, body, length, members, count);
    for (size_t i = 0; i < count; i++) {
        arguments->texts[i] = members[i].text;
        arguments->values[i] = argument_of(&members[i]);
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = check_kind(session, &rules[i], &members[i]);
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = check_value(session, &rules[i], &arguments->values[i]);
    }
    return status;
}

void message_arguments_free(struct message_arguments *arguments)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        buffer_free(&arguments->texts[i]);
    }
}
