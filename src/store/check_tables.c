/* check_tables.c: the check of accounts, mailboxes, queues, sessions, slots and the limbo list. */
#include "check.h"

#include "account_record.h"
#include "journal.h"
#include "message.h"
#include "process.h"
#include "segment.h"
#include "siphash.h"

#include <string.h>

/* Marks head and pieces, which must be as many as the body needs (but what is deleted may be half freed,
 * unless somebody has it pinned); false if the head cannot be looked into. */
static bool check_message(struct check *check, block_t block, const char *where, uint32_t who)
{
    const struct store *store = check->store;
    size_t bytes = check_block(check, block, sizeof(struct message_record), where, who);
    if (bytes == 0)
        return false;
    const struct message_record *message = at(store, block);
    uint32_t shape = load32(&message->shape);
    uint32_t body = load32(&message->body_length);
    size_t fixed = message_sender_length(shape) + message_subject_length(shape);
    size_t head = message_head_text(fixed, body);
    size_t left = fixed + body - head;
    size_t wanted = (left + sizeof(((struct piece *)0)->text) - 1) / sizeof(((struct piece *)0)->text);
    size_t pieces = 0;
    block_t piece = message->pieces;
    check->pins += message->pins;
    for (; piece && check_block(check, piece, sizeof(struct piece), "piece", who); pieces++)
        piece = ((const struct piece *)at(store, piece))->link;
    bool is_going = message_state(shape) == MESSAGE_DELETED && message->pins == 0;
    if (piece || pieces > wanted || (pieces < wanted && !is_going) ||
        bytes < sizeof(struct message_record) + head)
        finding(check, "%s of %u: block %u has %zu pieces of %zu, or too small a head", where, who, block,
                pieces, wanted);
    return true;
}

struct walk {
    struct check *check;
    const struct account_record *record;
    uint32_t who;
    bool alive; /* else its counts stood still when it was removed */
    uint64_t count, bytes, last;
};

static void check_listed(struct walk *walk, block_t block, uint64_t id)
{
    if (!check_message(walk->check, block, "message", walk->who))
        return;
    const struct message_record *message = at(walk->check->store, block);
    if (message->id != id || message->owner != walk->who || message_state(message->shape) != MESSAGE_LISTED)
        finding(walk->check, "mailbox %u: message %llu is another one", walk->who, (unsigned long long)id);
    if (walk->alive && walk->count == 0 && id != walk->record->first)
        finding(walk->check, "mailbox %u: its first message is %llu, not %llu", walk->who,
                (unsigned long long)id, (unsigned long long)walk->record->first);
    walk->count++;
    walk->bytes += message_bytes(message);
    walk->last = id;
}

/* The height bounds the depth of this recursion: it was checked to be at most 11. */
static void check_node(struct walk *walk, block_t block, uint32_t level, uint64_t position)
{
    if (!check_block(walk->check, block, sizeof(struct node), "index node", walk->who))
        return;
    const struct node *node = at(walk->check->store, block);
    if (node->present == 0 && walk->record->height != 1)
        finding(walk->check, "mailbox %u: an index node is empty", walk->who);
    for (uint32_t entry = 0; entry < NODE_ENTRIES; entry++) {
        if (!(node->present >> entry & 1))
            continue;
        uint64_t below = position * NODE_ENTRIES + entry;
        if (level == 0)
            check_listed(walk, node->entry[entry], walk->record->base + below);
        else
            check_node(walk, node->entry[entry], level - 1, below);
    }
}

static uint64_t check_queue(struct check *check, const struct account_record *record, uint32_t who)
{
    uint64_t count = 0;
    uint64_t bytes = 0;
    uint64_t newest = record->queue_newest;
    for (block_t block = record->queue; block && check_message(check, block, "queued message", who);
         count++) {
        const struct message_record *message = at(check->store, block);
        if (message->owner != who || message_state(message->shape) != MESSAGE_QUEUED ||
            message->id > newest || message->id == 0)
            finding(check, "queue %u: block %u is no message of it", who, block);
        newest = message->id - 1;
        bytes += message_bytes(message);
        block = message->link;
    }
    return count == record->queue_count ? bytes : UINT64_MAX;
}

