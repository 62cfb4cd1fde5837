/* test_repair_faults.c: whatever call of the system fails while shmailctl mends a post office, and wherever
 * it is killed: it says what, nothing is lost, and the next repair or server brings all back that can be. */
#include "call_faults.h"

#include "wreck.h"

#include <poll.h>

static struct armed {
    unsigned kinds;
    int error;
    uint64_t at;
    uint64_t seen; /* shared with the process that repairs */
} * armed;

/* The inventory says that alice has more than there is. */
static void damage(void)
{
    static const uint64_t wrong = 99;
    int object = begin_trial();
    EXPECT_EQ(pwrite(object, &wrong, sizeof(wrong), (off_t)offset_of(&record_of("alice")->count)),
              (ssize_t)sizeof(wrong));
    close(object);
}

/* Its journal is gone. */
static void lose(void)
{
    close(begin_trial());
    harness_remove("journal");
}

static void prepare(bool journal)
{
    EXPECT(buffer_reserve(&said, 1 << 18)); /* lest memory fails who only listens */
    armed = mmap(NULL, sizeof(*armed), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(armed != MAP_FAILED);
    make_wreck(journal);
}

/* The process that it was. */
static pid_t repair_under_fault(const struct kind *kind, uint64_t at, int error)
{
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        (void)alarm(30);
        arm(kind, at);
        fault.error = error;
        run_repair();
        armed->seen = fault.seen;
        _exit(0);
    }
    armed->seen = at;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(status == 0 || (error == DISK_DIES && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    return pid;
}

static bool has_left(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/dev/shm/shmail-.repair-%ld-1", (long)pid);
    return access(path, F_OK) == 0;
}

/* Mended by whoever comes next. True: the journal had been written anew already. */
static bool is_out_of_date(void)
{
    char why[512];
    in_a_process(run_repair);
    if (!with_journal || outcome->status != STATUS_MISMATCH) {
        expect_repaired();
        return false;
    }
    EXPECT(strstr(outcome->why, "out of date"));
    EXPECT_EQ(store_remove(harness_name(), why, sizeof(why)), STATUS_OK);
    return true;
}

static void expect_all_served(void)
{
    size_t missing = expect_accounted_for(true);
    EXPECT(!with_journal || missing == 0);
}

/* Of so many of a kind that they are records, one in three, unless SHMAIL_LONG is set. */
static uint64_t next_call(uint64_t at)
{
    return at < 24 || getenv("SHMAIL_LONG") ? at + 1 : at + 3;
}

static size_t fail_each_call(bool journal, void (*harm)(void))
{
    size_t calls = 0, failed = 0;
    prepare(journal);
    for (size_t i = 0; i < KINDS; i++)
        for (uint64_t at = 1;; at = next_call(at), calls++) {
            harm();
            pid_t pid = repair_under_fault(&kinds[i], at, kinds[i].error);
            bool struck = armed->seen >= at;
            EXPECT(!has_left(pid));
            if (outcome->status != STATUS_OK) {
                if (!struck || kinds[i].error == EINTR || !outcome->why[0] || strchr(outcome->why, '\n'))
                    harness_fail(__FILE__, __LINE__, "call %ju of kind %s: %s: \"%s\"", (uintmax_t)at,
                                 kinds[i].name, status_text(outcome->status), outcome->why);
                failed++;
                EXPECT(harm != lose || access("journal", F_OK) != 0 ||
                       access("journal/journal.0", F_OK) == 0);
                (void)is_out_of_date();
            }
            /* Where it found no space it has left room for deletions only, and more is a keeper's to make. */
            expect_served(kinds[i].call != CALL_RESERVE);
            buffer_clear(&exports);
            read_exports(".", &exports);
            expect_all_served();
            end_trial();
            if (!struck)
                break;
        }
    harness_say("each of %zu calls failed, %zu of them the repair", calls, failed);
    return failed;
}

static void without_a_journal(void)
{
    EXPECT(fail_each_call(false, damage) > 20);
}

static void with_one(void)
{
    EXPECT(fail_each_call(true, damage) > 20);
}

static void with_one_that_is_lost(void)
{
    journal_given = "journal";
    EXPECT(fail_each_call(true, lose) > 20);
}

/* ---- killed ---- */

static const struct kind *kind_of(enum disk_call call)
{
    const struct kind *kind = kinds;
    while (kind->call != call)
        kind++;
    return kind;
}

static void what_a_killed_repair_has_left_is_removed_by_the_next(void)
{
    size_t left = 0;
    prepare(false);
    for (uint64_t at = 1;; at++) {
        damage();
        pid_t pid = repair_under_fault(kind_of(CALL_RESERVE), at, DISK_DIES);
        left += has_left(pid);
        if (armed->seen < at || outcome->status == STATUS_OK)
            break;
        repair();
        EXPECT(!has_left(pid));
        expect_served(true);
        expect_all_served();
        end_trial();
    }
    EXPECT(left > 0);
    end_trial();
}

static int make_leaving(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/dev/shm/shmail-.repair-%ld-1", (long)pid);
    int object = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    EXPECT(object >= 0);
    return object;
}

static void remove_leaving(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/dev/shm/shmail-.repair-%ld-1", (long)pid);
    EXPECT_EQ(unlink(path), 0);
}

static pid_t end_at_once(void)
{
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0)
        _exit(0);
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    return pid;
}

/* Who made it lives; or its number is another name space's, and somebody is attached. */
static void what_a_repair_is_making_is_left_alone(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1 << 20, .l_len = 1};
    pid_t dead = end_at_once(), gone = end_at_once();
    prepare(false);
    damage();
    close(make_leaving(getpid()));
    EXPECT_EQ(fcntl(make_leaving(dead), F_SETLK, &lock), 0);
    close(make_leaving(gone));
    repair();
    EXPECT(has_left(getpid()) && has_left(dead));
    EXPECT(!has_left(gone));
    remove_leaving(getpid());
    remove_leaving(dead);
    end_trial();
}

