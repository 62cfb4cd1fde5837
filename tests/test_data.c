/* test_data.c: the program's variables in one mapping of their own: that they keep their values. */
#include "data.h"
#include "mapping.h"
#include "sanitized.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { ROOM = 1 << 20 };

static volatile int with_value = 42;
static volatile char without[ROOM];
static int *const settled = (int *)&with_value; /* written to once, when the program was loaded */

static const void *address(const volatile void *variable)
{
    return (const void *)(uintptr_t)variable;
}

static bool has_memory(const volatile char *byte)
{
    unsigned char is_there;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const char *start = (const char *)((uintptr_t)byte / page * page);
    EXPECT_EQ(mincore((void *)(uintptr_t)start, 1, &is_there), 0);
    return is_there & 1;
}

static void want_to_move(void)
{
    if (SANITIZED)
        harness_skip("built with sanitizers");
}

static void variables_move_and_keep_their_values(void)
{
    want_to_move();
    with_value = 43;
    without[ROOM / 2] = 'x';
    EXPECT(mapping_at(address(&with_value)).path[0] == '/');
    data_renew();
    struct mapping mapping = mapping_at(address(&with_value));
    EXPECT_STR(mapping.path, "");
    EXPECT_STR(mapping.rights, "rw-p");
    EXPECT_EQ(mapping_at(address(without)).start, mapping.start);
    EXPECT_EQ(mapping_at(address(without + ROOM - 1)).start, mapping.start);
    EXPECT_EQ(with_value, 43);
    EXPECT_EQ(without[ROOM / 2], 'x');
    EXPECT_EQ(without[ROOM / 2 + 1], 0);
    with_value++;
    without[0] = 'y';
    EXPECT_EQ(*settled, 44);
    EXPECT_EQ(without[0], 'y');
    EXPECT_STR(mapping_at(&settled).rights, "r--p");
}

static int moves = -1; /* that were refused; -1: none is */

/* In place of the C library's. */
void *mremap(void *old, size_t old_length, size_t length, int flags, ...)
{
    void *(*real)(void *, size_t, size_t, int, ...);
    va_list arguments;
    va_start(arguments, flags);
    void *to = va_arg(arguments, void *);
    va_end(arguments);
    if (moves >= 0) {
        moves++;
        errno = ENOMEM;
        return MAP_FAILED;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "mremap");
    return real(old, old_length, length, flags, to);
}

static void what_cannot_be_moved_stays_and_its_copy_is_given_back(void)
{
    want_to_move();
    with_value = 43;
    size_t before = mapped_bytes();
    moves = 0;
    data_renew();
    EXPECT_EQ(moves, 1);
    EXPECT_EQ(mapped_bytes(), before);
    EXPECT(mapping_at(address(&with_value)).path[0] == '/');
    EXPECT_EQ(with_value, 43);
}

static void what_was_never_written_to_gets_no_memory(void)
{
    want_to_move();
    without[ROOM / 2] = 'x';
    data_renew();
    EXPECT(has_memory(without + ROOM / 2));
    EXPECT(!has_memory(without + ROOM / 4));
}

static void without_memory_they_stay(void)
{
    const struct rlimit none = {0, RLIM_INFINITY};
    size_t before = mapped_bytes();
    EXPECT_EQ(setrlimit(RLIMIT_AS, &none), 0);
    data_renew();
    const struct rlimit any = {RLIM_INFINITY, RLIM_INFINITY};
    EXPECT_EQ(setrlimit(RLIMIT_AS, &any), 0);
    EXPECT(mapping_at(address(&with_value)).path[0] == '/');
    EXPECT_EQ(mapped_bytes(), before);
    EXPECT_EQ(with_value, 42);
}

static const struct harness_test tests[] = {
    {"variables move, and keep their values", variables_move_and_keep_their_values},
    {"what was never written to gets no memory", what_was_never_written_to_gets_no_memory},
    {"without memory they stay", without_memory_they_stay},
    {"what cannot be moved stays, and its copy is given back",
     what_cannot_be_moved_stays_and_its_copy_is_given_back},
};

HARNESS_MAIN(tests)
