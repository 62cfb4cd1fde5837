/* power.h: plays the log of disk.h again up to each moment at which the power may go, builds the states that
 * the disk may hold then, and has each recovered. What was synced is there; of what was not, each sector (512
 * bytes, which a disk writes whole) may have any content that it had since, whatever the others have, and a
 * file that grew may have grown or not. A failed sync leaves it open for ever, until the sector is written
 * and synced once more. */
#ifndef SHMAIL_TEST_POWER_H
#define SHMAIL_TEST_POWER_H

#include "disk.h"
#include "scene.h"

enum { SECTOR = 512, POWER_BYTES = 16 << 20, VERSIONS_MAX = 12, PENDING_MAX = POWER_BYTES / SECTOR };

struct pending {
    int file;
    size_t number, count;
    unsigned char *versions[VERSIONS_MAX];
    bool is_dirty; /* written since the last sync was tried */
};

static struct power {
    unsigned char current[2][POWER_BYTES], base[2][POWER_BYTES];
    size_t size[2], base_size[2];
    struct pending pending[PENDING_MAX];
    size_t count;
    uint32_t index[2][POWER_BYTES / SECTOR]; /* in pending, plus 1 */
    uint64_t acknowledged;
    uint64_t random;
    size_t samples; /* where there are too many states */
    size_t states, moments, exhausted;
    const struct scene *scene;
} power = {.random = 88172645463325252u};

static inline uint64_t power_random(void)
{
    power.random ^= power.random << 13;
    power.random ^= power.random >> 7;
    power.random ^= power.random << 17;
    return power.random;
}

/* ---- what is pending ---- */

static inline void add_version(struct pending *pending, const unsigned char *bytes)
{
    for (size_t i = 0; i < pending->count; i++)
        if (memcmp(pending->versions[i], bytes, SECTOR) == 0) {
            unsigned char *same = pending->versions[i];
            memmove(&pending->versions[i], &pending->versions[i + 1],
                    (pending->count - i - 1) * sizeof(pending->versions[0]));
            pending->versions[pending->count - 1] = same;
            return;
        }
    EXPECT(pending->count < VERSIONS_MAX);
    pending->versions[pending->count] = malloc(SECTOR);
    memcpy(pending->versions[pending->count++], bytes, SECTOR);
}

static inline void power_write(const struct disk_event *event)
{
    size_t end = event->offset + event->length;
    EXPECT(end <= POWER_BYTES);
    for (size_t number = event->offset / SECTOR; number * SECTOR < end; number++) {
        unsigned char *sector = power.current[event->file] + number * SECTOR;
        size_t from = number * SECTOR < event->offset ? event->offset - number * SECTOR : 0;
        size_t to = end - number * SECTOR < SECTOR ? end - number * SECTOR : SECTOR;
        uint32_t index = power.index[event->file][number];
        if (!index) {
            EXPECT(power.count < PENDING_MAX);
            power.pending[power.count] = (struct pending){.file = event->file, .number = number};
            power.index[event->file][number] = index = (uint32_t)++power.count;
            add_version(&power.pending[index - 1], sector);
        }
        memcpy(sector + from, disk->bytes + event->at + number * SECTOR + from - event->offset, to - from);
        add_version(&power.pending[index - 1], sector);
        power.pending[index - 1].is_dirty = true;
    }
    if (end > power.size[event->file])
        power.size[event->file] = end;
}

static inline void forget_pending(size_t i)
{
    struct pending *pending = &power.pending[i];
    power.index[pending->file][pending->number] = 0;
    for (size_t version = 0; version < pending->count; version++)
        free(pending->versions[version]);
    *pending = power.pending[--power.count];
    if (i < power.count)
        power.index[pending->file][pending->number] = (uint32_t)i + 1;
}

