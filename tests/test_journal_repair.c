/* test_journal_repair.c: whatever is damaged in a journal, a repair drops nothing unsaid, puts nothing where
 * it does not belong, and leaves what a server takes. */
#include "mending.h"

static bool names_are_synced; /* of the journal that is mended, last of all */

/* What reaches the disk is not asked here, only what is in the files, and that they have their names. */
int fsync(int file)
{
    struct stat one, other;
    names_are_synced = fstat(file, &one) == 0 && stat("broken", &other) == 0 && one.st_ino == other.st_ino;
    return 0;
}

int fdatasync(int file)
{
    (void)file;
    return 0;
}

int syncfs(int file)
{
    (void)file;
    return 0;
}

static const struct store_options with_journal = {.directory = "journal", .journal_bytes = 1 << 18};

static struct buffer before, after, exports, damaged;

/* ---- journals ---- */

static void checkpoint(struct store *store)
{
    EXPECT_EQ(journal_checkpoint(store, 1 << 18), STATUS_OK);
}

/* Into a file that has a log already. */
static void checkpoint_twice(struct store *store)
{
    checkpoint(store);
    checkpoint(store);
}

static void checkpoint_and_live_on(struct store *store)
{
    checkpoint_twice(store);
    live_on(store);
}

/* As while a checkpoint runs: what is moved is in the record once more. */
static void live_on_in_checkpoint(struct store *store)
{
    store->header->journal.checkpoint = 1;
    live_on(store);
    store->header->journal.checkpoint = 0;
}

static void make_log(void)
{
    in_store(&with_journal, live, &before);
}

static void make_two_epochs(void)
{
    in_store(&with_journal, live, NULL);
    in_store(&with_journal, live_on_in_checkpoint, &before);
}

static void make_snapshot(void)
{
    in_store(&with_journal, live, NULL);
    in_store(&with_journal, checkpoint_twice, &before);
}

static void make_snapshot_and_log(void)
{
    in_store(&with_journal, live, NULL);
    in_store(&with_journal, checkpoint_and_live_on, &before);
}

/* ---- its records ---- */

struct place {
    uint64_t offset, size;
    struct journal_record record;
};

static struct place places[200];
static size_t place_count;
static const char *active; /* of the directory that is being damaged */

static void find_records(const char *directory)
{
    static char path[64];
    struct journal_reader reader;
    const char *texts;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/journal.%d", directory, i);
        int file = open(path, O_RDONLY);
        EXPECT(file >= 0);
        bool found =
            journal_read_open(&reader, file) == FOUND_RECORD && reader.header.state == JOURNAL_ACTIVE;
        place_count = 0;
        while (found) {
            struct place *place = &places[place_count];
            place->offset = reader.offset;
            if (journal_read(&reader, &place->record, &texts) != FOUND_RECORD)
                break;
            place->size = journal_size(&place->record);
            EXPECT(++place_count < sizeof(places) / sizeof(places[0]));
        }
        journal_read_close(&reader);
        close(file);
        if (found) {
            active = path;
            return;
        }
    }
    harness_fail(__FILE__, __LINE__, "no file is active");
}

/* ---- damage ---- */

static void copy_journal(void)
{
    harness_copy("journal/*", "broken");
    find_records("broken");
}

static void damage(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        flip_at(active, places[i].offset + places[i].size / 3);
    read_whole("journal/journal.0", &damaged);
    if (strstr(active, "journal.1"))
        read_whole("journal/journal.1", &damaged);
    buffer_consume(&damaged, places[first].offset);
    damaged.length = places[first + count - 1].offset + places[first + count - 1].size - places[first].offset;
}

/* Repairs, and looks at what came of it. */
static size_t mend(void)
{
    size_t lost = repair_journal("broken");
    buffer_clear(&exports);
    read_exports("broken", &exports);
    inventory_of_journal("broken", &after);
    expect_right_places(&after);
    expect_nothing_dropped(&before, &after, &exports, damaged.bytes, damaged.length);
    EXPECT_EQ(check_journal("broken"), 0);
    EXPECT_EQ(repair_journal("broken"), 0);
    return lost;
}

/* A record that a server would take for a torn last one is no loss that anybody knows of. */
static void expect_said_where(size_t first)
{
    char words[64];
    snprintf(words, sizeof(words), "%s offset %llu: ", strchr(active, '/') + 1,
             (unsigned long long)places[first].offset);
    EXPECT_SAID(words);
}

static void damage_each(size_t width)
{
    find_records("journal");
    size_t total = place_count;
    EXPECT(total > 10);
    for (size_t first = 0; first + width <= total; first++) {
        copy_journal();
        damage(first, width);
        bool last = first + width == total;
        EXPECT_EQ(check_journal("broken") > 0, !last);
        expect_said_where(first);
        size_t lost = mend();
        bool harmless = width == 1 && places[first].record.type == RECORD_EPOCH;
        EXPECT_EQ(lost > 0, !last && !harmless);
    }
}

