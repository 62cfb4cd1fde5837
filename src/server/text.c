/* text.c: puts copies of the parts of the program that are only read where they were. */
#include "text.h"

#include "sanitized.h"

#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U /* Linux 6.3 */
#endif

enum { PART_LEAST = 128 << 10 }; /* bytes; the fault for less maps half of it at once */

static const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

static int make_file(void)
{
    int file = memfd_create("shmaild", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

    return file >= 0 ? file : memfd_create("shmaild", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/* A copy in huge pages. */
static bool fill(int file, const void *part, size_t length, size_t whole)
{
    if (ftruncate(file, (off_t)whole) != 0 || write(file, part, length) != (ssize_t)length) {
        return false;
    }
    void *copy = huge_map(whole, PROT_READ, 0, file);
    if (copy == MAP_FAILED) {
        return false;
    }
    bool gathered = huge_gather(copy, whole);
    (void)munmap(copy, whole);
    return gathered && fcntl(file, F_ADD_SEALS, seals) == 0;
}

/* A huge page is mapped as a whole: nothing else may lie between the part's end and that of its last one. */
static void gather_part(char *part, size_t length, int protection)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t used = (length + page - 1) / page * page;
    size_t whole = (length + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
    char *rest = part + used;

    if (whole > used && mmap(rest, whole - used, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                             -1, 0) != rest) {
        return;
    }
    int file = make_file();
    if (file < 0 || !fill(file, part, length, whole) ||
        mmap(part, whole, protection, MAP_PRIVATE | MAP_FIXED, file, 0) != part) {
        if (whole > used) {
            (void)munmap(rest, whole - used);
        }
    }
    if (file >= 0) {
        (void)close(file);
    }
}

/* Of a part that is only read and ends there: with what was written to only while the program was loaded, if
 * that lies behind it. */
static size_t settled_end(const struct dl_phdr_info *program, size_t end)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (size_t i = 0; i < program->dlpi_phnum; i++) {
        const ElfW(Phdr) *settled = &program->dlpi_phdr[i];
        if (settled->p_type == PT_GNU_RELRO && settled->p_vaddr / page == (end + page - 1) / page) {
            return (settled->p_vaddr + settled->p_memsz) / page * page;
        }
    }
    return end;
}

static int gather_program(struct dl_phdr_info *program, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (size_t i = 0; i < program->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &program->dlpi_phdr[i];
        uintptr_t start = program->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W) == 0 && start % HUGE_BYTES == 0 &&
            part->p_memsz >= PART_LEAST) {
            gather_part((char *)start, settled_end(program, part->p_vaddr + part->p_memsz) - part->p_vaddr,
                        PROT_READ | ((part->p_flags & PF_X) != 0 ? PROT_EXEC : 0));
        }
    }
    return 1; /* what follows are libraries */
}

void text_gather(void)
{
    if (SANITIZED) {
        return; /* it forbids to read what lies between the constants */
    }
    (void)dl_iterate_phdr(gather_program, NULL);
}
