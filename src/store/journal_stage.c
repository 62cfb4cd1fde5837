/* journal_stage.c: builds groups of records in the stage and brings them to the active file past the page
 * cache. Syncs nothing. */
#include "journal_stage.h"

#include "crc32c.h"
#include "huge.h"
#include "journal.h"
#include "lock.h"
#include "prefetch.h"
#include "segment.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    /* The system may keep so much of a file as one piece of its cache, and fails a write past that where part
     * of the piece waits to be written: as what the keeper writes behind the file's capacity may. */
    APART = HUGE_BYTES,
    YIELDS = 100,               /* to a builder, before one that does not end is looked at now and then */
    LOOK_NANOSECONDS = 1000000, /* between those looks */
};

static uint64_t block_start(uint64_t offset)
{
    return offset / STAGE_BLOCK * STAGE_BLOCK;
}

static uint64_t block_end(uint64_t offset)
{
    return block_start(offset + STAGE_BLOCK - 1);
}

/* Where the block lies in which a group of that half begins. */
static char *half(const struct store *store, uint32_t which)
{
    return store->stage + (which & 1) * (size_t)STAGE_HALF;
}

static void forget(struct store *store)
{
    __atomic_store_n(&store->header->journal.staged.begun, 0, __ATOMIC_RELEASE);
}

static bool take(struct store *store, bool look_for_dead)
{
    bool from_dead;
    if (!role_take(store, &store->header->journal.builder, look_for_dead, &from_dead))
        return false;
    if (from_dead)
        forget(store);
    return true;
}

static void take_in_turn(struct store *store)
{
    static const struct timespec pause = {.tv_nsec = LOOK_NANOSECONDS};
    for (int i = 0; !take(store, i >= YIELDS); i++) {
        if (i < YIELDS)
            (void)sched_yield();
        else
            (void)ppoll(NULL, 0, &pause, NULL);
    }
}

static void leave(struct store *store)
{
    __atomic_store_n(&store->header->journal.builder, 0, __ATOMIC_RELEASE);
}

/* ---- as the builder ---- */

static void add_text(void *next_as_taker, const void *bytes, size_t length)
{
    char **next = next_as_taker;
    memcpy(*next, bytes, length);
    *next += length;
}

/* Without its checksum. The fixed part last: it was written just now, field by field, and who reads it in
 * larger pieces waits until those are in the cache, behind all that was written to the stage before. */
static void add_record(const struct store *store, char *start, const struct journal_record *record)
{
    char *next = start + sizeof(*record);
    journal_give_texts(store, record, add_text, &next);
    memset(next, 0, (size_t)(start + journal_size(record) - next));
    memcpy(start, record, sizeof(*record));
}

static void add_checksum(char *start, const char *end)
{
    uint32_t crc = crc32c(0, start, (size_t)(end - start));
    memcpy(start + offsetof(struct journal_record, crc), &crc, sizeof(crc));
}

static uint32_t seal_of(const struct staged_group *group)
{
    return crc32c(0, group, offsetof(struct staged_group, seal));
}

/* Copies the group: nobody scribbles over that. False: it is none to go on with. */
static bool may_go_on(const struct store *store, struct staged_group *group)
{
    const struct journal_segment *journal = &store->header->journal;
    *group = journal->staged;
    return group->begun && group->seal == seal_of(group) && group->generation == journal->generation &&
           group->epoch == journal->epoch && group->tail >= group->start &&
           group->tail - block_start(group->start) <= STAGE_HALF && group->last >= group->before &&
           group->last <= load64(&journal->assigned);
}

/* Adds what is pending, and what comes meanwhile: the disk takes hardly longer for it. When this group is
 * written the one before it is on the disk. A record's checksum is taken when the next one has been copied:
 * who reads at once what he has just written waits until the processor has got its places in memory. */
static void gather(struct store *store, struct staged_group *group)
{
    struct journal_segment *journal = &store->header->journal;
    char *bytes = half(store, group->half);
    uint64_t base = block_start(group->start);
    uint64_t tail = group->tail;
    uint64_t last = group->last;
    char *last_start = NULL;
    while (last < load64(&journal->assigned)) {
        struct journal_record record;
        journal_make_record(store, last + 1, group->before, &record);
        uint64_t end = block_end(tail + journal_size(&record));
        if (end - base > STAGE_HALF || end + APART > journal->capacity ||
            segment_reserve(store, segment_offset(store, bytes), end - base) != STATUS_OK)
            break;
        char *start = bytes + (tail - base);
        prefetch_to_write(start + 2 * journal_size(&record), journal_size(&record)); /* if they are alike */
        add_record(store, start, &record);
        if (last_start)
            add_checksum(last_start, start);
        last_start = start;
        tail += journal_size(&record);
        last++;
    }
    if (last_start)
        add_checksum(last_start, bytes + (tail - base));
    group->tail = tail;
    group->last = last;
    group->seal = seal_of(group);
    journal->staged.tail = tail;
    journal->staged.seal = group->seal;
    __atomic_store_n(&journal->staged.last, last, __ATOMIC_RELEASE);
}

