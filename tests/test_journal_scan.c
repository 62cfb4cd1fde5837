/* test_journal_scan.c: a damaged journal file, made record by record: what is sound comes in order, and what
 * lies between is measured, counted, and judged: was it on disk once? */
#include "disk.h"
#include "journal_scan.h"
#include "post_office.h"

#include "crc32c.h"

#include <stdio.h>

enum { EPOCH = 1000, FILE_MAX = 4 << 20, MEGABYTE = 1 << 20 };

static unsigned char file[FILE_MAX];
static size_t end; /* of what was put into it */

static void begin_file(void)
{
    memset(file, 0, sizeof(file));
    end = JOURNAL_HEADER_SIZE;
}

static void put_header(uint64_t first, uint64_t log)
{
    struct journal_header header = {.magic = JOURNAL_MAGIC,
                                    .version = JOURNAL_VERSION,
                                    .generation = 1,
                                    .epoch = EPOCH,
                                    .first = first,
                                    .log = log,
                                    .state = JOURNAL_ACTIVE};
    header.crc = journal_header_crc(&header);
    memcpy(file, &header, sizeof(header));
}

static void begin_log(void)
{
    begin_file();
    put_header(0, JOURNAL_HEADER_SIZE);
}

static void seal(struct journal_record *record)
{
    record->magic = RECORD_MAGIC;
    record->crc = journal_crc_end(record, journal_crc_begin(record));
}

/* Of 80 bytes. Returns its offset. */
static size_t put(struct journal_record record)
{
    size_t offset = end;
    if (record.type == 0)
        record.type = RECORD_DELETE;
    if (record.epoch == 0)
        record.epoch = EPOCH;
    seal(&record);
    memcpy(file + end, &record, sizeof(record));
    end += sizeof(record);
    return offset;
}

/* With a body of zeros. */
static void put_large(struct journal_record record, size_t length)
{
    static const char zeros[2 << 20];
    record.magic = RECORD_MAGIC;
    record.type = RECORD_MESSAGE;
    record.body_length = (uint32_t)length;
    record.epoch = record.epoch ? record.epoch : EPOCH;
    record.crc = journal_crc_end(&record, crc32c(journal_crc_begin(&record), zeros, length));
    memcpy(file + end, &record, sizeof(record));
    end += journal_size(&record);
}

static size_t put_log(uint64_t sequence, uint64_t synced)
{
    return put((struct journal_record){.sequence = sequence, .synced = synced});
}

static size_t put_snapshot(uint64_t sequence, enum journal_type type)
{
    return put(
        (struct journal_record){.sequence = sequence, .type = (uint16_t)type, .flags = RECORD_SNAPSHOT});
}

static void spoil(size_t offset)
{
    file[offset] ^= 0xff;
}

/* ---- what the scan says ---- */

static char said[4096];

static void say(const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(said);
    va_start(arguments, format);
    vsnprintf(said + used, sizeof(said) - used, format, arguments);
    va_end(arguments);
}

static void say_gap(const struct journal_scan *scan, const char *what)
{
    say("%s@%zu+%zu", what, (size_t)scan->offset, (size_t)scan->length);
    if (scan->missing)
        say(" missing %zu", (size_t)scan->missing);
    say("%s (%s); ", scan->harmless ? " harmless" : "", scan->reason);
}

static int open_journal(void)
{
    disk_memory[0] = memfd_create("journal", MFD_CLOEXEC);
    EXPECT(disk_memory[0] >= 0);
    EXPECT_EQ(write(disk_memory[0], file, end), (ssize_t)end);
    return openat(AT_FDCWD, "journal.0", O_RDONLY | O_CLOEXEC);
}

/* A server ends where the scan first finds no record, and refuses exactly where that is damage. */
static void expect_server_agrees(int fd, const struct journal_scan *scan, enum scan_found next)
{
    struct journal_reader reader;
    struct journal_record record;
    const char *texts;
    enum journal_found found = journal_read_open(&reader, fd);
    while (found == FOUND_RECORD)
        found = journal_read(&reader, &record, &texts);
    EXPECT_EQ(found, next == SCAN_DAMAGE ? FOUND_DAMAGE : FOUND_END);
    EXPECT_EQ(reader.offset, scan->offset);
    journal_read_close(&reader);
}

