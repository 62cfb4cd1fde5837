/* journal_checkpoint.c: the state as a snapshot in the inactive file, then the log since, then that file is
 * the active one.
 *
 * What the file holds from its use before stays behind the log, where nothing is of the epoch that begins
 * with the snapshot: it is chosen at random when all that is there already.
 *
 * The store serves meanwhile. Each account is captured at a moment of its own, which its record names; its
 * messages follow in chunks, bounded by the newest id of that moment. What changes in between stands in the
 * log, which is copied from the sequence at which the snapshot began.
 *
 * A segment that was scribbled over must not take the place of a log that is sound: what could not be read
 * again is not written, and ends the checkpoint. */
#include "journal.h"

#include "account_record.h"
#include "buffer.h"
#include "crc32c.h"
#include "journal_read.h"
#include "log.h"
#include "mailbox_record.h"
#include "message.h"
#include "restore.h"
#include "transaction.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    OUT_BYTES = 1 << 20,  /* gathered before a write */
    LAST_COPY = 1 << 20,  /* bytes of log that may be left to copy while nobody writes */
    FREE_MOST = 16 << 20, /* bytes that are made free before the file takes over */
};

struct checkpoint {
    struct store *store;
    uint32_t file;     /* the inactive one */
    uint64_t offset;   /* where out goes */
    uint64_t unsynced; /* bytes before it that may not be on the disk yet */
    struct buffer out;
    uint64_t epoch; /* of the new file */
    uint64_t records;
    uint64_t start, start_offset; /* sequence and offset behind which the log is copied */
    struct journal_reader log;    /* the next record to be copied */
    uint64_t last;                /* where the last one went; 0: none has been */
    uint64_t bytes;               /* that are to be free behind the log */
    uint64_t capacity;            /* of the new file */
    bool disk_is_full;
    enum status status;
};

static void sync_out(struct checkpoint *checkpoint)
{
    if (checkpoint->status == STATUS_OK && fdatasync(checkpoint->store->files[checkpoint->file]) != 0)
        checkpoint->status = STATUS_SYSTEM;
    checkpoint->unsynced = 0;
}

/* The keeper, who would, is busy here for long. */
static void hold_promises(const struct checkpoint *checkpoint)
{
    int error = errno;
    if (load64(&checkpoint->store->header->journal.leader) != checkpoint->store->me)
        journal_redeem_in_time(checkpoint->store);
    errno = error;
}

static void flush_out(struct checkpoint *checkpoint)
{
    size_t done = 0;
    while (checkpoint->status == STATUS_OK && done < checkpoint->out.length) {
        ssize_t written = pwrite(checkpoint->store->files[checkpoint->file], checkpoint->out.bytes + done,
                                 checkpoint->out.length - done, (off_t)checkpoint->offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            checkpoint->status = STATUS_FULL_JOURNAL;
            break;
        }
        done += (size_t)written;
        checkpoint->offset += (uint64_t)written;
        checkpoint->unsynced += (uint64_t)written;
    }
    buffer_clear(&checkpoint->out);
    if (checkpoint->unsynced >= JOURNAL_SYNC_STEP)
        sync_out(checkpoint);
    hold_promises(checkpoint);
}

static void put(struct checkpoint *checkpoint, const void *bytes, size_t length)
{
    for (size_t part; length > 0; bytes = (const char *)bytes + part, length -= part) {
        if (checkpoint->out.length == OUT_BYTES)
            flush_out(checkpoint);
        part = length < OUT_BYTES - checkpoint->out.length ? length : OUT_BYTES - checkpoint->out.length;
        if (!buffer_append(&checkpoint->out, bytes, part))
            checkpoint->status = STATUS_NO_MEMORY;
    }
}

static void put_padding(struct checkpoint *checkpoint, const struct journal_record *record)
{
    static const char zeros[8];
    put(checkpoint, zeros, (size_t)(journal_size(record) - sizeof(*record) - journal_texts(record)));
}

static void find_damage(struct checkpoint *checkpoint)
{
    store_suspect(checkpoint->store);
    checkpoint->status = STATUS_DAMAGED;
}

