/* journal_clock.c: by when what was acknowledged before it is on disk has to be there.
 *
 * One word of the segment says it for all that is owed. Who acknowledges more brings it forward, after its
 * record; who syncs takes it away, before it looks what records there are: so none is left without. */
#include "journal.h"

#include "clock.h"

enum { UNTOLD_SECONDS = 1 }; /* where nobody says when, and somebody is gone who would have */

/* Of those that hold for this process, the sooner. */
static int64_t seconds(const struct store *store)
{
    const struct journal_segment *journal = &store->header->journal;
    uint32_t theirs = load32(&journal->sync) == STORE_SYNC_TIMED ? load32(&journal->sync_seconds) : 0;
    uint32_t own = store->sync == STORE_SYNC_TIMED ? store->sync_seconds : 0;
    uint32_t sooner = theirs == 0 || (own > 0 && own < theirs) ? own : theirs;
    return sooner > 0 ? sooner : UNTOLD_SECONDS;
}

void journal_promise(struct store *store)
{
    uint64_t *by = &store->header->journal.sync_by;
    uint64_t mine = (uint64_t)(clock_now() + seconds(store) * NANOSECONDS_PER_SECOND);
    uint64_t before = load64(by);
    while ((before == 0 || before > mine) &&
           !__atomic_compare_exchange_n(by, &before, mine, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

bool journal_has_promised(const struct store *store)
{
    return load64(&store->header->journal.sync_by) != 0;
}

int64_t journal_promise_end(const struct store *store)
{
    uint64_t by = load64(&store->header->journal.sync_by);
    int64_t most = clock_now() + STORE_SYNC_SECONDS_MAX * NANOSECONDS_PER_SECOND;
    if (by == 0)
        return DEADLINE_NEVER;
    return by <= (uint64_t)most ? (int64_t)by : 0; /* nobody has set that */
}

enum status journal_redeem(struct store *store)
{
    __atomic_store_n(&store->header->journal.sync_by, 0, __ATOMIC_SEQ_CST);
    return journal_flush(store, true);
}

void journal_redeem_in_time(struct store *store)
{
    if (journal_has_promised(store) && journal_promise_end(store) <= clock_now())
        (void)journal_redeem(store);
}
