/* evict.c: asks the kernel who has the post office open, ends that process, and waits for its end, one after
 * the other. */
#include "evict.h"

#include "clock.h"
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SECONDS = 5, /* a process that the kernel does not let go ends later than that, or never */
    LOOK_MILLISECONDS = 10,
};

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
        errno = ETIME;
    }
    return count > 0;
}

/* By a descriptor, asked for between two questions: a number alone may be another process's by now. *ended is
 * the process if it exists no more. */
static bool evict(const struct store *store, pid_t pid, int64_t deadline, pid_t *ended)
{
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    bool is_done = process < 0 && errno == ESRCH;
    pid_t now;

    if (process >= 0 && (store_take_alone(store, &now) || now != pid)) {
        (void)close(process);
        return true;
    }
    if (process >= 0) {
        is_done = syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) == 0
                      ? has_ended(process, deadline)
                      : errno == ESRCH;
        int error = errno;
        (void)close(process);
        errno = error;
        if (is_done) {
            log_warning("process %ld had the damaged post office open, and was ended", (long)pid);
        }
    }
    *ended = is_done ? pid : *ended;
    return is_done;
}

/* Whoever has what an ended process had open, or has it by a fork alone, is not known: it may leave by
 * itself. */
bool evict_all(const struct store *store, char *why, size_t size)
{
    const int64_t deadline = deadline_after_seconds(SECONDS);
    pid_t pid, ended = 0;

    while (!store_take_alone(store, &pid)) {
        if (pid < 0) {
            (void)snprintf(why, size, "a process of another name space has it open");
            return false;
        }
        if (pid > 0 && pid != ended) {
            if (!evict(store, pid, deadline, &ended)) {
                (void)snprintf(why, size, "process %ld has it open, and cannot be ended: %s", (long)pid,
                               errno == ETIME ? "it takes too long" : strerror(errno));
                return false;
            }
        } else if (clock_now() >= deadline) {
            (void)snprintf(why, size, "a process that is not known has it, or its journal's directory, open");
            return false;
        } else {
            (void)poll(NULL, 0, LOOK_MILLISECONDS);
        }
    }
    return true;
}