static inline void power_sync(const struct disk_event *event)
{
    bool failed = event->kind == EVENT_FAILED_SYNC;
    for (size_t i = power.count; i-- > 0;) {
        struct pending *pending = &power.pending[i];
        if (pending->file != event->file || !pending->is_dirty)
            continue;
        pending->is_dirty = false;
        if (failed)
            continue;
        memcpy(power.base[pending->file] + pending->number * SECTOR,
               power.current[pending->file] + pending->number * SECTOR, SECTOR);
        forget_pending(i);
    }
    if (!failed)
        power.base_size[event->file] = power.size[event->file];
}

/* ---- states ---- */

static unsigned char *power_files[2];

static inline void power_begin(const struct scene *scene, size_t samples)
{
    power.scene = scene;
    power.samples = samples;
    disk->is_full = false;
    for (int file = 0; file < 2; file++) {
        disk_memory[file] = memfd_create("journal", MFD_CLOEXEC);
        EXPECT(disk_memory[file] >= 0 && ftruncate(disk_memory[file], POWER_BYTES) == 0);
        power_files[file] = mmap(NULL, POWER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, disk_memory[file], 0);
        EXPECT(power_files[file] != MAP_FAILED);
    }
}

/* The version of each pending sector that the disk has; long_file: which files have their new size. */
static inline void try_state(const size_t *chosen, const bool long_file[2])
{
    char what[96];
    for (int file = 0; file < 2; file++) {
        size_t size = long_file[file] ? power.size[file] : power.base_size[file];
        EXPECT_EQ(ftruncate(disk_memory[file], (off_t)size), 0);
        memcpy(power_files[file], power.base[file], size);
        for (size_t i = 0; i < power.count; i++) {
            const struct pending *pending = &power.pending[i];
            size_t offset = pending->number * SECTOR;
            if (pending->file == file && offset < size)
                memcpy(power_files[file] + offset, pending->versions[chosen[i]],
                       size - offset < SECTOR ? size - offset : SECTOR);
        }
    }
    struct recovered recovered = scene_recover("trial");
    snprintf(what, sizeof(what), "moment %zu, state %zu, %zu sectors pending", power.moments, power.states,
             power.count);
    expect_recovered(power.scene, &recovered, power.acknowledged, power.scene->last, what);
    power.states++;
}

static inline void try_sizes(const size_t *chosen)
{
    for (int which = 0; which < 4; which++) {
        bool long_file[2] = {(which & 1) == 0, (which & 2) == 0};
        if ((long_file[0] || power.size[0] != power.base_size[0]) &&
            (long_file[1] || power.size[1] != power.base_size[1]))
            try_state(chosen, long_file);
    }
}

/* None, all, each alone, all but each, those up to each; then at random, of which some favour few changes. */
static inline void try_samples(size_t *chosen)
{
    size_t edges = power.count < 40 ? power.count : 40;
    for (size_t edge = 0; edge <= edges * 4; edge++) {
        size_t pivot = edges ? (edge / 4) * power.count / edges : 0;
        for (size_t i = 0; i < power.count; i++) {
            size_t last = power.pending[i].count - 1;
            bool is_new = edge % 4 == 0   ? i == pivot
                          : edge % 4 == 1 ? i != pivot
                          : edge % 4 == 2 ? i < pivot
                                          : i >= pivot;
            chosen[i] = is_new ? last : 0;
        }
        try_sizes(chosen);
    }
    for (size_t sample = 0; sample < power.samples; sample++) {
        uint64_t rarity = 1 + power_random() % 4;
        for (size_t i = 0; i < power.count; i++) {
            size_t last = power.pending[i].count - 1;
            chosen[i] = sample % 3 == 0 ? power_random() % (last + 1)
                        : sample % 3 == 1
                            ? (power_random() % (rarity * 4) ? last : power_random() % (last + 1))
                            : (power_random() % (rarity * 4) ? 0 : power_random() % (last + 1));
        }
        try_sizes(chosen);
    }
}

