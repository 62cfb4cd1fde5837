/* mailbox.c: the FIFO of one account: append, look, delete, list, wait. Each is one transaction. */
#include "mailbox.h"

#include "account_record.h"
#include "clock.h"
#include "index.h"
#include "journal.h"
#include "log.h"
#include "mailbox_record.h"
#include "message.h"
#include "moment.h"
#include "process.h"
#include "transaction.h"

#include <pthread.h>

/* More than a message takes that comes behind another in its transaction, and the end of the mailbox. */
enum { APPEND_WRITES = 90 };

/* How long a waiter sleeps at most: only a deliverer that is killed between its commit and its wake-up lets
 * it come to that. */
enum { WAIT_NANOSECONDS = 1000000000 };

bool quota_holds(const struct store *store, uint64_t count, uint64_t bytes,
                 const struct message_record *message)
{
    if (store->recovering)
        return true;
    return count < store->quota_messages && bytes <= store->quota_bytes &&
           message_bytes(message) <= store->quota_bytes - bytes;
}

/* While messages are put at a mailbox's end: what each of them changes, written to its record once. */
struct end {
    struct account_record *record;
    uint64_t count, bytes;
    message_id newest;
    struct index_leaf leaf;
};

static struct end read_end(const struct store *store, struct account_record *record)
{
    return (struct end){
        .record = record,
        .count = get64(store, &record->count),
        .bytes = get64(store, &record->bytes),
        .newest = get64(store, &record->newest),
    };
}

static inline enum status put(struct store *store, struct end *end, message_id id, block_t block)
{
    struct message_record *message = at(store, block);
    if (end->count == 0) {
        set64(store, &end->record->base, id);
        set64(store, &end->record->first, id);
    }
    enum status status = index_append(store, end->record, id, block, &end->leaf);
    if (status != STATUS_OK)
        return status;
    end->newest = id;
    end->count++;
    end->bytes += message_bytes(message);
    set32(store, &message->shape, message_with_state(message->shape, MESSAGE_LISTED));
    return STATUS_OK;
}

/* Returns whether somebody waits. */
static bool write_end(struct store *store, const struct end *end)
{
    bool waited = end->record->waited != 0;
    set64(store, &end->record->newest, end->newest);
    set64(store, &end->record->count, end->count);
    set64(store, &end->record->bytes, end->bytes);
    if (waited)
        set32(store, &end->record->waited, 0);
    return waited;
}

enum status mailbox_put(struct store *store, struct account_record *record, block_t block, bool *waited)
{
    const struct message_record *message = at(store, block);
    struct end end = read_end(store, record);
    enum status status = put(store, &end, get64(store, &message->id), block);
    if (status == STATUS_OK)
        *waited = write_end(store, &end);
    return status;
}

/* *sequence: of its record in the journal. */
static enum status append_draft(struct store *store, account_t account, struct end *end, block_t draft,
                                int64_t now, uint64_t *sequence)
{
    const struct message_record *message = at(store, draft);
    message_id id = end->newest + 1;
    if (!quota_holds(store, end->count, end->bytes, message) || id >= ID_MOST)
        return STATUS_FULL_MAILBOX;
    struct journal_note note = {.type = RECORD_MESSAGE,
                                .account = account.index,
                                .id = id,
                                .received = now,
                                .body_length = message->body_length,
                                .message = draft};
    enum status status = journal_note(store, &note, sequence);
    if (status != STATUS_OK)
        return status;
    draft_address(store, draft, account.index, id, now);
    return put(store, end, id, draft);
}

/* As many of the first drafts as go into the transaction, *count. One that fails leaves it unfit for a
 * commit, with those before it, which then go alone. */
