/* steps.h: lets a child go one instruction at a time (ptrace), and kills it between two of them.
 *
 * A system call is one step, and so is an instruction that repeats itself. Calls of functions that change no
 * word that others rely on (memcpy and its like, checksums, crypt) are one step too, unless all is asked for:
 * they run up to a breakpoint at their return. */
#ifndef SHMAIL_TEST_STEPS_H
#define SHMAIL_TEST_STEPS_H

#include "crc32c.h"
#include "harness.h"
#include "sanitized.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS_MOST = 20000000, STEPS_AT_ONCE_MAX = 24, STEPS_PLACES = 1 << 16 };

/* The nth arrival at an instruction: what a step of one run is in another. */
struct arrival {
    uintptr_t place;
    unsigned long number;
};

struct steps {
    pid_t pid;
    unsigned long count;
    struct arrival at;                    /* the instruction that comes next */
    struct arrival before;                /* that which was last */
    uintptr_t at_once[STEPS_AT_ONCE_MAX]; /* functions that are one step */
    size_t at_once_count;
    struct arrival *arrivals; /* the last one at each place, by a hash of it; NULL: not counted */
};

/* For the child: from here it is stepped, to where it says so again. */
static inline void steps_mark_start(void)
{
    EXPECT_EQ(ptrace(PTRACE_TRACEME, 0, 0, 0), 0);
    raise(SIGSTOP);
}

static inline void steps_mark_end(void)
{
    raise(SIGSTOP);
}

#if defined(__x86_64__)

enum { STEPS_POSSIBLE = 1, STEPS_BREAKPOINT = 0xcc };

static inline uintptr_t steps_place(pid_t pid)
{
    return (uintptr_t)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), 0);
}

static inline bool steps_set_place(pid_t pid, uintptr_t place)
{
    return ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rip), place) == 0;
}

/* At the first instruction of a function. */
static inline uintptr_t steps_return_address(pid_t pid)
{
    long stack = ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rsp), 0);
    return (uintptr_t)ptrace(PTRACE_PEEKDATA, pid, stack, 0);
}

/* The child runs the code of its parent, at the same addresses, so it can be read here. */
static inline bool steps_is_system_call(uintptr_t place)
{
    const unsigned char *code = (const unsigned char *)place;
    return code[0] == 0x0f && code[1] == 0x05;
}

/* Bytes of an instruction that repeats itself (rep movs and its like); 0: it is none. */
static inline size_t steps_repeating(uintptr_t place)
{
    const unsigned char *code = (const unsigned char *)place;
    if (code[0] != 0xf3 && code[0] != 0xf2)
        return 0;
    size_t prefixes = (code[1] & 0xf0) == 0x40 ? 2 : 1;
    unsigned char operation = code[prefixes];
    bool repeats = (operation >= 0xa4 && operation <= 0xa7) || (operation >= 0xaa && operation <= 0xaf);
    return repeats ? prefixes + 1 : 0;
}

#else

enum { STEPS_POSSIBLE = 0, STEPS_BREAKPOINT = 0 };

static inline uintptr_t steps_place(pid_t pid)
{
    return (uintptr_t)pid;
}

static inline bool steps_set_place(pid_t pid, uintptr_t place)
{
    return pid == 0 && place == 0;
}

static inline uintptr_t steps_return_address(pid_t pid)
{
    return (uintptr_t)pid;
}

static inline bool steps_is_system_call(uintptr_t place)
{
    return place == 0;
}

static inline size_t steps_repeating(uintptr_t place)
{
    return place == 0;
}

#endif

/* A reason why nothing can be stepped here, or NULL. */
static inline const char *steps_obstacle(void)
{
    int status = 0;
    if (!STEPS_POSSIBLE)
        return "this test knows the instructions of x86-64 only";
    if (SANITIZED)
        return "it is the bare program whose instructions are stepped";
    pid_t pid = fork();
    if (pid == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, 0, 0) != 0);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return status == 0 ? NULL : "ptrace is not allowed here";
}

/* For addr2line. */
static inline void steps_print_place(const char *what, uintptr_t place)
{
    Dl_info info;
    if (dladdr((const void *)place, &info) != 0)
        printf("%s: %s + %#jx\n", what, info.dli_fname, (uintmax_t)(place - (uintptr_t)info.dli_fbase));
    fflush(stdout);
}

