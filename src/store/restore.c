/* restore.c: from journal records to accounts, mailboxes and queues.
 *
 * A snapshot has each account as of some sequence of its own, so a record of the log is passed over for those
 * of its accounts that had it already. Accounts keep their index, because later records name it. */
#include "restore.h"

#include "account.h"
#include "account_record.h"
#include "mailbox_record.h"
#include "message.h"
#include "queue.h"
#include "restore_ahead.h"
#include "transaction.h"

#include <stdlib.h>
#include <string.h>

struct restore {
    struct store *store;
    uint64_t *as_of;  /* per account: the sequence up to which the snapshot has it */
    uint64_t reaches; /* the greatest of them */
    struct restore_ahead ahead;
    /* What a snapshot gives: an account, its mailbox, oldest first, and its queue, newest first. */
    uint32_t account;
    uint64_t above, below; /* the ids that the next message of the mailbox or the queue may have */
    block_t last;          /* the oldest message of the queue so far */
};

struct restore *restore_begin(struct store *store)
{
    struct restore *restore = calloc(1, sizeof(*restore));
    uint64_t *as_of = calloc((size_t)store->accounts_most + 1, sizeof(uint64_t));
    if (!restore || !as_of) {
        free(restore);
        free(as_of);
        return NULL;
    }
    restore->store = store;
    restore->as_of = as_of;
    store->recovering = true;
    restore_ahead_begin(&restore->ahead, store);
    return restore;
}

struct restore_ahead *restore_works_ahead(struct restore *restore)
{
    return &restore->ahead;
}

void restore_end(struct restore *restore)
{
    struct store *store = restore->store;
    struct header *header = store->header;
    restore_ahead_close(&restore->ahead);
    store->recovering = false;
    header->accounts_free = 0;
    for (uint32_t i = header->accounts_used; i > 0; i--) {
        if (account_at(store, i)->generation % 2)
            continue;
        account_at(store, i)->chain = header->accounts_free;
        header->accounts_free = i;
    }
    free(restore->as_of);
    free(restore);
}

/* The snapshot has the account, or that there is none, as of that sequence. */
static void set_as_of(struct restore *restore, uint32_t account, uint64_t sequence)
{
    restore->as_of[account] = sequence;
    if (sequence > restore->reaches)
        restore->reaches = sequence;
}

uint64_t restore_reaches(const struct restore *restore)
{
    return restore->reaches;
}

bool restore_concerns(const struct restore *restore, const struct journal_record *record, uint32_t account)
{
    return (record->flags & RECORD_SNAPSHOT) || record->sequence > restore->as_of[account];
}

bool restore_names_account(const struct journal_record *record, const char *texts)
{
    return record->account > 0 && record->sender_length > 0 && record->subject_length <= HASH_MAX &&
           !memchr(texts, '\0', (size_t)record->sender_length + record->subject_length);
}

static account_t handle(const struct restore *restore, uint32_t account)
{
    return (account_t){account, account_at(restore->store, account)->generation};
}

bool restore_has_place(const struct journal_record *record)
{
    return !(record->flags & RECORD_SNAPSHOT) || record->type == RECORD_ACCOUNT ||
           record->type == RECORD_REMOVE || record->type == RECORD_MESSAGE || record->type == RECORD_QUEUE ||
           record->type == RECORD_END;
}

bool restore_lives(const struct restore *restore, uint32_t account)
{
    return account > 0 && account <= restore->store->header->accounts_used &&
           account_at(restore->store, account)->generation % 2 == 1;
}

static struct letter letter_of(const struct journal_record *record, const char *texts)
{
    return (struct letter){.sender = texts,
                           .sender_length = record->sender_length,
                           .subject = texts + record->sender_length,
                           .subject_length = record->subject_length,
                           .body = texts + record->sender_length + record->subject_length,
                           .body_length = record->body_length};
}