static enum status append_some(struct store *store, account_t account, uint32_t drafts, int64_t now,
                               bool *waited, message_id *first, uint32_t *count)
{
    struct account_record *record = account_record(store, account);
    uint64_t sequence = 0;
    *count = 0;
    if (!record)
        return STATUS_GONE;
    struct end end = read_end(store, record);
    block_t draft = store->slot->draft;
    *first = end.newest + 1;
    while (*count < drafts && (*count == 0 || transaction_has_room(store, APPEND_WRITES))) {
        enum status status = append_draft(store, account, &end, draft, now, &sequence);
        if (status != STATUS_OK)
            return status;
        draft = ((const struct message_record *)at(store, draft))->link;
        ++*count;
    }
    journal_mark(store, record, sequence); /* first: the end is read without the lock (account_number) */
    *waited = write_end(store, &end);
    draft_let_go(store, *count);
    return STATUS_OK;
}

enum status mailbox_append_drafts(struct store *store, account_t account, uint32_t drafts, message_id *first,
                                  uint32_t *count)
{
    int64_t now = moment_unix(store);
    bool waited = false;
    bool done = false;
    enum status status;
    if (!store->slot->draft)
        bug("there is no draft to append");
    while (!done) {
        transaction_begin(store);
        status = append_some(store, account, drafts, now, &waited, first, count);
        if (status != STATUS_OK && *count > 0) {
            transaction_end(store, status);
            drafts = *count;
        } else {
            done = transaction_finish(store, &status);
        }
    }
    if (status == STATUS_OK && waited)
        process_wake_waiters(store, account);
    return status;
}

enum status mailbox_append(struct store *store, account_t account, message_id *id)
{
    uint32_t count;
    return mailbox_append_drafts(store, account, 1, id, &count);
}

uint64_t mailbox_count(struct store *store, account_t account)
{
    return account_number(store, account, offsetof(struct account_record, count));
}

message_id mailbox_newest(struct store *store, account_t account)
{
    return account_number(store, account, offsetof(struct account_record, newest));
}

/* id 0 stands for the first message. */
static enum status look(struct store *store, account_t account, message_id id, struct account_record **record,
                        block_t *block)
{
    *record = account_record(store, account);
    if (!*record)
        return STATUS_GONE;
    journal_observe(store, (*record)->changed);
    if ((*record)->count == 0)
        return STATUS_NO_MESSAGE;
    *block = index_find(store, *record, id ? id : (*record)->first);
    return *block ? STATUS_OK : STATUS_NO_MESSAGE;
}

static enum status pin(struct store *store, account_t account, message_id id, struct message *message)
{
    struct account_record *record;
    block_t block;
    transaction_begin(store);
    enum status status = look(store, account, id, &record, &block);
    if (status == STATUS_OK)
        status = message_pin(store, block, message);
    transaction_end(store, status);
    return status;
}

enum status mailbox_first(struct store *store, account_t account, struct message *message)
{
    return pin(store, account, 0, message);
}

/* While nobody has the lock all fields agree, and what had happened by then is seen by the loads that follow:
 * a first message that is deleted later than that may still be told. Its block is pinned, so it may be read;
 * what is listed has its owner and its id, and ids only grow, so what is first was first all the time. At the
 * end the account is looked at again, as its record may have become another's. */
bool mailbox_first_again(struct store *store, account_t account, struct message *message)
{
    const struct slot *slot = store->slot;
    if (slot->pins == 0 || load64(&store->header->owner) != 0)
        return false;
    const struct account_record *record = account_record(store, account);
    if (!record)
        return false;
    block_t block = slot->pinned[slot->pins - 1];
    const struct message_record *pinned = at(store, block);
    uint64_t changed = load64(&record->changed);
    if (message_state(load32(&pinned->shape)) != MESSAGE_LISTED || pinned->owner != account.index ||
        load64(&record->first) != pinned->id || !account_record(store, account))
        return false;
    message_describe(store, block, message);
    journal_observe(store, changed);
    return true;
}

enum status mailbox_open(struct store *store, account_t account, message_id id, struct message *message)
{
    return id ? pin(store, account, id, message) : STATUS_NO_MESSAGE;
}

