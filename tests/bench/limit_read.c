/* limit_read.c: what recovery costs at least: limit_read FILE.
 *
 * Reads a file once from its beginning to its end, takes the CRC-32C of all its bytes on the way by the
 * function that checks the journal, and prints how long that took as a line of JSON. */
#include "crc32c.h"
#include "limit_program.h"

#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char piece[1 << 18];
    if (argc != 2) {
        fputs("usage: limit_read FILE\n", stderr);
        return 64;
    }
    double start = now();
    int file = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (file < 0)
        fail(argv[1]);
    uint32_t sum = 0;
    unsigned long long bytes = 0;
    ssize_t got;
    while ((got = read(file, piece, sizeof(piece))) > 0) {
        sum = crc32c(sum, piece, (size_t)got);
        bytes += (unsigned long long)got;
    }
    if (got < 0)
        fail(argv[1]);
    double seconds = now() - start;
    printf("{\"requests\": 1, \"bytes\": %llu, \"crc32c\": \"%08x\", \"seconds\": %.6f, \"rate\": %.6f}\n",
           bytes, sum, seconds, 1 / seconds);
    return 0;
}
