/* message.h: messages as blocks: drafts, pins, and their end. Private to src/store; within a transaction
 * unless said. */
#ifndef SHMAIL_MESSAGE_H
#define SHMAIL_MESSAGE_H

#include "block.h"
#include "mailbox.h"

static inline enum message_state message_state(uint32_t shape)
{
    return (enum message_state)(shape >> 24);
}

static inline uint32_t message_shape(enum message_state state, size_t sender, size_t subject)
{
    return (uint32_t)state << 24 | (uint32_t)sender << 16 | (uint32_t)subject;
}

static inline uint32_t message_with_state(uint32_t shape, enum message_state state)
{
    return (shape & 0xffffffu) | (uint32_t)state << 24;
}

static inline size_t message_sender_length(uint32_t shape)
{
    return shape >> 16 & 0xff;
}

static inline size_t message_subject_length(uint32_t shape)
{
    return shape & 0xffff;
}

/* Bytes of text (sender, subject, body) in the head; the rest is in pieces. */
size_t message_head_text(size_t sender_and_subject, size_t body);

/* Bytes that count against a mailbox. */
uint64_t message_bytes(const struct message_record *);

/* What a pinned message is, to who reads it. */
void message_describe(const struct store *, block_t, struct message *);

/* Pins for this process and describes it. STATUS_NO_MEMORY: PINS_MAX are pinned already. */
enum status message_pin(struct store *, block_t, struct message *);

/* Takes one pin of a message away, and frees it where that was the last one of a deleted message. */
void message_unpin(struct store *, block_t);

/* Every pin of this process but the last one. */
void message_release_but_last(struct store *);

/* Takes this slot's last pin away. */
void message_unpin_last(struct store *, struct slot *);

/* The message belongs to nothing any more: frees it, or leaves it to its pins or to the limbo list. */
void message_drop(struct store *, block_t);

/* Says whose a draft is to be, and when it came: before the end of the transaction that publishes it nobody
 * looks at that, so it is simply written. */
void draft_address(struct store *, block_t, uint32_t owner, message_id id, int64_t received);

/* The message goes from one account to another. */
void message_readdress(struct store *, block_t, uint32_t owner, message_id id);

/* The block of the draft behind so many, or of the one that may be written there; 0: there is none. */
block_t draft_behind(const struct store *, uint32_t count);

/* Within the transaction that publishes so many drafts, the first ones: the slot lets go of them. A process
 * that writes one draft after the other in blocks of one size gets the next blocks here, and so does without
 * a transaction for that. */
void draft_let_go(struct store *, uint32_t count);

/* Gives back up to STEP_BLOCKS of the slot's draft, and with the last one its run; true when none is left. */
bool draft_drop_step(struct store *, struct slot *);

/* False: somebody has scribbled over the blocks that the slot of a dead process owes, or its pins, and to
 * give them back would lead astray. */
bool message_owed_can_be(const struct store *, const struct slot *);

/* Gives back the run of some process, which does without one then. STATUS_FULL_SEGMENT: nobody has one. For
 * transaction_finish, like block_free_kept. */
enum status draft_recall_run(struct store *);

/* Without a transaction: frees what stands on the limbo list. */
void message_sweep(struct store *);

#endif
