/* lock.pml: the store's lock and its takeover, step by step as src/store codes them, for spin. In come macros
 * that choose a configuration and at most one mutant; out go the promises, as assertions and as formulas. It
 * knows nothing of what transactions are for.
 *
 * A step is one access to shared memory or one system call, with the decisions that follow from it. Between
 * any two, any other process may run and this one may be killed or stopped. Memory is sequentially
 * consistent. README.md says which step stands for which lines. */

#ifndef PROCESSES
#define PROCESSES 2 /* or 3; as many slots */
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* transactions in a life, without those that settle for a dead one; 255: no end */
#endif
#ifndef DEATHS
#define DEATHS 0 /* by SIGKILL; after each a new process may come */
#endif
#ifndef STOPS
#define STOPS 0 /* by SIGSTOP, and never continued: a stop that ends is no more than to be slow */
#endif

/* process.h, lock.h */
#define IN_USE 1
#define WAITERS 128
#define OWNER_WORD(slot, life) (((slot) + 1) << 5 | GENERATION(life))
#define OWNER_SLOT(word) (((word) >> 5 & 3) - 1)
#define NAME(word) ((word) & 127)

#include "mutant.h"

#define NOBODY 0
#define DEAD 255

/* The segment. */
byte owner;
byte life[PROCESSES];
bool redo_count[PROCESSES]; /* the slot's record is committed */

/* Values, as far as they matter: true for what the last committed transaction wrote. A record has two entries
 * of one value. */
bool redo_is_last[PROCESSES];
bool field_is_last[2] = true;

/* Whose the slot's fcntl bytes are: process + 1. */
byte held[PROCESSES];
byte claimed[PROCESSES];

/* The semaphore. A sleep that may time out may end at any moment, so that nothing depends on the count: there
 * it is left at 0, to save states, unless SEMAPHORE is defined. */
byte sleepers;
#if defined(SEMAPHORE) || defined(NO_TIME_OUT)
#define POSTED 1
#else
#define POSTED 0
#endif

/* What only the observer knows. */
byte holder; /* of the lock: process + 1, NOBODY or DEAD */
byte deaths;
byte stops;
byte over; /* processes that have ended or are stopped */
bool is_stopped[PROCESSES];

/* The promises: each holds after every step, and spin names the one that does not. */
bool nobody_shares = true;
bool nobody_robs_the_stopped = true;
bool recovered_before_use = true;
bool nobody_calls_bug = true; /* bug() in lock.c */

mtype = {
    CLAIM, RECLAIM, BEGIN, HOLD, LET_BE, RECLAIM_END, RECLAIM_FREE, LEAVE, LEAVE_BYTE, /* process.c */
    TAKE, READ, TAKE_FREE, ASK_LIFE, ASK_BYTE, TAKE_OVER, MARK, SLEEP, DRAIN, RELEASE, POST, /* lock.c */
    BEGUN, APPLY_FIRST, APPLY_SECOND, APPLIED, RECOVER /* transaction.c */
};

/* Takes the lock; in one step with the test of the word. */
inline acquire(word)
{
    nobody_robs_the_stopped = holder == NOBODY || holder == DEAD || !is_stopped[holder - 1];
    assert(nobody_robs_the_stopped);
    nobody_shares = holder == NOBODY || holder == DEAD;
    assert(nobody_shares);
    owner = word;
    holder = self + 1;
    seen = 0;
    slept = false;
}

inline free_slot(which)
{
    held[which] = NOBODY;
    claimed[which] = NOBODY;
}

inline begin_life(which, now)
{
    life[which] = (now -> ((life[which] & ~IN_USE) + 2) | IN_USE : life[which]);
}

/* To what a process does outside the lock: reclaim, transactions, the end. */
inline go_on()
{
    other = other + (other == slot);
    at = (other < PROCESSES -> RECLAIM : (rounds > 0 -> TAKE : LEAVE));
}

inline go_on_settled()
{
    begin_life(slot, !LIFE_NOW);
    me = OWNER_WORD(slot, life[slot]);
    settles = false;
    go_on();
}

/* The slot is taken, by one that claims or that reclaims. */
inline have_slot()
{
    if
    :: me -> reclaims = settles; at = (settles -> TAKE : RECLAIM_END)
    :: !me ->
        slot = other;
        me = FIRST_WORD;
        other = 0;
        if
        :: settles -> at = TAKE
        :: else -> go_on_settled()
        fi
    fi;
}

/* To the rest of take_slowly's loop, when there is no lock to take. */
inline go_to_sleep()
{
    if
    :: seen & WAITERS -> seen = 0; at = SLEEP
    :: else -> at = MARK
    fi;
}

