/* test_journal_tools.c: what shmailctl says about a journal, what it leaves alone, what it refuses, and that
 * a repair that fails has changed nothing. */
#include "mending.h"

#include "salvage.h"
#include "segment_tools.h"

#include <stdarg.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static const struct store_options with_journal = {.directory = "journal", .journal_bytes = 1 << 18};

static struct buffer before, after;

static void make_journal(void)
{
    in_store(&with_journal, live, &before);
}

/* ---- system calls that can be made to fail ---- */

static long calls_left = -1; /* until one fails, and all after it; -1: none does */
static bool has_failed;
static off_t bad_page = -1; /* that cannot be read, of one file */
static ino_t bad_file;

static bool fails(int error)
{
    if (calls_left < 0 || calls_left-- > 0)
        return false;
    calls_left = 0;
    has_failed = true;
    errno = error;
    return true;
}

int fsync(int file)
{
    (void)file;
    return fails(EIO) ? -1 : 0;
}

int syncfs(int file)
{
    (void)file;
    return fails(EIO) ? -1 : 0;
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    return fails(EPERM) ? -1 : (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int renameat(int from, const char *old, int to, const char *new)
{
    return fails(EACCES) ? -1 : (int)syscall(SYS_renameat, from, old, to, new);
}

int mkdirat(int at, const char *name, mode_t mode)
{
    return fails(ENOSPC) ? -1 : (int)syscall(SYS_mkdirat, at, name, mode);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset)
{
    return fails(ENOSPC) ? -1 : (ssize_t)syscall(SYS_pwrite64, file, bytes, length, offset);
}

ssize_t write(int file, const void *bytes, size_t length)
{
    return fails(ENOSPC) ? -1 : (ssize_t)syscall(SYS_write, file, bytes, length);
}

ssize_t pread(int file, void *bytes, size_t length, off_t offset)
{
    struct stat about;
    if (bad_page >= 0 && fstat(file, &about) == 0 && about.st_ino == bad_file && offset < bad_page + 4096 &&
        bad_page < offset + (off_t)length) {
        if (offset >= bad_page) {
            errno = EIO;
            return -1;
        }
        length = (size_t)(bad_page - offset);
    }
    return (ssize_t)syscall(SYS_pread64, file, bytes, length, offset);
}

static void spoil(const char *path, off_t page)
{
    struct stat about;
    EXPECT_EQ(stat(path, &about), 0);
    bad_file = about.st_ino;
    bad_page = page;
}

/* ---- what is left alone ---- */

/* Names, times and bytes of all that is in a directory. */
static bool lock_may_change;

static void note_directory(const char *directory, struct buffer *notes)
{
    struct buffer bytes = {0};
    DIR *files = opendir(directory);
    buffer_clear(notes);
    EXPECT(files != NULL);
    for (struct dirent *entry; (entry = readdir(files));) {
        char path[300];
        struct stat about;
        if (entry->d_name[0] == '.' || (lock_may_change && strcmp(entry->d_name, "lock") == 0))
            continue;
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        EXPECT_EQ(stat(path, &about), 0);
        read_whole(path, &bytes);
        EXPECT(buffer_print(notes, "%s %lld.%09ld\n", entry->d_name, (long long)about.st_mtim.tv_sec,
                            about.st_mtim.tv_nsec));
        EXPECT(buffer_append(notes, bytes.bytes, bytes.length));
    }
    closedir(files);
    buffer_free(&bytes);
}

static struct buffer notes_before, notes_after;

#define EXPECT_UNCHANGED(directory)                      \
    (note_directory(directory, &notes_after),            \
     EXPECT(notes_after.length == notes_before.length && \
            memcmp(notes_after.bytes, notes_before.bytes, notes_after.length) == 0))

static void sound_and_untouched(void)
{
    make_journal();
    note_directory("journal", &notes_before);
    EXPECT_EQ(check_journal("journal"), 0);
    EXPECT_STR(said.bytes, "");
    EXPECT_EQ(repair_journal("journal"), 0);
    EXPECT_STR(said.bytes, "");
    EXPECT_UNCHANGED("journal");
}

static void damaged_and_untouched_by_a_check(void)
{
    make_journal();
    flip_at("journal/journal.0", 4150);
    note_directory("journal", &notes_before);
    EXPECT(check_journal("journal") > 0);
    EXPECT_SAID("lost journal.0 offset 4096: ");
    EXPECT_SAID("its checksum is wrong");
    EXPECT_UNCHANGED("journal");
}

/* As another user, who may only read. */
static void a_directory_that_can_only_be_read(void)
{
    int status;
    make_journal();
    flip_at("journal/journal.0", 4150);
    run_command("chmod 755 . && chmod 555 journal && chmod 444 journal/*");
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        char why[1024];
        struct report report = hearing();
        EXPECT(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
        EXPECT(check_journal("journal") > 0);
        EXPECT(journal_repair("journal", &report, why, sizeof(why)) != STATUS_OK);
        exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(count_files("journal"), 3);
    run_command("chmod 700 journal");
}

static void the_old_files_are_kept(void)
{
    struct buffer old = {0};
    make_journal();
    flip_at("journal/journal.0", 4150);
    read_whole("journal/journal.0", &old);
    for (int round = 0; round < 3; round++) { /* within one second, perhaps */
        EXPECT(repair_journal("journal") > 0);
        EXPECT_EQ(repair_journal("journal"), 0);
        flip_at("journal/journal.0", 4110);
    }
    run_command("test $(ls journal | grep -c '^journal.0.damaged-') = 3");
    run_command("test $(ls journal | grep -c '^journal.1.damaged-') = 3");
    run_command("cp $(ls journal/journal.0.damaged-* | head -n 1) first");
    read_whole("first", &after);
    EXPECT(after.length == old.length && memcmp(after.bytes, old.bytes, old.length) == 0);
    buffer_free(&old);
}

/* ---- refusals ---- */

static void refuse_check_and_repair(enum status expected, const char *words)
{
    char why[1024];
    struct report report = hearing();
    expect_refused(journal_check("journal", &report, why, sizeof(why)), expected, why, words);
    expect_refused(journal_repair("journal", &report, why, sizeof(why)), expected, why, words);
}

static void in_use(void)
{
    int ready[2], done[2], status;
    char byte;
    EXPECT(pipe(ready) == 0 && pipe(done) == 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        static struct store *store;
        store = attached_store(&with_journal);
        live(store);
        EXPECT_EQ(write(ready[1], "r", 1), 1);
        EXPECT_EQ(read(done[0], &byte, 1), 1);
        exit(0);
    }
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    refuse_check_and_repair(STATUS_IN_USE, "shmailctl -n NAME check");
    EXPECT_EQ(write(done[1], "d", 1), 1);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(check_journal("journal"), 0);
    int lock = open("journal/lock", O_RDONLY);
    EXPECT_EQ(flock(lock, LOCK_SH), 0);
    refuse_check_and_repair(STATUS_IN_USE, "in use");
    close(lock);
}

static void beside_another_tool(void)
{
    make_journal();
    int lock = open("journal/lock", O_RDONLY);
    EXPECT_EQ(flock(lock, LOCK_EX), 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) { /* the lock is its own too: the last of both ends it */
        usleep(300000);
        _exit(0);
    }
    close(lock);
    EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
    EXPECT_EQ(check_journal("journal"), 0);
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
}

static void no_journal(void)
{
    refuse_check_and_repair(STATUS_SYSTEM, "No such file");
    EXPECT_EQ(mkdir("journal", 0700), 0);
    refuse_check_and_repair(STATUS_SYSTEM, "neither");
    run_command("rm -rf journal && mkdir -m 700 journal && head -c 300000 /dev/zero >journal/journal.0");
    EXPECT_EQ(check_journal("journal"), 0);
    EXPECT_EQ(repair_journal("journal"), 0);
    run_command("yes nonsense | head -c 300000 >journal/journal.0");
    refuse_check_and_repair(STATUS_MISMATCH, "neither file has the header");
}

static void another_version(void)
{
    struct journal_header header;
    make_journal();
    read_whole("journal/journal.0", &after);
    memcpy(&header, after.bytes, sizeof(header));
    header.version = 2;
    header.crc = journal_header_crc(&header);
    write_at("journal/journal.0", 0, &header, sizeof(header));
    refuse_check_and_repair(STATUS_MISMATCH, "journal.0 is of version 2, this program has 1");
}

static void two_journals_in_one(void)
{
    struct journal_header header;
    make_journal();
    read_whole("journal/journal.0", &after);
    memcpy(&header, after.bytes, sizeof(header));
    header.generation++;
    header.id[3] ^= 1;
    header.crc = journal_header_crc(&header);
    write_at("journal/journal.1", 0, &header, sizeof(header));
    refuse_check_and_repair(STATUS_MISMATCH, "not of the same one");
}

static void somebody_elses(void)
{
    char why[1024];
    struct report report = hearing();
    make_journal();
    run_command("chmod 777 journal");
    expect_refused(journal_repair("journal", &report, why, sizeof(why)), STATUS_MISMATCH, why,
                   "may be written by others");
    EXPECT_EQ(check_journal("journal"), 0);
}

static void a_post_office_that_still_stands(void)
{
    char why[1024];
    struct report report = hearing();
    struct store_options options = with_journal;
    options.name = harness_name();
    options.segment_bytes = UINT64_C(64) << 20;
    options.accounts = 1000;
    options.slots = 16;
    in_store(&options, live, NULL);
    EXPECT_EQ(repair_journal("journal"), 0); /* for there is nothing to mend */
    flip_at("journal/journal.0", 4150);
    note_directory("journal", &notes_before);
    expect_refused(journal_repair("journal", &report, why, sizeof(why)), STATUS_IN_USE, why, harness_name());
    EXPECT_UNCHANGED("journal");
    /* Set aside under a name as long as may be it stands as well. */
    char from[PATH_MAX], to[PATH_MAX], aside[OBJECT_MAX + 1];
    snprintf(aside, sizeof(aside), "%s.damaged-%0*d", harness_name(),
             (int)(OBJECT_MAX - strlen(harness_name()) - strlen(".damaged-")), 0);
    EXPECT_EQ(strlen(aside), OBJECT_MAX);
    snprintf(from, sizeof(from), "/dev/shm/shmail-%s", harness_name());
    snprintf(to, sizeof(to), "/dev/shm/shmail-%s", aside);
    EXPECT_EQ(rename(from, to), 0);
    expect_refused(journal_repair("journal", &report, why, sizeof(why)), STATUS_IN_USE, why, aside);
    EXPECT_UNCHANGED("journal");
    run_command("cp -a journal copy");
    EXPECT(repair_journal("copy") > 0);                 /* which it has nothing to do with */
    run_command("mv journal moved && mv copy journal"); /* where it is recorded: not its own any more */
    expect_refused(journal_repair("moved", &report, why, sizeof(why)), STATUS_IN_USE, why, aside);
    run_command("mv journal copy && mv moved journal");
    EXPECT_EQ(store_remove(aside, why, sizeof(why)), STATUS_OK);
    EXPECT(repair_journal("journal") > 0);
}

static void expect_still_standing(const char *directory)
{
    char why[1024];
    struct report report = hearing();
    expect_refused(journal_repair(directory, &report, why, sizeof(why)), STATUS_IN_USE, why,
                   " still stands in memory");
}

/* Then the segment and the files tell. What it had before a repair has no more than the files. */
static void a_post_office_that_stands_without_its_lock(void)
{
    char why[1024];
    struct report report = hearing();
    struct store_options options = with_journal;
    options.name = harness_name();
    in_store(&options, live, NULL);
    flip_at("journal/journal.0", 4150);
    run_command("truncate -s 7 journal/lock");
    note_directory("journal", &notes_before);
    expect_still_standing("journal");
    EXPECT_UNCHANGED("journal");
    run_command("rm journal/lock && cp -a journal copy");
    expect_still_standing("journal");
    EXPECT(repair_journal("copy") > 0); /* which it has nothing to do with */
    run_command("mv journal moved");
    expect_still_standing("moved");
    run_command("mv moved journal && cp -a journal blind");
    flip_at("journal/journal.0", 20);
    flip_at("journal/journal.1", 20);
    run_command("rm journal/lock");
    expect_still_standing("journal");
    run_command("cp -a journal unknown && rm -r journal && mv blind journal");
    EXPECT(repair_journal("unknown") > 0);
    EXPECT_EQ(segment_repair(options.name, NULL, &report, why, sizeof(why)), STATUS_OK);
    EXPECT_EQ(store_remove(options.name, why, sizeof(why)), STATUS_OK);
    flip_at("journal/journal.0", 4150);
    run_command("rm journal/lock");
    EXPECT(repair_journal("journal") > 0);
    char command[128];
    snprintf(command, sizeof(command), "rm /dev/shm/shmail-%s.damaged-*", options.name);
    run_command(command);
}

/* ---- a disk that fails ---- */

/* Each call of a repair fails once, with all after it: then nothing has changed, or all. */
static void every_failure(void)
{
    char why[1024];
    make_journal();
    flip_at("journal/journal.0", 4150);
    lock_may_change = true; /* its number is written back where a later step fails, if that can be done */
    note_directory("journal", &notes_before);
    size_t findings = check_journal("journal");
    int failures = 0;
    for (long calls = 0;; calls++) {
        struct report report = hearing();
        run_command("rm -rf broken && cp -a journal broken");
        has_failed = false;
        calls_left = calls;
        enum status status = journal_repair("broken", &report, why, sizeof(why));
        calls_left = -1;
        if (status == STATUS_OK) {
            EXPECT_EQ(has_failed,
                      was_said("lost the new files are in place, but the directory cannot be synced"));
            EXPECT_EQ(count_files("broken"), 6);
            EXPECT_EQ(check_journal("broken"), 0);
            if (!has_failed)
                break;
            continue;
        }
        failures++;
        EXPECT(has_failed);
        EXPECT_EQ(count_files("broken"), 3);
        EXPECT_UNCHANGED("broken");
        EXPECT_EQ(check_journal("broken"), findings);
        EXPECT_EQ(repair_journal("broken"), findings);
        EXPECT_EQ(check_journal("broken"), 0);
    }
    EXPECT(failures > 10);
}

static void the_header_cannot_be_read(void)
{
    make_journal();
    spoil("journal/journal.0", 0);
    EXPECT_EQ(check_journal("journal"), 1);
    EXPECT_SAID("its header is lost");
    EXPECT_EQ(repair_journal("journal"), 0);
    bad_page = -1;
    inventory_of_journal("journal", &after);
    EXPECT_STR(after.bytes, before.bytes);
}

static void a_page_that_cannot_be_read(void)
{
    struct buffer exports = {0};
    make_journal();
    spoil("journal/journal.0", 8192);
    EXPECT(check_journal("journal") > 0);
    EXPECT_SAID("Input/output error");
    EXPECT(repair_journal("journal") > 0);
    EXPECT_SAID("Input/output error");
    bad_page = -1;
    read_exports("journal", &exports);
    EXPECT_EQ(check_journal("journal"), 0);
    inventory_of_journal("journal", &after);
    expect_right_places(&after);
    EXPECT(strstr(after.bytes, "22 for bob.") != NULL); /* behind that page */
    EXPECT(strstr(after.bytes, "11 for alice.") != NULL);
    buffer_free(&exports);
}

static const struct harness_test tests[] = {
    {"a sound journal is clean, and neither check nor repair changes a byte", sound_and_untouched},
    {"a check names what is damaged, and changes no byte", damaged_and_untouched_by_a_check},
    {"a check needs only to read", a_directory_that_can_only_be_read},
    {"a repair keeps the old files, however often", the_old_files_are_kept},
    {"a directory in use is refused, with advice", in_use},
    {"a check waits for another tool that has the directory", beside_another_tool},
    {"no journal, an empty one, nonsense", no_journal},
    {"a journal of another version is refused", another_version},
    {"files of two journals are refused", two_journals_in_one},
    {"what others may write to is not mended", somebody_elses},
    {"a post office that still stands is not given up unsaid", a_post_office_that_still_stands},
    {"nor one that stands without its lock file", a_post_office_that_stands_without_its_lock},
    {"a repair whose disk fails at any call has changed nothing, or all", every_failure},
    {"a page that cannot be read is damage like any other", a_page_that_cannot_be_read},
    {"a header that cannot be read costs nothing", the_header_cannot_be_read},
};

HARNESS_MAIN(tests)