/* The name must lead to the account, and name and hash must end within the block. */
static void check_identity(struct check *check, const struct account_record *record, uint32_t who)
{
    const struct store *store = check->store;
    block_t block = load32(&record->identity);
    size_t bytes = check_block(check, block, sizeof(struct identity), "identity", who);
    if (bytes == 0)
        return;
    const struct identity *identity = at(store, block);
    size_t name = __atomic_load_n(&identity->name_length, __ATOMIC_RELAXED);
    size_t hash = __atomic_load_n(&identity->hash_length, __ATOMIC_RELAXED);
    if (name == 0 || name > NAME_MAX_BYTES || hash > HASH_MAX ||
        bytes < sizeof(*identity) + name + hash + 2 || identity->born > record->changed ||
        strnlen(identity->text, name + 1) != name || strnlen(identity->text + name + 1, hash + 1) != hash ||
        (uint32_t)siphash13_folded(store->header->hash_key, identity->text, name) != record->name_hash)
        finding(check, "account %u: its name or hash is damaged", who);
}

/* What an account owns, whether it lives or is dying. */
static void check_content(struct check *check, uint32_t who, bool alive)
{
    const struct account_record *record = account_at(check->store, who);
    struct walk walk = {.check = check, .record = record, .who = who, .alive = alive};
    uint32_t height = load32(&record->height);
    if (height > 11)
        finding(check, "mailbox %u: height %u", who, height);
    else if (height > 0)
        check_node(&walk, record->root, height - 1, 0);
    uint64_t queued = check_queue(check, record, who);
    check_identity(check, record, who);
    uint32_t sessions = 0;
    for (uint32_t i = load32(&record->session); i; i = load32(&session_at(check->store, i)->older)) {
        if (i > check->sessions_used || session_at(check->store, i)->account.index != who ||
            session_at(check->store, i)->account.generation != record->generation - !alive ||
            ++sessions > record->sessions || check->sessions + sessions > check->sessions_used) {
            finding(check, "account %u: its chain of sessions is broken at %u", who, i);
            break;
        }
    }
    check->sessions += sessions;
    if (sessions != record->sessions)
        finding(check, "account %u: its sessions are miscounted", who);
    if (!alive)
        return;
    if (record->changed > check->store->header->journal.assigned)
        finding(check, "account %u: journal record %llu about it was never given", who,
                (unsigned long long)record->changed);
    if (walk.count != record->count || walk.last > record->newest || record->newest >= ID_MOST)
        finding(check, "mailbox %u: %llu messages up to %llu, counted %llu up to %llu", who,
                (unsigned long long)walk.count, (unsigned long long)walk.last,
                (unsigned long long)record->count, (unsigned long long)record->newest);
    if (walk.bytes != record->bytes || queued != record->queue_bytes || record->queue_newest >= ID_MOST)
        finding(check, "account %u: its messages or bytes are miscounted", who);
}

/* Live records on the chains of all buckets, each in the bucket of its name. */
static uint64_t count_named(struct check *check)
{
    const struct store *store = check->store;
    uint64_t named = 0;
    for (uint64_t bucket = 0; bucket <= store->name_mask; bucket++) {
        const uint32_t *head = &store->name_buckets[bucket];
        if (!segment_has(store, (uint64_t)((const char *)head - store->base))) {
            bucket += PAGE / sizeof(*head) - 1; /* the table begins on a page of its own */
            continue;
        }
        for (uint32_t i = load32(head); i; i = load32(&account_at(store, i)->chain)) {
            if (i > check->accounts_used || account_at(store, i)->generation % 2 == 0 ||
                (account_at(store, i)->name_hash & store->name_mask) != bucket ||
                ++named > check->accounts_used) {
                finding(check, "bucket %llu of names: its chain is broken at %u", (unsigned long long)bucket,
                        i);
                break;
            }
        }
    }
    return named;
}

static bool is_empty(const struct account_record *record)
{
    return !(record->identity || record->queue || record->root || record->height || record->session ||
             record->sessions || record->count || record->queue_count || record->bytes || record->newest ||
             record->entered || record->waited || record->queue_newest || record->changed ||
             record->queue_bytes);
}

