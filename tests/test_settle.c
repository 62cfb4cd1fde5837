/* test_settle.c: no answer leaves before what it reveals is on disk, however one has learned of it. */
#include "power.h"

static account_t gone;

static void look_into(const char *name, int what)
{
    struct message messages[4];
    struct account_secret secret;
    account_t account = scene_account(store, name);
    char text[NAME_MAX_BYTES + 1];
    size_t count;
    uint64_t held;
    store->observed = 0;
    switch (what) {
    case 0:
        EXPECT(mailbox_count(store, account) > 0);
        return;
    case 1:
        EXPECT(mailbox_newest(store, account) > 0);
        return;
    case 2:
        EXPECT_EQ(mailbox_open(store, account, mailbox_newest(store, account), &messages[0]), STATUS_OK);
        return;
    case 3:
        EXPECT_EQ(mailbox_first(store, account, &messages[0]), STATUS_OK);
        return;
    case 4:
        EXPECT_EQ(mailbox_list(store, account, 0, UINT64_MAX, messages, 4, &count), STATUS_OK);
        return;
    case 5:
        EXPECT(queue_count(store, account) > 0);
        return;
    case 6:
        EXPECT_EQ(queue_list(store, account, messages, 4, &count), STATUS_OK);
        return;
    case 7:
        EXPECT_EQ(account_secret(store, name, strlen(name), &secret), STATUS_OK);
        return;
    case 8:
        EXPECT(account_name(store, account, text) > 0);
        return;
    case 9:
        EXPECT_EQ(scene_create(store, name, NULL), STATUS_TAKEN);
        return;
    case 10:
        EXPECT_EQ(account_find(store, name, strlen(name), &account), STATUS_NO_ACCOUNT);
        return;
    case 11:
        EXPECT_EQ(mailbox_open(store, account, 1, &messages[0]), STATUS_NO_MESSAGE);
        return;
    case 12:
        EXPECT_EQ(mailbox_first(store, account, &messages[0]), STATUS_NO_MESSAGE);
        return;
    case 13:
        EXPECT_EQ(scene_store(store, name, name), STATUS_NOTHING_QUEUED);
        return;
    case 14:
        EXPECT_EQ(mailbox_first(store, gone, &messages[0]), STATUS_GONE);
        return;
    case 15:
        EXPECT_EQ(mailbox_first(store, account, &messages[0]), STATUS_OK);
        store->observed = 0;
        EXPECT(mailbox_first_again(store, account, &messages[0]));
        return;
    case 17:
        EXPECT_EQ(mailbox_wait(store, account, 1, 0, NULL, NULL, NULL, &held), STATUS_OK);
        return;
    case 18:
        EXPECT_EQ(mailbox_wait(store, gone, 1, 0, NULL, NULL, NULL, &held), STATUS_GONE);
        return;
    default:
        EXPECT_EQ(scene_draft(store, "x", "x", 1), STATUS_OK);
        EXPECT_EQ(mailbox_append(store, gone, &messages[0].id), STATUS_GONE);
    }
}

static enum status send_to_bob(void)
{
    return scene_send(store, "bob", "news", 9);
}

static enum status push_bob(void)
{
    return scene_push(store, "bob", "bob", 9);
}

static enum status change_bob(void)
{
    return scene_secret(store, "bob", "$y$changed");
}

static enum status delete_bob_s(void)
{
    return mailbox_delete(store, scene_account(store, "bob"), 1);
}

static enum status empty_carol(void)
{
    return mailbox_delete_first(store, scene_account(store, "carol"));
}

static enum status create_x(void)
{
    return scene_create(store, "x", NULL);
}

static enum status create_y(void)
{
    return scene_create(store, "y", NULL);
}

static enum status create_z(void)
{
    return scene_create(store, "z", NULL);
}

static enum status remove_x(void)
{
    return scene_secret(store, "x", NULL);
}

static enum status remove_y(void)
{
    gone = scene_account(store, "y");
    return scene_secret(store, "y", NULL);
}