static enum status restore_account(struct restore *restore, const struct journal_record *record,
                                   const char *texts)
{
    char hash[HASH_MAX + 1];
    bool captured = record->flags & RECORD_SNAPSHOT;
    if (!restore_names_account(record, texts) || restore_lives(restore, record->account) ||
        (captured && (record->id >= ID_MOST || record->other >= ID_MOST)))
        return STATUS_MISMATCH;
    memcpy(hash, texts + record->sender_length, record->subject_length);
    hash[record->subject_length] = '\0';
    enum status status = account_restore(restore->store, record->account, texts, record->sender_length, hash);
    if (status != STATUS_OK)
        return status == STATUS_TAKEN ? STATUS_MISMATCH : status;
    struct account_record *account = account_at(restore->store, record->account);
    account->newest = captured ? record->id : 0;
    account->queue_newest = captured ? record->other : 0;
    set_as_of(restore, record->account, captured ? (uint64_t)record->received : record->sequence);
    restore->account = captured ? record->account : 0;
    restore->above = 0;
    restore->below = account->queue_newest + 1;
    restore->last = 0;
    return STATUS_OK;
}

static enum status restore_password(struct restore *restore, const struct journal_record *record,
                                    const char *texts)
{
    char hash[HASH_MAX + 1];
    struct account_secret secret;
    if (!restore_names_account(record, texts) || !restore_lives(restore, record->account) ||
        account_secret(restore->store, texts, record->sender_length, &secret) != STATUS_OK ||
        secret.account.index != record->account)
        return STATUS_MISMATCH;
    memcpy(hash, texts + record->sender_length, record->subject_length);
    hash[record->subject_length] = '\0';
    return account_change_hash(restore->store, &secret, hash);
}

static enum status restore_remove(struct restore *restore, const struct journal_record *record)
{
    struct account_secret secret = {.account = handle(restore, record->account)};
    if (!restore_lives(restore, record->account))
        return STATUS_MISMATCH;
    secret.revision = account_at(restore->store, record->account)->revision;
    return account_remove(restore->store, &secret);
}

/* Puts this process's draft into the mailbox under the id that it had. */
static enum status put_draft(struct store *store, account_t account, uint64_t id, int64_t received)
{
    bool waited;
    enum status status;
    do {
        transaction_begin(store);
        struct account_record *record = account_at(store, account.index);
        uint64_t newest = record->newest > id ? record->newest : id;
        draft_address(store, store->slot->draft, account.index, id, received);
        status = mailbox_put(store, record, store->slot->draft, &waited);
        set64(store, &record->newest, newest);
        if (status == STATUS_OK)
            draft_let_go(store, 1);
    } while (!transaction_finish(store, &status));
    return status;
}

/* Whether the message may come next there: newest is the last id that was given. */
static bool comes_next(const struct restore *restore, const struct journal_record *record, uint64_t id,
                       uint64_t newest, uint64_t above, uint64_t below)
{
    if (record->flags & RECORD_SNAPSHOT)
        return record->account == restore->account && id > above && id < below && id <= newest;
    return id > newest && id < ID_MOST;
}

static enum status restore_message(struct restore *restore, uint32_t account, uint64_t id,
                                   const struct journal_record *record, const char *texts)
{
    struct letter letter = letter_of(record, texts);
    struct store *store = restore->store;
    if (!restore_lives(restore, account) ||
        !comes_next(restore, record, id, account_at(store, account)->newest, restore->above, UINT64_MAX))
        return STATUS_MISMATCH;
    enum status status = draft_write(store, &letter);
    if (status == STATUS_OK)
        status = put_draft(store, handle(restore, account), id, record->received);
    if (status == STATUS_OK)
        restore->above = id;
    return status;
}

/* A snapshot gives a queue newest first: each goes behind the last one. */
static void append_to_queue(struct restore *restore, const struct journal_record *record)
{
    struct store *store = restore->store;
    block_t draft = store->slot->draft;
    struct account_record *account = account_at(store, record->account);
    struct message_record *message = at(store, draft);
    transaction_begin(store);
    set32(store, restore->last ? at(store, restore->last) : &account->queue, draft);
    set32(store, &message->link, 0);
    draft_address(store, draft, record->account, record->id, record->received);
    set32(store, &message->shape, message_with_state(message->shape, MESSAGE_QUEUED));
    set64(store, &account->queue_count, account->queue_count + 1);
    set64(store, &account->queue_bytes, account->queue_bytes + message_bytes(message));
    draft_let_go(store, 1);
    transaction_end(store, STATUS_OK);
    restore->last = draft;
}

