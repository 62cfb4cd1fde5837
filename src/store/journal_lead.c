/* journal_lead.c: waiting until records are on disk, and who brings them there for all who wait: one of
 * those, or, while they are several, the keeper as the writer. */
#include "journal.h"

#include "clock.h"
#include "journal_stage.h"
#include "lock.h"
#include "log.h"
#include "moment.h"
#include "process.h"
#include "scheduling.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

enum {
    SETTLE_NANOSECONDS = 100000000, /* how late a leader or a writer may be noticed that is dead or stopped */
    KEEPER_LATE = 1000000000,       /* nanoseconds: later than one that lives has ever begun with a sync */
    COMPANY = 128,                  /* records that are worth a sync */
    COMPANY_LATE = 1000000,         /* nanoseconds: longer than the others need, all together */
    LET_NANOSECONDS = 1000000,      /* until who is let lead has the processor */
    LONE_GROUPS = 16,               /* for one process after another, until the writer leaves them to those */
};

/* What a process that wants to lead has in its slot in place of a record's sequence. */
#define WAITS_TO_LEAD (WAITS_FOR_ROOM - 1)

bool journal_take_role(struct store *store, uint64_t *word, bool look_for_dead)
{
    struct journal_segment *journal = &store->header->journal;
    bool from_dead;
    if (!role_take(store, word, look_for_dead, &from_dead))
        return false;
    if (from_dead && load64(&journal->synced) < load64(&journal->written))
        __atomic_store_n(&journal->suspect, 1, __ATOMIC_RELEASE);
    return true;
}

/* ---- the others ---- */

struct woken {
    uint32_t count;
    uint32_t last; /* a slot */
};

