/* limit_read.c: what recovery costs at least: limit_read FILE BYTES.
 *
 * Reads so much of a file once from its beginning, takes the CRC-32C of all these bytes on the way by the
 * function that checks the journal, and prints how long that took as a line of JSON. */
#include "crc32c.h"
#include "limit_program.h"

#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char piece[1 << 18];
    if (argc != 3) {
        fputs("usage: limit_read FILE BYTES\n", stderr);
        return 64;
    }
    size_t wanted = number_argument(argv[2]);
    double start = now();
    int file = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (file < 0)
        fail(argv[1]);
    uint32_t sum = 0;
    size_t bytes = 0;
    while (bytes < wanted) {
        ssize_t got = read(file, piece, wanted - bytes < sizeof(piece) ? wanted - bytes : sizeof(piece));
        if (got <= 0)
            fail(argv[1]);
        sum = crc32c(sum, piece, (size_t)got);
        bytes += (size_t)got;
    }
    double seconds = now() - start;
    printf("{\"bytes\": %zu, \"crc32c\": \"%08x\", \"seconds\": %.6f}\n", bytes, sum, seconds);
    return 0;
}
