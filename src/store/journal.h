/* journal.h: the journal of a post office as the store's other files use it. Private to src/store.
 *
 * A transaction notes what it does (journal_note) in the segment's ring of pending records; one process at a
 * time, the leader, writes what is pending to the active file and syncs it for all who wait (store_settle):
 * one of those, or the keeper (journal_write_on). The record's bytes follow from the ring and from messages
 * that it pins, so a dead leader's successor writes the same ones again. shmail-journal(5) is the format. */
#ifndef SHMAIL_JOURNAL_H
#define SHMAIL_JOURNAL_H

#include "journal_format.h"
#include "layout.h"
#include "transaction.h"

#include <string.h>

enum { JOURNAL_BYTES_DEFAULT = 64 << 20 };

/* Bytes of a file that only records which free space may take: so many deletes, before a full disk stops them
 * too, that a checkpoint wins what makes room for others. */
enum { JOURNAL_DELETE_RESERVE = 64 << 10 };

/* Bytes that the keeper writes before it syncs them: whoever commits meanwhile waits for as much. */
enum { JOURNAL_SYNC_STEP = 4 << 20 };

static inline bool journal_is_on(const struct store *store)
{
    return store->header->journal.on != 0;
}

/* The active file: one of the two, whoever scribbles over the segment. */
static inline uint32_t journal_active(const struct store *store)
{
    return load32(&store->header->journal.file) & 1;
}

static inline bool journal_sync_makes_sense(const struct journal_segment *journal)
{
    return journal->sync < STORE_SYNC_TIMED ||
           (journal->sync == STORE_SYNC_TIMED && journal->sync_seconds > 0 &&
            journal->sync_seconds <= STORE_SYNC_SECONDS_MAX);
}

/* When what this process does is on disk: as it was told itself, or as the last server or who has made the
 * segment was, whichever is sooner. */
static inline enum store_sync journal_sync(const struct store *store)
{
    uint32_t theirs = load32(&store->header->journal.sync);
    if (theirs == STORE_SYNC_ALWAYS || store->sync == STORE_SYNC_ALWAYS)
        return STORE_SYNC_ALWAYS;
    return theirs == STORE_SYNC_TIMED ? STORE_SYNC_TIMED : store->sync;
}

/* Has all records up to now synced so many seconds from now at the latest, as this process syncs by the clock
 * or, where nobody does, a second from now. The keeper does it. */
void journal_promise(struct store *);

/* Something was promised that nobody has begun to sync; until when, in monotonic nanoseconds, or
 * DEADLINE_NEVER. */
bool journal_has_promised(const struct store *);
int64_t journal_promise_end(const struct store *);

/* Syncs all that was. For who does not lead. */
enum status journal_redeem(struct store *);

/* The same if it is time. */
void journal_redeem_in_time(struct store *);

/* A checksum of what does not follow from anything else and decides where records go and whether a reader
 * takes them: of file up to epoch. For a check, and before a group or a checkpoint. Not of sync, which a new
 * server sets without the lock. */
uint32_t journal_seal(const struct journal_segment *);

/* Whether somebody has scribbled over that: then it proves nothing about the files. While others are at work,
 * too. */
bool journal_seal_is_broken(const struct journal_segment *);

/* Whether records may go where the marks say: behind the header, and before the end of the room for them. For
 * a check, and before anything is written there. The keeper and the leader need no lock for it. */
static inline bool journal_places_can_be(const struct journal_segment *journal)
{
    uint64_t tail = load64(&journal->tail);
    uint64_t end = load64(&journal->end);
    return tail >= JOURNAL_HEADER_SIZE && tail <= end && end <= load64(&journal->capacity);
}

/* Whether that is the record that was written last, or a later one. */
static inline bool journal_is_last(const struct journal_record *record, uint64_t written)
{
    return record->magic == RECORD_MAGIC && (record->flags & RECORD_SNAPSHOT) == 0 &&
           record->sequence >= written;
}

/* The directory's name for a message: a copy that ends, whoever scribbles over the segment. */
struct journal_directory_name {
    char text[sizeof(((struct journal_segment *)0)->directory)];
};

static inline struct journal_directory_name journal_directory_name(const struct store *store)
{
    struct journal_directory_name name;
    memcpy(name.text, store->header->journal.directory, sizeof(name.text));
    name.text[sizeof(name.text) - 1] = '\0';
    return name;
}

/* Within a transaction, which is dropped if it fails: notes one record. message: a block to write texts from,
 * pinned until then; text: a block with the texts, which then belongs to the journal; else 0. Sets *sequence;
 * 0 where there is no journal. It is observed when the transaction is committed. STATUS_FULL_JOURNAL,
 * STATUS_READ_ONLY, or STATUS_FULL_SEGMENT with store->wants_flush. */
enum status journal_note(struct store *, const struct journal_note *, uint64_t *sequence);

/* Within the same transaction: the record of that sequence is the last one about the account. */
static inline void journal_mark(struct store *store, struct account_record *account, uint64_t sequence)
{
    if (sequence)
        set64(store, &account->changed, sequence);
}

/* This process has seen or done what that record says: store_settle waits for it. */
static inline void journal_observe(struct store *store, uint64_t sequence)
{
    if (sequence > store->observed)
        store->observed = sequence;
}

/* All that has happened so far: for answers that depend on what is not there. */
static inline void journal_observe_all(struct store *store)
{
    if (journal_is_on(store))
        journal_observe(store, load64(&store->header->journal.assigned));
}

/* After STATUS_FULL_JOURNAL, without a lock: waits until the keeper has made room or looked for it once more,
 * or the journal has failed, of which journal_note tells. False: it has found none, there is no keeper and
 * none has come for half a second (for which a process waits once, not at each request), or this operation
 * has waited for long enough: STATUS_LATE_JOURNAL, if it is not the disk that has no space. */
