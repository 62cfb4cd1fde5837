/* test_journal_print.c: what 'shmailctl journal' says of a file: every record by its fields, every place
 * where something is wrong, and never a hash. */
#include "journal_bytes.h"

#include "buffer.h"
#include "journal_tools.h"

static struct buffer printed; /* and a NUL that does not count */
static char why[1024];
static bool damaged;

static void take(void *context, const char *bytes, size_t length)
{
    unsigned kinds = fault.kinds;
    (void)context;
    fault.kinds = 0;
    EXPECT(buffer_append(&printed, bytes, length) && buffer_reserve(&printed, 1));
    printed.bytes[printed.length] = '\0';
    fault.kinds = kinds;
}

static enum status print(const char *directory, const char *file, bool texts)
{
    const struct journal_sink sink = {.put = take};
    buffer_clear(&printed);
    EXPECT(buffer_reserve(&printed, 1));
    printed.bytes[0] = '\0';
    why[0] = '\0';
    return journal_print(directory, file, texts, &sink, &damaged, why, sizeof(why));
}

static bool was_printed(const char *words)
{
    return strstr(printed.bytes, words) != NULL;
}

#define EXPECT_PRINTED(words)     \
    (was_printed(words) ? (void)0 \
                        : harness_fail(__FILE__, __LINE__, "not \"%s\" but:\n%s", words, printed.bytes))

/* Prints the active file of the journal that journal_bytes.h holds. */
static void expect_print(bool texts)
{
    EXPECT_EQ(print("journal", NULL, texts), STATUS_OK);
    EXPECT_STR(why, "");
}

static const char *file_of(int file)
{
    return file ? "journal/journal.1" : "journal/journal.0";
}

static void write_at(int file, size_t offset, const void *bytes, size_t length)
{
    int fd = open(file_of(file), O_WRONLY | O_CLOEXEC);
    EXPECT(fd >= 0);
    EXPECT_EQ(syscall(SYS_pwrite64, fd, bytes, length, offset), (ssize_t)length);
    close(fd);
}

/* ---- records ---- */

static void count_lines(size_t expected)
{
    size_t lines = 0;
    for (size_t i = 0; i < printed.length; i++)
        lines += printed.bytes[i] == '\n';
    EXPECT_EQ(lines, expected);
}

static void every_kind_of_record_is_a_line(void)
{
    make_plain();
    expect_print(false);
    EXPECT(!damaged);
    count_lines(1 + journal.count);
    EXPECT_PRINTED("0 - header version=1 generation=1 epoch=");
    EXPECT_PRINTED(" first=0 log=4096 state=active\n");
    EXPECT_PRINTED("4096 1 account synced=0 account=1 name=5 hash=9\n");
    EXPECT_PRINTED(" 2 account synced=1 account=2 name=3 hash=0\n");
    EXPECT_PRINTED(" 4 message synced=3 account=2 id=1 time=");
    EXPECT_PRINTED("Z sender=17 subject=3 body=3\n");
    EXPECT_PRINTED(" 6 queue synced=5 account=1 id=1 time=");
    EXPECT_PRINTED(" 10 store synced=9 account=1 id=2 to=2 to-id=3 time=");
    EXPECT_PRINTED(" 11 delete synced=10 account=2 id=1\n");
    EXPECT_PRINTED(" 12 password synced=11 account=1 name=5 hash=13\n");
    EXPECT_PRINTED(" 14 remove synced=13 account=3\n");
    EXPECT(!was_printed("torn") && !was_printed("\""));
    EXPECT_STR(journal_type_name(RECORD_TYPES), "?");
}

