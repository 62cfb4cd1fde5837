/* journal_record.c: from a note to the record that says the same in a file, and to the record's texts. */
#include "journal.h"

#include "log.h"
#include "message.h"

void journal_measure(const struct store *store, const struct journal_note *note,
                     struct journal_record *record)
{
    if (note->message) {
        const struct message_record *message = at(store, note->message);
        record->sender_length = (uint8_t)message_sender_length(message->shape);
        record->subject_length = (uint16_t)message_subject_length(message->shape);
    } else if (note->text) {
        const struct identity *identity = at(store, note->text);
        record->sender_length = (uint8_t)identity->name_length;
        record->subject_length = identity->hash_length;
    }
}

void journal_make_record(const struct store *store, uint64_t sequence, uint64_t synced,
                         struct journal_record *record)
{
    const struct journal_note *note = &store->ring[sequence % RING];
    *record = (struct journal_record){.magic = RECORD_MAGIC,
                                      .type = note->type,
                                      .flags = note->flags,
                                      .body_length = note->body_length,
                                      .sequence = sequence,
                                      .synced = synced,
                                      .epoch = store->header->journal.epoch,
                                      .account = note->account,
                                      .second = note->second,
                                      .id = note->id,
                                      .other = note->other,
                                      .received = note->received};
    journal_measure(store, note, record);
    if (!journal_is_plausible(record))
        bug("a record or a mark of the journal is impossible");
}

/* Just the texts that the record speaks of: what lies behind them would be taken for the next record. */
static void give_message(const struct store *store, const struct journal_record *record, block_t block,
                         void (*take)(void *, const void *, size_t), void *taker)
{
    const struct message_record *message = at(store, block);
    size_t fixed = (size_t)record->sender_length + record->subject_length;
    size_t head = message_head_text(fixed, record->body_length);
    size_t left = fixed + record->body_length - head;
    take(taker, message->text, head);
    for (block_t next = load32(&message->pieces); left > 0;) {
        if (!next)
            bug("a message has fewer pieces than its length needs");
        const struct piece *piece = at(store, next);
        size_t length = left < sizeof(piece->text) ? left : sizeof(piece->text);
        take(taker, piece->text, length);
        left -= length;
        next = load32(&piece->link);
    }
}

void journal_give_texts(const struct store *store, const struct journal_record *record,
                        void (*take)(void *taker, const void *bytes, size_t length), void *taker)
{
    const struct journal_note *note = &store->ring[record->sequence % RING];
    if (note->message) {
        give_message(store, record, note->message, take, taker);
    } else if (note->text) {
        const struct identity *identity = at(store, note->text);
        take(taker, identity->text, record->sender_length);
        take(taker, identity->text + record->sender_length + 1, record->subject_length);
    }
}
