/* journal_keeper.c: the one process that keeps a journal in order beside those that serve: it syncs by the
 * clock, has room ready where records will go, and writes checkpoints. Without it commits go on until the
 * file is full. */
#include "journal.h"

#include "account_record.h"
#include "clock.h"
#include "log.h"
#include "process.h"
#include "segment.h"
#include "transaction.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

enum {
    EXTEND_MOST = 64 << 20,       /* bytes in one look */
    REST_NANOSECONDS = 250000000, /* between looks; whoever needs room sooner wakes the keeper */
    ORPHAN_NANOSECONDS =
        2 * REST_NANOSECONDS, /* for the server's last child: a successor cannot start before */
    LONE_SECONDS = 5,         /* for the next process of inetd to come */
    FAILED_SECONDS = 10,      /* until one more checkpoint is tried after one that failed */
    ACCOUNT_BYTES = 192,      /* in a snapshot: a record, a name, a hash */
    MESSAGE_BYTES = sizeof(struct journal_record) + 7,
};

/* What the largest record asks for. */
#define WANTED_MOST                                                                         \
    (sizeof(struct journal_record) + NAME_MAX_BYTES + SUBJECT_MAX + MESSAGE_LIMIT_MAX + 7 + \
     JOURNAL_DELETE_RESERVE)

static bool take_office(struct store *store)
{
    return journal_take_role(store, &store->header->journal.keeper, true);
}

/* In steps: a group's sync brings all that waits in the file to the disk, these zeros as well. */
static enum status fill(struct store *store, uint64_t size)
{
    struct journal_segment *journal = &store->header->journal;
    uint64_t reached = journal->capacity;
    enum status status = STATUS_OK;
    while (reached < size && status == STATUS_OK) {
        uint64_t step = size - reached < JOURNAL_SYNC_STEP ? size : reached + JOURNAL_SYNC_STEP;
        status = journal_fill(store, journal_active(store), reached, step, &reached);
        int error = errno;
        if (status != STATUS_SYSTEM) {
            transaction_begin(store);
            set64(store, &journal->capacity, reached);
            transaction_end(store, STATUS_OK);
        }
        journal_redeem_in_time(store);
        errno = error;
    }
    return status;
}

/* By no more than the other file can follow: else the state might not fit there when the disk is full. The
 * zeros must not go over the log, where somebody has scribbled over what says where that ends. */
static enum status extend(struct store *store, uint64_t bytes)
{
    uint64_t both;
    if (!journal_places_can_be(&store->header->journal)) {
        if (!store_is_suspect(store))
            store_suspect(store);
        return STATUS_DAMAGED;
    }
    enum status status = journal_reserve(store, store->header->journal.capacity + bytes, &both);
    int error = errno;
    enum status filled = fill(store, both);
    if (filled != STATUS_OK) {
        status = filled;
        error = errno;
    }
    if (filled == STATUS_SYSTEM) /* it may be records that were lost: their writer must not be told less */
        journal_fail(store, error, "fsync");
    errno = error;
    return status;
}

/* About what a snapshot takes in a file; rather too much than too little. */
static uint64_t snapshot_bytes(const struct store *store)
{
    uint64_t bytes = JOURNAL_HEADER_SIZE;
    uint32_t used = load32(&store->header->accounts_used);
    for (uint32_t index = 1; index <= used && account_has_record(store, index); index++) {
        const struct account_record *record = account_at(store, index);
        uint64_t messages = load64(&record->count) + load64(&record->queue_count);
        bytes +=
            ACCOUNT_BYTES + messages * MESSAGE_BYTES + load64(&record->bytes) + load64(&record->queue_bytes);
    }
    return bytes;
}

/* With the disk full a checkpoint is what makes room, where enough was deleted. It costs as much as the state
 * is long, so deletes must have won a good part of that, or have used half of what is kept for them. */
static bool is_worth_a_checkpoint(const struct store *store, uint64_t wanted)
{
    const struct journal_segment *journal = &store->header->journal;
    uint64_t end = load64(&journal->end);
    if (load64(&journal->capacity) - end < JOURNAL_DELETE_RESERVE / 2)
        return true;
    return wanted > 0 && snapshot_bytes(store) + (wanted > end / 8 ? wanted : end / 8) <= end;
}

/* A file of which the state takes less than half, if its log is not short. To find that out takes a look at
 * each account: the next one is not before the log has grown by a good part of that. */