static enum status remove_z(void)
{
    gone = scene_account(store, "z");
    return scene_secret(store, "z", NULL);
}

static enum status remove_carol(void)
{
    gone = scene_account(store, "carol");
    return scene_secret(store, "carol", NULL);
}

static enum status store_bob_s(void)
{
    return scene_store(store, "bob", "alice");
}

/* An operation that nobody has settled, and how another process learns of it. */
static const struct {
    const char *name;
    enum status (*change)(void);
    const char *account;
    int look;
} readers[] = {
    {"mailbox_count", send_to_bob, "bob", 0},
    {"mailbox_newest", send_to_bob, "bob", 1},
    {"mailbox_open", send_to_bob, "bob", 2},
    {"mailbox_first", send_to_bob, "bob", 3},
    {"mailbox_first_again", send_to_bob, "bob", 15},
    {"mailbox_list", send_to_bob, "bob", 4},
    {"mailbox_open of what is deleted", delete_bob_s, "bob", 11},
    {"mailbox_first of an empty mailbox", empty_carol, "carol", 12},
    {"mailbox_wait", send_to_bob, "bob", 17},
    {"queue_count", push_bob, "bob", 5},
    {"queue_list", push_bob, "bob", 6},
    {"queue_store", store_bob_s, "bob", -1},
    {"queue_store of an empty queue", store_bob_s, "bob", 13},
    {"account_secret", change_bob, "bob", 7},
    {"account_name", create_x, "x", 8},
    {"account_create of a taken name", create_y, "Y", 9},
    {"account_find of nobody", remove_x, "x", 10},
    {"mailbox_first of nobody", remove_y, "y", 14},
    {"account_create of a free name", create_z, "z", -1},
    {"mailbox_append for nobody", remove_z, "z", 16},
    {"mailbox_wait for nobody", remove_carol, "carol", 18},
};

static void a_reader_waits_for_what_it_has_read(void)
{
    open_post_office(&scene_options);
    do_and_settle(0, 8);
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        EXPECT_EQ(readers[i].change(), STATUS_OK);
        scene_note(scene, store);
        pid_t pid = readers[i].look >= 0 ? fork_attached() : 0;
        if (pid == 0 && readers[i].look >= 0) {
            look_into(readers[i].account, readers[i].look);
            EXPECT_EQ(store_settle(store), STATUS_OK);
            if (load64(&store->header->journal.synced) < scene->last)
                harness_fail(__FILE__, __LINE__, "%s reveals what is not on disk", readers[i].name);
            message_release_all(store);
            store_detach(store);
            disk_acknowledged(scene->last);
            _exit(0);
        }
        if (pid > 0)
            EXPECT(!wait_for(pid));
        settle();
    }
    play(60);
}

/* Its record was noted before there was no session left, and is not there. */
static void what_fails_leaves_nothing_to_wait_for(void)
{
    struct store_options small = scene_options;
    struct cookie cookie;
    account_t account;
    enum status status;
    small.accounts = 8;
    open_post_office(&small);
    EXPECT_EQ(account_create(store, "alice", 5, "hash", &account, &cookie), STATUS_OK);
    store->sessions_per_account = SESSIONS_LIMIT;
    struct account_secret secret;
    EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
    do
        status = account_login(store, &secret, &cookie);
    while (status == STATUS_OK);
    EXPECT_EQ(status, STATUS_FULL_SESSIONS);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    uint64_t assigned = store->header->journal.assigned;
    EXPECT_EQ(account_create(store, "bob", 3, "hash", &account, &cookie), STATUS_FULL_SESSIONS);
    alarm(10); /* it would go on for ever */
    EXPECT_EQ(store_settle(store), STATUS_OK);
    alarm(0);
    EXPECT_EQ(store->header->journal.assigned, assigned);
}

static const struct harness_test tests[] = {
    {"a reader waits for what it has read", a_reader_waits_for_what_it_has_read},
    {"what fails leaves nothing to wait for", what_fails_leaves_nothing_to_wait_for},
};

HARNESS_MAIN(tests)
