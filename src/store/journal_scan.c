/* journal_scan.c: from a damaged journal file to its sound records, in order, and the gaps between them. */
#include "journal_scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    STEP = 8, /* records begin at multiples of it */
    DISK_PAGE = 4096,
};

static bool is_snapshot(const struct journal_record *record)
{
    return record->flags & RECORD_SNAPSHOT;
}

/* A sound record at that offset that comes next, or later. */
static bool counts(struct journal_scan *scan, uint64_t offset, struct journal_record *record,
                   const char **texts)
{
    struct journal_reader *reader = &scan->reader;
    if (!journal_read_at(reader, offset, EPOCHS_AHEAD, record, texts))
        return false;
    if (!reader->snapshot)
        return !is_snapshot(record) && (scan->sequence_unknown || record->sequence > reader->sequence);
    if (is_snapshot(record))
        return record->sequence > reader->sequence;
    return scan->header_is_lost; /* the snapshot's end is lost too */
}

/* The log begins: sequences count on from that one. */
static void enter_log(struct journal_scan *scan, uint64_t sequence, bool unknown)
{
    scan->reader.snapshot = false;
    scan->reader.sequence = sequence;
    scan->sequence_unknown = unknown;
}

/* ---- the header, or what stands in for it ---- */

/* The first sound record tells epoch and kind. A file without a snapshot begins with the journal's first
 * record, unless that is damaged too. */
static bool learn_from_records(struct journal_scan *scan)
{
    struct journal_reader *reader = &scan->reader;
    struct journal_record record;
    const char *texts;
    for (uint64_t offset = JOURNAL_HEADER_SIZE; (offset = journal_read_seek(reader, offset)) < reader->size;
         offset += STEP) {
        if (!journal_read_at(reader, offset, UINT64_MAX, &record, &texts)) {
            if (errno)
                return false;
            continue;
        }
        reader->epoch = record.epoch;
        reader->snapshot = is_snapshot(&record);
        return true;
    }
    return false;
}

bool journal_scan_open(struct journal_scan *scan, int file, enum journal_found *found)
{
    *scan = (struct journal_scan){.ended = false};
    *found = journal_read_open(&scan->reader, file);
    scan->reader.tolerant = true;
    if (*found == FOUND_RECORD)
        return true;
    if (*found == FOUND_TROUBLE && (errno != EIO || scan->reader.size == 0))
        return false; /* not even how long it is */
    if (*found == FOUND_TROUBLE)
        *found = FOUND_DAMAGE;
    scan->header_is_lost = true;
    scan->reader.header = (struct journal_header){.log = UINT64_MAX};
    scan->reader.offset = JOURNAL_HEADER_SIZE;
    if (learn_from_records(scan))
        return true;
    *found = errno                                                                   ? FOUND_TROUBLE
             : *found == FOUND_END && journal_read_blank(&scan->reader) == FOUND_END ? FOUND_END
                                                                                     : FOUND_DAMAGE;
    return false;
}

void journal_scan_close(struct journal_scan *scan)
{
    journal_read_close(&scan->reader);
}

/* ---- what is no record ---- */

static const char *unreadable_page(const struct journal_scan *scan, uint64_t from, uint64_t to)
{
    char page[DISK_PAGE];
    for (uint64_t at = from / DISK_PAGE * DISK_PAGE; scan->reader.unreadable && at < to; at += DISK_PAGE)
        if (pread(scan->reader.file, page, sizeof(page), (off_t)at) < 0)
            return strerror(errno);
    return NULL;
}

/* Why there is no record that comes next at the reader's offset. */
static const char *fault_of(struct journal_scan *scan)
{
    struct journal_reader *reader = &scan->reader;
    struct journal_record record = {0};
    const char *texts;
    if (journal_read_at(reader, reader->offset, UINT64_MAX, &record, &texts))
        return record.epoch != reader->epoch ? "it is of another epoch" : "its sequence is not the next one";
    if (reader->offset + sizeof(record) > reader->size)
        return "the file ends too early";
    if (record.magic != RECORD_MAGIC)
        return "no record begins here";
    if (!journal_is_plausible(&record))
        return "its type or its lengths are impossible";
    return reader->offset + journal_size(&record) > reader->size ? "the file ends within it"
                                                                 : "its checksum is wrong";
}

