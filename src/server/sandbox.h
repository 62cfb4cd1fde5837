/* sandbox.h: what a process gives up before it reads a byte of a client: its limits, the file system, its
 * user, its capabilities, and nearly all system calls.
 *
 * Prepared once, with the file system at hand; entered by processes that were forked since, for good. In
 * three steps, since what a process is forked from may have taken the first two for it. */
#ifndef SHMAIL_SANDBOX_H
#define SHMAIL_SANDBOX_H

#include "filter.h"
#include "user.h"

#include <stdbool.h>
#include <stddef.h>

struct sandbox_options {
    const char *user; /* whose the process becomes where root has started us; NULL: shmail, else nobody */
    bool as_root;     /* it stays root, without its rights */
    bool off;         /* no sandbox but that user */
    bool debug;       /* a breach is logged by its name before it ends the process */
    bool lone;        /* nobody else will see how this process ends */
    bool syslog;
    size_t message_limit;
};

struct sandbox {
    struct sandbox_options options;
    struct user user;
    bool changes_user, is_root; /* inside */
    int root;                   /* an empty directory without a name; -1: stay where we are */
    int rules;                  /* a ruleset of Landlock that allows nothing; -1: none */
    bool filters;
    uint32_t breach;
    struct filter wide, narrow;
};

/* Finds out what this system can do, and says in the log what it cannot. False: why[0..why_size) says what to
 * do about it. */
bool sandbox_prepare(struct sandbox *, const struct sandbox_options *, char *why, size_t why_size);

/* The descriptors that the filter lets through; again when the post office is another. Before sandbox_enter.
 */
void sandbox_admit(struct sandbox *, const struct store_descriptors *);

/* For the parent, which goes on as root but with no more rights than its children's sandbox takes. */
void sandbox_keep_little(const struct sandbox *);

/* Enters, all but the filters. descriptors: how many more it may get at a time, 1 at most. Here and
 * below, what was prepared and fails ends the process. */
void sandbox_enter(const struct sandbox *, unsigned descriptors);

/* The wide filter: after it the process can do what its table lists, and fork as the maker does. answers: as
 * filter_install has it; also -1 without a filter. */
void sandbox_seal(const struct sandbox *, int *answers);

/* No more processes, and no more descriptors: the last steps of each process by itself. */
void sandbox_end_processes(const struct sandbox *);
void sandbox_end_descriptors(const struct sandbox *);

/* For who serves a connection and nothing else: not all of the machine's memory. */
void sandbox_bound_memory(const struct sandbox *);

#endif