bool journal_await_room(struct store *, enum status *);

/* The lengths of the texts that a note refers to, for its record. */
void journal_measure(const struct store *, const struct journal_note *, struct journal_record *);

/* The pending record of that sequence, all but its checksum. */
void journal_make_record(const struct store *, uint64_t sequence, uint64_t synced, struct journal_record *);

/* Gives such a record's texts, in order, in the pieces in which they lie in the segment. */
void journal_give_texts(const struct store *, const struct journal_record *,
                        void (*take)(void *taker, const void *bytes, size_t length), void *taker);

/* What a process that waits for room has in its slot (settling) in place of a record's sequence. */
#define WAITS_FOR_ROOM UINT64_MAX

/* Wakes whoever sleeps for a leader or for room, and has what it waits for: records up to that sequence. */
void journal_wake(struct store *, uint64_t sequence);

/* Writes everything pending, and with sync also syncs it, whatever the policy. STATUS_READ_ONLY: it failed.
 */
enum status journal_flush(struct store *, bool sync);

/* The leader's role: an owner word, taken from the dead as a lock is, but without a redo record: a leader
 * changes what belongs together by transactions, and else single words (README.md). */
void journal_lead(struct store *);
void journal_follow(struct store *);

/* As the keeper, if somebody has asked for it: writes and syncs group after group for all who wait, until
 * that time, until its semaphore is posted for something else, or until nobody waits, or hardly ever more
 * than one. Between two groups none of those has to be woken, and to get the processor, before the disk has
 * work again. True: there is more of that to do. */
bool journal_write_on(struct store *, int64_t until, const sigset_t *mask);

/* As the keeper: sleeps, under that mask, until somebody posts its semaphore, at most until then. */
void journal_rest(struct store *, int64_t until, const sigset_t *mask);

/* Takes the leader's or the keeper's role as role_take does (lock.h). A dead one may have died in a sync that
 * failed, of which the system tells nobody else: where there was something to sync the file is suspect. */
bool journal_take_role(struct store *, uint64_t *word, bool look_for_dead);

/* As the leader: writes and syncs one group of pending records. *more: there were more than fit, and
 * nothing has failed. */
enum status journal_write_group(struct store *, bool sync, bool *more);

/* The file's bytes are gone or uncertain: nothing is acknowledged any more until a restart. */
void journal_fail(struct store *, int error, const char *what);

/* An epoch that nobody can guess. False: the system has no random numbers. */
bool journal_fresh_epoch(uint64_t *epoch);

/* Before anybody else is attached: reads the directory's active file into the empty segment, or begins a new
 * journal there, with files of at least so many bytes. why: what to do, where it is refused. */
enum status journal_recover(struct store *, uint64_t bytes, char *why, size_t why_size);

/* For who creates a segment, and for who attaches to one: the directory that the options name, or none, is
 * the segment's. The creator recovers what is in it. */
enum status journal_create(struct store *, const struct store_options *, char *why, size_t why_size);
enum status journal_attach(struct store *, const struct store_options *, char *why, size_t why_size);

/* Whether the directory is the segment's, by its lock file. */
bool journal_is_in(const char *path, const uint8_t id[static SEGMENT_ID_SIZE]);

/* Opens the directory and takes its lock; alone, for a segment that is being made. Makes nothing where the
 * segment has its journal already. */
enum status journal_open_directory(struct store *, const struct store_options *, char *why, size_t why_size);

/* Says in the lock file whose the directory is, and lets others have it as well, once the segment has all
 * that it is to have: one that stands without it may go on for as long. STATUS_IN_USE: another one was
 * faster. */
enum status journal_own(struct store *, const struct store_options *, char *why, size_t why_size);

/* The directory, in the segment, for messages and for who asks whether another one is the same. */
void journal_record_directory(struct journal_segment *, const char *given);

/* The directory that was given, or none, is not the segment's: STATUS_MISMATCH, and why says which one is. */
enum status journal_refuse_directory(const struct store *, const struct store_options *, char *why,
                                     size_t why_size);

/* The directory is the segment's, and its active file is not: STATUS_MISMATCH. */
enum status journal_refuse_files(const struct store *, const struct store_options *, char *why,
                                 size_t why_size);

/* Writes the file's header in one synced write. */
enum status journal_write_header(const struct store *, uint32_t file, const struct journal_header *);

/* As the leader: writes into the inactive file's header that it is not the active one. */
enum status journal_retire(struct store *);

/* Sees to it that a file has been written up to size, whatever with, so that no write to it will need space,
 * and no sync more than the write: zeros go where nothing was. STATUS_FULL_JOURNAL: only up to *reached. Both
 * are synced. */
enum status journal_fill(const struct store *, uint32_t file, uint64_t from, uint64_t size,
                         uint64_t *reached);

/* Makes zeros of all that a file has from there on. Not synced. */
enum status journal_wipe(const struct store *, uint32_t file, uint64_t from);

/* Has the file system give both files space up to size, so that the inactive one can always take the state of
 * a log that has grown. STATUS_FULL_JOURNAL: only up to *reached, and errno says why. For the keeper, or
 * before anybody else is attached. */
enum status journal_reserve(const struct store *, uint64_t size, uint64_t *reached);

/* Writes the whole state into the inactive file, with room for so many bytes of log, and makes that the
 * active one. For the keeper. */
enum status journal_checkpoint(struct store *, uint64_t bytes);

/* For who has just become the keeper: a dead one's checkpoint does not run any more. */
void journal_forget_checkpoint(struct store *);

#endif