static bool is_wasteful(struct store *store, uint64_t bytes)
{
    const struct journal_segment *journal = &store->header->journal;
    uint64_t log = load64(&journal->log_bytes);
    if (log <= bytes / 2 || log < store->log_due)
        return false;
    uint64_t snapshot = snapshot_bytes(store);
    store->log_due = log + snapshot / 16;
    return load64(&journal->end) / 2 > snapshot;
}

/* One that fails would most likely do so again at once. */
static enum status make_checkpoint(struct store *store, uint64_t bytes)
{
    enum status status = journal_checkpoint(store, bytes);
    if (status != STATUS_OK)
        store->checkpoint_due = deadline_after_seconds(FAILED_SECONDS);
    store->log_due = 0;
    return status;
}

/* One look. No checkpoint is made of a store that a crash may have damaged. A record that found no room is
 * given it, however large. */
static enum status look(struct store *store, uint64_t bytes)
{
    struct journal_segment *journal = &store->header->journal;
    if (load32(&journal->failure))
        return STATUS_READ_ONLY;
    /* With a store that may be damaged the log may soon be the only good copy. */
    bool may = clock_now() >= store->checkpoint_due && !store_is_suspect(store);
    if (may && (load32(&journal->suspect) || is_wasteful(store, bytes))) {
        enum status made = make_checkpoint(store, bytes);
        if (made != STATUS_FULL_JOURNAL) /* that is of the other file: in this one there may be room */
            return made;
        may = false;
    }
    uint64_t room = load64(&journal->capacity) - load64(&journal->end);
    uint64_t wanted = __atomic_exchange_n(&journal->wanted, 0, __ATOMIC_ACQ_REL);
    if (wanted > WANTED_MOST) /* a scribble, which would take all of the disk */
        wanted = 0;
    bool is_enough = room >= bytes / 2 && room >= wanted;
    if (is_enough && load64(&journal->capacity) >= bytes)
        return STATUS_OK;
    uint64_t more = is_enough ? bytes - load64(&journal->capacity) : bytes;
    enum status status = extend(store, (more < EXTEND_MOST ? more : EXTEND_MOST) + wanted);
    if (is_enough && status == STATUS_FULL_JOURNAL) /* a file that is smaller than it might be */
        return STATUS_OK;
    if (status != STATUS_FULL_JOURNAL || !may || !is_worth_a_checkpoint(store, wanted))
        return status;
    return make_checkpoint(store, bytes);
}

/* Whoever waits for room waits for a look that began after it had asked. */
static enum status look_and_tell(struct store *store)
{
    struct journal_segment *journal = &store->header->journal;
    uint64_t number = (load64(&journal->looks) + 2) | 1;
    __atomic_store_n(&journal->looks, number, __ATOMIC_SEQ_CST);
    enum status status = look(store, store->journal_bytes);
    int error = errno;
    __atomic_store_n(&journal->roomless, status != STATUS_OK, __ATOMIC_RELEASE);
    __atomic_store_n(&journal->looks, number + 1, __ATOMIC_SEQ_CST);
    journal_wake(store, UINT64_MAX);
    errno = error;
    return status;
}

/* When it looks again if nobody wakes it. */
static int64_t next_look(const struct store *store)
{
    int64_t looks = clock_now() + REST_NANOSECONDS, promise = journal_promise_end(store);
    return promise < looks ? promise : looks;
}

/* Without the semaphore, whose posts are for the one that keeps. */
static void stand_by(const sigset_t *mask)
{
    const struct timespec pause = {.tv_nsec = REST_NANOSECONDS};
    (void)ppoll(NULL, 0, &pause, mask);
}

bool store_has_journal(const struct store *store)
{
    return journal_is_on(store);
}

static bool has_others(const struct store *store)
{
    for (uint32_t i = 0; process_next(store, &i); i++)
        if (slot_at(store, i) != store->slot)
            return true;
    return false;
}

/* Who has nobody to serve yet is company: what comes next it serves without a keeper of its own. The slots of
 * the dead are none. A suspect store is none to stay with: nobody knows who is dead there. */
static bool has_company(struct store *store)
{
    if (has_others(store))
        store_reclaim(store);
    return has_others(store) && !store_is_suspect(store);
}

static bool is_followed(const struct store *store, enum store_stay stay)
{
    return stay != STORE_STAY && segment_byte_is_held(store, BYTE_SERVER);
}

static bool is_to_sync(const struct store *store)
{
    return journal_sync(store) != STORE_SYNC_NEVER || journal_has_promised(store);
}

/* What is never synced is given to the system all the same: the segment may soon be gone. */
static void flush_at_end(struct store *store)
{
    (void)(is_to_sync(store) ? journal_redeem(store) : journal_flush(store, false));
}

