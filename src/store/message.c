/* message.c: a message's blocks, from draft to limbo.
 *
 * A draft is written outside every lock into blocks that only this process's slot refers to. A message that
 * is deleted while pinned belongs to its pins; one of many blocks is freed from the limbo list in several
 * steps. */
#include "message.h"

#include "lock.h"
#include "log.h"
#include "prefetch.h"
#include "process.h"
#include "transaction.h"

#include <string.h>

enum {
    DRAFTS_AHEAD = 8,             /* blocks that a process keeps for its next drafts, */
    DRAFTS_AHEAD_BYTES = 8 << 10, /* at most, and of at most so many bytes, */
    DRAFTS_RUN = 16,              /* until so many were alike: then it keeps the rest of a page */
    HEAD_TEXT_MAX = BLOCK_MAX - sizeof(struct message_record),
    OWED_MOST = MESSAGE_LIMIT_MAX / PIECE_TEXT + 2 + DRAFTS_AHEAD /* blocks, beside a run */
};

size_t message_head_text(size_t fixed, size_t body)
{
    size_t total = fixed + body;
    if (total <= HEAD_TEXT_MAX)
        return total;
    size_t pieces = (total - HEAD_TEXT_MAX + PIECE_TEXT - 1) / PIECE_TEXT;
    size_t in_pieces = pieces * PIECE_TEXT;
    size_t rest = total > in_pieces ? total - in_pieces : 0;
    return rest > fixed ? rest : fixed;
}

static size_t fixed_text(uint32_t shape)
{
    return message_sender_length(shape) + message_subject_length(shape);
}

uint64_t message_bytes(const struct message_record *message)
{
    return fixed_text(message->shape) + (uint64_t)message->body_length;
}

/* Reserves one block in front of the draft's chain. */
static enum status reserve(struct store *store, size_t size)
{
    block_t block;
    enum status status = block_allocate(store, size, &block);
    if (status != STATUS_OK)
        return status;
    set32(store, at(store, block), get32(store, &store->slot->draft));
    set32(store, &store->slot->draft, block);
    return STATUS_OK;
}

/* The pieces first, the head last, so that the chain runs from the head through the pieces in order. */
static enum status reserve_all(struct store *store, size_t head, size_t pieces)
{
    enum status status;
    bool with_head = false;
    while (!with_head) {
        size_t left = pieces;
        do {
            transaction_begin(store);
            status = STATUS_OK;
            left = pieces;
            for (int i = 0; status == STATUS_OK && left > 0 && i < STEP_BLOCKS; i++, left--)
                status = reserve(store, BLOCK_MAX);
            with_head = status == STATUS_OK && left == 0;
            if (with_head)
                status = reserve(store, head);
        } while (!transaction_finish(store, &status));
        if (status != STATUS_OK)
            return status;
        pieces = left;
    }
    return STATUS_OK;
}

static enum status reserve_draft(struct store *store, size_t head, size_t pieces)
{
    size_t block = pieces ? 0 : block_class_size(head);
    bool repeats = block && block == store->draft_block;
    store->drafts_alike = repeats ? store->drafts_alike + 1 : 0;
    store->draft_block = block;
    if (repeats && store->slot->draft)
        return STATUS_OK;
    draft_drop(store);
    enum status status = reserve_all(store, head, pieces);
    if (status != STATUS_OK)
        draft_drop(store);
    return status;
}

block_t draft_behind(const struct store *store, uint32_t count)
{
    block_t block = store->slot->draft;
    for (; block && count > 0; count--)
        block = ((const struct message_record *)at(store, block))->link;
    return block;
}

void draft_address(struct store *store, block_t draft, uint32_t owner, message_id id, int64_t received)
{
    struct message_record *message = at(store, draft);
    message->owner = owner;
    message->id = id;
    message->received = received;
}

void message_readdress(struct store *store, block_t block, uint32_t owner, message_id id)
{
    struct message_record *message = at(store, block);
    set32(store, &message->owner, owner);
    set64(store, &message->id, id);
}

/* A chain of the next blocks of the run, or of the first of a new one, up to most; 0: there is none. Nobody
 * else looks at them yet, so their links are simply written. */
