/* test_account.c: names, passwords' revisions, handles, and what becomes of an account that is removed. */
#include "account.h"
#include "clock.h"
#include "index.h"
#include "message.h"
#include "post_office.h"
#include "queue.h"
#include "transaction.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct store *store;

static struct account_secret secret_of(const char *name)
{
    struct account_secret secret;
    EXPECT_EQ(account_secret(store, name, strlen(name), &secret), STATUS_OK);
    return secret;
}

static void expect_name(account_t account, const char *name)
{
    char registered[NAME_MAX_BYTES + 1];
    EXPECT_EQ(account_name(store, account, registered), strlen(name));
    EXPECT_STR(registered, name);
}

static bool is_same(account_t left, account_t right)
{
    return left.index == right.index && left.generation == right.generation;
}

static uint32_t accounts(void)
{
    struct store_figures figures;
    store_figures(store, &figures);
    return figures.accounts;
}

/* ---- names ---- */

static void names_are_found_in_any_case_and_kept_as_registered(void)
{
    static const char *const names[] = {"Alice", "bob@Example.org", "\xc3\x84rger@d.example.net", "A"};
    static const char *const others[] = {"aLICE", "BOB@example.ORG", "\xc3\x84RGER@D.example.net", "a"};
    static const char *const strangers[] = {"Alic", "Alicf", "Alice ", "\xc3\xa4rger@d.example.net",
                                            "@",    "B",     "["};
    account_t found = ACCOUNT_NONE;
    store = private_store();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        account_t account = new_account(store, names[i]);
        EXPECT_EQ(account_find(store, others[i], strlen(others[i]), &found), STATUS_OK);
        EXPECT(is_same(account, found));
        EXPECT_EQ(account_create(store, others[i], strlen(others[i]), "hash", &found, NULL), STATUS_TAKEN);
        expect_name(account, names[i]);
        EXPECT_STR(secret_of(others[i]).hash, "");
    }
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        EXPECT_EQ(account_find(store, strangers[i], strlen(strangers[i]), &found), STATUS_NO_ACCOUNT);
        EXPECT(is_same(found, ACCOUNT_NONE));
    }
    EXPECT_EQ(accounts(), sizeof(names) / sizeof(names[0]));
    EXPECT_CLEAN(store);
}

/* Folding must not make one of two bytes that differ in the bit of case but are no letters. */
static void only_letters_have_a_case(void)
{
    static const char pairs[][2] = {{'@', '`'}, {'[', '{'}, {'_', 0x7f}, {'0', 0x10}, {'.', 0x0e}};
    account_t account = ACCOUNT_NONE;
    account_t found = ACCOUNT_NONE;
    store = private_store();
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        EXPECT_EQ(account_create(store, &pairs[i][0], 1, NULL, &account, NULL), STATUS_OK);
        EXPECT_EQ(account_find(store, &pairs[i][1], 1, &found), STATUS_NO_ACCOUNT);
    }
}

static void names_and_hashes_have_limits(void)
{
    char name[NAME_MAX_BYTES + 2];
    char hash[HASH_MAX + 2];
    account_t account;
    store = private_store();
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    memset(hash, 'h', sizeof(hash) - 1);
    hash[sizeof(hash) - 1] = '\0';
    EXPECT_EQ(account_create(store, name, 0, NULL, &account, NULL), STATUS_MALFORMED);
    EXPECT_EQ(account_create(store, name, NAME_MAX_BYTES + 1, NULL, &account, NULL), STATUS_MALFORMED);
    EXPECT_EQ(account_create(store, name, NAME_MAX_BYTES, hash, &account, NULL), STATUS_MALFORMED);
    hash[HASH_MAX] = '\0';
    EXPECT_EQ(account_create(store, name, NAME_MAX_BYTES, hash, &account, NULL), STATUS_OK);
    name[NAME_MAX_BYTES] = '\0';
    expect_name(account, name);
    struct account_secret secret = secret_of(name);
    EXPECT_STR(secret.hash, hash);
    hash[HASH_MAX] = 'h';
    EXPECT_EQ(account_change_hash(store, &secret, hash), STATUS_MALFORMED);
    EXPECT_EQ(account_change_hash(store, &secret, ""), STATUS_OK);
    EXPECT_STR(secret_of(name).hash, "");
    EXPECT_CLEAN(store);
}

/* ---- the password's revision ---- */

