/* segment_ahead.c: a thread that reserves the arena's next pages while their predecessors are filled.
 *
 * Half of a recovery is the kernel's, which finds and clears the memory: with a second processor that is done
 * while the records are read. The thread looks at how many pages are in use, and reserves only memory
 * behind those, so it needs no lock; should one come into use while the system gathers a huge page around it,
 * what stands in it goes along. Where it fails or is late, whoever needs a page reserves it as ever. */
#include "segment_ahead.h"

#include "huge.h"
#include "segment.h"

#include <signal.h>

enum {
    WORTH = 64, /* pages: what is smaller is recovered before a second processor is awake */
    AHEAD = 64, /* pages: two huge ones, the last of which is whole */
    STEP = 8,   /* pages between two wake-ups */
    STACK = 65536,
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

static void *reserve_ahead(void *context)
{
    struct segment_ahead *ahead = context;
    struct store *store = ahead->store;
    for (;;) {
        while (sem_wait(&ahead->wake) != 0)
            ;
        if (__atomic_load_n(&ahead->ends, __ATOMIC_ACQUIRE))
            return NULL;
        uint32_t used = load32(&store->header->pages_used);
        ahead->until = end_ahead(store, used);
        if (ahead->until > used)
            reserve(store, used, ahead->until);
    }
}

/* All signals are left to the thread that was there before. */
static bool start(struct segment_ahead *ahead)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    if (sem_init(&ahead->wake, 0, 0) != 0 || pthread_attr_init(&attributes) != 0)
        return false;
    sigfillset(&all);
    (void)pthread_attr_setstacksize(&attributes, STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&ahead->thread, &attributes, reserve_ahead, ahead) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

void segment_ahead_begin(struct segment_ahead *ahead, struct store *store)
{
    *ahead = (struct segment_ahead){.store = store, .mark = WORTH};
}

void segment_ahead_look(struct segment_ahead *ahead)
{
    uint32_t used = ahead->store->header->pages_used;
    if (used < ahead->mark)
        return;
    ahead->runs = ahead->runs || start(ahead);
    ahead->mark = ahead->runs ? used + STEP : UINT32_MAX;
    if (ahead->runs)
        sem_post(&ahead->wake);
}

bool segment_ahead_end(struct segment_ahead *ahead)
{
    struct store *store = ahead->store;
    uint32_t used = store->header->pages_used;
    ahead->mark = UINT32_MAX;
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
