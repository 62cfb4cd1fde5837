/* load_dialect.h: SMSP's checksum dialect, as the published client speaks it: turns a plain request into one
 * of the dialect, and takes the sum off its reply. It knows the verbs of the dialect and nothing of mail. */
#ifndef SHMAIL_LOAD_DIALECT_H
#define SHMAIL_LOAD_DIALECT_H

#include "load_wire.h"

#include <stdlib.h>

static inline unsigned dialect_sum(const char *bytes, size_t length)
{
    unsigned sum = 0;

    for (size_t i = 0; i < length; i++) {
        sum += (unsigned char)bytes[i];
    }
    return sum % 13 % 17;
}

static inline bool dialect_has(const char *request)
{
    static const char *const verbs[] = {"REGISTER ", "LOGIN ",  "MESSAGE ", "STORE ",
                                        "COUNT ",    "GETMSG ", "DELMSG "};

    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strncmp(request, verbs[i], strlen(verbs[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* The request has no terminator yet; the last word of all but REGISTER and LOGIN is a cookie. */
static inline void dialect_wrap(struct buffer *request)
{
    struct buffer plain = *request, said = {.cap = 0};
    const char *content = memchr(plain.bytes, ' ', plain.length);
    const char *cookie = memrchr(plain.bytes, ' ', plain.length);
    const char *bar = plain.bytes[0] == 'M' ? "|" : "";

    if (plain.bytes[0] == 'R' || plain.bytes[0] == 'L') {
        (void)buffer_append(&said, plain.bytes, plain.length);
        (void)buffer_append_byte(&said, ' ');
    } else {
        (void)buffer_print(&said, "%.*s %s", (int)(content - plain.bytes), plain.bytes, bar);
        (void)buffer_append(&said, content + 1, (size_t)(cookie - content) - 1);
        (void)buffer_print(&said, "%s Cookie: %.*s ", bar,
                           (int)(plain.length - (size_t)(cookie + 1 - plain.bytes)), cookie + 1);
    }
    *request = (struct buffer){.cap = 0};
    (void)buffer_print(request, "%u ", dialect_sum(said.bytes, said.length));
    (void)buffer_append(request, said.bytes, said.length);
    if (said.failed || request->failed) {
        fail("no memory");
    }
    buffer_free(&plain);
    buffer_free(&said);
}

/* The reply behind its sum. */
static inline char *dialect_unwrap(char *reply, size_t *length)
{
    char *end = NULL;
    unsigned long sum = strtoul(reply, &end, 10);

    if (end == reply || *end != ' ') {
        fail("a reply of the dialect has no sum: %.100s", reply);
    }
    *length -= (size_t)(end + 1 - reply);
    if (sum != dialect_sum(end + 1, *length)) {
        fail("a reply of the dialect has another sum: %.100s", reply);
    }
    return end + 1;
}

#endif
