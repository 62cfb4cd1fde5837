/* utf8.h: UTF-8 as RFC 3629 has it: no overlong form, no surrogate, nothing above U+10FFFF. */
#ifndef SHMAIL_UTF8_H
#define SHMAIL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes (1 to 4) of the character at bytes[0], and its code point in *code; 0 if no valid character starts
 * there within length bytes. length is at least 1. */
size_t utf8_decode(const char *bytes, size_t length, uint32_t *code);

/* Writes code (a scalar value) to out, which has room for 4 bytes; returns how many it took. */
size_t utf8_encode(uint32_t code, char *out);

bool utf8_valid(const char *bytes, size_t length);

/* Bytes at the start of bytes[0..length) that U+FFFD stands for, where utf8_decode says 0: the maximal
 * subpart of an ill-formed sequence (Unicode, section 3.9), at least 1. */
size_t utf8_broken(const char *bytes, size_t length);

#endif