static void a_changed_password_outdates_what_was_read_before(void)
{
    struct cookie cookie;
    account_t account;
    struct session session = {0};
    store = private_store();
    EXPECT_EQ(account_create(store, "alice", 5, "first", &account, &cookie), STATUS_OK);
    struct account_secret before = secret_of("alice");
    EXPECT_EQ(account_change_hash(store, &before, "second, and longer than the first"), STATUS_OK);
    EXPECT_EQ(account_change_hash(store, &before, "third"), STATUS_GONE);
    EXPECT_EQ(account_remove(store, &before), STATUS_GONE);
    EXPECT_EQ(cookie_verify(store, cookie.text, COOKIE_TEXT, &session), STATUS_OK);
    EXPECT_EQ(account_login(store, &before, &cookie), STATUS_GONE);
    struct account_secret after = secret_of("ALICE");
    EXPECT(is_same(before.account, after.account) && before.revision != after.revision);
    EXPECT_STR(after.hash, "second, and longer than the first");
    expect_name(account, "alice");
    EXPECT_EQ(account_login(store, &after, &cookie), STATUS_OK);
    EXPECT_CLEAN(store);
    EXPECT_EQ(account_remove(store, &after), STATUS_OK);
    EXPECT_EQ(account_secret(store, "alice", 5, &after), STATUS_NO_ACCOUNT);
    EXPECT(is_same(after.account, ACCOUNT_NONE));
    EXPECT_STR(after.hash, "");
}

/* ---- removal ---- */

static void fill_account(account_t account, uint32_t messages)
{
    static char body[40000];
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = body};
    for (uint32_t i = 0; i < messages; i++) {
        message_id id;
        letter.body_length = i % 100 == 0 ? sizeof(body) : i % 500;
        EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
        if (i % 5 == 4)
            EXPECT_EQ(queue_push(store, account), STATUS_OK);
        else
            EXPECT_EQ(mailbox_append(store, account, &id), STATUS_OK);
    }
}

static void an_account_goes_with_all_it_has(void)
{
    enum { MESSAGES = 6000 };
    struct store_figures figures;
    struct message message;
    struct letter letter = {.sender = "bob", .sender_length = 3};
    message_id id;
    store = private_store();
    account_t account = new_account(store, "alice");
    account_t bob = new_account(store, "bob");
    fill_account(account, MESSAGES);
    EXPECT_EQ(mailbox_count(store, account) + queue_count(store, account), MESSAGES);
    struct account_secret secret = secret_of("alice");
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
    EXPECT_CLEAN(store);
    EXPECT_EQ(account_remove(store, &secret), STATUS_GONE);
    EXPECT_EQ(mailbox_count(store, account), 0);
    EXPECT_EQ(mailbox_newest(store, account), 0);
    EXPECT_EQ(queue_count(store, account), 0);
    EXPECT_EQ(mailbox_first(store, account, &message), STATUS_GONE);
    EXPECT_EQ(mailbox_delete_first(store, account), STATUS_GONE);
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_EQ(mailbox_append(store, account, &id), STATUS_GONE);
    EXPECT_EQ(queue_push(store, account), STATUS_GONE);
    EXPECT_EQ(queue_push(store, bob), STATUS_OK);
    EXPECT_EQ(queue_store(store, bob, account, &id), STATUS_GONE);
    EXPECT_EQ(queue_count(store, bob), 1);
    EXPECT_EQ(enter_account(store, account), STATUS_GONE);
    store_figures(store, &figures);
    EXPECT(figures.pages_used - figures.pages_free < 99);
    EXPECT_EQ(store->header->accounts_dying, 0);
    EXPECT_EQ(store->header->limbo, 0);
    EXPECT_CLEAN(store);
}

static uint32_t *pauses; /* of all processes */

/* Instead of the C library's: how a removal gives way. */
int ppoll(struct pollfd *files, nfds_t count, const struct timespec *timeout, const sigset_t *signals)
{
    EXPECT(!files && count == 0 && !signals);
    __atomic_fetch_add(pauses, 1, __ATOMIC_RELAXED);
    return nanosleep(timeout, NULL);
}

static void fill_and_remove(const char *name, uint32_t messages)
{
    message_id id;
    EXPECT_EQ(store_attach(store, "remover"), STATUS_OK);
    account_t account = new_account(store, name);
    for (uint32_t i = 0; i < messages; i++)
        EXPECT_EQ(deliver(store, account, "bob", "", "", 0, &id), STATUS_OK);
    struct account_secret secret = secret_of(name);
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
}