static void one_record_of_a_log(void)
{
    make_log();
    damage_each(1);
}

static void some_records_of_a_log(void)
{
    make_two_epochs();
    for (size_t width = 1; width <= 4; width++)
        damage_each(width);
}

static void some_records_of_a_snapshot(void)
{
    make_snapshot_and_log();
    for (size_t width = 1; width <= 4; width++)
        damage_each(width);
}

static void records_far_from_each_other(void)
{
    make_snapshot_and_log();
    find_records("journal");
    size_t total = place_count;
    for (size_t first = 0; first + 9 < total; first++) {
        copy_journal();
        damage(first + 8, 1);
        damage(first, 1);
        /* Both, with what lies between them. */
        damaged.length = places[first + 8].offset + places[first + 8].size - places[first].offset;
        EXPECT(mend() > 0);
    }
}

/* As a disk loses them: whole pages. */
static void pages(void)
{
    static const char zeros[4096];
    make_two_epochs();
    find_records("journal");
    uint64_t end = places[place_count - 1].offset;
    for (uint64_t offset = JOURNAL_HEADER_SIZE; offset < end; offset += 1024) {
        copy_journal();
        read_whole("journal/journal.0", &damaged);
        buffer_consume(&damaged, offset > 24000 ? offset - 24000 : 0); /* the record that it begins in, too */
        damaged.length = 24000 + sizeof(zeros) + 24000;
        write_at(active, offset, zeros, sizeof(zeros));
        mend();
    }
}

/* ---- headers ---- */

static void lose_header(const char *path, bool zeroed)
{
    static const char zeros[JOURNAL_HEADER_SIZE];
    if (zeroed)
        write_at(path, 0, zeros, sizeof(zeros));
    else
        flip_at(path, 33);
}

static void expect_all_kept(void)
{
    EXPECT_EQ(check_journal("broken"), 1);
    EXPECT_SAID("offset 0: its header is lost");
    EXPECT_EQ(mend(), 0);
    EXPECT(names_are_synced);
    EXPECT_STR(after.bytes, before.bytes);
}

static void a_lost_header(void)
{
    void (*const make[])(void) = {make_log, make_two_epochs, make_snapshot, make_snapshot_and_log};
    buffer_clear(&damaged);
    for (size_t i = 0; i < 4; i++) {
        run_command("rm -rf journal");
        make[i]();
        for (int zeroed = 0; zeroed <= 1; zeroed++) {
            copy_journal();
            lose_header(active, zeroed);
            expect_all_kept();
            copy_journal();
            lose_header("broken/journal.0", zeroed);
            lose_header("broken/journal.1", zeroed);
            expect_all_kept();
        }
    }
}

static void a_header_and_the_first_records(void)
{
    make_snapshot_and_log();
    for (size_t count = 1; count <= 5; count++) {
        copy_journal();
        lose_header(active, true);
        damage(0, count);
        EXPECT(mend() > 0);
    }
}

/* The other file's header does not matter, but is spoken of. */
static void the_other_header(void)
{
    make_snapshot_and_log();
    copy_journal();
    lose_header(strstr(active, "journal.1") ? "broken/journal.0" : "broken/journal.1", false);
    buffer_clear(&damaged);
    EXPECT_EQ(check_journal("broken"), 0);
    EXPECT_SAID("note ");
    EXPECT_SAID("is the active file");
    EXPECT_EQ(mend(), 0);
    EXPECT_EQ(access("broken/journal.0", F_OK), 0);
}

/* An interrupted change of places: both headers say active, and the younger one is damaged. */
static void the_younger_of_two_headers(void)
{
    struct journal_header header;
    make_snapshot_and_log();
    copy_journal();
    char *older = strstr(active, "journal.1") ? "broken/journal.0" : "broken/journal.1";
    read_whole(older, &damaged);
    memcpy(&header, damaged.bytes, sizeof(header));
    EXPECT_EQ(header.state, JOURNAL_SUPERSEDED);
    header.state = JOURNAL_ACTIVE;
    header.crc = journal_header_crc(&header);
    write_at(older, 0, &header, sizeof(header));
    buffer_clear(&damaged);
    EXPECT_EQ(check_journal("broken"), 0);
    lose_header(active, false);
    expect_all_kept(); /* it goes on longer, so it is the active one */
}

