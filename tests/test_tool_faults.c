/* test_tool_faults.c: whatever call of the system fails while shmailctl looks into a journal's directory or
 * mends it: it says what, or its answer is the same, and nothing but a whole repair changes anything. */
#include "call_faults.h"
#include "journal_bytes.h"

#include "journal_tools.h"

static uint64_t digest;  /* after an undisturbed repair */
static size_t late;      /* those that say what failed when all was mended */
static size_t unchecked; /* findings that only say that there is no memory to look for any */

/* Nobody may take memory of its own while there is none. */
static void hear(void *context, enum report_kind kind, const char *text)
{
    (void)context, (void)kind;
    EXPECT(text[0] && !strchr(text, '\n'));
    unchecked += strstr(text, "there is no memory for a check") != NULL;
    late += strstr(text, "the new files are in place, but") != NULL;
}

static size_t printed;

static void take(void *context, const char *bytes, size_t length)
{
    (void)context, (void)bytes;
    printed += length;
}

/* ---- the directory ---- */

static void remove_all(const char *directory)
{
    char path[300];
    DIR *files = opendir(directory);
    if (!files)
        return;
    for (struct dirent *entry; (entry = readdir(files));) {
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] == '.' || unlink(path) == 0)
            continue;
        remove_all(path);
        EXPECT_EQ(rmdir(path), 0);
    }
    closedir(files);
}

static size_t count_files(const char *directory)
{
    size_t count = 0;
    DIR *files = opendir(directory);
    EXPECT(files);
    for (struct dirent *entry; (entry = readdir(files));)
        count += entry->d_name[0] != '.';
    closedir(files);
    return count;
}