static void a_removal_lets_others_in_between(void)
{
    enum { REMOVERS = 4, MESSAGES = 50000 };
    static const char *const names[REMOVERS] = {"alice", "carol", "dave", "eve"};
    message_id id;
    pauses = mmap(NULL, sizeof(*pauses), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(pauses != MAP_FAILED);
    store = private_store();
    account_t bob = new_account(store, "bob");
    for (int i = 0; i < REMOVERS; i++) {
        pid_t pid = fork();
        EXPECT(pid >= 0);
        if (pid == 0) {
            fill_and_remove(names[i], MESSAGES);
            _exit(0);
        }
    }
    int64_t most = 0;
    int64_t start = clock_now();
    for (int64_t before = start, now; waitpid(-1, NULL, WNOHANG) >= 0; before = now) {
        EXPECT_EQ(deliver(store, bob, "bob", "", "", 0, &id), STATUS_OK);
        now = clock_now();
        most = now - before > most ? now - before : most;
    }
    harness_say("%u pauses in %d ms, in which nobody waited for the lock for more than %d us", *pauses,
                (int)((clock_now() - start) / 1000000), (int)(most / 1000));
    EXPECT(*pauses > 0);
    EXPECT_CLEAN(store);
}

/* As account_remove begins it: unreachable, and a few messages gone. */
static void begin_removal_and_die(account_t account)
{
    struct header *header = store->header;
    struct account_record *record = account_at(store, account.index);
    uint32_t *bucket = &store->name_buckets[record->name_hash & store->name_mask];
    enum status status = STATUS_OK;
    EXPECT_EQ(store_attach(store, "remover"), STATUS_OK);
    transaction_begin(store);
    EXPECT_EQ(*bucket, account.index);
    set32(store, bucket, record->chain);
    set32(store, &record->generation, record->generation + 1);
    set32(store, &record->chain, header->accounts_dying);
    set32(store, &header->accounts_dying, account.index);
    set32(store, &header->accounts_live, header->accounts_live - 1);
    EXPECT(transaction_finish(store, &status));
    transaction_begin(store);
    EXPECT(!index_dismantle(store, record, message_drop));
    EXPECT(transaction_finish(store, &status));
    raise(SIGKILL);
}

static void a_removal_that_is_cut_short_is_finished_by_others(void)
{
    struct store_figures figures;
    store = private_store();
    account_t account = new_account(store, "alice");
    fill_account(account, 2000);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0)
        begin_removal_and_die(account);
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    EXPECT_EQ(mailbox_count(store, account), 0);
    EXPECT_EQ(store->header->accounts_dying, account.index);
    EXPECT_CLEAN(store);
    store_reclaim(store);
    EXPECT_EQ(store->header->accounts_dying, 0);
    EXPECT_EQ(store->header->limbo, 0);
    EXPECT_CLEAN(store);
    store_figures(store, &figures);
    EXPECT(figures.pages_used - figures.pages_free < 99);
    EXPECT_EQ(new_account(store, "Alice").index, account.index);
}

static void what_is_pinned_outlives_its_account(void)
{
    struct message messages[PINS_MAX];
    size_t count = 0;
    store = private_store();
    account_t account = new_account(store, "alice");
    fill_account(account, 50);
    EXPECT_EQ(mailbox_list(store, account, 0, 50, messages, PINS_MAX, &count), STATUS_OK);
    EXPECT_EQ(count, 40);
    EXPECT_EQ(queue_list(store, account, messages + count, PINS_MAX - count, &count), STATUS_OK);
    EXPECT_EQ(count, 10);
    struct account_secret secret = secret_of("alice");
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
    EXPECT_CLEAN(store);
    new_account(store, "other");
    for (size_t i = 0; i < 50; i++) {
        struct message_cursor cursor = {0};
        const char *bytes;
        size_t length;
        size_t done = 0;
        while (message_next(store, &messages[i], &cursor, &bytes, &length))
            done += length;
        EXPECT_EQ(done, messages[i].body_length);
        message_release(store, &messages[i]);
        EXPECT_CLEAN(store);
    }
}

static void an_old_handle_never_means_another_account(void)
{
    enum { LIVES = 200 };
    account_t handles[LIVES];
    store = private_store();
    for (size_t life = 0; life < LIVES; life++) {
        message_id id = 0;
        handles[life] = new_account(store, life % 2 ? "alice" : "bob");
        EXPECT_EQ(handles[life].index, 1); /* the record is used again */
        EXPECT_EQ(mailbox_count(store, handles[life]), 0);
        EXPECT_EQ(deliver(store, handles[life], "carol", "", "x", 1, &id), STATUS_OK);
        EXPECT_EQ(id, 1);
        for (size_t before = 0; before < life; before++) {
            char name[NAME_MAX_BYTES + 1];
            EXPECT(!is_same(handles[before], handles[life]));
            EXPECT_EQ(mailbox_count(store, handles[before]), 0);
            EXPECT_EQ(account_name(store, handles[before], name), 0);
        }
        struct account_secret secret = secret_of(life % 2 ? "alice" : "bob");
        EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
    }
    EXPECT_EQ(accounts(), 0);
    EXPECT_CLEAN(store);
}

/* ---- visiting ---- */

static uint32_t visited, visits_wanted;

