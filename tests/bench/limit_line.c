/* limit_line.c: how long a line of memory takes from one processor to another: limit_line.
 *
 * Two processes write to it by turns, each on a processor of its own. Prints the shortest of some series, in
 * nanoseconds from one write to the other's, as a line of JSON; null where there is one processor. */
#include "limit_program.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { SERIES = 5, TURNS = 500, END_SECONDS = 10 };

struct line {
    _Alignas(64) atomic_uint turn;
};

static bool choose_processors(int chosen[static 2])
{
    cpu_set_t usable;
    int count = 0;
    if (sched_getaffinity(0, sizeof(usable), &usable) != 0)
        fail("sched_getaffinity");
    for (int i = 0; i < CPU_SETSIZE && count < 2; i++)
        if (CPU_ISSET((size_t)i, &usable))
            chosen[count++] = i;
    return count == 2;
}

static void stay_on(int processor)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)processor, &one);
    if (sched_setaffinity(0, sizeof(one), &one) != 0)
        fail("sched_setaffinity");
}

static void take_turns(struct line *line, unsigned first, unsigned end)
{
    for (unsigned turn = first; turn < end; turn += 2) {
        while (atomic_load(&line->turn) != turn)
            ;
        atomic_store(&line->turn, turn + 1);
    }
}

int main(void)
{
    int processors[2];
    if (!choose_processors(processors)) {
        puts("{\"ns\": null}");
        return 0;
    }
    struct line *line = mmap(NULL, sizeof(*line), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (line == MAP_FAILED)
        fail("mmap");
    const unsigned end = 2 * TURNS * SERIES;
    const pid_t self = getpid();
    stay_on(processors[1]); /* for the other, which then has nothing left to fail in */
    pid_t other = fork();
    if (other < 0)
        fail("fork");
    signal(SIGALRM, SIG_DFL);
    alarm(END_SECONDS); /* each, as the other one may be gone */
    if (other == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != self)
            _exit(1);
        take_turns(line, 1, end);
        _exit(0);
    }
    stay_on(processors[0]);
    double least = 0;
    for (unsigned i = 0; i < SERIES; i++) {
        double start = now();
        take_turns(line, i * 2 * TURNS, (i + 1) * 2 * TURNS);
        double spent = now() - start;
        least = i == 0 || spent < least ? spent : least;
    }
    if (waitpid(other, NULL, 0) != other)
        fail("waitpid");
    printf("{\"ns\": %.0f}\n", least / (2 * TURNS) * 1e9);
    return 0;
}