/* What journal_bytes.h holds, in the directory "trial". */
static void put_trial(void)
{
    char path[64];
    remove_all("trial");
    for (int file = 0; file < 2; file++) {
        journal_path(path, "trial", file);
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        EXPECT(fd >= 0);
        EXPECT_EQ(write(fd, journal.bytes[file], journal.size[file]), (ssize_t)journal.size[file]);
        close(fd);
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "trial/lock", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT(fd >= 0 && ftruncate(fd, 16) == 0);
    close(fd);
}

static void expect_untouched(void)
{
    static unsigned char bytes[BYTES_MAX];
    EXPECT_EQ(count_files("trial"), 3);
    for (int file = 0; file < 2; file++) {
        EXPECT_EQ(read_file("trial", file, bytes), journal.size[file]);
        EXPECT(memcmp(bytes, journal.bytes[file], journal.size[file]) == 0);
    }
}

/* ---- each call fails ---- */

enum tool { CHECK, PRINT, REPAIR };

static enum status run(enum tool tool, struct report *report, char *why, size_t why_size)
{
    const struct journal_sink sink = {.put = take};
    bool damaged;
    *report = (struct report){.say = hear};
    printed = unchecked = late = 0;
    if (tool == CHECK)
        return journal_check("trial", report, why, why_size);
    if (tool == REPAIR)
        return journal_repair("trial", report, why, why_size);
    return journal_print("trial", NULL, true, &sink, &damaged, why, why_size);
}

/* Reading around a bad page is part of the work, and what stands there is damage then. */
static bool is_tolerated(const struct kind *kind)
{
    return kind->call == CALL_READ && kind->error == EIO;
}

static void expect_mended(const struct kind *kind)
{
    struct report report = {.say = hear};
    char why[1024];
    EXPECT_EQ(journal_check("trial", &report, why, sizeof(why)), STATUS_OK);
    EXPECT_EQ(report_findings(&report), 0);
    struct recovered recovered = scene_recover("trial");
    EXPECT_EQ(recovered.status, STATUS_OK);
    EXPECT(is_tolerated(kind) || recovered.digest == digest);
}

static size_t fail_each_call_of(enum tool tool)
{
    size_t calls = 0;
    char why[1024];
    struct report report;
    put_trial();
    EXPECT_EQ(run(tool, &report, why, sizeof(why)), STATUS_OK);
    size_t whole = printed, counted = report_findings(&report);
    digest = tool == REPAIR ? scene_recover("trial").digest : 0;
    for (size_t i = 0; i < KINDS; i++)
        for (uint64_t at = 1;; at++, calls++) {
            if (at == 1 || tool == REPAIR)
                put_trial();
            why[0] = '\0';
            size_t before = open_descriptors();
            arm(&kinds[i], at);
            enum status status = run(tool, &report, why, sizeof(why));
            bool struck = fault.seen >= at;
            arm(NULL, 0);
            EXPECT_EQ(open_descriptors(), before);
            EXPECT(status == STATUS_OK || struck);
            if (status != STATUS_OK) {
                if (kinds[i].error == EINTR || kinds[i].error == DISK_SHORT || !why[0] || strchr(why, '\n'))
                    harness_fail(__FILE__, __LINE__, "tool %d, call %ju of kind %s: %s: \"%s\"", tool,
                                 (uintmax_t)at, kinds[i].name, status_text(status), why);
                expect_untouched();
                continue;
            }
            if (!is_tolerated(&kinds[i])) {
                if (printed != whole || report_findings(&report) != counted + unchecked + late)
                    harness_fail(__FILE__, __LINE__, "tool %d, call %ju of kind %s: %zu findings, %zu bytes",
                                 tool, (uintmax_t)at, kinds[i].name, report_findings(&report), printed);
            }
            if (tool == REPAIR && report_findings(&report) > unchecked)
                expect_mended(&kinds[i]);
            else
                expect_untouched();
            if (!struck)
                break;
        }
    return calls;
}

static void fail_each_call(void)
{
    EXPECT_EQ(mkdir("trial", 0700), 0);
    harness_say("check: each of %zu calls failed", fail_each_call_of(CHECK));
    harness_say("journal: each of %zu calls failed", fail_each_call_of(PRINT));
    harness_say("repair: each of %zu calls failed", fail_each_call_of(REPAIR));
}

static void a_sound_journal(void)
{
    make_checkpointed();
    fail_each_call();
}

static void a_damaged_journal(void)
{
    make_checkpointed();
    journal.bytes[journal.active][journal.places[journal.count - 3].offset + 30] ^= 1;
    fail_each_call();
}

static void a_journal_whose_headers_are_lost(void)
{
    make_checkpointed();
    memset(journal.bytes[0], 0x55, sizeof(struct journal_header));
    memset(journal.bytes[1], 0x55, sizeof(struct journal_header));
    fail_each_call();
}

static void a_journal_whose_beginning_is_lost(void)
{
    make_checkpointed();
    memset(journal.bytes[journal.active], 0, journal.places[journal.count - 2].offset);
    fail_each_call();
}

/* What was there before the last checkpoint must not pass for the last word because the other file, which has
 * as much, cannot be read. */
static void a_journal_of_which_only_the_past_is_left(void)
{
    char why[1024];
    struct report report;
    make_checkpointed();
    unsigned char *active = journal.bytes[journal.active];
    memset(active, 0, journal.end);
    memcpy(active + journal.end, journal.bytes[1 - journal.active] + JOURNAL_HEADER_SIZE,
           journal.size[journal.active] - journal.end);
    EXPECT_EQ(mkdir("trial", 0700), 0);
    put_trial();
    for (size_t i = 0; i < KINDS; i++) {
        bool struck = kinds[i].call == CALL_READ && kinds[i].error != EIO;
        for (uint64_t at = 1; struck; at++) {
            arm(&kinds[i], at);
            EXPECT(run(CHECK, &report, why, sizeof(why)) != STATUS_OK);
            struck = fault.seen >= at;
            arm(NULL, 0);
            expect_untouched();
        }
    }
}

static const struct harness_test tests[] = {
    {"whatever fails over a sound journal, it is said or does not matter", a_sound_journal},
    {"whatever fails over a damaged journal, it is said or does not matter", a_damaged_journal},
    {"whatever fails over a journal without headers, it is said or does not matter",
     a_journal_whose_headers_are_lost},
    {"whatever fails over a journal without its beginning, it is said or does not matter",
     a_journal_whose_beginning_is_lost},
    {"whatever cannot be read, the past is not taken for the last word",
     a_journal_of_which_only_the_past_is_left},
};

HARNESS_MAIN(tests)
