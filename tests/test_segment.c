/* test_segment.c: the segment by name: kept, served once, begun again, removed. */
#include "clock.h"
#include "segment.h"
#include "segment_tools.h"
/* Behind it, as it has a store of that name for all of the file. */
#include "named_segment.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

/* ---- kept ---- */

static void expect_what_was_filled(void)
{
    struct account_secret alice;
    struct session session = {0};
    struct message message;
    account_t bob;
    message_id id;
    store = attached_store(&(struct store_options){.name = harness_name(), .must_exist = true});
    EXPECT_EQ(account_secret(store, "alice", 5, &alice), STATUS_OK);
    EXPECT_STR(alice.hash, "her hash");
    EXPECT_EQ(cookie_verify(store, cookie->text, COOKIE_TEXT, &session), STATUS_OK);
    EXPECT_EQ(session.account.index, alice.account.index);
    EXPECT_EQ(mailbox_count(store, alice.account), 1);
    EXPECT_EQ(mailbox_first(store, alice.account, &message), STATUS_OK);
    EXPECT_EQ(message.id, 2);
    expect_message(store, &message, "bob", "", "short", 5);
    EXPECT_EQ(account_find(store, "bob", 3, &bob), STATUS_OK);
    EXPECT_EQ(queue_store(store, bob, alice.account, &id), STATUS_OK);
    EXPECT_EQ(id, 3);
    EXPECT_EQ(mailbox_delete(store, alice.account, 3), STATUS_OK);
    message_release_all(store);
    EXPECT_CLEAN(store);
    store_detach(store);
}

