/* scheduling.h: whether a process, when it wakes up, takes the processor from the one that has it.
 *
 * Where more of them serve than there are processors, they only push each other out, and those who ask them:
 * one that waits its turn (SCHED_BATCH) lets the others finish what they are at. With a processor for each
 * it would only be late. */
#ifndef SHMAIL_SCHEDULING_H
#define SHMAIL_SCHEDULING_H

#include <stddef.h>

/* Counts the processors, for this process and those that it forks. Where somebody has given it another policy
 * than the usual one, that stays. */
void scheduling_prepare(void);

/* This process is one of so many now: it waits its turn, or no longer. Where the system refuses that, all
 * goes on as before. Costs a system call where something is to change. */
void scheduling_share(size_t processes);

/* In between, while others wait for this process, it does not. */
void scheduling_press(void);
void scheduling_ease(void);

#endif