static block_t take_of_run(struct store *store, uint32_t most)
{
    block_t first = store->slot->run;
    if (!first && (store->drafts_alike < DRAFTS_RUN || !block_take_run(store, store->draft_block, &first)))
        return 0;
    block_t rest = first;
    for (; rest && most > 0; most--) {
        block_t next = block_run_next(store, rest, store->draft_block);
        ((struct message_record *)at(store, rest))->link = most > 1 ? next : 0;
        rest = next;
    }
    set32(store, &store->slot->run, rest);
    return first;
}

/* A chain of blocks for the drafts that come next; 0: there is no room for one. Several at a time, because
 * what tells which blocks are free is what processes that send fight for; and in the end pages of its own,
 * because memory that two processors write by turns is what both wait for. */
static block_t reserve_ahead(struct store *store)
{
    if (store->draft_block > DRAFTS_AHEAD_BYTES || !transaction_has_room(store, 16 + DRAFTS_AHEAD))
        return 0;
    uint32_t most = (uint32_t)(DRAFTS_AHEAD_BYTES / store->draft_block);
    most = most < DRAFTS_AHEAD ? most : DRAFTS_AHEAD;
    block_t first = take_of_run(store, most);
    return first || block_allocate_chain(store, store->draft_block, most, &first) == STATUS_OK ? first : 0;
}

void draft_let_go(struct store *store, uint32_t count)
{
    block_t next = 0;
    if (store->draft_block > 0) {
        next = draft_behind(store, count);
        if (!next && store->drafts_alike > 0)
            next = reserve_ahead(store);
    }
    if (next)
        prefetch_to_write(at(store, next), store->draft_block);
    set32(store, &store->slot->draft, next);
}

/* What the draft after next will need, which another processor may have cleared. Others may take the run back
 * meanwhile, but not its memory. It is not only asked for but looked at: what the processor has no address
 * for it does not fetch. */
static void fetch(const struct store *store, block_t block)
{
    if (!block)
        return;
    (void)load32(at(store, block));
    prefetch_to_write(at(store, block), store->draft_block);
}

/* The block of the run that stands where the draft does in the chain: for the next chain. */
static block_t of_run(const struct store *store, uint32_t index)
{
    block_t block = load32(&store->slot->run);
    for (; block && index > 0; index--)
        block = block_run_next(store, block, store->draft_block);
    return block;
}

/* What of the letter the draft's first block has. */
static void write_head(struct store *store, block_t block, const struct letter *letter, size_t in_head)
{
    struct message_record *message = at(store, block);
    size_t fixed = letter->sender_length + letter->subject_length;
    message->pieces = letter->body_length > in_head ? message->link : 0;
    message->pins = 0;
    message->body_length = (uint32_t)letter->body_length;
    message->shape = message_shape(MESSAGE_DRAFT, letter->sender_length, letter->subject_length);
    if (letter->sender_length)
        memcpy(message->text, letter->sender, letter->sender_length);
    if (letter->subject_length)
        memcpy(message->text + letter->sender_length, letter->subject, letter->subject_length);
    if (in_head)
        memcpy(message->text + fixed, letter->body, in_head);
}

bool draft_write_behind(struct store *store, uint32_t count, const struct letter *letter)
{
    size_t text = letter->sender_length + letter->subject_length + letter->body_length;
    if (text > HEAD_TEXT_MAX || letter->sender_length > NAME_MAX_BYTES ||
        letter->subject_length > SUBJECT_MAX ||
        block_class_size(sizeof(struct message_record) + text) != store->draft_block)
        return false;
    block_t block = draft_behind(store, count);
    if (!block)
        return false;
    store->drafts_alike++;
    fetch(store, of_run(store, count));
    write_head(store, block, letter, letter->body_length);
    return true;
}

enum status draft_write(struct store *store, const struct letter *letter)
{
    if (letter->sender_length > NAME_MAX_BYTES || letter->subject_length > SUBJECT_MAX ||
        letter->body_length > MESSAGE_LIMIT_MAX)
        return STATUS_TOO_LONG;
    size_t fixed = letter->sender_length + letter->subject_length;
    size_t in_head = message_head_text(fixed, letter->body_length) - fixed;
    size_t pieces = (letter->body_length - in_head + PIECE_TEXT - 1) / PIECE_TEXT;
    enum status status = reserve_draft(store, sizeof(struct message_record) + fixed + in_head, pieces);
    if (status != STATUS_OK)
        return status;
    block_t next = draft_behind(store, 1);
    fetch(store, next ? next : of_run(store, 0));
    const struct message_record *message = at(store, store->slot->draft);
    write_head(store, store->slot->draft, letter, in_head);
    size_t done = in_head;
    for (block_t block = message->pieces; block; block = ((struct piece *)at(store, block))->link) {
        struct piece *piece = at(store, block);
        size_t length = letter->body_length - done < PIECE_TEXT ? letter->body_length - done : PIECE_TEXT;
        memcpy(piece->text, letter->body + done, length);
        done += length;
    }
    return STATUS_OK;
}