/* What a transaction sees when it begins. */
inline use_fields()
{
    recovered_before_use = field_is_last[0] && field_is_last[1] &&
        !redo_count[0] && !redo_count[1] && !redo_count[PROCESSES - 1];
    assert(recovered_before_use);
}

/* To what the transaction was for. */
inline go_from_transaction()
{
    seen = 0;
    if
    :: reclaims -> reclaims = false; settles = false; at = RECLAIM_END
    :: settles && !reclaims -> go_on_settled()
    :: !settles && !reclaims -> rounds = rounds - (rounds < 255); go_on()
    fi;
}

/* What a process knows is gone with it; the next begins with nothing. */
inline forget()
{
    slot = 0;
    me = 0;
    rounds = ROUNDS;
    settles = false;
    reclaims = false;
    recovers = false;
    other = 0;
    seen = 0;
    slept = false;
    index = 0;
    at = CLAIM;
}

/* SIGKILL: the kernel frees its bytes. */
inline die()
{
    deaths++;
    index = 0;
    do
    :: index < PROCESSES ->
        held[index] = (held[index] == self + 1 -> NOBODY : held[index]);
        claimed[index] = (claimed[index] == self + 1 -> NOBODY : claimed[index]);
        index++
    :: else -> break
    od;
    holder = (holder == self + 1 -> DEAD : holder);
    over = over - is_stopped[self];
    is_stopped[self] = false;
    forget();
}

#ifdef STOP_OWNERS
#define MAY_BE_STOPPED true
#else
#define MAY_BE_STOPPED (holder != self + 1)
#endif

