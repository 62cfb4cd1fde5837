/* number.h: decimal numbers from untrusted text, and back. */
#ifndef SHMAIL_NUMBER_H
#define SHMAIL_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True where bytes[0..length) are decimal digits only, at least one, and their value is at most max; leading
 * zeros are allowed. False leaves *value alone. */
bool number_parse(const char *bytes, size_t length, uint64_t max, uint64_t *value);

enum { NUMBER_TEXT = 20 }; /* digits of UINT64_MAX */

/* Writes the value's digits, without a NUL, and nothing else; returns how many. */
size_t number_print(uint64_t value, char out[static NUMBER_TEXT]);

#endif
