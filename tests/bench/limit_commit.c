/* limit_commit.c: what durability costs at least: limit_commit FILE WRITERS GROUP BYTES SECONDS.
 *
 * So many writers, each a process, commit GROUP records of BYTES at a time to one preallocated file, and all
 * who wait share one fdatasync. Prints the rate of records as a line of JSON. */
#include "limit_program.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILE_BYTES = 64 << 20, WRITERS_MOST = 256 };

struct group {
    pthread_mutex_t mutex;
    pthread_cond_t settled;
    uint64_t assigned, synced; /* records */
    bool led;
};

struct work {
    struct group *group;
    int file;
    char *records; /* as many bytes as all writers may have waiting */
    unsigned long count, bytes, writers;
    double seconds;
};

static struct group *new_group(void)
{
    struct group *group =
        mmap(NULL, sizeof(*group), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t mutex;
    pthread_condattr_t condition;
    if (group == MAP_FAILED)
        fail("mmap");
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&group->mutex, &mutex);
    pthread_condattr_init(&condition);
    pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&group->settled, &condition);
    return group;
}

static int open_preallocated(const char *path)
{
    static char zeros[1 << 20];
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        fail(path);
    for (int i = 0; i < FILE_BYTES / (1 << 20); i++)
        if (write(file, zeros, sizeof(zeros)) != (ssize_t)sizeof(zeros))
            fail(path);
    if (fsync(file) != 0)
        fail(path);
    return file;
}

static void write_and_sync(const struct work *work, uint64_t from, uint64_t to)
{
    size_t length = (size_t)(to - from) * work->bytes;
    uint64_t room = FILE_BYTES - work->writers * work->count * work->bytes;
    if (pwrite(work->file, work->records, length, (off_t)(from * work->bytes % room)) != (ssize_t)length ||
        fdatasync(work->file) != 0)
        fail("writing");
}

/* One group of records: written and synced by this writer for all who wait, or by another. */
static void commit(const struct work *work)
{
    struct group *group = work->group;
    pthread_mutex_lock(&group->mutex);
    uint64_t mine = group->assigned += work->count;
    while (group->synced < mine) {
        if (group->led) {
            pthread_cond_wait(&group->settled, &group->mutex);
            continue;
        }
        group->led = true;
        uint64_t from = group->synced;
        uint64_t to = group->assigned;
        pthread_mutex_unlock(&group->mutex);
        write_and_sync(work, from, to);
        pthread_mutex_lock(&group->mutex);
        group->synced = to;
        group->led = false;
        pthread_cond_broadcast(&group->settled);
    }
    pthread_mutex_unlock(&group->mutex);
}

static void start_writer(const struct work *work, double start)
{
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        while (now() - start < work->seconds)
            commit(work);
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
    if (work.writers > WRITERS_MOST || work.writers * work.count * work.bytes > FILE_BYTES / 2) {
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