/* A process, and after its death the next. The first is attached already; those that follow attach. */
proctype process(byte self)
{
    mtype at = TAKE;
    byte slot = self;
    byte me = OWNER_WORD(self, life[self]);
    byte rounds = ROUNDS;
    bool settles;           /* this transaction gives back what a dead one owed: in slot */
    bool reclaims;          /* or in other */
    byte other = PROCESSES; /* to be reclaimed next; PROCESSES: none */
    byte seen;              /* the owner word as last read */
    bool slept;
    bool recovers;          /* applies the record of index, not its own */
    byte index;

    do
    /* claim, reclaim_slot: the map only hints, so any slot may be tried, or none. */
    :: d_step { at == CLAIM && claimed[0] == NOBODY -> claimed[0] = self + 1; other = 0; at = GONE }
    :: d_step { at == CLAIM && claimed[1] == NOBODY -> claimed[1] = self + 1; other = 1; at = GONE }
#if PROCESSES > 2
    :: d_step { at == CLAIM && claimed[2] == NOBODY -> claimed[2] = self + 1; other = 2; at = GONE }
#endif
    :: d_step { at == CLAIM -> over++ } break
    :: d_step { at == RECLAIM && claimed[other] == NOBODY -> claimed[other] = self + 1; at = GONE }
    :: d_step { at == RECLAIM -> other++; go_on() }

    /* take_over. Nobody else has the slot's byte, but with a mutant; where one cannot be had the slot is let be. */
    :: d_step { at == BEGIN -> settles = life[other] & IN_USE; begin_life(other, LIFE_NOW); LIFE_BEGUN }
    :: d_step { at == HOLD && held[other] == NOBODY -> held[other] = self + 1; CLAIM_KEPT; HELD }
#ifdef CLAIM_GIVEN_BACK
    :: d_step { at == HOLD && held[other] != NOBODY -> claimed[other] = NOBODY; at = (me -> LET_BE : CLAIM) }
    :: d_step { at == LET_BE -> other++; go_on() }
#endif

    /* the end of reclaim_slot */
    :: d_step { at == RECLAIM_END -> life[other] = life[other] & ~IN_USE; at = RECLAIM_FREE }
    :: d_step { at == RECLAIM_FREE -> free_slot(other); other++; go_on() }

    /* lock_take: each further spin is like the first. */
    :: d_step { at == TAKE && owner == 0 -> acquire(me); at = BEGUN }
    :: d_step { at == TAKE && owner != 0 -> at = READ }

    /* take_slowly */
    :: d_step { at == READ ->
            seen = owner;
            nobody_calls_bug = NAME(seen) != me;
            assert(nobody_calls_bug);
            if
            :: seen == 0 -> at = TAKE_FREE
            :: seen != 0 && slept -> at = AFTER_SLEEP
            :: seen != 0 && !slept -> go_to_sleep()
            fi
        }
    :: d_step { at == TAKE_FREE && owner == 0 -> acquire(me | KEPT_MARK); at = DRAIN }
    :: d_step { at == TAKE_FREE && owner != 0 -> slept = true; at = READ }

    /* owner_is_dead; F_GETLK never shows a byte to its own holder. */
    :: d_step { at == ASK_LIFE ->
            at = (NAME(seen) != OWNER_WORD(OWNER_SLOT(seen), life[OWNER_SLOT(seen)]) -> TAKE_OVER : ASK_BYTE)
        }
    :: d_step { at == ASK_BYTE ->
            if
            :: held[OWNER_SLOT(seen)] == NOBODY || held[OWNER_SLOT(seen)] == self + 1 -> at = TAKE_OVER
            :: COUNTS_AS_DEAD(OWNER_SLOT(seen)) -> at = TAKE_OVER
            :: else -> go_to_sleep()
            fi
        }
    :: d_step { at == TAKE_OVER && owner == seen -> index = FIRST_RECOVERED; TAKE_FROM_DEAD; at = RECOVER }
    :: d_step { at == TAKE_OVER && owner != seen -> go_to_sleep() }

    :: d_step { at == MARK && owner == seen -> owner = seen | WAITERS; seen = 0; at = SLEEP }
    :: d_step { at == MARK && owner != seen -> seen = 0; slept = true; at = READ }
    :: d_step { at == SLEEP && TIMES_OUT -> slept = true; at = READ }
    :: d_step { at == SLEEP && sleepers > 0 -> sleepers--; slept = true; at = READ }
    :: d_step { at == DRAIN && sleepers > 0 -> sleepers-- }
    :: d_step { at == DRAIN && sleepers == 0 -> at = BEGUN }

    /* transaction_begin; its entries are nothing until transaction_seal, if it comes to that. */
    :: d_step { at == BEGUN -> use_fields(); at = RELEASE }
    :: d_step { at == BEGUN ->
            use_fields();
            redo_count[slot] = true;
            field_is_last[0] = false; field_is_last[1] = false;
            redo_is_last[0] = false; redo_is_last[1] = false; redo_is_last[PROCESSES - 1] = false;
            redo_is_last[slot] = true;
            index = slot;
            at = APPLY_FIRST
        }

    /* transaction_apply */
    :: d_step { at == APPLY_FIRST ->
            redo_count[index] = COUNT_WHILE_APPLIED;
            field_is_last[0] = redo_is_last[index];
            at = APPLY_SECOND
        }
    :: d_step { at == APPLY_SECOND -> field_is_last[1] = redo_is_last[index]; at = APPLIED }
    :: d_step { at == APPLIED ->
            redo_count[index] = false;
            redo_is_last[index] = false;
            index = (recovers -> NEXT_RECOVERED : 0);
            at = (recovers -> RECOVER : RELEASE)
        }

    /* transaction_recover */
    :: d_step { at == RECOVER ->
            do /* one step, because only who owns the lock writes a count */
            :: index < PROCESSES && !(redo_count[index] && MAY_COMPLETE(index)) -> index = NEXT_RECOVERED
            :: else -> break
            od;
            recovers = index < PROCESSES;
            at = (recovers -> APPLY_FIRST : AFTER_RECOVERY);
            index = (recovers -> index : 0)
        }

    /* lock_release */
    :: d_step { at == RELEASE ->
            seen = owner;
            nobody_calls_bug = NAME(seen) == me;
            assert(nobody_calls_bug);
            owner = 0;
            holder = NOBODY;
            if
            :: seen & WAITERS -> at = POST
            :: else -> go_from_transaction()
            fi
        }
    :: d_step { at == POST -> sleepers = sleepers + POSTED; go_from_transaction() }

    /* store_detach */
    :: d_step { at == LEAVE -> life[slot] = life[slot] & ~IN_USE; at = LEAVE_BYTE }
    :: d_step { at == LEAVE_BYTE -> free_slot(slot); forget(); over++ } break

    /* SIGKILL, SIGSTOP. The dead one's parent, if there is one, posts (store_wake). */
    :: d_step { deaths < DEATHS && at != CLAIM -> die() }
    :: d_step { deaths < DEATHS && at != CLAIM -> die(); sleepers = (sleepers -> sleepers : POSTED) }
    :: d_step { stops < STOPS && at != CLAIM && MAY_BE_STOPPED -> stops++; over++; is_stopped[self] = true }
end_stopped:
        d_step { deaths < DEATHS -> die() }
    od
}

init
{
    byte self;

    atomic {
        do
        :: self < PROCESSES ->
            claimed[self] = self + 1;
            held[self] = self + 1;
            life[self] = 2 | IN_USE;
            run process(self);
            self++
        :: else -> break
        od
    }
}

ltl everybody_gets_on { <> (over == PROCESSES) }
ltl somebody_gets_on { []<> (holder != NOBODY) && []<> (holder == NOBODY) }
ltl nobody_starves { <> (holder == 1) } /* the first process, for all */