/* The checksum goes before the texts, so they are read twice; the second time to be written. message may be
 * NULL: then texts are the first and second text. */
static void put_record(struct checkpoint *checkpoint, struct journal_record *record, const char *texts,
                       const struct message *message)
{
    struct message_cursor cursor = {0};
    const char *run;
    size_t length;
    record->magic = RECORD_MAGIC;
    record->flags = RECORD_SNAPSHOT;
    record->sequence = ++checkpoint->records;
    record->epoch = checkpoint->epoch;
    if (!journal_is_plausible(record)) {
        find_damage(checkpoint);
        return;
    }
    size_t fixed = (size_t)record->sender_length + record->subject_length;
    uint32_t crc = crc32c(journal_crc_begin(record), texts, fixed);
    while (message && message_next(checkpoint->store, message, &cursor, &run, &length))
        crc = crc32c(crc, run, length);
    record->crc = journal_crc_end(record, crc);
    put(checkpoint, record, sizeof(*record));
    put(checkpoint, texts, fixed);
    cursor = (struct message_cursor){0};
    while (message && message_next(checkpoint->store, message, &cursor, &run, &length))
        put(checkpoint, run, length);
    put_padding(checkpoint, record);
}

static void put_message(struct checkpoint *checkpoint, enum journal_type type, uint32_t account,
                        const struct message *message)
{
    struct journal_record record = {.type = (uint16_t)type,
                                    .body_length = (uint32_t)message->body_length,
                                    .account = account,
                                    .id = message->id,
                                    .received = message->received,
                                    .subject_length = (uint16_t)message->subject_length,
                                    .sender_length = (uint8_t)message->sender_length};
    put_record(checkpoint, &record, message->sender, message);
}

struct captured {
    account_t account;
    message_id newest, queue_newest;
    uint64_t as_of;
    uint8_t name_length;
    uint16_t hash_length;
    char texts[NAME_MAX_BYTES + HASH_MAX];
};

/* False: no account has that index now; or one that was born while the checkpoint runs: then there is none as
 * of the record before, and the log makes it. Else the snapshot might have its name twice, since an account
 * that was captured may have been removed, and its name have gone to another index. */
static bool capture(struct store *store, uint32_t index, uint64_t start, struct captured *captured)
{
    const struct account_record *record = account_at(store, index);
    transaction_begin(store);
    captured->as_of = store->header->journal.assigned;
    captured->account = (account_t){index, record->generation};
    bool lives = record->generation % 2 == 1;
    const struct identity *identity = lives ? at(store, record->identity) : NULL;
    if (lives && identity->born > start && identity->born <= captured->as_of) {
        captured->as_of = identity->born - 1;
        lives = false;
    }
    if (lives) {
        captured->newest = record->newest;
        captured->queue_newest = record->queue_newest;
        captured->name_length = (uint8_t)identity_name_length(identity);
        captured->hash_length = (uint16_t)identity_hash_length(identity);
        memcpy(captured->texts, identity->text, captured->name_length);
        memcpy(captured->texts + captured->name_length, identity->text + captured->name_length + 1,
               captured->hash_length);
    }
    transaction_end(store, STATUS_OK);
    return lives;
}

static void put_mailbox(struct checkpoint *checkpoint, const struct captured *captured)
{
    struct message messages[PINS_MAX];
    message_id after = 0;
    size_t count;
    while (checkpoint->status == STATUS_OK &&
           mailbox_list(checkpoint->store, captured->account, after, captured->newest, messages, PINS_MAX,
                        &count) == STATUS_OK &&
           count > 0) {
        for (size_t i = 0; i < count && checkpoint->status == STATUS_OK; i++) {
            if (messages[i].id <= after || messages[i].id > captured->newest)
                find_damage(checkpoint);
            else
                put_message(checkpoint, RECORD_MESSAGE, captured->account.index, &messages[i]);
            after = messages[i].id;
        }
        message_release_all(checkpoint->store);
    }
}

/* Newest first. Any of the last chunk may have gone meanwhile; its last one stays pinned as the place to go
 * on. */