static void a_superseded_file_alone(void)
{
    char why[1024];
    struct buffer now = {0};
    struct report report = hearing();
    make_snapshot_and_log();
    copy_journal();
    EXPECT_EQ(truncate(active, 0), 0);
    const char *other = strstr(active, "journal.1") ? "broken/journal.0" : "broken/journal.1";
    read_whole(other, &before);
    expect_refused(journal_repair("broken", &report, why, sizeof(why)), STATUS_MISMATCH, why, "superseded");
    expect_refused(journal_check("broken", &report, why, sizeof(why)), STATUS_MISMATCH, why, "superseded");
    read_whole(other, &now);
    EXPECT(now.length == before.length && memcmp(now.bytes, before.bytes, now.length) == 0);
    EXPECT_EQ(count_files("broken"), 3);
    buffer_free(&now);
}

/* All that the last checkpoint and the log since have written is gone, but not what was there before. */
static void what_a_lost_file_was_before(void)
{
    static const char zeros[BUFSIZ];
    char why[1024];
    struct report report = hearing();
    make_snapshot_and_log();
    copy_journal();
    const struct place *last = &places[place_count - 1];
    for (uint64_t at = 0; at < last->offset + last->size; at += sizeof(zeros)) {
        uint64_t left = last->offset + last->size - at;
        write_at(active, at, zeros, left < sizeof(zeros) ? left : sizeof(zeros));
    }
    expect_refused(journal_repair("broken", &report, why, sizeof(why)), STATUS_MISMATCH, why, "superseded");
    expect_refused(journal_check("broken", &report, why, sizeof(why)), STATUS_MISMATCH, why, "superseded");
    EXPECT_EQ(count_files("broken"), 3);
}

/* ---- ends ---- */

static void a_cut_file(void)
{
    make_two_epochs();
    find_records("journal");
    size_t total = place_count;
    for (size_t i = 0; i < total; i++)
        for (uint64_t cut = 0; cut < places[i].size; cut += i + 1 == total ? 1 : places[i].size / 2 + 1) {
            copy_journal();
            EXPECT_EQ(truncate(active, (off_t)(places[i].offset + cut)), 0);
            EXPECT_EQ(check_journal("broken"), 0);
            EXPECT(was_said("the file ends where its log does: it may have been cut"));
            EXPECT(!was_said("is torn"));
            EXPECT_EQ(repair_journal("broken"), 0);
            EXPECT_EQ(count_files("broken"), 3);
        }
}

static void a_cut_snapshot(void)
{
    make_snapshot_and_log();
    find_records("journal");
    for (size_t i = 0; places[i].record.flags & RECORD_SNAPSHOT; i++) {
        copy_journal();
        EXPECT_EQ(truncate(active, (off_t)(places[i].offset + places[i].size / 2)), 0);
        EXPECT(check_journal("broken") > 0);
        read_whole(strstr(active, "journal.1") ? "journal/journal.1" : "journal/journal.0", &damaged);
        buffer_consume(&damaged, places[i].offset);
        EXPECT(mend() > 0);
    }
}

/* ---- ids ---- */

static void send_one(struct store *store)
{
    message_id id = put(store, "bob", 99, 0);
    EXPECT(id > 3); /* which was his newest, and the record of it is lost */
}

static void live_and_send(struct store *store)
{
    live(store);
    EXPECT_EQ(put(store, "bob", 23, 0), 3);
    put(store, "dave", 53, 0);
    put(store, "dave", 54, 0);
}

static void ids_are_not_used_again(void)
{
    in_store(&with_journal, live_and_send, &before);
    copy_journal();
    damage(place_count - 3, 1);
    EXPECT(mend() > 0);
    in_store(&(struct store_options){.directory = "broken", .journal_bytes = 1 << 18}, send_one, NULL);
}

static const struct harness_test tests[] = {
    {"each record of a log damaged: nothing is dropped or misplaced", one_record_of_a_log},
    {"up to four neighbours of a log damaged, epochs too", some_records_of_a_log},
    {"up to four neighbours of a snapshot and its log damaged", some_records_of_a_snapshot},
    {"two records apart from each other damaged", records_far_from_each_other},
    {"a page lost, wherever it is", pages},
    {"a lost header costs nothing, nor do two", a_lost_header},
    {"a lost header and lost records behind it", a_header_and_the_first_records},
    {"the header of the file that is not active does not matter", the_other_header},
    {"where both are active the one that goes on longest counts", the_younger_of_two_headers},
    {"a file that was superseded is not taken for the last word", a_superseded_file_alone},
    {"what a lost file was before is not taken for it", what_a_lost_file_was_before},
    {"a cut end is named, but is nothing to repair", a_cut_file},
    {"a snapshot that ends too early is damage", a_cut_snapshot},
    {"ids that may have been given are not given again", ids_are_not_used_again},
};

HARNESS_MAIN(tests)
