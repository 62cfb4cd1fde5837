/* salvage.c: records of a damaged journal, placed where they belong beyond doubt.
 *
 * An account's index is used again once the account is removed, so behind a gap that may hide a removal and a
 * registration a record may be about another account than the one that has the index here. It is, at worst,
 * if the gap has room for these two and for the records that the other one needs to have come to its ids. */
#include "salvage.h"

#include "account_record.h"
#include "buffer.h"
#include "restore.h"
#include "salvage_account.h"

#include <stdio.h>
#include <stdlib.h>

enum { REPLACED = 2 }; /* records that make another account of an index: it is removed, and registered */

struct doubt {
    uint64_t confirmed; /* how many records were missing when the account was last known to be itself */
    uint64_t passed;    /* records about its index since, that were not taken */
};

struct salvage {
    struct store *store;
    struct restore *restore;
    struct report *report;
    struct exporter *exporter;
    const char *file;
    uint64_t missing; /* records of the log so far */
    struct doubt *doubts;
    char origin[96];
};

struct salvage *salvage_begin(struct store *store, const char *file, struct report *report,
                              struct exporter *exporter)
{
    struct salvage *salvage = calloc(1, sizeof(*salvage));
    struct doubt *doubts = calloc((size_t)store->accounts_most + 1, sizeof(struct doubt));
    struct restore *restore = restore_begin(store);
    if (!salvage || !doubts || !restore) {
        if (restore)
            restore_end(restore);
        free(doubts);
        free(salvage);
        return NULL;
    }
    *salvage = (struct salvage){.store = store,
                                .restore = restore,
                                .report = report,
                                .exporter = exporter,
                                .file = file,
                                .doubts = doubts};
    return salvage;
}

/* What a record says may be any number; half of all ids are left to be given. */
static void add_at_most(uint64_t *number, uint64_t more, uint64_t most)
{
    if (*number < most)
        *number = more < most - *number ? *number + more : most;
}

void salvage_gap(struct salvage *salvage, uint64_t missing, uint64_t bytes)
{
    add_at_most(&salvage->missing, missing ? missing : bytes / sizeof(struct journal_record) + 1,
                ID_MOST / 2);
}

void salvage_end(struct salvage *salvage)
{
    struct store *store = salvage->store;
    for (uint32_t index = 1; index <= store->header->accounts_used && salvage->missing > 0; index++) {
        struct account_record *account = account_at(store, index);
        if (account->generation % 2 == 0)
            continue;
        add_at_most(&account->newest, salvage->missing, ID_MOST / 2);
        add_at_most(&account->queue_newest, salvage->missing, ID_MOST / 2);
    }
    restore_end(salvage->restore);
    free(salvage->doubts);
    free(salvage);
}

/* ---- what cannot be placed ---- */

static bool has_message(const struct journal_record *record)
{
    return record->type == RECORD_MESSAGE || record->type == RECORD_QUEUE ||
           (record->type == RECORD_STORE && record->flags & RECORD_WHOLE);
}

static enum status put_aside(struct salvage *salvage, const struct journal_record *record, const char *texts,
                             const char *reason)
{
    char owner[ACCOUNT_TEXT_SIZE];
    bool stored = record->type == RECORD_STORE;
    uint32_t account = stored ? record->second : record->account;
    if (has_message(record) || record->sender_length == 0)
        account_describe(salvage->store, account, owner);
    else
        snprintf(owner, sizeof(owner), "%.*s", record->sender_length, texts);
    if (!has_message(record)) {
        report_say(salvage->report, REPORT_LOST, "%s: record %llu (%s, of %s) has no place: %s",
                   salvage->origin, (unsigned long long)record->sequence, journal_type_name(record->type),
                   owner, reason);
        return STATUS_OK;
    }
    const struct stray stray = {.from = texts,
                                .from_length = record->sender_length,
                                .subject = texts + record->sender_length,
                                .subject_length = record->subject_length,
                                .body = texts + record->sender_length + record->subject_length,
                                .body_length = record->body_length,
                                .to = owner,
                                .id = stored ? record->other : record->id,
                                .received = record->received,
                                .queued = record->type == RECORD_QUEUE,
                                .origin = salvage->origin,
                                .reason = reason};
    return export_stray(salvage->exporter, salvage->report, &stray);
}

