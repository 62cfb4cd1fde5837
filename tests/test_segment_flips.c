/* test_segment_flips.c: some random bits of a segment flipped, and a repair disturbed at each of its steps:
 * what can be told apart from what was meant is there, exported or named, and one sound office stands. */
#include "wreck.h"

#include "random.h"

#include <sys/syscall.h>

/* ---- flipped bits ---- */

enum { TRIALS = 80, TRIALS_LONG = 1000, FLIPS_MOST = 3 };

struct range {
    const void *start;
    size_t length;
};

/* An allocated block's first words, where its links and lengths are. */
static struct range random_block(void)
{
    for (;;) {
        struct page_shape shape;
        uint32_t page = pick(store->header->pages_used);
        if (!block_page_shape(store->pages[page].word, &shape) || shape.fresh == 0)
            continue;
        const char *base = store->base + store->arena + (uint64_t)page * PAGE;
        return (struct range){base + (size_t)pick(shape.fresh) * shape.size,
                              shape.size < 64 ? shape.size : 64};
    }
}

static struct range random_range(void)
{
    const struct header *header = store->header;
    const struct range ranges[] = {
        {header, sizeof(*header)},
        {&header->accounts_used, 512},
        {&header->journal, sizeof(header->journal)},
        {store->reserved, 32},
        {store->waits, 32},
        {store->ring, 64 * sizeof(*store->ring)},
        {slot_at(store, 0), sizeof(struct slot)},
        {store->name_buckets, 4 * ((size_t)store->name_mask + 1)},
        {account_at(store, 1), header->accounts_used * sizeof(struct account_record)},
        {session_at(store, 1), header->sessions_used * sizeof(struct session_record)},
        {store->pages, header->pages_used * sizeof(*store->pages)},
    };
    uint32_t which = pick(2 * sizeof(ranges) / sizeof(ranges[0]));
    return which < sizeof(ranges) / sizeof(ranges[0]) ? ranges[which] : random_block();
}

static void flip_some(int object)
{
    for (uint32_t left = 1 + pick(FLIPS_MOST); left > 0; left--) {
        struct range range = random_range();
        off_t offset = (off_t)(offset_of(range.start) + pick((uint32_t)range.length));
        uint8_t byte;
        EXPECT_EQ(pread(object, &byte, 1, offset), 1);
        byte ^= (uint8_t)(1u << pick(8));
        EXPECT_EQ(pwrite(object, &byte, 1, offset), 1);
        dprintf(STDOUT_FILENO, " %llu", (unsigned long long)offset);
    }
}

/* What the header or the journal say of each other does not agree any more: then nothing is touched. */
static bool is_refused(void)
{
    static const char *const reasons[] = {
        "nothing can be found in it", "is of another version", "is no post office", "out of date",
        "it cannot be opened",        "was never finished",    "is not its journal"};
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (outcome->status != STATUS_OK && strstr(outcome->why, reasons[i]))
            return true;
    return false;
}

static void flip_random_bits(bool journal)
{
    size_t repaired = 0;
    size_t costly = 0;
    size_t refused = 0;
    const size_t trials = getenv("SHMAIL_LONG") ? TRIALS_LONG : TRIALS;
    make_wreck(journal);
    for (size_t trial = 0; trial < trials; trial++) {
        int object = begin_trial();
        dprintf(STDOUT_FILENO, "# trial %zu:", trial);
        flip_some(object);
        dprintf(STDOUT_FILENO, "\n");
        close(object);
        in_a_process(run_repair);
        if (is_refused()) {
            refused++;
        } else {
            expect_repaired();
            expect_served(false);
            expect_no_wrong_place();
            costly += expect_accounted_for(false) > 0;
            repaired += outcome->counts[REPORT_DAMAGE] > 0;
        }
        end_trial();
    }
    harness_say("%zu times: %zu repaired, %zu with a loss that was named, %zu refused; the rest harmless",
                trials, repaired, costly, refused);
    EXPECT(repaired > trials / 4 && refused < trials / 4);
}

static void flipped_without_a_journal(void)
{
    flip_random_bits(false);
}

static void flipped_with_a_journal(void)
{
    flip_random_bits(true);
}

/* ---- killed, or failing ---- */

static uint64_t steps; /* until the one that is disturbed; 0: none is */
static bool fails;     /* instead of this process being killed in it */

static bool strikes(void)
{
    if (steps == 0 || --steps > 0)
        return false;
    if (!fails)
        raise(SIGKILL);
    errno = ENOSPC;
    return true;
}

