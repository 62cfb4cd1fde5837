/* test_journal_refused.c: journal directories that a post office does not take, each with a message that says
 * what to do. */
#include "disk.h"
#include "scene.h"

#include "mending.h"
#include "refusal.h"
#include "segment.h"
#include "segment_tools.h"
#include "standing.h"

#include <sys/file.h>

static void a_directory_that_cannot_be_had_is_refused(void)
{
    options = scene_options;
    options.directory = "nowhere/journal";
    refuse(STATUS_SYSTEM, "nowhere/journal: it cannot be made: No such file or directory");
    EXPECT_EQ(mkdir("journal", 0700), 0);
    options.directory = "journal";
    for (mode_t bit = 02; bit <= 020; bit *= 8) {
        EXPECT_EQ(chmod("journal", 0700 | bit), 0);
        refuse(STATUS_MISMATCH, "belongs to somebody else or may be written by others");
    }
    EXPECT_EQ(chmod("journal", 0700), 0);
    if (geteuid() == 0) {
        EXPECT_EQ(chown("journal", 65534, 65534), 0);
        refuse(STATUS_MISMATCH, "belongs to somebody else");
        EXPECT_EQ(chown("journal", 0, 0), 0);
    }
    store = attached_store(&options);
    EXPECT_CLEAN(store);
}

static void a_directory_that_another_post_office_has_is_refused(void)
{
    store = open_named_store("-a");
    options.name = NULL;
    refuse(STATUS_IN_USE, "used by another post office: end its processes first");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static void other_office_in(const char *directory)
{
    struct store_options other = scene_options;
    other.directory = directory;
    scene_close(attached_store(&other));
}

static void a_lock_file_that_is_gone_lets_nobody_in(void)
{
    struct report report = {.say = note_nothing};
    char why[512] = "";
    store = open_named_store("-a");
    EXPECT_EQ(unlink("journal/lock"), 0);
    options.name = NULL;
    refuse(STATUS_IN_USE, "used by another post office: end its processes first");
    EXPECT_EQ(journal_check("journal", &report, why, sizeof(why)), STATUS_IN_USE);
    EXPECT(strstr(why, "a post office that is at work writes to its files: end its processes first"));
    EXPECT_EQ(journal_repair("journal", &report, why, sizeof(why)), STATUS_IN_USE);
}

static void a_directory_of_one_that_has_more_in_memory_is_refused(void)
{
    char message[300], segment[128];
    uint8_t number, wrong;
    const uint64_t number_at =
        offsetof(struct header, journal) + offsetof(struct journal_segment, segment_id);
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    number = store->header->journal.segment_id[0];
    wrong = number ^ 1;
    scene_close(store);
    options.name = NULL;
    snprintf(message, sizeof(message),
             "lacks what post office %s-a, which had it last, still has in memory: start that one, or give "
             "it up with 'shmailctl rm %s-a'",
             harness_name(), harness_name());
    refuse(STATUS_IN_USE, message);
    snprintf(segment, sizeof(segment), "/dev/shm/shmail-%s-a", harness_name());
    write_at(segment, number_at, &wrong, 1); /* then what else it says tells whose the directory is */
    refuse(STATUS_IN_USE, message);
    write_at(segment, number_at, &number, 1);
    store = open_named_store("-a");
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    scene_close(store);
    options.name = NULL;
    store = attached_store(&options);
}

/* By the lock file's number, and where that is lost, by what the segment says. */
static void lose_files(bool after_a_checkpoint)
{
    static const char *const files[] = {"journal/journal.0", "journal/journal.1", "journal/lock"};
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    if (after_a_checkpoint)
        EXPECT_EQ(journal_checkpoint(store, scene_options.journal_bytes), STATUS_OK);
    const char *active = files[journal_active(store)];
    scene_close(store);
    const char *name = options.name;
    options.name = NULL;
    EXPECT_EQ(rename(active, "kept"), 0);
    refuse(STATUS_IN_USE, "still has in memory: start that one");
    EXPECT_EQ(rename("kept", active), 0);
    EXPECT_EQ(truncate(active, JOURNAL_HEADER_SIZE), 0);
    refuse(STATUS_IN_USE, "still has in memory: start that one");
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(unlink(files[i]), 0);
        refuse(STATUS_IN_USE, "still has in memory: start that one");
    }
    EXPECT_EQ(store_remove(name, (char[100]){0}, 100), STATUS_OK);
    scene_close(attached_store(&options));
}

static void a_directory_of_one_whose_files_are_gone_is_refused(void)
{
    lose_files(false);
    EXPECT_EQ(unlink("journal/lock"), 0);
    lose_files(true);
}

