/* wreck.h: what the tests of a segment's repair share: a named post office with something of everything, made
 * once and damaged again and again; its repair in a process of its own; and what must be true of whatever
 * comes of it. */
#ifndef SHMAIL_TEST_WRECK_H
#define SHMAIL_TEST_WRECK_H

#include "mending.h"
#include "process.h"
#include "segment_tools.h"

#include "damage.h" /* defines store */

#include <strings.h>
#include <sys/mman.h>

/* What reaches the disk is not asked here, only what is in the files; nor by disk.h, which has these too. */
#ifndef SHMAIL_TEST_DISK_H
int fsync(int file)
{
    (void)file;
    return 0;
}

int fdatasync(int file)
{
    (void)file;
    return 0;
}
#endif

int syncfs(int file)
{
    (void)file;
    return 0;
}

static bool with_journal;
static const char *journal_given; /* to the repair */
static struct buffer before, after, exports;

/* Of the last repair, which runs in another process. */
static struct outcome {
    enum status status;
    size_t counts[REPORT_KINDS];
    char why[512];
    char said[200000];
} * outcome;

static inline struct store_options office(void)
{
    return (struct store_options){.name = harness_name(),
                                  .directory = with_journal ? "journal" : NULL,
                                  .journal_bytes = 1 << 18,
                                  .segment_bytes = 8 << 20,
                                  .accounts = 20,
                                  .slots = 4,
                                  .sessions_per_account = 4};
}

/* ---- the office ---- */

static inline void live_long(struct store *office)
{
    struct account_secret secret;
    struct cookie cookie;
    live(office);
    for (unsigned i = 100; i < 170; i++)
        put(office, "bob", i, 0);
    for (unsigned i = 200; i < 203; i++)
        push(office, "alice", "dave", i);
    delete (office, "bob", 5);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(account_secret(office, "alice", 5, &secret), STATUS_OK);
        EXPECT_EQ(account_login(office, &secret, &cookie), STATUS_OK);
    }
}

static const char draft[] = "nobody's";

