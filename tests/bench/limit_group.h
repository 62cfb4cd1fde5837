/* limit_group.h: writers, each a process, that share one write and one fdatasync of a preallocated file: who
 * comes while nobody leads writes what has been added, and syncs it, for all who wait. */
#ifndef SHMAIL_BENCH_LIMIT_GROUP_H
#define SHMAIL_BENCH_LIMIT_GROUP_H

#include "limit_program.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GROUP_FILE_BYTES = 64 << 20 };

struct group {
    pthread_mutex_t mutex;
    pthread_cond_t settled;
    uint64_t added, synced; /* in units of the program's own */
    bool led;
};

static inline void *shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    return memory;
}

static inline struct group *new_group(void)
{
    struct group *group = shared_memory(sizeof(*group));
    pthread_mutexattr_t mutex;
    pthread_condattr_t condition;
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&group->mutex, &mutex);
    pthread_condattr_init(&condition);
    pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&group->settled, &condition);
    return group;
}

static inline int open_preallocated(const char *path)
{
    static char zeros[1 << 20];
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        fail(path);
    for (int i = 0; i < GROUP_FILE_BYTES / (1 << 20); i++)
        if (write(file, zeros, sizeof(zeros)) != (ssize_t)sizeof(zeros))
            fail(path);
    if (fsync(file) != 0)
        fail(path);
    return file;
}

/* With the mutex locked, which it unlocks: adds so much and returns when it is on disk. save writes and syncs
 * what was added from one count to another. */
static inline void group_commit(struct group *group, uint64_t amount,
                                void (*save)(const void *context, uint64_t from, uint64_t to),
                                const void *context)
{
    uint64_t mine = group->added += amount;
    while (group->synced < mine) {
        if (group->led) {
            pthread_cond_wait(&group->settled, &group->mutex);
            continue;
        }
        group->led = true;
        uint64_t from = group->synced;
        uint64_t to = group->added;
        pthread_mutex_unlock(&group->mutex);
        save(context, from, to);
        pthread_mutex_lock(&group->mutex);
        group->synced = to;
        group->led = false;
        pthread_cond_broadcast(&group->settled);
    }
    pthread_mutex_unlock(&group->mutex);
}

#endif