static void put_queue(struct checkpoint *checkpoint, const struct captured *captured)
{
    struct message messages[PINS_MAX];
    uint64_t below = captured->queue_newest + 1;
    size_t count;
    while (checkpoint->status == STATUS_OK &&
           queue_list_below(checkpoint->store, captured->account, below, messages, PINS_MAX, &count) ==
               STATUS_OK &&
           count > 0) {
        for (size_t i = 0; i < count && checkpoint->status == STATUS_OK; i++) {
            if (messages[i].id == 0 || messages[i].id >= below)
                find_damage(checkpoint);
            else
                put_message(checkpoint, RECORD_QUEUE, captured->account.index, &messages[i]);
            below = messages[i].id;
        }
        message_release_but_last(checkpoint->store);
    }
    message_release_all(checkpoint->store);
}

static void put_account(struct checkpoint *checkpoint, uint32_t index)
{
    struct captured captured;
    if (!account_has_record(checkpoint->store, index)) {
        find_damage(checkpoint);
        return;
    }
    bool lives = capture(checkpoint->store, index, checkpoint->start, &captured);
    struct journal_record record = {.type = lives ? RECORD_ACCOUNT : RECORD_REMOVE,
                                    .account = index,
                                    .received = (int64_t)captured.as_of};
    if (lives) {
        record.id = captured.newest;
        record.other = captured.queue_newest;
        record.sender_length = captured.name_length;
        record.subject_length = captured.hash_length;
    }
    if (lives && (!restore_names_account(&record, captured.texts) || record.id >= ID_MOST ||
                  record.other >= ID_MOST)) {
        find_damage(checkpoint);
        return;
    }
    put_record(checkpoint, &record, captured.texts, NULL);
    if (lives) {
        put_mailbox(checkpoint, &captured);
        put_queue(checkpoint, &captured);
    }
}

/* While it runs every record that moves a message brings it along. */
static void mark_running(struct store *store, bool running)
{
    transaction_begin(store);
    set64(store, &store->header->journal.checkpoint, running);
    transaction_end(store, STATUS_OK);
}

void journal_forget_checkpoint(struct store *store)
{
    if (load64(&store->header->journal.checkpoint))
        mark_running(store, false);
}

/* As the leader. */
static enum status write_what_is_pending(struct store *store)
{
    enum status status;
    bool more;
    do
        status = journal_write_group(store, store->header->journal.sync == STORE_SYNC_ALWAYS, &more);
    while (more);
    return status;
}

/* From here on the log is copied. */
static enum status mark_start(struct checkpoint *checkpoint)
{
    struct store *store = checkpoint->store;
    struct journal_segment *journal = &store->header->journal;
    mark_running(store, true);
    journal_lead(store);
    enum status status = write_what_is_pending(store);
    checkpoint->start = journal->written;
    checkpoint->start_offset = journal->tail;
    checkpoint->log = (struct journal_reader){.file = store->files[journal_active(store)],
                                              .offset = checkpoint->start_offset,
                                              .epoch = journal->epoch,
                                              .sequence = checkpoint->start};
    journal_follow(store);
    return status;
}

/* Copies the active file's log up to its tail, behind which nothing is to be read yet, into the new epoch. */
static void copy_log(struct checkpoint *checkpoint)
{
    struct journal_reader *log = &checkpoint->log;
    struct journal_record record;
    const char *texts;
    log->size = load64(&checkpoint->store->header->journal.tail);
    while (checkpoint->status == STATUS_OK && log->offset < log->size) {
        if (journal_read(log, &record, &texts) != FOUND_RECORD) {
            checkpoint->status = STATUS_SYSTEM;
            break;
        }
        size_t length = (size_t)journal_texts(&record);
        checkpoint->last = checkpoint->offset + checkpoint->out.length;
        record.epoch = checkpoint->epoch;
        record.crc = journal_crc_end(&record, crc32c(journal_crc_begin(&record), texts, length));
        put(checkpoint, &record, sizeof(record));
        put(checkpoint, texts, length);
        put_padding(checkpoint, &record);
    }
    flush_out(checkpoint);
}