/* Such letters as the draft will be, until the rest of a page is kept for it. */
static inline void send_on(void)
{
    message_id id = 0;
    size_t count = 0;
    for (; !store->slot->run; count++)
        EXPECT_EQ(deliver(store, account_of(store, "alice"), "bob", "", draft, sizeof(draft) - 1, &id),
                  STATUS_OK);
    for (; count > 0; count--)
        delete (store, "alice", id--);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

/* A process that ends in the middle of everything: a draft, room for more of them, a message that it has
 * pinned, and, where there is no journal that would know of it, a deleted message and a removed account that
 * are not yet freed. */
static inline void die_in_the_middle(void)
{
    const struct letter letter = {"bob", "", draft, 3, 0, sizeof(draft) - 1};
    struct message message;
    const struct store_options options = office();
    store = attached_store(&options);
    if (!with_journal) {
        enrol(store, "erin");
        put(store, "erin", 81, 0);
        begin_removal(account_of(store, "erin"));
        begin_deletion(account_of(store, "alice"));
    }
    message_id id = put(store, "alice", 82, 0);
    EXPECT_EQ(mailbox_open(store, account_of(store, "alice"), id, &message), STATUS_OK);
    delete (store, "alice", id);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    message_release_all(store);
    send_on();
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_EQ(mailbox_open(store, account_of(store, "bob"), 1, &message), STATUS_OK);
}

static inline void in_a_process(void (*run)(void))
{
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        (void)alarm(30); /* whatever runs in circles */
        run();
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
}

static inline void object_path(char path[static 128], const char *suffix)
{
    snprintf(path, 128, "/dev/shm/shmail-%s%s", harness_name(), suffix);
}

/* Keeps the segment as store, without a name; what is damaged are copies. */
static inline void make_wreck(bool journal)
{
    char path[128];
    with_journal = journal;
    const struct store_options options = office();
    run_command("rm -rf journal sound");
    in_store(&options, live_long, &before);
    in_a_process(die_in_the_middle);
    store = open_store(&(struct store_options){.name = harness_name(), .must_exist = true});
    object_path(path, "");
    EXPECT_EQ(unlink(path), 0);
    if (journal)
        run_command("mv journal sound");
    if (!outcome)
        outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(outcome != MAP_FAILED);
}

static inline uint64_t offset_of(const void *field)
{
    return (uint64_t)((const char *)field - store->base);
}

static inline struct account_record *record_of(const char *name)
{
    for (uint32_t i = 1; i <= store->header->accounts_used; i++) {
        const struct identity *identity = at(store, account_at(store, i)->identity);
        if (account_at(store, i)->generation % 2 && strcmp(identity->text, name) == 0)
            return account_at(store, i);
    }
    harness_fail(__FILE__, __LINE__, "there is no %s", name);
}

/* A copy of it under its name; returns a descriptor. */
static inline int begin_trial(void)
{
    char path[128];
    object_path(path, "");
    int object = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    off_t end = (off_t)store->header->segment_bytes;
    EXPECT(object >= 0);
    outcome->said[0] = '\0';
    EXPECT_EQ(ftruncate(object, end), 0);
    for (off_t from = 0, to; (from = lseek(store->fd, from, SEEK_DATA)) >= 0; from = to) {
        to = lseek(store->fd, from, SEEK_HOLE);
        EXPECT_EQ(pwrite(object, store->base + from, (size_t)(to - from), from), to - from);
    }
    if (with_journal)
        harness_copy("sound/*", "journal");
    return object;
}

static inline void end_trial(void)
{
    char objects[128];
    snprintf(objects, sizeof(objects), "/dev/shm/shmail-%s*", harness_name());
    harness_remove(objects);
    harness_remove("export-*");
}

/* ---- its repair ---- */

/* At once, for who repairs may be killed. */
static inline void hear_outcome(void *context, enum report_kind kind, const char *text)
{
    size_t length = strlen(outcome->said);
    hear(context, kind, text);
    snprintf(outcome->said + length, sizeof(outcome->said) - length, "%s", said.bytes);
    buffer_clear(&said);
}

static inline void run_repair(void)
{
    struct report report = hearing();
    report.say = hear_outcome;
    outcome->status = STATUS_DAMAGED;
    outcome->why[0] = '\0';
    enum status status =
        segment_repair(harness_name(), journal_given, &report, outcome->why, sizeof(outcome->why));
    memcpy(outcome->counts, report.counts, sizeof(report.counts));
    outcome->status = status;
}

static inline void expect_repaired(void)
{
    if (outcome->status != STATUS_OK)
        harness_fail(__FILE__, __LINE__, "repair: %s\n%s", outcome->why, outcome->said);
    buffer_clear(&exports);
    read_exports(".", &exports);
}

static inline void repair(void)
{
    in_a_process(run_repair);
    expect_repaired();
}

/* Whoever is there gets and deletes a message, under an id that nobody had. */
static inline void try_out(struct store *office)
{
    static const char *const names[] = {"alice", "bob", "dave"};
    message_id newest[] = {5, 72, 3};
    const uint32_t most = 20 * 4; /* as office() has it */
    EXPECT_EQ(office->header->sessions_most, most);
    for (size_t i = 0; i < 3; i++) {
        account_t account;
        if (account_find(office, names[i], strlen(names[i]), &account) != STATUS_OK) {
            enrol(office, names[i]);
            newest[i] = 0;
        }
        message_id id = put(office, names[i], 90, 0);
        if (id <= newest[i])
            harness_fail(__FILE__, __LINE__, "%s: id %llu is given again", names[i], (unsigned long long)id);
        delete (office, names[i], id);
        if (newest[i] == 0)
            strike_off(office, names[i]);
    }
}

/* used: it is also worked with. */
static inline void expect_served(bool used)
{
    const struct store_options options = office();
    in_store(&options, used ? try_out : NULL, &after);
    if (with_journal)
        EXPECT_EQ(check_journal("journal"), 0);
}

/* ---- what must be true of it ---- */

static inline bool has_text(const struct buffer *where, const char *text, size_t length)
{
    return memmem(where->bytes, where->length, text, length) != NULL;
}

/* The line's end; NULL: there is no line. What is damaged may have any byte in it. */
static inline const char *end_of(const struct buffer *lines, const char *line)
{
    return memchr(line, '\n', (size_t)(lines->bytes + lines->length - line));
}

/* Mailbox or queue, owner and id: the line up to its body. */
static inline size_t key_length(const char *line)
{
    return (size_t)(body_of(line) - line);
}

/* A flip may change the case of a name, which is the same name. */
static inline bool has_line(const char *key, size_t length)
{
    for (const char *line = after.bytes, *end; (end = end_of(&after, line)); line = end + 1)
        if ((size_t)(end - line) >= length && strncasecmp(line, key, length) == 0)
            return true;
    return false;
}

/* An account whose name is lost is named by its index. */
static inline bool is_named(const char *line)
{
    char words[64];
    char owner[16];
    EXPECT_EQ(sscanf(line, "%*s %15s", owner), 1);
    snprintf(words, sizeof(words), "lost %s: ", owner);
    if (strstr(outcome->said, words))
        return true;
    snprintf(words, sizeof(words), "lost account %u: ", (unsigned)(record_of(owner) - account_at(store, 0)));
    return strstr(outcome->said, words) != NULL;
}

/* exact: a message that is there must say what it said. Returns how many are not there, each exported or
 * named. */
static inline size_t expect_accounted_for(bool exact)
{
    size_t missing = 0;
    for (const char *line = before.bytes, *end; (end = end_of(&before, line)); line = end + 1) {
        if (strncmp(line, "account", 7) == 0 ||
            (exact ? has_text(&after, line, (size_t)(end + 1 - line)) : has_line(line, key_length(line))))
            continue;
        const char *text = body_of(line);
        if (has_text(&after, text, (size_t)(end + 1 - text)))
            continue; /* under another id: which of a queue's is wrong nobody can tell */
        missing++;
        if (!is_exported(&exports, text, (size_t)(end - text)) && !is_named(line))
            harness_fail(__FILE__, __LINE__, "a message is gone: %.80s\nbecause:\n%.3000s", line,
                         outcome->said);
    }
    return missing;
}

/* Of the bodies that are whole none is in another's place. */
static inline void expect_no_wrong_place(void)
{
    static const char *const names[] = {"alice", "bob", "carol", "dave", "erin"};
    for (const char *line = after.bytes, *end; (end = end_of(&after, line)); line = end + 1) {
        bool in_queue = strncmp(line, "queue ", 6) == 0;
        char owner[16];
        if ((!in_queue && strncmp(line, "mailbox ", 8) != 0) || sscanf(line, "%*s %15s", owner) != 1)
            continue;
        for (size_t i = 0; i < 5; i++) {
            char mark[24];
            snprintf(mark, sizeof(mark), in_queue ? " by %s " : " for %s.", names[i]);
            if (strcasecmp(owner, names[i]) != 0 && memmem(line, (size_t)(end - line), mark, strlen(mark)))
                harness_fail(__FILE__, __LINE__, "a message is in a wrong place: %.80s", line);
        }
    }
}

#endif
