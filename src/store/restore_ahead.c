/* restore_ahead.c: a thread that has the system give memory and read while records are made again.
 *
 * Half of a recovery is the kernel's, which finds and clears the memory and copies the file out of its cache:
 * with a second processor that is done while records are looked at. One thread does both: a third one would
 * be in the way of the two, and each wake-up costs as much as a hundred records.
 *
 * It looks at how many pages are in use, and reserves only memory behind those, so it needs no lock; should
 * one come into use while the system gathers a huge page around it, what stands in it goes along. A window is
 * the thread's from a post of wake to one of there. Where it fails or is late, whoever needs a page reserves
 * it, and who needs a window reads it, as ever; a trouble he will meet himself. */
#include "restore_ahead.h"

#include "huge.h"
#include "segment.h"
#include "thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WORTH = 64,          /* pages: what is smaller is recovered before a second processor is awake */
    AHEAD = 96,          /* pages: three huge ones, the last of which is whole */
    STEP = 32,           /* pages between two wake-ups */
    BUFFER = 2 * WINDOW, /* bytes: with room before a window for what is left of another one */
};

static uint64_t page_offset(const struct store *store, uint32_t page)
{
    return store->arena + (uint64_t)page * PAGE;
}

/* Where a huge page begins, lest the next one finds a part of it reserved; or where the arena ends. */
static uint32_t end_ahead(const struct store *store, uint32_t used)
{
    if (store->pages_most - used <= AHEAD)
        return store->pages_most;
    return used + AHEAD - (uint32_t)(page_offset(store, used + AHEAD) % HUGE_BYTES / PAGE);
}

/* From a page that nobody uses to another one: by huge pages where they fit. */
static void reserve(struct store *store, uint32_t first, uint32_t end)
{
    const uint64_t from = page_offset(store, first), to = page_offset(store, end);
    for (uint64_t at = (from + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES; at + HUGE_BYTES <= to;
         at += HUGE_BYTES)
        if (!segment_has(store, at) && !segment_reserve_huge(store, at))
            break;
    (void)segment_reserve(store, from, to - from);
}

static size_t read_window(const struct restore_ahead *ahead)
{
    const size_t length = ahead->end - ahead->at < WINDOW ? (size_t)(ahead->end - ahead->at) : WINDOW;
    size_t got = 0;
    while (got < length) {
        ssize_t more =
            pread(ahead->file, ahead->filled + WINDOW + got, length - got, (off_t)(ahead->at + got));
        if (more == 0 || (more < 0 && errno != EINTR))
            break;
        got += more > 0 ? (size_t)more : 0;
    }
    return got;
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ;
}

static void *work_ahead(void *context)
{
    struct restore_ahead *ahead = context;
    struct store *store = ahead->store;
    for (;;) {
        wait_for(&ahead->wake);
        if (__atomic_load_n(&ahead->ends, __ATOMIC_ACQUIRE))
            return NULL;
        if (__atomic_exchange_n(&ahead->wanted, false, __ATOMIC_ACQUIRE)) {
            ahead->got = read_window(ahead);
            sem_post(&ahead->there);
        }
        uint32_t used = load32(&store->header->pages_used);
        ahead->until = end_ahead(store, used);
        if (ahead->until > used)
            reserve(store, used, ahead->until);
    }
}

static bool runs(struct restore_ahead *ahead)
{
    if (ahead->runs || ahead->mark == UINT32_MAX)
        return ahead->runs;
    ahead->runs = sem_init(&ahead->wake, 0, 0) == 0 && sem_init(&ahead->there, 0, 0) == 0 &&
                  thread_begin(&ahead->thread, work_ahead, ahead);
    if (!ahead->runs)
        ahead->mark = UINT32_MAX;
    return ahead->runs;
}

void restore_ahead_begin(struct restore_ahead *ahead, struct store *store)
{
    *ahead = (struct restore_ahead){.store = store, .mark = WORTH};
}

void restore_ahead_look(struct restore_ahead *ahead)
{
    uint32_t used = ahead->store->header->pages_used;
    if (used < ahead->mark || ahead->asked || !runs(ahead)) /* asked: it will look itself */
        return;
    ahead->mark = used + STEP;
    sem_post(&ahead->wake);
}

void restore_ahead_ask(struct restore_ahead *ahead, int file, uint64_t offset, uint64_t end)
{
    if (ahead->asked)
        wait_for(&ahead->there);
    ahead->asked = false;
    if (offset >= end || !runs(ahead))
        return;
    if (!ahead->buffers)
        ahead->filled = ahead->buffers = malloc((size_t)2 * BUFFER);
    if (!ahead->buffers)
        return;
    ahead->file = file;
    ahead->at = offset;
    ahead->end = end;
    ahead->asked = true;
    __atomic_store_n(&ahead->wanted, true, __ATOMIC_RELEASE);
    sem_post(&ahead->wake);
}

const char *restore_ahead_take(struct restore_ahead *ahead, const char *left, size_t left_length,
                               size_t *length)
{
    if (!ahead->asked || left_length > WINDOW)
        return NULL;
    wait_for(&ahead->there);
    ahead->asked = false;
    char *window = ahead->filled + WINDOW;
    memcpy(window - left_length, left, left_length);
    *length = left_length + ahead->got;
    ahead->filled = ahead->filled == ahead->buffers ? ahead->buffers + BUFFER : ahead->buffers;
    restore_ahead_ask(ahead, ahead->file, ahead->at + ahead->got, ahead->end);
    return window - left_length;
}

bool restore_ahead_end(struct restore_ahead *ahead)
{
    struct store *store = ahead->store;
    uint32_t used = store->header->pages_used;
    ahead->mark = UINT32_MAX;
    ahead->asked = false;
    if (!ahead->runs)
        return false;
    __atomic_store_n(&ahead->ends, true, __ATOMIC_RELEASE);
    sem_post(&ahead->wake);
    pthread_join(ahead->thread, NULL);
    ahead->runs = false;
    if (ahead->until > used)
        segment_give_back(store, page_offset(store, used), (uint64_t)(ahead->until - used) * PAGE);
    return true;
}

void restore_ahead_close(struct restore_ahead *ahead)
{
    (void)restore_ahead_end(ahead);
    free(ahead->buffers);
}
