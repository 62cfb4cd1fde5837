/* libfuzzer.c: what a target under libFuzzer lacks of replay.c: a name and a directory, which go when the
 * program ends well. After a finding tests/fuzz/run removes them. */
#include "fuzz.h"

#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

const char *fuzz_name(void)
{
    static char name[64];
    snprintf(name, sizeof(name), "fuzz-%ld", (long)getpid());
    return name;
}

static void leave(void)
{
    rmdir(directory);
}

/* In memory where there is some. */
const char *fuzz_directory(void)
{
    static const char *const places[] = {"/dev/shm", "/tmp"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !directory[0]; i++) {
        snprintf(directory, sizeof(directory), "%s/fuzz-shmail-%ld", places[i], (long)getpid());
        if (mkdir(directory, 0700) != 0)
            directory[0] = '\0';
    }
    EXPECT(directory[0]);
    atexit(leave);
    return directory;
}