static void what_somebody_else_says_of_his_own_keeps_nobody_from_a_directory(void)
{
    char segment[128];
    if (geteuid() != 0)
        harness_skip("needs root, to give a segment away");
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    scene_close(store);
    options.name = NULL;
    refuse(STATUS_IN_USE, "still has in memory: start that one");
    snprintf(segment, sizeof(segment), "/dev/shm/shmail-%s-a", harness_name());
    EXPECT_EQ(chown(segment, 65534, 65534), 0);
    scene_close(attached_store(&options));
}

static void a_start_that_is_refused_leaves_the_directory_to_whom_it_was(void)
{
    struct report report = {.say = note_nothing};
    uint8_t number[SEGMENT_ID_SIZE], after[SEGMENT_ID_SIZE + 1];
    char why[512] = "";
    store = open_named_store("-a");
    for (int which = 1; which < 4; which++) { /* the later ones say that the first was synced */
        EXPECT_EQ(scene_operation(store, which), STATUS_OK);
        EXPECT_EQ(store_settle(store), STATUS_OK);
    }
    memcpy(number, store->header->journal.segment_id, sizeof(number));
    scene_close(store);
    int fd = open("journal/journal.0", O_RDWR | O_CLOEXEC);
    EXPECT_EQ(pwrite(fd, "nonsense", 8, JOURNAL_HEADER_SIZE), 8);
    close(fd);
    const char *name = options.name;
    options.name = NULL;
    refuse(STATUS_MISMATCH, "nothing was changed");
    fd = open("journal/lock", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(pread(fd, after, sizeof(after), 0), SEGMENT_ID_SIZE);
    close(fd);
    EXPECT_EQ(memcmp(after, number, sizeof(number)), 0);
    EXPECT_EQ(segment_repair(name, NULL, &report, why, sizeof(why)), STATUS_OK);
}

static void read_number(uint8_t number[static SEGMENT_ID_SIZE])
{
    int fd = open("journal/lock", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(pread(fd, number, SEGMENT_ID_SIZE, 0), SEGMENT_ID_SIZE);
    close(fd);
}

/* Nor may it have to be put back: who is killed cannot do that. */
static void a_start_says_only_at_its_end_whose_the_directory_is(void)
{
    uint8_t number[SEGMENT_ID_SIZE], after[SEGMENT_ID_SIZE];
    store = open_named_store("-a");
    scene_close(store);
    read_number(number);
    options.name = NULL;
    int held = open("journal/journal.0", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(flock(held, LOCK_EX), 0);
    refuse(STATUS_IN_USE, "used by another post office");
    close(held);
    read_number(after);
    EXPECT_EQ(memcmp(after, number, sizeof(number)), 0);
    store = attached_store(&options);
    read_number(after);
    EXPECT_EQ(memcmp(after, store->header->journal.segment_id, sizeof(after)), 0);
}

/* To close an object gives back all bytes of it. */
static void who_looks_for_a_standing_office_keeps_its_own_bytes(void)
{
    char name[OBJECT_MAX + 1];
    int status;
    store = open_named_store("-a");
    const struct journal_directory place = {
        .directory = open("journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC), .lock = -1, .files = {-1, -1}};
    EXPECT(!standing_office_owes(&place, name) && !standing_office(&place, name));
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0)
        _exit(segment_byte_is_held(store, claim_byte(owner_slot(store->me))) ? 0 : 1);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    close(place.directory);
}

static void what_lacks_its_magic_and_has_more_than_its_journal_is_not_begun_again(void)
{
    uint64_t magic = 0;
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    EXPECT_EQ(scene_operation(store, 2), STATUS_OK);
    int fd = dup(store->fd);
    scene_close(store);
    EXPECT_EQ(pwrite(fd, &magic, sizeof(magic), offsetof(struct header, magic)), sizeof(magic));
    refuse(STATUS_MISMATCH, "its beginning is damaged");
    close(fd);
}

static void what_lacks_its_magic_alone_is_begun_again_from_its_journal(void)
{
    uint64_t magic = 0;
    store = open_named_store("-a");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    uint64_t digest = scene_digest(store);
    EXPECT_EQ(pwrite(store->fd, &magic, sizeof(magic), offsetof(struct header, magic)), sizeof(magic));
    scene_close(store);
    store = open_named_store("-a");
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_CLEAN(store);
}

static void a_directory_that_was_made_anew_is_another(void)
{
    store = open_named_store("-a");
    scene_close(store);
    EXPECT_EQ(rename("journal", "moved"), 0);
    refuse(STATUS_MISMATCH, "/journal, where it is no more: say with -d where it is now");
    EXPECT_EQ(access("journal", F_OK), -1);
    EXPECT_EQ(mkdir("journal", 0700), 0);
    refuse(STATUS_MISMATCH, "/journal, where it is no more: say with -d where it is now");
    EXPECT_EQ(access("journal/lock", F_OK), -1);
    close(open("journal/lock", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    refuse(STATUS_MISMATCH, "/journal, where it is no more: say with -d where it is now");
    EXPECT_EQ(truncate("journal/lock", 7), 0);
    refuse(STATUS_MISMATCH, "/journal, where it is no more: say with -d where it is now");
    const char *name = options.name;
    options.name = NULL;
    refuse(STATUS_IN_USE, "lacks what post office "); /* which had it last, as far as anybody can tell */
    options.name = name;
    other_office_in("elsewhere");
    EXPECT_EQ(unlink("journal/lock"), 0);
    EXPECT_EQ(rename("elsewhere", "journal"), 0);
    char command[200];
    snprintf(command, sizeof(command), "remove it with 'shmailctl rm %s'", options.name);
    refuse(STATUS_IN_USE, command);
    options.directory = "moved";
    store = attached_store(&options);
    EXPECT_CLEAN(store);
    scene_close(store);
    options.directory = NULL;
    refuse(STATUS_MISMATCH, "/moved: give -d /");
}

/* Its message sends nobody to remove what only lies elsewhere. */
static void a_directory_of_another_post_office_is_the_wrong_one(void)
{
    char here[200], message[500];
    EXPECT(getcwd(here, sizeof(here)) != NULL);
    snprintf(message, sizeof(message), "has its journal in %s/journal, not in other: give -d %s/journal",
             here, here);
    store = open_named_store("-a");
    scene_close(store);
    other_office_in("other");
    options.directory = "other";
    refuse(STATUS_MISMATCH, message);
    EXPECT_EQ(rename("journal", "moved"), 0); /* it cannot be compared with any more */
    snprintf(message, sizeof(message), "had its journal in %s/journal, where it is no more", here);
    refuse(STATUS_MISMATCH, message);
}

static void a_long_path_is_recorded_as_it_was_given(void)
{
    char deep[201];
    memset(deep, 'd', 200);
    deep[200] = '\0';
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(mkdir(deep, 0700), 0);
        EXPECT_EQ(chdir(deep), 0);
    }
    store = open_named_store("-a");
    EXPECT_STR(store->header->journal.directory, "journal");
    EXPECT_EQ(scene_operation(store, 1), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

/* As those that were made before have it: it may say another directory here. */
static void a_relative_path_in_a_segment_is_no_proof(void)
{
    store = open_named_store("-a");
    snprintf(store->header->journal.directory, sizeof(store->header->journal.directory), "journal");
    scene_close(store);
    EXPECT_EQ(rename("journal", "moved"), 0);
    other_office_in("journal");
    refuse(STATUS_MISMATCH, "had its journal in journal, where it is no more");
    options.directory = "moved";
    store = attached_store(&options);
    EXPECT_CLEAN(store);
}

static void a_segment_wants_its_own_journal_or_none(void)
{
    struct journal_header header = {0};
    options = named();
    store = attached_store(&options);
    scene_close(store);
    options.directory = "journal";
    refuse(STATUS_MISMATCH, "was made without a journal: start it without -d");
    store = open_named_store("-b");
    scene_close(store);
    options.directory = NULL;
    refuse(STATUS_MISMATCH, "/journal: give -d /");
    options.must_exist = true;
    store = attached_store(&options);
    EXPECT_CLEAN(store);
    scene_close(store);
    options = (struct store_options){.name = options.name, .directory = "journal"};
    int fd = open("journal/journal.0", O_RDWR | O_CLOEXEC);
    EXPECT_EQ(pread(fd, &header, sizeof(header), 0), sizeof(header));
    header.id[0] ^= 1;
    EXPECT_EQ(syscall(SYS_pwrite64, fd, &header, sizeof(header), 0L), sizeof(header));
    refuse(STATUS_MISMATCH, "journal.0 is not there as post office ");
    header.crc = journal_header_crc(&header);
    EXPECT_EQ(syscall(SYS_pwrite64, fd, &header, sizeof(header), 0L), sizeof(header));
    refuse(STATUS_MISMATCH, "journal.0 is not there as post office ");
    close(fd);
}

static void a_file_that_cannot_be_opened_is_refused(void)
{
    store = open_named_store("-a");
    scene_close(store);
    run_command("mv journal/journal.0 elsewhere");
    refuse(STATUS_MISMATCH, "journal.0 is not there as post office");
    run_command("ln -s ../elsewhere journal/journal.0");
    refuse(STATUS_SYSTEM, "journal.0: Too many levels of symbolic links");
}

static void another_version_is_named(void)
{
    struct journal_header header = {0};
    store = open_named_store("-a");
    scene_close(store);
    int fd = open("journal/journal.0", O_RDWR | O_CLOEXEC);
    EXPECT_EQ(pread(fd, &header, sizeof(header), 0), sizeof(header));
    header.version++;
    header.crc = journal_header_crc(&header);
    EXPECT_EQ(syscall(SYS_pwrite64, fd, &header, sizeof(header), 0L), sizeof(header));
    close(fd);
    refuse(STATUS_MISMATCH, "journal directory journal: a file is of version ");
}

static void a_lock_that_is_no_file_holds_up_nobody(void)
{
    struct report report = {.say = note_nothing};
    char why[512] = "";
    store = open_named_store("-a");
    scene_close(store);
    run_command("rm journal/lock && mkfifo journal/lock");
    (void)alarm(10);
    refuse(STATUS_SYSTEM, "the lock file cannot be used: Operation not supported");
    options.directory = NULL;
    refuse(STATUS_MISMATCH, "where it is no more: say with -d where it is now");
    EXPECT_EQ(journal_check("journal", &report, why, sizeof(why)), STATUS_SYSTEM);
    EXPECT(strstr(why, "its lock file cannot be used: Operation not supported"));
    (void)alarm(0);
}

/* A signal that nobody handles does not make the start give up. */
static void who_comes_waits_for_a_tool(void)
{
    store = open_named_store("-a");
    scene_close(store);
    int lock = open("journal/lock", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(flock(lock, LOCK_EX), 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) { /* what it has inherited keeps the lock */
        usleep(300000);
        _exit(0);
    }
    close(lock);
    fault.kinds = CALL_LOCK;
    fault.at = 3; /* behind the one of creation and that of who stays */
    fault.error = EINTR;
    store = attached_store(&options);
    EXPECT(fault.seen > 3);
    fault.kinds = 0;
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    EXPECT_CLEAN(store);
}

static const struct harness_test tests[] = {
    {"a directory that cannot be had is refused", a_directory_that_cannot_be_had_is_refused},
    {"a directory that another post office has is refused",
     a_directory_that_another_post_office_has_is_refused},
    {"a lock file that is gone lets nobody in", a_lock_file_that_is_gone_lets_nobody_in},
    {"a directory of one that has more in memory is refused",
     a_directory_of_one_that_has_more_in_memory_is_refused},
    {"a directory of one whose files are gone is refused",
     a_directory_of_one_whose_files_are_gone_is_refused},
    {"what somebody else says of his own segment keeps nobody from a directory",
     what_somebody_else_says_of_his_own_keeps_nobody_from_a_directory},
    {"a start that is refused leaves the directory to whom it was",
     a_start_that_is_refused_leaves_the_directory_to_whom_it_was},
    {"a start says only at its end whose the directory is",
     a_start_says_only_at_its_end_whose_the_directory_is},
    {"who looks for a standing office keeps its own bytes",
     who_looks_for_a_standing_office_keeps_its_own_bytes},
    {"what lacks its magic and has more than its journal is not begun again",
     what_lacks_its_magic_and_has_more_than_its_journal_is_not_begun_again},
    {"what lacks its magic alone is begun again from its journal",
     what_lacks_its_magic_alone_is_begun_again_from_its_journal},
    {"a directory that was made anew is another one", a_directory_that_was_made_anew_is_another},
    {"the directory of another post office is the wrong one",
     a_directory_of_another_post_office_is_the_wrong_one},
    {"a long path is recorded as it was given", a_long_path_is_recorded_as_it_was_given},
    {"a relative path in a segment is no proof", a_relative_path_in_a_segment_is_no_proof},
    {"a segment wants its own journal, or none", a_segment_wants_its_own_journal_or_none},
    {"a file that cannot be opened is refused", a_file_that_cannot_be_opened_is_refused},
    {"another version is named", another_version_is_named},
    {"a lock that is no file holds up nobody", a_lock_that_is_no_file_holds_up_nobody},
    {"who comes waits for a tool that has the directory", who_comes_waits_for_a_tool},
};

HARNESS_MAIN(tests)
