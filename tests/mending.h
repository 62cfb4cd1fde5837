/* mending.h: what the tests of shmailctl's check and repair share: a post office whose messages say
 * themselves where they belong, what is in it as text, what was exported, and what was reported. */
#ifndef SHMAIL_TEST_MENDING_H
#define SHMAIL_TEST_MENDING_H

#include "buffer.h"
#include "journal.h"
#include "journal_read.h"
#include "journal_tools.h"
#include "post_office.h"
#include "queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- files ---- */

static inline void read_whole(const char *path, struct buffer *bytes)
{
    int file = open(path, O_RDONLY);
    struct stat about;
    if (file < 0 || fstat(file, &about) != 0)
        harness_fail(__FILE__, __LINE__, "%s: %s", path, strerror(errno));
    buffer_clear(bytes);
    char *room = buffer_reserve(bytes, (size_t)about.st_size + 1);
    EXPECT(room != NULL);
    EXPECT_EQ(read(file, room, (size_t)about.st_size), about.st_size);
    room[about.st_size] = '\0';
    bytes->length = (size_t)about.st_size;
    close(file);
}

static inline void write_at(const char *path, uint64_t offset, const void *bytes, size_t length)
{
    int file = open(path, O_WRONLY);
    EXPECT(file >= 0);
    EXPECT_EQ(pwrite(file, bytes, length, (off_t)offset), (ssize_t)length);
    close(file);
}

static inline void flip_at(const char *path, uint64_t offset)
{
    struct buffer bytes = {0};
    read_whole(path, &bytes);
    char flipped = (char)(bytes.bytes[offset] ^ 0x10);
    write_at(path, offset, &flipped, 1);
    buffer_free(&bytes);
}

static inline void run_command(const char *command)
{
    if (system(command) != 0) // NOLINT(cert-env33-c): cp and rm
        harness_fail(__FILE__, __LINE__, "%s", command);
}

static inline int count_files(const char *directory)
{
    int count = 0;
    DIR *files = opendir(directory);
    EXPECT(files != NULL);
    for (struct dirent *entry; (entry = readdir(files));)
        count += entry->d_name[0] != '.';
    closedir(files);
    return count;
}

/* ---- what is reported ---- */

static struct buffer said; /* "kind text\n", and a NUL that does not count */

static inline void hear(void *context, enum report_kind kind, const char *text)
{
    static const char *const words[REPORT_KINDS] = {"note", "damage", "lost", "exported"};
    (void)context;
    EXPECT(buffer_print(&said, "%s %s\n", words[kind], text) && buffer_reserve(&said, 1));
    said.bytes[said.length] = '\0';
}

static inline struct report hearing(void)
{
    buffer_clear(&said);
    EXPECT(buffer_reserve(&said, 1) != NULL);
    said.bytes[0] = '\0';
    return (struct report){.say = hear};
}

static inline bool was_said(const char *words)
{
    return strstr(said.bytes, words) != NULL;
}

#define EXPECT_SAID(words) \
    (was_said(words) ? (void)0 : harness_fail(__FILE__, __LINE__, "not \"%s\" but:\n%s", words, said.bytes))

/* Their findings; a refusal fails the test. */
static inline size_t check_journal(const char *directory)
{
    char why[1024] = "";
    struct report report = hearing();
    if (journal_check(directory, &report, why, sizeof(why)) != STATUS_OK)
        harness_fail(__FILE__, __LINE__, "check: %s", why);
    return report_findings(&report);
}

/* How much was lost or exported. */
static inline size_t repair_journal(const char *directory)
{
    char why[1024] = "";
    struct report report = hearing();
    if (journal_repair(directory, &report, why, sizeof(why)) != STATUS_OK)
        harness_fail(__FILE__, __LINE__, "repair: %s", why);
    return report.counts[REPORT_LOST] + report.counts[REPORT_EXPORTED];
}

static inline void expect_refused(enum status status, enum status expected, const char *why,
                                  const char *words)
{
    EXPECT_EQ(status, expected);
    if (!strstr(why, words))
        harness_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", why, words);
    EXPECT(!strchr(why, '\n'));
}

/* ---- a post office ---- */

static inline account_t account_of(struct store *store, const char *name)
{
    account_t account;
    EXPECT_EQ(account_find(store, name, strlen(name), &account), STATUS_OK);
    return account;
}

/* Bodies say where they are: "N for NAME", "N by NAME for NAME" in a queue, and longer where size says so. */
static inline size_t compose(char *body, unsigned number, const char *where, size_t size)
{
    size_t length = (size_t)sprintf(body, "%u %s.", number, where);
    while (length < size)
        body[length++] = 'x';
    return length;
}

