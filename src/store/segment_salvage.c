/* segment_salvage.c: account by account from a damaged segment, and its journal, into a fresh store.
 *
 * In a mailbox ids only grow, so what both have of an account is gathered first, and then put into the fresh
 * store as a journal's snapshot would be. */
#include "segment_salvage.h"

#include "mailbox_record.h"
#include "message.h"
#include "restore.h"
#include "segment_account.h"

#include <string.h>

struct salvage {
    struct segment_accounts accounts; /* of the damaged segment; its status is that of all */
    struct segment_account account;   /* the one in hand */
    struct store *journal, *fresh;
    uint64_t last; /* record of the journal */
    bool known;    /* the journal has the account in hand */
    struct restore *restore;
};

static bool lives(const struct store *store, uint32_t index)
{
    return index <= store->header->accounts_used && account_at(store, index)->generation % 2 == 1;
}

static account_t handle(const struct store *store, uint32_t index)
{
    return (account_t){index, account_at(store, index)->generation};
}

/* ---- what the journal has of the account in hand ---- */

static const struct identity *journal_identity(const struct salvage *salvage)
{
    return at(salvage->journal, account_at(salvage->journal, salvage->account.index)->identity);
}

/* The segment is never behind: an index that has another name there is another account's now. So it may be
 * where the name is the same but ids begin anew, if the journal has not come to that. */
static bool journal_knows(const struct salvage *salvage)
{
    const struct segment_account *account = &salvage->account;
    if (!salvage->journal || !lives(salvage->journal, account->index))
        return false;
    if (!account->alive)
        return true;
    const struct account_record *known = account_at(salvage->journal, account->index);
    const char *name = journal_identity(salvage)->text;
    if (salvage->last < salvage->accounts.store->header->journal.assigned &&
        (account->record->newest < known->newest || account->record->queue_newest < known->queue_newest))
        return false;
    return account->claimed && strcmp(account->claimed->text, name) == 0
               ? true
               : !account->identity && segment_account_is_named(&salvage->accounts, account, name);
}

/* What the account had come to is in the journal. */
static bool journal_is_complete(const struct salvage *salvage)
{
    return salvage->known && salvage->account.record->changed <= salvage->last;
}

/* Adds what only the journal has. */
static void add_from_journal(struct salvage *salvage, struct buffer *list, bool queued)
{
    struct message messages[PINS_MAX];
    uint64_t from = queued ? UINT64_MAX : 0;
    size_t before = found_count(list);
    account_t account = handle(salvage->journal, salvage->account.index);
    enum status *status = &salvage->accounts.status;
    for (size_t count = 1; count > 0 && *status == STATUS_OK;) {
        *status = queued
                      ? queue_list_below(salvage->journal, account, from, messages, PINS_MAX, &count)
                      : mailbox_list(salvage->journal, account, from, UINT64_MAX, messages, PINS_MAX, &count);
        for (size_t i = 0; i < count; i++) {
            from = messages[i].id;
            if (!found_has(list, before, from))
                found_add(&salvage->accounts, list, from, 0);
        }
        message_release_but_last(salvage->journal);
    }
    message_release_all(salvage->journal);
    found_sort(list);
}

static bool open_in_journal(struct salvage *salvage, uint64_t id, bool queued, struct message *message)
{
    account_t account = handle(salvage->journal, salvage->account.index);
    size_t count = 0;
    if (!queued)
        return mailbox_open(salvage->journal, account, id, message) == STATUS_OK;
    return queue_list_below(salvage->journal, account, id + 1, message, 1, &count) == STATUS_OK && count == 1;
}

/* ---- into the fresh store ---- */

/* Describes the message in the record, and brings its texts into accounts.text. */
static void fetch(struct salvage *salvage, const struct found *found, bool queued,
                  struct journal_record *record)
{
    struct buffer *text = &salvage->accounts.text;
    struct message message;
    struct message_cursor cursor = {0};
    const char *run;
    size_t length;
    buffer_clear(text);
    if (found->block) {
        struct message_record head;
        (void)segment_message_text(&salvage->accounts.blocks, found->block, &head, text);
        record->sender_length = (uint8_t)message_sender_length(head.shape);
        record->subject_length = (uint16_t)message_subject_length(head.shape);
        record->body_length = head.body_length;
        record->received = head.received;
    } else if (open_in_journal(salvage, found->id, queued, &message)) {
        record->sender_length = (uint8_t)message.sender_length;
        record->subject_length = (uint16_t)message.subject_length;
        record->body_length = (uint32_t)message.body_length;
        record->received = message.received;
        buffer_append(text, message.sender, message.sender_length);
        buffer_append(text, message.subject, message.subject_length);
        while (message_next(salvage->journal, &message, &cursor, &run, &length))
            buffer_append(text, run, length);
        message_release_all(salvage->journal);
    }
    if (text->failed)
        salvage->accounts.status = STATUS_NO_MEMORY;
}

