/* test_journal_check.c: directories of which it is not plain what they hold: what a check says of each, and
 * that it refuses where records do not tell. */
#include "mending.h"

#include "journal_bytes.h"

#include <sys/resource.h>

static const char *file_name(int file)
{
    return file ? "journal/journal.1" : "journal/journal.0";
}

static void expect_refusal(const char *words)
{
    char why[1024];
    struct report report = hearing();
    expect_refused(journal_check("journal", &report, why, sizeof(why)), STATUS_MISMATCH, why, words);
    expect_refused(journal_repair("journal", &report, why, sizeof(why)), STATUS_MISMATCH, why, words);
}

static void put_bytes(int file, size_t offset, const void *bytes, size_t length)
{
    write_at(file_name(file), offset, bytes, length);
}

static void put_garbage(int file, size_t length)
{
    static unsigned char garbage[BYTES_MAX];
    memset(garbage, 0x55, length);
    put_bytes(file, 0, garbage, length);
}

/* ---- records ---- */

/* As if a sector of a copy had been left out. */
static void cut_out(size_t first, size_t count)
{
    const struct place *last = &journal.places[journal.count - 1];
    size_t from = journal.places[first + count].offset;
    size_t to = last->offset + last->size;
    unsigned char *bytes = journal.bytes[journal.active];
    memmove(bytes + journal.places[first].offset, bytes + from, to - from);
    memset(bytes + to - (from - journal.places[first].offset), 0, from - journal.places[first].offset);
    put_bytes(journal.active, 0, bytes, journal.size[journal.active]);
}

static void records_that_are_missing_are_counted(void)
{
    make_plain();
    cut_out(3, 1);
    EXPECT(check_journal("journal") > 0);
    EXPECT_SAID("lost journal.0 offset 4384: 1 record is missing here\n");
    cut_out(3, 2);
    EXPECT(check_journal("journal") > 0);
    EXPECT_SAID("lost journal.0 offset 4384: 3 records are missing here\n");
}

/* It may have been synced, or not: nobody waited for it. */
static void what_nobody_knows_to_be_synced_is_said_to_be_that(void)
{
    make_plain();
    put_bytes(journal.active, journal.places[journal.count - 2].offset, "nonsense", 8);
    EXPECT(check_journal("journal") > 0);
    EXPECT_SAID("once 1 record, are damaged: no record begins here; nothing says that it was ever synced");
    put_bytes(journal.active, journal.places[journal.count - 3].offset, "nonsense", 8);
    EXPECT(check_journal("journal") > 0);
    EXPECT_SAID("once 2 records, are damaged");
    put_bytes(journal.active, journal.places[journal.count - 1].offset, "nonsense", 8);
    EXPECT_EQ(check_journal("journal"), 0);
    EXPECT_SAID(
        "note journal.0 offset 6864: the last record is torn, and nothing says that it was ever synced");
}

/* Else what comes next would be numbered as what the snapshot has, and be passed over one day. */
static void a_log_that_ends_before_its_snapshot_does_is_damaged(void)
{
    char zeros[BYTES_MAX] = {0};
    make_captured();
    uint64_t first = journal.header.log;
    put_bytes(journal.active, first, zeros, journal.end - first);
    EXPECT_EQ(scene_recover("journal").status, STATUS_MISMATCH);
    EXPECT(check_journal("journal") > 0);
    EXPECT_EQ(journal_reaches() - journal.header.first, 3);
    EXPECT_SAID(": 3 records are missing here, which the snapshot has\n");
    size_t third = journal.count - (size_t)(journal_last() - journal_reaches()) - 1;
    EXPECT_EQ(journal.places[third].record.sequence, journal_reaches());
    put_bytes(journal.active, first, journal.bytes[journal.active] + first,
              journal.places[third].offset - first);
    EXPECT(check_journal("journal") > 0);
    EXPECT_SAID(": 1 record is missing here, which the snapshot has\n");
    EXPECT(repair_journal("journal") > 0);
    EXPECT_EQ(check_journal("journal"), 0);
    EXPECT_EQ(scene_recover("journal").sequence, journal_reaches());
}

