/* journal_note.c: what transactions tell the journal, and waiting for room in it. Writes no file itself. */
#include "journal.h"

#include "clock.h"
#include "log.h"
#include "moment.h"
#include "process.h"
#include "transaction.h"

#include <string.h>

enum {
    ROOM_SECONDS = 3,             /* for the keeper to make room: a child that is told to end has four */
    LOOK_NANOSECONDS = 100000000, /* how late it may be noticed that there is no keeper */
    NO_KEEPER = 500000000,        /* nanoseconds: until one that died or was replaced has a follower */
    EPOCH_RESERVE = 4 << 10,      /* the last bytes of a file: for the records that begin epochs */
};

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
        struct timespec until = deadline_at(now + LOOK_NANOSECONDS);
        __atomic_store_n(&store->slot->settling, WAITS_FOR_ROOM, __ATOMIC_SEQ_CST);
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
