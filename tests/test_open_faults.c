/* test_open_faults.c: whatever call of the system fails while a post office is made, opened or removed: the
 * answer says what, nothing is left behind, and what was there is there. */
#include "call_faults.h"
#include "scene.h"
#include "segment_tools.h"

#include "named_segment.h"

#include <dlfcn.h>

static struct store_options options;

/* The system is to blame, not who asks; a call that is only interrupted is made again. */
static void expect_reason(const struct kind *kind, uint64_t at, enum status status, const char *why)
{
    bool of_the_system = status == STATUS_SYSTEM || status == STATUS_NO_MEMORY ||
                         status == STATUS_FULL_SEGMENT || status == STATUS_FULL_SLOTS;
    if (!of_the_system || kind->error == EINTR || !why[0] || strchr(why, '\n'))
        harness_fail(__FILE__, __LINE__, "call %ju of kind %s fails: %s: \"%s\"", (uintmax_t)at, kind->name,
                     status_text(status), why);
}

static void fill_and_close(void)
{
    for (int which = 0; which < 4; which++)
        EXPECT_EQ(scene_operation(store, which), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    scene_close(store);
}

static size_t refused;

/* Opens it with that fault. Where it opens all the same it must be as good as any. False: there are not so
 * many calls. */
static bool open_under_fault(const struct kind *kind, uint64_t at)
{
    char why[1024] = "";
    size_t before = open_descriptors();
    arm(kind, at);
    enum status status = store_open(&store, &options, why, sizeof(why));
    bool struck = fault.seen >= at;
    arm(NULL, 0);
    if (status != STATUS_OK) {
        EXPECT(struck);
        refused++;
        expect_reason(kind, at, status, why);
        EXPECT_EQ(open_descriptors(), before);
        store = open_store(&options);
    }
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
    return struck;
}

/* These and no others. */
static void remove_journal(void)
{
    EXPECT_EQ(unlink("journal/journal.0"), 0);
    EXPECT_EQ(unlink("journal/journal.1"), 0);
    EXPECT_EQ(unlink("journal/lock"), 0);
    EXPECT_EQ(rmdir("journal"), 0);
}

/* As long as there is one more: made anew each time. */
static void each_call_fails_when_it_is_made(void)
{
    char why[512];
    size_t calls = 0;
    for (size_t i = 0; i < KINDS; i++)
        for (uint64_t at = 1;; at++, calls++) {
            bool struck = open_under_fault(&kinds[i], at);
            EXPECT_EQ(store->header->accounts_used, 0);
            EXPECT_CLEAN(store);
            fill_and_close();
            if (options.name)
                EXPECT_EQ(store_remove(options.name, why, sizeof(why)), STATUS_OK);
            if (options.directory)
                remove_journal();
            if (!struck)
                break;
        }
    harness_say("made: each of %zu calls failed", calls);
}

/* Whose files are synced while they are filled. */
static void each_sync_fails_when_a_large_one_is_made(void)
{
    const struct kind *sync = kinds;
    uint64_t at = 0;
    bool struck;
    refused = 0;
    options = scene_options;
    options.journal_bytes = JOURNAL_SYNC_STEP + (1 << 20);
    while (sync->call != CALL_SYNC)
        sync++;
    do {
        struck = open_under_fault(sync, ++at);
        fill_and_close();
        remove_journal();
    } while (struck);
    EXPECT(at > 6);
    EXPECT_EQ(refused, at - 1);
}

static void spoil_the_other_header(void)
{
    int fd = open("journal/journal.1", O_WRONLY | O_CLOEXEC);
    EXPECT(fd >= 0);
    EXPECT_EQ(syscall(SYS_pwrite64, fd, "nonsense", 8L, 0L), 8);
    close(fd);
}

static void each_call_fails_when_it_is_opened(void)
{
    size_t calls = 0;
    store = attached_store(&options);
    fill_and_close();
    store = attached_store(&options);
    uint64_t digest = scene_digest(store);
    scene_close(store);
    for (size_t i = 0; i < KINDS; i++)
        for (uint64_t at = 1;; at++, calls++) {
            if (!options.name)
                spoil_the_other_header(); /* it has to be retired before anything is written */
            bool struck = open_under_fault(&kinds[i], at);
            EXPECT_EQ(scene_digest(store), digest);
            EXPECT_CLEAN(store);
            scene_close(store);
            if (!struck)
                break;
        }
    harness_say("opened: each of %zu calls failed", calls);
}

/* What stands there is nobody's journal yet, however long it is. */
static void with_blank_files(void)
{
    const struct kind *reading = kinds;
    uint64_t at = 1;
    options = scene_options;
    EXPECT_EQ(mkdir("journal", 0700), 0);
    while (reading->call != CALL_READ || reading->error != EINVAL)
        reading++;
    for (bool struck = true; struck; at++) {
        for (int file = 0; file < 2; file++) {
            const char *name = file ? "journal/journal.1" : "journal/journal.0";
            int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            EXPECT(fd >= 0 && ftruncate(fd, (3 << 20) + 1) == 0);
            close(fd);
        }
        struck = open_under_fault(reading, at);
        EXPECT_EQ(store->header->accounts_used, 0);
        fill_and_close();
    }
    EXPECT(at > 8);
}

static char object_path[128];

static void remove_object(void)
{
    EXPECT_EQ(shm_unlink(object_path), 0);
}

/* As a repair or a rebuild does: it has another name then, and its own is free or another one's. */
static void set_object_aside(void)
{
    char from[sizeof(object_path) + 16], to[sizeof(from) + 16];
    snprintf(from, sizeof(from), "/dev/shm%s", object_path);
    snprintf(to, sizeof(to), "%s.aside", from);
    EXPECT_EQ(rename(from, to), 0);
}

/* Somebody removes it between its opening and the lock. */
static void what_is_removed_meanwhile_is_made_anew(void)
{
    char why[512];
    options = named();
    snprintf(object_path, sizeof(object_path), "/shmail-%s", options.name);
    store = attached_store(&options);
    fill_and_close();
    disk_lock_hook = remove_object;
    store = attached_store(&options);
    EXPECT_EQ(store->header->accounts_used, 0);
    fill_and_close();
    disk_lock_hook = remove_object;
    EXPECT_EQ(store_remove(options.name, why, sizeof(why)), STATUS_SYSTEM);
    EXPECT(strstr(why, "there is no post office "));
    EXPECT(!object_exists());
}

static void what_is_set_aside_meanwhile_is_made_anew(void)
{
    char why[512], aside[64];
    options = named();
    snprintf(aside, sizeof(aside), "%s.aside", options.name);
    snprintf(object_path, sizeof(object_path), "/shmail-%s", options.name);
    store = attached_store(&options);
    fill_and_close();
    disk_lock_hook = set_object_aside;
    store = attached_store(&options);
    EXPECT_EQ(store->header->accounts_used, 0);
    fill_and_close();
    EXPECT_EQ(store_remove(aside, why, sizeof(why)), STATUS_OK);
    disk_lock_hook = set_object_aside;
    EXPECT_EQ(store_remove(options.name, why, sizeof(why)), STATUS_SYSTEM);
    EXPECT(strstr(why, "there is no post office "));
    EXPECT_EQ(store_remove(aside, why, sizeof(why)), STATUS_OK);
}

static long processors;

/* A sanitizer asks for more. */
long sysconf(int name)
{
    long (*of_the_system)(int);
    *(void **)&of_the_system = dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_NPROCESSORS_ONLN ? processors : of_the_system(name);
}

/* At most one hash a processor at a time, but one at least. */
static void there_is_a_token_for_each_processor(void)
{
    static const long counts[] = {-1, 0, 1, 7, TOKENS_MAX, TOKENS_MAX + 1};
    static const uint32_t expected[] = {1, 1, 1, 7, TOKENS_MAX, TOKENS_MAX};
    options = (struct store_options){.segment_bytes = 16 << 20, .accounts = 16, .slots = 8};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        processors = counts[i];
        store = open_store(&options);
        EXPECT_EQ(store->header->tokens, expected[i]);
        scene_close(store);
    }
}

