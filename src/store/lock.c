/* lock.c: takes and releases the store's lock.
 *
 * The owner word is free (0) or names its owner; it changes hands by compare-and-swap only. The semaphore
 * carries no truth: it is where waiters sleep, and every sleep is timed, because a waiter that is killed
 * after its wake-up has swallowed it. */
#include "lock.h"

#include "clock.h"
#include "log.h"
#include "process.h"
#include "transaction.h"

#include <poll.h>

enum {
    SPINS = 500,                   /* some microseconds: most owners are gone by then */
    SLEEP_NANOSECONDS = 100000000, /* how late a death, or a lost wake-up, may be noticed */
    WAKE_NANOSECONDS = 50000,      /* until one that was woken runs, where it is not the only one to */
};

static void pause_processor(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static bool exchange(uint64_t *word, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Waiters keep their mark when they acquire: another waiter may still sleep, and only a marked word makes the
 * release post for it. Posts that nobody needs any more are drained while holding. */
static void take_slowly(struct store *store)
{
    struct header *header = store->header;
    const uint64_t mine = store->me | LOCK_WAITERS;
    for (bool slept = false;; slept = true) {
        uint64_t owner = load64(&header->owner);
        if ((owner & ~LOCK_WAITERS) == store->me)
            bug("the lock is taken twice");
        if (owner == 0) {
            if (exchange(&header->owner, 0, mine))
                break;
            continue;
        }
        if (slept && owner_is_dead(store, owner) && exchange(&header->owner, owner, mine)) {
            transaction_recover(store);
            break;
        }
        if (!(owner & LOCK_WAITERS) && !exchange(&header->owner, owner, owner | LOCK_WAITERS))
            continue;
        struct timespec until = deadline_at(clock_now() + SLEEP_NANOSECONDS);
        /* Woken, timed out or interrupted: the word alone tells what comes next. */
        (void)sem_clockwait(&header->sleepers, CLOCK_MONOTONIC, &until);
    }
    while (sem_trywait(&header->sleepers) == 0)
        ;
}

void lock_take(struct store *store)
{
    uint64_t *word = &store->header->owner;
    for (int i = 0; i < SPINS; i++) {
        if (exchange(word, 0, store->me))
            return;
        while (__atomic_load_n(word, __ATOMIC_RELAXED) != 0 && i < SPINS) {
            pause_processor();
            i++;
        }
    }
    take_slowly(store);
}

void lock_release(struct store *store)
{
    if ((load64(&store->header->owner) & ~LOCK_WAITERS) != store->me)
        bug("the lock is released by who does not own it");
    uint64_t owner = __atomic_exchange_n(&store->header->owner, 0, __ATOMIC_RELEASE);
    store->has_woken = owner & LOCK_WAITERS;
    if (store->has_woken)
        sem_post(&store->header->sleepers);
}

void lock_give_way(struct store *store)
{
    static const struct timespec pause = {.tv_nsec = WAKE_NANOSECONDS};
    if (store->has_woken)
        (void)ppoll(NULL, 0, &pause, NULL);
}

bool role_take(struct store *store, uint64_t *word, bool look_for_dead, bool *from_dead)
{
    uint64_t owner = load64(word);
    *from_dead = owner != 0;
    if (owner != 0 && !(look_for_dead && owner_is_dead(store, owner)))
        return false;
    if (!exchange(word, owner, store->me))
        return false;
    if (owner != 0) {
        lock_take(store);
        lock_release(store);
    }
    return true;
}
