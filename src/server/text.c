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

/* A part of the program that is only read, and behind it what was written to only while the program was
 * loaded; of whole pages. */
struct part {
    char *start, *end;
    char *settled, *settled_end; /* both are end where nothing of that lies there */
    int protection;
};

static bool copy_to(int file, const struct part *part, const char *from, const char *to)
{
    return pwrite(file, from, (size_t)(to - from), from - part->start) == to - from;
}

/* A copy in huge pages. */
static bool fill(int file, const struct part *part, size_t whole)
{
    if (ftruncate(file, (off_t)whole) != 0 || !copy_to(file, part, part->start, part->end) ||
        !copy_to(file, part, part->settled, part->settled_end)) {
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

static bool put_copy(const struct part *part, size_t whole)
{
    int file = make_file();
    bool is_put = file >= 0 && fill(file, part, whole) &&
                  mmap(part->start, whole, part->protection, MAP_PRIVATE | MAP_FIXED, file, 0) == part->start;

    if (file >= 0) {
        (void)close(file);
    }
    return is_put;
}

static bool take_hole(char *from, const char *to)
{
    return from == to || mmap(from, (size_t)(to - from), PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == from;
}

static void leave_hole(char *from, const char *to)
{
    if (from != to) {
        (void)munmap(from, (size_t)(to - from));
    }
}

/* A huge page is mapped as a whole: nothing else may lie before its end. */
static void gather_part(const struct part *part)
{
    size_t length = (size_t)(part->settled_end - part->start);
    size_t whole = (length + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
    const char *last = part->start + whole;

    if (!take_hole(part->end, part->settled)) {
        return;
    }
    if (take_hole(part->settled_end, last)) {
        if (put_copy(part, whole)) {
            return;
        }
        leave_hole(part->settled_end, last);
    }
    leave_hole(part->end, part->settled);
}

/* What was settled, if it begins in the huge page in which the part ends. */
static void find_settled(const struct dl_phdr_info *program, struct part *part)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t room = HUGE_BYTES - (uintptr_t)part->end % HUGE_BYTES;

    part->settled = part->settled_end = part->end;
    for (size_t i = 0; i < program->dlpi_phnum; i++) {
        const ElfW(Phdr) *settled = &program->dlpi_phdr[i];
        char *start = (char *)(program->dlpi_addr + settled->p_vaddr / page * page);
        if (settled->p_type == PT_GNU_RELRO && start >= part->end && start < part->end + room) {
            part->settled = start;
            part->settled_end =
                (char *)(program->dlpi_addr + (settled->p_vaddr + settled->p_memsz) / page * page);
        }
    }
}

static int gather_program(struct dl_phdr_info *program, size_t size, void *context)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    (void)size;
    (void)context;
    for (size_t i = 0; i < program->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &program->dlpi_phdr[i];
        uintptr_t start = program->dlpi_addr + header->p_vaddr;

        if (header->p_type == PT_LOAD && (header->p_flags & PF_W) == 0 && start % HUGE_BYTES == 0 &&
            header->p_memsz >= PART_LEAST) {
            struct part part = {
                .start = (char *)start,
                .end = (char *)((start + header->p_memsz + page - 1) / page * page),
                .protection = PROT_READ | ((header->p_flags & PF_X) != 0 ? PROT_EXEC : 0),
            };
            find_settled(program, &part);
            gather_part(&part);
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
