/* test_model.c: random operations on the store, each compared with a plain model that knows nothing of
 * segments. */
#include "account.h"
#include "password.h"
#include "post_office.h"
#include "queue.h"

#include <stdlib.h>

enum { ACCOUNTS = 6, KEPT = 400, OPERATIONS = 1000000, CHECK_EVERY = 20000 };

/* A message is known by a number, from which its texts follow. */
struct letter_model {
    message_id id;
    uint32_t number;
};

struct account_model {
    bool exists;
    account_t handle;
    message_id newest;
    size_t count, queued;
    struct letter_model mailbox[KEPT];
    uint32_t queue[KEPT];
};

struct model {
    struct store *store;
    uint64_t random;
    uint32_t letters;
    struct account_model accounts[ACCOUNTS];
};

static uint32_t pick(struct model *model, uint32_t below)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return (uint32_t)(model->random >> 11) % below;
}

/* Mostly short, sometimes of several blocks; the same number always gives the same text. */
static size_t body_length(uint32_t number)
{
    uint32_t mixed = number * 2654435761u;
    if (mixed % 997 == 0)
        return mixed % 100000;
    return mixed % 31 == 0 ? mixed % 9000 : mixed % 300;
}

static void fill_letter(uint32_t number, struct letter *letter, char *subject, char *body)
{
    letter->body_length = body_length(number);
    letter->subject_length = number % 3 ? 0 : (size_t)sprintf(subject, "subject %u", number);
    letter->sender = "somebody";
    letter->sender_length = 8;
    letter->subject = subject;
    letter->body = body;
    for (size_t i = 0; i < letter->body_length; i++)
        body[i] = (char)(number + i * 7);
}

static void expect_letter(struct model *model, struct message *message, uint32_t number)
{
    static char subject[64], body[100000];
    struct letter letter;
    fill_letter(number, &letter, subject, body);
    subject[letter.subject_length] = '\0';
    expect_message(model->store, message, "somebody", subject, body, letter.body_length);
}

static void write_draft(struct model *model, uint32_t number)
{
    static char subject[64], body[100000];
    struct letter letter;
    fill_letter(number, &letter, subject, body);
    EXPECT_EQ(draft_write(model->store, &letter), STATUS_OK);
}

static void try_create(struct model *model, uint32_t which)
{
    struct account_model *account = &model->accounts[which];
    char name[16];
    account_t handle;
    int length = sprintf(name, "User%u", which);
    enum status status = account_create(model->store, name, (size_t)length, NULL, &handle, NULL);
    EXPECT_EQ(status, account->exists ? STATUS_TAKEN : STATUS_OK);
    if (status == STATUS_OK)
        *account = (struct account_model){.exists = true, .handle = handle};
}

static void try_remove(struct model *model, uint32_t which)
{
    struct account_model *account = &model->accounts[which];
    struct account_secret secret;
    char name[16];
    int length = sprintf(name, "uSER%u", which);
    enum status status = account_secret(model->store, name, (size_t)length, &secret);
    EXPECT_EQ(status, account->exists ? STATUS_OK : STATUS_NO_ACCOUNT);
    EXPECT_EQ(account_remove(model->store, &secret), account->exists ? STATUS_OK : STATUS_GONE);
    account->exists = false;
}

static void try_append(struct model *model, uint32_t which)
{
    struct account_model *account = &model->accounts[which];
    message_id id;
    if (account->count == KEPT)
        return;
    write_draft(model, ++model->letters);
    enum status status = mailbox_append(model->store, account->handle, &id);
    EXPECT_EQ(status, account->exists ? STATUS_OK : STATUS_GONE);
    if (status != STATUS_OK) {
        draft_drop(model->store);
        return;
    }
    EXPECT_EQ(id, account->newest + 1);
    account->newest = id;
    account->mailbox[account->count++] = (struct letter_model){id, model->letters};
}

static void try_push(struct model *model, uint32_t which)
{
    struct account_model *account = &model->accounts[which];
    if (account->queued == KEPT)
        return;
    write_draft(model, ++model->letters);
    EXPECT_EQ(queue_push(model->store, account->handle), account->exists ? STATUS_OK : STATUS_GONE);
    if (account->exists)
        account->queue[account->queued++] = model->letters;
}

static void try_store(struct model *model, uint32_t which)
{
    struct account_model *from = &model->accounts[which];
    struct account_model *to = &model->accounts[pick(model, ACCOUNTS)];
    message_id id;
    if (to->count == KEPT)
        return;
    enum status status = queue_store(model->store, from->handle, to->handle, &id);
    if (!from->exists || !to->exists) {
        EXPECT_EQ(status, STATUS_GONE);
    } else if (from->queued == 0) {
        EXPECT_EQ(status, STATUS_NOTHING_QUEUED);
    } else {
        EXPECT_EQ(status, STATUS_OK);
        EXPECT_EQ(id, to->newest + 1);
        to->newest = id;
        to->mailbox[to->count++] = (struct letter_model){id, from->queue[--from->queued]};
    }
}

