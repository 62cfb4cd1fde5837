/* harness.h: runs a table of tests, each in a process, a directory and a post office of its own, and reports
 * in TAP.
 *
 * A test passes when its function returns. It fails at its first failed expectation (in the test's process or
 * in any child of it), at a signal, at an exit of any other kind and when its time is over. Whatever
 * processes it has left are killed, its directory and its segments are removed, and only then does the next
 * test start. */
#ifndef SHMAIL_HARNESS_H
#define SHMAIL_HARNESS_H

#include <stddef.h>
#include <stdint.h>

/* A row may end after its function: the limit then is HARNESS_LIMIT. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum { HARNESS_LIMIT = 60 };

struct harness_test {
    const char *name; /* the promise that the test holds */
    void (*run)(void);
    unsigned limit; /* seconds */
};

/* Runs the rows whose name contains argv[1], or all. Returns the program's exit status: 0, or 1 if one failed
 * or none was found. Needs a process without other children or threads. */
int harness_main(int argc, char **argv, const struct harness_test *tests, size_t count);

#define HARNESS_MAIN(tests)                                                         \
    int main(int argc, char **argv)                                                 \
    {                                                                               \
        return harness_main(argc, argv, (tests), sizeof(tests) / sizeof(tests)[0]); \
    }

/* For the running test, and valid until it ends: its store's name ("t-PID-N"), a further store's name should
 * be this, a hyphen and more; its empty directory, which is also its working directory; the folder of the
 * built programs. */
const char *harness_name(void);

/* Where a test does so often that a shell would cost more than the rest. Removes what the pattern matches
 * (glob(3)), and all below. */
void harness_remove(const char *pattern);

/* Copies the files that the pattern matches, if any, with their modes and holes, into a folder that is made
 * anew. */
void harness_copy(const char *pattern, const char *folder);

const char *harness_directory(void);
const char *harness_build(void);

/* A line that is shown whether the test passes or not: what it has tried, in figures. */
__attribute__((format(printf, 1, 2))) void harness_say(const char *format, ...);

/* Ends the test, which then counts as skipped. */
_Noreturn void harness_skip(const char *reason);

/* Each evaluates its arguments once and ends the test, with place and values, where it does not hold. */
#define EXPECT(condition) ((condition) ? (void)0 : harness_fail(__FILE__, __LINE__, "%s", #condition))
#define EXPECT_EQ(left, right) \
    harness_expect_equal(__FILE__, __LINE__, #left " == " #right, (intmax_t)(left), (intmax_t)(right))
#define EXPECT_STR(left, right) \
    harness_expect_string(__FILE__, __LINE__, #left " == " #right, (left), (right))

__attribute__((format(printf, 3, 4))) _Noreturn void harness_fail(const char *file, int line,
                                                                  const char *format, ...);
void harness_expect_equal(const char *file, int line, const char *text, intmax_t left, intmax_t right);
void harness_expect_string(const char *file, int line, const char *text, const char *left, const char *right);

#endif
