/* name.h: names of accounts as both protocols write them, and the one form in which the store knows them.
 *
 * The user name alice and the address alice@DOMAIN, DOMAIN being local, are one account, known as "alice";
 * any other address is an account of its own, known by the whole address. (smsp(7), shmail-message(7).) */
#ifndef SHMAIL_NAME_H
#define SHMAIL_NAME_H

#include "limit.h"

#include <stdbool.h>
#include <stddef.h>

/* [a-zA-Z0-9]{1,64} */
bool name_is_username(const char *name, size_t length);

/* [\w.-]+@[\w.-]+(\.\w+)+ as a whole; \w: ASCII letters, digits, '_' and every code point beyond ASCII, in
 * valid UTF-8. At most NAME_MAX_BYTES. */
bool name_is_address(const char *name, size_t length);

/* True where the address of every user name at this domain is one. */
bool name_is_domain(const char *domain);

/* Shortens an address to the form in which the store knows it: returns the length of its canonical prefix
 * (the user name, where the domain is local and the local part is a user name; otherwise all of it). Any
 * other name is its own canonical form. */
size_t name_canonical(const char *name, size_t length, const char *domain);

/* True where two canonical names are one: ASCII case does not matter. */
bool name_equal(const char *a, size_t a_length, const char *b, size_t b_length);

/* The address of a canonical name: writes to out and returns its length. domain has at most NAME_MAX_BYTES.
 */
size_t name_address(const char *name, size_t length, const char *domain,
                    char out[static 2 * NAME_MAX_BYTES + 2]);

#endif
