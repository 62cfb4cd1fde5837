/* huge.c: an address for a mapping that suits huge pages, and the call that makes them. */
#include "huge.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    HEAP_ROOM = 64 << 20,   /* bytes; when it is full, malloc(3) maps memory elsewhere */
    SMALL_BYTES = 4096,     /* of the pages of which HUGE_BYTES make one huge page */
    TABLE_BYTES = 1 << 30,  /* what a table of huge pages maps */
    FIRST_BYTES = 32 << 20, /* of a mapping, that lie in the heap's table, at its end */
};

/* Beside the heap, whose page tables each process has anyhow. Of the table in which a mapping begins, a
 * process that ends looks at each entry from there on, twice: so that they are few, most of a large mapping
 * lies in the tables behind it. */
static void *place(void)
{
    const uintptr_t least = (uintptr_t)sbrk(0) + HEAP_ROOM + FIRST_BYTES;

    return (void *)((least + TABLE_BYTES - 1) / TABLE_BYTES * TABLE_BYTES - FIRST_BYTES);
}

void *huge_map(size_t length, int protection, int flags, int file)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t whole = (length + page - 1) / page * page;
    const size_t room = whole + HUGE_BYTES;

    /* More than enough is taken and its ends are given back, as nobody else may take what lies between. */
    char *taken = mmap(place(), room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (taken == MAP_FAILED) {
        return MAP_FAILED;
    }
    size_t before = -(uintptr_t)taken % HUGE_BYTES;
    void *mapped = mmap(taken + before, length, protection, MAP_SHARED | MAP_FIXED | flags, file, 0);
    if (mapped == MAP_FAILED) {
        before = room; /* all of it */
    } else {
        (void)munmap(taken + before + whole, HUGE_BYTES - before);
    }
    if (before > 0) {
        (void)munmap(taken, before);
    }
    return mapped;
}

bool huge_gather(void *start, size_t length)
{
    /* Where huge pages are larger the system gathers nothing, and calls that a success. */
    return sysconf(_SC_PAGESIZE) == SMALL_BYTES && madvise(start, length, MADV_COLLAPSE) == 0;
}
