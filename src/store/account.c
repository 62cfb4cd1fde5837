/* account.c: accounts: found by name, registered, changed, entered, removed.
 *
 * Name and hash lie in an identity block, which is replaced whole. A removed account is unreachable at once
 * and stands on the dying list until its messages, sessions and identity are freed, step by step, by whoever
 * sweeps. */
#include "account.h"

#include "account_record.h"
#include "block.h"
#include "index.h"
#include "journal.h"
#include "lock.h"
#include "log.h"
#include "message.h"
#include "name.h"
#include "process.h"
#include "segment.h"
#include "siphash.h"
#include "transaction.h"

#include <string.h>

struct account_record *account_record(const struct store *store, account_t account)
{
    if (account.index == 0 || account.index > store->accounts_most)
        return NULL;
    struct account_record *record = account_at(store, account.index);
    return load32(&record->generation) == account.generation ? record : NULL;
}

uint64_t account_number(struct store *store, account_t account, size_t field)
{
    const struct account_record *record = account_record(store, account);
    if (record) {
        uint64_t number = load64((const uint64_t *)(const void *)((const char *)record + field));
        journal_observe(store, load64(&record->changed));
        if (load32(&record->generation) == account.generation)
            return number;
    }
    journal_observe_all(store);
    return 0;
}

static uint32_t hash_name(const struct store *store, const char *name, size_t length)
{
    return (uint32_t)siphash13_folded(store->header->hash_key, name, length);
}

static const struct identity *identity_of(const struct store *store, const struct account_record *record)
{
    return at(store, record->identity);
}

static const char *hash_of(const struct identity *identity)
{
    return identity->text + identity_name_length(identity) + 1;
}

/* Within a transaction. */
static uint32_t find(const struct store *store, const char *name, size_t length, uint32_t hash)
{
    const uint32_t *bucket = &store->name_buckets[hash & store->name_mask];
    if (!segment_has(store, (uint64_t)((const char *)bucket - store->base)))
        return 0;
    uint32_t left = store->accounts_most;
    for (uint32_t index = *bucket; index; index = account_at(store, index)->chain) {
        const struct account_record *record = account_at(store, index);
        if (left-- == 0)
            bug("a chain of accounts has no end");
        if (record->name_hash != hash)
            continue;
        const struct identity *identity = identity_of(store, record);
        if (name_equal(identity->text, identity_name_length(identity), name, length))
            return index;
    }
    return 0;
}

/* Within a transaction: whoever learns that an account is there or not has seen its last change, or any. */
static void observe(struct store *store, uint32_t index)
{
    if (index)
        journal_observe(store, account_at(store, index)->changed);
    else
        journal_observe_all(store);
}

static account_t handle(const struct store *store, uint32_t index)
{
    return (account_t){index, account_at(store, index)->generation};
}

enum status account_find(struct store *store, const char *name, size_t length, account_t *account)
{
    uint32_t hash = hash_name(store, name, length);
    transaction_begin(store);
    uint32_t index = find(store, name, length, hash);
    observe(store, index);
    *account = index ? handle(store, index) : ACCOUNT_NONE;
    transaction_end(store, STATUS_OK);
    return account->index ? STATUS_OK : STATUS_NO_ACCOUNT;
}

/* The block is free until the commit and unknown to others, so its text is written at once. */
static enum status new_identity(struct store *store, const char *name, size_t length, const char *hash,
                                block_t *block)
{
    size_t hash_length = strlen(hash);
    enum status status = block_allocate(store, sizeof(struct identity) + length + hash_length + 2, block);
    if (status != STATUS_OK)
        return status;
    struct identity *identity = at(store, *block);
    identity->name_length = (uint16_t)length;
    identity->hash_length = (uint16_t)hash_length;
    identity->born = 0;
    memcpy(identity->text, name, length);
    identity->text[length] = '\0';
    memcpy(identity->text + length + 1, hash, hash_length + 1);
    return STATUS_OK;
}

/* The journal gets a copy of its own: the account's may be replaced before it is written. */
static enum status note_identity(struct store *store, enum journal_type type, uint32_t account,
                                 const char *name, size_t length, const char *hash, uint64_t *sequence)
{
    struct journal_note note = {.type = (uint16_t)type, .account = account};
    *sequence = 0;
    if (!journal_is_on(store))
        return STATUS_OK;
    enum status status = new_identity(store, name, length, hash, &note.text);
    return status == STATUS_OK ? journal_note(store, &note, sequence) : status;
}

