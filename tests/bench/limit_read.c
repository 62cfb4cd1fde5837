/* limit_read.c: what recovery costs at least: limit_read FILE BYTES [copy].
 *
 * Reads so much of a file once from its beginning, takes the CRC-32C of all these bytes on the way by the
 * function that checks the journal, and prints how long that took as a line of JSON. With "copy" the bytes
 * are also put into shared memory that nobody has used yet, as they must where mailboxes lie in such. */
#include "crc32c.h"
#include "limit_program.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECE = 1 << 18 };

static int memory;
static char *base;

static void make_memory(size_t bytes)
{
    size_t size = (bytes + PIECE - 1) / PIECE * PIECE;
    memory = memfd_create("limit", MFD_CLOEXEC);
    if (memory < 0 || ftruncate(memory, (off_t)size) != 0)
        fail("shared memory");
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (base == MAP_FAILED)
        fail("shared memory");
}

/* Reserved first, lest a full machine kills; then mapped at once instead of page by page. */
static void keep(const char *piece, size_t length, size_t offset)
{
    static size_t reserved;
    for (; reserved < offset + length; reserved += PIECE)
        if (posix_fallocate(memory, (off_t)reserved, PIECE) != 0 ||
            madvise(base + reserved, PIECE, MADV_POPULATE_WRITE) != 0)
            fail("shared memory");
    memcpy(base + offset, piece, length);
}

int main(int argc, char **argv)
{
    static char piece[PIECE];
    bool copies = argc == 4 && strcmp(argv[3], "copy") == 0;
    if (argc != 3 && !copies) {
        fputs("usage: limit_read FILE BYTES [copy]\n", stderr);
        return 64;
    }
    size_t wanted = number_argument(argv[2]);
    double start = now();
    int file = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (file < 0)
        fail(argv[1]);
    if (copies)
        make_memory(wanted);
    uint32_t sum = 0;
    size_t bytes = 0;
    while (bytes < wanted) {
        ssize_t got = read(file, piece, wanted - bytes < sizeof(piece) ? wanted - bytes : sizeof(piece));
        if (got <= 0)
            fail(argv[1]);
        sum = crc32c(sum, piece, (size_t)got);
        if (copies)
            keep(piece, (size_t)got, bytes);
        bytes += (size_t)got;
    }
    double seconds = now() - start;
    printf("{\"bytes\": %zu, \"crc32c\": \"%08x\", \"seconds\": %.6f}\n", bytes, sum, seconds);
    return 0;
}
