/* segment_account.c: one account of a damaged segment, block by block: each is taken once, and only by the
 * account that it belongs to, whoever else refers to it. */
#include "segment_account.h"

#include "message.h"
#include "segment.h"
#include "siphash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct account_record nobody;

static const struct account_record *record_of(const struct store *store, uint32_t index)
{
    const struct account_record *record = account_at(store, index);
    return segment_has_all(store, record, sizeof(*record)) ? record : &nobody;
}

/* ---- lists of messages ---- */

bool found_add(struct segment_accounts *accounts, struct buffer *list, uint64_t id, block_t block)
{
    const struct found found = {id, block};
    if (buffer_append(list, &found, sizeof(found)))
        return true;
    accounts->status = STATUS_NO_MEMORY;
    return false;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = ((const struct found *)left)->id;
    uint64_t b = ((const struct found *)right)->id;
    return (a > b) - (a < b);
}

void found_sort(struct buffer *list)
{
    if (list->length > 0)
        qsort(list->bytes, found_count(list), sizeof(struct found), compare);
}

bool found_has(const struct buffer *list, size_t count, uint64_t id)
{
    const struct found key = {.id = id};
    return count > 0 && bsearch(&key, list->bytes, count, sizeof(key), compare) != NULL;
}

/* ---- what has no place ---- */

void segment_message_export(struct segment_accounts *accounts, block_t block, bool queued, const char *owner,
                            const char *reason)
{
    struct message_record head;
    char origin[64];
    snprintf(origin, sizeof(origin), "block %u", block);
    if (!segment_message_text(&accounts->blocks, block, &head, &accounts->text)) {
        accounts->status = STATUS_NO_MEMORY;
        return;
    }
    size_t sender = message_sender_length(head.shape);
    size_t subject = message_subject_length(head.shape);
    const char *text = accounts->text.bytes;
    const struct stray stray = {.from = text,
                                .from_length = sender,
                                .subject = text ? text + sender : NULL,
                                .subject_length = subject,
                                .body = text ? text + sender + subject : NULL,
                                .body_length = head.body_length,
                                .to = owner,
                                .id = head.id,
                                .received = head.received,
                                .queued = queued,
                                .origin = origin,
                                .reason = reason};
    accounts->status = export_stray(accounts->exporter, accounts->report, &stray);
}

static void fault(struct segment_accounts *accounts, struct segment_account *account, const char *what,
                  uint64_t number)
{
    account->whole = false;
    if (account->alive)
        report_say(accounts->report, REPORT_DAMAGE, "%s: %s %llu does not verify", account->name, what,
                   (unsigned long long)number);
}

/* ---- its parts ---- */

static bool is_its_own(const struct segment_account *account, const struct message_record *message,
                       uint64_t id, bool queued)
{
    return message->id == id && message->owner == account->index && id > 0 && id < ID_MOST &&
           message_state(message->shape) == (queued ? MESSAGE_QUEUED : MESSAGE_LISTED);
}

static void note_misplaced(struct segment_accounts *accounts, struct segment_account *account, block_t block,
                           bool queued)
{
    const struct misplaced misplaced = {block, account->index, queued};
    account->whole = false;
    if (account->alive && !buffer_append(&accounts->misplaced, &misplaced, sizeof(misplaced)))
        accounts->status = STATUS_NO_MEMORY;
}

/* True if it is one of the account's. */
static bool take_message(struct segment_accounts *accounts, struct segment_account *account, block_t block,
                         uint64_t id)
{
    if (!segment_block_is(&accounts->blocks, block, sizeof(struct message_record), NULL)) {
        fault(accounts, account, "message", id);
        found_add(accounts, &account->broken, id, 0);
        return false;
    }
    if (!is_its_own(account, at(accounts->store, block), id, false)) {
        note_misplaced(accounts, account, block, false);
        return false;
    }
    bool sound = segment_message_take(&accounts->blocks, block);
    if (!sound)
        fault(accounts, account, "message", id);
    if (account->alive)
        found_add(accounts, sound ? &account->messages : &account->broken, id, block);
    return true;
}

