/* breach.h: says which system call was one too many. */
#ifndef SHMAIL_BREACH_H
#define SHMAIL_BREACH_H

#include <signal.h>
#include <stdbool.h>

/* Logs the call that the sandbox's filter has stopped, where that is what the signal is about. For a handler
 * of SIGSYS in a process that is about to end. */
void breach_log(const siginfo_t *);

/* True where the signal came instead of the call by which abort(3) ends the process. */
bool breach_is_abort(const siginfo_t *);

#endif