bool draft_drop_step(struct store *store, struct slot *slot)
{
    block_t block = get32(store, &slot->draft);
    for (int i = 0; block && i < STEP_BLOCKS; i++) {
        block_t next = get32(store, at(store, block));
        block_free(store, block);
        block = next;
    }
    if (block != get32(store, &slot->draft))
        set32(store, &slot->draft, block);
    if (block)
        return false;
    if (slot->run) { /* beside no more than DRAFTS_AHEAD blocks, so there is room for it */
        block_free_run(store, slot->run);
        set32(store, &slot->run, 0);
    }
    return true;
}

static bool is_pinned(const struct slot *slot, block_t block)
{
    uint32_t pin = 0;
    while (pin < slot->pins && slot->pinned[pin] != block)
        pin++;
    return pin < slot->pins;
}

/* What is owed twice would be freed twice. */
bool message_owed_can_be(const struct store *store, const struct slot *slot)
{
    if (slot->pins > PINS_MAX || (slot->run && !block_is_run(store, slot->run)))
        return false;
    for (uint32_t i = 0; i < slot->pins; i++)
        if (!block_is_one(store, slot->pinned[i]) || block_in_run(store, slot->pinned[i], slot->run))
            return false;
    int owed = 0;
    for (block_t block = slot->draft; block; block = load32(at(store, block)))
        if (++owed > OWED_MOST || !block_is_one(store, block) || block_in_run(store, block, slot->run) ||
            is_pinned(slot, block))
            return false;
    return true;
}

enum status draft_recall_run(struct store *store)
{
    for (uint32_t i = 0; process_next(store, &i); i++) {
        struct slot *slot = slot_at(store, i);
        if (process_has_slot(store, i) && slot->run) {
            block_free_run(store, slot->run);
            set32(store, &slot->run, 0);
            return STATUS_OK;
        }
    }
    return STATUS_FULL_SEGMENT;
}

void draft_drop_first(struct store *store)
{
    block_t draft = store->slot->draft;
    transaction_begin(store);
    set32(store, &store->slot->draft, draft_behind(store, 1));
    block_free(store, draft);
    transaction_end(store, STATUS_OK);
}

void draft_drop(struct store *store)
{
    bool done = store->slot->draft == 0 && load32(&store->slot->run) == 0;
    while (!done) {
        transaction_begin(store);
        done = draft_drop_step(store, store->slot);
        transaction_end(store, STATUS_OK);
    }
}

static_assert(PINS_MAX + 1 <= REDO_MAX, "a listing pins as many in one transaction");

void message_describe(const struct store *store, block_t block, struct message *message)
{
    const struct message_record *record = at(store, block);
    *message = (struct message){
        .id = record->id,
        .received = record->received,
        .sender = record->text,
        .sender_length = message_sender_length(record->shape),
        .subject = record->text + message_sender_length(record->shape),
        .subject_length = message_subject_length(record->shape),
        .body_length = record->body_length,
        .reference = block,
    };
}

enum status message_pin(struct store *store, block_t block, struct message *message)
{
    struct slot *slot = store->slot;
    uint32_t pins = get32(store, &slot->pins);
    if (pins == PINS_MAX)
        return STATUS_NO_MEMORY;
    struct message_record *record = at(store, block);
    slot->pinned[pins] = block;
    set32(store, &slot->pins, pins + 1);
    set32(store, &record->pins, get32(store, &record->pins) + 1);
    message_describe(store, block, message);
    return STATUS_OK;
}

void message_unpin(struct store *store, block_t block)
{
    struct message_record *record = at(store, block);
    uint32_t pins = get32(store, &record->pins) - 1;
    set32(store, &record->pins, pins);
    if (pins == 0 && message_state(get32(store, &record->shape)) == MESSAGE_DELETED)
        message_drop(store, block);
}

