/* segment_account.c: one account of a damaged segment, block by block: each is taken once, by the first that
 * refers to it, and only if it is what it should be. */
#include "segment_account.h"

#include "message.h"
#include "segment.h"
#include "siphash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEIGHT_MAX = 11 };

static const struct account_record nobody;

static bool has_memory(const struct store *store, const void *field, size_t size)
{
    uint64_t offset = (uint64_t)((const char *)field - store->base);
    return segment_has(store, offset) && segment_has(store, offset + size - 1);
}

static const struct account_record *record_of(const struct store *store, uint32_t index)
{
    const struct account_record *record = &store->accounts[index];
    return has_memory(store, record, sizeof(*record)) ? record : &nobody;
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
    const struct message_record *message = at(accounts->store, block);
    size_t sender = message_sender_length(message->shape);
    size_t subject = message_subject_length(message->shape);
    char origin[64];
    snprintf(origin, sizeof(origin), "block %u", block);
    if (!segment_message_text(&accounts->blocks, block, &accounts->text)) {
        accounts->status = STATUS_NO_MEMORY;
        return;
    }
    const char *text = accounts->text.bytes;
    const struct stray stray = {.from = text,
                                .from_length = sender,
                                .subject = text ? text + sender : NULL,
                                .subject_length = subject,
                                .body = text ? text + sender + subject : NULL,
                                .body_length = message->body_length,
                                .to = owner,
                                .id = message->id,
                                .received = message->received,
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

static void take_message(struct segment_accounts *accounts, struct segment_account *account, block_t block,
                         uint64_t id, bool queued)
{
    const struct message_record *message = at(accounts->store, block);
    enum message_state state = queued ? MESSAGE_QUEUED : MESSAGE_LISTED;
    if (!segment_message_take(&accounts->blocks, block)) {
        fault(accounts, account, queued ? "queued message in block" : "message", queued ? block : id);
        if (queued)
            account->broken_queued++;
        else
            found_add(accounts, &account->broken, id, 0);
        return;
    }
    if (!account->alive)
        return;
    if ((queued || message->id == id) && message->owner == account->index && message->id > 0 &&
        message->id < ID_MOST && message_state(message->shape) == state) {
        found_add(accounts, queued ? &account->queue : &account->messages, message->id, block);
        return;
    }
    account->whole = false;
    segment_message_export(accounts, block, queued, account->name,
                           "it is not the message that should be there");
}

/* The height bounds the depth of this recursion. */
static void take_node(struct segment_accounts *accounts, struct segment_account *account, block_t block,
                      uint32_t level, uint64_t position)
{
    if (!segment_block_take(&accounts->blocks, block, sizeof(struct node))) {
        fault(accounts, account, "index node in block", block);
        return;
    }
    const struct node *node = at(accounts->store, block);
    for (uint32_t entry = 0; entry < NODE_ENTRIES && accounts->status == STATUS_OK; entry++) {
        uint64_t below = position * NODE_ENTRIES + entry;
        if (!(node->present >> entry & 1))
            continue;
        if (level > 0)
            take_node(accounts, account, node->entry[entry], level - 1, below);
        else
            take_message(accounts, account, node->entry[entry], account->record->base + below, false);
    }
}

/* A message that does not verify still leads to the next one, unless it was met before. */
static void take_queue(struct segment_accounts *accounts, struct segment_account *account)
{
    block_t block = account->record->queue;
    while (block && accounts->status == STATUS_OK) {
        size_t broken = account->broken_queued;
        if (!segment_block_is(&accounts->blocks, block, sizeof(struct message_record), NULL)) {
            fault(accounts, account, "queued message in block", block);
            account->broken_queued++;
            return;
        }
        block_t next = ((const struct message_record *)at(accounts->store, block))->link;
        take_message(accounts, account, block, 0, true);
        if (account->broken_queued > broken &&
            !segment_block_take(&accounts->blocks, block, sizeof(struct message_record)))
            return;
        block = next;
    }
}

static void take_content(struct segment_accounts *accounts, struct segment_account *account)
{
    const struct account_record *record = account->record;
    if (record->height > HEIGHT_MAX)
        fault(accounts, account, "an index of height", record->height);
    else if (record->height > 0)
        take_node(accounts, account, record->root, record->height - 1, 0);
    take_queue(accounts, account);
    if (account->alive && (record->count != found_count(&account->messages) ||
                           record->queue_count != found_count(&account->queue) || record->newest >= ID_MOST ||
                           record->queue_newest >= ID_MOST))
        fault(accounts, account, "the count of its messages up to", record->newest);
}

/* The name must lead to the account, and name and hash must end within the block. */
static const struct identity *take_identity(struct segment_accounts *accounts,
                                            const struct account_record *record)
{
    size_t bytes;
    if (!segment_block_is(&accounts->blocks, record->identity, sizeof(struct identity), &bytes) ||
        !segment_block_take(&accounts->blocks, record->identity, sizeof(struct identity)))
        return NULL;
    const struct identity *identity = at(accounts->store, record->identity);
    size_t name = identity->name_length;
    size_t hash = identity->hash_length;
    if (name == 0 || name > NAME_MAX_BYTES || hash > HASH_MAX ||
        bytes < sizeof(*identity) + name + hash + 2 || identity->text[name] != '\0' ||
        strnlen(identity->text + name + 1, hash + 1) != hash ||
        (uint32_t)siphash13_folded(accounts->store->header->hash_key, identity->text, name) !=
            record->name_hash)
        return NULL;
    return identity;
}

/* ---- all of them ---- */

static void note_dying(struct segment_accounts *accounts)
{
    const struct header *header = accounts->store->header;
    uint32_t index = header->accounts_dying;
    for (uint32_t count = 0; index > 0 && index <= header->accounts_most && count < header->accounts_most;
         count++) {
        accounts->dying[index / 64] |= UINT64_C(1) << (index % 64);
        index = record_of(accounts->store, index)->chain;
    }
}

bool segment_accounts_begin(struct segment_accounts *accounts, const struct store *store,
                            struct report *report, struct exporter *exporter)
{
    *accounts = (struct segment_accounts){.store = store, .report = report, .exporter = exporter};
    accounts->dying = calloc((size_t)store->header->accounts_most / 64 + 1, sizeof(uint64_t));
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
    buffer_free(&accounts->text);
    free(accounts->dying);
}

/* A record in no use is empty, unless its removal is going on: else it is alive, whatever its generation
 * says.
 */
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
    account->identity = take_identity(accounts, record);
    if (account->identity)
        snprintf(account->name, sizeof(account->name), "%s", account->identity->text);
    if (account->alive && !lives)
        fault(accounts, account, "its generation", record->generation);
    if (account->alive && !account->identity)
        fault(accounts, account, "its name in block", record->identity);
    take_content(accounts, account);
    found_sort(&account->messages);
    found_sort(&account->queue);
}

void segment_account_free(struct segment_account *account)
{
    buffer_free(&account->messages);
    buffer_free(&account->queue);
    buffer_free(&account->broken);
}
