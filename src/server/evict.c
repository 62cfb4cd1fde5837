/* evict.c: asks the kernel who is attached, ends that process, and waits for its end, one after the other. */
#include "evict.h"

#include "clock.h"
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SECONDS = 5 }; /* a process that the kernel does not let go ends later than that, or never */

/* False: in time it did not. */
static bool has_ended(int process, int64_t deadline)
{
    struct pollfd end = {.fd = process, .events = POLLIN};
    struct timespec left = deadline_left(deadline);
    int count;

    while ((count = ppoll(&end, 1, &left, NULL)) < 0 && errno == EINTR) {
        left = deadline_left(deadline);
    }
    if (count == 0) {
        errno = ETIMEDOUT;
    }
    return count > 0;
}

/* By a descriptor, asked for between two questions: a number alone may be another process's by now. */
static bool evict(const struct store *store, pid_t pid, int64_t deadline)
{
    int process = (int)syscall(SYS_pidfd_open, pid, 0);

    if (process < 0) {
        return errno == ESRCH; /* it has ended meanwhile */
    }
    bool had_left = store_other_process(store) != pid;
    bool ended = !had_left && syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) == 0 &&
                 has_ended(process, deadline);
    int error = errno;
    (void)close(process);
    if (ended) {
        log_warning("process %ld was attached to the damaged post office, and was ended", (long)pid);
    }
    errno = error;
    return had_left || ended;
}

bool evict_all(const struct store *store, char *who, size_t size)
{
    int64_t deadline = deadline_after_seconds(SECONDS);
    pid_t pid;

    while ((pid = store_other_process(store)) != 0) {
        if (pid < 0) {
            (void)snprintf(who, size, "a process of another name space");
            errno = ESRCH;
            return false;
        }
        (void)snprintf(who, size, "process %ld", (long)pid);
        if (!evict(store, pid, deadline)) {
            return false;
        }
    }
    return true;
}
