/* test_journal_names.c: records that are whole, but register what can be no account: a server refuses them
 * where they stand, and a repair passes over them and nothing else. */
#include "account.h"
#include "crc32c.h"
#include "journal_format.h"
#include "journal_tools.h"
#include "post_office.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DIRECTORY "journal"

static char file[8192];
static size_t end;
static uint64_t sequence;

static void put_record(enum journal_type type, uint32_t account, const char *name, size_t name_length,
                       const char *hash, size_t hash_length)
{
    sequence++;
    struct journal_record record = {.magic = RECORD_MAGIC,
                                    .type = (uint16_t)type,
                                    .sequence = sequence,
                                    .epoch = 1,
                                    .account = account,
                                    .sender_length = (uint8_t)name_length,
                                    .subject_length = (uint16_t)hash_length};
    char *texts = file + end + sizeof(record);
    memcpy(texts, name, name_length);
    memcpy(texts + name_length, hash, hash_length);
    record.crc =
        journal_crc_end(&record, crc32c(journal_crc_begin(&record), texts, (size_t)journal_texts(&record)));
    memcpy(file + end, &record, sizeof(record));
    end += journal_size(&record);
}

static void write_file(void)
{
    EXPECT(mkdir(DIRECTORY, 0700) == 0 || access(DIRECTORY, W_OK) == 0);
    int journal = open(DIRECTORY "/journal.0", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    EXPECT(journal >= 0);
    EXPECT_EQ(write(journal, file, sizeof(file)), sizeof(file));
    close(journal);
}

static void begin_file(void)
{
    struct journal_header header = {.magic = JOURNAL_MAGIC,
                                    .version = JOURNAL_VERSION,
                                    .id = {1},
                                    .generation = 1,
                                    .epoch = 1,
                                    .log = JOURNAL_HEADER_SIZE,
                                    .state = JOURNAL_ACTIVE};
    header.crc = journal_header_crc(&header);
    memset(file, 0, sizeof(file));
    memcpy(file, &header, sizeof(header));
    end = JOURNAL_HEADER_SIZE;
    sequence = 0;
}

static struct store *start(enum status expected)
{
    const struct store_options options = {.directory = DIRECTORY, .journal_bytes = 1 << 16, .accounts = 10};
    struct store *store;
    char why[512] = "";
    EXPECT_EQ(store_open(&store, &options, why, sizeof(why)), expected);
    EXPECT(expected == STATUS_OK || strstr(why, "a record does not fit those before it"));
    return store;
}

static size_t lost;

static void count_lost(void *context, enum report_kind kind, const char *text)
{
    (void)context;
    (void)text;
    lost += kind == REPORT_LOST;
}

/* bob was there before and is after it. */
static void expect_only_that_is_lost(void)
{
    struct report report = {.say = count_lost};
    char why[512] = "";
    account_t account;
    EXPECT(start(STATUS_MISMATCH) == NULL);
    lost = 0;
    EXPECT_EQ(journal_repair(DIRECTORY, &report, why, sizeof(why)), STATUS_OK);
    EXPECT_EQ(lost, 1);
    struct store *store = start(STATUS_OK);
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
    EXPECT_CLEAN(store);
    EXPECT_EQ(account_find(store, "bob", 3, &account), STATUS_OK);
    EXPECT_EQ(account.index, 1);
    struct store_figures figures;
    store_figures(store, &figures);
    EXPECT_EQ(figures.accounts, 1);
}

static void expect_no_account(enum journal_type type, uint32_t account, const char *name, size_t name_length,
                              const char *hash, size_t hash_length)
{
    pid_t pid = fork(); /* a process has one post office */
    EXPECT(pid >= 0);
    if (pid > 0) {
        int status;
        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        EXPECT_EQ(status, 0);
        return;
    }
    begin_file();
    put_record(RECORD_ACCOUNT, 1, "bob", 3, "hash", 4);
    put_record(type, account, name, name_length, hash, hash_length);
    write_file();
    expect_only_that_is_lost();
    _exit(0);
}

static void no_name_holds_a_nul(void)
{
    expect_no_account(RECORD_ACCOUNT, 2, "al\0ce", 5, "hash", 4);
    expect_no_account(RECORD_ACCOUNT, 2, "\0", 1, "", 0);
    expect_no_account(RECORD_ACCOUNT, 1, "bo\0", 3, "", 0);
    expect_no_account(RECORD_ACCOUNT, 2, "", 0, "hash", 4);
}

static void no_hash_holds_a_nul(void)
{
    expect_no_account(RECORD_ACCOUNT, 2, "alice", 5, "$y$\0x", 5);
    expect_no_account(RECORD_PASSWORD, 1, "bob", 3, "$y$\0x", 5);
}

static void no_account_is_number_0(void)
{
    expect_no_account(RECORD_ACCOUNT, 0, "alice", 5, "hash", 4);
    expect_no_account(RECORD_PASSWORD, 0, "bob", 3, "hash", 4);
}

static const struct harness_test tests[] = {
    {"no name holds a NUL", no_name_holds_a_nul},
    {"no hash holds a NUL", no_hash_holds_a_nul},
    {"no account is number 0", no_account_is_number_0},
};

HARNESS_MAIN(tests)
