/* answer.c: hears a call, looks at its numbers, and lets it go on or fail. */
#include "answer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_USER_NOTIF_FLAG_CONTINUE
#define SECCOMP_USER_NOTIF_FLAG_CONTINUE 1U /* Linux 5.5 */
#endif

static bool is_of_itself(const struct seccomp_notif *call)
{
    return call->data.nr == SYS_fcntl && call->data.args[1] == F_SETOWN && call->data.args[2] == call->pid;
}

static bool say(int answers, const struct seccomp_notif *call, bool allowed)
{
    struct seccomp_notif_resp response = {.id = call->id,
                                          .error = allowed ? 0 : -EPERM,
                                          .flags = allowed ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0};

    return ioctl(answers, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0;
}

static void answer(int answers)
{
    struct seccomp_notif call = {0};

    if (ioctl(answers, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
        return; /* who has asked is gone */
    }
    if (!is_of_itself(&call) || (!say(answers, &call, true) && errno == EINVAL)) {
        (void)say(answers, &call, false);
    }
}

static void drop(struct answers *answers, size_t which)
{
    (void)close(answers->list[which]);
    answers->count--;
    memmove(&answers->list[which], &answers->list[which + 1],
            (answers->count - which) * sizeof answers->list[0]);
}

void answers_add(struct answers *answers, int descriptor)
{
    if (answers->count == ANSWERS_MOST) {
        drop(answers, 0);
    }
    answers->list[answers->count++] = descriptor;
}

void answers_want(const struct answers *answers, struct pollfd *polls)
{
    for (size_t i = 0; i < answers->count; i++) {
        polls[i] = (struct pollfd){.fd = answers->list[i], .events = POLLIN};
    }
}

/* From the last one, as those behind one that nobody is under any more move up. */
int answers_give(struct answers *answers, const struct pollfd *polls, size_t asked)
{
    int given = 0;

    for (size_t i = asked; i-- > 0;) {
        given += polls[i].revents != 0;
        if ((polls[i].revents & POLLIN) != 0) {
            answer(polls[i].fd);
        } else if (polls[i].revents != 0) {
            drop(answers, i);
        }
    }
    return given;
}

void answers_close(struct answers *answers)
{
    while (answers->count > 0) {
        (void)close(answers->list[--answers->count]);
    }
}