/* As the leader, with everything copied: one synced write makes the file the active one. */
static void activate(struct checkpoint *checkpoint, const struct journal_header *header, uint64_t capacity)
{
    struct store *store = checkpoint->store;
    struct journal_segment *journal = &store->header->journal;
    if (fsync(store->files[checkpoint->file]) != 0) {
        checkpoint->status = STATUS_SYSTEM;
        return;
    }
    if (store_is_suspect(store)) { /* what was written may be a scribble */
        checkpoint->status = STATUS_DAMAGED;
        return;
    }
    /* From here on either file may be the last word, and whoever leads next has to retire the other one
     * before anything more is written. */
    __atomic_store_n(&journal->doubtful, 1, __ATOMIC_RELEASE);
    if (journal_write_header(store, checkpoint->file, header) != STATUS_OK) {
        journal_fail(store, errno, "writing a header");
        checkpoint->status = STATUS_READ_ONLY;
        return;
    }
    transaction_begin(store);
    uint64_t pending = journal->end - journal->tail;
    struct journal_segment next = *journal;
    next.file = checkpoint->file;
    next.generation = header->generation;
    next.epoch = header->epoch;
    set32(store, &journal->file, next.file);
    set64(store, &journal->generation, next.generation);
    set64(store, &journal->epoch, next.epoch);
    set32(store, &journal->seal, journal_seal(&next));
    set64(store, &journal->synced, journal->written);
    set64(store, &journal->tail, checkpoint->offset);
    set64(store, &journal->end, checkpoint->offset + pending);
    set64(store, &journal->capacity, capacity);
    set64(store, &journal->log_bytes, 0);
    set64(store, &journal->last, checkpoint->last);
    set32(store, &journal->suspect, 0);
    transaction_end(store, STATUS_OK);
    /* So that damage to the new header can never make the old file look like the last word. */
    if (journal_retire(store) != STATUS_OK)
        journal_fail(store, errno, "writing a header");
}

/* What is noted from now on has to find room in the new file as well. False: what there is would not. */
static bool lower_capacity(const struct checkpoint *checkpoint, uint64_t capacity)
{
    struct store *store = checkpoint->store;
    struct journal_segment *journal = &store->header->journal;
    transaction_begin(store);
    uint64_t new_end = checkpoint->offset + journal->end - journal->tail;
    bool fits = new_end <= capacity &&
                (!checkpoint->disk_is_full || capacity - new_end > journal->capacity - journal->end);
    if (fits && journal->tail + capacity - checkpoint->offset < journal->capacity)
        set64(store, &journal->capacity, journal->tail + capacity - checkpoint->offset);
    transaction_end(store, STATUS_OK);
    return fits;
}

static void raise_capacity(struct store *store, uint64_t capacity)
{
    transaction_begin(store);
    set64(store, &store->header->journal.capacity, capacity);
    transaction_end(store, STATUS_OK);
}

/* For so much behind what is written, and what is to be free: not all at once, as who needs room waits until
 * the file has taken over, and the keeper goes on then. But a full disk is no reason to stay in a fuller
 * file. */
static void make_room(struct checkpoint *checkpoint, uint64_t more)
{
    uint64_t both;
    uint64_t free = checkpoint->bytes < FREE_MOST ? checkpoint->bytes : FREE_MOST;
    if (checkpoint->status != STATUS_OK)
        return;
    enum status reserved = journal_reserve(checkpoint->store, checkpoint->offset + more + free, &both);
    uint64_t from, to = checkpoint->offset;
    do {
        from = to;
        to = from + JOURNAL_SYNC_STEP < both ? from + JOURNAL_SYNC_STEP : both;
        checkpoint->status =
            journal_fill(checkpoint->store, checkpoint->file, from, to, &checkpoint->capacity);
        hold_promises(checkpoint);
    } while (checkpoint->status == STATUS_OK && to < both);
    checkpoint->disk_is_full = reserved != STATUS_OK || checkpoint->status == STATUS_FULL_JOURNAL;
    if (checkpoint->status == STATUS_FULL_JOURNAL)
        checkpoint->status = STATUS_OK;
}