/* "3 4 damage@4184+80 missing 1 (...); 6 end"; a snapshot's sequences begin with s. */
static const char *scan_file(void)
{
    struct journal_scan scan;
    struct journal_record record;
    const char *texts;
    enum journal_found found;
    int fd = open_journal();
    said[0] = '\0';
    bool readable = journal_scan_open(&scan, fd, &found);
    bool sound = readable && !scan.header_is_lost;
    if (!readable)
        say(found == FOUND_END ? "blank" : found == FOUND_DAMAGE ? "nothing sound" : "trouble");
    for (int steps = 0; readable; steps++) {
        enum scan_found next = journal_scan_next(&scan, &record, &texts);
        EXPECT(steps < 1000);
        if (sound && next != SCAN_RECORD && next != SCAN_TROUBLE && !fault.kinds && disk_bad_page < 0) {
            expect_server_agrees(fd, &scan, next);
            sound = false;
        }
        if (next == SCAN_RECORD)
            say("%s%zu ", record.flags & RECORD_SNAPSHOT ? "s" : "", (size_t)record.sequence);
        else if (next == SCAN_DAMAGE)
            say_gap(&scan, "damage");
        else if (next == SCAN_TORN)
            say_gap(&scan, "torn");
        else if (next == SCAN_TROUBLE)
            say("trouble");
        else
            say("%s", scan.torn ? "torn end" : "end");
        if (next == SCAN_END)
            EXPECT_EQ(journal_scan_next(&scan, &record, &texts), SCAN_END);
        readable = next != SCAN_END && next != SCAN_TROUBLE;
    }
    journal_scan_close(&scan);
    close(fd);
    close(disk_memory[0]);
    return said;
}

/* ---- a log ---- */

static void what_was_on_disk_is_told_from_what_never_was(void)
{
    begin_log();
    EXPECT_STR(scan_file(), "end");
    put_log(1, 0);
    size_t second = put_log(2, 1);
    put_log(3, 1);
    EXPECT_STR(scan_file(), "1 2 3 end");
    spoil(second);
    EXPECT_STR(scan_file(), "1 torn@4176+80 missing 1 (no record begins here); 3 end");
    put_log(4, 2);
    EXPECT_STR(scan_file(), "1 damage@4176+80 missing 1 (no record begins here); 3 4 end");
    spoil(second);
    spoil(end - 80);
    EXPECT_STR(scan_file(), "1 2 3 torn end");
    spoil(end - 80);
    spoil(end - 80 + offsetof(struct journal_record, epoch));
    EXPECT_STR(scan_file(), "1 2 3 torn end");
    spoil(end - 80);
    EXPECT_STR(scan_file(), "1 2 3 end");
    spoil(end - 80);
    spoil(end - 80 + offsetof(struct journal_record, epoch));
    end -= 40;
    EXPECT_STR(scan_file(), "1 2 3 torn end");
}

static void a_file_that_ends_within_its_header_has_lost_nothing_that_can_be_counted(void)
{
    begin_file();
    put_header(1, JOURNAL_HEADER_SIZE + 160);
    end = 72;
    EXPECT(strstr(scan_file(), "damage@4096+0 "));
}

static void what_no_longer_counts_is_passed_over(void)
{
    begin_log();
    put_log(1, 0);
    put_snapshot(2, RECORD_DELETE);
    put_log(2, 1);
    put_log(3, 2);
    EXPECT_STR(scan_file(), "1 damage@4176+80 (its sequence is not the next one); 2 3 end");
    begin_log();
    put_log(1, 0);
    put_log(1, 0);
    put_log(2, 1);
    put_log(3, 2);
    EXPECT_STR(scan_file(), "1 damage@4176+80 (its sequence is not the next one); 2 3 end");
    begin_log();
    put_log(1, 0);
    put((struct journal_record){.sequence = 2, .epoch = EPOCH - 1});
    put_log(2, 1);
    EXPECT_STR(scan_file(), "1 torn@4176+80 (it is of another epoch); 2 end");
    begin_log();
    put_log(1, 0);
    put((struct journal_record){.sequence = 2, .epoch = EPOCH + 1});
    EXPECT_STR(scan_file(), "1 torn@4176+0 (it is of another epoch); 2 end");
    begin_log();
    put_log(1, 0);
    put_log(3, 2);
    EXPECT_STR(scan_file(), "1 damage@4176+0 missing 1 (its sequence is not the next one); 3 end");
    begin_log();
    put_log(1, 0);
    spoil(put_log(2, 1));
    put_log(1, 9); /* no writer makes one: it would have been on disk before it was written */
    EXPECT_STR(scan_file(), "1 torn end");
    begin_log();
    put_log(1, 0);
    put((struct journal_record){.sequence = 2, .type = RECORD_END});
    put_log(3, 2);
    EXPECT_STR(scan_file(), "1 2 3 end");
}