static enum status take_record(struct store *store, uint32_t *index)
{
    struct header *header = store->header;
    *index = header->accounts_free;
    if (*index) {
        set32(store, &header->accounts_free, account_at(store, *index)->chain);
        return STATUS_OK;
    }
    *index = header->accounts_used + 1;
    if (*index > store->accounts_most)
        return STATUS_FULL_ACCOUNTS;
    if (!segment_wants(store, account_at(store, *index)))
        return STATUS_FULL_SEGMENT;
    set32(store, &header->accounts_used, *index);
    return STATUS_OK;
}

/* index: a certain record, which must be free; 0: any. */
static enum status insert(struct store *store, uint32_t index, const char *name, size_t length,
                          uint32_t name_hash, const char *hash, account_t *account)
{
    uint32_t *bucket = &store->name_buckets[name_hash & store->name_mask];
    if (find(store, name, length, name_hash))
        return STATUS_TAKEN;
    if (!segment_wants(store, bucket))
        return STATUS_FULL_SEGMENT;
    enum status status = index ? STATUS_OK : take_record(store, &index);
    if (status != STATUS_OK)
        return status;
    block_t identity;
    uint64_t sequence;
    status = new_identity(store, name, length, hash, &identity);
    if (status == STATUS_OK)
        status = note_identity(store, RECORD_ACCOUNT, index, name, length, hash, &sequence);
    if (status != STATUS_OK)
        return status;
    struct account_record *record = account_at(store, index);
    ((struct identity *)at(store, identity))->born = sequence;
    journal_mark(store, record, sequence);
    *account = (account_t){index, record->generation + 1};
    set32(store, &record->generation, account->generation);
    set32(store, &record->name_hash, name_hash);
    set32(store, &record->identity, identity);
    set32(store, &record->chain, *bucket);
    set32(store, bucket, index);
    set32(store, &store->header->accounts_live, store->header->accounts_live + 1);
    return STATUS_OK;
}

enum status account_create(struct store *store, const char *name, size_t length, const char *hash,
                           account_t *account, struct cookie *cookie)
{
    uint8_t random[COOKIE_BYTES];
    uint32_t name_hash = hash_name(store, name, length);
    enum status status;
    if (length == 0 || length > NAME_MAX_BYTES || (hash && strlen(hash) > HASH_MAX))
        return STATUS_MALFORMED;
    if (cookie && session_draw(random) != STATUS_OK)
        return STATUS_SYSTEM;
    do {
        transaction_begin(store);
        status = insert(store, 0, name, length, name_hash, hash ? hash : "", account);
        if (status == STATUS_OK && cookie)
            status = session_open(store, *account, account_at(store, account->index), random, cookie);
    } while (!transaction_finish(store, &status));
    return status;
}

enum status account_restore(struct store *store, uint32_t index, const char *name, size_t length,
                            const char *hash)
{
    uint32_t used = store->header->accounts_used;
    account_t account;
    enum status status = STATUS_OK;
    for (uint32_t i = used + 1; i <= index && status == STATUS_OK; i++)
        status = segment_reserve(store, segment_offset(store, account_at(store, i)),
                                 sizeof(struct account_record));
    if (status != STATUS_OK)
        return status;
    do {
        transaction_begin(store);
        if (index > used)
            set32(store, &store->header->accounts_used, index);
        status = insert(store, index, name, length, hash_name(store, name, length), hash, &account);
    } while (!transaction_finish(store, &status));
    return status;
}

enum status account_secret(struct store *store, const char *name, size_t length,
                           struct account_secret *secret)
{
    uint32_t hash = hash_name(store, name, length);
    *secret = (struct account_secret){.account = ACCOUNT_NONE};
    transaction_begin(store);
    uint32_t index = find(store, name, length, hash);
    observe(store, index);
    if (index) {
        const struct identity *identity = identity_of(store, account_at(store, index));
        secret->account = handle(store, index);
        secret->revision = account_at(store, index)->revision;
        memcpy(secret->hash, hash_of(identity), identity_hash_length(identity)); /* behind it all is 0 */
    }
    transaction_end(store, STATUS_OK);
    return secret->account.index ? STATUS_OK : STATUS_NO_ACCOUNT;
}

/* Within a transaction: the record, if nothing has changed since the secret was read. */
static struct account_record *unchanged(const struct store *store, const struct account_secret *secret)
{
    struct account_record *record = account_record(store, secret->account);
    return record && record->revision == secret->revision ? record : NULL;
}

