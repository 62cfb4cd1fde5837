/* journal_note.c: what transactions tell the journal, and waiting until it is on disk. Writes no file itself.
 */
#include "journal.h"

#include "clock.h"
#include "journal_stage.h"
#include "lock.h"
#include "log.h"
#include "message.h"
#include "moment.h"
#include "process.h"
#include "scheduling.h"
#include "transaction.h"

#include <sched.h>
#include <string.h>

enum {
    ROOM_SECONDS = 3,               /* for the keeper to make room: a child that is told to end has four */
    SETTLE_NANOSECONDS = 100000000, /* how late a dead leader may be noticed */
    KEEPER_LATE = 1000000000,       /* nanoseconds: later than one that lives has ever begun with a sync */
    NO_KEEPER = 500000000,          /* nanoseconds: until one that died or was replaced has a follower */
    COMPANY = 128,                  /* records that are worth a sync */
    COMPANY_LATE = 1000000,         /* nanoseconds: longer than the others need, all together */
    EPOCH_RESERVE = 4 << 10,        /* the last bytes of a file: for the records that begin epochs */
};

/* What a process waits for that waits for no record: in its slot. */
#define ROOM UINT64_MAX
#define LEAD (UINT64_MAX - 1)

static bool frees_space(unsigned type)
{
    return type == RECORD_DELETE || type == RECORD_REMOVE;
}

enum status journal_note(struct store *store, const struct journal_note *note, uint64_t *sequence)
{
    struct journal_segment *journal = &store->header->journal;
    struct journal_record record = {.type = note->type, .body_length = note->body_length};
    *sequence = 0;
    if (!journal->on)
        return STATUS_OK;
    if (load32(&journal->failure))
        return STATUS_READ_ONLY;
    uint64_t assigned = get64(store, &journal->assigned);
    if (assigned - journal->written >= RING) {
        /* Else a flush without an end: there would be nothing to write. */
        if (assigned - journal->written > RING)
            bug("a mark of the journal is impossible");
        store->wants_flush = true;
        return STATUS_FULL_SEGMENT;
    }
    journal_measure(store, note, &record);
    uint64_t size = journal_size(&record);
    uint64_t reserve = frees_space(note->type) ? EPOCH_RESERVE : JOURNAL_DELETE_RESERVE;
    uint64_t end = get64(store, &journal->end) + size;
    if (end + reserve > journal->capacity) {
        __atomic_store_n(&journal->wanted, size + reserve, __ATOMIC_RELEASE);
        return STATUS_FULL_JOURNAL;
    }
    *sequence = assigned + 1;
    store->ring[*sequence % RING] = *note;
    set64(store, &journal->assigned, *sequence);
    set64(store, &journal->end, end);
    if (note->message) {
        struct message_record *message = at(store, note->message);
        set32(store, &message->pins, get32(store, &message->pins) + 1);
    }
    store->noted = *sequence;
    return STATUS_OK;
}

