/* test_journal.c: what was settled is there again after the segment is gone. */
#include "journal.h"
#include "password.h"
#include "post_office.h"
#include "queue.h"
#include "restore.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct store_options with_journal = {
    .directory = "journal", .crypt_cost = 1, .journal_bytes = 1 << 20};

/* Runs it in a process of its own on a fresh segment: a reboot before and after. */
static void after_reboot(void (*run)(struct store *))
{
    pid_t pid = fork();
    int status;
    EXPECT(pid >= 0);
    if (pid == 0) {
        struct store *store = attached_store(&with_journal);
        run(store);
        EXPECT_CLEAN(store);
        store_detach(store);
        exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
}

static account_t find(struct store *store, const char *name)
{
    account_t account = {0};
    EXPECT_EQ(account_find(store, name, strlen(name), &account), STATUS_OK);
    return account;
}

static void send(struct store *store, const char *to, const char *body)
{
    message_id id = 0;
    EXPECT_EQ(deliver(store, find(store, to), "alice", "about", body, strlen(body), &id), STATUS_OK);
}

static char big[100000];

static void fill_big(void)
{
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(i * 31);
}

static void make_post_office(struct store *store)
{
    char hash[HASH_MAX + 1];
    account_t account = {0};
    message_id id = 0;
    fill_big();
    EXPECT_EQ(password_hash(store, "secret", 6, hash), STATUS_OK);
    EXPECT_EQ(account_create(store, "Alice", 5, hash, &account, NULL), STATUS_OK);
    EXPECT_EQ(account_create(store, "bob", 3, NULL, &account, NULL), STATUS_OK);
    EXPECT_EQ(account_create(store, "gone", 4, NULL, &account, NULL), STATUS_OK);
    send(store, "bob", "one");
    send(store, "bob", "two");
    send(store, "gone", "lost");
    send(store, "bob", "three");
    EXPECT_EQ(deliver(store, find(store, "bob"), "alice", "", big, sizeof(big), &id), STATUS_OK);
    EXPECT_EQ(id, 4);
    EXPECT_EQ(mailbox_delete(store, find(store, "bob"), 2), STATUS_OK);
    struct letter letter = {"alice", "", "queued 1", 5, 0, 8};
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_EQ(queue_push(store, find(store, "alice")), STATUS_OK);
    letter.body = "queued 2";
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_EQ(queue_push(store, find(store, "alice")), STATUS_OK);
    letter.body = "queued 3";
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_EQ(queue_push(store, find(store, "alice")), STATUS_OK);
    EXPECT_EQ(queue_store(store, find(store, "alice"), find(store, "bob"), &id), STATUS_OK);
    struct account_secret secret;
    EXPECT_EQ(account_secret(store, "gone", 4, &secret), STATUS_OK);
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static void expect_post_office(struct store *store)
{
    struct account_secret secret;
    struct message message;
    account_t account = {0};
    char name[NAME_MAX_BYTES + 1];
    fill_big();
    EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
    EXPECT_EQ(password_matches(store, "secret", 6, &secret), STATUS_OK);
    account_name(store, secret.account, name);
    EXPECT_STR(name, "Alice");
    EXPECT_EQ(account_find(store, "gone", 4, &account), STATUS_NO_ACCOUNT);
    account = find(store, "bob");
    EXPECT_EQ(mailbox_count(store, account), 4);
    EXPECT_EQ(mailbox_newest(store, account), 5);
    EXPECT_EQ(mailbox_open(store, account, 2, &message), STATUS_NO_MESSAGE);
    EXPECT_EQ(mailbox_open(store, account, 1, &message), STATUS_OK);
    expect_message(store, &message, "alice", "about", "one", 3);
    EXPECT_EQ(mailbox_open(store, account, 4, &message), STATUS_OK);
    expect_message(store, &message, "alice", "", big, sizeof(big));
    EXPECT_EQ(mailbox_open(store, account, 5, &message), STATUS_OK);
    expect_message(store, &message, "alice", "", "queued 3", 8);
    message_release_all(store);
    EXPECT_EQ(queue_count(store, secret.account), 2);
}

static void checkpoint(struct store *store)
{
    expect_post_office(store);
    uint32_t before = store->header->journal.file;
    EXPECT_EQ(journal_checkpoint(store, 1 << 20), STATUS_OK);
    EXPECT_EQ(store->header->journal.file, 1 - before);
    expect_post_office(store);
}

static void change_and_undo(struct store *store)
{
    message_id id = 0;
    expect_post_office(store);
    EXPECT_EQ(deliver(store, find(store, "alice"), "bob", "", "x", 1, &id), STATUS_OK);
    EXPECT_EQ(mailbox_delete(store, find(store, "alice"), id), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static void a_reboot_loses_nothing(void)
{
    after_reboot(make_post_office);
    for (int i = 0; i < 3; i++)
        after_reboot(expect_post_office);
}

static void a_checkpoint_keeps_everything(void)
{
    after_reboot(make_post_office);
    for (int i = 0; i < 3; i++) {
        after_reboot(checkpoint);
        after_reboot(change_and_undo);
        after_reboot(expect_post_office);
    }
}

static void check_ids(struct store *store)
{
    message_id id = 0;
    EXPECT_EQ(deliver(store, find(store, "alice"), "bob", "", "x", 1, &id), STATUS_OK);
    EXPECT(id > 1);
}

static void ids_are_not_used_again(void)
{
    after_reboot(make_post_office);
    after_reboot(change_and_undo);
    after_reboot(check_ids);
}

static void look(struct store *store)
{
    (void)store;
}

static void make_hole(int manner)
{
    int file = open("journal/journal.0", O_RDWR);
    EXPECT(file >= 0);
    if (fallocate(file, manner | FALLOC_FL_KEEP_SIZE, 256 << 10, 512 << 10) != 0)
        harness_skip("this file system has no holes");
    EXPECT_EQ(lseek(file, 0, SEEK_HOLE), 256 << 10);
    close(file);
}

/* Space that is only promised is a hole once the system has forgotten what was read of it. */
static void expect_filled(void)
{
    after_reboot(look);
    int file = open("journal/journal.0", O_RDONLY);
    EXPECT_EQ(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), 0);
    EXPECT(lseek(file, 0, SEEK_END) >= 1 << 20);
    EXPECT_EQ(lseek(file, 0, SEEK_HOLE), lseek(file, 0, SEEK_END));
    close(file);
}

/* As a copy by a program that leaves zeros out would have it, a server that was killed as it made room, and
 * one that had to do with less. */
static void a_journal_with_holes_is_filled_before_it_is_used(void)
{
    expect_filled();
    make_hole(FALLOC_FL_PUNCH_HOLE);
    expect_filled();
    make_hole(FALLOC_FL_ZERO_RANGE);
    expect_filled();
    EXPECT_EQ(truncate("journal/journal.0", 512 << 10), 0);
    expect_filled();
}

/* Lest the next one has to read it from the disk. The system forgets a small file as a whole or not at all.
 */
static void a_start_leaves_the_journal_in_the_systems_cache(void)
{
    static char zeros[8 << 20];
    static unsigned char pages[(8 << 20) / 4096];
    after_reboot(look);
    int file = open("journal/journal.0", O_RDWR);
    EXPECT_EQ(pwrite(file, zeros, sizeof(zeros), 1 << 20), sizeof(zeros));
    EXPECT_EQ(fsync(file), 0);
    after_reboot(look);
    void *bytes = mmap(NULL, sizeof(zeros), PROT_READ, MAP_SHARED, file, 1 << 20);
    EXPECT(bytes != MAP_FAILED);
    EXPECT_EQ(mincore(bytes, sizeof(zeros), pages), 0);
    EXPECT(memchr(pages, 0, sizeof(pages)) == NULL);
    munmap(bytes, sizeof(zeros));
    close(file);
}

static const struct harness_test tests[] = {
    {"a reboot loses nothing that was settled", a_reboot_loses_nothing},
    {"a checkpoint keeps everything", a_checkpoint_keeps_everything},
    {"ids are not used again after a reboot", ids_are_not_used_again},
    {"a journal with holes is filled before it is used", a_journal_with_holes_is_filled_before_it_is_used},
    {"a start leaves the journal in the system's cache", a_start_leaves_the_journal_in_the_systems_cache},
};

HARNESS_MAIN(tests)