enum status account_login(struct store *store, const struct account_secret *secret, struct cookie *cookie)
{
    uint8_t random[COOKIE_BYTES];
    bool waited = false;
    enum status status;
    if (session_draw(random) != STATUS_OK)
        return STATUS_SYSTEM;
    do {
        transaction_begin(store);
        struct account_record *record = unchanged(store, secret);
        waited = record && record->waited;
        status = record ? session_open(store, secret->account, record, random, cookie) : STATUS_GONE;
    } while (!transaction_finish(store, &status));
    if (status == STATUS_OK && waited)
        process_wake_waiters(store, secret->account); /* with the session that this one may have pushed out */
    return status;
}

enum status account_change_hash(struct store *store, const struct account_secret *secret, const char *hash)
{
    enum status status;
    if (strlen(hash) > HASH_MAX)
        return STATUS_MALFORMED;
    do {
        transaction_begin(store);
        struct account_record *record = unchanged(store, secret);
        status = STATUS_GONE;
        if (!record)
            continue;
        const struct identity *old = identity_of(store, record);
        block_t identity;
        uint64_t sequence;
        size_t length = identity_name_length(old);
        status = new_identity(store, old->text, length, hash, &identity);
        if (status == STATUS_OK)
            status = note_identity(store, RECORD_PASSWORD, secret->account.index, old->text, length, hash,
                                   &sequence);
        if (status != STATUS_OK)
            continue;
        ((struct identity *)at(store, identity))->born = old->born;
        journal_mark(store, record, sequence);
        block_free(store, record->identity);
        set32(store, &record->identity, identity);
        set32(store, &record->revision, record->revision + 1);
    } while (!transaction_finish(store, &status));
    return status;
}

void account_end_sessions(struct store *store, account_t account)
{
    bool done = false, waited = false;
    while (!done) {
        transaction_begin(store);
        struct account_record *record = account_record(store, account);
        done = !record;
        if (record && record->entered)
            set64(store, &record->entered, 0);
        waited = record && record->waited;
        while (!done && transaction_has_room(store, 40))
            done = !session_end_newest(store, record);
        transaction_end(store, STATUS_OK);
    }
    if (waited)
        process_wake_waiters(store, account);
}

static void unchain(struct store *store, uint32_t index)
{
    struct account_record *record = account_at(store, index);
    uint32_t *link = &store->name_buckets[record->name_hash & store->name_mask];
    for (uint32_t left = store->accounts_most; *link != index; left--) {
        if (*link == 0 || left == 0)
            bug("an account is not in its chain");
        link = &account_at(store, *link)->chain;
    }
    set32(store, link, record->chain);
}

enum status account_remove(struct store *store, const struct account_secret *secret)
{
    struct header *header = store->header;
    bool waited = false;
    enum status status;
    do {
        transaction_begin(store);
        struct account_record *record = unchanged(store, secret);
        status = record ? STATUS_OK : STATUS_GONE;
        uint64_t sequence;
        struct journal_note note = {.type = RECORD_REMOVE, .account = secret->account.index};
        if (record)
            status = journal_note(store, &note, &sequence);
        if (status != STATUS_OK)
            continue;
        unchain(store, secret->account.index);
        set32(store, &record->generation, record->generation + 1);
        set32(store, &record->chain, header->accounts_dying);
        set32(store, &header->accounts_dying, secret->account.index);
        set32(store, &header->accounts_live, header->accounts_live - 1);
        waited = record->waited != 0;
    } while (!transaction_finish(store, &status));
    if (status == STATUS_OK) {
        if (waited)
            process_wake_waiters(store, secret->account);
        account_sweep(store);
    }
    return status;
}

/* One step of freeing what the account has left; true when nothing is left but the record. */
static bool strip(struct store *store, struct account_record *record)
{
    while (transaction_has_room(store, 40) && session_end_newest(store, record))
        ;
    while (transaction_has_room(store, 40) && get32(store, &record->queue)) {
        struct message_record *message = at(store, get32(store, &record->queue));
        block_t block = get32(store, &record->queue);
        set32(store, &record->queue, get32(store, &message->link));
        message_drop(store, block);
    }
    return transaction_has_room(store, 64) && index_dismantle(store, record, message_drop) &&
           transaction_has_room(store, 40);
}

