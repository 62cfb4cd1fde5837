/* scheduling.h: whether a process, when it wakes up, takes the processor from the one that has it, and which
 * one it runs on.
 *
 * Where more of them serve than there are processors, they only push each other out, and those who ask them:
 * one that waits its turn (SCHED_BATCH) lets the others finish what they are at. With a processor for each
 * it would only be late.
 *
 * Then, too, the kernel leaves a process where it is, though its client may be on another processor: each
 * request and each reply goes from one to the other, which takes about as long again as to serve it. */
#ifndef SHMAIL_SCHEDULING_H
#define SHMAIL_SCHEDULING_H

#include <stdbool.h>
#include <stddef.h>

/* Counts the processors, for this process and those that it forks. Where somebody has given it another policy
 * than the usual one, that stays. */
void scheduling_prepare(void);

/* This process is one of so many now: it waits its turn, or no longer. SIZE_MAX: in any case. Where the
 * system refuses that, all goes on as before. Costs a system call, or two where something is to change. */
void scheduling_share(size_t processes);

/* One of many goes to the processor on which the kernel takes in what comes for it on a connected socket:
 * where a client on this machine runs, or where the network card has its interrupts. It may be moved on at
 * any time, so this is for who has served for a while, and then seldom. Costs four system calls, and the move
 * where it is elsewhere. */
void scheduling_follow(int socket);

/* In between, while others wait for this process, it does not. To ease is told what to press has told. */
bool scheduling_press(void);
void scheduling_ease(bool pressed);

#endif
