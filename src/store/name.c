/* name.c: decides what is a user name and what an address, and brings both to the one form that the store
 * knows. In come bytes from any protocol, out go yes, no, or a length. It knows no account and no locale. */
#include "name.h"

#include "log.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>

static bool is_letter_or_digit(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
}

bool name_is_username(const char *name, size_t length)
{
    if (length == 0 || length > USERNAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_letter_or_digit(name[i])) {
            return false;
        }
    }
    return true;
}

/* How many bytes at the start of bytes[0..length) match [\w.-]*; *end is where the last part of them that
 * matches
 * \.\w+ begins, or their number where there is none. */
static size_t span_words(const char *bytes, size_t length, size_t *end)
{
    size_t done = 0, dot = 0;
    bool tail = false; /* a dot, and nothing but \w since */

    while (done < length) {
        uint32_t code = 0;
        size_t taken = utf8_decode(bytes + done, length - done, &code);
        if (taken == 0) {
            break;
        }
        if (code == '.') {
            dot = done;
            tail = true;
        } else if (code == '-') {
            tail = false;
        } else if (code < 0x80 && code != '_' && !is_letter_or_digit((char)code)) {
            break;
        }
        done += taken;
    }
    *end = tail && dot + 1 < done ? dot : done;
    return done;
}

bool name_is_address(const char *name, size_t length)
{
    size_t end = 0;

    if (length > NAME_MAX_BYTES) {
        return false;
    }
    size_t local = span_words(name, length, &end);
    if (local == 0 || local == length || name[local] != '@') {
        return false;
    }
    const char *domain = name + local + 1;
    size_t domain_length = length - local - 1;
    return span_words(domain, domain_length, &end) == domain_length && end > 0 && end < domain_length;
}

bool name_is_domain(const char *domain)
{
    char address[NAME_MAX_BYTES + 1];
    int length = snprintf(address, sizeof address, "%0*d@%s", USERNAME_MAX, 0, domain);

    return length > 0 && name_is_address(address, (size_t)length);
}

static char folded(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

bool name_equal(const char *a, size_t a_length, const char *b, size_t b_length)
{
    if (a_length != b_length) {
        return false;
    }
    if (memcmp(a, b, a_length) == 0) {
        return true;
    }
    for (size_t i = 0; i < a_length; i++) {
        if (folded(a[i]) != folded(b[i])) {
            return false;
        }
    }
    return true;
}

size_t name_canonical(const char *name, size_t length, const char *domain)
{
    const char *at = memchr(name, '@', length);

    if (at == NULL) {
        return length;
    }
    size_t local = (size_t)(at - name);
    if (name_is_username(name, local) && name_equal(at + 1, length - local - 1, domain, strlen(domain))) {
        return local;
    }
    return length;
}

size_t name_address(const char *name, size_t length, const char *domain,
                    char out[static 2 * NAME_MAX_BYTES + 2])
{
    size_t domain_length = strlen(domain);

    if (length > NAME_MAX_BYTES || domain_length > NAME_MAX_BYTES) {
        bug("a name or the local domain is longer than a name may be");
    }
    memcpy(out, name, length);
    if (memchr(name, '@', length) != NULL) {
        return length;
    }
    out[length] = '@';
    memcpy(out + length + 1, domain, domain_length);
    return length + 1 + domain_length;
}
