/* test_refused.c: segments, options and names that are refused, each with a message that says what to do. */
#include "named_segment.h"

#include <errno.h>
#include <sys/stat.h>

static void other_sizes_are_refused(void)
{
    struct store_options options = named();
    in_a_process(fill_post_office);
    options.accounts = 999;
    expect_refusal(options, STATUS_MISMATCH, "--accounts 1000 --slots 16 --segment-size 67108864");
    options = named();
    options.slots = 17;
    expect_refusal(options, STATUS_MISMATCH, "rm");
    options = named();
    options.segment_bytes += PAGE;
    expect_refusal(options, STATUS_MISMATCH, "leave these options out");
    options.segment_bytes -= 1; /* rounded as the first one was */
    static struct store *volatile same;
    same = attached_store(&options);
    EXPECT_CLEAN(same);
}

static void write_header(size_t field, uint32_t value)
{
    int fd = open_object(O_RDWR);
    EXPECT(fd >= 0);
    EXPECT_EQ(pwrite(fd, &value, sizeof(value), (off_t)field), (ssize_t)sizeof(value));
    close(fd);
}

static uint32_t read_header(size_t field)
{
    uint32_t value;
    int fd = open_object(O_RDWR);
    EXPECT(fd >= 0);
    EXPECT_EQ(pread(fd, &value, sizeof(value), (off_t)field), (ssize_t)sizeof(value));
    close(fd);
    return value;
}

static void another_layout_is_refused(void)
{
    static const struct {
        size_t field;
        const char *words;
    } others[] = {
        {offsetof(struct header, magic), "is no post office of shmail"},
        {offsetof(struct header, version), "of another version"},
        {offsetof(struct header, records), "of another version"},
        {offsetof(struct header, segment_bytes), "it has 67108864 bytes and its header says 67174400"},
    };
    struct store_options options = {.name = harness_name()};
    in_a_process(fill_post_office);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        uint32_t value = read_header(others[i].field);
        write_header(others[i].field, value + PAGE);
        expect_refusal(options, STATUS_MISMATCH, others[i].words);
        options.must_exist = true;
        expect_refusal(options, STATUS_MISMATCH, "rm");
        write_header(others[i].field, value);
    }
    int fd = open_object(O_RDWR);
    EXPECT_EQ(ftruncate(fd, 32 << 20), 0);
    close(fd);
    expect_refusal(options, STATUS_MISMATCH, "it has 33554432 bytes and its header says 67108864");
}

static void an_object_that_others_may_open_is_refused(void)
{
    struct store_options options = named();
    in_a_process(fill_post_office);
    int fd = open_object(O_RDWR);
    for (mode_t bit = 1; bit < 0100; bit *= 2) {
        EXPECT_EQ(fchmod(fd, 0600 | bit), 0);
        expect_refusal(options, STATUS_MISMATCH, "let nobody else in");
    }
    EXPECT_EQ(fchmod(fd, 0600), 0);
    if (geteuid() == 0) {
        EXPECT_EQ(fchown(fd, 65534, 65534), 0);
        expect_refusal(options, STATUS_MISMATCH, "belongs to user 65534");
        EXPECT_EQ(fchown(fd, 0, 0), 0);
    }
    close(fd);
    static struct store *volatile allowed;
    allowed = attached_store(&options);
    EXPECT_CLEAN(allowed);
}

static void what_must_exist_is_not_created(void)
{
    struct store_options options = named();
    options.must_exist = true;
    errno = 0;
    expect_refusal(options, STATUS_SYSTEM, harness_name());
    EXPECT_EQ(errno, ENOENT);
    EXPECT(!object_exists());
}

static void hostile_options_are_refused_and_leave_nothing(void)
{
    static const struct store_options hostile[] = {
        {.segment_bytes = 1},
        {.segment_bytes = PAGE - 1},
        {.segment_bytes = PAGE},
        {.segment_bytes = 1 << 20},
        {.segment_bytes = SEGMENT_BYTES_MAX + PAGE},
        {.segment_bytes = UINT64_MAX},
        {.segment_bytes = UINT64_C(1) << 63},
        {.accounts = UINT32_C(1) << 31},
        {.accounts = UINT32_MAX},
        {.accounts = 600 * 1000 * 1000},
        {.accounts = 1000 * 1000, .segment_bytes = 64 << 20},
        {.slots = SLOTS_LIMIT + 1},
        {.slots = UINT32_MAX},
        {.slots = SLOTS_LIMIT, .segment_bytes = 64 << 20},
        {.sessions_per_account = SESSIONS_LIMIT + 1},
        {.sessions_per_account = UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        struct store_options options = hostile[i];
        expect_refusal(options, STATUS_MALFORMED, "");
        options.name = harness_name();
        expect_refusal(options, STATUS_MALFORMED, " ");
        EXPECT(!object_exists());
    }
}

static void hostile_names_are_refused(void)
{
    static const char *const hostile[] = {"",    ".",   "..",        ".x",  "/",     "a/b", "../main",
                                          "a b", "a\n", "a\xc3\xa4", "a%s", "a\x7f", "a*",  "\\"};
    char name[OBJECT_MAX + 2];
    char why[256];
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        expect_refusal((struct store_options){.name = hostile[i]}, STATUS_MALFORMED, "post office");
        EXPECT_EQ(store_remove(hostile[i], why, sizeof(why)), STATUS_MALFORMED);
        EXPECT(strstr(why, "the name of a post office is") == why);
    }
    memset(name, 'n', sizeof(name));
    name[POST_OFFICE_MAX + 1] = '\0';
    expect_refusal((struct store_options){.name = name}, STATUS_MALFORMED, "64");
    name[POST_OFFICE_MAX + 1] = 'n';
    name[OBJECT_MAX + 1] = '\0';
    EXPECT_EQ(store_remove(name, why, sizeof(why)), STATUS_MALFORMED);
    expect_refusal((struct store_options){.name = name, .must_exist = true}, STATUS_MALFORMED, "128");
    /* The longest that may be; the harness removes what starts like its own name. */
    snprintf(name, sizeof(name), "%s-%0*d", harness_name(),
             (int)(POST_OFFICE_MAX - 1 - strlen(harness_name())), 0);
    EXPECT_EQ(strlen(name), POST_OFFICE_MAX);
    store = attached_store(&(struct store_options){.name = name});
    /* What is set aside of it has a longer one, and can be opened and removed. */
    char aside[OBJECT_MAX + 1];
    EXPECT_EQ(store_set_aside(&store, name, aside, sizeof(aside)), STATUS_OK);
    EXPECT(strlen(aside) > POST_OFFICE_MAX);
    store = attached_store(&(struct store_options){.name = aside, .must_exist = true});
    EXPECT_CLEAN(store);
    EXPECT_EQ(store_remove(aside, why, sizeof(why)), STATUS_OK);
}

static const struct harness_test tests[] = {
    {"other sizes are refused", other_sizes_are_refused},
    {"another layout is refused", another_layout_is_refused},
    {"an object that others may open is refused", an_object_that_others_may_open_is_refused},
    {"what must exist is not created", what_must_exist_is_not_created},
    {"hostile options are refused and leave nothing", hostile_options_are_refused_and_leave_nothing},
    {"hostile names are refused", hostile_names_are_refused},
};

HARNESS_MAIN(tests)
