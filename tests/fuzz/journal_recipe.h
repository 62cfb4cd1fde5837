/* journal_recipe.h: two journal files from a few bytes. Each begins with seven bytes for its header; then
 * come records: a byte with the type (low four bits) and what is wrong with it (high four), eleven with small
 * numbers and lengths, the texts. All that is not said otherwise is as shmail-journal(5) wants it: sequences,
 * epochs, checksums. A record of type 0 begins the second file. */
#ifndef SHMAIL_FUZZ_JOURNAL_RECIPE_H
#define SHMAIL_FUZZ_JOURNAL_RECIPE_H

#include "fuzz.h"

#include "crc32c.h"
#include "journal_format.h"

#include <string.h>

enum { RECIPE_ROOM = 16 << 10, RECIPE_RECORDS = 60 };

struct journal_recipe {
    uint8_t bytes[2][RECIPE_ROOM];
    size_t size[2];
};

/* In the high bits of a record's first byte; less than that: nothing is wrong. */
enum defect {
    DEFECT_CHECKSUM = 8,
    DEFECT_SEQUENCE,
    DEFECT_EPOCH,
    DEFECT_FLAGS,
    DEFECT_LENGTHS, /* they say more than there is */
    DEFECT_MAGIC,
    DEFECT_WIDE, /* none, but the numbers are long */
    DEFECT_GAP,  /* bytes before it that are no record */
};

/* In the first byte of a file. */
enum { FILE_BLANK = 1, FILE_UNSEALED = 2, FILE_VERSION = 4, FILE_TORN = 8, FILE_NO_MAGIC = 16 };

/* Where one is in a file that is being made. */
struct journal_making {
    uint8_t *bytes;
    size_t at;
    uint64_t epoch, sequence;
    unsigned snapshot; /* records of it that are still to come */
    struct journal_header header;
};

static inline void journal_make_numbers(struct recipe *recipe, struct journal_record *record, bool wide)
{
    record->account = (uint32_t)recipe_number(recipe, wide ? 4 : 1);
    record->second = (uint32_t)recipe_number(recipe, wide ? 4 : 1);
    record->id = recipe_number(recipe, wide ? 8 : 1);
    record->other = recipe_number(recipe, wide ? 8 : 1);
    record->received = (int64_t)recipe_number(recipe, wide ? 8 : 1);
    record->synced = recipe_number(recipe, wide ? 8 : 1);
    record->sender_length = recipe_byte(recipe);
    record->subject_length = (uint16_t)recipe_number(recipe, 2);
    record->body_length = (uint32_t)recipe_number(recipe, 2);
}

/* As much of the texts as there is a recipe and room for. */
static inline void journal_make_texts(struct recipe *recipe, struct journal_making *making,
                                      struct journal_record *record, bool long_ones)
{
    char *texts = (char *)making->bytes + making->at + sizeof(*record);
    size_t room = RECIPE_ROOM - making->at - sizeof(*record) - 8;
    size_t length = 0;
    if (recipe->left < room)
        room = recipe->left;
    if (!long_ones) {
        record->sender_length = (uint8_t)(record->sender_length < room ? record->sender_length : room);
        room -= record->sender_length;
        record->subject_length = (uint16_t)(record->subject_length < room ? record->subject_length : room);
        room -= record->subject_length;
        record->body_length = (uint32_t)(record->body_length < room ? record->body_length : room);
        length = (size_t)journal_texts(record);
    }
    for (size_t i = 0; i < length; i++)
        texts[i] = (char)recipe_byte(recipe);
    if (record->type == RECORD_EPOCH && record->other == 0)
        record->other = making->epoch + 1;
    if (!long_ones)
        record->crc =
            journal_crc_end(record, crc32c(journal_crc_begin(record), texts, (size_t)journal_texts(record)));
}

static inline void journal_make_record(struct recipe *recipe, struct journal_making *making, uint8_t first)
{
    enum defect defect = first >> 4;
    struct journal_record record = {.magic = RECORD_MAGIC, .type = first & 15, .epoch = making->epoch};
    if (defect == DEFECT_GAP)
        making->at += (size_t)8 * recipe_byte(recipe);
    if (making->at > RECIPE_ROOM - 2 * sizeof(record))
        return;
    record.flags = making->snapshot > 0 ? RECORD_SNAPSHOT : 0;
    if (defect == DEFECT_FLAGS)
        record.flags ^= recipe_byte(recipe);
    record.sequence = making->sequence + 1;
    if (defect == DEFECT_SEQUENCE)
        record.sequence = recipe_byte(recipe);
    if (defect == DEFECT_EPOCH)
        record.epoch += (uint64_t)(int64_t)(int8_t)recipe_byte(recipe);
    if (defect == DEFECT_MAGIC)
        record.magic ^= 1;
    journal_make_numbers(recipe, &record, defect == DEFECT_WIDE);
    journal_make_texts(recipe, making, &record, defect == DEFECT_LENGTHS);
    record.crc ^= defect == DEFECT_CHECKSUM;
    memcpy(making->bytes + making->at, &record, sizeof(record));
    making->at += defect == DEFECT_LENGTHS ? sizeof(record) : (size_t)journal_size(&record);
    if (record.type == RECORD_EPOCH)
        making->epoch = record.other;
    making->sequence = record.sequence;
    if (making->snapshot > 0 && --making->snapshot == 0) {
        making->header.log = making->at;
        making->sequence = making->header.first;
    }
}

static inline size_t journal_make_file(struct recipe *recipe, uint8_t bytes[static RECIPE_ROOM])
{
    uint8_t flags = recipe_byte(recipe);
    struct journal_making making = {.bytes = bytes, .at = JOURNAL_HEADER_SIZE};
    making.header = (struct journal_header){.magic = JOURNAL_MAGIC,
                                            .version = JOURNAL_VERSION,
                                            .id = {recipe_byte(recipe)},
                                            .state = recipe_byte(recipe) % 4,
                                            .generation = recipe_byte(recipe),
                                            .epoch = recipe_byte(recipe),
                                            .first = recipe_byte(recipe),
                                            .log = JOURNAL_HEADER_SIZE};
    memset(bytes, 0, RECIPE_ROOM);
    making.snapshot = recipe_byte(recipe);
    making.epoch = making.header.epoch;
    making.sequence = making.snapshot > 0 ? 0 : making.header.first;
    for (int i = 0; i < RECIPE_RECORDS && recipe->left > 0; i++) {
        uint8_t first = recipe_byte(recipe);
        if (first == 0)
            break;
        journal_make_record(recipe, &making, first);
    }
    if (making.snapshot > 0)
        making.header.log = making.at;
    making.header.version += (flags & FILE_VERSION) != 0;
    making.header.magic ^= (flags & FILE_NO_MAGIC) != 0;
    making.header.crc = journal_header_crc(&making.header) ^ ((flags & FILE_UNSEALED) != 0);
    if (!(flags & FILE_BLANK))
        memcpy(bytes, &making.header, sizeof(making.header));
    size_t end = making.at + ((flags & FILE_TORN) ? 0 : 128);
    return end < RECIPE_ROOM ? end : RECIPE_ROOM;
}

static inline void journal_make(struct recipe *recipe, struct journal_recipe *made)
{
    for (int i = 0; i < 2; i++) {
        bool there = i == 0 || recipe->left > 0;
        made->size[i] = there ? journal_make_file(recipe, made->bytes[i]) : 0;
    }
}

#endif