static void free_record(struct store *store, uint32_t index)
{
    struct header *header = store->header;
    struct account_record *record = account_at(store, index);
    uint64_t *const words[] = {&record->queue_count, &record->newest,       &record->base,
                               &record->first,       &record->count,        &record->bytes,
                               &record->entered,     &record->queue_newest, &record->changed,
                               &record->queue_bytes};
    block_free(store, record->identity);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        set64(store, words[i], 0);
    set32(store, &record->identity, 0);
    set32(store, &record->waited, 0);
    set32(store, &record->revision, record->revision + 1);
    set32(store, &header->accounts_dying, record->chain);
    if (store->recovering)
        return; /* journal_recover lists what is free when it knows */
    set32(store, &record->chain, header->accounts_free);
    set32(store, &header->accounts_free, index);
}

void account_sweep(struct store *store)
{
    for (bool goes_on = false; load32(&store->header->accounts_dying); goes_on = true) {
        enum status status = STATUS_OK;
        if (goes_on)
            lock_give_way(store);
        do {
            transaction_begin(store);
            uint32_t index = store->header->accounts_dying;
            if (index && !account_has_record(store, index))
                status = STATUS_DAMAGED;
            else if (index && strip(store, account_at(store, index)))
                free_record(store, index);
        } while (!transaction_finish(store, &status));
        if (status == STATUS_DAMAGED) {
            store_suspect(store);
            return;
        }
        message_sweep(store);
    }
}

size_t account_name(struct store *store, account_t account, char name[static NAME_MAX_BYTES + 1])
{
    size_t length = 0;
    transaction_begin(store);
    const struct account_record *record = account_record(store, account);
    observe(store, record ? account.index : 0);
    if (record) {
        const struct identity *identity = identity_of(store, record);
        length = identity_name_length(identity);
        memcpy(name, identity->text, length);
    }
    transaction_end(store, STATUS_OK);
    name[length] = '\0';
    return length;
}

/* Within a transaction. */
static enum status take_name(struct store *store, const struct account_secret *secret, uint64_t dead,
                             uint64_t *holder)
{
    struct slot *slot = store->slot;
    struct account_record *record = unchanged(store, secret);
    if (!record)
        return STATUS_GONE;
    *holder = record->entered;
    if (*holder && *holder != store->me && *holder != dead)
        return STATUS_IN_USE;
    struct account_record *before = account_at(store, slot->entered.index);
    if (slot->entered.index && before != record && before->entered == store->me)
        set64(store, &before->entered, 0);
    set64(store, &record->entered, store->me);
    set32(store, &slot->entered.index, secret->account.index);
    set32(store, &slot->entered.generation, secret->account.generation);
    return STATUS_OK;
}

/* One try: *holder is who has entered the name when it is neither free, nor ours, nor dead's. */
static enum status enter(struct store *store, const struct account_secret *secret, uint64_t dead,
                         uint64_t *holder)
{
    transaction_begin(store);
    enum status status = take_name(store, secret, dead, holder);
    transaction_end(store, status);
    return status;
}

enum status account_enter(struct store *store, const struct account_secret *secret)
{
    uint64_t holder = 0;
    enum status status = enter(store, secret, 0, &holder);
    if (status == STATUS_IN_USE && owner_is_dead(store, holder))
        status = enter(store, secret, holder, &holder);
    if (status == STATUS_OK)
        store->slot->account = secret->account;
    return status;
}

void account_leave(struct store *store)
{
    struct slot *slot = store->slot;
    transaction_begin(store);
    if (slot->entered.index) {
        struct account_record *record = account_at(store, slot->entered.index);
        if (record->entered == store->me)
            set64(store, &record->entered, 0);
        set32(store, &slot->entered.index, 0);
    }
    transaction_end(store, STATUS_OK);
}

/* An owner word is that of one life of one slot: who finds his own has entered this account and no other. */
bool account_is_entered(struct store *store, account_t account)
{
    const struct account_record *record = account_record(store, account);
    if (record && load64(&record->entered) == store->me)
        return true;
    journal_observe_all(store); /* it may have been removed */
    return false;
}

void account_each(struct store *store, bool (*visit)(void *context, account_t, const char *name),
                  void *context)
{
    char name[NAME_MAX_BYTES + 1];
    for (uint32_t index = 1;
         index <= load32(&store->header->accounts_used) && account_has_record(store, index); index++) {
        account_t account = {index, load32(&account_at(store, index)->generation)};
        if (account.generation % 2 && account_name(store, account, name) && !visit(context, account, name))
            return;
    }
}