int link(const char *from, const char *to)
{
    return strikes() ? -1 : linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int rename(const char *from, const char *to)
{
    return strikes() ? -1 : renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path)
{
    return strikes() ? -1 : unlinkat(AT_FDCWD, path, 0);
}

int ftruncate(int file, off_t length)
{
    return strikes() ? -1 : (int)syscall(SYS_ftruncate, file, length);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset)
{
    return strikes() ? -1 : syscall(SYS_pwrite64, file, bytes, length, offset);
}

ssize_t write(int file, const void *bytes, size_t length)
{
    return strikes() ? -1 : syscall(SYS_write, file, bytes, length);
}

int renameat(int from, const char *old, int to, const char *new)
{
    return strikes() ? -1 : (int)syscall(SYS_renameat2, from, old, to, new, 0);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    return strikes() ? -1 : (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int unlinkat(int directory, const char *path, int flags)
{
    return strikes() ? -1 : (int)syscall(SYS_unlinkat, directory, path, flags);
}

/* False: there are not so many steps. What it was making has a name of its own. */
static bool disturb_repair(uint64_t number)
{
    char path[128];
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        (void)alarm(30);
        steps = number;
        run_repair();
        bool struck = steps == 0;
        EXPECT(outcome->status == STATUS_OK || (struck && outcome->why[0] && !strchr(outcome->why, '\n')));
        _exit(struck ? 0 : 2);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    snprintf(path, sizeof(path), "/dev/shm/shmail-.repair-%ld-1", (long)pid);
    unlink(path);
    EXPECT(WIFSIGNALED(status) ? !fails && WTERMSIG(status) == SIGKILL
                               : WEXITSTATUS(status) == 2 || (fails && WEXITSTATUS(status) == 0));
    return WIFSIGNALED(status) || WEXITSTATUS(status) == 0;
}

/* Either it can be done again, or the journal has all, and a server is told so or makes the segment. */
static bool take_what_stands(void)
{
    char path[128];
    object_path(path, "");
    bool stands = access(path, F_OK) == 0;
    EXPECT(stands || (with_journal && fails));
    if (stands)
        in_a_process(run_repair);
    bool superseded =
        stands && with_journal && outcome->status == STATUS_MISMATCH && strstr(outcome->why, "out of date");
    if (superseded)
        EXPECT_EQ(unlink(path), 0);
    else if (stands)
        expect_repaired();
    buffer_clear(&exports);
    read_exports(".", &exports);
    return superseded || !stands;
}

static void disturb_each_step(void (*damage)(int object))
{
    uint64_t number = 0;
    size_t superseded = 0;
    bool struck;
    do {
        int object = begin_trial();
        damage(object);
        close(object);
        struck = disturb_repair(++number);
        superseded += take_what_stands();
        expect_served(true);
        expect_no_wrong_place();
        size_t missing = expect_accounted_for(true);
        EXPECT(missing == 0 || !with_journal);
        end_trial();
    } while (struck);
    EXPECT(number > 8);
    harness_say("each of %llu steps; %zu times the journal was the new one already",
                (unsigned long long)number - 1, superseded);
    EXPECT(superseded > 0 || !with_journal);
}

/* The page of most small messages. */
static void lose_a_page(int object)
{
    static const uint64_t nothing;
    const struct node *top = at(store, record_of("bob")->root);
    const struct node *leaf = at(store, top->entry[0]);
    uint64_t page = ((uint64_t)leaf->entry[1] * UNIT - store->arena) / PAGE;
    EXPECT_EQ(pwrite(object, &nothing, sizeof(nothing), (off_t)offset_of(&store->pages[page].word)), 8);
}

static void lose_a_record(int object)
{
    struct journal_reader reader;
    struct journal_record record;
    const char *texts;
    (void)object;
    int file = open("journal/journal.0", O_RDONLY);
    EXPECT_EQ(journal_read_open(&reader, file), FOUND_RECORD);
    for (int i = 0; i < 9; i++)
        EXPECT_EQ(journal_read(&reader, &record, &texts), FOUND_RECORD);
    flip_at("journal/journal.0", reader.offset - 8);
    journal_read_close(&reader);
    close(file);
}

static void killed_without_a_journal(void)
{
    make_wreck(false);
    disturb_each_step(lose_a_page);
}

static void killed_with_a_journal(void)
{
    make_wreck(true);
    disturb_each_step(lose_a_page);
}

static void killed_as_it_mends_the_journal(void)
{
    make_wreck(true);
    disturb_each_step(lose_a_record);
}

static void any_step_fails(void)
{
    fails = true;
    make_wreck(false);
    disturb_each_step(lose_a_page);
}

static void any_step_fails_beside_a_journal(void)
{
    fails = true;
    make_wreck(true);
    disturb_each_step(lose_a_page);
}

/* Of a repair that gives a sound office its first journal. Where one was killed, its directory may stay. */
static void disturb_a_first_journal(void)
{
    uint64_t number = 0;
    size_t left = 0;
    bool struck;
    make_wreck(false);
    do {
        close(begin_trial());
        journal_given = "journal";
        struck = disturb_repair(++number);
        if (outcome->status != STATUS_OK)
            in_a_process(run_repair);
        if (outcome->status == STATUS_MISMATCH && !fails) {
            EXPECT(strstr(outcome->why, "name a directory with nothing in it for a new one"));
            left++;
            harness_remove("journal");
            in_a_process(run_repair);
        }
        expect_repaired();
        with_journal = true;
        expect_served(true);
        EXPECT_EQ(expect_accounted_for(true), 0);
        with_journal = false;
        end_trial();
        harness_remove("journal");
    } while (struck);
    EXPECT(number > 8 && (left > 0) == !fails);
}

static void a_first_journal_is_killed(void)
{
    disturb_a_first_journal();
}

static void a_first_journal_fails(void)
{
    fails = true;
    disturb_a_first_journal();
}

static const struct harness_test tests[] = {
    {"random bits flipped: nothing is dropped unsaid or misplaced", flipped_without_a_journal, 300},
    {"random bits flipped beside a journal: the same", flipped_with_a_journal, 300},
    {"a repair killed at any step can be done again", killed_without_a_journal, 120},
    {"killed at any step, the old office stands or the new one, or its journal", killed_with_a_journal, 120},
    {"killed while it mends the journal of a sound segment", killed_as_it_mends_the_journal, 120},
    {"a repair of which any step fails says so and has changed nothing, or has done its work", any_step_fails,
     120},
    {"the same beside a journal, which then has all", any_step_fails_beside_a_journal, 120},
    {"a first journal of which any step fails can be had by the same repair", a_first_journal_fails, 120},
    {"a first journal whose repair is killed at any step takes nothing from the old office",
     a_first_journal_is_killed, 120},
};

HARNESS_MAIN(tests)