/* ---- which account a record is about ---- */

/* needs: records that another account with this index would have needed for its ids, before this one. */
static bool may_be_another(const struct salvage *salvage, uint32_t account, uint64_t needs)
{
    const struct doubt *doubt = &salvage->doubts[account];
    uint64_t gap = salvage->missing - doubt->confirmed;
    return gap >= REPLACED && gap + doubt->passed >= needs + REPLACED;
}

static void confirm(struct salvage *salvage, uint32_t account)
{
    salvage->doubts[account] = (struct doubt){.confirmed = salvage->missing};
}

static enum status pass(struct salvage *salvage, const struct journal_record *record, const char *texts,
                        const char *reason)
{
    salvage->doubts[record->account].passed++;
    return put_aside(salvage, record, texts, reason);
}

static const char another[] = "the account may have been replaced in a part that is lost";
static const char unknown[] = "its account is unknown";
static const char contradiction[] = "it contradicts the records before it";

/* ---- by type ---- */

/* A sound record says that index and name are another account's now, so whoever has either was removed. */
static enum status displace_holders(struct salvage *salvage, const struct journal_record *record,
                                    const char *texts)
{
    account_t holder;
    enum status status = STATUS_OK;
    if (restore_lives(salvage->restore, record->account))
        status = account_displace(salvage->store, record->account, salvage->origin, salvage->report,
                                  salvage->exporter);
    if (status == STATUS_OK &&
        account_find(salvage->store, texts, record->sender_length, &holder) == STATUS_OK)
        status = account_displace(salvage->store, holder.index, salvage->origin, salvage->report,
                                  salvage->exporter);
    return status;
}

static enum status place_account(struct salvage *salvage, const struct journal_record *record,
                                 const char *texts)
{
    enum status status = restore_record(salvage->restore, record, texts);
    if (status == STATUS_MISMATCH && restore_names_account(record, texts)) {
        status = displace_holders(salvage, record, texts);
        if (status == STATUS_OK)
            status = restore_record(salvage->restore, record, texts);
    }
    if (status == STATUS_OK)
        confirm(salvage, record->account);
    return status == STATUS_MISMATCH ? put_aside(salvage, record, texts, contradiction) : status;
}

/* It brings the name along. */
static enum status place_password(struct salvage *salvage, const struct journal_record *record,
                                  const char *texts)
{
    enum status status = restore_record(salvage->restore, record, texts);
    if (status == STATUS_OK)
        confirm(salvage, record->account);
    if (status != STATUS_MISMATCH)
        return status;
    if (!restore_names_account(record, texts))
        return pass(salvage, record, texts, contradiction);
    status = displace_holders(salvage, record, texts);
    return status == STATUS_OK ? pass(salvage, record, texts, unknown) : status;
}

static enum status place_remove(struct salvage *salvage, const struct journal_record *record,
                                const char *texts)
{
    enum status status = restore_record(salvage->restore, record, texts);
    return status == STATUS_MISMATCH ? pass(salvage, record, texts, unknown) : status;
}

/* A message for a mailbox or a queue, or the deletion of one. */
static enum status place_message(struct salvage *salvage, const struct journal_record *record,
                                 const char *texts)
{
    const struct account_record *account = account_at(salvage->store, record->account);
    bool lives = restore_lives(salvage->restore, record->account);
    bool logged = !(record->flags & RECORD_SNAPSHOT);
    uint64_t needs = record->type == RECORD_DELETE ? record->id : record->id - 1;
    if (!lives)
        return pass(salvage, record, texts, unknown);
    if (logged && may_be_another(salvage, record->account, needs))
        return pass(salvage, record, texts, another);
    if (logged && record->type == RECORD_QUEUE && record->id <= account->queue_newest)
        return pass(salvage, record, texts, contradiction);
    enum status status = restore_record(salvage->restore, record, texts);
    if (status == STATUS_OK && logged)
        confirm(salvage, record->account);
    return status == STATUS_MISMATCH ? pass(salvage, record, texts, contradiction) : status;
}

