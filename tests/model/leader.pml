/* leader.pml: who waits for the disk, who writes for whom, and who wakes whom, step by step as journal_lead.c
 * codes it, for spin. In come macros that choose a configuration and at most one mutant. It knows nothing of
 * what is written.
 *
 * A step is one access to shared memory or one system call, with the decisions that follow from it. Between
 * any two, any other process may run. Memory is sequentially consistent. README.md says which step stands for
 * which lines. */

#ifndef WAITERS
#define WAITERS 2 /* processes that settle records of their own */
#endif
#ifndef ROUNDS
#define ROUNDS 2 /* records of the first one; the others have one each */
#endif

#define KEEPER WAITERS /* a slot */
#define SLOTS (WAITERS + 1)
#define OWNER(slot) ((slot) + 1)
#define WAITS_TO_LEAD 255
#define MOST_POSTS 1 /* more change nothing: who sleeps is woken by one, and drains before */

byte assigned, synced; /* sequences */
byte leader, writer;   /* owner words */
bool writer_asked, writer_sleeps;
byte settling[SLOTS];
byte wake[SLOTS], keeper_wake; /* semaphores */

inline post(semaphore)
{
    semaphore = (semaphore < MOST_POSTS -> semaphore + 1 : semaphore)
}

/* What is not needed any more, so that states that differ only in that are one. */
inline forget()
{
    index = 0;
    wants = 0
}

/* wake: those who wait for something from first to last, at most so many. Who is woken does not wait any more. */
inline wake_some(from, last_of, most)
{
    index = 0;
    do
    :: index < SLOTS && woken < most ->
        wants = settling[index];
        if
        :: wants != 0 && wants >= from && wants <= last_of ->
            atomic {
                if
                :: settling[index] == wants -> settling[index] = 0
                :: else -> wants = 0
                fi
            };
            if
            :: wants != 0 -> post(wake[index]); woken++
            :: else
            fi
        :: else
        fi;
        index++
    :: else -> break
    od;
    forget()
}

/* Mutants. */
#ifdef NEXT_THOUGH_LED
#define FIRST_OF_NEXT(led, sequence) (sequence + 1)
#else
#define FIRST_OF_NEXT(led, sequence) (led != 0 -> WAITS_TO_LEAD : sequence + 1)
#endif

inline wake_next(sequence)
{
    seen = writer;
    first = FIRST_OF_NEXT(seen, sequence);
    seen = 0;
    wake_some(first, WAITS_TO_LEAD, 1);
    first = 0
}

inline wake_served(sequence)
{
    wake_some(1, sequence, 2 * SLOTS)
}

/* journal_write_group, and leave. Nothing is in a group but what was assigned. */
inline write_group()
{
    last = assigned;
    synced = last;
    leader = 0;
    woken = 0
}

/* Until somebody posts: no sleep times out. */
inline sleep_as(slot)
{
    wake[slot] > 0;
    wake[slot]--
}

#ifdef NO_ROUSE
#define ROUSED skip
#else
#define ROUSED post(keeper_wake)
#endif

inline rouse()
{
    if
    :: writer_sleeps ->
        atomic { got = writer_sleeps; writer_sleeps = false };
        if
        :: got -> ROUSED; got = false
        :: else
        fi
    :: else
    fi
}

/* FLUSH: the first one does not settle: it wants to lead (journal_flush). */
#ifdef FLUSH
#define WANTS(sequence) (self == 0 -> WAITS_TO_LEAD : sequence)
#else
#define WANTS(sequence) sequence
#endif

#ifdef LEADER_UNSEEN
#define MAY_LEAD(led) (led == 0)
#else
#define MAY_LEAD(led) (led == 0 || WANTS(0) != 0)
#endif