static void without_a_name(void)
{
    options = (struct store_options){.segment_bytes = 16 << 20, .accounts = 16, .slots = 8};
    each_call_fails_when_it_is_made();
}

static void with_a_name(void)
{
    options = named();
    each_call_fails_when_it_is_made();
    each_call_fails_when_it_is_opened();
}

static void with_a_journal(void)
{
    options = scene_options;
    each_call_fails_when_it_is_made();
    each_call_fails_when_it_is_opened();
}

static void with_both(void)
{
    options = scene_options;
    options.name = harness_name();
    each_call_fails_when_it_is_made();
    each_call_fails_when_it_is_opened();
}

/* Its name has gone by then: there is nothing to take back. */
static void what_fails_afterwards_does_not_hide_why(void)
{
    char why[512] = "";
    options = scene_options;
    options.name = harness_name();
    snprintf(object_path, sizeof(object_path), "/shmail-%s", options.name);
    disk_hook = remove_object;
    fault.kinds = CALL_WRITE;
    fault.error = ENOSPC;
    fault.at = 1;
    errno = 0;
    EXPECT_EQ(store_open(&store, &options, why, sizeof(why)), STATUS_SYSTEM);
    EXPECT_EQ(errno, ENOSPC);
    EXPECT(strstr(why, strerror(ENOSPC)));
}

