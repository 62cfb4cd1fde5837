/* segment_copy.h: a live segment followed from outside, and a copy of it as its processes would leave it if
 * they died now: memory, journal files, and no owner byte held by anybody.
 *
 * The shadow is what the segment held when it was last looked at. Only what is in use is compared each time;
 * copy_is_exact compares everything, and tells whether something was overlooked. */
#ifndef SHMAIL_TEST_SEGMENT_COPY_H
#define SHMAIL_TEST_SEGMENT_COPY_H

#include "block.h"
#include "journal.h"
#include "post_office.h"
#include "segment.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COPY_UNITS = 64,  /* of a segment that can be followed, whose tables are of near records only: the map of
                         what is reserved  is one word then */
    COPY_NOTES = 256, /* of the journal's ring; a test makes no more records */
    COPY_AHEAD = STEP_BLOCKS + 1, /* blocks behind the last one in use that a transaction may write to */
    COPY_FILE_MAX = 1 << 20
};

struct span {
    uint64_t offset;
    size_t length;
};

struct segment_copy {
    const struct store *live; /* opened by this process, attached by others only */
    char *shadow;
    struct span spans[COPY_UNITS];
    size_t span_count;
    char *base; /* of the copy */
    int fd;
    uint64_t given; /* units of the copy that may hold something */
    int files[2];
    char *file_bytes[2];
    size_t file_sizes[2];
};

static inline void copy_add_span(struct segment_copy *copy, const void *start, size_t length)
{
    uint64_t offset = (uint64_t)((const char *)start - copy->live->base);
    if (segment_has(copy->live, offset))
        copy->spans[copy->span_count++] = (struct span){offset, length < PAGE ? length : PAGE};
}

/* What of the segment is in use. */
static inline void copy_measure(struct segment_copy *copy)
{
    const struct store *live = copy->live;
    const struct header *header = live->header;
    copy->span_count = 0;
    copy_add_span(copy, header, sizeof(*header));
    copy_add_span(copy, live->reserved, sizeof(uint64_t));
    for (enum throttle which = THROTTLE_SOURCE; which <= THROTTLE_PAIR; which++)
        copy_add_span(copy, live->throttles[which], header->throttle_most * sizeof(struct throttle_record));
    copy_add_span(copy, live->waits, header->slots_most * sizeof(uint64_t));
    copy_add_span(copy, live->ring, COPY_NOTES * sizeof(struct journal_note));
    copy_add_span(copy, slot_at(live, 0), header->slots_most * sizeof(struct slot));
    copy_add_span(copy, live->name_buckets, (live->name_mask + 1) * sizeof(uint32_t));
    copy_add_span(copy, live->cookie_buckets[0], SESSIONS_NEAR * sizeof(uint32_t));
    copy_add_span(copy, account_at(live, 0), (header->accounts_used + 2) * sizeof(struct account_record));
    copy_add_span(copy, session_at(live, 0), (header->sessions_used + 2) * sizeof(struct session_record));
    copy_add_span(copy, live->stage, PAGE);
    copy_add_span(copy, live->stage + STAGE_HALF, PAGE);
    copy_add_span(copy, live->pages, (live->pages_most + 1) * sizeof(struct page_record));
    for (uint32_t page = 0; page < live->pages_most; page++) {
        struct page_shape shape;
        const char *start = live->base + live->arena + (uint64_t)page * PAGE;
        if (segment_has(live, (uint64_t)(start - live->base)))
            copy_add_span(copy, start,
                          block_page_shape(live->pages[page].word, &shape)
                              ? (size_t)(shape.fresh + COPY_AHEAD) * shape.size
                              : PAGE);
    }
}

static inline bool copy_follow_spans(struct segment_copy *copy)
{
    bool changed = false;
    for (size_t i = 0; i < copy->span_count; i++) {
        const struct span *span = &copy->spans[i];
        if (memcmp(copy->shadow + span->offset, copy->live->base + span->offset, span->length) == 0)
            continue;
        memcpy(copy->shadow + span->offset, copy->live->base + span->offset, span->length);
        changed = true;
    }
    return changed;
}

/* Brings the shadow up to date, which may show that more is in use; true if the segment has changed. */
static inline bool copy_follow(struct segment_copy *copy)
{
    bool changed = false;
    while (copy_follow_spans(copy)) {
        copy_measure(copy);
        changed = true;
    }
    return changed;
}

static inline uint64_t copy_reserved(const struct segment_copy *copy)
{
    const struct store *live = copy->live;
    uint64_t reserved;
    memcpy(&reserved, copy->shadow + ((const char *)live->reserved - live->base), sizeof(reserved));
    return reserved;
}

/* After copy_follow: false if the shadow is not the whole segment after all. */
static inline bool copy_is_exact(const struct segment_copy *copy)
{
    for (uint64_t units = copy_reserved(copy); units; units &= units - 1) {
        uint64_t offset = (uint64_t)__builtin_ctzll(units) * PAGE;
        if (memcmp(copy->shadow + offset, copy->live->base + offset, PAGE) != 0)
            return false;
    }
    return true;
}