/* Counts an arrival; a place is never forgotten. */
static inline struct arrival steps_arrive(struct steps *steps, uintptr_t place)
{
    if (!steps->arrivals)
        return (struct arrival){place, 0};
    size_t i = place * UINT64_C(0x9e3779b97f4a7c15) >> 48;
    while (steps->arrivals[i].place != place && steps->arrivals[i].place != 0)
        i = (i + 1) % STEPS_PLACES;
    steps->arrivals[i].place = place;
    steps->arrivals[i].number++;
    return steps->arrivals[i];
}

static inline void steps_add_at_once(struct steps *steps, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uintptr_t place = (uintptr_t)dlsym(RTLD_DEFAULT, names[i]);
        if (place)
            steps->at_once[steps->at_once_count++] = place;
    }
}

/* Waits until the child has come to its start. */
static inline void steps_begin(struct steps *steps, pid_t pid, bool all, struct arrival *arrivals)
{
    static const char *const hashing[] = {"crypt_rn", "crypt_gensalt_rn"};
    static const char *const plain[] = {"memcpy", "memmove",        "memset",   "memcmp", "memchr",
                                        "strlen", "strnlen",        "snprintf", "calloc", "__snprintf_chk",
                                        "free",   "explicit_bzero", "malloc",   "realloc"};
    int status;
    *steps = (struct steps){.pid = pid, .arrivals = arrivals};
    steps_add_at_once(steps, hashing, sizeof(hashing) / sizeof(hashing[0]));
    if (!all) {
        steps_add_at_once(steps, plain, sizeof(plain) / sizeof(plain[0]));
        steps->at_once[steps->at_once_count++] = (uintptr_t)crc32c;
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    EXPECT_EQ(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL), 0);
    steps->at = steps_arrive(steps, steps_place(pid));
}

/* Lets the child go on; false: it has come to its end. */
static inline bool steps_resume(struct steps *steps, enum __ptrace_request request)
{
    int status;
    EXPECT_EQ(ptrace(request, steps->pid, 0, 0), 0);
    EXPECT_EQ(waitpid(steps->pid, &status, 0), steps->pid);
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP)
        return false;
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
        harness_fail(__FILE__, __LINE__, "the operation ended with status %#x after %lu steps", status,
                     steps->count);
    return true;
}

/* Up to a breakpoint. */
static inline bool steps_run_to(struct steps *steps, uintptr_t place)
{
    errno = 0;
    long code = ptrace(PTRACE_PEEKTEXT, steps->pid, place, 0);
    EXPECT_EQ(errno, 0);
    EXPECT_EQ(ptrace(PTRACE_POKETEXT, steps->pid, place, (code & ~0xffL) | STEPS_BREAKPOINT), 0);
    bool goes_on = steps_resume(steps, PTRACE_CONT);
    EXPECT_EQ(ptrace(PTRACE_POKETEXT, steps->pid, place, code), 0);
    if (goes_on) {
        EXPECT_EQ(steps_place(steps->pid), place + 1);
        EXPECT(steps_set_place(steps->pid, place));
    }
    return goes_on;
}

/* One step; false: the child has come to its end. */
static inline bool steps_next(struct steps *steps)
{
    bool goes_on;
    bool at_once = false;
    for (size_t i = 0; i < steps->at_once_count && !at_once; i++)
        at_once = steps->at.place == steps->at_once[i];
    size_t repeating = steps_repeating(steps->at.place);
    if (at_once)
        goes_on = steps_run_to(steps, steps_return_address(steps->pid));
    else if (repeating)
        goes_on = steps_run_to(steps, steps->at.place + repeating);
    else
        goes_on = steps_resume(steps, PTRACE_SINGLESTEP);
    EXPECT(++steps->count < STEPS_MOST);
    steps->before = steps->at;
    steps->at = steps_arrive(steps, steps_place(steps->pid));
    return goes_on;
}

/* Without stepping; false: the child has come to its end before. */
static inline bool steps_run_to_arrival(struct steps *steps, struct arrival arrival)
{
    bool goes_on = true;
    for (unsigned long i = 0; goes_on && i < arrival.number; i++) {
        if (i > 0)
            goes_on = steps_resume(steps, PTRACE_SINGLESTEP);
        goes_on = goes_on && steps_run_to(steps, arrival.place);
    }
    return goes_on;
}

static inline void steps_kill(const struct steps *steps)
{
    int status;
    EXPECT_EQ(kill(steps->pid, SIGKILL), 0);
    EXPECT_EQ(waitpid(steps->pid, &status, 0), steps->pid);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

#endif