void message_unpin_last(struct store *store, struct slot *slot)
{
    uint32_t pins = get32(store, &slot->pins) - 1;
    set32(store, &slot->pins, pins);
    message_unpin(store, get32(store, &slot->pinned[pins]));
}

void message_drop(struct store *store, block_t block)
{
    struct message_record *record = at(store, block);
    set32(store, &record->shape, message_with_state(get32(store, &record->shape), MESSAGE_DELETED));
    if (get32(store, &record->pins) > 0)
        return;
    if (record->pieces == 0) {
        block_free(store, block);
    } else {
        set32(store, &record->link, get32(store, &store->header->limbo));
        set32(store, &store->header->limbo, block);
    }
}

/* Some of the blocks of the message that the limbo list begins with. */
static void free_step(struct store *store, block_t block)
{
    struct message_record *record = at(store, block);
    block_t piece = get32(store, &record->pieces);
    for (int i = 0; piece && i < STEP_BLOCKS; i++) {
        block_t next = get32(store, at(store, piece));
        block_free(store, piece);
        piece = next;
    }
    set32(store, &record->pieces, piece);
    if (!piece) {
        set32(store, &store->header->limbo, get32(store, &record->link));
        block_free(store, block);
    }
}

void message_sweep(struct store *store)
{
    for (bool goes_on = false; load32(&store->header->limbo); goes_on = true) {
        if (goes_on)
            lock_give_way(store);
        transaction_begin(store);
        block_t first = store->header->limbo;
        bool is_sound = !first || block_is_one(store, first);
        if (first && is_sound)
            free_step(store, first);
        transaction_end(store, STATUS_OK);
        if (!is_sound) {
            store_suspect(store);
            return;
        }
    }
}

void message_release(struct store *store, struct message *message)
{
    struct slot *slot = store->slot;
    transaction_begin(store);
    uint32_t i = 0;
    while (i < slot->pins && slot->pinned[i] != message->reference)
        i++;
    if (i == slot->pins)
        bug("a message is released that is not pinned");
    uint32_t last = slot->pins - 1;
    if (i != last) {
        set32(store, &slot->pinned[i], slot->pinned[last]);
        set32(store, &slot->pinned[last], message->reference);
    }
    message_unpin_last(store, slot);
    transaction_end(store, STATUS_OK);
    message_sweep(store);
}

static void release_until(struct store *store, uint32_t left)
{
    struct slot *slot = store->slot;
    if (slot->pins <= left)
        return;
    while (slot->pins > left) {
        transaction_begin(store);
        while (get32(store, &slot->pins) > left && transaction_has_room(store, 16))
            message_unpin_last(store, slot);
        transaction_end(store, STATUS_OK);
    }
    message_sweep(store);
}

void message_release_all(struct store *store)
{
    release_until(store, 0);
}

void message_release_but_last(struct store *store)
{
    struct slot *slot = store->slot;
    if (slot->pins <= 1)
        return;
    block_t last = slot->pinned[slot->pins - 1];
    transaction_begin(store);
    set32(store, &slot->pinned[slot->pins - 1], slot->pinned[0]);
    set32(store, &slot->pinned[0], last);
    transaction_end(store, STATUS_OK);
    release_until(store, 1);
}

size_t message_pins(const struct store *store)
{
    return store->slot->pins;
}

bool message_next(struct store *store, const struct message *message, struct message_cursor *cursor,
                  const char **bytes, size_t *length)
{
    const struct message_record *record = at(store, message->reference);
    size_t fixed = message->sender_length + message->subject_length;
    if (cursor->done == 0) {
        cursor->piece = record->pieces;
        *length = message_head_text(fixed, message->body_length) - fixed;
        *bytes = record->text + fixed;
        cursor->done = *length;
        if (*length > 0)
            return true;
    }
    if (cursor->done == message->body_length)
        return false;
    const struct piece *piece = at(store, cursor->piece);
    size_t left = message->body_length - cursor->done;
    *bytes = piece->text;
    *length = left < PIECE_TEXT ? left : PIECE_TEXT;
    cursor->done += *length;
    cursor->piece = piece->link;
    return true;
}