proctype waiter(byte self)
{
    byte wanted, rounds = (self == 0 -> ROUNDS : 1), index, wants, woken, seen, first, last;
    bool got;

BEGIN:
    if
    :: rounds == 0 -> goto END
    :: else -> rounds--
    fi;
   
    atomic { assigned++; wanted = assigned };
SETTLE:
    if
    :: synced >= wanted && WANTS(0) == 0 -> settling[self] = 0; wanted = 0; goto BEGIN
    :: else
    fi;
    seen = writer;
    if
    :: seen == 0 || WANTS(0) != 0 -> /* has_writer */
        seen = 0;
        atomic { /* try_lead */
            if
            :: leader == 0 -> leader = OWNER(self); goto LEAD
            :: else
            fi
        }
    :: else -> seen = 0
    fi;
    wake[self] = 0; /* sleep_for */
    settling[self] = WANTS(wanted);
    seen = writer;
#ifndef SETTLED_UNSEEN
    if
    :: synced >= WANTS(wanted) -> seen = 0; goto SETTLE
    :: else
    fi;
#endif
    if
    :: MAY_LEAD(seen) && leader == 0 -> seen = 0; goto SETTLE
    :: else -> seen = 0
    fi;
    rouse();
    sleep_as(self);
    goto SETTLE;
LEAD:
   
    settling[self] = 0;
    write_group();
    wake_next(last);
    wake_served(last);
    last = 0;
    if
    :: woken > 0 && writer == 0 && WANTS(0) == 0 -> /* ask_for_writer */
        atomic { got = writer_asked; writer_asked = true };
        if
        :: !got -> post(keeper_wake)
        :: else
        fi;
        got = false
    :: else
    fi;
    woken = 0;
    if
    :: WANTS(0) != 0 -> wanted = 0; goto BEGIN
    :: else -> goto SETTLE
    fi;
END:
    skip
}

proctype keeper()
{
    byte index, wants, woken, seen, first, last;
    bool rests, got, is_wanted;

LOOK:
    is_wanted = false;
    atomic { got = writer_asked; writer_asked = false }; /* journal_write_on */
    if
    :: !got -> goto REST
    :: else -> got = false
    fi;
    atomic {
        if
        :: writer == 0 -> writer = OWNER(KEEPER)
        :: else -> goto REST
        fi
    };
    is_wanted = true;
AGAIN:
    if
    :: goto LEAVE /* its time is up, or one has been alone for long: below */
    :: writer != OWNER(KEEPER) -> goto LEAVE
    :: keeper_wake > 0 -> keeper_wake--; goto LEAVE
    :: keeper_wake == 0
    fi;
    seen = assigned;
    if
    :: seen == synced ->
        last = synced;
        wake_next(last);
        last = 0;
        woken = 0;
        /* rest_while_synced */
#ifndef SLEEPS_AFTER_LOOK
        writer_sleeps = true;
        seen = assigned;
#else
        seen = assigned;
        writer_sleeps = true;
#endif
        rests = (seen == synced);
        seen = 0;
        if
        :: rests ->
end_rest_while_synced:
            keeper_wake > 0;
            keeper_wake--
        :: else
        fi;
        atomic { got = writer_sleeps; writer_sleeps = false };
        seen = assigned;
        if
        :: got && rests -> post(keeper_wake); is_wanted = false
        :: else -> is_wanted = (seen != synced)
        fi;
        seen = 0;
       
        rests = false;
        got = false;
        if
        :: is_wanted -> goto AGAIN
        :: else -> goto LEAVE
        fi
    :: else -> seen = 0
    fi;
    atomic {
        if
        :: leader == 0 -> leader = OWNER(KEEPER)
        :: else -> goto SLEEP
        fi
    };
    settling[KEEPER] = 0;
    write_group(); /* write_one */
    wake_served(last);
    woken = 0;
    wake_next(last);
    last = 0;
    if
    :: woken > 0 -> woken = 0; /* let_lead: for a millisecond */
        settling[KEEPER] = WAITS_TO_LEAD;
        if
        :: wake[KEEPER] > 0 -> wake[KEEPER]--
        :: skip
        fi;
        settling[KEEPER] = 0
    :: else
    fi;
    if
    :: goto AGAIN
    :: is_wanted = false; goto LEAVE /* one has been alone for long */
    fi;
SLEEP:
    wake[KEEPER] = 0;
    settling[KEEPER] = WAITS_TO_LEAD;
    seen = leader;
    if
    :: seen == 0
    :: else -> seen = 0; sleep_as(KEEPER)
    fi;
   
    settling[KEEPER] = 0;
    goto AGAIN;
LEAVE:
    atomic {
        if
        :: writer == OWNER(KEEPER) -> writer = 0
        :: else
        fi
    };
#ifndef LEAVES_QUIETLY
    last = synced;
    wake_next(last);
    wake_served(last);
    last = 0;
    woken = 0;
#endif
    if
    :: is_wanted -> writer_asked = true
    :: else
    fi;
REST:
    if
    :: is_wanted
    :: else ->
end_rest:
        keeper_wake > 0
    fi;
    keeper_wake = 0; /* drained */
    goto LOOK
}

init
{
    byte index = 0;

    atomic {
        do
        :: index < WAITERS -> run waiter(index); index++
        :: else -> break
        od;
        run keeper()
    }
}