/* All that the disk may hold at this moment. */
static inline void try_moment(void)
{
    static size_t chosen[PENDING_MAX];
    size_t states = 1;
    size_t most = power.samples < 64 ? 64 : power.samples;
    for (size_t i = power.count; i-- > 0;)
        if (power.pending[i].count == 1)
            forget_pending(i);
    for (size_t i = 0; i < power.count && states <= most; i++)
        states *= power.pending[i].count;
    power.moments++;
    if (states > most) {
        try_samples(chosen);
        return;
    }
    power.exhausted++;
    for (size_t state = 0; state < states; state++) {
        size_t rest = state;
        for (size_t i = 0; i < power.count; rest /= power.pending[i++].count)
            chosen[i] = rest % power.pending[i].count;
        try_sizes(chosen);
    }
}

/* What is pending before a sync covers all moments since the one before; an acknowledgement asks for more. */
static inline void power_play(void)
{
    disk_is_quiet = true;
    for (size_t i = 0; i < disk->count; i++) {
        const struct disk_event *event = &disk->events[i];
        if (event->kind == EVENT_WRITE) {
            power_write(event);
        } else if (event->kind == EVENT_ACKNOWLEDGED) {
            power.acknowledged = event->offset > power.acknowledged ? event->offset : power.acknowledged;
            try_moment();
        } else {
            try_moment();
            power_sync(event);
        }
    }
    try_moment();
    harness_say("%zu states of the disk at %zu moments, %zu of them exhaustively", power.states,
                power.moments, power.exhausted);
}

/* ---- a post office whose disk is logged ---- */

static struct store *store;
static struct scene *scene;
static inline void open_post_office(const struct store_options *options)
{
    disk_start();
    scene = calloc(1, sizeof(*scene));
    store = attached_store(options);
    EXPECT_EQ(store->header->journal.assigned, 0);
}

static inline void settle(void)
{
    scene_settle(scene, store);
    disk_acknowledged(scene->last);
}

static inline void do_and_settle(int from, int below)
{
    for (int which = from; which < below; which++) {
        scene_do(scene, store, which);
        settle();
    }
}

static inline void send_and_settle(size_t length)
{
    EXPECT_EQ(scene_send(store, "alice", "more", length), STATUS_OK);
    scene_note(scene, store);
    settle();
}

static inline void reboot(const struct store_options *options)
{
    scene_close(store);
    store = attached_store(options);
    scene_note(scene, store);
}

/* samples: of states, at a moment that has too many. */
static inline void play(size_t samples)
{
    EXPECT_CLEAN(store);
    scene_close(store);
    power_begin(scene, getenv("SHMAIL_LONG") ? samples * 50 : samples);
    power_play();
}

/* The last moment alone: of what was never synced the disk has nothing, all, or some. */
static inline void play_end(void)
{
    static size_t chosen[PENDING_MAX];
    EXPECT_CLEAN(store);
    scene_close(store);
    disk_is_quiet = true;
    for (size_t i = 0; i < disk->count; i++) {
        if (disk->events[i].kind == EVENT_WRITE)
            power_write(&disk->events[i]);
        else if (disk->events[i].kind == EVENT_ACKNOWLEDGED)
            power.acknowledged = disk->events[i].offset;
        else
            power_sync(&disk->events[i]);
    }
    power_begin(scene, 0);
    for (int way = 0; way < 4; way++) {
        for (size_t i = 0; i < power.count; i++) {
            size_t last = power.pending[i].count - 1;
            chosen[i] = way == 0 ? 0 : way == 1 ? last : power_random() % (last + 1);
        }
        try_sizes(chosen);
    }
}

/* Another process of the same post office. */
static inline pid_t fork_attached(void)
{
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        store->slot = NULL;
        store->me = 0;
        store->observed = 0;
        EXPECT_EQ(store_attach(store, "child"), STATUS_OK);
    }
    return pid;
}

/* True: it was killed. */
static inline bool wait_for(pid_t pid)
{
    int status;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    return status != 0;
}

#endif
