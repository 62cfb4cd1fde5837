/* escape.h: text of unknown origin, safe to print: control characters, what reorders text, and bytes that are
 * not UTF-8 become \xNN, a backslash is doubled. */
#ifndef SHMAIL_ESCAPE_H
#define SHMAIL_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ESCAPE_MAX = 16 }; /* four bytes of UTF-8, each as \xNN */

/* Controls of both kinds, line and paragraph separators, and what reorders the characters around it. */
bool escape_hides(uint32_t code);

/* Takes one character off the text, of which *left (at least 1) bytes are left, and writes it as it may be
 * printed. Returns how many bytes that are; there is no NUL. */
size_t escape_next(const char **text, size_t *left, char out[static ESCAPE_MAX]);

#endif
