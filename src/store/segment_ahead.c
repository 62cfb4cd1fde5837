/* segment_ahead.c: a thread that reserves the arena's next pages while their predecessors are filled.
 *
 * Half of a recovery is the kernel's, which finds and clears the memory: with a second processor that is done
 * while the records are read. The thread looks at how many pages are in use, and touches only memory behind
 * those, so it needs no lock. Where it fails or is late, whoever needs a page reserves it as ever. */
#include "segment_ahead.h"

#include "segment.h"

#include <signal.h>

enum {
    WORTH = 64, /* pages: what is smaller is recovered before a second processor is awake */
    AHEAD = 32, /* pages: more gains nothing, as they leave the processor's cache before they are filled */
    STEP = 8,   /* pages between two wake-ups */
    STACK = 65536,
};

static uint64_t page_offset(const struct store *store, uint32_t page)
{
    return store->arena + (uint64_t)page * PAGE;
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
        uint32_t most = store->pages_most - used;
        ahead->until = used + (most < AHEAD ? most : AHEAD);
        if (most > 0)
            (void)segment_reserve(store, page_offset(store, used), (uint64_t)(ahead->until - used) * PAGE);
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