static void put_messages(struct salvage *salvage, const struct buffer *list, bool queued)
{
    struct segment_accounts *accounts = &salvage->accounts;
    size_t count = found_count(list);
    for (size_t i = 0; i < count && accounts->status == STATUS_OK; i++) {
        /* A queue comes newest first. */
        size_t place = queued ? count - 1 - i : i;
        const struct found *found = found_at(list, place);
        struct journal_record record = {.type = queued ? RECORD_QUEUE : RECORD_MESSAGE,
                                        .flags = RECORD_SNAPSHOT,
                                        .account = salvage->account.index,
                                        .id = found->id};
        if (place > 0 && found->id == found_at(list, place - 1)->id) {
            segment_message_export(accounts, found->block, queued, salvage->account.name,
                                   "another message has its id");
            continue;
        }
        fetch(salvage, found, queued, &record);
        if (accounts->status == STATUS_OK)
            accounts->status = restore_record(salvage->restore, &record, accounts->text.bytes);
    }
}

static uint64_t greatest(uint64_t scribbled, uint64_t other, const struct buffer *list)
{
    uint64_t last = found_last(list);
    uint64_t most = scribbled < ID_MOST && scribbled > other ? scribbled : other;
    return last > most ? last : most;
}

/* With the newest ids that anybody knows of, so that none is used again. STATUS_MISMATCH: the name is taken.
 */
static enum status put_account(struct salvage *salvage, const struct identity *identity)
{
    static const struct account_record nobody;
    const struct segment_account *account = &salvage->account;
    const struct account_record *mine = account->alive ? account->record : &nobody;
    const struct account_record *known =
        salvage->known ? account_at(salvage->journal, account->index) : &nobody;
    struct buffer *text = &salvage->accounts.text;
    const struct journal_record record = {
        .type = RECORD_ACCOUNT,
        .flags = RECORD_SNAPSHOT,
        .account = account->index,
        .sender_length = (uint8_t)identity->name_length,
        .subject_length = identity->hash_length,
        .id = greatest(mine->newest, known->newest, &account->messages),
        .other = greatest(mine->queue_newest, known->queue_newest, &account->queue)};
    buffer_clear(text);
    buffer_append(text, identity->text, identity->name_length);
    buffer_append(text, identity->text + identity->name_length + 1, identity->hash_length);
    return text->failed ? STATUS_NO_MEMORY : restore_record(salvage->restore, &record, text->bytes);
}

/* The account itself is lost. What the journal has of it stays there. */
static void export_content(struct salvage *salvage, const char *reason)
{
    const struct segment_account *account = &salvage->account;
    for (int queued = 0; queued <= 1; queued++) {
        const struct buffer *list = queued ? &account->queue : &account->messages;
        for (size_t i = 0; i < found_count(list) && salvage->accounts.status == STATUS_OK; i++)
            if (found_at(list, i)->block)
                segment_message_export(&salvage->accounts, found_at(list, i)->block, queued, account->name,
                                       reason);
    }
}

static void say_lost(struct salvage *salvage)
{
    const struct segment_account *account = &salvage->account;
    const struct account_record *record = account->record;
    struct report *report = salvage->accounts.report;
    uint64_t counted = record->count + record->queue_count;
    uint64_t met = found_count(&account->messages) + found_count(&account->queue);
    if (!account->alive)
        return;
    for (size_t i = 0; i < found_count(&account->broken); i++) {
        uint64_t id = found_at(&account->broken, i)->id;
        if (!found_has(&account->messages, found_count(&account->messages), id))
            report_say(report, REPORT_LOST, "%s: message %llu is lost", account->name,
                       (unsigned long long)id);
    }
    if (journal_is_complete(salvage))
        return;
    if (salvage->known && !account->whole)
        report_say(report, REPORT_LOST, "%s: the journal ends at record %llu, and %llu was about it",
                   account->name, (unsigned long long)salvage->last, (unsigned long long)record->changed);
    if (account->broken_queued > 0)
        report_say(report, REPORT_LOST, "%s: %zu queued messages are lost, and what was queued before them",
                   account->name, account->broken_queued);
    met += found_count(&account->broken) + account->broken_queued;
    if (record->count < ID_MOST && record->queue_count < ID_MOST && counted > met)
        report_say(report, REPORT_LOST, "%s: %llu messages were counted, and %llu are there", account->name,
                   (unsigned long long)counted, (unsigned long long)met);
}