enum status mailbox_list(struct store *store, account_t account, message_id after, message_id newest,
                         struct message *messages, size_t most, size_t *count)
{
    uint64_t id = after;
    block_t block;
    *count = 0;
    transaction_begin(store);
    struct account_record *record = account_record(store, account);
    enum status status = record ? STATUS_OK : STATUS_GONE;
    journal_observe(store, record ? record->changed : 0);
    while (status == STATUS_OK && *count < most && id < newest &&
           index_next(store, record, id + 1, &id, &block) && id <= newest) {
        status = message_pin(store, block, &messages[*count]);
        if (status == STATUS_OK)
            ++*count;
    }
    if (*count > 0)
        status = STATUS_OK; /* PINS_MAX ends a chunk like any other */
    transaction_end(store, status);
    return status;
}

static void take_out(struct store *store, struct account_record *record, uint64_t id, block_t block)
{
    uint64_t count = get64(store, &record->count) - 1;
    uint64_t first = get64(store, &record->first);
    block_t next;
    index_remove(store, record, id);
    set64(store, &record->count, count);
    set64(store, &record->bytes, get64(store, &record->bytes) - message_bytes(at(store, block)));
    if (count > 0 && id == first) {
        (void)index_next(store, record, id + 1, &first, &next); /* there is one, since count says so */
        set64(store, &record->first, first);
    }
    message_drop(store, block);
}

static enum status note_and_take_out(struct store *store, account_t account, struct account_record *record,
                                     message_id id, block_t block)
{
    uint64_t sequence;
    struct journal_note note = {.type = RECORD_DELETE, .account = account.index, .id = id};
    enum status status = journal_note(store, &note, &sequence);
    if (status == STATUS_OK) {
        journal_mark(store, record, sequence);
        take_out(store, record, id, block);
    }
    return status;
}

/* id 0 stands for the first message. */
static enum status delete_message(struct store *store, account_t account, message_id id)
{
    struct account_record *record;
    block_t block;
    enum status status;
    do {
        transaction_begin(store);
        status = look(store, account, id, &record, &block);
        if (status == STATUS_OK)
            status = note_and_take_out(store, account, record, id ? id : record->first, block);
    } while (!transaction_finish(store, &status));
    message_sweep(store);
    return status;
}

enum status mailbox_delete_first(struct store *store, account_t account)
{
    return delete_message(store, account, 0);
}

enum status mailbox_delete(struct store *store, account_t account, message_id id)
{
    return id ? delete_message(store, account, id) : STATUS_NO_MESSAGE;
}

/* Says that this process waits, unless there is no need to. From here on every deliverer posts its semaphore.
 */
static enum status register_waiter(struct store *store, account_t account, uint64_t count, uint64_t *held)
{
    uint64_t *word = &store->waits[owner_slot(store->me)];
    transaction_begin(store);
    struct account_record *record = account_record(store, account);
    enum status status = record ? STATUS_OK : STATUS_GONE;
    if (record) {
        *held = record->count;
        journal_observe(store, record->changed);
    }
    if (record && *held < count) {
        __atomic_store_n(word, pack(account), __ATOMIC_RELEASE);
        set32(store, &record->waited, 1);
    }
    transaction_end(store, status);
    return status;
}

/* A signal that comes before the sleep posts the semaphore, so nothing is lost between unblocking and
 * sleeping. */
static void sleep_until(struct store *store, int64_t deadline, const sigset_t *mask)
{
    struct timespec until = deadline_at(deadline);
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, mask, &before);
    (void)sem_clockwait(&store->slot->wake, CLOCK_MONOTONIC, &until);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

enum status mailbox_wait(struct store *store, account_t account, uint64_t count, int64_t deadline,
                         const sigset_t *sleep_mask, bool (*interrupted)(void *context), void *context,
                         uint64_t *held)
{
    uint64_t *word = &store->waits[owner_slot(store->me)];
    enum status status;
    *held = 0;
    while ((status = register_waiter(store, account, count, held)) == STATUS_OK && *held < count) {
        int64_t now = clock_now();
        if (now >= deadline) {
            status = STATUS_TIMED_OUT;
            break;
        }
        if (interrupted(context)) {
            status = STATUS_HANGUP;
            break;
        }
        sleep_until(store, deadline - now > WAIT_NANOSECONDS ? now + WAIT_NANOSECONDS : deadline, sleep_mask);
        moment_end(store);
    }
    __atomic_store_n(word, 0, __ATOMIC_RELEASE);
    return status;
}
