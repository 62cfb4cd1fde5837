/* data.c: copies the program's variables to memory of its own, and moves that to where they were. */
#include "data.h"

#include "sanitized.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct range {
    uintptr_t start, end; /* of whole pages; 0: there is none that may be moved */
};

static uintptr_t later(uintptr_t moment, uintptr_t other)
{
    return other > moment ? other : moment;
}

/* The last part that is written to, without what is written to only while the program is loaded, which lies
 * at its beginning or in a part of its own. */
static int find_variables(struct dl_phdr_info *program, size_t size, void *context)
{
    struct range *range = context;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t settled = 0;

    (void)size;
    for (size_t i = 0; i < program->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &program->dlpi_phdr[i];
        uintptr_t start = program->dlpi_addr + part->p_vaddr;
        uintptr_t end = start + part->p_memsz;
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W) != 0) {
            *range = (part->p_flags & PF_X) != 0
                         ? (struct range){0}
                         : (struct range){start / page * page, (end + page - 1) / page * page};
        }
        if (part->p_type == PT_GNU_RELRO) {
            settled = end / page * page;
        }
    }
    range->start = later(range->start, settled);
    return 1; /* what follows are libraries */
}

static bool is_zero(const char *bytes, size_t length)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

void data_renew(void)
{
    struct range range = {0};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (SANITIZED) {
        return; /* it forbids to read what lies between the variables */
    }
    (void)dl_iterate_phdr(find_variables, &range);
    if (range.start >= range.end) {
        return;
    }
    size_t length = range.end - range.start;
    char *fresh = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED) {
        return;
    }
    const char *old = (const char *)range.start;
    for (size_t at = 0; at < length; at += page) {
        if (!is_zero(old + at, page)) { /* what nobody has written to stays without memory */
            memcpy(fresh + at, old + at, page);
        }
    }
    if (mremap(fresh, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, old) == MAP_FAILED) {
        (void)munmap(fresh, length);
    }
}
