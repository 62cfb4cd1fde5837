/* verb.c: finds the row of a table that a request fits, and cuts the request into that row's arguments. In
 * come a table and one request, out go pieces of it in place. It knows no session, no store and no reply. */
#include "verb.h"

#include <string.h>

static const char *const labels[] = {
    [ARGUMENT_NONE] = "",
    [ARGUMENT_USERNAME] = " <username>",
    [ARGUMENT_RECIPIENT] = " <username>",
    [ARGUMENT_PASSWORD] = " <password>",
    [ARGUMENT_OLD_PASSWORD] = " <old>",
    [ARGUMENT_NEW_PASSWORD] = " <new>",
    [ARGUMENT_ID] = " <id>",
    [ARGUMENT_COUNT] = " <count>",
    [ARGUMENT_SECONDS] = " <seconds>",
    [ARGUMENT_COOKIE] = " <cookie>",
    [ARGUMENT_CONTENT] = " <content>",
    [ARGUMENT_BARRED] = " |<content>|",
    [ARGUMENT_ANYTHING] = "",
};

_Static_assert(sizeof labels / sizeof labels[0] == ARGUMENT_KINDS, "each argument has its label");

bool text_equal(struct text a, struct text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

/* Cuts the first word off rest, with the space behind it; rest is absent afterwards where there was no space.
 * Inline, with what calls it, so that rest stays in registers: written to memory in halves and read back as a
 * whole it would make the processor wait. */
static inline struct text cut_first(struct text *rest)
{
    const char *space = rest->length > 0 ? memchr(rest->bytes, ' ', rest->length) : NULL;
    struct text word = *rest;

    if (space == NULL) {
        *rest = (struct text){NULL, 0};
        return word;
    }
    word.length = (size_t)(space - rest->bytes);
    *rest = (struct text){space + 1, rest->length - word.length - 1};
    return word;
}

/* The same at the other end. */
static inline struct text cut_last(struct text *rest)
{
    const char *space = rest->length > 0 ? memrchr(rest->bytes, ' ', rest->length) : NULL;
    struct text word = *rest;

    if (space == NULL) {
        *rest = (struct text){NULL, 0};
        return word;
    }
    size_t before = (size_t)(space - rest->bytes);
    word = (struct text){space + 1, rest->length - before - 1};
    rest->length = before;
    return word;
}

static inline void drop_label(struct text *rest, struct text label)
{
    struct text before = *rest;

    if (label.length > 0 && rest->bytes != NULL && text_equal(cut_last(&before), label)) {
        *rest = before;
    }
}

static bool unbar(struct text *content)
{
    if (content->length < 2 || content->bytes[0] != '|' || content->bytes[content->length - 1] != '|') {
        return false;
    }
    content->bytes++;
    content->length -= 2;
    return true;
}

static bool take(struct text word, struct text *argument)
{
    *argument = word;
    return word.length > 0;
}

/* Words are cut off at the front as far as they go, then at the back, so that what remains is the content. */
static bool split(const struct verb *verb, struct text label, struct text rest, struct text *arguments)
{
    const enum argument *kinds = verb->arguments;
    size_t first = 0, end = 0;

    while (end < VERB_ARGUMENTS_MAX && kinds[end] != ARGUMENT_NONE) {
        end++;
    }
    if (end > 0 && kinds[end - 1] == ARGUMENT_COOKIE) {
        if (rest.bytes == NULL) {
            return false;
        }
        arguments[ARGUMENT_COOKIE] = cut_last(&rest); /* which may be empty: a bad one has its own reply */
        drop_label(&rest, label);
        end--;
    }
    for (; first < end && kinds[first] < ARGUMENT_WORDS; first++) {
        if (!take(cut_first(&rest), &arguments[kinds[first]])) {
            return false;
        }
    }
    for (; end > first && kinds[end - 1] < ARGUMENT_WORDS; end--) {
        if (!take(cut_last(&rest), &arguments[kinds[end - 1]])) {
            return false;
        }
    }
    if (first == end) {
        return rest.bytes == NULL;
    }
    arguments[kinds[first]] = rest;
    return kinds[first] == ARGUMENT_ANYTHING ||
           (rest.bytes != NULL && (kinds[first] != ARGUMENT_BARRED || unbar(&arguments[kinds[first]])));
}

static bool has_name(const struct verb *verb, struct text name)
{
    return name.length == verb->name_length && memcmp(name.bytes, verb->name, name.length) == 0;
}

/* The first row of that name; table->count: there is none. */
static size_t find_row(const struct verb_table *table, struct text name, size_t guess)
{
    size_t row = 0;

    if (guess < table->count && has_name(&table->rows[guess], name)) {
        return guess;
    }
    while (row < table->count && !has_name(&table->rows[row], name)) {
        row++;
    }
    return row;
}

const struct verb *verb_match(const struct verb_table *table, unsigned wanted, struct text cookie_label,
                              struct text request, struct text arguments[static ARGUMENT_KINDS],
                              size_t *first, const struct verb **named)
{
    struct text rest = request;
    struct text name = cut_first(&rest);

    *named = NULL;
    *first = find_row(table, name, *first);
    for (size_t row = *first; row < table->count && has_name(&table->rows[row], name); row++) {
        const struct verb *verb = &table->rows[row];
        if ((verb->flags & wanted) != wanted) {
            continue;
        }
        if (split(verb, cookie_label, rest, arguments)) {
            return verb;
        }
        if (*named == NULL) {
            *named = verb;
        }
    }
    return NULL;
}

void verb_print_usage(const struct verb *verb, struct buffer *out)
{
    bool any = false;

    (void)buffer_print(out, "%s takes", verb->name);
    for (size_t i = 0; i < VERB_ARGUMENTS_MAX; i++) {
        const char *label = labels[verb->arguments[i]];
        any = any || label[0] != '\0';
        (void)buffer_append_text(out, label);
    }
    if (!any) {
        (void)buffer_append_text(out, " no argument");
    }
}
