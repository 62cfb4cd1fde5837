/* workplace.h: the directory of a target that needs files, empty again before each input. */
#ifndef SHMAIL_FUZZ_WORKPLACE_H
#define SHMAIL_FUZZ_WORKPLACE_H

#include "fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *workplace;

static inline int workplace_forget(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about;
    (void)kind;
    return place->level > 0 ? remove(path) : 0;
}

static inline void workplace_clear(void)
{
    EXPECT(nftw(workplace, workplace_forget, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

static inline void workplace_begin(void)
{
    if (!workplace)
        workplace = fuzz_directory();
    workplace_clear();
}

static inline const char *workplace_path(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s", workplace, name);
    return path;
}

#endif