bool store_owes_journal(const struct store *store)
{
    const struct journal_segment *journal = &store->header->journal;
    const uint64_t *kept = is_to_sync(store) ? &journal->synced : &journal->written;
    return journal_is_on(store) && load64(kept) < load64(&journal->assigned);
}

/* Not into a journal that a successor may have by now, nor what may be a scribble: whoever acquits the store
 * leaves later. */
static bool may_write(const struct store *store)
{
    return store->files[journal_active(store)] >= 0 && !load32(&store->header->retired) &&
           !store_is_suspect(store);
}

bool store_has_keeper(const struct store *store)
{
    /* Who has attached asks whether it was seen; who leaves says so, and looks who is attached. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint64_t keeper = load64(&store->header->journal.keeper);
    return keeper != 0 && !owner_is_dead(store, keeper);
}

enum status store_write_unkept(struct store *store)
{
    const struct journal_segment *journal = &store->header->journal;
    bool is_own = journal_sync(store) == STORE_SYNC_ALWAYS && !journal_has_promised(store); /* and synced */
    if (is_own || !store_owes_journal(store) || !may_write(store) || store_has_keeper(store))
        return STATUS_OK;
    /* After a sync that failed the next one says nothing of what was written before it. */
    return is_to_sync(store) && !load32(&journal->suspect) ? journal_redeem(store)
                                                           : journal_flush(store, false);
}

static int64_t patience_end(enum store_stay stay)
{
    return stay == STORE_STAY_ORPHAN ? clock_now() + ORPHAN_NANOSECONDS
                                     : deadline_after_seconds(LONE_SECONDS);
}

/* Until it is told to end; one without a server also until it has been of no use for some time: a child
 * that the server had forked may not have attached yet. It is in office while it syncs, which may take long:
 * whoever needs room meanwhile waits for it and for the next one. */
static void keep(struct store *store, enum store_stay stay, const volatile sig_atomic_t *stop,
                 const sigset_t *sleep_mask)
{
    struct journal_segment *journal = &store->header->journal;
    bool complained = false;
    int64_t leaves = patience_end(stay);
    journal_forget_checkpoint(store);
    __atomic_store_n(&journal->writer, 0, __ATOMIC_SEQ_CST); /* one that died */
    while (!*stop) {
        if (stay != STORE_STAY && has_company(store))
            leaves = patience_end(stay);
        if (is_followed(store, stay) || (stay != STORE_STAY && clock_now() >= leaves))
            break;
        enum status status = look_and_tell(store);
        if (status != STATUS_OK && !complained)
            log_warning("journal %s: no room can be made for it: %s (%s)", journal_directory_name(store).text,
                        status_text(status), strerror(errno));
        complained = status != STATUS_OK;
        /* What nobody is there to promise: of who died before he could, or waited for a sync of his own. */
        if (!journal_has_promised(store) && store_owes_journal(store) && is_to_sync(store))
            journal_promise(store);
        journal_redeem_in_time(store);
        if (journal_sync(store) != STORE_SYNC_ALWAYS)
            (void)journal_flush(store, false);
        int64_t until = next_look(store);
        if (journal_sync(store) == STORE_SYNC_ALWAYS && journal_write_on(store, until, sleep_mask))
            until = 0; /* for signals alone */
        journal_rest(store, until, sleep_mask);
        while (sem_trywait(&journal->keeper_wake) == 0)
            ;
    }
    flush_at_end(store);
    __atomic_store_n(&journal->keeper, 0, __ATOMIC_SEQ_CST);
}

/* A lone keeper that leaves looks once more for who has come and found it in its office. It goes for a server
 * when that has a keeper: it may end before. */
void store_keep(struct store *store, enum store_stay stay, const volatile sig_atomic_t *stop,
                const sigset_t *sleep_mask)
{
    if (!journal_is_on(store))
        return;
    bool keeps = take_office(store);
    for (; !keeps && stay == STORE_STAY && !*stop; keeps = take_office(store))
        stand_by(sleep_mask);
    bool kept = keeps;
    while (keeps) {
        keep(store, stay, stop, sleep_mask);
        while (!*stop && is_followed(store, stay) && !store_has_keeper(store))
            stand_by(sleep_mask);
        keeps = stay != STORE_STAY && !*stop && has_company(store) && !is_followed(store, stay) &&
                take_office(store);
    }
    if (kept || stay == STORE_STAY)
        flush_at_end(store);
}