void journal_fail(struct store *store, int error, const char *what)
{
    uint32_t none = 0;
    if (!__atomic_compare_exchange_n(&store->header->journal.failure, &none, (uint32_t)error, false,
                                     __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        return;
    log_error("journal %s: %s failed: %s; the store is read-only: mend the disk and restart the server",
              journal_directory_name(store).text, what, strerror(error));
    for (uint32_t i = 0; i < store->slots_most; i++)
        if (process_has_slot(store, i) && load64(&slot_at(store, i)->settling))
            sem_post(&slot_at(store, i)->wake);
}

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

static bool try_lead(struct store *store, bool look_for_dead)
{
    return journal_take_role(store, &store->header->journal.leader, look_for_dead);
}

static void sleep_for_leader(struct store *store, uint64_t sequence)
{
    struct timespec until = deadline_at(clock_now() + SETTLE_NANOSECONDS);
    __atomic_store_n(&store->slot->settling, sequence, __ATOMIC_SEQ_CST);
    if (load64(&store->header->journal.leader) != 0)
        (void)sem_clockwait(&store->slot->wake, CLOCK_MONOTONIC, &until);
}

/* Room there is as soon as some was added, or the other file has taken over; one look may go on for long. */
bool journal_await_room(struct store *store, enum status *status)
{
    struct journal_segment *journal = &store->header->journal;
    const uint64_t capacity = load64(&journal->capacity), epoch = load64(&journal->epoch);
    bool grown = false;
    uint64_t looks = load64(&journal->looks);
    uint64_t look = (looks + 5) & ~UINT64_C(1); /* the end of one that has not begun */
    int64_t kept = clock_now() - (store->keeperless == (uint32_t)looks + 1 ? NO_KEEPER : 0);
    if (store->room_deadline == 0)
        store->room_deadline = deadline_after_seconds(ROOM_SECONDS);
    sem_post(&journal->keeper_wake);
    bool waits = true;
    while (waits && !grown && load64(&journal->looks) < look) {
        uint64_t keeper = load64(&journal->keeper);
        int64_t now = clock_now();
        if (keeper != 0 && !owner_is_dead(store, keeper))
            kept = now;
        store->keeperless = now < kept + NO_KEEPER ? 0 : (uint32_t)load64(&journal->looks) + 1;
        waits = store->keeperless == 0 && load32(&journal->failure) == 0 && now < store->room_deadline;
        struct timespec until = deadline_at(now + SETTLE_NANOSECONDS);
        __atomic_store_n(&store->slot->settling, ROOM, __ATOMIC_SEQ_CST);
        if (waits && load64(&journal->looks) < look)
            (void)sem_clockwait(&store->slot->wake, CLOCK_MONOTONIC, &until);
        grown = load64(&journal->capacity) > capacity || load64(&journal->epoch) != epoch;
    }
    __atomic_store_n(&store->slot->settling, 0, __ATOMIC_RELEASE);
    moment_end(store);
    const bool roomless = load32(&journal->roomless) != 0;
    if (!roomless)
        *status = STATUS_LATE_JOURNAL;
    return load32(&journal->failure) != 0 || (waits && (grown || !roomless));
}

/* Posts those who wait for records up to the sequence, or one of those who wait for later ones and may lead.
 */
static void wake(struct store *store, uint64_t sequence, bool later)
{
    for (uint32_t first = 0; first < store->slots_most; first += 64) {
        uint64_t taken = load64(&store->header->slot_map[first / 64]);
        for (; taken; taken &= taken - 1) {
            uint32_t index = first + (uint32_t)__builtin_ctzll(taken);
            if (!process_has_slot(store, index))
                continue;
            uint64_t wants = load64(&slot_at(store, index)->settling);
            if (wants == 0 || (wants > sequence) != later || (later && wants == ROOM))
                continue;
            sem_post(&slot_at(store, index)->wake);
            if (later)
                return;
        }
    }
}

/* First who leads next, so that the disk is not idle while the others wake. */
void journal_wake(struct store *store, uint64_t sequence)
{
    wake(store, sequence, true);
    wake(store, sequence, false);
}

void journal_lead(struct store *store)
{
    for (bool slept = false; !try_lead(store, slept); slept = true)
        sleep_for_leader(store, LEAD);
    __atomic_store_n(&store->slot->settling, 0, __ATOMIC_RELEASE);
}

void journal_follow(struct store *store)
{
    struct journal_segment *journal = &store->header->journal;
    uint64_t settled =
        load64(journal_sync(store) == STORE_SYNC_ALWAYS ? &journal->synced : &journal->written);
    __atomic_store_n(&journal->leader, 0, __ATOMIC_SEQ_CST);
    journal_wake(store, settled);
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

enum status store_settle(struct store *store)
{
    struct journal_segment *journal = &store->header->journal;
    uint64_t wanted = store->observed;
    enum status status = STATUS_OK;
    bool more;
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
    for (bool slept = false; load64(&journal->synced) < wanted; slept = true) {
        if (load32(&journal->failure)) {
            status = STATUS_READ_ONLY;
            break;
        }
        if (try_lead(store, slept)) {
            bool pressed = scheduling_press(); /* all the others wait for this one */
            await_company(store);
            (void)journal_write_group(store, true, &more);
            journal_follow(store);
            scheduling_ease(pressed);
        } else {
            journal_stage_help(store);
            sleep_for_leader(store, wanted);
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