/* Where the whole of it is not as it should be: the sender's and the recipient's part each for itself. */
static enum status place_store_in_parts(struct salvage *salvage, const struct journal_record *record,
                                        const char *texts, bool leaves, bool arrives, const char *reason)
{
    struct store *store = salvage->store;
    bool whole = has_message(record);
    bool queued = leaves && queue_has(store, record->account, record->id);
    enum status status = STATUS_OK;
    if (arrives && !reason && queued)
        return queue_move(store, record->account, record->id, record->second, record->other);
    if (arrives && !reason && whole) {
        struct journal_record message = *record;
        message.type = RECORD_MESSAGE;
        message.flags = 0;
        message.account = record->second;
        message.id = record->other;
        status = restore_record(salvage->restore, &message, texts);
    } else if (arrives && whole) {
        status = put_aside(salvage, record, texts, reason);
    } else if (arrives && queued) {
        status = queue_export(store, record->account, record->id, salvage->origin, reason, salvage->report,
                              salvage->exporter);
    } else if (arrives) {
        status = put_aside(salvage, record, texts, reason ? reason : "its message is in a part that is lost");
        if (!reason)
            account_at(store, record->second)->newest = record->other;
    }
    if (status == STATUS_OK && queued)
        status = queue_move(store, record->account, record->id, 0, 0);
    return status;
}

static enum status place_store(struct salvage *salvage, const struct journal_record *record,
                               const char *texts)
{
    const struct restore *restore = salvage->restore;
    bool leaves = restore_concerns(restore, record, record->account);
    bool arrives = restore_concerns(restore, record, record->second);
    bool sender = leaves && restore_lives(restore, record->account) &&
                  !may_be_another(salvage, record->account, record->id);
    const char *reason = NULL;
    if (arrives && !restore_lives(restore, record->second))
        reason = unknown;
    else if (arrives && may_be_another(salvage, record->second, record->other - 1))
        reason = another;
    else if (arrives && (record->other <= account_at(salvage->store, record->second)->newest ||
                         record->other >= ID_MOST))
        reason = contradiction;
    if (leaves && !sender)
        salvage->doubts[record->account].passed++;
    if (reason)
        salvage->doubts[record->second].passed++;
    enum status status = STATUS_MISMATCH;
    if (leaves == sender && !reason)
        status = restore_record(salvage->restore, record, texts);
    /* Behind a gap it may be further down in the queue than it should. */
    if (status == STATUS_OK && sender && salvage->missing > 0 &&
        queue_has(salvage->store, record->account, record->id))
        status = queue_move(salvage->store, record->account, record->id, 0, 0);
    if (status == STATUS_MISMATCH)
        status = place_store_in_parts(salvage, record, texts, sender, arrives, reason);
    if (sender && status == STATUS_OK)
        confirm(salvage, record->account);
    if (arrives && !reason && status == STATUS_OK)
        confirm(salvage, record->second);
    return status;
}

enum status salvage_record(struct salvage *salvage, const struct journal_record *record, const char *texts,
                           uint64_t offset)
{
    uint32_t most = salvage->store->accounts_most;
    snprintf(salvage->origin, sizeof(salvage->origin), "%s offset %llu", salvage->file,
             (unsigned long long)offset);
    if (record->account > most || record->second > most || !restore_has_place(record))
        return put_aside(salvage, record, texts, contradiction);
    if (record->type == RECORD_STORE)
        return place_store(salvage, record, texts);
    if (record->type == RECORD_EPOCH || record->type == RECORD_END ||
        (record->type == RECORD_REMOVE && record->flags & RECORD_SNAPSHOT) ||
        !restore_concerns(salvage->restore, record, record->account))
        return restore_record(salvage->restore, record, texts);
    switch (record->type) {
    case RECORD_ACCOUNT:
        return place_account(salvage, record, texts);
    case RECORD_PASSWORD:
        return place_password(salvage, record, texts);
    case RECORD_REMOVE:
        return place_remove(salvage, record, texts);
    default:
        return place_message(salvage, record, texts);
    }
}