/* The next place with a record that counts; the end of the snapshot or of the file where there is none. */
static uint64_t next_place(struct journal_scan *scan, struct journal_record *record, bool *found)
{
    struct journal_reader *reader = &scan->reader;
    const char *texts;
    uint64_t end = reader->snapshot && reader->header.log < reader->size ? reader->header.log : reader->size;
    *found = false;
    for (uint64_t offset = reader->offset;
         (offset = journal_read_seek(reader, offset)) + sizeof(*record) <= end; offset += STEP) {
        *found = counts(scan, offset, record, &texts);
        if (*found || errno)
            return offset;
    }
    return end > reader->offset ? end : reader->offset; /* the file may end within its header */
}

/* Nothing that counts follows. */
static enum scan_found finish(struct journal_scan *scan)
{
    struct journal_record rest = {0};
    scan->offset = scan->reader.offset;
    scan->ended = true;
    ssize_t got;
    do
        got = pread(scan->reader.file, &rest, sizeof(rest), (off_t)scan->offset);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno != EIO)
        return SCAN_TROUBLE;
    scan->torn = rest.sequence == scan->reader.sequence + 1 &&
                 (rest.magic == RECORD_MAGIC || rest.epoch == scan->reader.epoch);
    scan->cut =
        got < (ssize_t)sizeof(rest) || (scan->torn && scan->offset + journal_size(&rest) > scan->reader.size);
    return SCAN_END;
}

static enum scan_found pass_over(struct journal_scan *scan)
{
    struct journal_reader *reader = &scan->reader;
    struct journal_record record;
    bool snapshot = reader->snapshot;
    bool found;
    /* errno is that of the last read: another one may succeed where this one failed. */
    const char *reason = fault_of(scan);
    if (errno)
        return SCAN_TROUBLE;
    uint64_t place = next_place(scan, &record, &found);
    if (errno)
        return SCAN_TROUBLE;
    if (!found && !snapshot)
        return finish(scan);
    enum journal_found lost = snapshot ? FOUND_DAMAGE : journal_read_later(reader, place);
    if (lost == FOUND_TROUBLE)
        return SCAN_TROUBLE;
    const char *trouble = unreadable_page(scan, reader->offset, place);
    scan->offset = reader->offset;
    scan->length = place - reader->offset;
    scan->missing = 0;
    scan->harmless = false;
    scan->ended = !found && place != reader->header.log;
    if (found && is_snapshot(&record) == snapshot) {
        if (!scan->sequence_unknown)
            scan->missing = record.sequence - reader->sequence - 1;
        scan->harmless =
            scan->missing == 1 && scan->length == sizeof(record) && record.epoch == reader->epoch + 1;
        reader->epoch = record.epoch;
        reader->sequence = record.sequence - 1;
    }
    reader->offset = place;
    snprintf(scan->reason, sizeof(scan->reason), "%s%s%s", reason, trouble ? ": " : "",
             trouble ? trouble : "");
    return lost == FOUND_DAMAGE ? SCAN_DAMAGE : SCAN_TORN;
}

/* ---- what is one ---- */

static void accept(struct journal_scan *scan, const struct journal_record *record)
{
    struct journal_reader *reader = &scan->reader;
    if (reader->snapshot && !is_snapshot(record))
        enter_log(scan, record->sequence, false);
    scan->sequence_unknown = false;
    scan->offset = reader->offset;
    scan->length = journal_size(record);
    reader->sequence = record->sequence;
    reader->offset += scan->length;
    reader->epoch = record->type == RECORD_EPOCH ? record->other : record->epoch;
    if (record->type == RECORD_END && reader->snapshot && scan->header_is_lost) {
        reader->header.log = reader->offset;
        enter_log(scan, 0, true);
    }
}

enum scan_found journal_scan_next(struct journal_scan *scan, struct journal_record *record,
                                  const char **texts)
{
    struct journal_reader *reader = &scan->reader;
    if (scan->ended)
        return SCAN_END;
    if (reader->snapshot && reader->offset >= reader->header.log)
        enter_log(scan, reader->header.first, false);
    if (!counts(scan, reader->offset, record, texts))
        return errno ? SCAN_TROUBLE : pass_over(scan);
    bool next = scan->sequence_unknown || reader->snapshot != is_snapshot(record) ||
                (record->sequence == reader->sequence + 1 && record->epoch == reader->epoch);
    if (!next)
        return pass_over(scan);
    accept(scan, record);
    return SCAN_RECORD;
}