/* Memory stands behind what the map says, and behind nothing else but what is being reserved. */
static inline void copy_expect_reserved(const struct segment_copy *copy)
{
    struct stat about;
    uint64_t said = (uint64_t)__builtin_popcountll(copy_reserved(copy)) * PAGE;
    EXPECT_EQ(fstat(copy->live->fd, &about), 0);
    uint64_t held = (uint64_t)about.st_blocks * 512;
    if (held != said && held != said + PAGE)
        harness_fail(__FILE__, __LINE__, "%ju bytes have memory, %ju are said to", (uintmax_t)held,
                     (uintmax_t)said);
}

/* The same for the journal's files. */
static inline bool copy_follow_files(struct segment_copy *copy)
{
    static char now[COPY_FILE_MAX];
    bool changed = false;
    for (int i = 0; i < 2 && journal_is_on(copy->live); i++) {
        ssize_t got = pread(copy->live->files[i], now, sizeof(now), 0);
        EXPECT(got >= 0 && got < COPY_FILE_MAX);
        size_t size = (size_t)got;
        if (size == copy->file_sizes[i] && memcmp(copy->file_bytes[i], now, size) == 0)
            continue;
        memcpy(copy->file_bytes[i], now, size);
        copy->file_sizes[i] = size;
        changed = true;
    }
    return changed;
}

static inline void *copy_mapping(size_t bytes, int flags, int fd)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    EXPECT(base != MAP_FAILED);
    return base;
}

static inline void copy_open(struct segment_copy *copy, const struct store *live)
{
    size_t bytes = live->header->segment_bytes;
    EXPECT(bytes <= (size_t)COPY_UNITS * PAGE);
    *copy = (struct segment_copy){.live = live, .fd = memfd_create("copy", MFD_CLOEXEC)};
    EXPECT_EQ(ftruncate(copy->fd, (off_t)bytes), 0);
    copy->shadow = copy_mapping(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    copy->base = copy_mapping(bytes, MAP_SHARED, copy->fd);
    for (int i = 0; i < 2; i++) {
        copy->files[i] = memfd_create("journal", MFD_CLOEXEC);
        copy->file_bytes[i] = copy_mapping(COPY_FILE_MAX, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    }
}

/* Takes everything anew. */
static inline void copy_refresh(struct segment_copy *copy)
{
    for (uint64_t units = copy->live->reserved[0]; units; units &= units - 1) {
        uint64_t offset = (uint64_t)__builtin_ctzll(units) * PAGE;
        memcpy(copy->shadow + offset, copy->live->base + offset, PAGE);
    }
    copy_measure(copy);
    (void)copy_follow_files(copy);
}

#define COPY_MOVE(view, copy, field) \
    ((view).field = (void *)((copy)->base + ((const char *)(copy)->live->field - (copy)->live->base)))

/* Makes the copy what the shadow says. Returns a view of it for a process that is about to attach. */
static inline struct store copy_restore(struct segment_copy *copy)
{
    struct store view = *copy->live;
    uint64_t reserved = copy_reserved(copy);
    for (uint64_t units = reserved | copy->given; units; units &= units - 1) {
        uint64_t offset = (uint64_t)__builtin_ctzll(units) * PAGE;
        memcpy(copy->base + offset, copy->shadow + offset, PAGE);
    }
    COPY_MOVE(view, copy, header);
    COPY_MOVE(view, copy, reserved);
    COPY_MOVE(view, copy, waits);
    COPY_MOVE(view, copy, ring);
    COPY_MOVE(view, copy, stage);
    for (int part = 0; part < 2; part++) {
        COPY_MOVE(view, copy, slots[part]);
        COPY_MOVE(view, copy, cookie_buckets[part]);
        COPY_MOVE(view, copy, accounts[part]);
        COPY_MOVE(view, copy, sessions[part]);
    }
    for (int which = 0; which < THROTTLES; which++)
        COPY_MOVE(view, copy, throttles[which]);
    COPY_MOVE(view, copy, name_buckets);
    COPY_MOVE(view, copy, pages);
    view.base = copy->base;
    view.fd = copy->fd;
    view.opener = getpid();
    for (int i = 0; i < 2 && journal_is_on(copy->live); i++) {
        view.files[i] = copy->files[i];
        view.direct[i] = copy->live->direct[i] < 0 ? -1 : copy->files[i];
        EXPECT_EQ(pwrite(copy->files[i], copy->file_bytes[i], copy->file_sizes[i], 0), copy->file_sizes[i]);
        EXPECT_EQ(ftruncate(copy->files[i], (off_t)copy->file_sizes[i]), 0);
    }
    return view;
}

/* After a survivor's work in the copy: what it has reserved is to be cleared again. */
static inline void copy_used(struct segment_copy *copy, const struct store *view)
{
    copy->given |= view->reserved[0];
}

#endif
