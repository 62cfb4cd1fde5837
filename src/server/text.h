/* text.h: the program's code and constants in huge pages.
 *
 * They are copied into memory that is sealed and then mapped where the program has them, so no page is ever
 * to be written and executed. Only where the program was linked for that (a static one: the Makefile);
 * debuggers find all as before, profilers see a memfd instead of a file unless huge pages are refused
 * (huge.h). */
#ifndef SHMAIL_TEXT_H
#define SHMAIL_TEXT_H

/* For this process, without threads, and what it forks. Where it cannot be had all stays as it was. */
void text_gather(void);

#endif