static void finish(struct checkpoint *checkpoint, uint64_t log)
{
    struct store *store = checkpoint->store;
    struct journal_segment *journal = &store->header->journal;
    struct journal_header header = {.magic = JOURNAL_MAGIC,
                                    .version = JOURNAL_VERSION,
                                    .generation = journal->generation + 1,
                                    .epoch = checkpoint->epoch,
                                    .first = checkpoint->start,
                                    .log = log,
                                    .state = JOURNAL_ACTIVE};
    memcpy(header.id, journal->id, sizeof(header.id));
    uint64_t before = UINT64_MAX;
    uint64_t left = load64(&journal->tail) - checkpoint->log.offset;
    while (checkpoint->status == STATUS_OK && left > LAST_COPY) {
        copy_log(checkpoint);
        if (left < before) /* else as much comes while it is synced: all have to wait once */
            sync_out(checkpoint);
        before = left;
        left = load64(&journal->tail) - checkpoint->log.offset;
    }
    journal_lead(store);
    if (checkpoint->status == STATUS_OK)
        checkpoint->status = write_what_is_pending(store);
    copy_log(checkpoint);
    uint64_t capacity_before = journal->capacity;
    bool fits = checkpoint->status == STATUS_OK && lower_capacity(checkpoint, checkpoint->capacity);
    /* Where nobody waits for the disk more may have come than could be foreseen, and go on coming until the
     * ring is full. */
    for (int i = 0; i < 3 && !fits && checkpoint->status == STATUS_OK && !checkpoint->disk_is_full; i++) {
        make_room(checkpoint, 2 * (load64(&journal->end) - journal->tail));
        fits = lower_capacity(checkpoint, checkpoint->capacity);
    }
    if (checkpoint->status == STATUS_OK && !fits) {
        checkpoint->status = STATUS_FULL_JOURNAL;
        errno = ENOSPC;
    }
    if (checkpoint->status == STATUS_OK)
        activate(checkpoint, &header, checkpoint->capacity);
    if (checkpoint->status != STATUS_OK)
        raise_capacity(store, capacity_before);
    journal_follow(store);
}

enum status journal_checkpoint(struct store *store, uint64_t bytes)
{
    struct checkpoint checkpoint = {.store = store,
                                    .file = 1 - journal_active(store),
                                    .offset = JOURNAL_HEADER_SIZE,
                                    .bytes = bytes,
                                    .status = STATUS_OK};
    struct journal_header empty = {
        .magic = JOURNAL_MAGIC, .version = JOURNAL_VERSION, .state = JOURNAL_EMPTY};
    memcpy(empty.id, store->header->journal.id, sizeof(empty.id));
    if (store->header->journal.seal != journal_seal(&store->header->journal) ||
        !journal_places_can_be(&store->header->journal))
        find_damage(&checkpoint); /* it might be the active file that is written over */
    else
        checkpoint.status = journal_write_header(store, checkpoint.file, &empty);
    if (checkpoint.status == STATUS_OK && !journal_fresh_epoch(&checkpoint.epoch))
        checkpoint.status = STATUS_SYSTEM;
    if (checkpoint.status == STATUS_OK)
        checkpoint.status = mark_start(&checkpoint);
    for (uint32_t index = 1; checkpoint.status == STATUS_OK && index <= load32(&store->header->accounts_used);
         index++)
        put_account(&checkpoint, index);
    struct journal_record end = {.type = RECORD_END, .id = checkpoint.records + 1};
    put_record(&checkpoint, &end, "", NULL);
    flush_out(&checkpoint);
    uint64_t log = checkpoint.offset;
    /* The log that is copied, and as much again that comes meanwhile. */
    make_room(&checkpoint, 2 * (load64(&store->header->journal.end) - checkpoint.start_offset));
    finish(&checkpoint, log);
    mark_running(store, false);
    if (checkpoint.status != STATUS_OK)
        log_warning("journal %s: a checkpoint failed: %s", journal_directory_name(store).text,
                    status_text(checkpoint.status));
    message_release_all(store);
    journal_read_close(&checkpoint.log);
    buffer_free(&checkpoint.out);
    return checkpoint.status;
}