/* Every record in use is in its bucket, once; every other one on one of two lists. */
void check_accounts(struct check *check)
{
    const struct store *store = check->store;
    const struct header *header = store->header;
    uint64_t live = 0;
    for (uint32_t i = 1; i <= check->accounts_used; i++) {
        if (account_at(store, i)->generation % 2 == 0)
            continue;
        live++;
        check_content(check, i, true);
    }
    uint64_t named = count_named(check);
    uint64_t idle = 0;
    for (uint32_t i = load32(&header->accounts_free); i; i = load32(&account_at(store, i)->chain))
        if (i > check->accounts_used || account_at(store, i)->generation % 2 ||
            !is_empty(account_at(store, i)) || ++idle > check->accounts_used) {
            finding(check, "the list of free accounts is broken at %u", i);
            break;
        }
    for (uint32_t i = load32(&header->accounts_dying); i; i = load32(&account_at(store, i)->chain)) {
        if (i > check->accounts_used || account_at(store, i)->generation % 2 ||
            ++idle > check->accounts_used) {
            finding(check, "the list of removed accounts is broken at %u", i);
            break;
        }
        check_content(check, i, false);
    }
    if (live != header->accounts_live || live != named || live + idle != check->accounts_used)
        finding(check, "%llu accounts live and %llu do not, %llu have names, counted %u of %u",
                (unsigned long long)live, (unsigned long long)idle, (unsigned long long)named,
                header->accounts_live, check->accounts_used);
}

/* Live sessions of one part on the chains of all its buckets, each in the bucket of its secret. */
static uint64_t count_secret(struct check *check, bool far)
{
    const struct store *store = check->store;
    uint64_t found = 0;
    for (uint64_t bucket = 0; bucket <= store->cookie_mask[far]; bucket++) {
        const uint32_t *head = &store->cookie_buckets[far][bucket];
        if (!segment_has(store, (uint64_t)((const char *)head - store->base))) {
            bucket += PAGE / sizeof(*head) - 1; /* the table begins on a page of its own */
            continue;
        }
        for (uint32_t i = load32(head); i; i = load32(&session_at(store, i)->chain)) {
            uint32_t hash = 0;
            if (i <= check->sessions_used)
                hash = session_hash(store, session_at(store, i)->secret);
            if (i > check->sessions_used || (i >= SESSIONS_NEAR) != far ||
                session_at(store, i)->generation % 2 == 0 || (hash & store->cookie_mask[far]) != bucket ||
                ++found > check->sessions_used) {
                finding(check, "bucket %llu of cookies: its chain is broken at %u",
                        (unsigned long long)bucket, i);
                break;
            }
        }
    }
    return found;
}

void check_sessions(struct check *check)
{
    const struct store *store = check->store;
    const struct header *header = store->header;
    uint64_t live = 0;
    for (uint32_t i = 1; i <= check->sessions_used; i++)
        live += session_at(store, i)->generation % 2;
    uint64_t found = count_secret(check, false);
    if (store->sessions_most >= SESSIONS_NEAR) /* a bucket may have memory before the first session */
        found += count_secret(check, true);
    uint64_t idle = 0;
    for (uint32_t i = load32(&header->sessions_free); i; i = load32(&session_at(store, i)->chain))
        if (i > check->sessions_used || session_at(store, i)->generation % 2 ||
            ++idle > check->sessions_used) {
            finding(check, "the list of free sessions is broken at %u", i);
            break;
        }
    if (live != header->sessions_live || live != found || live != check->sessions ||
        live + idle != check->sessions_used)
        finding(check,
                "%llu sessions live and %llu do not, %llu are found, accounts have %llu, counted %u of %u",
                (unsigned long long)live, (unsigned long long)idle, (unsigned long long)found,
                (unsigned long long)check->sessions, header->sessions_live, check->sessions_used);
}

void check_limbo(struct check *check)
{
    block_t block = check->store->header->limbo;
    while (block && check_message(check, block, "message in limbo", 0)) {
        const struct message_record *message = at(check->store, block);
        if (message_state(message->shape) != MESSAGE_DELETED || message->pins)
            finding(check, "message %u in limbo is in use", block);
        block = message->link;
    }
}

/* qsort(3) may allocate; this sorts in place (Shell's gaps by Ciura). */
static void sort_blocks(block_t *blocks, size_t count)
{
    static const size_t gaps[] = {701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
        for (size_t i = gaps[g]; i < count; i++) {
            block_t block = blocks[i];
            size_t to = i;
            for (; to >= gaps[g] && blocks[to - gaps[g]] > block; to -= gaps[g])
                blocks[to] = blocks[to - gaps[g]];
            blocks[to] = block;
        }
    }
}

/* A message has as many pins as slots say; one that is deleted belongs to them. */
static void check_pins(struct check *check)
{
    sort_blocks(check->pinned, check->pinned_count);
    for (size_t i = 0, next; i < check->pinned_count; i = next) {
        block_t block = check->pinned[i];
        const struct message_record *message = at(check->store, block);
        for (next = i; next < check->pinned_count && check->pinned[next] == block; next++)
            ;
        if (message_state(message->shape) == MESSAGE_DELETED)
            check_message(check, block, "deleted message", 0);
        if (message->pins != next - i)
            finding(check, "message %u: %u pins are counted, %zu are there", block, message->pins, next - i);
    }
    if (check->pins != check->pinned_count)
        finding(check, "%llu pins are counted, %zu are there", (unsigned long long)check->pins,
                check->pinned_count);
}

