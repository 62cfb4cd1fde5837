/* journal_write.c: the leader's work: pending records and their texts, from the segment to the active file:
 * past the page cache as a group that was built in the stage (journal_stage.c), or straight from where they
 * lie through the cache.
 *
 * Records up to "assigned" do not change until they are written, so no lock is held here but the leader's
 * role; what a group changes in the segment, it changes by a transaction at its end,
 * and by single words (README.md). */
#include "journal.h"

#include "block.h"
#include "crc32c.h"
#include "journal_stage.h"
#include "log.h"
#include "message.h"
#include "transaction.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    GROUP_RECORDS = 256,
    GROUP_RUNS = 1000,     /* IOV_MAX is 1024 */
    GROUP_BYTES = 4 << 20, /* what may wait behind one sync; a larger record goes alone */
    RUNS_OF_ONE = 4,       /* fixed part, two texts or the head's, zeros */
};

static const char zeros[8];

struct group {
    struct journal_record records[GROUP_RECORDS];
    uint32_t count;
    struct iovec runs[GROUP_RUNS];
    int run_count;
    uint32_t crc;    /* of the record that is being gathered */
    uint64_t offset; /* where the first run goes */
    int file;
    int error;
};

/* Writes the runs; in whole, as a file takes them. */
static void write_runs(struct group *group)
{
    struct iovec *run = group->runs;
    while (group->run_count > 0 && group->error == 0) {
        ssize_t written = pwritev(group->file, run, group->run_count, (off_t)group->offset);
        if (written < 0) {
            group->error = errno == EINTR ? 0 : errno;
            continue;
        }
        if (written == 0)
            group->error = EIO;
        group->offset += (uint64_t)written;
        for (; group->run_count > 0 && (size_t)written >= run->iov_len; group->run_count--)
            written -= (ssize_t)(run++)->iov_len;
        if (group->run_count > 0) {
            run->iov_base = (char *)run->iov_base + written;
            run->iov_len -= (size_t)written;
        }
    }
    group->run_count = 0;
}

static void add_run(void *group_as_taker, const void *bytes, size_t length)
{
    struct group *group = group_as_taker;
    if (length == 0)
        return;
    if (group->run_count == GROUP_RUNS)
        write_runs(group);
    group->crc = crc32c(group->crc, bytes, length);
    group->runs[group->run_count++] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
}

/* The checksum stands in the fixed part, before the texts, so the run of that is reserved and filled in last:
 * it must not have been written before. */
static void add_record(const struct store *store, struct group *group, uint64_t sequence)
{
    struct journal_record *record = &group->records[group->count++];
    journal_make_record(store, sequence, store->header->journal.synced, record);
    add_run(group, record, sizeof(*record));
    group->crc = journal_crc_begin(record);
    journal_give_texts(store, record, add_run, group);
    record->crc = journal_crc_end(record, group->crc);
    add_run(group, zeros, (size_t)(journal_size(record) - sizeof(*record) - journal_texts(record)));
}

/* Whether the record's runs may all be held at once with those that are there. */
static bool fits(const struct store *store, const struct group *group, uint64_t bytes, uint64_t sequence)
{
    const struct journal_note *note = &store->ring[sequence % RING];
    size_t runs = RUNS_OF_ONE + note->body_length / sizeof(((struct piece *)0)->text) + 1;
    return group->count == 0 || (group->count < GROUP_RECORDS && bytes + note->body_length <= GROUP_BYTES &&
                                 (size_t)group->run_count + runs <= GROUP_RUNS);
}

/* A record that is too large for the table of runs is written in parts: its fixed part last, because that has
 * the checksum; until then nothing valid stands there. */
static void write_large(const struct store *store, struct group *group, uint64_t sequence)
{
    uint64_t start = group->offset;
    struct journal_record *record = &group->records[0];
    add_record(store, group, sequence);
    write_runs(group);
    uint64_t end = group->offset;
    if (group->error)
        return;
    group->offset = start;
    group->runs[0] = (struct iovec){.iov_base = record, .iov_len = sizeof(*record)};
    group->run_count = 1;
    write_runs(group);
    group->offset = end;
}

