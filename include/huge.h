/* huge.h: huge pages, for what every process touches: one fault maps all of it, and a fork or an end finds
 * one entry where there were many.
 *
 * By MADV_COLLAPSE (madvise(2), Linux 6.1), which asks nothing of the system's settings; where it is refused
 * (an older system, PR_SET_THP_DISABLE, no memory) all goes on with small pages. */
#ifndef SHMAIL_HUGE_H
#define SHMAIL_HUGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* glibc 2.37 has it */
#endif

/* As x86-64 has them, and others whose small pages have 4 KiB; where they are larger nothing is won. */
enum { HUGE_BYTES = 2 << 20 };

/* As mmap(2) of the whole file, shared, at an address where huge pages may be mapped. */
void *huge_map(size_t length, int protection, int flags, int file);

/* One huge page instead of the small ones behind each HUGE_BYTES from start on, for all who map that file.
 * The memory that was missing there is allocated. False: refused for one of them. */
bool huge_gather(void *start, size_t length);

#endif
