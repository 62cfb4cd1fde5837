/* scene.h: a post office in which one operation after the other happens, of every kind that a journal knows,
 * and what it must look like after each: a digest of everything that a reboot has to bring back. */
#ifndef SHMAIL_TEST_SCENE_H
#define SHMAIL_TEST_SCENE_H

#include "account_record.h"
#include "crc32c.h"
#include "journal.h"
#include "mailbox_record.h"
#include "message.h"
#include "post_office.h"
#include "process.h"
#include "queue.h"
#include "siphash.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct store_options scene_options = {.directory = "journal",
                                                   .crypt_cost = 1,
                                                   .journal_bytes = 80 << 10,
                                                   .segment_bytes = 8 << 20,
                                                   .accounts = 16,
                                                   .slots = 8};

/* ---- records that are made by hand ---- */

static inline void seal(struct journal_record *record, const char *texts)
{
    record->magic = RECORD_MAGIC;
    record->crc =
        journal_crc_end(record, crc32c(journal_crc_begin(record), texts, (size_t)journal_texts(record)));
}

/* ---- the state as a number ---- */

static inline void digest_bytes(uint64_t *digest, const void *bytes, size_t length)
{
    uint64_t key[2] = {*digest, length};
    *digest = siphash13((const uint8_t *)key, bytes, length);
}

static inline void digest_number(uint64_t *digest, uint64_t number)
{
    digest_bytes(digest, &number, sizeof(number));
}

static inline void digest_message(struct store *store, uint64_t *digest, const struct message *message)
{
    struct message_cursor cursor = {0};
    const char *run;
    size_t length;
    digest_number(digest, message->id);
    digest_number(digest, (uint64_t)message->received);
    digest_bytes(digest, message->sender, message->sender_length);
    digest_bytes(digest, message->subject, message->subject_length);
    digest_number(digest, message->body_length);
    while (message_next(store, message, &cursor, &run, &length))
        digest_bytes(digest, run, length);
}

static inline void digest_account(struct store *store, uint64_t *digest, account_t account)
{
    const struct account_record *record = account_at(store, account.index);
    const struct identity *identity = at(store, record->identity);
    struct message messages[8];
    size_t count;
    digest_number(digest, account.index);
    digest_bytes(digest, identity->text, identity->name_length);
    digest_bytes(digest, identity->text + identity->name_length + 1, identity->hash_length);
    digest_number(digest, record->newest);
    digest_number(digest, record->count);
    digest_number(digest, record->queue_newest);
    digest_number(digest, record->queue_count);
    for (message_id after = 0;
         mailbox_list(store, account, after, UINT64_MAX, messages, 8, &count) == STATUS_OK && count > 0;
         after = messages[count - 1].id, message_release_all(store))
        for (size_t i = 0; i < count; i++)
            digest_message(store, digest, &messages[i]);
    for (uint64_t below = UINT64_MAX;
         queue_list_below(store, account, below, messages, 8, &count) == STATUS_OK && count > 0;
         below = messages[count - 1].id,
                  message_release_but_last(store)) /* from which the next ones follow */
        for (size_t i = 0; i < count; i++)
            digest_message(store, digest, &messages[i]);
    message_release_all(store);
}

/* Everything that a journal keeps. It pins and observes as any reader does, but leaves no trace of that. */
static inline uint64_t scene_digest(struct store *store)
{
    uint64_t digest = 0;
    uint64_t observed = store->observed;
    for (uint32_t index = 1; index <= store->header->accounts_used; index++)
        if (account_at(store, index)->generation % 2)
            digest_account(store, &digest, (account_t){index, account_at(store, index)->generation});
    store->observed = observed;
    return digest;
}

/* ---- operations ---- */

static char scene_long_text[200 << 10];

static inline account_t scene_account(struct store *store, const char *name)
{
    account_t account;
    return account_find(store, name, strlen(name), &account) == STATUS_OK ? account : ACCOUNT_NONE;
}

static inline enum status scene_create(struct store *store, const char *name, const char *hash)
{
    account_t account;
    return account_create(store, name, strlen(name), hash, &account, NULL);
}

static inline enum status scene_draft(struct store *store, const char *from, const char *subject,
                                      size_t length)
{
    for (size_t i = 0; i < length; i++)
        scene_long_text[i] = (char)(i * i / 7 + i);
    struct letter letter = {from, subject, scene_long_text, strlen(from), strlen(subject), length};
    return draft_write(store, &letter);
}

static inline enum status scene_send(struct store *store, const char *to, const char *subject, size_t length)
{
    message_id id;
    enum status status = scene_draft(store, "alice@example.org", subject, length);
    return status == STATUS_OK ? mailbox_append(store, scene_account(store, to), &id) : status;
}

static inline enum status scene_push(struct store *store, const char *name, const char *from, size_t length)
{
    enum status status = scene_draft(store, from, "queued", length);
    return status == STATUS_OK ? queue_push(store, scene_account(store, name)) : status;
}