/* A sound record that no journal comes to. */
static void a_sequence_beyond_all_is_mended(void)
{
    make_captured();
    struct place *place = journal.places;
    EXPECT_EQ(place->record.type, RECORD_ACCOUNT);
    place->record.received = -1;
    seal(&place->record, (char *)journal.bytes[journal.active] + place->offset + sizeof(place->record));
    put_bytes(journal.active, place->offset, &place->record, sizeof(place->record));
    EXPECT_EQ(scene_recover("journal").status, STATUS_MISMATCH);
    EXPECT(check_journal("journal") > 0);
    EXPECT(repair_journal("journal") > 0);
    EXPECT_EQ(check_journal("journal"), 0);
    EXPECT_EQ(scene_recover("journal").sequence, JOURNAL_FIRST_MAX / 2);
    EXPECT_EQ(check_journal("journal"), 0);
}

static void a_header_that_begins_beyond_all_is_damaged(void)
{
    make_captured();
    journal.header.first = JOURNAL_FIRST_MAX + 1;
    journal.header.crc = journal_header_crc(&journal.header);
    put_bytes(journal.active, 0, &journal.header, sizeof(journal.header));
    EXPECT_EQ(scene_recover("journal").status, STATUS_MISMATCH);
    EXPECT(check_journal("journal") > 0);
    EXPECT_EQ(repair_journal("journal"), 0);
    EXPECT_EQ(scene_recover("journal").sequence, journal_last());
}

/* A sound record of an epoch that nothing has begun. */
static void an_epoch_without_a_beginning_is_said(void)
{
    make_plain();
    const struct place *place = &journal.places[journal.count - 1];
    struct journal_record record = place->record;
    record.epoch++;
    seal(&record, (char *)journal.bytes[0] + place->offset + sizeof(record));
    put_bytes(0, place->offset, &record, sizeof(record));
    EXPECT(check_journal("journal") > 0);
    EXPECT_SAID("0 bytes are damaged: it is of another epoch; nothing says that it was ever synced");
}

static void a_journal_of_many_accounts_is_checked(void)
{
    struct store_options options = {.directory = "journal", .journal_bytes = 1 << 20, .accounts = 2000};
    char name[32];
    store = attached_store(&options);
    for (int i = 1; i <= 1100; i++) {
        snprintf(name, sizeof(name), "account%d", i);
        EXPECT_EQ(scene_create(store, name, NULL), STATUS_OK);
    }
    EXPECT_EQ(store_settle(store), STATUS_OK);
    scene_close(store);
    EXPECT_EQ(check_journal("journal"), 0);
}

/* A sound record, and a file that is too short for so many accounts. */
static void an_account_that_there_is_no_room_for_takes_no_memory(void)
{
    struct rusage usage;
    make_plain();
    const struct place *place = journal.places;
    while (place->record.type != RECORD_ACCOUNT)
        place++;
    struct journal_record record = place->record;
    record.account = 1 << 22;
    seal(&record, (char *)journal.bytes[0] + place->offset + sizeof(record));
    put_bytes(0, place->offset, &record, sizeof(record));
    EXPECT(check_journal("journal") > 0);
    EXPECT_SAID("has no place: it contradicts the records before it");
    EXPECT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
    EXPECT(usage.ru_maxrss < 200 << 10);
}

/* ---- files ---- */

static void one_file_alone_is_a_journal(void)
{
    make_checkpointed();
    EXPECT_EQ(journal.active, 1);
    EXPECT_EQ(unlink(file_name(0)), 0);
    EXPECT_EQ(check_journal("journal"), 0);
    put_bytes(1, journal.places[journal.count - 2].offset, "nonsense", 8);
    EXPECT(check_journal("journal") > 0);
    EXPECT(repair_journal("journal") > 0);
    EXPECT_EQ(check_journal("journal"), 0);
}

static void two_files_of_one_generation_are_refused(void)
{
    make_checkpointed();
    struct journal_header header = journal.header;
    put_bytes(1 - journal.active, 0, &header, sizeof(header));
    expect_refusal("both files have the header of an active journal, but not of the same one");
    EXPECT_EQ(scene_recover("journal").status, STATUS_MISMATCH);
}

/* A journal that never had a checkpoint, and whose only file is gone: the other one was never used. */
static void beside_a_file_that_was_never_used_nothing_is_left(void)
{
    make_plain();
    put_garbage(journal.active, journal.size[journal.active]);
    expect_refusal("neither file has the header");
}

