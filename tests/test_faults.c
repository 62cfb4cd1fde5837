/* test_faults.c: whatever call fails, at whatever time: nobody dies, nothing leaks, each request gets the
 * error that it should, and what was acknowledged is there after the next reboot. */
#include "password.h"
#include "power.h"

#include <dirent.h>
#include <poll.h>

/* ---- one fault ---- */

struct kind {
    const char *name;
    enum disk_call call;
    int error;
    enum status first; /* what the request gets in which it happens */
    enum status other;
};

static const struct kind kinds[] = {
#if DISK_HAS_MEMORY
    {"allocation", CALL_MEMORY, ENOMEM, STATUS_NO_MEMORY, STATUS_SYSTEM},
#endif
    {"write, EIO", CALL_WRITE, EIO, STATUS_READ_ONLY, STATUS_FULL_JOURNAL},
    {"write, ENOSPC", CALL_WRITE, ENOSPC, STATUS_READ_ONLY, STATUS_FULL_JOURNAL},
    {"write, EINTR", CALL_WRITE, EINTR, STATUS_OK, STATUS_OK},
    {"write, cut short", CALL_WRITE, DISK_SHORT, STATUS_OK, STATUS_OK},
    {"write of nothing", CALL_WRITE, DISK_NOTHING, STATUS_READ_ONLY, STATUS_FULL_JOURNAL},
    {"read, EIO", CALL_READ, EIO, STATUS_SYSTEM, STATUS_READ_ONLY},
    {"read, EINTR", CALL_READ, EINTR, STATUS_OK, STATUS_OK},
    {"read, cut short", CALL_READ, DISK_SHORT, STATUS_OK, STATUS_OK},
    {"sync", CALL_SYNC, EIO, STATUS_READ_ONLY, STATUS_SYSTEM},
    {"reservation", CALL_RESERVE, ENOSPC, STATUS_FULL_SEGMENT, STATUS_SYSTEM},
    {"mapping", CALL_MAP, ENOMEM, STATUS_SYSTEM, STATUS_NO_MEMORY},
    {"semaphore", CALL_SEMAPHORE, EINTR, STATUS_SYSTEM, STATUS_SYSTEM},
    {"random bytes", CALL_RANDOM, EIO, STATUS_SYSTEM, STATUS_SYSTEM},
    {"opening", CALL_OPEN, EMFILE, STATUS_SYSTEM, STATUS_SYSTEM},
};

static struct trial {
    const struct kind *kind;
    bool has_struck; /* a request has had its error */
    uint64_t failures;
} trial;

static void arm(bool armed)
{
    fault.kinds = armed ? (unsigned)trial.kind->call : 0;
}

/* The first request that fails after the fault must have the right error; those that follow may lack what
 * that one should have made. */
static void judge(enum status status, const char *request)
{
    bool is_consequence = trial.has_struck && (status == STATUS_NO_ACCOUNT || status == STATUS_GONE ||
                                               status == STATUS_NO_MESSAGE ||
                                               status == STATUS_NOTHING_QUEUED || status == STATUS_TAKEN);
    if (status == STATUS_OK)
        return;
    if (status != trial.kind->first && status != trial.kind->other && !is_consequence)
        harness_fail(__FILE__, __LINE__, "call %ju of kind %s fails: %s answers: %s", (uintmax_t)fault.at,
                     trial.kind->name, request, status_text(status));
    EXPECT(fault.seen >= fault.at && fault.at > 0);
    trial.has_struck = true;
    trial.failures++;
}

