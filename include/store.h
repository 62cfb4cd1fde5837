/* store.h: one post office in one shared memory segment, as a process sees it.
 *
 * A process opens the store (by name, or a private one), may fork, and then attaches: it claims a process
 * slot, which is its identity towards locks, reservations and pins. All calls of account.h, cookie.h,
 * mailbox.h, queue.h, password.h and throttle.h need an attached store, as store_describe, store_name_peer
 * and store_settle do. Each of them is atomic (seen whole or not at all, also when the caller is killed in
 * it), takes and releases the locks that it needs, and never does I/O under one; none may be called from a
 * signal handler. A store serves one thread. Where there is a journal, each that changes mail or accounts may
 * also return STATUS_FULL_JOURNAL, STATUS_LATE_JOURNAL or STATUS_READ_ONLY.
 */
#ifndef SHMAIL_STORE_H
#define SHMAIL_STORE_H

#include "limit.h"
#include "status.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct store;

/* Names one account for ever: the handle of a removed account never means another one. All zero: none. */
typedef struct account {
    uint32_t index;
    uint32_t generation;
} account_t;

#define ACCOUNT_NONE ((account_t){0, 0})

/* When a change is on disk: before it is acknowledged; whenever the system likes; every so many seconds. */
enum store_sync { STORE_SYNC_ALWAYS, STORE_SYNC_NEVER, STORE_SYNC_TIMED };

enum { STORE_SYNC_SECONDS_MAX = 3600 };

enum { STORE_BYTES = 576 }; /* at least what a process keeps for a store of its own */

struct store_options {
    const char *directory; /* of the journal (shmail-journal(5)); NULL: none. Made where it is missing */
    enum store_sync sync;
    uint32_t sync_seconds;  /* with STORE_SYNC_TIMED: 1 to STORE_SYNC_SECONDS_MAX */
    uint64_t journal_bytes; /* of a journal file at least; 0: 64 MiB */
    const char *name; /* [A-Za-z0-9_.-]{1,POST_OFFICE_MAX}, no dot in front, with must_exist OBJECT_MAX; NULL:
                       * private, ends with its last process */
    bool must_exist;  /* attach only: STATUS_SYSTEM with ENOENT where there is none */
    bool changes;     /* with must_exist: it does more than look, so a journal's directory is needed */
    bool alone;       /* with must_exist: for a repair, which wants all others out, and is kept out by none */
    uint64_t segment_bytes; /* address space of the segment; 0: 64 GiB for a new one, else what it has */
    uint32_t accounts;      /* most accounts; 0: 1,000,000 for a new segment, else what it has */
    uint32_t slots;         /* most processes at once; 0: what the segment has; a new one gets 1,024, */
    uint32_t slots_least;   /* or so many, if that is more */
    uint32_t sessions_per_account; /* a login over this ends the account's oldest session; 0: 1 */
    int crypt_cost;                /* yescrypt cost of new hashes, 1 to 11; 0: the library's default */

    /* 0: no limit. A session ends so long after its last use (by up to a sixteenth later) or its login. */
    uint32_t session_idle_seconds, session_age_seconds;
    /* Most messages, and bytes of their texts, in a mailbox; the same again in a sender's queue. */
    uint64_t quota_messages, quota_bytes;
    void *memory; /* STORE_BYTES of zeros, aligned as malloc's, for what the process keeps; NULL: malloc's */
};

/* Opens the post office or creates it. On failure why[0..why_size) says what to do, in one line, and errno is
 * that of the call that failed, if one did. STATUS_MISMATCH: the segment is of another layout, or has other
 * sizes than the options ask for. While a process has a post office open nobody removes or repairs it; while
 * somebody does, it waits. The descriptor and the mapping live until the process ends: closing them
 * would release the slot of this process (fcntl locks), so there is no close. */
enum status store_open(struct store **, const struct store_options *, char *why, size_t why_size);

/* All that an attached process still needs of the system: descriptors for its locks and the memory behind the
 * segment, and for the journal's two files, through the page cache and past it (-1: there is none). They stay
 * what they are until store_set_aside. */
