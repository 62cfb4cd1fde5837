/* journal_format.c: checksums and plausibility of journal records and file headers. */
#include "journal_format.h"

#include "crc32c.h"
#include "limit.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the journal is little-endian; a port converts in journal_read.c and journal_write.c"
#endif

static const char zeros[8];

uint32_t journal_crc_begin(const struct journal_record *record)
{
    struct journal_record copy = *record;
    copy.crc = 0;
    return crc32c(0, &copy, sizeof(copy));
}

uint32_t journal_crc_end(const struct journal_record *record, uint32_t crc)
{
    return crc32c(crc, zeros, (size_t)(journal_size(record) - sizeof(*record) - journal_texts(record)));
}

uint32_t journal_header_crc(const struct journal_header *header)
{
    struct journal_header copy = *header;
    copy.crc = 0;
    return crc32c(0, &copy, sizeof(copy));
}

bool journal_header_is_sound(const struct journal_header *header)
{
    return header->magic == JOURNAL_MAGIC && header->crc == journal_header_crc(header) &&
           header->first <= JOURNAL_FIRST_MAX;
}

bool journal_is_plausible(const struct journal_record *record)
{
    return record->magic == RECORD_MAGIC && record->type >= RECORD_EPOCH && record->type < RECORD_TYPES &&
           record->body_length <= MESSAGE_LIMIT_MAX && record->subject_length <= SUBJECT_MAX &&
           record->sender_length <= NAME_MAX_BYTES;
}

const char *journal_type_name(unsigned type)
{
    static const char *const names[RECORD_TYPES] = {"?",       "epoch", "account", "password", "remove",
                                                    "message", "queue", "store",   "delete",   "end"};
    return type < RECORD_TYPES ? names[type] : names[0];
}
