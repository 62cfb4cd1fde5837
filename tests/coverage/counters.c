/* counters.c: linked into every program of the coverage build, and knows nothing of them. Keeps what gcc's
 * counters have come to beside the program, in a file that all its processes map: each adds its own at its
 * end, also at one by _exit or abort, and without a system call, so that a process that may do nothing any
 * more counts too. One that is killed counts nothing, because gcov works out the branches that have no
 * counter from those that have, and half a call would mislead it.
 *
 * With SHMAIL_COVERAGE_DUMP in its environment a program only writes the sums to where gcov reads them. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of libgcov. */
struct gcov_info;
void register_counters(struct gcov_info *) __asm__("__gcov_init");
void write_counters(void) __asm__("__gcov_dump");

/* Of the linker: its --wrap and counters.ld. */
_Noreturn void real_exit(int status) __asm__("__real__exit");
_Noreturn void real_abort(void) __asm__("__real_abort");
int real_raise(int signal) __asm__("__real_raise");
_Noreturn void counted_exit(int status) __asm__("__wrap__exit");
_Noreturn void counted_abort(void) __asm__("__wrap_abort");
int counted_raise(int signal) __asm__("__wrap_raise");
extern uint64_t coverage_counts[];
extern uint64_t coverage_most;
extern struct gcov_info *coverage_of[];

static uint64_t *sums;

static void dump(void)
{
    for (uint64_t i = 0; i < coverage_most; i++)
        coverage_counts[i] = sums[i];
    for (struct gcov_info **info = coverage_of; *info; info++)
        register_counters(*info);
    write_counters();
    real_exit(0);
}

static void __attribute__((constructor)) begin(void)
{
    char path[4096];
    size_t size = coverage_most * sizeof(uint64_t);
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof(".counts"));
    if (length < 0)
        real_abort();
    snprintf(path + length, sizeof(".counts"), ".counts");
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, (off_t)size) != 0)
        real_abort();
    sums = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (sums == MAP_FAILED)
        real_abort();
    close(file);
    if (getenv("SHMAIL_COVERAGE_DUMP"))
        dump();
}

static void __attribute__((destructor)) add(void)
{
    for (uint64_t i = 0; i < coverage_most; i++)
        if (coverage_counts[i])
            __atomic_fetch_add(&sums[i], coverage_counts[i], __ATOMIC_RELAXED);
}

void counted_exit(int status)
{
    add();
    real_exit(status);
}

void counted_abort(void)
{
    add();
    real_abort();
}

int counted_raise(int signal)
{
    if (signal != SIGKILL)
        add();
    return real_raise(signal);
}
