/* load_signals.h: kills or stops children of a server while it is under load, one at a time. It knows nothing
 * of mail. */
#ifndef SHMAIL_LOAD_SIGNALS_H
#define SHMAIL_LOAD_SIGNALS_H

#include "load_ledger.h"

#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>

enum { CHILDREN_TEXT = 1 << 16, DRAWS = 32, STOPPED_MILLISECONDS = 20 };

struct signals {
    int number; /* SIGKILL, SIGSTOP; 0: none */
    uint64_t times;
    pid_t parent;
};

static inline size_t read_file(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        return 0;
    }
    size_t length = fread(text, 1, size - 1, file);
    (void)fclose(file);
    text[length] = '\0';
    return length;
}

static inline pid_t draw_child(pid_t parent, unsigned *random)
{
    static char text[CHILDREN_TEXT];
    char path[64], *next = text;
    pid_t pid = 0;
    unsigned count = 0;

    (void)snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)parent, (long)parent);
    if (read_file(path, text, sizeof text) == 0) {
        return 0;
    }
    for (;;) {
        pid_t child = (pid_t)strtol(next, &next, 10);
        if (child == 0) {
            return pid;
        }
        if ((unsigned)rand_r(random) % ++count == 0) {
            pid = child;
        }
    }
}

/* R, S, ...; X where there is no such process. */
static inline char state_of(pid_t pid)
{
    char path[64], text[512];

    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    size_t length = read_file(path, text, sizeof text);
    const char *behind = length > 0 ? strrchr(text, ')') : NULL;
    return behind != NULL ? behind[2] : 'X';
}

/* A living child, as a descriptor that never means another process; one that is at work where that is found.
 * -1: there is none. */
static inline int open_child(pid_t parent, unsigned *random)
{
    int process = -1;

    for (int i = 0; i < DRAWS; i++) {
        pid_t pid = draw_child(parent, random);
        int drawn = pid != 0 ? pidfd_open(pid, 0) : -1;
        char state = drawn >= 0 ? state_of(pid) : 'X';
        if (state == 'Z' || state == 'X' || (state != 'R' && process >= 0)) {
            if (drawn >= 0) {
                (void)close(drawn);
            }
            continue;
        }
        if (process >= 0) {
            (void)close(process);
        }
        process = drawn;
        if (state == 'R') {
            break;
        }
    }
    return process;
}

static inline void strike(int process, int number)
{
    struct pollfd end = {.fd = process, .events = POLLIN};

    if (pidfd_send_signal(process, number, NULL, 0) != 0) {
        fail("a signal cannot be sent: %s", strerror(errno));
    }
    if (number == SIGKILL && poll(&end, 1, REPLY_SECONDS * 1000) != 1) {
        fail("a child outlives KILL");
    }
    if (number == SIGSTOP) {
        (void)poll(&end, 1, STOPPED_MILLISECONDS);
        (void)pidfd_send_signal(process, SIGCONT, NULL, 0);
    }
}

#endif
