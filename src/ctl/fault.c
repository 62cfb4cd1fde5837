/* fault.c: what becomes of a SIGSEGV or SIGBUS, and of a SIGABRT, as the C library ends who uses a semaphore
 * that was scribbled on. The line is made ahead, as little may be called then. */
#include "fault.h"

#include "sanitized.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static struct store *const *watched;
static char line[256 + 3 * OBJECT_MAX];

static void end(int number)
{
    (void)number;
    if (*watched)
        store_suspect(*watched);
    (void)(write(STDERR_FILENO, line, strlen(line)) < 0);
    _exit(EX_DATAERR);
}

void fault_watch(struct store *const *store, const char *name)
{
    struct sigaction action = {.sa_handler = end, .sa_flags = (int)SA_RESETHAND};
    watched = store;
    snprintf(
        line, sizeof(line),
        "shmailctl: post office %s cannot be read to the end, so it seems to be damaged: 'shmailctl -n %s "
        "check' may tell more, and 'shmailctl -n %s repair' keeps what is sound\n",
        name, name, name);
    if (SANITIZED)
        return; /* the sanitizer says more */
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGABRT, &action, NULL);
}