/* Each call of a removal. */
static void what_cannot_be_removed_stays(void)
{
    char why[512];
    options = named();
    for (size_t i = 0; i < KINDS; i++) {
        bool struck = true;
        for (uint64_t at = 1; struck; at++) {
            store = attached_store(&options);
            fill_and_close();
            why[0] = '\0';
            arm(&kinds[i], at);
            enum status status = store_remove(options.name, why, sizeof(why));
            struck = fault.seen >= at;
            arm(NULL, 0);
            EXPECT_EQ(status == STATUS_OK, !object_exists());
            if (status == STATUS_OK)
                continue;
            EXPECT(struck && strstr(why, options.name));
            EXPECT_EQ(status, STATUS_SYSTEM); /* nobody is in it */
            EXPECT_EQ(store_remove(options.name, why, sizeof(why)), STATUS_OK);
        }
    }
}

/* ---- who has it, and ends before that can be asked ---- */

static pid_t holder;

static void end_holder(void)
{
    EXPECT_EQ(kill(holder, SIGKILL), 0);
    EXPECT_EQ(waitpid(holder, NULL, 0), holder);
}

static void start_holder(void)
{
    int ready[2];
    char byte;
    EXPECT_EQ(pipe(ready), 0);
    holder = fork();
    EXPECT(holder >= 0);
    if (holder == 0) {
        store = attached_store(&options);
        EXPECT_EQ(write(ready[1], "r", 1), 1);
        for (;;)
            pause();
    }
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    disk_holder_hook = end_holder;
}

static void say_nothing(void *context, enum report_kind kind, const char *text)
{
    (void)context;
    (void)kind;
    (void)text;
}

static void who_ends_before_it_is_named_is_in_nobodys_way(void)
{
    struct report report = {.say = say_nothing};
    char why[512] = "";
    options = named();
    start_holder();
    enum status status = segment_repair(options.name, NULL, &report, why, sizeof(why));
    EXPECT_STR(why, "");
    EXPECT_EQ(status, STATUS_OK);
    start_holder();
    status = store_remove(options.name, why, sizeof(why));
    EXPECT_STR(why, "");
    EXPECT_EQ(status, STATUS_OK);
    EXPECT(!object_exists());
}

static const struct harness_test tests[] = {
    {"each sync fails when a large one is made", each_sync_fails_when_a_large_one_is_made},
    {"whatever fails when a private post office is made, it says so and leaves nothing", without_a_name},
    {"whatever fails when a post office is made or opened, nothing is lost", with_a_name},
    {"whatever fails when a journal is made or opened, nothing is lost", with_a_journal},
    {"whatever fails when a post office with a journal is made or opened, nothing is lost", with_both},
    {"whatever fails over blank files, they stay blank or become a journal", with_blank_files},
    {"what fails when a post office is taken back does not hide why",
     what_fails_afterwards_does_not_hide_why},
    {"what cannot be removed stays", what_cannot_be_removed_stays},
    {"who ends before it is named is in nobody's way", who_ends_before_it_is_named_is_in_nobodys_way},
    {"what is removed meanwhile is made anew", what_is_removed_meanwhile_is_made_anew},
    {"what is set aside meanwhile is made anew", what_is_set_aside_meanwhile_is_made_anew},
    {"there is a token for each processor", there_is_a_token_for_each_processor},
};

HARNESS_MAIN(tests)
