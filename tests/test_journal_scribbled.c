/* test_journal_scribbled.c: a segment that says what cannot be, seen by who names its journal: no text goes
 * on without an end. */
#include "disk.h"
#include "scene.h"

static struct store *store;

static void begin(void)
{
    store = attached_store(&scene_options);
    for (int which = 0; which < SCENE_FIRST_HALF; which++)
        EXPECT_EQ(scene_operation(store, which), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

/* ---- its directory's name ---- */

/* Without an end, in front of what is nobody's business. */
static void spoil_directory(void)
{
    char *directory = store->header->journal.directory;
    size_t size = sizeof(store->header->journal.directory);
    EXPECT(segment_offset(store, directory) + size + 32 <= PAGE);
    memset(directory, 'x', size);
    memset(directory + size, 'y', 32);
}

static void expect_cut(const char *text)
{
    if (!strstr(text, "xxx") || strstr(text, "xy"))
        harness_fail(__FILE__, __LINE__, "\"%s\"", text);
}

static void expect_refusal_that_is_cut(const char *directory)
{
    struct store_options options = scene_options;
    struct store *refused;
    char why[2048] = "";
    options.name = harness_name();
    options.directory = directory;
    options.must_exist = options.changes = true;
    EXPECT_EQ(store_open(&refused, &options, why, sizeof(why)), STATUS_MISMATCH);
    expect_cut(why);
}

static void a_directory_whose_name_has_no_end_is_cut_where_it_is_refused(void)
{
    struct store_options options = scene_options;
    options.name = harness_name();
    store = attached_store(&options);
    spoil_directory();
    expect_refusal_that_is_cut(NULL);
    expect_refusal_that_is_cut("another");
    EXPECT_EQ(mkdir("third", 0700), 0);
    close(open("third/lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    expect_refusal_that_is_cut("third");
}

static void a_directory_whose_name_has_no_end_is_cut_in_the_log(void)
{
    char text[4096] = "";
    begin();
    spoil_directory();
    int log = open("log", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    int before = dup(STDERR_FILENO);
    EXPECT(log >= 0 && before >= 0 && dup2(log, STDERR_FILENO) == STDERR_FILENO);
    journal_fail(store, EIO, "a test");
    EXPECT_EQ(dup2(before, STDERR_FILENO), STDERR_FILENO);
    EXPECT(pread(log, text, sizeof(text) - 1, 0) > 0);
    expect_cut(text);
}

static const struct harness_test tests[] = {
    {"a directory whose name has no end is cut where it is refused",
     a_directory_whose_name_has_no_end_is_cut_where_it_is_refused},
    {"a directory whose name has no end is cut in the log",
     a_directory_whose_name_has_no_end_is_cut_in_the_log},
};

HARNESS_MAIN(tests)
