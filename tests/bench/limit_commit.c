/* limit_commit.c: what durability costs at least: limit_commit FILE WRITERS GROUP BYTES SECONDS.
 *
 * So many writers, each a process, commit GROUP records of BYTES at a time to one preallocated file, and all
 * who wait share one fdatasync. Prints the rate of records as a line of JSON. */
#include "limit_group.h"

#include <sys/wait.h>

enum { WRITERS_MOST = 256 };

struct work {
    struct group *group;
    int file;
    char *records; /* as many bytes as all writers may have waiting */
    unsigned long count, bytes, writers;
    double seconds;
};

static void write_and_sync(const void *context, uint64_t from, uint64_t to)
{
    const struct work *work = context;
    size_t length = (size_t)(to - from) * work->bytes;
    uint64_t room = GROUP_FILE_BYTES - work->writers * work->count * work->bytes;
    if (pwrite(work->file, work->records, length, (off_t)(from * work->bytes % room)) != (ssize_t)length ||
        fdatasync(work->file) != 0)
        fail("writing");
}

static void start_writer(const struct work *work, double start)
{
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        while (now() - start < work->seconds) {
            pthread_mutex_lock(&work->group->mutex);
            group_commit(work->group, work->count, write_and_sync, work);
        }
        _exit(0);
    }
}

static double measure(const struct work *work)
{
    int status;
    double start = now();
    for (unsigned long i = 0; i < work->writers; i++)
        start_writer(work, start);
    for (unsigned long i = 0; i < work->writers; i++) {
        errno = 0;
        if (wait(&status) < 0 || status != 0)
            fail("a writer failed");
    }
    return now() - start;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fputs("usage: limit_commit FILE WRITERS GROUP BYTES SECONDS\n", stderr);
        return 64;
    }
    struct work work = {
        .writers = number_argument(argv[2]),
        .count = number_argument(argv[3]),
        .bytes = number_argument(argv[4]),
        .seconds = strtod(argv[5], NULL),
    };
    if (work.writers > WRITERS_MOST || work.writers * work.count * work.bytes > GROUP_FILE_BYTES / 2) {
        fputs("limit_commit: so many do not fit its file\n", stderr);
        return 64;
    }
    work.group = new_group();
    work.file = open_preallocated(argv[1]);
    work.records = calloc(work.writers * work.count, work.bytes);
    if (work.records == NULL)
        fail("calloc");
    memset(work.records, 'x', work.writers * work.count * work.bytes);
    double seconds = measure(&work);
    printf("{\"requests\": %llu, \"seconds\": %.6f, \"rate\": %.1f}\n",
           (unsigned long long)work.group->synced, seconds, (double)work.group->synced / seconds);
    free(work.records);
    return unlink(argv[1]) == 0 ? 0 : 1;
}
