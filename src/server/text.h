/* text.h: the program's code and constants in huge pages, as one mapping.
 *
 * They are copied into memory that is sealed and then mapped where the program has them, so no page is ever
 * to be written and executed. Constants that hold addresses, which the loader writes, are copied as it has
 * left them, and are no mapping of their own any more, which each fork would copy. Only where the program was
 * linked for that (a static one: the Makefile); debuggers find all as before, profilers see a memfd instead
 * of a file unless huge pages are refused (huge.h). */
#ifndef SHMAIL_TEXT_H
#define SHMAIL_TEXT_H

#include "huge.h"

/* As the first variable of a program that is linked for that: so all others begin a huge page, and what lies
 * before them is only read. Not the next huge page but the one behind: where the kernel puts its own mappings
 * between, they lie at the end. */
#define TEXT_ENDS_HERE __attribute__((used, aligned(2 * HUGE_BYTES))) static char text_ends_here = 1

/* For this process, without threads, and what it forks. Where it cannot be had all stays as it was. */
void text_gather(void);

#endif
