/* journal_recover.c: begins a journal, or reads one into an empty segment.
 *
 * Runs in the process that creates the segment, under the creation lock, with a slot, while nobody else is
 * attached; the segment has its magic only afterwards, so a death in the middle costs nothing but time.
 * Operations are made again through the store's own transactions, with the journal off. */
#include "journal.h"

#include "account.h"
#include "account_record.h"
#include "crc32c.h"
#include "journal_read.h"
#include "log.h"
#include "queue.h"
#include "restore.h"
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

struct recovery {
    struct store *store;
    struct journal_reader reader;
    struct restore *restore;
    char *why;
    size_t why_size;
};

static enum status give_up(struct recovery *recovery, const char *what, uint64_t offset)
{
    snprintf(
        recovery->why, recovery->why_size,
        "journal directory %s, file journal.%u, offset %llu: %s; nothing was changed: save the directory, look at "
        "'shmailctl -d %s journal', and mend it with 'shmailctl -d %s repair'",
        recovery->store->header->journal.directory, recovery->store->header->journal.file,
        (unsigned long long)offset, what, recovery->store->header->journal.directory,
        recovery->store->header->journal.directory);
    return STATUS_MISMATCH;
}

/* Where the system does not do what it is asked; errno tells. */
static enum status cannot(struct recovery *recovery, const char *what)
{
    snprintf(recovery->why, recovery->why_size,
             "journal directory %s cannot be %s: %s; nothing is lost: see to that and start again",
             recovery->store->header->journal.directory, what, strerror(errno));
    return STATUS_SYSTEM;
}

/* No file is active: a journal is begun where both are blank; anything else has lost its active file. */
static enum status choose_none(struct recovery *recovery, struct journal_reader readers[static 2],
                               const enum journal_found states[static 2])
{
    for (int i = 0; i < 2; i++) {
        recovery->store->header->journal.file = (uint32_t)i;
        enum journal_found blank = states[i] == FOUND_END ? journal_read_blank(&readers[i]) : FOUND_RECORD;
        if (blank == FOUND_TROUBLE)
            return cannot(recovery, "read");
        if (readers[i].header.magic == JOURNAL_MAGIC && readers[i].header.version != JOURNAL_VERSION)
            return give_up(recovery,
                           "the header is damaged, or of another version: then use the shmail that wrote it",
                           0);
        if (blank != FOUND_END)
            return give_up(recovery, "there are records, but no file has the header of an active journal", 0);
    }
    recovery->store->header->journal.file = 0;
    return STATUS_OK;
}

/* Which of the two files is the active one; *found is FOUND_END where there is no journal yet. Both say so
 * where a checkpoint was interrupted: nothing has been written since to the older one, and the younger one
 * has all that was. */
static enum status choose(struct recovery *recovery, enum journal_found *found)
{
    struct store *store = recovery->store;
    struct journal_reader readers[2];
    enum journal_found states[2];
    enum status status = STATUS_OK;
    int error = 0;
    for (int i = 0; i < 2; i++) {
        states[i] = journal_read_open(&readers[i], store->files[i]);
        error = states[i] == FOUND_TROUBLE ? errno : error;
    }
    errno = error;
    bool usable[2] = {states[0] == FOUND_RECORD && readers[0].header.state == JOURNAL_ACTIVE,
                      states[1] == FOUND_RECORD && readers[1].header.state == JOURNAL_ACTIVE};
    uint32_t file = usable[1] && (!usable[0] || readers[1].header.generation > readers[0].header.generation);
    store->header->journal.file = file;
    store->header->journal.doubtful = usable[!file] || states[!file] != FOUND_RECORD;
    *found = usable[file] ? FOUND_RECORD : FOUND_END;
    if (states[0] == FOUND_TROUBLE || states[1] == FOUND_TROUBLE)
        status = cannot(recovery, "read");
    else if (!usable[file])
        status = choose_none(recovery, readers, states);
    else if (readers[file].header.version != JOURNAL_VERSION)
        status = give_up(recovery, "the header is of another version: use the shmail that wrote it", 0);
    else if (usable[!file] &&
             (readers[0].header.generation == readers[1].header.generation ||
              memcmp(readers[0].header.id, readers[1].header.id, sizeof(readers[0].header.id)) != 0))
        status =
            give_up(recovery, "both files have the header of an active journal, but not of the same one", 0);
    recovery->reader = readers[file];
    journal_read_close(&readers[!file]);
    return status;
}