static bool check_pin(struct check *check, block_t block, const char *where, uint32_t who)
{
    const struct store *store = check->store;
    uint64_t end = store->arena + (uint64_t)check->pages * PAGE;
    bool can_be = check->pinned_count < check->pinned_most && block >= store->arena / UNIT &&
                  block <= (end - sizeof(struct message_record)) / UNIT;
    if (can_be)
        check->pinned[check->pinned_count++] = block;
    else
        finding(check, "%s %u: what it has pinned is no block", where, who);
    return can_be;
}

/* Whether the leader can write it, and a reader read it. *end: moves behind it. */
static bool is_record(const struct store *store, const struct journal_note *note, size_t text, uint64_t *end)
{
    struct journal_record record = {
        .magic = RECORD_MAGIC, .type = note->type, .body_length = note->body_length};
    journal_measure(store, note, &record);
    *end += journal_size(&record);
    if (note->text && !note->message)
        return journal_is_plausible(&record) && record.subject_length <= HASH_MAX &&
               sizeof(struct identity) + record.sender_length + record.subject_length + 2 <= text;
    const struct message_record *message = at(store, note->message);
    return journal_is_plausible(&record) && (!note->message || note->body_length == message->body_length);
}

/* What the journal has not yet written holds messages and texts. */
static void check_ring(struct check *check)
{
    const struct journal_segment *journal = &check->store->header->journal;
    if (journal->on > 1 || journal->on != (journal->directory[0] != '\0'))
        finding(check, "the mark that there is a journal, %u, makes no sense", journal->on);
    if (!journal->on)
        return;
    if (!journal_sync_makes_sense(journal))
        finding(check, "when the journal is synced, %u by %u seconds, makes no sense", journal->sync,
                journal->sync_seconds);
    uint64_t written = load64(&journal->written);
    uint64_t assigned = load64(&journal->assigned);
    uint64_t end = journal->tail;
    if (journal->seal != journal_seal(journal))
        finding(check, "what says where the journal goes on is damaged");
    if (load64(&journal->synced) > written || written > assigned || assigned - written > RING ||
        !journal_places_can_be(journal)) {
        finding(check, "the marks of the journal make no sense");
        return;
    }
    bool whole = true;
    while (written < assigned) {
        const struct journal_note *note = &check->store->ring[++written % RING];
        size_t text = 0;
        if (note->text)
            text = check_block(check, note->text, sizeof(struct identity), "text for the journal",
                               note->account);
        bool found =
            (!note->text || text > 0) &&
            (!note->message || check_pin(check, note->message, "journal record of account", note->account));
        whole = whole && found;
        if (found && !is_record(check->store, note, text, &end))
            finding(check, "journal record %llu cannot be written", (unsigned long long)written);
    }
    if (whole && end != journal->end)
        finding(check, "the journal's records end at %llu, not at %llu", (unsigned long long)end,
                (unsigned long long)journal->end);
}

void check_slots(struct check *check)
{
    const struct store *store = check->store;
    for (uint32_t i = 0; i < store->slots_most; i++) {
        const struct slot *slot = slot_at(store, i);
        if (!process_has_slot(store, i))
            continue;
        uint32_t pins = load32(&slot->pins);
        if (slot->redo_count || pins > PINS_MAX || slot->entered.index > store->accounts_most)
            finding(check, "slot %u: a transaction is not completed, or %u pins, or account %u entered", i,
                    pins, slot->entered.index);
        else if (slot->life % 2 == 0 && (slot->draft || slot->run || pins))
            finding(check, "slot %u is free and owes blocks", i);
        for (block_t block = load32(&slot->draft);
             block && check_block(check, block, sizeof(block_t), "draft", i);)
            block = load32(at(store, block));
        size_t bytes;
        for (block_t block = load32(&slot->run);
             block && (bytes = check_block(check, block, sizeof(block_t), "run", i)) > 0;)
            block = block_run_next(store, block, bytes);
        for (uint32_t pin = 0; pin < pins && pin < PINS_MAX; pin++)
            check_pin(check, slot->pinned[pin], "slot", i);
    }
    check_ring(check);
    check_pins(check);
}