static void records_that_are_missing_without_a_gap_are_counted(void)
{
    begin_log();
    put_log(1, 0);
    put_log(4, 3);
    put_log(5, 4);
    EXPECT_STR(scan_file(), "1 damage@4176+0 missing 2 (its sequence is not the next one); 4 5 end");
}

static void an_epoch_whose_beginning_is_lost_is_no_loss(void)
{
    begin_log();
    put_log(1, 0);
    size_t epoch =
        put((struct journal_record){.type = RECORD_EPOCH, .sequence = 2, .synced = 1, .other = EPOCH + 1});
    put((struct journal_record){.sequence = 3, .synced = 2, .epoch = EPOCH + 1});
    EXPECT_STR(scan_file(), "1 2 3 end");
    spoil(epoch);
    EXPECT_STR(scan_file(), "1 damage@4176+80 missing 1 harmless (no record begins here); 3 end");
}

static void what_is_impossible_is_no_record(void)
{
    static const struct journal_record impossible[] = {
        {.sequence = 2, .type = RECORD_TYPES},
        {.sequence = 2, .sender_length = NAME_MAX_BYTES + 1},
        {.sequence = 2, .subject_length = SUBJECT_MAX + 1},
        {.sequence = 2, .body_length = MESSAGE_LIMIT_MAX + 1},
    };
    for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
        begin_log();
        put_log(1, 0);
        put(impossible[i]);
        put_log(3, 2);
        EXPECT_STR(scan_file(), "1 damage@4176+80 missing 1 (its type or its lengths are impossible); 3 end");
    }
    begin_log();
    put_log(1, 0);
    put((struct journal_record){.sequence = 2, .body_length = 1000});
    put_log(3, 2);
    EXPECT_STR(scan_file(), "1 damage@4176+80 missing 1 (the file ends within it); 3 end");
}

/* ---- a snapshot ---- */

static size_t begin_snapshot(bool with_header)
{
    begin_file();
    put_snapshot(1, RECORD_MESSAGE);
    put_snapshot(2, RECORD_MESSAGE);
    size_t last = put_snapshot(3, RECORD_END);
    if (with_header)
        put_header(10, end);
    else
        memset(file, 0x55, 64);
    return last;
}

static void a_snapshot_is_whole_or_damaged(void)
{
    size_t last = begin_snapshot(true);
    put_log(11, 10);
    EXPECT_STR(scan_file(), "s1 s2 s3 11 end");
    spoil(last - 80);
    EXPECT_STR(scan_file(), "s1 damage@4176+80 missing 1 (no record begins here); s3 11 end");
    spoil(last - 80);
    spoil(last);
    EXPECT_STR(scan_file(), "s1 s2 damage@4256+80 (no record begins here); 11 end");
    end = last + 40;
    EXPECT_STR(scan_file(), "s1 s2 damage@4256+40 (the file ends too early); end");
    begin_snapshot(true);
    file[JOURNAL_HEADER_SIZE] ^= 1; /* as if the second one had been copied in front */
    memcpy(file + JOURNAL_HEADER_SIZE, file + JOURNAL_HEADER_SIZE + 80, 80);
    EXPECT_STR(scan_file(), "damage@4096+0 missing 1 (its sequence is not the next one); s2 "
                            "damage@4176+80 (its sequence is not the next one); s3 end");
}

/* Of records that were written in one go the header says where they end; what if that is within one? */
static void a_log_that_would_begin_within_a_record_begins_behind_it(void)
{
    size_t last = begin_snapshot(true);
    put_log(11, 10);
    put_header(10, last + 40);
    EXPECT_STR(scan_file(), "s1 s2 s3 11 end");
}

/* ---- a lost header ---- */

static void without_a_header_records_tell(void)
{
    size_t last = begin_snapshot(false);
    size_t first = put_log(11, 10);
    put_log(12, 11);
    EXPECT_STR(scan_file(), "s1 s2 s3 11 12 end");
    spoil(first); /* nobody knows that it was the eleventh */
    EXPECT_STR(scan_file(), "s1 s2 s3 damage@4336+80 (no record begins here); 12 end");
    spoil(first);
    spoil(last);
    EXPECT_STR(scan_file(), "s1 s2 damage@4256+80 (no record begins here); 11 12 end");
    spoil(JOURNAL_HEADER_SIZE);
    EXPECT_STR(scan_file(), "damage@4096+80 missing 1 (no record begins here); s2 "
                            "damage@4256+80 (no record begins here); 11 12 end");
}

