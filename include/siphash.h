/* siphash.h: SipHash-1-3, a keyed 64-bit hash whose collisions cannot be sought without the key.
 *
 * J.-P. Aumasson, D. J. Bernstein: SipHash: a fast short-input PRF (INDOCRYPT 2012), with one compression and
 * three finalisation rounds. The result is the same on every byte order. */
#ifndef SHMAIL_SIPHASH_H
#define SHMAIL_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash13(const uint8_t key[16], const void *bytes, size_t length);

/* Hashes as if each ASCII A-Z were lower case. Names that differ in ASCII case only hash alike. */
uint64_t siphash13_folded(const uint8_t key[16], const void *bytes, size_t length);

#endif