bool journal_fresh_epoch(uint64_t *epoch)
{
    do {
        if (getrandom(epoch, sizeof(*epoch), 0) != (ssize_t)sizeof(*epoch))
            return false;
    } while (*epoch == 0);
    return true;
}

static void set_marks(struct journal_segment *journal, uint64_t sequence, uint64_t offset, uint64_t capacity)
{
    journal->assigned = journal->written = journal->synced = sequence;
    journal->tail = journal->end = offset;
    journal->capacity = capacity;
    journal->log_bytes = offset;
}

/* What was blank has taken what was left of the disk. */
static void empty_both(const struct store *store)
{
    int error = errno;
    for (int file = 0; file < 2; file++)
        if (ftruncate(store->files[file], 0) != 0)
            log_warning("journal.%d cannot be made empty again: %s", file, strerror(errno));
    errno = error;
}

/* Both files are made at once, lest a full disk leaves no room for the first checkpoint. */
static enum status begin(struct recovery *recovery, uint64_t bytes)
{
    struct journal_segment *journal = &recovery->store->header->journal;
    uint64_t reached;
    struct journal_header header = {.magic = JOURNAL_MAGIC,
                                    .version = JOURNAL_VERSION,
                                    .generation = 1,
                                    .log = JOURNAL_HEADER_SIZE,
                                    .state = JOURNAL_ACTIVE};
    enum status status = journal_fresh_epoch(&header.epoch) ? STATUS_OK : STATUS_SYSTEM;
    if (status == STATUS_OK && getrandom(header.id, sizeof(header.id), 0) != (ssize_t)sizeof(header.id))
        status = STATUS_SYSTEM;
    for (uint32_t file = 0; file < 2 && status == STATUS_OK; file++)
        status = journal_fill(recovery->store, file, 0, bytes, &reached);
    if (status == STATUS_OK)
        status = journal_write_header(recovery->store, 0, &header);
    if (status != STATUS_OK) {
        empty_both(recovery->store);
        return cannot(recovery, "written");
    }
    memcpy(journal->id, header.id, sizeof(journal->id));
    journal->generation = header.generation;
    journal->epoch = header.epoch;
    set_marks(journal, 0, JOURNAL_HEADER_SIZE, bytes);
    return journal_retire(recovery->store) == STATUS_OK ? STATUS_OK : cannot(recovery, "written");
}

/* What follows makes room, so this is the last time that it is seen. */
static void tell_whether_cut(const struct journal_reader *reader, const struct journal_segment *journal)
{
    if (reader->offset + sizeof(struct journal_record) > reader->size)
        log_warning(
            "journal directory %s: journal.%u ends where its log does: it may have been cut, and what came "
            "behind is lost",
            journal->directory, journal->file);
}

/* After the last sound record: zeros, so that nothing of this run can be taken for the next one's, and a
 * record that begins a new epoch, so that nothing stale beyond the zeros can either. A full disk does not
 * matter while there is room for that. */
static enum status begin_epoch(struct recovery *recovery, uint64_t bytes)
{
    struct store *store = recovery->store;
    struct journal_segment *journal = &store->header->journal;
    struct journal_reader *reader = &recovery->reader;
    uint64_t capacity = reader->size > bytes ? reader->size : bytes;
    memcpy(journal->id, reader->header.id, sizeof(journal->id));
    journal->generation = reader->header.generation;
    journal->epoch = reader->epoch;
    uint64_t both, reached;
    tell_whether_cut(reader, journal);
    if (capacity < reader->offset + bytes / 2)
        capacity = reader->offset + bytes;
    if (journal_reserve(store, capacity, &both) != STATUS_OK)
        capacity =
            both > reader->offset + JOURNAL_DELETE_RESERVE ? both : reader->offset + JOURNAL_DELETE_RESERVE;
    if (journal_wipe(store, journal->file, reader->offset) != STATUS_OK)
        return cannot(recovery, "written");
    /* What was read of a hole has pages, with which the system takes it for written. */
    if (reader->holes || capacity > reader->size)
        (void)posix_fadvise(reader->file, (off_t)reader->offset, 0, POSIX_FADV_DONTNEED);
    enum status status = journal_fill(store, journal->file, reader->offset, capacity, &reached);
    if (status == STATUS_SYSTEM || reached < reader->offset + sizeof(struct journal_record))
        return cannot(recovery, "written");
    set_marks(journal, reader->sequence, reader->offset, reached);
    struct journal_note note = {.type = RECORD_EPOCH, .other = reader->epoch + 1};
    journal->assigned++;
    store->ring[journal->assigned % RING] = note;
    journal->end += sizeof(struct journal_record);
    status = journal_flush(store, true);
    journal->epoch = note.other;
    return status == STATUS_OK ? status : cannot(recovery, "written");
}