/* As many of the pending records as fit. Sets *last to the sequence of the last one. Returns an errno. */
static int write_through_the_cache(struct store *store, uint64_t *last)
{
    const struct journal_segment *journal = &store->header->journal;
    struct group group;
    uint64_t bytes = 0;
    uint64_t sequence = journal->written + 1;
    journal_stage_drop(store);
    group.count = 0;
    group.run_count = 0;
    group.error = 0;
    group.offset = journal->tail;
    group.file = store->files[journal_active(store)];
    for (; sequence <= load64(&journal->assigned) && fits(store, &group, bytes, sequence); sequence++) {
        bytes += store->ring[sequence % RING].body_length;
        if (group.count == 0 && bytes > GROUP_BYTES)
            write_large(store, &group, sequence);
        else
            add_record(store, &group, sequence);
    }
    if (group.run_count > 0 && group.error == 0)
        write_runs(&group);
    *last = sequence - 1;
    return group.error;
}

/* Past the page cache if that can be (journal_stage.h), and else through it. */
static int write_pending(struct store *store, bool sync, uint64_t *last)
{
    struct staged_group staged;
    int error = EINVAL;
    if (sync && journal_stage_close(store, &staged)) {
        *last = staged.last;
        error = journal_stage_write(store, &staged);
    }
    return error == EINVAL ? write_through_the_cache(store, last) : error;
}

/* When there may be a checkpoint to write or room to make, as the keeper finds out. */
static bool is_due_for_a_look(const struct store *store)
{
    const struct journal_segment *journal = &store->header->journal;
    uint64_t half = store->journal_bytes / 2;
    return journal->log_bytes > half || journal->capacity - journal->tail < half;
}

/* Lets go of what the records held, a few in each transaction, and moves the marks. */
static void release(struct store *store, uint64_t last, bool synced)
{
    struct journal_segment *journal = &store->header->journal;
    bool was_due = is_due_for_a_look(store);
    for (uint64_t sequence = journal->written + 1; sequence <= last;) {
        uint64_t bytes = 0, size = 0;
        transaction_begin(store);
        for (; sequence <= last && transaction_has_room(store, 24); sequence++) {
            const struct journal_note *note = &store->ring[sequence % RING];
            struct journal_record record = {.body_length = note->body_length};
            journal_measure(store, note, &record);
            size = journal_size(&record);
            bytes += size;
            if (note->message)
                message_unpin(store, note->message);
            if (note->text)
                block_free(store, note->text);
        }
        set64(store, &journal->last, journal->tail + bytes - size); /* before written: journal_attach */
        set64(store, &journal->written, sequence - 1);
        if (synced)
            set64(store, &journal->synced, sequence - 1);
        set64(store, &journal->tail, journal->tail + bytes);
        set64(store, &journal->log_bytes, journal->log_bytes + bytes);
        transaction_end(store, STATUS_OK);
    }
    message_sweep(store);
    if (!was_due && is_due_for_a_look(store))
        sem_post(&journal->keeper_wake);
}

/* With nothing new to write there may still be something to sync. */
static enum status sync_file(struct store *store, uint64_t written)
{
    struct journal_segment *journal = &store->header->journal;
    if (fdatasync(store->files[journal_active(store)]) != 0) {
        journal_fail(store, errno, "fdatasync");
        return STATUS_READ_ONLY;
    }
    __atomic_store_n(&journal->synced, written, __ATOMIC_RELEASE);
    return STATUS_OK;
}

/* Nobody but the leader moves the marks behind "assigned". */
static bool marks_can_be(const struct journal_segment *journal, uint64_t assigned)
{
    return journal->synced <= journal->written && journal->written <= assigned &&
           assigned - journal->written <= RING;
}

enum status journal_write_group(struct store *store, bool sync, bool *more)
{
    struct journal_segment *journal = &store->header->journal;
    uint64_t assigned = load64(&journal->assigned);
    uint64_t last = journal->written;
    *more = false;
    if (load32(&journal->failure))
        return STATUS_READ_ONLY;
    /* What is written to another file, or not to be read, would be acknowledged and lost. */
    if (!journal_places_can_be(journal) || !marks_can_be(journal, assigned) ||
        (journal->on && journal->seal != journal_seal(journal)))
        bug("a record or a mark of the journal is impossible");
    if (load32(&journal->doubtful) && journal_retire(store) != STATUS_OK) {
        journal_fail(store, errno, "writing a header");
        return STATUS_READ_ONLY;
    }
    int error = last < assigned ? write_pending(store, sync, &last) : 0;
    store->groups = last > journal->written + 1;
    if (error) {
        journal_fail(store, error, "writing");
        return STATUS_READ_ONLY;
    }
    if (last == journal->written)
        return sync && journal->synced < last ? sync_file(store, last) : STATUS_OK;
    if (sync && fdatasync(store->files[journal_active(store)]) != 0) {
        journal_fail(store, errno, "fdatasync");
        return STATUS_READ_ONLY;
    }
    release(store, last, sync);
    *more = last < assigned;
    return STATUS_OK;
}
