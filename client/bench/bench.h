/* bench.h: the whole program but for the list of its protocols, so that another program can have more. */
#ifndef SHMAIL_BENCH_BENCH_H
#define SHMAIL_BENCH_BENCH_H

#include "speech.h"

/* The first speech is the default. Returns the exit status. */
int bench_main(int argc, char **argv, const struct speech *const *speeches, size_t count);

#endif
