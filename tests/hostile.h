/* hostile.h: a process that writes to shared memory at full speed, as a child that was taken over can, while
 * the test looks at it. */
#ifndef SHMAIL_TEST_HOSTILE_H
#define SHMAIL_TEST_HOSTILE_H

#include "clock.h"
#include "harness.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOSTILE_ROUND = 300000000, HOSTILE_HOLD = 1 << 18 }; /* nanoseconds a field; turns a value, at most */

/* A field, and what it says in turns with what it said before. */
struct hostile {
    void *field;
    size_t size;
    uint64_t wrong, right;
};

static inline void hostile_put(const struct hostile *hostile, uint64_t value)
{
    memcpy(hostile->field, &value, hostile->size);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* it is written here and now */
}

static inline void hostile_say(const struct hostile *hostile, uint64_t value, unsigned hold)
{
    hostile_put(hostile, value);
    for (volatile unsigned turn = 0; turn < hold; turn++)
        ;
}

/* Short turns meet two loads one after the other, long ones a walk and what follows it: each has as much
 * time. */
_Noreturn static inline void hostile_run(const struct hostile *hostile)
{
    for (unsigned hold = 1;; hold = hold < HOSTILE_HOLD ? hold * 4 : 1) {
        for (unsigned done = 0; done < HOSTILE_HOLD; done += hold) {
            hostile_say(hostile, hostile->wrong, hold);
            hostile_say(hostile, hostile->right, hold);
        }
    }
}

/* Calls look again and again while a process of its own changes the field. */
static inline void look_at_hostile(struct hostile hostile, void (*look)(void))
{
    memcpy(&hostile.right, hostile.field, hostile.size);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0)
        hostile_run(&hostile);
    for (int64_t end = clock_now() + HOSTILE_ROUND; clock_now() < end;)
        look();
    EXPECT_EQ(kill(pid, SIGKILL), 0);
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    hostile_put(&hostile, hostile.right);
}

#define LOOK_AT_HOSTILE(what, value, look) \
    look_at_hostile((struct hostile){&(what), sizeof(what), (value), 0}, (look))

#endif
