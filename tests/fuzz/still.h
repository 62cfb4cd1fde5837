/* still.h: a world in which nothing takes time and nothing is random: what the C library does for the
 * programs elsewhere, still.c does in a fuzz target. Makefile redirects the calls (still.syms) of the library
 * alone, not those of the target or of libFuzzer. */
#ifndef SHMAIL_FUZZ_STILL_H
#define SHMAIL_FUZZ_STILL_H

#include <stddef.h>

/* Both clocks and the random bytes begin again as they always do. */
void still_begin(void);

/* What was written to standard error since still_begin: log lines and DUMP's. At most STILL_SAID bytes of it.
 */
enum { STILL_SAID = 1 << 16 };
const char *still_said(size_t *length);

#endif