/* Who is woken does not wait any more, and is posted once, also where it is slow, stopped or dead. */
static bool is_first_to_wake(uint64_t *settling, uint64_t wants)
{
    return __atomic_compare_exchange_n(settling, &wants, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* Posts those who wait for something from first to last, at most so many of them. */
static struct woken wake(struct store *store, uint64_t first, uint64_t last, uint32_t most)
{
    struct woken woken = {0};
    for (uint32_t start = 0; start < store->slots_most; start += 64) {
        uint64_t taken = load64(&store->header->slot_map[start / 64]);
        for (; taken && woken.count < most; taken &= taken - 1) {
            uint32_t index = start + (uint32_t)__builtin_ctzll(taken);
            if (!process_has_slot(store, index))
                continue;
            uint64_t wants = load64(&slot_at(store, index)->settling);
            if (wants >= first && wants <= last &&
                is_first_to_wake(&slot_at(store, index)->settling, wants)) {
                sem_post(&slot_at(store, index)->wake);
                woken = (struct woken){woken.count + 1, index};
            }
        }
    }
    return woken;
}

/* Posts who leads next: while there is a writer that is none who waits for a record. */
static struct woken wake_next(struct store *store, uint64_t sequence)
{
    bool is_led = load64(&store->header->journal.writer) != 0;
    return wake(store, is_led ? WAITS_TO_LEAD : sequence + 1, WAITS_TO_LEAD, 1);
}

static struct woken wake_served(struct store *store, uint64_t sequence)
{
    return wake(store, 1, sequence, UINT32_MAX);
}

/* First who leads next, so that the disk is not idle while the others wake. */
void journal_wake(struct store *store, uint64_t sequence)
{
    if (sequence < WAITS_TO_LEAD)
        (void)wake_next(store, sequence);
    (void)wake_served(store, sequence);
}

/* Others, who are about to have a record as well, go into the same group: as long as giving them the
 * processor brings any, until the group is of a good size. Where somebody else then keeps the processor for
 * long, that is left alone for a while. */
static void await_company(struct store *store)
{
    const struct journal_segment *journal = &store->header->journal;
    int64_t now = store->groups ? clock_now() : 0;
    uint64_t before = 0;
    uint64_t assigned = load64(&journal->assigned);
    while (now > store->alone_until && assigned > before && assigned - journal->written < COMPANY) {
        int64_t start = now;
        before = assigned;
        (void)sched_yield();
        assigned = load64(&journal->assigned);
        now = clock_now();
        if (now - start > COMPANY_LATE)
            store->alone_until = now + NANOSECONDS_PER_SECOND;
    }
}

/* ---- the leader ---- */

static bool try_lead(struct store *store, bool look_for_dead)
{
    if (!journal_take_role(store, &store->header->journal.leader, look_for_dead))
        return false;
    __atomic_store_n(&store->slot->settling, 0, __ATOMIC_RELEASE); /* its own post would be one too many */
    return true;
}

/* Lets the role go. Returns up to where those have what they wait for who are now to be woken. */
static uint64_t leave(struct store *store)
{
    struct journal_segment *journal = &store->header->journal;
    uint64_t settled =
        load64(journal_sync(store) == STORE_SYNC_ALWAYS ? &journal->synced : &journal->written);
    __atomic_store_n(&journal->leader, 0, __ATOMIC_SEQ_CST);
    return settled;
}

/* Sleeps while somebody leads, or writes for all. patience: 0 for a first sleep, and when it may end. False:
 * it has, and the next one begins. */
static bool sleep_for(struct store *store, uint64_t sequence, int64_t *patience)
{
    struct journal_segment *journal = &store->header->journal;
    while (sem_trywait(&store->slot->wake) == 0)
        ; /* what came too late for the sleep before */
    __atomic_store_n(&store->slot->settling, sequence, __ATOMIC_SEQ_CST);
    uint64_t writer = load64(&journal->writer);
    bool may_lead = writer == 0 || writer == store->me || sequence == WAITS_TO_LEAD;
    if (load64(&journal->synced) >= sequence || (may_lead && load64(&journal->leader) == 0))
        return true;
    if (load32(&journal->writer_sleeps) && __atomic_exchange_n(&journal->writer_sleeps, 0, __ATOMIC_SEQ_CST))
        sem_post(&journal->keeper_wake);
    if (*patience == 0)
        *patience = clock_now() + SETTLE_NANOSECONDS;
    struct timespec until = deadline_at(*patience);
    if (sem_clockwait(&store->slot->wake, CLOCK_MONOTONIC, &until) == 0 || errno != ETIMEDOUT)
        return true;
    *patience = 0;
    return false;
}

void journal_lead(struct store *store)
{
    int64_t patience = 0;
    for (bool late = false; !try_lead(store, late);)
        late = !sleep_for(store, WAITS_TO_LEAD, &patience);
}

void journal_follow(struct store *store)
{
    journal_wake(store, leave(store));
}

enum status journal_flush(struct store *store, bool sync)
{
    enum status status;
    bool more;
    journal_lead(store);
    do
        status = journal_write_group(store, sync, &more);
    while (more);
    journal_follow(store);
    return status;
}

/* ---- the writer ---- */

/* Without a keeper nobody hears it; one that has just heard it would leave off. */
static void ask_for_writer(struct store *store)
{
    struct journal_segment *journal = &store->header->journal;
    if (load64(&journal->keeper) != 0 && load64(&journal->writer) == 0 &&
        !__atomic_exchange_n(&journal->writer_asked, 1, __ATOMIC_SEQ_CST))
        sem_post(&journal->keeper_wake);
}

/* One that is late, as it is stopped or dead or the disk is slow, is none any more. */
static bool has_writer(struct store *store, bool late)
{
    uint64_t *word = &store->header->journal.writer;
    uint64_t writer = load64(word);
    if (writer != 0 && late)
        __atomic_compare_exchange_n(word, &writer, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    return writer != 0 && !late;
}

static bool is_all_synced(const struct journal_segment *journal)
{
    return load64(&journal->assigned) == load64(&journal->synced);
}

void journal_rest(struct store *store, int64_t until, const sigset_t *mask)
{
    struct timespec time = deadline_at(until);
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, mask, &before);
    (void)sem_clockwait(&store->header->journal.keeper_wake, CLOCK_MONOTONIC, &time);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Whoever has a record after this has begun finds that it sleeps. False: nobody has: it was woken for
 * something else, which it is told once more, or it is time to look for that. */
static bool rest_while_synced(struct store *store, int64_t until, const sigset_t *mask)
{
    struct journal_segment *journal = &store->header->journal;
    __atomic_store_n(&journal->writer_sleeps, 1, __ATOMIC_SEQ_CST);
    bool rests = is_all_synced(journal);
    if (rests)
        journal_rest(store, until, mask);
    if (__atomic_exchange_n(&journal->writer_sleeps, 0, __ATOMIC_SEQ_CST) && rests) {
        sem_post(&journal->keeper_wake);
        return false;
    }
    return !is_all_synced(journal);
}

/* Who has been woken to lead, to make room in the ring, would always come too late. Its end wakes this one.
 */
static void let_lead(struct store *store)
{
    struct timespec until = deadline_at(clock_now() + LET_NANOSECONDS);
    __atomic_store_n(&store->slot->settling, WAITS_TO_LEAD, __ATOMIC_SEQ_CST);
    (void)sem_clockwait(&store->slot->wake, CLOCK_MONOTONIC, &until);
    __atomic_store_n(&store->slot->settling, 0, __ATOMIC_RELEASE);
}

/* One group. lone: how many groups one after another were for a process that was alone. */
static void write_one(struct store *store, struct woken *before, int *lone)
{
    bool more;
    await_company(store);
    (void)journal_write_group(store, true, &more);
    bool others = !is_all_synced(&store->header->journal);
    uint64_t settled = leave(store);
    struct woken served = wake_served(store, settled);
    if (wake_next(store, settled).count > 0)
        let_lead(store);
    if (others || served.count > 1 || (served.count == 1 && served.last != before->last))
        *lone = 0;
    else
        ++*lone;
    *before = served;
}

bool journal_write_on(struct store *store, int64_t until, const sigset_t *mask)
{
    struct journal_segment *journal = &store->header->journal;
    uint64_t none = 0;
    if (!__atomic_exchange_n(&journal->writer_asked, 0, __ATOMIC_SEQ_CST) ||
        !__atomic_compare_exchange_n(&journal->writer, &none, store->me, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED))
        return false;
    struct woken before = {0};
    int lone = 0;
    bool is_wanted = true;
    while (is_wanted && clock_now() < until && load64(&journal->writer) == store->me &&
           sem_trywait(&journal->keeper_wake) != 0) {
        if (is_all_synced(journal)) {
            /* In place of this one, which was woken to lead. */
            (void)wake_next(store, load64(&journal->synced));
            is_wanted = rest_while_synced(store, until, mask);
        } else if (try_lead(store, false)) {
            write_one(store, &before, &lone);
            is_wanted = lone < LONE_GROUPS && load32(&journal->failure) == 0;
        } else {
            int64_t patience = 0;
            (void)sleep_for(store, WAITS_TO_LEAD, &patience);
            __atomic_store_n(&store->slot->settling, 0, __ATOMIC_RELEASE);
        }
    }
    uint64_t self = store->me;
    __atomic_compare_exchange_n(&journal->writer, &self, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    journal_wake(store, load64(&journal->synced));
    if (is_wanted)
        __atomic_store_n(&journal->writer_asked, 1, __ATOMIC_SEQ_CST);
    return is_wanted;
}

/* ---- who waits ---- */

/* All the others wait for this one. */
static void lead_one(struct store *store)
{
    bool more;
    bool pressed = scheduling_press();
    await_company(store);
    (void)journal_write_group(store, true, &more);
    uint64_t settled = leave(store);
    uint32_t others = wake_next(store, settled).count;
    others += wake_served(store, settled).count;
    if (others > 0)
        ask_for_writer(store);
    scheduling_ease(pressed);
}

enum status store_settle(struct store *store)
{
    struct journal_segment *journal = &store->header->journal;
    uint64_t wanted = store->observed;
    enum status status = STATUS_OK;
    moment_end(store);
    if (wanted == 0 || journal_sync(store) == STORE_SYNC_NEVER)
        return STATUS_OK;
    if (journal_sync(store) == STORE_SYNC_TIMED) {
        store->observed = 0;
        if (load64(&journal->synced) < wanted)
            journal_promise(store);
        /* The keeper is late: it may be gone, with nobody who makes another one. */
        if (journal_promise_end(store) < clock_now() - KEEPER_LATE)
            (void)store_write_unkept(store);
        return STATUS_OK;
    }
    int64_t patience = 0;
    for (bool late = false; load64(&journal->synced) < wanted;) {
        if (load32(&journal->failure)) {
            status = STATUS_READ_ONLY;
            break;
        }
        if (!has_writer(store, late) && try_lead(store, late)) {
            lead_one(store);
        } else {
            journal_stage_help(store);
            late = !sleep_for(store, wanted, &patience);
        }
    }
    __atomic_store_n(&store->slot->settling, 0, __ATOMIC_RELEASE);
    store->observed = 0;
    /* In this order, as the one follows the other. With a scribble no reply may leave. */
    uint64_t synced = load64(&journal->synced);
    if (synced > load64(&journal->written))
        bug("a mark of the journal is impossible");
    return status;
}
