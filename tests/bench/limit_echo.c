/* limit_echo.c: what a server with a process for each connection can reach at most: limit_echo [keep
 * [confined]].
 *
 * A child sends back what it reads, as soon as it has read it: at depth 1 that is a reply for each request,
 * with pipelining one reply of many lines for all the requests that have come. It looks at nothing. With
 * "keep" it first copies what it has read into shared memory that nothing was in, each child into its own:
 * the least that a store of mail must do, which also says where each thing lies, and to whom it belongs.
 * "confined" is as bounded as a server should be: a filter of system calls, which lets all through, and an
 * end to waiting. */
#include "limit_program.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STEP = 1 << 16 }; /* bytes: memory is given out in such steps */

static void keep(const char *bytes, size_t length)
{
    static char *memory;
    static size_t kept;
    static int file;
    const size_t most = (size_t)64 << 30;
    if (memory == NULL) {
        file = memfd_create("kept", MFD_CLOEXEC);
        if (file < 0 || ftruncate(file, (off_t)most) != 0)
            fail("memfd_create");
        memory = mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
        if (memory == MAP_FAILED)
            fail("mmap");
    }
    while (length > 0) {
        size_t part = STEP - kept % STEP < length ? STEP - kept % STEP : length;
        if (kept % STEP == 0 && (posix_fallocate(file, (off_t)kept, STEP) != 0 ||
                                 madvise(memory + kept, STEP, MADV_POPULATE_WRITE) != 0))
            fail("fallocate");
        memcpy(memory + kept, bytes, part);
        kept += part;
        bytes += part;
        length -= part;
    }
}

struct manner {
    bool keeps, confined;
};

static void serve(int connection, const void *context)
{
    const struct manner *manner = context;
    static char bytes[1 << 16];
    if (manner->confined) {
        confine();
        end_waiting(connection);
    }
    for (ssize_t got; (got = recv(connection, bytes, sizeof(bytes), 0)) > 0;) {
        if (manner->keeps)
            keep(bytes, (size_t)got);
        for (ssize_t sent = 0, more; sent < got; sent += more)
            if ((more = send(connection, bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL)) < 0)
                return;
    }
}

int main(int argc, char **argv)
{
    const struct manner manner = {.keeps = argc > 1 && strcmp(argv[1], "keep") == 0,
                                  .confined = argc > 2 && strcmp(argv[2], "confined") == 0};
    if (argc - 1 != manner.keeps + manner.confined) {
        fputs("usage: limit_echo [keep [confined]]\n", stderr);
        return 64;
    }
    serve_connections(serve, &manner);
}
