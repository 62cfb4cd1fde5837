/* base64.h: base64url without padding (RFC 4648, section 5), the form that a cookie has on every wire. */
#ifndef SHMAIL_BASE64_H
#define SHMAIL_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* Characters that n bytes take: 43 for the 32 of a cookie. */
#define BASE64_LENGTH(n) (((n)*4 + 2) / 3)

/* Writes BASE64_LENGTH(length) characters to text, without a NUL. */
void base64_encode(const void *bytes, size_t length, char *text);

/* True where text[0..length) is what base64_encode writes for some size bytes, which then stand in bytes. Any
 * other length, character or trailing bit is refused, so that a cookie has one form only. */
bool base64_decode(const char *text, size_t length, void *bytes, size_t size);

#endif