static void put_snapshot_of(uint64_t epoch, uint64_t from, uint64_t to)
{
    for (uint64_t sequence = from; sequence <= to; sequence++)
        put((struct journal_record){.sequence = sequence,
                                    .epoch = epoch,
                                    .type = sequence == to ? RECORD_END : RECORD_MESSAGE,
                                    .flags = RECORD_SNAPSHOT});
}

/* A longer snapshot and a log lie behind a shorter one's. */
static void what_a_file_was_before_is_told_from_what_it_is(void)
{
    begin_file();
    memset(file, 0x55, 64);
    put_snapshot_of(EPOCH, 1, 3);
    size_t first = end;
    put_log(21, 20);
    size_t second = put_log(22, 21);
    put_snapshot_of(EPOCH - 1, 6, 9);
    put((struct journal_record){.sequence = 23, .synced = 22, .epoch = EPOCH - 1});
    EXPECT_STR(scan_file(), "s1 s2 s3 21 22 end");
    spoil(first);
    EXPECT_STR(scan_file(), "s1 s2 s3 damage@4336+80 (no record begins here); 22 end");
    spoil(second);
    EXPECT_STR(scan_file(), "s1 s2 s3 end");
    spoil(first - 80);
    EXPECT_STR(scan_file(), "s1 s2 damage@4256+640 (no record begins here); end");
    put_log(24, 23);
    EXPECT_STR(scan_file(), "s1 s2 damage@4256+640 (no record begins here); 24 end");
}

static void without_header_and_records_there_is_nothing(void)
{
    begin_file();
    end = 300000;
    EXPECT_STR(scan_file(), "blank");
    file[end - 1] = 1;
    EXPECT_STR(scan_file(), "nothing sound");
    file[end - 1] = 0;
    file[1] = 1;
    EXPECT_STR(scan_file(), "nothing sound");
    begin_log();
    memset(file, 0x55, 64);
    put_log(1, 0);
    put_log(2, 1);
    EXPECT_STR(scan_file(), "1 2 end");
    spoil(JOURNAL_HEADER_SIZE);
    EXPECT_STR(scan_file(), "damage@4096+80 missing 1 (no record begins here); 2 end");
    end = 40;
    EXPECT_STR(scan_file(), "nothing sound");
    end = 0;
    EXPECT_STR(scan_file(), "blank");
}

/* ---- a file that cannot be read ---- */

/* Longer than what is read at once: the search for what goes on behind the damage reads more of it, and what
 * it has passed again. */
static void begin_long(void)
{
    begin_log();
    put_log(1, 0);
    end = (size_t)3 * MEGABYTE;
    put_log(3, 1);
    put_log(4, 2);
}

/* What proves that the second record had been on disk lies far behind the third. */
static void begin_far(void)
{
    begin_log();
    put_log(1, 0);
    put_large((struct journal_record){.sequence = 2, .epoch = EPOCH - 1}, 1200000);
    put_log(3, 1);
    put_large((struct journal_record){.sequence = 4, .synced = 1}, 600000);
    put_large((struct journal_record){.sequence = 5, .synced = 1}, 600000);
    put_log(6, 2);
}

/* The first record that is left to tell what the header said lies far away. */
static void begin_headless(void)
{
    begin_long();
    memset(file, 0x55, 64);
    spoil(JOURNAL_HEADER_SIZE);
}

/* What goes on behind the damage begins within what is read at once, and ends far behind it. */
static void begin_wide(void)
{
    begin_log();
    put_log(1, 0);
    end = MEGABYTE - 400;
    put_large((struct journal_record){.sequence = 3, .synced = 1}, 600000);
    put_log(4, 2);
}

/* Who passed over it would learn another epoch, of which it is not. */
static void begin_wide_headless(void)
{
    begin_wide();
    end -= sizeof(struct journal_record);
    put((struct journal_record){.sequence = 4, .synced = 2, .epoch = EPOCH + 1});
    memset(file, 0x55, 64);
    spoil(JOURNAL_HEADER_SIZE);
}

static const char long_expected[] = "1 damage@4176+3141552 missing 1 (no record begins here); 3 4 end";