/* True if something below it is the account's. The height bounds the depth of this recursion; what it has
 * passed stays taken until its end, so that no scribble makes it go round. */
static bool take_node(struct segment_accounts *accounts, struct segment_account *account, block_t block,
                      uint32_t level, uint64_t position)
{
    bool own = false;
    if (!segment_block_take(&accounts->blocks, block, sizeof(struct node))) {
        fault(accounts, account, "index node in block", block);
        return false;
    }
    const struct node *node = at(accounts->store, block);
    for (uint32_t entry = 0; entry < NODE_ENTRIES && accounts->status == STATUS_OK; entry++) {
        uint64_t below = position * NODE_ENTRIES + entry;
        if (!(node->present >> entry & 1))
            continue;
        if (level > 0 ? take_node(accounts, account, node->entry[entry], level - 1, below)
                      : take_message(accounts, account, node->entry[entry], account->record->base + below))
            own = true;
    }
    if (!own && !buffer_append(&accounts->passed, &block, sizeof(block)))
        accounts->status = STATUS_NO_MEMORY;
    return own;
}

static void take_index(struct segment_accounts *accounts, struct segment_account *account, uint32_t height)
{
    const struct account_record *record = account->record;
    take_node(accounts, account, record->root, height - 1, 0);
    for (size_t i = 0; i < accounts->passed.length; i += sizeof(block_t)) {
        block_t block;
        memcpy(&block, accounts->passed.bytes + i, sizeof(block));
        segment_block_release(&accounts->blocks, block);
    }
    buffer_clear(&accounts->passed);
}

/* In a queue ids go down: that of one between two others that do so is wrong if it does not. */
static bool is_in_order(const struct segment_accounts *accounts, const struct message_record *message,
                        uint64_t before)
{
    if (message->id >= before)
        return false;
    block_t link = load32(&message->link);
    if (!segment_block_is(&accounts->blocks, link, sizeof(*message), NULL))
        return true;
    uint64_t next = ((const struct message_record *)at(accounts->store, link))->id;
    return next < message->id || next >= before;
}

/* One that is not what it should be still leads to the next, but not beyond where the chain comes to one that
 * was met: a mark that moves on from time to time finds a circle of what is another's. */
static void take_queue(struct segment_accounts *accounts, struct segment_account *account)
{
    block_t block = load32(&account->record->queue);
    block_t mark = 0;
    uint64_t before = ID_MOST;
    for (uint64_t steps = 1, turn = 1; block && accounts->status == STATUS_OK; steps++) {
        const struct message_record *message = at(accounts->store, block);
        if (!segment_block_is(&accounts->blocks, block, sizeof(*message), NULL) || block == mark) {
            fault(accounts, account, "queued message in block", block);
            account->broken_queued++;
            return;
        }
        if (!is_its_own(account, message, message->id, true) || !is_in_order(accounts, message, before)) {
            note_misplaced(accounts, account, block, true);
        } else if (segment_message_take(&accounts->blocks, block)) {
            before = message->id;
            if (account->alive)
                found_add(accounts, &account->queue, before, block);
        } else {
            fault(accounts, account, "queued message in block", block);
            account->broken_queued++;
            if (!segment_block_take(&accounts->blocks, block, sizeof(*message)))
                return;
        }
        if (steps == turn) {
            mark = block;
            turn *= 2;
        }
        block = load32(&message->link);
    }
}

static void take_content(struct segment_accounts *accounts, struct segment_account *account)
{
    const struct account_record *record = account->record;
    uint32_t height = load32(&record->height);
    if (height > HEIGHT_MAX)
        fault(accounts, account, "an index of height", height);
    else if (height > 0)
        take_index(accounts, account, height);
    take_queue(accounts, account);
    found_sort(&account->messages);
    found_sort(&account->queue);
    if (account->alive &&
        (record->count != found_count(&account->messages) ||
         record->queue_count != found_count(&account->queue) || record->newest >= ID_MOST ||
         record->queue_newest >= ID_MOST || found_last(&account->messages) > record->newest ||
         found_last(&account->queue) > record->queue_newest))
        fault(accounts, account, "the count of its messages up to", record->newest);
}

