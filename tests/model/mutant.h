/* mutant.h: what the mutants of lock.pml change, each by one macro; without any, the code as it is. The table
 * in run says which promise each must break. */

/* The owner word does not say which life of the slot it names. */
#ifdef NO_GENERATION
#define GENERATION(life) 0
#else
#define GENERATION(life) ((life) >> 1)
#endif

/* A new life begins only when all that the old one owed is settled: until then its process goes by the old
 * name, or by the new one, which the slot does not show yet. */
#if defined(LIFE_AFTER_SETTLE) || defined(NAME_BEFORE_LIFE)
#define LIFE_NOW (me != 0)
#else
#define LIFE_NOW true
#endif
#ifdef NAME_BEFORE_LIFE
#define FIRST_WORD OWNER_WORD(slot, life[slot] + 2)
#else
#define FIRST_WORD OWNER_WORD(slot, life[slot])
#endif

/* The slot's byte is taken first, and then the new life begins. */
#ifdef BYTE_BEFORE_LIFE
#define GONE HOLD
#define HELD at = BEGIN
#define LIFE_BEGUN have_slot()
#else
#define GONE BEGIN
#define LIFE_BEGUN at = HOLD
#define HELD have_slot()
#endif

/* The claim is given back as soon as the slot's byte is taken. */
#ifdef CLAIM_GIVEN_BACK
#define CLAIM_KEPT claimed[other] = NOBODY
#else
#define CLAIM_KEPT skip
#endif

/* A sleep ends by a post only. Without deaths this is no mutant: it must do. */
#ifdef NO_TIME_OUT
#define TIMES_OUT false
#else
#define TIMES_OUT true
#endif

/* Who acquires after a sleep does not mark the word for those that still sleep. */
#ifdef MARK_LOST
#define KEPT_MARK 0
#else
#define KEPT_MARK WAITERS
#endif

/* After a time-out the lock is taken, whether its owner is dead or not. */
#ifdef THEFT
#define AFTER_SLEEP TAKE_OVER
#else
#define AFTER_SLEEP ASK_LIFE
#endif

/* Who does not move is taken for dead. */
#ifdef STOPPED_IS_DEAD
#define COUNTS_AS_DEAD(slot) (held[slot] && is_stopped[held[slot] - 1])
#else
#define COUNTS_AS_DEAD(slot) false
#endif

/* The dead owner's word is first set free, then its record is completed, then the lock is taken. */
#ifdef DEAD_TO_FREE
#define TAKE_FROM_DEAD owner = 0; seen = 0
#define AFTER_RECOVERY READ
#else
#define TAKE_FROM_DEAD acquire(me | WAITERS)
#define AFTER_RECOVERY DRAIN
#endif

/* Recovery passes over the slot that the recoverer has claimed. */
#ifdef OWN_SLOT_SKIPPED
#define MAY_COMPLETE(which) (which != slot)
#else
#define MAY_COMPLETE(which) true
#endif

/* Recovery looks at the dead owner's slot alone. */
#ifdef ONE_SLOT_RECOVERED
#define FIRST_RECOVERED OWNER_SLOT(seen)
#define NEXT_RECOVERED PROCESSES
#else
#define FIRST_RECOVERED 0
#define NEXT_RECOVERED (index + 1)
#endif

/* A record is called idle before it is applied. */
#ifdef IDLE_BEFORE_APPLIED
#define COUNT_WHILE_APPLIED false
#else
#define COUNT_WHILE_APPLIED true
#endif
