/* descriptors.h: what kind of thing a descriptor is, and the three that a process is started with. */
#ifndef SHMAIL_DESCRIPTORS_H
#define SHMAIL_DESCRIPTORS_H

#include <stdbool.h>
#include <sys/types.h>

enum descriptor_kind {
    DESCRIPTOR_SOCKET,
    DESCRIPTOR_FILE, /* always ready, never blocks for long */
    DESCRIPTOR_OTHER /* pipes, terminals, devices; also what is not open */
};

enum descriptor_kind descriptor_kind(int descriptor);

/* The process to which a socket sends signals (F_SETOWN). In the sandbox a process can say so of itself
 * alone, where the parent is there to allow it, so that none can have others signalled; or the parent says it
 * for its child. */
void descriptor_own(int descriptor, pid_t);

/* From now on the socket sends this process SIGIO when its peer does anything (O_ASYNC, which whoever shares
 * the open file shares). False: SIGIO has no handler, or the socket is not this process's own, for which it
 * waits a moment. */
bool descriptor_watch(int descriptor);
void descriptor_unwatch(int descriptor);

/* For a socket that has its address. Replies leave when the stream sends them, a peer that is gone without a
 * word is noticed within minutes, and where only this machine can be the peer no congestion is looked for. A
 * listener hands this down to its connections; a socket of another family than TCP's refuses what it has not,
 * which is as well. */
void descriptor_tune(int descriptor);

/* Opens /dev/null where descriptor 0, 1 or 2 is closed, so that no socket or segment ever gets such a number.
 * Where that cannot be opened they stay closed. True: descriptor 2 had been open. */
bool descriptors_fill(void);

/* Closes whatever else the program was started with, from this number on: it would lie open in every child,
 * in the sandbox too. Before Linux 5.9 it stays. */
void descriptors_close_from(int first);

/* Where descriptor 1 or 2 is a pipe or a terminal, gives this process and its children an open file of their
 * own for it that does not block: what others have of it stays as it is. Where that cannot be had, so does
 * this. A terminal that is ready may have room for less than a line, and would then wait until somebody reads
 * it. */
void descriptor_unblock(int descriptor);

/* True where descriptor 2 is a socket that is descriptor 0 or 1 as well: a line there reaches the client. */
bool descriptors_error_is_wire(void);

/* Lets a reader of standard output see its end; descriptor 1 is /dev/null afterwards. */
bool descriptors_end_output(void);

#endif
