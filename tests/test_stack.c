/* test_stack.c: what is forked without the stack still shows its arguments, and has them. */
#include "stack.h"

#include "harness.h"
#include "sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK = 64 << 10, ROOM = 4096 };

static char *given[] = {"/a/server", "-x", "", NULL};
static char *surroundings[] = {"PLACE=here", "EMPTY=", NULL};

static char **arguments;
static _Alignas(16) char stack[STACK];

static void move(void)
{
    environ = surroundings;
    program_invocation_name = given[0];
    program_invocation_short_name = given[0] + 3;
    arguments = stack_move_arguments(3, given);
}

static void arguments_are_what_they_were_in_another_place(void)
{
    move();
    EXPECT(arguments != given);
    for (int i = 0; i < 3; i++) {
        EXPECT(arguments[i] != given[i]);
        EXPECT_STR(arguments[i], given[i]);
    }
    EXPECT(arguments[3] == NULL);
    EXPECT_STR(getenv("PLACE"), "here");
    EXPECT(getenv("PLACE") != strchr(surroundings[0], '=') + 1);
    EXPECT_STR(getenv("EMPTY"), "");
    EXPECT(environ[2] == NULL);
    EXPECT(program_invocation_name == arguments[0]);
    EXPECT_STR(program_invocation_short_name, "server");
}

static void no_argument_is_nothing_to_move(void)
{
    char *none[] = {NULL};
    EXPECT(stack_move_arguments(0, none) == none);
    stack_keep(); /* nothing was moved, and so nothing changes */
    EXPECT(none[0] == NULL);
}

static ssize_t read_all(const char *path, char *text, size_t room)
{
    int file = open(path, O_RDONLY);
    size_t length = 0;
    ssize_t more;
    while ((more = read(file, text + length, room - length)) > 0)
        length += (size_t)more;
    (void)close(file);
    return (ssize_t)length;
}

static bool holds(const char *path, const char *bytes, size_t length)
{
    static char text[ROOM];
    return read_all(path, text, sizeof(text)) == (ssize_t)length && memcmp(text, bytes, length) == 0;
}

static bool has_stack(void)
{
    static char maps[4 * ROOM];
    maps[read_all("/proc/self/maps", maps, sizeof(maps) - 1)] = '\0';
    return strstr(maps, "[stack]") != NULL;
}

enum { HAS_STACK = 1, OTHER_ARGUMENTS = 2, OTHER_ENVIRONMENT = 4, LOST_ARGUMENTS = 8 };

static int look(void *context)
{
    (void)context;
    _exit((has_stack() ? HAS_STACK : 0) |
          (holds("/proc/self/cmdline", "/a/server\0-x\0", 14) ? 0 : OTHER_ARGUMENTS) |
          (holds("/proc/self/environ", "PLACE=here\0EMPTY=", 18) ? 0 : OTHER_ENVIRONMENT) |
          (strcmp(arguments[1], "-x") == 0 && getenv("EMPTY") != NULL ? 0 : LOST_ARGUMENTS));
}

static int seen_by_what_is_forked(void)
{
    int status;
    pid_t pid = clone(look, stack + STACK, SIGCHLD, NULL);
    EXPECT(pid > 0);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void what_is_forked_has_no_stack_and_shows_its_arguments(void)
{
    if (SANITIZED)
        harness_skip("a sanitizer watches over one stack");
    unsigned size;
    if (prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) != 0)
        harness_skip("this system cannot be told where arguments lie");
    move();
    EXPECT_EQ(seen_by_what_is_forked() & (HAS_STACK | LOST_ARGUMENTS), HAS_STACK);
    stack_keep();
    EXPECT_EQ(seen_by_what_is_forked(), 0);
    EXPECT(has_stack()); /* this process has kept it */
}

static const struct harness_test tests[] = {
    {"arguments are what they were, in another place", arguments_are_what_they_were_in_another_place},
    {"no argument is nothing to move", no_argument_is_nothing_to_move},
    {"what is forked has no stack, and shows its arguments",
     what_is_forked_has_no_stack_and_shows_its_arguments},
};

HARNESS_MAIN(tests)