static bool visit(void *context, account_t account, const char *name)
{
    const account_t *handles = context;
    char expected[16];
    while (handles[visited].index == 0)
        visited++;
    EXPECT(is_same(account, handles[visited]));
    sprintf(expected, "User%u", visited);
    EXPECT_STR(name, expected);
    visited++;
    return --visits_wanted > 0;
}

static void each_account_is_visited_once_in_order(void)
{
    enum { COUNT = 100 };
    account_t handles[COUNT + 1];
    store = private_store();
    for (uint32_t i = 0; i < COUNT; i++) {
        char name[16];
        sprintf(name, "User%u", i);
        handles[i] = new_account(store, name);
    }
    for (uint32_t i = 1; i < COUNT; i += 3) {
        char name[16];
        sprintf(name, "uSER%u", i);
        struct account_secret secret = secret_of(name);
        EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
        handles[i] = ACCOUNT_NONE;
    }
    visits_wanted = COUNT;
    account_each(store, visit, handles);
    EXPECT_EQ(visits_wanted, COUNT / 3); /* those that are no more */
    visited = 0;
    visits_wanted = 5;
    account_each(store, visit, handles);
    EXPECT_EQ(visits_wanted, 0);
}

/* ---- entering ---- */

static account_t shared;

static void in_another_process(enum status expected)
{
    pid_t pid = fork();
    int status;
    EXPECT(pid >= 0);
    if (pid == 0) {
        EXPECT_EQ(store_attach(store, "other"), STATUS_OK);
        EXPECT_EQ(enter_account(store, shared), expected);
        EXPECT_EQ(enter_account(store, shared), expected);
        store_detach(store);
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
}

static void a_name_is_entered_by_one_process(void)
{
    store = private_store();
    shared = new_account(store, "alice");
    account_t second = new_account(store, "bob");
    in_another_process(STATUS_OK);
    EXPECT_EQ(enter_account(store, shared), STATUS_OK); /* the other has detached */
    in_another_process(STATUS_IN_USE);
    EXPECT_EQ(enter_account(store, shared), STATUS_OK);
    EXPECT_EQ(enter_account(store, second), STATUS_OK); /* which leaves the first */
    in_another_process(STATUS_OK);
    EXPECT_EQ(enter_account(store, shared), STATUS_OK);
    account_leave(store);
    account_leave(store);
    in_another_process(STATUS_OK);
    EXPECT_CLEAN(store);
}

static void a_password_that_was_changed_enters_no_name(void)
{
    store = private_store();
    shared = new_account(store, "alice");
    struct account_secret before = secret_of("alice");
    EXPECT_EQ(account_change_hash(store, &before, "hash"), STATUS_OK);
    EXPECT_EQ(account_enter(store, &before), STATUS_GONE);
    EXPECT(!account_is_entered(store, shared));
    struct account_secret now = secret_of("alice");
    EXPECT_EQ(account_enter(store, &now), STATUS_OK);
    EXPECT(account_is_entered(store, shared));
    account_end_sessions(store, shared);
    EXPECT(!account_is_entered(store, shared));
    in_another_process(STATUS_OK);
    EXPECT_CLEAN(store);
}

static void a_removed_name_is_entered_anew(void)
{
    store = private_store();
    shared = new_account(store, "alice");
    EXPECT_EQ(enter_account(store, shared), STATUS_OK);
    struct account_secret secret = secret_of("alice");
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
    in_another_process(STATUS_GONE);
    shared = new_account(store, "alice");
    in_another_process(STATUS_OK);
    account_leave(store);
    in_another_process(STATUS_OK);
    EXPECT_CLEAN(store);
}

static const struct harness_test tests[] = {
    {"names are found in any case and kept as registered",
     names_are_found_in_any_case_and_kept_as_registered},
    {"only letters have a case", only_letters_have_a_case},
    {"names and hashes have limits", names_and_hashes_have_limits},
    {"a changed password outdates what was read before", a_changed_password_outdates_what_was_read_before},
    {"an account goes with all it has", an_account_goes_with_all_it_has},
    {"a removal lets others in between", a_removal_lets_others_in_between},
    {"a removal that is cut short is finished by others", a_removal_that_is_cut_short_is_finished_by_others},
    {"what is pinned outlives its account", what_is_pinned_outlives_its_account},
    {"an old handle never means another account", an_old_handle_never_means_another_account},
    {"each account is visited once in order", each_account_is_visited_once_in_order},
    {"a name is entered by one process", a_name_is_entered_by_one_process},
    {"a password that was changed enters no name", a_password_that_was_changed_enters_no_name},
    {"a removed name is entered anew", a_removed_name_is_entered_anew},
};

HARNESS_MAIN(tests)