static void try_open(struct model *model, uint32_t which)
{
    struct account_model *account = &model->accounts[which];
    message_id id = pick(model, (uint32_t)account->newest + 2);
    struct message message;
    size_t at = 0;
    while (at < account->count && account->mailbox[at].id != id)
        at++;
    enum status status = mailbox_open(model->store, account->handle, id, &message);
    if (at == account->count || !account->exists) {
        EXPECT(status == STATUS_NO_MESSAGE || (status == STATUS_GONE && !account->exists));
        return;
    }
    EXPECT_EQ(status, STATUS_OK);
    EXPECT_EQ(message.id, id);
    expect_letter(model, &message, account->mailbox[at].number);
    message_release(model->store, &message);
}

static void try_first(struct model *model, uint32_t which)
{
    struct account_model *account = &model->accounts[which];
    struct message message;
    enum status status = mailbox_first(model->store, account->handle, &message);
    if (!account->exists || account->count == 0) {
        EXPECT_EQ(status, account->exists ? STATUS_NO_MESSAGE : STATUS_GONE);
        return;
    }
    EXPECT_EQ(message.id, account->mailbox[0].id);
    expect_letter(model, &message, account->mailbox[0].number);
    if (pick(model, 8)) /* the rest stays pinned until the next release of all */
        message_release(model->store, &message);
    else if (message_pins(model->store) > PINS_MAX - 4)
        message_release_all(model->store);
}

static void remove_at(struct account_model *account, size_t at)
{
    memmove(&account->mailbox[at], &account->mailbox[at + 1],
            (--account->count - at) * sizeof(account->mailbox[0]));
}

static void try_delete_first(struct model *model, uint32_t which)
{
    struct account_model *account = &model->accounts[which];
    enum status status = mailbox_delete_first(model->store, account->handle);
    EXPECT_EQ(status, !account->exists ? STATUS_GONE : account->count ? STATUS_OK : STATUS_NO_MESSAGE);
    if (status == STATUS_OK)
        remove_at(account, 0);
}

static void try_delete(struct model *model, uint32_t which)
{
    struct account_model *account = &model->accounts[which];
    if (!account->exists || account->count == 0)
        return;
    size_t at = pick(model, (uint32_t)account->count);
    message_id id = account->mailbox[at].id;
    EXPECT_EQ(mailbox_delete(model->store, account->handle, id), STATUS_OK);
    EXPECT_EQ(mailbox_delete(model->store, account->handle, id), STATUS_NO_MESSAGE);
    remove_at(account, at);
}

static void try_list(struct model *model, uint32_t which)
{
    struct account_model *account = &model->accounts[which];
    struct message messages[7];
    size_t at = 0;
    message_id after = 0;
    message_release_all(model->store);
    if (!account->exists)
        return;
    EXPECT_EQ(mailbox_newest(model->store, account->handle), account->newest);
    for (size_t count = 1; count > 0; message_release_all(model->store)) {
        EXPECT_EQ(mailbox_list(model->store, account->handle, after, account->newest, messages, 7, &count),
                  STATUS_OK);
        for (size_t i = 0; i < count; i++, at++) {
            EXPECT(at < account->count);
            EXPECT_EQ(messages[i].id, account->mailbox[at].id);
            EXPECT_EQ(messages[i].body_length, body_length(account->mailbox[at].number));
            after = messages[i].id;
        }
    }
    EXPECT_EQ(at, account->count);
}

static void compare_counts(struct model *model)
{
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        struct account_model *account = &model->accounts[i];
        EXPECT_EQ(mailbox_count(model->store, account->handle), account->exists ? account->count : 0);
        EXPECT_EQ(queue_count(model->store, account->handle), account->exists ? account->queued : 0);
    }
}

static void one_operation(struct model *model)
{
    static void (*const operations[])(struct model *, uint32_t) = {
        try_append, try_append, try_append, try_append, try_first, try_delete_first, try_delete_first,
        try_delete, try_delete, try_open,   try_push,   try_store, try_append,       try_delete_first,
    };
    uint32_t which = pick(model, ACCOUNTS);
    uint32_t rare = pick(model, 5000);
    if (rare == 0)
        try_remove(model, which);
    else if (rare < 20)
        try_create(model, which);
    else if (rare < 40)
        try_list(model, which);
    else
        operations[pick(model, sizeof(operations) / sizeof(operations[0]))](model, which);
}

static uint32_t operations(void)
{
    const char *text = getenv("SHMAIL_MODEL_OPERATIONS");
    return text ? (uint32_t)strtoul(text, NULL, 10) : OPERATIONS;
}

static void the_store_equals_a_plain_model(void)
{
    static struct model model = {.random = 88172645463325252};
    model.store = private_store();
    for (uint32_t i = 0; i < operations(); i++) {
        one_operation(&model);
        compare_counts(&model);
        if (i % CHECK_EVERY == 0)
            EXPECT_CLEAN(model.store);
    }
    EXPECT_CLEAN(model.store);
    store_detach(model.store);
}

static const struct harness_test tests[] = {
    {"the store equals a plain model at every step", the_store_equals_a_plain_model, 300},
};

HARNESS_MAIN(tests)
