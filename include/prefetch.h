/* prefetch.h: asks the processor for memory before it is needed. */
#ifndef SHMAIL_PREFETCH_H
#define SHMAIL_PREFETCH_H

#include <stddef.h>

enum {
    PREFETCH_LINE = 64,   /* bytes */
    PREFETCH_MOST = 1152, /* bytes; what follows them the processor fetches by itself */
};

/* What is written soon: another processor may have it, and to get a line from there takes as long as a
 * hundred instructions, or a thousand where the two share no cache. One call asks for all at once. Any
 * address will do. The compiler would ask for memory to read, and each write would then ask once more; a
 * processor without this instruction takes it for none. */
static inline void prefetch_to_write(const char *start, size_t bytes)
{
    for (size_t line = 0; line < bytes && line < PREFETCH_MOST; line += PREFETCH_LINE) {
#ifdef __x86_64__
        __asm__ volatile("prefetchw %0" : : "m"(start[line]));
#else
        __builtin_prefetch(start + line, 1);
#endif
    }
}

#endif