static void salvage_account(struct salvage *salvage)
{
    struct segment_account *account = &salvage->account;
    enum status *status = &salvage->accounts.status;
    salvage->known = journal_knows(salvage);
    if (*status != STATUS_OK || (!account->alive && !salvage->known))
        return;
    if (!account->alive)
        report_say(salvage->accounts.report, REPORT_NOTE, "%s: only the journal has it",
                   journal_identity(salvage)->text);
    if (salvage->known && !account->whole) {
        add_from_journal(salvage, &account->messages, false);
        add_from_journal(salvage, &account->queue, true);
    }
    if (*status != STATUS_OK)
        return;
    say_lost(salvage);
    const struct identity *identity = account->alive ? account->identity : NULL;
    if (!identity && salvage->known)
        identity = journal_identity(salvage);
    enum status placed = identity ? put_account(salvage, identity) : STATUS_MISMATCH;
    if (placed == STATUS_MISMATCH) {
        report_say(salvage->accounts.report, REPORT_LOST, "%s: %s", account->name,
                   identity ? "another account has its name" : "its name is lost");
        export_content(salvage, "its account is lost");
        return;
    }
    *status = placed;
    put_messages(salvage, &account->messages, false);
    put_messages(salvage, &account->queue, true);
}

/* ---- what belongs to nothing ---- */

/* Whether the fresh store has that message all the same, from the journal. */
static bool is_kept(struct salvage *salvage, const struct message_record *message, bool queued)
{
    struct message kept;
    if (!salvage->journal || !lives(salvage->fresh, message->owner))
        return false;
    if (queued)
        return queue_has(salvage->fresh, message->owner, message->id);
    if (mailbox_open(salvage->fresh, handle(salvage->fresh, message->owner), message->id, &kept) != STATUS_OK)
        return false;
    message_release_all(salvage->fresh);
    return true;
}

static void export_misplaced(struct salvage *salvage)
{
    struct segment_accounts *accounts = &salvage->accounts;
    char owner[ACCOUNT_TEXT_SIZE];
    for (size_t i = 0; i < accounts->misplaced.length && accounts->status == STATUS_OK;
         i += sizeof(struct misplaced)) {
        struct misplaced misplaced;
        memcpy(&misplaced, accounts->misplaced.bytes + i, sizeof(misplaced));
        if (!segment_message_take(&accounts->blocks, misplaced.block))
            continue; /* it is another's, and there */
        account_describe(salvage->fresh, misplaced.account, owner);
        segment_message_export(accounts, misplaced.block, misplaced.queued, owner,
                               "it is not the message that should be there");
    }
}

/* Drafts and deleted messages are nobody's, and nobody misses them. */
static void export_unreachable(struct salvage *salvage)
{
    struct segment_accounts *accounts = &salvage->accounts;
    char owner[ACCOUNT_TEXT_SIZE];
    segment_free_take(&accounts->blocks);
    for (block_t block = 0; accounts->status == STATUS_OK && segment_block_next(&accounts->blocks, &block);
         block++) {
        if (!segment_message_take(&accounts->blocks, block))
            continue;
        struct message_record head;
        segment_message_head(&accounts->blocks, block, &head);
        enum message_state state = message_state(head.shape);
        bool queued = state == MESSAGE_QUEUED;
        if ((state != MESSAGE_LISTED && !queued) || head.id == 0 || head.id >= ID_MOST || head.owner == 0 ||
            head.owner > accounts->store->accounts_most || message_sender_length(head.shape) == 0 ||
            is_kept(salvage, &head, queued))
            continue;
        account_describe(salvage->fresh, head.owner, owner);
        segment_message_export(accounts, block, queued, owner, "nothing refers to it");
    }
}

enum status segment_salvage(const struct store *old, struct store *journal, uint64_t last,
                            struct store *fresh, struct report *report, struct exporter *exporter)
{
    struct salvage salvage = {.journal = journal, .last = last, .fresh = fresh};
    if (!segment_accounts_begin(&salvage.accounts, old, report, exporter))
        return STATUS_NO_MEMORY;
    salvage.restore = restore_begin(fresh);
    if (!salvage.restore)
        salvage.accounts.status = STATUS_NO_MEMORY;
    for (uint32_t index = 1; index <= old->accounts_most && salvage.accounts.status == STATUS_OK; index++) {
        segment_account_take(&salvage.accounts, index, &salvage.account);
        salvage_account(&salvage);
    }
    if (salvage.restore)
        restore_end(salvage.restore);
    export_misplaced(&salvage);
    export_unreachable(&salvage);
    segment_account_free(&salvage.account);
    segment_accounts_end(&salvage.accounts);
    return salvage.accounts.status;
}