static void what_one_process_left_another_finds(void)
{
    cookie = mmap(NULL, sizeof(*cookie), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(cookie != MAP_FAILED);
    in_a_process(fill_post_office);
    in_a_process(expect_what_was_filled);
}

static void open_untouched(void)
{
    struct stat about;
    struct store_options options = {.name = harness_name()};
    store = attached_store(&options);
    EXPECT_EQ(fstat(store->fd, &about), 0);
    EXPECT_EQ(about.st_size, (off_t)SEGMENT_BYTES_MAX);
    EXPECT(about.st_blocks * 512 < 1 << 20);
    EXPECT_EQ(about.st_mode & 0777, 0600);
}

static void an_untouched_page_costs_nothing(void)
{
    umask(0);
    in_a_process(open_untouched);
}

/* ---- one server ---- */

static int ready[2];

static pid_t start_server(void)
{
    char byte;
    EXPECT_EQ(pipe(ready), 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        struct store_options options = named();
        store = open_store(&options);
        EXPECT_EQ(store_serve(store), STATUS_OK);
        EXPECT_EQ(write(ready[1], "r", 1), 1);
        for (;;)
            pause();
    }
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    return pid;
}

static void find_server(void)
{
    char why[256] = "";
    struct store_options options = named();
    EXPECT_EQ(store_remove(harness_name(), why, sizeof(why)), STATUS_IN_USE);
    EXPECT(strstr(why, "serves"));
    store = open_store(&options);
    EXPECT_EQ(store_serve(store), STATUS_IN_USE);
    EXPECT_EQ(store_attach(store, "inetd"), STATUS_OK); /* clients of the store there may be many */
    EXPECT_CLEAN(store);
    store_detach(store);
}

static void find_no_server(void)
{
    struct store_options options = named();
    store = open_store(&options);
    EXPECT_EQ(store_serve(store), STATUS_OK);
}

static void a_post_office_has_one_server(void)
{
    pid_t server = start_server();
    in_a_process(find_server);
    EXPECT_EQ(kill(server, SIGKILL), 0);
    EXPECT_EQ(waitpid(server, NULL, 0), server);
    in_a_process(find_no_server);
    in_a_process(find_no_server);
}

/* ---- begun again, removed ---- */

static void fill_what_somebody_began(void)
{
    static const off_t sizes[] = {0, 1, 5000, 1 << 20, 80 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char junk[4096];
        memset(junk, 0xff, sizeof(junk));
        memset(junk, 0, sizeof(uint64_t)); /* the magic comes last */
        int fd = open_object(O_RDWR | O_CREAT | O_TRUNC);
        EXPECT(fd >= 0);
        for (off_t at = 0; at + (off_t)sizeof(junk) <= sizes[i]; at += (off_t)sizeof(junk)) {
            EXPECT_EQ(pwrite(fd, junk, sizeof(junk), at), (ssize_t)sizeof(junk));
            memset(junk, 0xff, sizeof(uint64_t));
        }
        EXPECT_EQ(ftruncate(fd, sizes[i]), 0);
        close(fd);
        struct store_options options = named();
        options.must_exist = true;
        expect_refusal(options, STATUS_MISMATCH, "never finished");
        in_a_process(fill_post_office);
        in_a_process(expect_what_was_filled);
    }
}

static void what_was_never_finished_is_begun_again(void)
{
    cookie = mmap(NULL, sizeof(*cookie), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(cookie != MAP_FAILED);
    fill_what_somebody_began();
}

/* Its journal would have all; without one it is all that there is. */
static void what_has_accounts_is_not_begun_again(void)
{
    uint64_t magic = 0;
    char why[512];
    cookie = mmap(NULL, sizeof(*cookie), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(cookie != MAP_FAILED);
    in_a_process(fill_post_office);
    int fd = open_object(O_RDWR);
    EXPECT_EQ(pwrite(fd, &magic, sizeof(magic), 0), sizeof(magic));
    expect_refusal(named(), STATUS_MISMATCH, "its beginning is damaged");
    magic = SEGMENT_MAGIC;
    EXPECT_EQ(pwrite(fd, &magic, sizeof(magic), 0), sizeof(magic));
    close(fd);
    in_a_process(expect_what_was_filled);
    fd = open_object(O_RDWR);
    EXPECT_EQ(pwrite(fd, "nonsense", 8, 0), 8);
    close(fd);
    EXPECT_EQ(store_remove(harness_name(), why, sizeof(why)), STATUS_OK); /* whatever it is */
}

static void open_and_detach(void)
{
    struct store_options options = named();
    store = attached_store(&options);
    store_detach(store);
}

/* The creator holds the byte before the last that there can be. */
static void a_segment_in_the_making_is_waited_for(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = INT64_MAX - 1, .l_len = 1};
    int fd = open_object(O_RDWR | O_CREAT);
    EXPECT_EQ(fcntl(fd, F_SETLK, &lock), 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        open_and_detach();
        _exit(0);
    }
    int64_t until = clock_now() + NANOSECONDS_PER_SECOND / 4;
    while (clock_now() < until) {
        EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
        poll(NULL, 0, 5);
    }
    close(fd);
    expect_success(pid);
    in_a_process(open_and_detach);
}

/* All open it at once: one creates it, and none sees it half made. */
static void processes_that_come_at_once_share_one_segment(void)
{
    enum { PROCESSES = 8 };
    pid_t pids[PROCESSES];
    int start[2];
    EXPECT_EQ(pipe(start), 0);
    for (int i = 0; i < PROCESSES; i++) {
        char name[16];
        char byte;
        sprintf(name, "user%d", i);
        pids[i] = fork();
        EXPECT(pids[i] >= 0);
        if (pids[i] > 0)
            continue;
        close(start[1]);
        EXPECT_EQ(read(start[0], &byte, 1), 0);
        struct store_options options = named();
        store = attached_store(&options);
        new_account(store, name);
        store_detach(store);
        _exit(0);
    }
    close(start[1]);
    for (int i = 0; i < PROCESSES; i++)
        expect_success(pids[i]);
    struct store_figures figures;
    struct store_options options = named();
    store = attached_store(&options);
    store_figures(store, &figures);
    EXPECT_EQ(figures.accounts, PROCESSES);
    EXPECT_EQ(figures.slots, 1);
    EXPECT_CLEAN(store);
}

static void a_removed_post_office_is_gone_but_for_those_in_it(void)
{
    struct store_options options = named();
    char why[256] = "";
    EXPECT_EQ(store_remove(harness_name(), why, sizeof(why)), STATUS_SYSTEM);
    EXPECT(strstr(why, harness_name()));
    static struct store *volatile before, *volatile after;
    before = attached_store(&options);
    new_account(before, "alice");
    EXPECT_EQ(store_remove(harness_name(), why, sizeof(why)), STATUS_OK);
    EXPECT(!object_exists());
    new_account(before, "bob");
    EXPECT_CLEAN(before);
    after = attached_store(&options);
    new_account(after, "alice");
    EXPECT_CLEAN(after);
}

static size_t count_objects(void)
{
    char prefix[80];
    size_t count = 0;
    int length = snprintf(prefix, sizeof(prefix), "shmail-%s.damaged-", harness_name());
    DIR *objects = opendir("/dev/shm");
    EXPECT(objects);
    for (struct dirent *entry; (entry = readdir(objects));)
        count += strncmp(entry->d_name, prefix, (size_t)length) == 0;
    closedir(objects);
    return count;
}

/* They are named by the second: until two have met in one. */
static void what_is_set_aside_takes_no_other_s_place(void)
{
    struct store_options options = named();
    char aside[128] = "";
    size_t count = 0;
    while (!strstr(aside, "Z-2")) {
        struct store *damaged = open_store(&options);
        EXPECT_EQ(store_set_aside(&damaged, harness_name(), aside, sizeof(aside)), STATUS_OK);
        EXPECT(!damaged && !object_exists());
        EXPECT_EQ(count_objects(), ++count);
        EXPECT(count < 200);
    }
    options.name = aside;
    options.must_exist = true;
    store = open_store(&options);
}

/* Also by the last of all slots. */
static void who_is_attached_keeps_a_post_office_from_being_removed(void)
{
    char why[256] = "", byte;
    struct store_options options = named();
    options.slots = SLOTS_LIMIT;
    options.segment_bytes = 1 << 28;
    EXPECT_EQ(pipe(ready), 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        store = open_store(&options);
        EXPECT(segment_try_byte(store, slot_byte(SLOTS_LIMIT - 1)));
        EXPECT_EQ(write(ready[1], "r", 1), 1);
        for (;;)
            pause();
    }
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    EXPECT_EQ(store_remove(harness_name(), why, sizeof(why)), STATUS_IN_USE);
    EXPECT(strstr(why, "is attached to"));
    EXPECT(object_exists());
    EXPECT_EQ(kill(pid, SIGKILL), 0);
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    EXPECT_EQ(store_remove(harness_name(), why, sizeof(why)), STATUS_OK);
}

static void hold_open(void)
{
    const struct store_options options = named();
    store = open_store(&options);
}

/* With all bytes, and its name another one's after some time. */
static void repair_slowly(void)
{
    char why[256], path[128], aside[160];
    int fd;
    snprintf(path, sizeof(path), "/dev/shm/shmail-%s", harness_name());
    snprintf(aside, sizeof(aside), "%s.aside", path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    EXPECT_EQ(segment_take_bytes(fd, (uint64_t)lseek(fd, 0, SEEK_END), "it", why, sizeof(why)), STATUS_OK);
    EXPECT_EQ(write(ready[1], "r", 1), 1);
    EXPECT_EQ(usleep(300000), 0);
    EXPECT_EQ(rename(path, aside), 0);
    EXPECT(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0);
    _exit(0);
}

/* Until it is killed, but for what ends itself. */
static pid_t start(void (*run)(void))
{
    char byte;
    EXPECT_EQ(pipe(ready), 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        run();
        EXPECT_EQ(write(ready[1], "r", 1), 1);
        for (;;)
            pause();
    }
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    return pid;
}

static void say_nothing(void *context, enum report_kind kind, const char *text)
{
    (void)context;
    (void)kind;
    (void)text;
}

static void who_has_it_open_keeps_a_post_office_as_it_is(void)
{
    struct report report = {.say = say_nothing};
    char why[256] = "";
    pid_t pid = start(hold_open);
    EXPECT_EQ(store_remove(harness_name(), why, sizeof(why)), STATUS_IN_USE);
    EXPECT(strstr(why, "is attached to"));
    EXPECT_EQ(segment_repair(harness_name(), NULL, &report, why, sizeof(why)), STATUS_IN_USE);
    EXPECT(strstr(why, "is attached to"));
    EXPECT_EQ(kill(pid, SIGKILL), 0);
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    EXPECT_EQ(segment_repair(harness_name(), NULL, &report, why, sizeof(why)), STATUS_OK);
    EXPECT_EQ(store_remove(harness_name(), why, sizeof(why)), STATUS_OK);
}

static void who_comes_in_a_repair_waits_for_what_is_made_of_it(void)
{
    char why[256] = "", aside[64], path[128];
    struct stat there, opened;
    struct report report = {.say = say_nothing};
    const struct store_options options = named();
    in_a_process(hold_open);
    pid_t pid = start(repair_slowly);
    EXPECT_EQ(segment_repair(harness_name(), NULL, &report, why, sizeof(why)), STATUS_IN_USE);
    EXPECT(strstr(why, "repairs or removes"));
    store = attached_store(&options); /* another one, since that has gone */
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    snprintf(path, sizeof(path), "/dev/shm/shmail-%s", options.name);
    EXPECT_EQ(stat(path, &there), 0);
    EXPECT_EQ(fstat(store->fd, &opened), 0);
    EXPECT_EQ(there.st_ino, opened.st_ino);
    snprintf(aside, sizeof(aside), "%s.aside", options.name);
    EXPECT_EQ(store_remove(aside, why, sizeof(why)), STATUS_OK);
}

/* Once more after it was set aside, as by a server that rebuilds its post office. */
static void what_a_process_keeps_of_a_store_lies_where_it_wants(void)
{
    static const char zeros[STORE_BYTES];
    static _Alignas(max_align_t) char memory[STORE_BYTES];
    char why[256] = "", aside[128];
    struct store_options options = named();
    options.memory = memory;
    for (int round = 0; round < 2; round++) {
        store = attached_store(&options);
        EXPECT((char *)store == memory);
        EXPECT_EQ(store_set_aside(&store, harness_name(), aside, sizeof(aside)), STATUS_OK);
        EXPECT_EQ(memcmp(memory, zeros, sizeof(memory)), 0);
        EXPECT_EQ(store_remove(aside, why, sizeof(why)), STATUS_OK);
    }
    options.slots = SLOTS_LIMIT + 1;
    EXPECT_EQ(store_open(&store, &options, why, sizeof(why)), STATUS_MALFORMED);
    EXPECT_EQ(memcmp(memory, zeros, sizeof(memory)), 0);
}

static const struct harness_test tests[] = {
    {"what a process keeps of a store lies where it wants",
     what_a_process_keeps_of_a_store_lies_where_it_wants},
    {"who is attached keeps a post office from being removed",
     who_is_attached_keeps_a_post_office_from_being_removed},
    {"who has it open keeps a post office as it is", who_has_it_open_keeps_a_post_office_as_it_is},
    {"who comes in a repair waits for what is made of it",
     who_comes_in_a_repair_waits_for_what_is_made_of_it},
    {"what one process left another finds", what_one_process_left_another_finds},
    {"an untouched page costs nothing", an_untouched_page_costs_nothing},
    {"a post office has one server", a_post_office_has_one_server},
    {"what has accounts is not begun again", what_has_accounts_is_not_begun_again},
    {"what was never finished is begun again", what_was_never_finished_is_begun_again},
    {"a segment in the making is waited for", a_segment_in_the_making_is_waited_for},
    {"processes that come at once share one segment", processes_that_come_at_once_share_one_segment},
    {"a removed post office is gone but for those in it", a_removed_post_office_is_gone_but_for_those_in_it},
    {"what is set aside takes no other's place", what_is_set_aside_takes_no_other_s_place},
};

HARNESS_MAIN(tests)
