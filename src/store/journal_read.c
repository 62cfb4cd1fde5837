/* journal_read.c: a journal file as records. In come bytes of unknown soundness, out go records whose
 * checksum, epoch and sequence are right.
 *
 * A group of records is synced before the next one is written, and each record says up to which one all were
 * on disk when it was written. So what is torn at the end was never acknowledged, unless some later record of
 * the same epoch says that it had been on disk: then the file is damaged. What the file has of its use
 * before the last checkpoint into it is of another epoch. */
#include "journal_read.h"

#include "crc32c.h"
#include "restore_ahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WORTH = 4 * WINDOW, /* bytes: what is shorter is read before a second processor is awake */
    BAD_PAGE = 4096,
};

/* Zeros for the page that the disk cannot read. Returns how many. */
static ssize_t blank(struct journal_reader *reader, uint64_t offset)
{
    size_t length = BAD_PAGE - (size_t)(offset % BAD_PAGE);
    if (length > reader->capacity - reader->length)
        length = reader->capacity - reader->length;
    memset(reader->own + reader->length, 0, length);
    reader->unreadable = true;
    return (ssize_t)length;
}

/* The same as window, by what was read ahead behind the one that is there. False: there is not so much. */
static bool window_ahead(struct journal_reader *reader, uint64_t offset, size_t length)
{
    uint64_t end = reader->at + reader->length;
    if (!reader->ahead || offset < reader->at || offset > end)
        return false;
    const char *bytes = restore_ahead_take(reader->ahead, reader->bytes + (offset - reader->at),
                                           (size_t)(end - offset), &reader->length);
    if (!bytes)
        return false;
    reader->bytes = bytes;
    reader->at = offset;
    return length <= reader->length;
}

/* Makes [offset, offset + length) of the file stand in memory, with more behind it where there is more. NULL:
 * it cannot be had; errno is 0 where the file is too short. */
static const char *window(struct journal_reader *reader, uint64_t offset, size_t length)
{
    errno = 0;
    if (offset >= reader->at && offset + length <= reader->at + reader->length)
        return reader->bytes + (offset - reader->at);
    if (offset + length > reader->size)
        return NULL;
    if (window_ahead(reader, offset, length)) {
        errno = 0;
        return reader->bytes;
    }
    size_t wanted = reader->size < WINDOW ? (size_t)reader->size : WINDOW;
    if (wanted < length)
        wanted = length;
    if (wanted > reader->capacity) {
        char *grown = realloc(reader->own, wanted);
        if (!grown)
            return NULL;
        reader->own = grown;
        reader->capacity = wanted;
    }
    reader->bytes = reader->own;
    reader->at = offset;
    reader->length = 0;
    uint64_t end = offset + reader->capacity < reader->size ? offset + reader->capacity : reader->size;
    while (offset + reader->length < end) {
        ssize_t got = pread(reader->file, reader->own + reader->length,
                            (size_t)(end - offset - reader->length), (off_t)(offset + reader->length));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EIO && reader->tolerant)
            got = blank(reader, offset + reader->length);
        if (got == 0)
            errno = ENODATA; /* it has been cut since */
        if (got <= 0)
            break;
        reader->length += (size_t)got;
    }
    if (reader->length < length)
        return NULL;
    if (reader->ahead && offset >= WORTH)
        restore_ahead_ask(reader->ahead, reader->file, reader->at + reader->length, reader->size);
    errno = 0;
    return reader->bytes;
}

enum journal_found journal_read_open(struct journal_reader *reader, int file)
{
    struct stat about;
    *reader = (struct journal_reader){.file = file};
    if (fstat(file, &about) != 0)
        return FOUND_TROUBLE;
    if (!S_ISREG(about.st_mode)) { /* it would look empty, as what was never begun */
        errno = S_ISDIR(about.st_mode) ? EISDIR : ESPIPE;
        return FOUND_TROUBLE;
    }
    uint64_t size = (uint64_t)about.st_size;
    reader->holes = lseek(file, 0, SEEK_HOLE) < about.st_size;
    reader->size = size < JOURNAL_HEADER_SIZE ? size : JOURNAL_HEADER_SIZE; /* most want no more of it */
    const char *bytes = window(reader, 0, sizeof(reader->header));
    reader->size = size;
    if (!bytes)
        return errno ? FOUND_TROUBLE : FOUND_END;
    memcpy(&reader->header, bytes, sizeof(reader->header));
    if (reader->header.magic == 0)
        return FOUND_END;
    if (!journal_header_is_sound(&reader->header))
        return FOUND_DAMAGE;
    reader->epoch = reader->header.epoch;
    reader->snapshot = reader->header.log > JOURNAL_HEADER_SIZE;
    reader->sequence = reader->snapshot ? 0 : reader->header.first;
    reader->offset = JOURNAL_HEADER_SIZE;
    return FOUND_RECORD;
}

