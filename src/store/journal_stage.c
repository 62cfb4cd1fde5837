/* journal_stage.c: brings a group's bytes to the active file past the page cache. In come runs for any
 * offset, out go whole blocks from memory of the segment, as the disk takes them without a copy. Syncs
 * nothing. */
#include "journal_stage.h"

#include "crc32c.h"
#include "huge.h"
#include "journal.h"
#include "segment.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    /* The system may keep so much of a file as one piece of its cache, and fails a write past that where part
     * of the piece waits to be written: as what the keeper writes behind the file's capacity may. */
    APART = HUGE_BYTES,
};

static uint64_t block_end(uint64_t bytes)
{
    return (bytes + STAGE_BLOCK - 1) / STAGE_BLOCK * STAGE_BLOCK;
}

/* What the file has of the block that the offset is in. Who led before has mostly left it in the stage. */
static bool stage_has_block(const struct store *store, uint64_t offset)
{
    const struct journal_segment *journal = &store->header->journal;
    return journal->staged_tail == offset && journal->staged_generation == journal->generation &&
           journal->staged_crc == crc32c(0, store->stage, offset % STAGE_BLOCK);
}

static bool bring_block(struct store *store, uint64_t offset)
{
    ssize_t length = (ssize_t)(offset % STAGE_BLOCK);
    int file = store->files[journal_active(store)];
    return stage_has_block(store, offset) ||
           pread(file, store->stage, (size_t)length, (off_t)offset - length) == length;
}

/* For the next group. */
static void keep_block(struct store *store, uint64_t tail, size_t staged)
{
    struct journal_segment *journal = &store->header->journal;
    size_t length = tail % STAGE_BLOCK;
    memmove(store->stage, store->stage + staged - length, length);
    journal->staged_crc = crc32c(0, store->stage, length);
    journal->staged_generation = journal->generation;
    __atomic_store_n(&journal->staged_tail, tail, __ATOMIC_RELEASE);
}

int journal_stage_write(struct store *store, const struct iovec *runs, int count, uint64_t offset)
{
    struct journal_segment *journal = &store->header->journal;
    int *direct = &store->direct[journal_active(store)];
    size_t staged = offset % STAGE_BLOCK;
    uint64_t start = offset - staged;
    uint64_t length = staged;
    for (int i = 0; i < count; i++)
        length += runs[i].iov_len;
    uint64_t blocks = block_end(length);
    bool goes = *direct >= 0 && blocks <= STAGE_BYTES && start + blocks + APART <= journal->capacity &&
                segment_reserve(store, segment_offset(store, store->stage), blocks) == STATUS_OK &&
                bring_block(store, offset);
    /* From here on the stage or the file changes. Who dies in between must not leave the old tail beside the
     * checksum of a new block, and other bytes may come up to that tail through the cache. */
    __atomic_store_n(&journal->staged_tail, 0, __ATOMIC_SEQ_CST);
    if (!goes)
        return EINVAL;
    for (int i = 0; i < count; i++) {
        memcpy(store->stage + staged, runs[i].iov_base, runs[i].iov_len);
        staged += runs[i].iov_len;
    }
    memset(store->stage + staged, 0, blocks - staged); /* as it is there */
    struct iovec all = {.iov_base = store->stage, .iov_len = blocks};
    ssize_t written = pwritev(*direct, &all, 1, (off_t)start);
    if (written == (ssize_t)blocks) {
        keep_block(store, start + length, staged);
        return 0;
    }
    if (written < 0 && errno == EINVAL) { /* not on this file system: none of this process is tried again */
        close(*direct);
        *direct = -1;
    }
    return written < 0 && errno != EINTR ? errno : EINVAL;
}
