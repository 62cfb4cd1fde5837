/* limit_memory.h: fresh shared memory for the limits that need some, as fast as the system gives it. */
#ifndef SHMAIL_BENCH_LIMIT_MEMORY_H
#define SHMAIL_BENCH_LIMIT_MEMORY_H

#include "limit_program.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

enum { HUGE = 2 << 20, ROOM_FOR_HEAP = 64 << 20, IN_ITS_TABLE = 32 << 20, TABLE = 1 << 30 }; /* bytes */

/* An address for so many bytes, where huge pages may be mapped; there is no memory behind it yet. It begins
 * at the end of the heap's page table, as an end of a process looks at each entry of that which is behind it.
 */
static inline char *share_memory(size_t bytes, int *file)
{
    *file = memfd_create("limit", MFD_CLOEXEC);
    if (*file < 0 || ftruncate(*file, (off_t)bytes) != 0)
        fail("memfd_create");
    uintptr_t least = (uintptr_t)sbrk(0) + ROOM_FOR_HEAP + IN_ITS_TABLE;
    void *place = (void *)((least + TABLE - 1) / TABLE * TABLE - IN_ITS_TABLE);
    char *room = mmap(place, bytes + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        fail("mmap");
    char *memory = mmap(room + (-(uintptr_t)room % HUGE), bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_NORESERVE | MAP_FIXED, *file, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    return memory;
}

/* Memory for HUGE bytes, one huge page where the system has one; else reserved, lest a full machine kills.
 * Either is mapped at once instead of page by page. */
static inline void get_memory(char *place, int file, size_t offset)
{
    if (posix_fallocate(file, (off_t)offset, 1) != 0) /* where there is nothing, nothing is gathered */
        fail("fallocate");
    if (madvise(place, HUGE, MADV_COLLAPSE) != 0 && posix_fallocate(file, (off_t)offset, HUGE) != 0)
        fail("fallocate");
    if (madvise(place, HUGE, MADV_POPULATE_WRITE) != 0)
        fail("memory");
}

#endif