static enum status replay(struct recovery *recovery)
{
    struct journal_record record;
    const char *texts;
    enum journal_found found;
    recovery->reader.ahead = restore_works_ahead(recovery->restore);
    while ((found = journal_read(&recovery->reader, &record, &texts)) == FOUND_RECORD) {
        uint64_t offset = recovery->reader.offset - journal_size(&record);
        enum status status = restore_record(recovery->restore, &record, texts);
        if (status == STATUS_FULL_SEGMENT || status == STATUS_FULL_ACCOUNTS) {
            snprintf(recovery->why, recovery->why_size,
                     "journal directory %s holds more than this segment can: give larger --accounts or "
                     "--segment-size, or more shared memory",
                     recovery->store->header->journal.directory);
            return status;
        }
        if (status != STATUS_OK)
            return give_up(recovery, "a record does not fit those before it", offset);
    }
    if (found == FOUND_TROUBLE)
        return cannot(recovery, "read");
    if (found == FOUND_DAMAGE)
        return give_up(recovery, "a record is damaged, and was acknowledged once", recovery->reader.bad);
    if (restore_reaches(recovery->restore) > recovery->reader.sequence)
        return give_up(recovery, "records are missing that the snapshot before them has",
                       recovery->reader.offset);
    return STATUS_OK;
}

/* With what was read ahead: it is not to be looked at again. */
static void end_restore(struct recovery *recovery)
{
    recovery->reader.ahead = NULL;
    recovery->reader.length = 0;
    restore_end(recovery->restore);
}

uint32_t journal_seal(const struct journal_segment *journal)
{
    return crc32c(0, &journal->file,
                  offsetof(struct journal_segment, assigned) - offsetof(struct journal_segment, file));
}

enum status journal_recover(struct store *store, uint64_t bytes, char *why, size_t why_size)
{
    struct recovery recovery = {.store = store, .why = why, .why_size = why_size};
    enum journal_found found;
    enum status status = choose(&recovery, &found);
    if (status == STATUS_OK && found == FOUND_END) {
        status = begin(&recovery, bytes);
    } else if (status == STATUS_OK) {
        recovery.restore = restore_begin(store);
        if (recovery.restore)
            status = replay(&recovery);
        else
            status = cannot(&recovery, "read");
        if (recovery.restore)
            end_restore(&recovery);
        if (status == STATUS_OK)
            status = begin_epoch(&recovery, bytes);
    }
    journal_read_close(&recovery.reader);
    if (status == STATUS_OK) {
        store->header->journal.seal = journal_seal(&store->header->journal);
        store->header->journal.on = 1;
    }
    return status;
}

enum status journal_create(struct store *store, const struct store_options *options, char *why,
                           size_t why_size)
{
    struct journal_segment *journal = &store->header->journal;
    uint64_t ring = (uint64_t)((char *)store->ring - store->base);
    store->journal_bytes = options->journal_bytes ? options->journal_bytes : JOURNAL_BYTES_DEFAULT;
    journal->sync = options->sync;
    journal->sync_seconds = options->sync_seconds;
    if (getrandom(journal->segment_id, sizeof(journal->segment_id), 0) !=
            (ssize_t)sizeof(journal->segment_id) ||
        sem_init(&journal->keeper_wake, 1, 0) != 0 ||
        segment_reserve(store, ring, RING * sizeof(struct journal_note)) != STATUS_OK) {
        snprintf(why, why_size, "the journal's part of the segment cannot be made: %s", strerror(errno));
        return STATUS_SYSTEM;
    }
    enum status status = journal_open_directory(store, options, why, why_size);
    if (status != STATUS_OK)
        return status;
    journal_record_directory(journal, options->directory);
    status = store_attach(store, "recovery");
    if (status != STATUS_OK) {
        snprintf(why, why_size, "the journal cannot be recovered: %s", status_text(status));
        return status;
    }
    status = journal_recover(store, store->journal_bytes, why, why_size);
    if (status == STATUS_OK)
        status = journal_own(store, options, why, why_size);
    store_detach(store);
    return status;
}
