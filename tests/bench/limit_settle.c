/* limit_settle.c: what a server with a process for each connection can reach that has on disk what it answers
 * for: limit_settle FILE.
 *
 * A child adds the lines that it has read to a log in shared memory, waits until they are on disk, by its own
 * write or another child's, and answers each by a short line. It looks at nothing, and keeps nothing but the
 * log. It waits its turn and soon goes to where its client is, which is faster where there are fewer
 * processors than connections. */
#include "limit_group.h"

enum {
    LOG_BYTES = 32 << 20, /* more than all connections together may have under way */
    STEP = 1 << 16,
    SETTLED = 64, /* replies, until a client is where it stays */
};

struct log {
    struct group *group; /* counts bytes */
    char *bytes;         /* a ring */
    int file;
};

static void write_run(const struct log *log, uint64_t from, uint64_t to)
{
    size_t length = (size_t)(to - from);
    if (pwrite(log->file, log->bytes + from % LOG_BYTES, length, (off_t)(from % LOG_BYTES)) !=
        (ssize_t)length)
        fail("writing");
}

static void save(const void *context, uint64_t from, uint64_t to)
{
    const struct log *log = context;
    uint64_t end = from - from % LOG_BYTES + LOG_BYTES; /* of the ring */
    write_run(log, from, to < end ? to : end);
    if (to > end)
        write_run(log, end, to);
    if (fdatasync(log->file) != 0)
        fail("fdatasync");
}

static void commit(const struct log *log, const char *bytes, size_t length)
{
    pthread_mutex_lock(&log->group->mutex);
    size_t at = (size_t)(log->group->added % LOG_BYTES);
    size_t first = LOG_BYTES - at < length ? LOG_BYTES - at : length;
    memcpy(log->bytes + at, bytes, first);
    memcpy(log->bytes, bytes + first, length - first);
    group_commit(log->group, length, save, log);
}

static void serve(int connection, const void *context)
{
    const struct log *log = context;
    static char bytes[STEP], replies[2 * STEP];
    int times = 0;
    wait_its_turn();
    for (ssize_t got; (got = recv(connection, bytes, sizeof(bytes), 0)) > 0;) {
        size_t length = 0;
        const char *end = bytes + got;
        if (++times == SETTLED)
            follow(connection);
        for (const char *at = bytes; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
            memcpy(replies + length, "k\n", 2);
            length += 2;
        }
        commit(log, bytes, (size_t)got);
        for (ssize_t sent = 0, more; sent < (ssize_t)length; sent += more)
            if ((more = send(connection, replies + sent, length - (size_t)sent, MSG_NOSIGNAL)) < 0)
                return;
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: limit_settle FILE\n", stderr);
        return 64;
    }
    struct log log = {
        .group = new_group(), .bytes = shared_memory(LOG_BYTES), .file = open_preallocated(argv[1])};
    serve_connections(serve, &log);
}