enum journal_found journal_read_blank(struct journal_reader *reader)
{
    for (uint64_t offset = 0; offset < reader->size; offset += reader->length) {
        const char *bytes = window(reader, offset, 1);
        if (!bytes)
            return FOUND_TROUBLE;
        if (bytes[0] || memcmp(bytes, bytes + 1, reader->length - 1) != 0)
            return FOUND_RECORD;
    }
    return FOUND_END;
}

void journal_read_close(struct journal_reader *reader)
{
    free(reader->own);
    reader->own = NULL;
    reader->bytes = NULL;
    reader->capacity = 0;
    reader->length = 0;
}

bool journal_read_at(struct journal_reader *reader, uint64_t offset, uint64_t ahead,
                     struct journal_record *record, const char **texts)
{
    const char *bytes = window(reader, offset, sizeof(*record));
    if (!bytes)
        return false;
    memcpy(record, bytes, sizeof(*record));
    if (!journal_is_plausible(record) || record->epoch - reader->epoch > ahead)
        return false;
    bytes = window(reader, offset, (size_t)journal_size(record));
    if (!bytes)
        return false;
    *texts = bytes + sizeof(*record);
    return record->crc ==
           crc32c(journal_crc_begin(record), *texts, (size_t)(journal_size(record) - sizeof(*record)));
}

uint64_t journal_read_seek(struct journal_reader *reader, uint64_t offset)
{
    uint32_t word;
    errno = 0;
    while (offset + sizeof(struct journal_record) <= reader->size) {
        const char *bytes = window(reader, offset, sizeof(struct journal_record));
        if (!bytes)
            break;
        const char *end = reader->bytes + reader->length - sizeof(struct journal_record);
        for (; bytes <= end; bytes += 8) {
            memcpy(&word, bytes, sizeof(word));
            if (word == RECORD_MAGIC)
                return reader->at + (uint64_t)(bytes - reader->bytes);
        }
        offset = reader->at + (uint64_t)(bytes - reader->bytes);
    }
    return reader->size;
}

enum journal_found journal_read_later(struct journal_reader *reader, uint64_t offset)
{
    struct journal_record record;
    const char *texts;
    while ((offset = journal_read_seek(reader, offset)) < reader->size) {
        bool sound = journal_read_at(reader, offset, EPOCHS_AHEAD, &record, &texts);
        if (errno)
            return FOUND_TROUBLE;
        sound = sound && !(record.flags & RECORD_SNAPSHOT) && record.sequence > reader->sequence;
        if (sound && record.synced > reader->sequence)
            return FOUND_DAMAGE;
        offset += sound ? journal_size(&record) : 8;
    }
    return errno ? FOUND_TROUBLE : FOUND_END;
}

/* What is not sound at the expected place: did it use to be? */
static enum journal_found judge(struct journal_reader *reader)
{
    reader->bad = reader->offset;
    if (errno)
        return FOUND_TROUBLE;
    if (reader->snapshot)
        return FOUND_DAMAGE; /* it was whole on disk before its header said so */
    return journal_read_later(reader, reader->offset);
}

enum journal_found journal_read(struct journal_reader *reader, struct journal_record *record,
                                const char **texts)
{
    if (reader->snapshot && reader->offset >= reader->header.log) {
        reader->snapshot = false;
        reader->sequence = reader->header.first;
    }
    if (!journal_read_at(reader, reader->offset, 0, record, texts) ||
        record->sequence != reader->sequence + 1 ||
        ((record->flags & RECORD_SNAPSHOT) != 0) != reader->snapshot)
        return judge(reader);
    reader->sequence++;
    reader->offset += journal_size(record);
    if (record->type == RECORD_EPOCH)
        reader->epoch = record->other;
    return FOUND_RECORD;
}
