/* mailbox.h: one FIFO of immutable messages per account (the seed's MBX).
 *
 * A message is written into a draft (blocks reserved for this process, written outside every lock) and
 * becomes visible by one short step. A reader pins a message and reads it in place; a deleted message lives
 * until its last pin goes. */
#ifndef SHMAIL_MAILBOX_H
#define SHMAIL_MAILBOX_H

#include "account.h"

#include <signal.h>

typedef uint64_t message_id; /* per mailbox: 1, 2, ...; never used again */

/* What a new message says. sender is the canonical name of who sends it. */
struct letter {
    const char *sender, *subject, *body;
    size_t sender_length, subject_length, body_length;
};

/* Reserves blocks and copies the letter into them, for a process that has no draft. It is given back by
 * draft_drop, or by publishing it. STATUS_FULL_SEGMENT, STATUS_TOO_LONG (limit.h): no draft then. */
enum status draft_write(struct store *, const struct letter *);
void draft_drop(struct store *);

/* The same behind count drafts that the process has already, without any lock. False: that cannot be; those
 * before it have to be published first. */
bool draft_write_behind(struct store *, uint32_t count, const struct letter *);
/* Gives back the first of several. */
void draft_drop_first(struct store *);

/* Publishes the draft as the newest message of the mailbox, sets *id, and wakes who waits for it.
 * STATUS_GONE: the account was removed; STATUS_FULL_MAILBOX: the quota is reached; STATUS_FULL_SEGMENT. On
 * each the draft stays. */
enum status mailbox_append(struct store *, account_t, message_id *id);

/* The same for several drafts: publishes *count of them, the first ones and at least one, by one step, under
 * the ids from *first on. On failure, which is that of the first, all stay. */
enum status mailbox_append_drafts(struct store *, account_t, uint32_t drafts, message_id *first,
                                  uint32_t *count);

/* The number of messages; one load, no lock. 0 for an account that is gone. */
uint64_t mailbox_count(struct store *, account_t);

/* A pinned message. Its texts lie in the segment and stay until message_release; they have no NUL at their
 * end. */
struct message {
    message_id id;
    int64_t received; /* Unix seconds */
    const char *sender, *subject;
    size_t sender_length, subject_length, body_length;
    uint32_t reference; /* private to the store */
};

/* Where one is in a body that lies in several pieces. Starts as {0}. */
struct message_cursor {
    size_t done;
    uint32_t piece;
};

/* The next run of the body, or false at its end. */
bool message_next(struct store *, const struct message *, struct message_cursor *, const char **bytes,
                  size_t *length);

/* Each pins the message on STATUS_OK; at most PINS_MAX may be pinned at once (STATUS_NO_MEMORY over that).
 * STATUS_NO_MESSAGE, STATUS_GONE. */
enum status mailbox_first(struct store *, account_t, struct message *);
enum status mailbox_open(struct store *, account_t, message_id, struct message *);

/* True if the first message is the one that this process has pinned last: it is given once more, by the same
 * pin, and needs no lock. False: ask mailbox_first. */
bool mailbox_first_again(struct store *, account_t, struct message *);

/* The oldest messages with after < id <= newest, in order, at most most of them, all from one instant.
 * STATUS_OK with *count == 0: there are no more. STATUS_GONE; STATUS_NO_MEMORY: not even one could be pinned.
 */
enum status mailbox_list(struct store *, account_t, message_id after, message_id newest,
                         struct message *messages, size_t most, size_t *count);

/* The id that the newest message ever got; 0: none yet, or the account is gone. */
message_id mailbox_newest(struct store *, account_t);

void message_release(struct store *, struct message *);
void message_release_all(struct store *);  /* every pin of this process, in one step */
size_t message_pins(const struct store *); /* how many pins this process has */

/* STATUS_NO_MESSAGE, STATUS_GONE. */
enum status mailbox_delete_first(struct store *, account_t);
enum status mailbox_delete(struct store *, account_t, message_id);

/* Sleeps until the mailbox holds at least count messages, the deadline (clock.h) passes (STATUS_TIMED_OUT),
 * the account goes (STATUS_GONE), or interrupted(context) answers true (STATUS_HANGUP); that is asked
 * before it sleeps, and again whenever store_interrupt has been called. sleep_mask is the signal mask while
 * asleep. *held is how many there were at the end. */
enum status mailbox_wait(struct store *, account_t, uint64_t count, int64_t deadline,
                         const sigset_t *sleep_mask, bool (*interrupted)(void *context), void *context,
                         uint64_t *held);

#endif