static inline enum status scene_store(struct store *store, const char *from, const char *to)
{
    message_id id;
    return queue_store(store, scene_account(store, from), scene_account(store, to), &id);
}

static inline enum status scene_secret(struct store *store, const char *name, const char *hash)
{
    struct account_secret secret;
    enum status status = account_secret(store, name, strlen(name), &secret);
    if (status != STATUS_OK)
        return status;
    return hash ? account_change_hash(store, &secret, hash) : account_remove(store, &secret);
}

/* One of each kind, and what follows from it; each is one record. */
enum { SCENE_OPERATIONS = 20, SCENE_FIRST_HALF = 9 };

static inline enum status scene_operation(struct store *store, int which)
{
    switch (which) {
    case 0:
        return scene_create(store, "Alice", "$y$a hash");
    case 1:
        return scene_create(store, "bob", NULL);
    case 2:
        return scene_create(store, "carol", "$y$another hash");
    case 3:
        return scene_send(store, "bob", "one", 3);
    case 4:
        return scene_send(store, "bob", "", 300);
    case 5:
        return scene_push(store, "alice", "alice", 8);
    case 6:
        return scene_push(store, "alice", "", 100);
    case 7:
        return scene_send(store, "carol", "lost", 40);
    case 8:
        return scene_push(store, "bob", "bob", 17);
    case 9:
        return scene_store(store, "alice", "bob"); /* what nobody has sent */
    case 10:
        return mailbox_delete(store, scene_account(store, "bob"), 1);
    case 11:
        return scene_secret(store, "alice", "$y$a new hash");
    case 12:
        return scene_store(store, "bob", "alice");
    case 13:
        return scene_secret(store, "carol", NULL);
    case 14:
        return scene_create(store, "dave", NULL); /* has carol's index */
    case 15:
        return scene_send(store, "dave", "", 0);
    case 16:
        return scene_send(store, "alice", "long", 700);
    case 17:
        return mailbox_delete_first(store, scene_account(store, "bob"));
    case 18:
        return scene_store(store, "alice", "alice");
    default:
        return scene_send(store, "bob", "last", 60);
    }
}

/* ---- what there is after each record ---- */

enum { SCENE_RECORDS = 8000 };

/* By sequence; may be shared between processes. */
struct scene {
    uint64_t last, acknowledged;
    uint64_t digests[SCENE_RECORDS];
};

/* After an operation: its record is one more, or it has none. */
static inline void scene_note(struct scene *scene, struct store *store)
{
    uint64_t assigned = store->header->journal.assigned;
    EXPECT(assigned < SCENE_RECORDS && assigned <= scene->last + 1);
    scene->last = assigned;
    scene->digests[assigned] = scene_digest(store);
}

static inline void scene_do(struct scene *scene, struct store *store, int which)
{
    EXPECT_EQ(scene_operation(store, which), STATUS_OK);
    scene_note(scene, store);
}

static inline void scene_settle(struct scene *scene, struct store *store)
{
    EXPECT_EQ(store_settle(store), STATUS_OK);
    scene->acknowledged = scene->last;
}

/* ---- stores that come and go in one process ---- */

/* As if the process had ended. */
static inline void scene_close(struct store *store)
{
    char aside[1];
    store_detach(store);
    EXPECT_EQ(store_set_aside(&store, NULL, aside, sizeof(aside)), STATUS_OK);
}

struct recovered {
    enum status status;
    uint64_t sequence, digest; /* sequence: of the last record but the one that begins the epoch */
    char why[1024];
};

/* What a reboot makes of the directory. */
static inline struct recovered scene_recover(const char *directory)
{
    struct recovered recovered = {.sequence = 0};
    struct store_options options = scene_options;
    struct store *store;
    options.directory = directory;
    recovered.status = store_open(&store, &options, recovered.why, sizeof(recovered.why));
    if (recovered.status != STATUS_OK)
        return recovered;
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
    uint64_t assigned = store->header->journal.assigned;
    recovered.sequence = assigned ? assigned - 1 : 0;
    recovered.digest = scene_digest(store);
    EXPECT_CLEAN(store);
    scene_close(store);
    return recovered;
}

static inline void expect_recovered(const struct scene *scene, const struct recovered *recovered,
                                    uint64_t least, uint64_t most, const char *what)
{
    if (recovered->status != STATUS_OK)
        harness_fail(__FILE__, __LINE__, "%s: refused: %s", what, recovered->why);
    if (recovered->sequence < least || recovered->sequence > most)
        harness_fail(__FILE__, __LINE__, "%s: recovered up to %ju, not %ju to %ju", what,
                     (uintmax_t)recovered->sequence, (uintmax_t)least, (uintmax_t)most);
    if (recovered->digest != scene->digests[recovered->sequence])
        harness_fail(__FILE__, __LINE__, "%s: what is recovered is not the state after record %ju", what,
                     (uintmax_t)recovered->sequence);
}

#endif
