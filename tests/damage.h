/* damage.h: what the tests of the check share: a post office with something of everything, and wrong values
 * for a field, each of which must be found, and nothing once it is undone. */
#ifndef SHMAIL_TEST_DAMAGE_H
#define SHMAIL_TEST_DAMAGE_H

#include "account_record.h"
#include "block.h"
#include "message.h"
#include "post_office.h"
#include "queue.h"
#include "transaction.h"

static struct store *store;
static struct account_record *alice;                   /* live, with all that an account can have */
static struct account_record *removed, *dying;         /* on the free list; half way there */
static struct message_record *listed, *queued, *limbo; /* each of several pieces */
static struct message_record *pinned;                  /* deleted, and only this process has it */
static struct node *root;

static uint32_t reports;

static inline void count_report(void *context, const char *text)
{
    (void)context;
    EXPECT(*text != '\0');
    reports++;
}

static inline size_t findings(void)
{
    reports = 0;
    return store_check(store, count_report, NULL);
}

/* ---- a post office with something of everything ---- */

static char body[60000];

static inline message_id deliver_bytes(account_t to, size_t length)
{
    message_id id = 0;
    EXPECT_EQ(deliver(store, to, "bob", "subject", body, length, &id), STATUS_OK);
    return id;
}

static inline void queue_bytes(account_t sender, size_t length)
{
    struct letter letter = {.sender = "alice", .sender_length = 5, .body = body, .body_length = length};
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_EQ(queue_push(store, sender), STATUS_OK);
}

static inline account_t make_account(const char *name)
{
    account_t account;
    struct cookie cookie;
    struct account_secret secret;
    EXPECT_EQ(account_create(store, name, strlen(name), "a hash", &account, &cookie), STATUS_OK);
    EXPECT_EQ(account_secret(store, name, strlen(name), &secret), STATUS_OK);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(account_login(store, &secret, &cookie), STATUS_OK);
    for (int i = 0; i < 70; i++)
        deliver_bytes(account, (size_t)i * 5);
    deliver_bytes(account, sizeof(body));
    for (int i = 0; i < 3; i++)
        queue_bytes(account, 40000);
    return account;
}

static inline void remove_account(const char *name)
{
    struct account_secret secret;
    EXPECT_EQ(account_secret(store, name, strlen(name), &secret), STATUS_OK);
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
}

/* As account_remove leaves it for the sweep. */
static inline void begin_removal(account_t account)
{
    struct header *header = store->header;
    dying = account_at(store, account.index);
    uint32_t *link = &store->name_buckets[dying->name_hash & store->name_mask];
    while (*link != account.index)
        link = &account_at(store, *link)->chain;
    *link = dying->chain;
    dying->generation++;
    dying->chain = header->accounts_dying;
    header->accounts_dying = account.index;
    header->accounts_live--;
}

/* As a deletion leaves it for the sweep. */
static inline void begin_deletion(account_t account)
{
    enum status status = STATUS_OK;
    struct message message;
    message_id id = deliver_bytes(account, sizeof(body));
    EXPECT_EQ(mailbox_open(store, account, id, &message), STATUS_OK);
    limbo = at(store, message.reference);
    EXPECT_EQ(mailbox_delete(store, account, id), STATUS_OK);
    transaction_begin(store);
    message_unpin_last(store, store->slot);
    EXPECT(transaction_finish(store, &status));
    EXPECT_EQ(store->header->limbo, message.reference);
}

static inline void make_post_office(void)
{
    struct message message;
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = body, .body_length = 50000};
    store = attached_store(&(struct store_options){
        .segment_bytes = UINT64_C(64) << 20, .accounts = 50, .slots = 4, .sessions_per_account = 4});
    account_t account = make_account("alice");
    alice = account_at(store, account.index);
    make_account("bob");
    account_t third = make_account("carol");
    remove_account("bob");
    make_account("dave");
    removed = account_at(store, make_account("erin").index);
    remove_account("erin");
    EXPECT_EQ(mailbox_open(store, account, 71, &message), STATUS_OK);
    listed = at(store, message.reference);
    queued = at(store, alice->queue);
    message_id id = deliver_bytes(account, 30000);
    EXPECT_EQ(mailbox_open(store, account, id, &message), STATUS_OK);
    pinned = at(store, message.reference);
    EXPECT_EQ(mailbox_delete(store, account, id), STATUS_OK);
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    begin_removal(third);
    root = at(store, alice->root);
    block_t draft = store->slot->draft;
    store->slot->draft = 0; /* lest the next delivery drops it */
    begin_deletion(account);
    store->slot->draft = draft;
    EXPECT_EQ(alice->height, 2);
    EXPECT_CLEAN(store);
}

/* ---- scribbles ---- */

static const char *damaging;

static inline void expect_found(const char *value)
{
    size_t found = findings();
    if (found == 0)
        harness_fail(__FILE__, __LINE__, "%s, %s: nothing was found", damaging, value);
    EXPECT(reports > 0 && reports <= found);
}

/* Tries wrong values, each of which must be found. */
static inline void damage32(const char *what, uint32_t *field)
{
    const uint32_t was = *field;
    const uint32_t values[] = {0, 1, was + 1, was - 1, was ^ 1u << 31, ~was, UINT32_MAX, was + 64};
    damaging = what;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[64];
        if (values[i] == was)
            continue;
        sprintf(text, "%u instead of %u", values[i], was);
        *field = values[i];
        expect_found(text);
        *field = was;
    }
    EXPECT_CLEAN(store);
}

static inline void damage64(const char *what, uint64_t *field)
{
    const uint64_t was = *field;
    const uint64_t values[] = {0,    1,        was + 1,   was - 1, was ^ UINT64_C(1) << 63,
                               ~was, was + 64, was + 256, was << 1};
    damaging = what;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[64];
        if (values[i] == was)
            continue;
        sprintf(text, "%llu instead of %llu", (unsigned long long)values[i], (unsigned long long)was);
        *field = values[i];
        expect_found(text);
        *field = was;
    }
    EXPECT_CLEAN(store);
}

/* A generation that nothing else names: only whether it lives can be wrong. */
static inline void damage_generation(const char *what, uint32_t *field)
{
    damaging = what;
    ++*field;
    expect_found("one more");
    --*field;
    EXPECT_CLEAN(store);
}

#define DAMAGE32(field) damage32(#field, &(field))
#define DAMAGE64(field) damage64(#field, &(field))
#define DAMAGE_GENERATION(field) damage_generation(#field, &(field))

#endif