/* ---- a day in a post office ---- */

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    EXPECT(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void open_under_fault(void)
{
    char why[1024] = "";
    size_t before = open_descriptors();
    arm(true);
    enum status status = store_open(&store, &scene_options, why, sizeof(why));
    if (status == STATUS_OK)
        status = store_attach(store, "test");
    arm(false);
    judge(status == STATUS_SYSTEM ? trial.kind->first : status, "opening the post office");
    if (status == STATUS_OK)
        return;
    if (store) {
        scene_close(store);
    } else {
        EXPECT(why[0]);
        EXPECT_EQ(open_descriptors(), before);
    }
    fault.at = 0; /* the disk was mended, and the server is started again */
    store = attached_store(&scene_options);
}

/* One that fails has changed nothing. */
static void request(int which)
{
    uint64_t before = scene_digest(store);
    char name[32];
    snprintf(name, sizeof(name), "operation %d", which);
    arm(true);
    enum status status = scene_operation(store, which);
    arm(false);
    judge(status, name);
    draft_drop(store);
    if (status != STATUS_OK) {
        EXPECT_EQ(store->header->journal.assigned, scene->last);
        EXPECT_EQ(scene_digest(store), before);
    }
    scene_note(scene, store);
    arm(true);
    status = store_settle(store);
    arm(false);
    judge(status, "settling");
    if (status == STATUS_OK && load64(&store->header->journal.synced) >= scene->last)
        disk_acknowledged(scene->last);
}

/* What else may fail in a connection's process. */
static void log_in(void)
{
    struct account_secret secret;
    struct session session = {0};
    struct cookie cookie;
    char hash[HASH_MAX + 1];
    account_t account = scene_account(store, "bob");
    arm(true);
    judge(password_hash(store, "secret", 6, hash), "hashing");
    enum status status = account_secret(store, "bob", 3, &secret);
    if (status == STATUS_OK)
        status = account_login(store, &secret, &cookie);
    judge(status, "logging in");
    if (status == STATUS_OK)
        judge(cookie_verify(store, cookie.text, COOKIE_TEXT, &session), "verifying");
    judge(enter_account(store, account), "entering");
    account_leave(store);
    if (session.index)
        judge(cookie_end(store, &session), "logging out");
    arm(false);
}

/* So that there is a log to copy. */
static void serve_meanwhile(void)
{
    if (disk_hook_file == store->header->journal.file || load64(&store->header->journal.leader) == store->me)
        return;
    arm(false);
    if (scene_send(store, "bob", "meanwhile", 20) == STATUS_OK)
        scene_note(scene, store);
    draft_drop(store);
    arm(true);
}

static void write_checkpoint(void)
{
    disk_hook = serve_meanwhile;
    arm(true);
    enum status status = journal_checkpoint(store, scene_options.journal_bytes);
    arm(false);
    disk_hook = NULL;
    judge(status == STATUS_FULL_SEGMENT ? STATUS_OK : status, "a checkpoint");
    EXPECT_CLEAN(store);
}

/* Until a new server comes, nothing changes any more; then everything goes on. */
static void expect_read_only(void)
{
    EXPECT_EQ(scene_send(store, "bob", "refused", 1), STATUS_READ_ONLY);
    draft_drop(store);
    EXPECT_EQ(mailbox_delete_first(store, scene_account(store, "bob")), STATUS_READ_ONLY);
    EXPECT_EQ(scene_create(store, "zoe", NULL), STATUS_READ_ONLY);
    EXPECT_EQ(journal_flush(store, true), STATUS_READ_ONLY);
    EXPECT_EQ(journal_checkpoint(store, scene_options.journal_bytes), STATUS_READ_ONLY);
    EXPECT_EQ(store->header->journal.assigned, scene->last);
    store->observed = scene->last;
    EXPECT_EQ(store_settle(store),
              load64(&store->header->journal.synced) < scene->last ? STATUS_READ_ONLY : STATUS_OK);
}

static void start_new_server(void)
{
    pid_t pid = fork_attached();
    if (pid == 0) {
        EXPECT_EQ(store_serve(store), STATUS_OK);
        journal_observe_all(store);
        EXPECT_EQ(store_settle(store), STATUS_OK);
        disk_acknowledged(scene->last);
        store_detach(store);
        _exit(0);
    }
    EXPECT(!wait_for(pid));
    EXPECT_EQ(scene_send(store, "bob", "accepted", 1), STATUS_OK);
    scene_note(scene, store);
    settle();
}

static void a_day(void)
{
    disk_start();
    scene = calloc(1, sizeof(*scene));
    EXPECT(scene);
    store = attached_store(&scene_options);
    do_and_settle(0, SCENE_FIRST_HALF);
    scene_close(store);
    open_under_fault();
    scene->digests[store->header->journal.assigned] = scene->digests[scene->last];
    scene->last = store->header->journal.assigned;
    for (int which = SCENE_FIRST_HALF; which < 13; which++)
        request(which);
    if (trial.kind->call & (CALL_MEMORY | CALL_MAP | CALL_RANDOM | CALL_SEMAPHORE))
        log_in();
    write_checkpoint();
    for (int which = 13; which < SCENE_OPERATIONS; which++)
        request(which);
    if (load32(&store->header->journal.failure)) {
        expect_read_only();
        start_new_server();
    } else {
        EXPECT(trial.kind->call != CALL_SYNC || fault.at == 0 || fault.seen < fault.at || !fault.lasts);
    }
    EXPECT_EQ(scene_send(store, "bob", "the end", 7), STATUS_OK);
    scene_note(scene, store);
    settle();
    play_end();
}

/* ---- for all N until none is left ---- */

struct total {
    uint64_t calls, failures, states;
};

/* False: there are not so many calls. */
static bool try_fault(const struct kind *kind, uint64_t at, bool lasts, struct total *total)
{
    char directory[64];
    int status;
    snprintf(directory, sizeof(directory), "%d-%ju-%d", (int)(kind - kinds), (uintmax_t)at, lasts);
    EXPECT_EQ(mkdir(directory, 0700), 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        EXPECT_EQ(chdir(directory), 0);
        trial.kind = kind;
        fault.at = at;
        fault.lasts = lasts;
        fault.error = kind->error;
        a_day();
        total->failures += trial.failures;
        total->states += power.states;
        _exit(fault.seen < at ? 2 : 0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 2))
        harness_fail(__FILE__, __LINE__, "call %ju of kind %s fails: the process ends with %d", (uintmax_t)at,
                     kind->name, status);
    total->calls++;
    return WEXITSTATUS(status) == 0;
}

static struct total *shared_total(void)
{
    struct total *total =
        mmap(NULL, sizeof(*total), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(total != MAP_FAILED);
    return total;
}

static void whatever_fails_nothing_is_lost(void)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct total *total = shared_total();
        uint64_t at = 1;
        while (try_fault(&kinds[i], at, false, total))
            at++;
        EXPECT(at > 1); /* a kind that nobody calls proves nothing */
        harness_say("%s: each of %ju calls failed; %ju requests had an error, %ju states recovered",
                    kinds[i].name, (uintmax_t)at - 1, (uintmax_t)total->failures, (uintmax_t)total->states);
    }
}

static void whatever_fails_for_good_nothing_is_lost(void)
{
    struct total *total = shared_total();
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].first != STATUS_OK && kinds[i].call != CALL_SEMAPHORE)
            for (uint64_t at = 1; try_fault(&kinds[i], at, true, total); at++)
                ;
    harness_say("from %ju calls on all failed; %ju requests had an error, %ju states recovered",
                (uintmax_t)total->calls, (uintmax_t)total->failures, (uintmax_t)total->states);
}

static const struct harness_test tests[] = {
    {"whatever fails once, nobody dies and nothing is lost", whatever_fails_nothing_is_lost, 600},
    {"whatever fails for good, nobody dies and nothing is lost", whatever_fails_for_good_nothing_is_lost,
     600},
};

HARNESS_MAIN(tests)