struct store_descriptors {
    int segment, journal[4];
};
struct store_descriptors store_descriptors(const struct store *);

/* Makes this process the post office's one server until it ends. STATUS_IN_USE: another one lives. */
enum status store_serve(struct store *);

/* Takes that back: whoever is attached goes on without a server. */
void store_serve_no_more(struct store *);

/* Puts one huge page (huge.h) behind what a small post office uses, which takes up to 2 MiB of memory, where
 * there are 64 MiB. While others work; for who has nothing urgent to do. */
void store_gather(struct store *);

/* Claims a slot for this process; peer (cut to PEER_MAX) is for whoever looks at the slots. Reclaims what the
 * dead left where it meets it. STATUS_FULL_SLOTS; STATUS_FULL_SEGMENT: no memory for a slot; STATUS_SYSTEM.
 */
enum status store_attach(struct store *, const char *peer);

/* The same for a process that has nobody to serve yet; it calls store_attach when somebody has come, which
 * always finds it attached. */
enum status store_attach_ahead(struct store *);

/* For who only looks, until it calls store_acquit if it does. Where all slots that are left are dead
 * processes', of whom nothing is settled while the store is suspect, it takes one with all that it owes,
 * which the acquittal or else a later one gives back: or nobody could ever check. */
enum status store_attach_to_check(struct store *, const char *peer);

/* It did so, and owes that still: store_acquit is to be called even if somebody else has acquitted the store.
 */
bool store_inherits(const struct store *);

/* Async-signal-safe. */
bool store_is_attached(const struct store *);

/* Another peer than at store_attach, and where it comes from (source.h). */
struct source;
void store_name_peer(struct store *, const char *peer, const struct source *);

/* How many processes have named that source, this one too. Without a lock. */
size_t store_count_source(struct store *, const struct source *);

/* True once in so many seconds over all processes: for a line of the log that a client can cause at will. */
bool store_may_complain(struct store *, uint32_t seconds);

/* What this process does, for whoever looks at the slots: copied, at most 15 bytes of it. */
void store_describe(struct store *, const char *protocol);

/* Gives everything back: pins, reservations, the entered name, the slot; store_write_unkept before that.
 * Before exit; a killed process is cleaned up after by others. */
void store_detach(struct store *);

/* The same for a process that ends at once, whose slot the kernel then frees: one call less. */
void store_detach_with_end(struct store *);

/* Wakes whoever sleeps for a lock, so that the next one finds a dead owner at once, and notes the death so
 * that the next process to attach reclaims what it left. Takes no lock: for the parent, which calls it when a
 * child has ended otherwise than by store_detach. */
void store_wake(struct store *);

/* Wakes this process from mailbox_wait. Async-signal-safe. */
void store_interrupt(struct store *);

/* Waits until all that this process has done or seen since the last call is durable: before a reply leaves.
 * At once where there is no journal, or its policy is another than STORE_SYNC_ALWAYS: with STORE_SYNC_TIMED
 * it will be in so many seconds, through the keeper. STATUS_READ_ONLY: it never will be. */
enum status store_settle(struct store *);

/* Opens the journal's files once more, for a process that is to keep it: the system tells each open file of a
 * lost write once, so a keeper that shared those of the processes that serve could take that from them. Where
 * there is no /proc, it does share them. Before the sandbox. */
void store_prepare_to_keep(const struct store *);

/* Keeps the journal until *stop: timed syncs, space ahead, checkpoints. For one process beside the others,
 * with the file system at hand; returns at once where there is no journal. While another keeper lives it
 * stands by, unless it is lone or an orphan, which returns at once. */
enum store_stay {
    STORE_STAY,        /* until *stop */
    STORE_STAY_LONE,   /* also until there is a server, which has its own keeper, and no longer than some
                        * seconds after the last other process has gone */
    STORE_STAY_ORPHAN, /* the same, but half a second */
};
void store_keep(struct store *, enum store_stay, const volatile sig_atomic_t *stop,
                const sigset_t *sleep_mask);

/* One lives. Where there is one, its last look before it leaves is for who is attached: who attaches after
 * this looks again. Takes no lock; needs no slot. */