static void garbage_beside_zeros_is_no_journal(void)
{
    EXPECT_EQ(mkdir("journal", 0700), 0);
    run_command(
        "head -c 300000 /dev/zero >journal/journal.0; yes nonsense | head -c 300000 >journal/journal.1");
    expect_refusal("neither file has the header");
    run_command("cp journal/journal.0 journal/zeros; mv journal/journal.1 journal/journal.0; "
                "mv journal/zeros journal/journal.1");
    expect_refusal("neither file has the header");
}

/* ---- repairs of one moment ---- */

time_t time(time_t *now)
{
    if (now)
        *now = 1000000000;
    return 1000000000;
}

#define MOMENT "20010909T014640Z"

static void put_file(const char *name)
{
    int fd = openat(AT_FDCWD, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    EXPECT_EQ(write(fd, "kept", 4), 4);
    close(fd);
}

static bool exists(const char *name)
{
    struct stat about;
    return stat(name, &about) == 0;
}

/* Whichever of its names an earlier one has left: a repair overwrites nothing. */
static void repairs_of_one_moment_have_names_of_their_own(void)
{
    static const char *const taken[] = {"journal/journal.0.damaged-" MOMENT,
                                        "journal/journal.1.damaged-" MOMENT "-2",
                                        "journal/export-" MOMENT "-3"};
    struct stat about;
    make_plain();
    for (size_t i = 0; i < 3; i++)
        put_file(taken[i]);
    put_bytes(0, journal.places[5].offset, "nonsense", 8);
    EXPECT(repair_journal("journal") > 0);
    for (size_t i = 0; i < 3; i++)
        EXPECT(stat(taken[i], &about) == 0 && about.st_size == 4);
    EXPECT(exists("journal/journal.0.damaged-" MOMENT "-4"));
    EXPECT(exists("journal/journal.1.damaged-" MOMENT "-4"));
    EXPECT_EQ(check_journal("journal"), 0);
}

static void where_every_name_is_taken_a_repair_changes_nothing(void)
{
    char why[1024], name[80];
    make_plain();
    put_file("journal/journal.0.damaged-" MOMENT);
    for (int i = 2; i <= 1000; i++) {
        snprintf(name, sizeof(name), "journal/journal.0.damaged-" MOMENT "-%d", i);
        put_file(name);
    }
    put_bytes(0, journal.places[5].offset, "nonsense", 8);
    size_t findings = check_journal("journal");
    int files = count_files("journal");
    struct report report = hearing();
    expect_refused(journal_repair("journal", &report, why, sizeof(why)), STATUS_FULL_JOURNAL, why,
                   "cannot be kept under other names: File exists");
    EXPECT_EQ(check_journal("journal"), findings);
    EXPECT_EQ(count_files("journal"), files);
}

static const struct harness_test tests[] = {
    {"records that are missing are counted", records_that_are_missing_are_counted},
    {"what nobody knows to be synced is said to be that", what_nobody_knows_to_be_synced_is_said_to_be_that},
    {"an epoch without a beginning is said", an_epoch_without_a_beginning_is_said},
    {"a log that ends before its snapshot does is damaged",
     a_log_that_ends_before_its_snapshot_does_is_damaged},
    {"a sequence beyond all is mended", a_sequence_beyond_all_is_mended},
    {"a header that begins beyond all is damaged", a_header_that_begins_beyond_all_is_damaged},
    {"a journal of many accounts is checked", a_journal_of_many_accounts_is_checked},
    {"an account that there is no room for takes no memory",
     an_account_that_there_is_no_room_for_takes_no_memory},
    {"one file alone is a journal", one_file_alone_is_a_journal},
    {"two files of one generation are refused", two_files_of_one_generation_are_refused},
    {"beside a file that was never used nothing is left", beside_a_file_that_was_never_used_nothing_is_left},
    {"garbage beside zeros is no journal", garbage_beside_zeros_is_no_journal},
    {"repairs of one moment have names of their own", repairs_of_one_moment_have_names_of_their_own},
    {"where every name is taken a repair changes nothing",
     where_every_name_is_taken_a_repair_changes_nothing},
};

HARNESS_MAIN(tests)