static inline message_id put(struct store *store, const char *to, unsigned number, size_t size)
{
    static char body[100000];
    char where[64];
    message_id id = 0;
    snprintf(where, sizeof(where), "for %s", to);
    size_t length = compose(body, number, where, size);
    EXPECT_EQ(deliver(store, account_of(store, to), "sender", "a subject", body, length, &id), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    return id;
}

static inline void push(struct store *store, const char *by, const char *to, unsigned number)
{
    char body[64];
    char where[48];
    snprintf(where, sizeof(where), "by %s for %s", by, to);
    struct letter letter = {by, "", body, strlen(by), 0, compose(body, number, where, 0)};
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_EQ(queue_push(store, account_of(store, by)), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static inline void move(struct store *store, const char *by, const char *to)
{
    message_id id;
    EXPECT_EQ(queue_store(store, account_of(store, by), account_of(store, to), &id), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static inline void delete (struct store *store, const char *name, message_id id)
{
    EXPECT_EQ(mailbox_delete(store, account_of(store, name), id), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static inline void enrol(struct store *store, const char *name)
{
    account_t account;
    EXPECT_EQ(account_create(store, name, strlen(name), "$y$secret-hash", &account, NULL), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static inline void change_password(struct store *store, const char *name)
{
    struct account_secret secret;
    EXPECT_EQ(account_secret(store, name, strlen(name), &secret), STATUS_OK);
    EXPECT_EQ(account_change_hash(store, &secret, "$y$another-hash"), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static inline void strike_off(struct store *store, const char *name)
{
    struct account_secret secret;
    EXPECT_EQ(account_secret(store, name, strlen(name), &secret), STATUS_OK);
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

/* Every kind of record; an index that becomes another account's; ids that have gaps. */
static inline void live(struct store *store)
{
    enrol(store, "alice");
    enrol(store, "bob");
    enrol(store, "carol");
    for (unsigned i = 1; i <= 3; i++)
        put(store, "alice", 10 + i, 0);
    put(store, "bob", 21, 0);
    put(store, "carol", 31, 0);
    push(store, "alice", "bob", 41);
    push(store, "alice", "dave", 42);
    delete (store, "alice", 2);
    change_password(store, "bob");
    strike_off(store, "carol");
    enrol(store, "dave");
    put(store, "dave", 51, 0);
    put(store, "alice", 14, 20000);
    move(store, "alice", "dave");
    push(store, "bob", "alice", 43);
    move(store, "bob", "alice");
    put(store, "dave", 52, 0);
    put(store, "bob", 22, 300);
}

/* What the post office goes on with, after a restart or a checkpoint. */
static inline void live_on(struct store *store)
{
    put(store, "bob", 61, 0);
    push(store, "bob", "dave", 62);
    delete (store, "dave", 1);
    put(store, "alice", 63, 0);
    move(store, "bob", "dave");
    put(store, "dave", 64, 0);
}

/* ---- what is in it ---- */

static struct buffer *inventory_out;
static struct store *inventory_store;

static inline void list_message(const char *kind, const char *owner, const struct message *message)
{
    struct message_cursor cursor = {0};
    const char *run;
    size_t length;
    EXPECT(buffer_print(inventory_out, "%s %s %llu ", kind, owner, (unsigned long long)message->id));
    while (message_next(inventory_store, message, &cursor, &run, &length))
        EXPECT(buffer_append(inventory_out, run, length));
    EXPECT(buffer_append_byte(inventory_out, '\n'));
}

static inline bool list_account(void *context, account_t account, const char *name)
{
    struct message messages[PINS_MAX];
    size_t count;
    (void)context;
    EXPECT(buffer_print(inventory_out, "account %s\n", name));
    EXPECT_EQ(mailbox_list(inventory_store, account, 0, UINT64_MAX, messages, PINS_MAX, &count), STATUS_OK);
    for (size_t i = 0; i < count; i++)
        list_message("mailbox", name, &messages[i]);
    message_release_all(inventory_store);
    EXPECT_EQ(queue_list(inventory_store, account, messages, PINS_MAX, &count), STATUS_OK);
    for (size_t i = 0; i < count; i++)
        list_message("queue", name, &messages[i]);
    message_release_all(inventory_store);
    return true;
}

/* "account NAME", "mailbox NAME ID BODY", "queue NAME ID BODY": lines, and a NUL that does not count. */
static inline void take_inventory(struct store *store, struct buffer *out)
{
    buffer_clear(out);
    inventory_out = out;
    inventory_store = store;
    account_each(store, list_account, NULL);
    EXPECT(buffer_reserve(out, 1) != NULL);
    out->bytes[out->length] = '\0';
}

/* Runs it in a process of its own, on the store that the options open, which must be clean before and after;
 * NULL: does no more than that. Then the inventory is what that process saw at its end. */
static inline void in_store(const struct store_options *options, void (*run)(struct store *),
                            struct buffer *inventory)
{
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        struct buffer out = {0};
        static struct store *store;
        store = attached_store(options);
        EXPECT_CLEAN(store);
        if (run)
            run(store);
        EXPECT_CLEAN(store);
        take_inventory(store, &out);
        store_detach(store);
        int file = open("inventory", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        EXPECT_EQ(write(file, out.bytes, out.length), (ssize_t)out.length);
        close(file);
        buffer_free(&out);
        exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    if (inventory)
        read_whole("inventory", inventory);
}

/* As a server would find it, in a copy. */
static inline void inventory_of_journal(const char *directory, struct buffer *inventory)
{
    char files[64];
    snprintf(files, sizeof(files), "%s/journal.[01]", directory);
    harness_copy(files, "found");
    in_store(&(struct store_options){.directory = "found", .journal_bytes = 1 << 18}, NULL, inventory);
}

/* ---- what was exported ---- */

/* All of the directory's files, one after the other, with a NUL behind each. */
static inline void read_exports(const char *directory, struct buffer *exports)
{
    struct buffer bytes = {0};
    DIR *parent = opendir(directory);
    EXPECT(parent != NULL);
    for (struct dirent *entry; (entry = readdir(parent));) {
        char path[600];
        if (strncmp(entry->d_name, "export-", 7) != 0)
            continue;
        for (unsigned number = 1;; number++) {
            snprintf(path, sizeof(path), "%s/%s/%06u.mail", directory, entry->d_name, number);
            if (access(path, F_OK) != 0)
                break;
            read_whole(path, &bytes);
            EXPECT(buffer_append(exports, bytes.bytes, bytes.length + 1));
        }
    }
    closedir(parent);
    buffer_free(&bytes);
    EXPECT(buffer_append_byte(exports, '\0'));
}

static inline bool is_exported(const struct buffer *exports, const char *body, size_t length)
{
    for (size_t at = 0; at < exports->length; at += strlen(exports->bytes + at) + 1) {
        const char *text = strstr(exports->bytes + at, "\n\n");
        if (text && strlen(text + 2) == length && memcmp(text + 2, body, length) == 0)
            return true;
    }
    return false;
}

/* ---- what must be true after a repair ---- */

static inline const char *body_of(const char *line)
{
    for (int word = 0; word < 3; word++)
        line = strchr(line, ' ') + 1;
    return line;
}

/* Nothing is where it does not belong: a body names the mailbox for which, and the queue by which, it was
 * written. */
static inline void expect_right_places(const struct buffer *inventory)
{
    for (const char *line = inventory->bytes; *line; line = strchr(line, '\n') + 1) {
        char kind[16];
        char owner[16];
        char mark[24];
        const char *end = strchr(line, '\n');
        EXPECT_EQ(sscanf(line, "%15s %15s", kind, owner), 2);
        if (strcmp(kind, "account") == 0)
            continue;
        snprintf(mark, sizeof(mark), strcmp(kind, "queue") == 0 ? "by %s " : "for %s.", owner);
        if (!memmem(line, (size_t)(end - line), mark, strlen(mark)))
            harness_fail(__FILE__, __LINE__, "a message is in a wrong place: %.80s", line);
    }
}

/* Each message that was there is there, or exported, or its body was in the damaged bytes. */
static inline void expect_nothing_dropped(const struct buffer *before, const struct buffer *after,
                                          const struct buffer *exports, const char *damaged, size_t length)
{
    for (const char *line = before->bytes; *line; line = strchr(line, '\n') + 1) {
        if (strncmp(line, "account", 7) == 0)
            continue;
        const char *body = body_of(line);
        size_t size = (size_t)(strchr(line, '\n') - body);
        if (!memmem(after->bytes, after->length, body, size + 1) && !is_exported(exports, body, size) &&
            !memmem(damaged, length, body, size))
            harness_fail(__FILE__, __LINE__, "a message is gone: %.80s\nbecause:\n%.2000s", line, said.bytes);
    }
}

#endif