static void a_gap_may_be_longer_than_what_is_read_at_once(void)
{
    begin_long();
    EXPECT_STR(scan_file(), long_expected);
    begin_far();
    EXPECT_STR(scan_file(), "1 damage@4176+1200080 missing 1 (it is of another epoch); 3 4 5 6 end");
    begin_headless();
    EXPECT_STR(scan_file(), "damage@4096+3141632 missing 2 (no record begins here); 3 4 end");
    begin_wide();
    EXPECT_STR(scan_file(), "1 damage@4176+1044000 missing 1 (no record begins here); 3 4 end");
    begin_wide_headless();
    EXPECT_STR(scan_file(), "damage@4096+1044080 missing 2 (no record begins here); 3 "
                            "torn@1648256+0 (it is of another epoch); 4 end");
}

/* What was said before is the truth. */
static void expect_prefix_and_trouble(const char *expected)
{
    size_t length = strlen(said);
    size_t trouble = strlen("trouble");
    if (length < trouble || strcmp(said + length - trouble, "trouble") != 0 ||
        strncmp(said, expected, length - trouble) != 0)
        harness_fail(__FILE__, __LINE__, "call %ju fails: %s", (uintmax_t)fault.at, said);
}

static void (*const long_files[])(void) = {begin_long, begin_far, begin_headless, begin_wide,
                                           begin_wide_headless};

static void where_reading_fails_the_scan_says_so(void)
{
    static const int errors[] = {EINVAL, EINTR, DISK_SHORT, DISK_NOTHING};
    static char expected[sizeof(said)];
    for (size_t i = 0; i < sizeof(long_files) / sizeof(long_files[0]); i++) {
        long_files[i]();
        snprintf(expected, sizeof(expected), "%s", scan_file());
        for (size_t error = 0; error < sizeof(errors) / sizeof(errors[0]); error++) {
            bool struck = true;
            for (fault.at = 1; struck; fault.at++) {
                fault.seen = 0;
                fault.error = errors[error];
                fault.kinds = CALL_READ;
                scan_file();
                struck = fault.seen >= fault.at;
                fault.kinds = 0;
                if (strcmp(said, expected) != 0) {
                    EXPECT(errors[error] == EINVAL || errors[error] == DISK_NOTHING);
                    expect_prefix_and_trouble(expected);
                }
            }
            EXPECT(fault.at > 4);
        }
    }
}

/* The bad page is taken for damage, wherever it lies; what follows it is kept. */
static void a_page_that_cannot_be_read_is_damage(void)
{
    static const off_t pages[] = {
        4096, 8192, MEGABYTE, MEGABYTE + BAD_PAGE, (off_t)294 * BAD_PAGE, (off_t)440 * BAD_PAGE};
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        begin_far();
        disk_bad_page = pages[i];
        scan_file();
        disk_bad_page = -BAD_PAGE;
        EXPECT(strstr(said, "damage@") && strstr(said, "6 end"));
        if (!strstr(said, ": Input/output error)"))
            harness_fail(__FILE__, __LINE__, "page %ju: %s", (uintmax_t)pages[i], said);
    }
    begin_long();
    fault.kinds = CALL_READ;
    fault.error = EIO;
    fault.at = 3; /* once: when it is looked at again it can be read */
    fault.seen = 0;
    EXPECT_STR(scan_file(), long_expected);
    fault.kinds = 0;
}

static const struct harness_test tests[] = {
    {"what was on disk is told from what never was", what_was_on_disk_is_told_from_what_never_was},
    {"a file that ends within its header has lost nothing that can be counted",
     a_file_that_ends_within_its_header_has_lost_nothing_that_can_be_counted},
    {"what no longer counts is passed over", what_no_longer_counts_is_passed_over},
    {"records that are missing without a gap are counted",
     records_that_are_missing_without_a_gap_are_counted},
    {"an epoch whose beginning is lost is no loss", an_epoch_whose_beginning_is_lost_is_no_loss},
    {"what is impossible is no record", what_is_impossible_is_no_record},
    {"a snapshot is whole or damaged", a_snapshot_is_whole_or_damaged},
    {"a log that would begin within a record begins behind it",
     a_log_that_would_begin_within_a_record_begins_behind_it},
    {"without a header records tell", without_a_header_records_tell},
    {"what a file was before is told from what it is", what_a_file_was_before_is_told_from_what_it_is},
    {"without header and records there is nothing", without_header_and_records_there_is_nothing},
    {"a gap may be longer than what is read at once", a_gap_may_be_longer_than_what_is_read_at_once},
    {"where reading fails the scan says so", where_reading_fails_the_scan_says_so},
    {"a page that cannot be read is damage", a_page_that_cannot_be_read_is_damage},
};

HARNESS_MAIN(tests)