bool store_has_keeper(const struct store *);

/* What was acknowledged is not yet where the policy wants it at an orderly end. Takes no lock. */
bool store_owes_journal(const struct store *);

/* Where no keeper lives, and the policy is another than STORE_SYNC_ALWAYS: writes what is owed, as a keeper
 * does at its end; but syncs nothing after a sync that failed, until there was a checkpoint. Nothing where
 * the store is suspect, or by who has it open without its journal. STATUS_READ_ONLY: it failed. */
enum status store_write_unkept(struct store *);

bool store_has_journal(const struct store *);

/* Gives back what dead processes left and finishes what they began. Needs an attached store. Cheap when
 * nobody died. */
void store_reclaim(struct store *);

/* Walks the whole segment under its lock and proves that every block is in exactly one place, every count
 * true, every record sound. Calls report for each finding; returns how many there were. Needs an attached
 * store. */
size_t store_check(struct store *, void (*report)(void *context, const char *finding), void *context);

/* A process died of a fault and may have written anywhere: until somebody acquits the store, no request
 * should touch it (STATUS_SUSPENDED). Takes no lock; async-signal-safe. For the dying process and for its
 * parent. */
void store_suspect(struct store *);
bool store_is_suspect(const struct store *);

/* Who has the lock, where that is another process of this name space; else 0 or -1. Async-signal-safe. */
pid_t store_lock_holder(const struct store *);

/* Runs store_check; ends the suspicion if it finds nothing. STATUS_DAMAGED: it did. STATUS_NO_MEMORY: it
 * could not run. Needs an attached store. */
enum status store_acquit(struct store *, void (*report)(void *context, const char *finding), void *context);

/* Some process that is attached, other than this one, whatever the segment says; 0: there is none; -1: one
 * whose id is another name space's. */
pid_t store_other_process(const struct store *);

/* For a server without children that will set its post office aside: has it, and its journal's directory, for
 * this process alone. Who opens it by its name waits then, until it is set aside, and opens what has the name
 * instead. False: not yet, because of *pid; as store_other_process, of whoever has it open, but 0 where that
 * is nobody of whom the system knows so: one who was forked by such a one and is not attached, or who looks
 * at the directory alone. To be asked until it is true. */
bool store_take_alone(const struct store *, pid_t *pid);

/* For who has it alone, by store_take_alone or because it is private: keeps a damaged segment under another
 * name, written to aside, and lets go of it, so that store_open makes a new one from the journal. *store is
 * gone afterwards. One that is private, or whose name is another one's or nobody's by now, is just let go
 * (aside is empty). STATUS_SYSTEM: it cannot be renamed; then nothing has changed. */
enum status store_set_aside(struct store **store, const char *name, char *aside, size_t aside_size);

/* Figures of the whole segment, read without a lock: each is true at some instant, not all at the same one.
 */
struct store_figures {
    uint64_t segment_bytes, pages_used, pages_free; /* pages of 64 KiB */
    uint32_t accounts, accounts_most, sessions, slots, slots_most;
    pid_t server; /* 0: none; -1: one whose id is another name space's */
};
void store_figures(struct store *, struct store_figures *);

/* How many processes are attached, and not ahead; and those that are ahead. Without a lock or a system call.
 */
uint32_t store_processes(const struct store *);
uint32_t store_processes_ahead(const struct store *);

/* One process as its slot shows it. */
struct store_process {
    uint32_t slot;
    pid_t pid;
    int64_t since; /* Unix seconds */
    char peer[PEER_MAX + 1];
    char protocol[16];
    char account[NAME_MAX_BYTES + 1]; /* empty: none yet */
    bool waiting, alive;
};

/* Fills the first process at or after *slot and moves *slot beyond it; false: no more. Needs an attached
 * store; of a suspect one no account is named. */
bool store_next_process(struct store *, uint32_t *slot, struct store_process *);

/* Removes the name. STATUS_IN_USE: a server lives, or a process is attached, which would take mail that
 * nobody finds again. */
enum status store_remove(const char *name, char *why, size_t why_size);

#endif