/* Between the new files and the number in the lock file the generation is what tells. */
static void a_segment_whose_journal_was_mended_meanwhile_is_not_served(void)
{
    static const char words[] = "has been repaired since";
    size_t refused = 0, told = 0;
    const struct store_options served = {.name = harness_name(), .directory = "journal", .must_exist = true};
    prepare(true);
    for (uint64_t at = 1;; at++) {
        char why[512] = "";
        struct store *attached;
        damage();
        (void)repair_under_fault(kind_of(CALL_POKE), at, DISK_DIES);
        if (armed->seen < at || outcome->status == STATUS_OK)
            break;
        in_a_process(run_repair);
        bool out_of_date = outcome->status == STATUS_MISMATCH;
        if (out_of_date) {
            enum status status = store_open(&attached, &served, why, sizeof(why));
            EXPECT(status == STATUS_MISMATCH || status == STATUS_IN_USE);
            told += strstr(why, words) != NULL;
            refused++;
            EXPECT_EQ(store_remove(harness_name(), why, sizeof(why)), STATUS_OK);
        } else {
            expect_repaired();
        }
        expect_served(true);
        expect_all_served();
        end_trial();
    }
    end_trial();
    harness_say("refused %zu times, %zu of them by the generation", refused, told);
    EXPECT(told > 0);
}

/* ---- who comes late ---- */

static int here[2], end[2]; /* somebody has written to one, and ends when the other is closed */
static message_id *late;    /* bob's letter of then; shared */

static void open_pipes(void)
{
    EXPECT_EQ(pipe(here), 0);
    EXPECT_EQ(pipe(end), 0);
}

static void prepare_late(void)
{
    prepare(false);
    open_pipes();
    late = mmap(NULL, sizeof(*late), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(late != MAP_FAILED);
}

/* Another repair is done already, if it can be, and what it has made is at work. */
static void mend_and_go_on(void)
{
    char byte, why[512];
    struct report report = {.say = hear_outcome};
    const struct store_options options = office();
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        close(end[1]);
        enum status status;
        do /* the other one may still have open what it has made */
            status = segment_repair(harness_name(), NULL, &report, why, sizeof(why));
        while (status == STATUS_IN_USE);
        EXPECT_EQ(status, STATUS_OK);
        struct store *mended = attached_store(&options);
        *late = put(mended, "bob", 90, 0);
        EXPECT_EQ(write(here[1], "h", 1), 1);
        EXPECT_EQ(read(end[0], &byte, 1), 0);
        _exit(0);
    }
    struct pollfd poller = {.fd = here[0], .events = POLLIN};
    (void)poll(&poller, 1, 1000);
}

