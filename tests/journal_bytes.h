/* journal_bytes.h: a journal directory as bytes: read once, then damaged in one place after the other and
 * recovered in a directory of its own, many at a time. Knows where its records lie by itself. */
#ifndef SHMAIL_TEST_JOURNAL_BYTES_H
#define SHMAIL_TEST_JOURNAL_BYTES_H

#include "disk.h"
#include "scene.h"

#include <stdio.h>

enum { BYTES_MAX = 1 << 20, PLACES_MAX = 400, JOBS_MAX = 8 };

struct place {
    struct journal_record record;
    size_t offset, size;
};

struct journal_bytes {
    unsigned char bytes[2][BYTES_MAX];
    size_t size[2];
    int active;
    struct journal_header header; /* of the active file */
    struct place places[PLACES_MAX];
    size_t count;
    size_t end;     /* behind the last record */
    uint64_t epoch; /* of the next one */
    struct scene scene;
};

static struct journal_bytes journal;

static inline void journal_path(char path[static 64], const char *directory, int file)
{
    snprintf(path, 64, "%s/journal.%d", directory, file);
}

static inline size_t read_file(const char *directory, int file, unsigned char bytes[static BYTES_MAX])
{
    char path[64];
    journal_path(path, directory, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    EXPECT(fd >= 0);
    ssize_t length = pread(fd, bytes, BYTES_MAX, 0);
    EXPECT(length >= 0 && length < BYTES_MAX);
    close(fd);
    return (size_t)length;
}

/* What the format says, told again: records follow each other to where none is, or one of before. */
static inline void journal_load(const char *directory)
{
    struct journal_header header;
    journal.active = -1;
    for (int file = 0; file < 2; file++) {
        journal.size[file] = read_file(directory, file, journal.bytes[file]);
        memcpy(&header, journal.bytes[file], sizeof(header));
        if (header.magic == JOURNAL_MAGIC && header.state == JOURNAL_ACTIVE) {
            EXPECT_EQ(journal.active, -1);
            journal.active = file;
            journal.header = header;
        }
    }
    EXPECT(journal.active >= 0);
    const unsigned char *bytes = journal.bytes[journal.active];
    journal.count = 0;
    journal.end = JOURNAL_HEADER_SIZE;
    journal.epoch = journal.header.epoch;
    for (;;) {
        struct place *place = &journal.places[journal.count];
        EXPECT(journal.count < PLACES_MAX);
        memcpy(&place->record, bytes + journal.end, sizeof(place->record));
        if (place->record.magic != RECORD_MAGIC || place->record.epoch != journal.epoch)
            break;
        place->offset = journal.end;
        place->size = journal_size(&place->record);
        if (place->record.type == RECORD_EPOCH)
            journal.epoch = place->record.other;
        journal.end += place->size;
        journal.count++;
    }
}

static inline uint64_t journal_last(void)
{
    const struct place *last = &journal.places[journal.count - 1];
    return journal.count == 0 || last->record.flags & RECORD_SNAPSHOT ? journal.header.first
                                                                      : last->record.sequence;
}

/* The last record that an account of the snapshot is as of: no log may end before it. */
static inline uint64_t journal_reaches(void)
{
    uint64_t reaches = 0;
    for (size_t i = 0; i < journal.count; i++) {
        const struct journal_record *record = &journal.places[i].record;
        bool captured = record->type == RECORD_ACCOUNT || record->type == RECORD_REMOVE;
        if (record->flags & RECORD_SNAPSHOT && captured && (uint64_t)record->received > reaches)
            reaches = (uint64_t)record->received;
    }
    return reaches;
}

/* ---- journals to damage: each leaves journal ---- */

static struct store *store;

static inline void do_and_settle(int from, int below)
{
    for (int which = from; which < below; which++) {
        scene_do(&journal.scene, store, which);
        scene_settle(&journal.scene, store);
    }
}

static inline void reboot(void)
{
    scene_close(store);
    store = attached_store(&scene_options);
    scene_note(&journal.scene, store); /* the record that begins the epoch */
}

static inline void end_journal(void)
{
    EXPECT_CLEAN(store);
    scene_close(store);
    journal_load("journal");
    EXPECT_EQ(journal_last(), journal.scene.last);
}

static inline void begin_journal(void)
{
    store = attached_store(&scene_options);
}

/* The last three records were never settled: they are one group. */
static inline void make_plain(void)
{
    begin_journal();
    do_and_settle(0, SCENE_OPERATIONS - 3);
    for (int which = SCENE_OPERATIONS - 3; which < SCENE_OPERATIONS; which++)
        scene_do(&journal.scene, store, which);
    EXPECT_EQ(journal_flush(store, false), STATUS_OK);
    end_journal();
}

static inline void make_epochs(void)
{
    begin_journal();
    do_and_settle(0, 7);
    reboot();
    reboot();
    do_and_settle(7, 12);
    reboot();
    do_and_settle(12, 14);
    end_journal();
}

/* When the snapshot goes to the file, every account has been captured: all this is in the log alone. */
static inline void serve_meanwhile(void)
{
    if (disk_hook_file == store->header->journal.file || disk_hook_offset != JOURNAL_HEADER_SIZE)
        return;
    do_and_settle(SCENE_FIRST_HALF, 14);
}

static inline void make_checkpointed(void)
{
    begin_journal();
    do_and_settle(0, SCENE_FIRST_HALF);
    disk_hook = serve_meanwhile;
    EXPECT_EQ(journal_checkpoint(store, scene_options.journal_bytes), STATUS_OK);
    disk_hook = NULL;
    EXPECT_EQ(journal.scene.last, 14);
    do_and_settle(14, 16);
    reboot();
    do_and_settle(16, 18);
    end_journal();
}

/* Where the snapshot's log begins, three records are on their way to the file already. */
static inline void serve_before(void)
{
    if (disk_hook_file != store->header->journal.file)
        return;
    for (int which = SCENE_FIRST_HALF + 1; journal.scene.last < 13; which++)
        scene_do(&journal.scene, store, which);
}

/* The snapshot has accounts as of a later record than that with which its log begins. */
static inline void make_captured(void)
{
    begin_journal();
    do_and_settle(0, SCENE_FIRST_HALF);
    scene_do(&journal.scene, store, SCENE_FIRST_HALF);
    disk_hook = serve_before;
    EXPECT_EQ(journal_checkpoint(store, scene_options.journal_bytes), STATUS_OK);
    disk_hook = NULL;
    do_and_settle(13, 16);
    end_journal();
    EXPECT(journal_reaches() > journal.header.first);
}

/* Behind the log there are records of the file's use before. */
static inline void make_reused(void)
{
    size_t left = 0;
    begin_journal();
    do_and_settle(0, 17);
    for (int changes = 0; changes < 12; changes++) {
        EXPECT_EQ(scene_secret(store, "alice", changes % 2 ? "$y$one hash" : "$y$another"), STATUS_OK);
        scene_note(&journal.scene, store);
        scene_settle(&journal.scene, store);
    }
    for (int checkpoints = 0; checkpoints < 2; checkpoints++)
        EXPECT_EQ(journal_checkpoint(store, scene_options.journal_bytes), STATUS_OK);
    do_and_settle(17, 19);
    end_journal();
    const unsigned char *bytes = journal.bytes[journal.active];
    for (size_t offset = journal.end; offset + sizeof(struct journal_record) <= journal.size[journal.active];
         offset += 8) {
        struct journal_record record;
        memcpy(&record, bytes + offset, sizeof(record));
        left += record.magic == RECORD_MAGIC;
    }
    EXPECT(left > 2);
}

enum { JOURNAL_KINDS = 5 };

static void (*const journal_kinds[JOURNAL_KINDS])(void) = {make_plain, make_epochs, make_checkpointed,
                                                           make_captured, make_reused};

/* ---- damaged, and recovered ---- */

struct damage {
    int file;
    size_t offset, length;
    const unsigned char *bytes; /* put there; NULL: zeros */
    bool cut;                   /* the file ends at offset instead */
};

/* The two files of the trials of this process, in memory. */
static unsigned char *trial_bytes[2];

static inline void trial_begin(void)
{
    for (int file = 0; file < 2; file++) {
        disk_memory[file] = memfd_create("journal", MFD_CLOEXEC);
        EXPECT(disk_memory[file] >= 0);
        trial_bytes[file] = mmap(NULL, BYTES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, disk_memory[file], 0);
        EXPECT(trial_bytes[file] != MAP_FAILED);
    }
}

static inline void trial_put(int file, const unsigned char *bytes, size_t size)
{
    EXPECT_EQ(ftruncate(disk_memory[file], (off_t)size), 0);
    memcpy(trial_bytes[file], bytes, size);
}

/* A refusal must have changed nothing. */
static inline struct recovered try_damage(const struct damage *damage, const char *directory)
{
    static unsigned char before[2][BYTES_MAX];
    struct stat about = {0};
    for (int file = 0; file < 2; file++)
        trial_put(file, journal.bytes[file], journal.size[file]);
    if (damage->cut)
        EXPECT_EQ(ftruncate(disk_memory[damage->file], (off_t)damage->offset), 0);
    else if (damage->bytes)
        memcpy(trial_bytes[damage->file] + damage->offset, damage->bytes, damage->length);
    else
        memset(trial_bytes[damage->file] + damage->offset, 0, damage->length);
    for (int file = 0; file < 2; file++)
        memcpy(before[file], trial_bytes[file], damage->cut ? 0 : journal.size[file]);
    struct recovered recovered = scene_recover(directory);
    for (int file = 0; file < 2 && recovered.status != STATUS_OK; file++) {
        EXPECT_EQ(fstat(disk_memory[file], &about), 0);
        EXPECT_EQ(about.st_size, damage->cut && damage->file == file ? damage->offset : journal.size[file]);
        EXPECT(memcmp(before[file], trial_bytes[file], damage->cut ? 0 : journal.size[file]) == 0);
    }
    return recovered;
}

/* Calls trial(context, index, directory) for all index below count, several at a time, each batch in a
 * process of its own. */
static inline void try_all(size_t count, void (*trial)(void *context, size_t index, const char *directory),
                           void *context)
{
    enum { BATCH = 400 };
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int jobs = processors < 1 ? 1 : processors > JOBS_MAX ? JOBS_MAX : (int)processors;
    int running = 0;
    for (size_t first = 0; first < count || running > 0; first += BATCH) {
        pid_t pid = first < count ? fork() : -1;
        if (pid == 0) {
            char directory[] = "trial-XXXXXX";
            EXPECT(mkdtemp(directory) != NULL);
            trial_begin();
            for (size_t index = first; index < count && index < first + BATCH; index++)
                trial(context, index, directory);
            _exit(0);
        }
        EXPECT(pid > 0 || first >= count);
        running += pid > 0;
        if (running < jobs && first + BATCH < count)
            continue;
        int status;
        EXPECT(waitpid(-1, &status, 0) > 0);
        EXPECT_EQ(status, 0);
        running--;
    }
}

#endif
