/* mapping.h: what this process has mapped at an address, as the kernel tells it. */
#ifndef SHMAIL_TEST_MAPPING_H
#define SHMAIL_TEST_MAPPING_H

#include "harness.h"
#include "huge.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct mapping {
    uintptr_t start, end; /* 0: nothing lies there */
    char rights[5];
    char path[256];
    size_t huge; /* bytes of it that are mapped by huge pages of shared memory */
};

/* "START-END RIGHTS OFFSET DEVICE INODE PATH", or false: a line of what was said last. */
static inline bool read_mapping(const char *line, struct mapping *mapping)
{
    char *rest;
    *mapping = (struct mapping){.start = strtoul(line, &rest, 16)};
    if (*rest != '-')
        return false;
    mapping->end = strtoul(rest + 1, &rest, 16);
    snprintf(mapping->rights, sizeof(mapping->rights), "%s", rest + 1);
    const char *path = strchr(rest, '/');
    snprintf(mapping->path, sizeof(mapping->path), "%.*s", path ? (int)strcspn(path, "\n") : 0,
             path ? path : "");
    return true;
}

static inline struct mapping mapping_at(const void *address)
{
    char line[512];
    struct mapping next, mapping = {0};
    FILE *maps = fopen("/proc/self/smaps", "r");
    EXPECT(maps != NULL);
    while (fgets(line, sizeof(line), maps)) {
        if (read_mapping(line, &next)) {
            if (mapping.end)
                break;
            if ((uintptr_t)address >= next.start && (uintptr_t)address < next.end)
                mapping = next;
        } else if (mapping.end &&
                   (!strncmp(line, "ShmemPmdMapped:", 15) || !strncmp(line, "FilePmdMapped:", 14))) {
            mapping.huge += strtoul(strchr(line, ':') + 1, NULL, 10) << 10;
        }
    }
    fclose(maps);
    return mapping;
}

/* Bytes of address space that are mapped. */
static inline size_t mapped_bytes(void)
{
    char line[128];
    FILE *sizes = fopen("/proc/self/statm", "r");
    EXPECT(sizes != NULL && fgets(line, sizeof(line), sizes) != NULL);
    fclose(sizes);
    return strtoul(line, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* Shared memory of so many bytes. */
static inline int memory_file(size_t bytes)
{
    int file = memfd_create("test", MFD_CLOEXEC);
    EXPECT(file >= 0 && ftruncate(file, (off_t)bytes) == 0);
    return file;
}

static inline void want_huge_pages(void)
{
    int file = memory_file(HUGE_BYTES);
    char *memory = huge_map(HUGE_BYTES, PROT_READ | PROT_WRITE, 0, file);
    EXPECT(memory != MAP_FAILED);
    *memory = 1; /* where there is nothing, nothing is gathered */
    if (!huge_gather(memory, HUGE_BYTES))
        harness_skip("this system gives no huge pages");
    munmap(memory, HUGE_BYTES);
    close(file);
}

#endif