static enum status restore_queue(struct restore *restore, const struct journal_record *record,
                                 const char *texts)
{
    struct letter letter = letter_of(record, texts);
    struct store *store = restore->store;
    if (!restore_lives(restore, record->account) ||
        !comes_next(restore, record, record->id, account_at(store, record->account)->queue_newest, 0,
                    restore->below))
        return STATUS_MISMATCH;
    enum status status = draft_write(store, &letter);
    if (status != STATUS_OK)
        return status;
    restore->below = record->id;
    if (record->flags & RECORD_SNAPSHOT) {
        append_to_queue(restore, record);
        return STATUS_OK;
    }
    struct message_record *message = at(store, store->slot->draft);
    account_at(store, record->account)->queue_newest = record->id - 1;
    status = queue_push(store, handle(restore, record->account));
    message->received = record->received;
    return status;
}

static uint64_t queue_top(const struct store *store, uint32_t account)
{
    block_t block = account_at(store, account)->queue;
    return block ? ((const struct message_record *)at(store, block))->id : 0;
}

/* The sender's and the recipient's part each count for themselves. Where the recipient lacks the message but
 * it had left the sender's queue before the snapshot came to that, the record has brought it along. */
static enum status restore_store(struct restore *restore, const struct journal_record *record,
                                 const char *texts)
{
    struct store *store = restore->store;
    bool leaves = restore_concerns(restore, record, record->account);
    bool arrives = restore_concerns(restore, record, record->second);
    message_id id;
    if ((leaves && !restore_lives(restore, record->account)) ||
        (arrives && !restore_lives(restore, record->second)))
        return STATUS_MISMATCH;
    leaves = leaves && queue_top(store, record->account) == record->id;
    if (!leaves && arrives && !(record->flags & RECORD_WHOLE))
        return STATUS_MISMATCH;
    if (leaves && arrives) {
        if (!comes_next(restore, record, record->other, account_at(store, record->second)->newest, 0, 0))
            return STATUS_MISMATCH;
        account_at(store, record->second)->newest = record->other - 1;
        return queue_store(store, handle(restore, record->account), handle(restore, record->second), &id);
    }
    if (leaves)
        queue_drop(store, handle(restore, record->account));
    return arrives ? restore_message(restore, record->second, record->other, record, texts) : STATUS_OK;
}

/* A message that is not there had gone before the snapshot came to it. */
static enum status restore_delete(struct restore *restore, const struct journal_record *record)
{
    if (!restore_lives(restore, record->account))
        return STATUS_MISMATCH;
    enum status status = mailbox_delete(restore->store, handle(restore, record->account), record->id);
    return status == STATUS_NO_MESSAGE ? STATUS_OK : status;
}

static enum status make_again(struct restore *restore, const struct journal_record *record, const char *texts)
{
    uint32_t most = restore->store->accounts_most;
    if (!restore_has_place(record))
        return STATUS_MISMATCH;
    if (record->type == RECORD_EPOCH || record->type == RECORD_END)
        return STATUS_OK;
    if (record->account > most || record->second > most)
        return STATUS_FULL_ACCOUNTS;
    if (record->type == RECORD_STORE)
        return restore_store(restore, record, texts);
    if (record->type == RECORD_REMOVE && record->flags & RECORD_SNAPSHOT) {
        set_as_of(restore, record->account, (uint64_t)record->received);
        return STATUS_OK;
    }
    if (!restore_concerns(restore, record, record->account))
        return STATUS_OK;
    switch (record->type) {
    case RECORD_ACCOUNT:
        return restore_account(restore, record, texts);
    case RECORD_PASSWORD:
        return restore_password(restore, record, texts);
    case RECORD_REMOVE:
        return restore_remove(restore, record);
    case RECORD_MESSAGE:
        return restore_message(restore, record->account, record->id, record, texts);
    case RECORD_QUEUE:
        return restore_queue(restore, record, texts);
    default:
        return restore_delete(restore, record);
    }
}

enum status restore_record(struct restore *restore, const struct journal_record *record, const char *texts)
{
    restore_ahead_look(&restore->ahead);
    enum status status = make_again(restore, record, texts);
    if (status == STATUS_FULL_SEGMENT && restore_ahead_end(&restore->ahead))
        status = make_again(restore, record, texts); /* with what was given back */
    return status;
}
