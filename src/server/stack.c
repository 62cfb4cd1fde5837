/* stack.c: moves the arguments, tells the kernel where they are, and forbids to copy the stack. */
#include "stack.h"

#include "sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    STAT_SIZE = 2048, /* bytes of proc(5)'s stat, which takes a third of that */
    FIELD_FIRST = 3,  /* of those behind the name */
    FIELD_LAST = 47,
    STACK_BELOW = 8 << 20, /* bytes; of the stack nothing lies further down, unless somebody has been there */
};

/* Strings, one behind the other. */
struct strings {
    char *start, *end;
};

static struct strings arguments, environment; /* start: NULL where they were not moved */

static size_t count(char **list)
{
    size_t entries = 0;

    while (list[entries] != NULL) {
        entries++;
    }
    return entries;
}

static size_t length_of(char **list)
{
    size_t length = 0;

    for (size_t i = 0; list[i] != NULL; i++) {
        length += strlen(list[i]) + 1;
    }
    return length;
}

/* Behind the list that it makes of them. */
static char **copy(char **list, struct strings *strings)
{
    size_t entries = count(list);
    size_t length = length_of(list);
    char **copied = malloc((entries + 1) * sizeof *copied + length);

    if (copied == NULL) {
        return NULL;
    }
    char *end = strings->start = (char *)(copied + entries + 1);
    for (size_t i = 0; i < entries; i++) {
        copied[i] = end;
        end = stpcpy(end, list[i]) + 1;
    }
    copied[entries] = NULL;
    strings->end = end;
    return copied;
}

char **stack_move_arguments(int argc, char **argv)
{
    struct strings own, others;
    char **list = argc > 0 ? copy(argv, &own) : NULL;
    char **variables = list != NULL ? copy(environ, &others) : NULL;

    if (variables == NULL) {
        free(list);
        return argv;
    }
    arguments = own;
    environment = others;
    program_invocation_short_name = list[0] + (program_invocation_short_name - program_invocation_name);
    program_invocation_name = list[0];
    environ = variables;
    return list;
}

/* The field of proc(5)'s stat with that number; 0: there is none. */
static uint64_t field(const char *text, int number)
{
    const char *at = strrchr(text, ')');

    for (int i = FIELD_FIRST - 1; at != NULL && i < number; i++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL ? strtoull(at, NULL, 10) : 0;
}

static bool read_stat(char *text)
{
    int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, STAT_SIZE - 1) : -1;

    (void)close(file);
    text[length > 0 ? length : 0] = '\0';
    return field(text, FIELD_LAST) != 0;
}

static bool say_where_arguments_are(void)
{
    char text[STAT_SIZE];

    if (!read_stat(text)) {
        return false;
    }
    struct prctl_mm_map map = {
        .start_code = field(text, 26),
        .end_code = field(text, 27),
        .start_stack = field(text, 28),
        .start_data = field(text, 45),
        .end_data = field(text, 46),
        .start_brk = field(text, FIELD_LAST),
        .brk = (uintptr_t)sbrk(0),
        .arg_start = (uintptr_t)arguments.start,
        .arg_end = (uintptr_t)arguments.end,
        .env_start = (uintptr_t)environment.start,
        .env_end = (uintptr_t)environment.end,
        .exe_fd = UINT32_MAX, /* as it is */
    };
    return prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0;
}

void stack_keep(void)
{
    const char *last = (const char *)getauxval(AT_EXECFN); /* the program's name, behind which it ends */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    /* A sanitizer watches over one stack. */
    if (SANITIZED || last == NULL || arguments.start == NULL || !say_where_arguments_are()) {
        return;
    }
    uintptr_t end = ((uintptr_t)last + strlen(last) + page) / page * page;
    /* It says that much of it is not mapped, having done what can be done. */
    (void)madvise((char *)end - STACK_BELOW, STACK_BELOW, MADV_DONTFORK);
}