static void expect_late_letter(struct store *office)
{
    account_t bob;
    EXPECT_EQ(account_find(office, "bob", 3, &bob), STATUS_OK);
    EXPECT_EQ(mailbox_newest(office, bob), *late);
}

static void a_repair_that_comes_late_moves_nothing_that_is_at_work(void)
{
    char byte;
    const struct store_options options = office();
    prepare_late();
    damage();
    disk_take_hook = mend_and_go_on;
    in_a_process(run_repair);
    disk_take_hook = NULL;
    EXPECT_EQ(outcome->status, STATUS_OK);
    EXPECT_EQ(read(here[0], &byte, 1), 1);
    close(end[1]);
    in_store(&options, expect_late_letter, &after);
    end_trial();
}

/* Writes how its attaching has ended, once the other end is closed. */
static void be_forked_and_attach_late(void)
{
    char byte;
    const struct store_options options = office();
    struct store *forked = open_store(&options);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        close(end[1]);
        EXPECT_EQ(read(end[0], &byte, 1), 0);
        byte = (char)store_attach(forked, "late");
        EXPECT_EQ(write(here[1], &byte, 1), 1);
        _exit(0);
    }
}

static void remove_office(void)
{
    char why[512];
    EXPECT_EQ(store_remove(harness_name(), why, sizeof(why)), STATUS_OK);
}

static void open_office(void)
{
    const struct store_options options = office();
    (void)open_store(&options);
}

/* As who wants to know what it was. */
static void repair_and_look_at_the_old_one(void)
{
    char prefix[80], name[256] = "";
    run_repair();
    int length = snprintf(prefix, sizeof(prefix), "shmail-%s.damaged-", harness_name());
    DIR *objects = opendir("/dev/shm");
    EXPECT(objects);
    for (struct dirent *entry; (entry = readdir(objects));)
        if (strncmp(entry->d_name, prefix, (size_t)length) == 0)
            snprintf(name, sizeof(name), "%s", entry->d_name + sizeof("shmail-") - 1);
    closedir(objects);
    const struct store_options options = {.name = name, .must_exist = true};
    (void)attached_store(&options);
}

/* Nobody has a byte of it when its process has died and the one forked by that has not attached. */
static void who_is_forked_does_not_attach_to_what_has_lost_its_name(void)
{
    void (*const ways[])(void) = {remove_office, run_repair, repair_and_look_at_the_old_one, open_office};
    prepare(false);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        char byte;
        open_pipes();
        damage();
        in_a_process(be_forked_and_attach_late);
        in_a_process(ways[i]);
        close(end[1]);
        EXPECT_EQ(read(here[0], &byte, 1), 1);
        EXPECT_EQ(byte, ways[i] == open_office ? STATUS_OK : STATUS_FULL_SLOTS);
        end_trial();
    }
}

/* The one who would have removed it was killed before that. */
static void who_opens_it_under_its_name_takes_the_mark_off(void)
{
    static const uint32_t retired = 1;
    prepare(false);
    int object = begin_trial();
    EXPECT_EQ(pwrite(object, &retired, sizeof(retired), offsetof(struct header, retired)), sizeof(retired));
    close(object);
    expect_served(true);
    end_trial();
}

static const struct harness_test tests[] = {
    {"whatever fails while a post office is mended, nothing is lost", without_a_journal, 300},
    {"whatever fails while a post office with a journal is mended, nothing is lost", with_one, 300},
    {"whatever fails while a lost journal is written anew, nothing is lost", with_one_that_is_lost, 300},
    {"what a killed repair has left is removed by the next",
     what_a_killed_repair_has_left_is_removed_by_the_next},
    {"what a repair is making is left alone", what_a_repair_is_making_is_left_alone},
    {"a repair that comes late moves nothing that is at work",
     a_repair_that_comes_late_moves_nothing_that_is_at_work},
    {"who is forked does not attach to what has lost its name",
     who_is_forked_does_not_attach_to_what_has_lost_its_name},
    {"who opens it under its name takes the mark off", who_opens_it_under_its_name_takes_the_mark_off},
    {"a segment whose journal was mended meanwhile is not served",
     a_segment_whose_journal_was_mended_meanwhile_is_not_served},
};

HARNESS_MAIN(tests)