bool segment_account_is_named(const struct segment_accounts *accounts, const struct segment_account *account,
                              const char *name)
{
    return (uint32_t)siphash13_folded(accounts->store->header->hash_key, name, strlen(name)) ==
           account->record->name_hash;
}

/* Name and hash must end within the block, and the name must lead to the account. */
static void take_identity(struct segment_accounts *accounts, struct segment_account *account)
{
    block_t block = load32(&account->record->identity);
    struct identity *identity = (void *)account->read;
    size_t bytes;
    account->identity = account->claimed = NULL;
    if (!segment_block_is(&accounts->blocks, block, sizeof(struct identity), &bytes))
        return;
    memcpy(identity, at(accounts->store, block),
           bytes < sizeof(account->read) ? bytes : sizeof(account->read));
    size_t name = identity->name_length;
    size_t hash = identity->hash_length;
    if (name == 0 || name > NAME_MAX_BYTES || hash > HASH_MAX ||
        bytes < sizeof(*identity) + name + hash + 2 || strnlen(identity->text, name + 1) != name ||
        strnlen(identity->text + name + 1, hash + 1) != hash)
        return;
    account->claimed = identity;
    if (segment_account_is_named(accounts, account, identity->text) &&
        segment_block_take(&accounts->blocks, block, sizeof(*identity)))
        account->identity = identity;
}

/* ---- all of them ---- */

static void note_dying(struct segment_accounts *accounts)
{
    const uint32_t most = accounts->store->accounts_most;
    uint32_t index = load32(&accounts->store->header->accounts_dying);
    for (uint32_t count = 0; index > 0 && index <= most && count < most; count++) {
        accounts->dying[index / 64] |= UINT64_C(1) << (index % 64);
        index = load32(&record_of(accounts->store, index)->chain);
    }
}

bool segment_accounts_begin(struct segment_accounts *accounts, const struct store *store,
                            struct report *report, struct exporter *exporter)
{
    *accounts = (struct segment_accounts){.store = store, .report = report, .exporter = exporter};
    accounts->dying = calloc((size_t)store->accounts_most / 64 + 1, sizeof(uint64_t));
    if (!accounts->dying || !segment_blocks_begin(&accounts->blocks, store)) {
        free(accounts->dying);
        accounts->dying = NULL;
        return false;
    }
    note_dying(accounts);
    return true;
}

void segment_accounts_end(struct segment_accounts *accounts)
{
    segment_blocks_end(&accounts->blocks);
    buffer_free(&accounts->misplaced);
    buffer_free(&accounts->passed);
    buffer_free(&accounts->text);
    free(accounts->dying);
}

/* A record in no use is empty, unless its removal is going on: else it is alive, whatever its generation
 * says. */
void segment_account_take(struct segment_accounts *accounts, uint32_t index, struct segment_account *account)
{
    const struct account_record *record = record_of(accounts->store, index);
    bool dying = accounts->dying[index / 64] >> (index % 64) & 1;
    bool lives = record->generation % 2 == 1;
    account->index = index;
    account->record = record;
    account->alive = lives || (record->identity != 0 && !dying);
    account->whole = lives;
    account->broken_queued = 0;
    buffer_clear(&account->messages);
    buffer_clear(&account->queue);
    buffer_clear(&account->broken);
    snprintf(account->name, sizeof(account->name), "account %u", index);
    take_identity(accounts, account);
    if (account->identity)
        snprintf(account->name, sizeof(account->name), "%s", account->identity->text);
    if (account->alive && !lives)
        fault(accounts, account, "its generation", record->generation);
    if (account->alive && !account->identity)
        fault(accounts, account, "its name in block", record->identity);
    take_content(accounts, account);
}

void segment_account_free(struct segment_account *account)
{
    buffer_free(&account->messages);
    buffer_free(&account->queue);
    buffer_free(&account->broken);
}