/* An empty group. block: what the file has of the block that it begins in; NULL: that is read. */
static void begin(struct store *store, struct staged_group group, const char *block)
{
    char *bytes = half(store, group.half);
    size_t length = group.start % STAGE_BLOCK;
    forget(store);
    if (segment_reserve(store, segment_offset(store, bytes), STAGE_BLOCK) != STATUS_OK)
        return;
    if (block)
        memcpy(bytes, block, length);
    else if (pread(store->files[journal_active(store)], bytes, length, (off_t)block_start(group.start)) !=
             (ssize_t)length)
        return;
    group.tail = group.start;
    group.last = group.before;
    group.crc = crc32c(0, bytes, length);
    group.seal = seal_of(&group);
    store->header->journal.staged = group;
    __atomic_store_n(&store->header->journal.staged.begun, 1, __ATOMIC_RELEASE);
}

/* Whether the group begins where the file ends. Not after a leader that has died, or after what went through
 * the cache. */
static bool is_next(const struct store *store, struct staged_group *group)
{
    const struct journal_segment *journal = &store->header->journal;
    return may_go_on(store, group) && group->before == journal->written && group->start == journal->tail &&
           group->crc == crc32c(0, half(store, group->half), group->start % STAGE_BLOCK);
}

static void begin_behind_the_file(struct store *store)
{
    const struct journal_segment *journal = &store->header->journal;
    struct staged_group group = {.generation = journal->generation,
                                 .epoch = journal->epoch,
                                 .start = journal->tail,
                                 .before = journal->written,
                                 .half = journal->staged.half};
    begin(store, group, NULL);
}

static void begin_behind(struct store *store, const struct staged_group *closed)
{
    char *bytes = half(store, closed->half);
    uint64_t length = closed->tail - block_start(closed->start);
    struct staged_group group = {.generation = closed->generation,
                                 .epoch = closed->epoch,
                                 .start = closed->tail,
                                 .before = closed->last,
                                 .half = closed->half + 1};
    memset(bytes + length, 0, block_end(length) - length);
    begin(store, group, bytes + block_start(length));
}

void journal_stage_help(struct store *store)
{
    const struct journal_segment *journal = &store->header->journal;
    struct staged_group group;
    if (!load32(&journal->staged.begun) || load64(&journal->staged.last) >= load64(&journal->assigned) ||
        !take(store, false))
        return;
    if (may_go_on(store, &group))
        gather(store, &group);
    leave(store);
}

/* ---- as the leader ---- */

bool journal_stage_close(struct store *store, struct staged_group *closed)
{
    struct journal_segment *journal = &store->header->journal;
    if (store->direct[journal_active(store)] < 0 || journal->synced != journal->written)
        return false;
    take_in_turn(store);
    bool begun = is_next(store, closed);
    if (!begun) {
        begin_behind_the_file(store);
        begun = is_next(store, closed);
    }
    if (begun)
        gather(store, closed);
    bool goes = begun && closed->last > closed->before;
    if (goes)
        begin_behind(store, closed);
    leave(store);
    return goes;
}

void journal_stage_drop(struct store *store)
{
    if (!load32(&store->header->journal.staged.begun))
        return;
    take_in_turn(store);
    forget(store);
    leave(store);
}

int journal_stage_write(struct store *store, const struct staged_group *group)
{
    int *direct = &store->direct[journal_active(store)];
    uint64_t base = block_start(group->start);
    struct iovec all = {.iov_base = half(store, group->half), .iov_len = block_end(group->tail) - base};
    ssize_t written = pwritev(*direct, &all, 1, (off_t)base);
    if (written == (ssize_t)all.iov_len)
        return 0;
    if (written < 0 && errno == EINVAL) { /* not on this file system: none of this process is tried again */
        close(*direct);
        *direct = -1;
    }
    return written < 0 && errno != EINTR ? errno : EINVAL;
}