static void texts_are_shown_and_escaped_but_no_hash(void)
{
    begin_journal();
    EXPECT_EQ(scene_create(store, "Alice", "$y$a hash"), STATUS_OK);
    account_t alice = scene_account(store, "alice");
    message_id id;
    EXPECT_EQ(deliver(store, alice, "bob", "say \"hi\"", "one\n\x1b[2Jtwo\\", 12, &id), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    scene_close(store);
    expect_print(true);
    EXPECT_PRINTED(" name=5:\"Alice\" hash=");
    EXPECT_PRINTED(" sender=3:\"bob\" subject=8:\"say \\\"hi\\\"\" body=12:\"one\\x0a\\x1b[2Jtwo\\\\\"");
    EXPECT(!was_printed("$y$") && !was_printed("\x1b"));
    expect_print(false);
    EXPECT(!was_printed("Alice") && !was_printed("bob"));
}

static void a_snapshot_says_of_when_it_is(void)
{
    make_checkpointed();
    expect_print(true);
    EXPECT(!damaged);
    count_lines(1 + journal.count);
    EXPECT_PRINTED("s1 account account=1 as-of=9 newest=0 queue-newest=2 name=5:\"Alice\" hash=9\n");
    EXPECT_PRINTED(" message account=2 id=2 time=");
    EXPECT_PRINTED(" queue account=1 id=2 time=");
    EXPECT_PRINTED(" end records=");
    EXPECT_PRINTED(" epoch synced=");
    /* a STORE that was made while the checkpoint ran brings its message along */
    EXPECT_PRINTED(" store synced=");
    EXPECT_PRINTED(" sender=3:\"bob\" subject=6:\"queued\" body=17:\"");
    EXPECT_EQ(print(NULL, file_of(1 - journal.active), false), STATUS_OK);
    EXPECT_PRINTED(" state=superseded\n");
}

static void an_account_that_was_removed_is_in_a_snapshot_by_its_index(void)
{
    begin_journal();
    do_and_settle(0, 14);
    EXPECT_EQ(journal_checkpoint(store, scene_options.journal_bytes), STATUS_OK);
    scene_close(store);
    expect_print(true);
    EXPECT_PRINTED(" remove account=3 as-of=14\n");
}

/* A sound record whose time no calendar has. */
static void a_time_beyond_all_years_is_left_out(void)
{
    make_plain();
    struct place *place = &journal.places[3];
    EXPECT_EQ(place->record.type, RECORD_MESSAGE);
    struct journal_record record = place->record;
    record.received = INT64_MAX;
    seal(&record, (char *)journal.bytes[journal.active] + place->offset + sizeof(record));
    write_at(journal.active, place->offset, &record, sizeof(record));
    expect_print(false);
    EXPECT(!damaged);
    EXPECT_PRINTED(" 4 message synced=3 account=2 id=1 sender=17 subject=3 body=3\n");
}

/* ---- what is wrong ---- */

static void damage_is_named_where_it_is(void)
{
    char line[128];
    make_plain();
    const struct place *place = &journal.places[5];
    write_at(journal.active, place->offset, "nonsense", 8);
    expect_print(false);
    EXPECT(damaged);
    snprintf(line, sizeof(line), "\n%zu - damage bytes=%zu missing=1 (no record begins here)\n",
             place->offset, place->size);
    EXPECT_PRINTED(line);
    /* The last three were never settled: what is wrong with the first of them was never acknowledged. */
    write_at(journal.active, place->offset, &place->record, 8);
    place = &journal.places[journal.count - 3];
    write_at(journal.active, place->offset, "nonsense", 8);
    expect_print(false);
    EXPECT(damaged);
    snprintf(line, sizeof(line), "\n%zu - torn bytes=%zu missing=1 (no record begins here)\n", place->offset,
             place->size);
    EXPECT_PRINTED(line);
    place = &journal.places[journal.count - 1];
    write_at(journal.active, place->offset, "nonsense", 8);
    expect_print(false);
    snprintf(line, sizeof(line), "\n%zu - torn (nothing says that it was ever synced)\n", place->offset);
    EXPECT_PRINTED(line);
}

static void a_header_that_is_lost_or_of_another_version_is_said(void)
{
    struct journal_header header;
    make_plain();
    header = journal.header;
    header.state = 3;
    header.crc = journal_header_crc(&header);
    write_at(journal.active, 0, &header, sizeof(header));
    EXPECT_EQ(print(NULL, file_of(journal.active), false), STATUS_OK);
    EXPECT(!damaged);
    EXPECT_PRINTED(" state=?\n");
    header.version = 2;
    header.crc = journal_header_crc(&header);
    write_at(journal.active, 0, &header, sizeof(header));
    EXPECT_EQ(print(NULL, file_of(journal.active), false), STATUS_OK);
    EXPECT_PRINTED("0 - header version=2 ");
    count_lines(1);
    EXPECT_EQ(print("journal", NULL, false), STATUS_MISMATCH);
    EXPECT(strstr(why, "of version 2"));
    write_at(journal.active, 0, "nonsense", 8);
    expect_print(false);
    EXPECT(damaged);
    EXPECT_PRINTED("0 - header damaged\n4096 1 account ");
    count_lines(1 + journal.count);
    EXPECT_EQ(truncate(file_of(journal.active), JOURNAL_HEADER_SIZE), 0);
    EXPECT_EQ(print(NULL, file_of(journal.active), false), STATUS_OK);
    EXPECT(damaged);
    EXPECT_STR(printed.bytes, "0 - header damaged\n");
}

/* Of the log's first record only a header that is lost as well could tell which it was. */
static void what_nobody_knows_is_not_counted(void)
{
    size_t first = 0;
    make_checkpointed();
    while (journal.places[first].record.flags & RECORD_SNAPSHOT)
        first++;
    write_at(journal.active, 0, "nonsense", 8);
    write_at(journal.active, journal.places[first].offset, "nonsense", 8);
    EXPECT_EQ(print(NULL, file_of(journal.active), false), STATUS_OK);
    EXPECT(damaged);
    EXPECT_PRINTED(" - damage bytes=192 (no record begins here)\n");
}

static void what_cannot_be_read_is_said(void)
{
    EXPECT_EQ(print("journal", NULL, false), STATUS_SYSTEM);
    EXPECT(strstr(why, "No such file"));
    EXPECT_EQ(print(NULL, "nothing", false), STATUS_SYSTEM);
    EXPECT_STR(why, "nothing cannot be read: No such file or directory");
    EXPECT_EQ(print(NULL, ".", false), STATUS_SYSTEM);
    EXPECT_STR(why, ". cannot be read: Is a directory");
    /* Which are empty for who only asks how long they are. */
    EXPECT_EQ(mkfifo("pipe", 0600), 0);
    EXPECT_EQ(print(NULL, "pipe", false), STATUS_SYSTEM);
    EXPECT_STR(why, "pipe cannot be read: Illegal seek");
    EXPECT_EQ(print(NULL, "/dev/null", false), STATUS_SYSTEM);
    EXPECT_EQ(mkdir("pipes", 0700), 0);
    EXPECT_EQ(mkfifo("pipes/journal.0", 0600), 0);
    EXPECT_EQ(print("pipes", NULL, false), STATUS_SYSTEM);
    EXPECT_STR(why, "journal directory pipes: journal.0: Illegal seek");
    make_plain();
    fault.kinds = CALL_PEEK | CALL_READ;
    fault.error = EBADF;
    fault.lasts = true;
    for (fault.at = 1; fault.at < 3; fault.at++) {
        fault.seen = 0;
        EXPECT_EQ(print("journal", NULL, false), STATUS_SYSTEM);
        EXPECT(strstr(why, "Bad file descriptor"));
    }
}

static void an_empty_journal_has_no_lines(void)
{
    EXPECT_EQ(mkdir("journal", 0700), 0);
    int fd = open(file_of(0), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(ftruncate(fd, 100000), 0);
    close(fd);
    expect_print(true);
    EXPECT(!damaged);
    EXPECT_STR(printed.bytes, "");
    EXPECT_EQ(print(NULL, file_of(0), true), STATUS_OK);
    EXPECT(!damaged);
    EXPECT_STR(printed.bytes, "");
}

#if DISK_HAS_MEMORY
static void without_memory_it_says_so(void)
{
    enum status status = STATUS_SYSTEM;
    make_plain();
    expect_print(true);
    size_t length = printed.length;
    fault.error = ENOMEM;
    for (fault.at = 1; status != STATUS_OK; fault.at++) {
        fault.seen = 0;
        fault.kinds = CALL_MEMORY;
        status = print("journal", NULL, true);
        fault.kinds = 0;
        EXPECT(status == STATUS_OK || why[0]);
        EXPECT((status == STATUS_OK) == (printed.length == length));
    }
    EXPECT(fault.at > 3);
}
#endif

static const struct harness_test tests[] = {
    {"every kind of record is a line", every_kind_of_record_is_a_line},
    {"texts are shown and escaped, but no hash", texts_are_shown_and_escaped_but_no_hash},
    {"a snapshot says of when it is", a_snapshot_says_of_when_it_is},
    {"an account that was removed is in a snapshot by its index",
     an_account_that_was_removed_is_in_a_snapshot_by_its_index},
    {"a time beyond all years is left out", a_time_beyond_all_years_is_left_out},
    {"damage is named where it is", damage_is_named_where_it_is},
    {"a header that is lost or of another version is said",
     a_header_that_is_lost_or_of_another_version_is_said},
    {"what nobody knows is not counted", what_nobody_knows_is_not_counted},
    {"what cannot be read is said", what_cannot_be_read_is_said},
    {"an empty journal has no lines", an_empty_journal_has_no_lines},
#if DISK_HAS_MEMORY
    {"without memory it says so", without_memory_it_says_so},
#endif
};

HARNESS_MAIN(tests)
