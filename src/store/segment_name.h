/* segment_name.h: post offices by name: what names are, and the shared memory object behind one. Private to
 * src/store. */
#ifndef SHMAIL_SEGMENT_NAME_H
#define SHMAIL_SEGMENT_NAME_H

#include "layout.h"

#include <stdbool.h>
#include <sys/stat.h>

/* Where the system shows shared memory objects, and how the names of those start that are post offices. */
#define SEGMENT_FOLDER "/dev/shm"
#define SEGMENT_PREFIX "shmail-"

/* How the names start that a repair gives to what it makes, until it has its place: no other may start so. */
#define SEGMENT_REPAIR_PREFIX ".repair-"

/* Whether an object of that name may be a post office; most: POST_OFFICE_MAX, or OBJECT_MAX for one that may
 * have been set aside. False: why says what names are. */
bool segment_is_name(const char *name, size_t most, char *why, size_t why_size);

/* Opens the segment of the name that the options have, or a private one, and begins it where there is none.
 * What it has opened stays in the store, also where it fails. STATUS_SYSTEM, STATUS_MISMATCH,
 * STATUS_MALFORMED, and what a journal's recovery may end with; STATUS_IN_USE: it was to be had alone. */
enum status segment_open(struct store *, const struct store_options *, char *why, size_t why_size);

/* Whether the name is the object's: else it was removed since, or is another one's. */
bool segment_has_name(int fd, const char *name);

/* Keeps others from opening the object by its name, until the descriptor is closed. False: somebody is just
 * doing that. */
bool segment_bar(int fd);

/* Whether this process has that object open: then it must not open it once more, as closing any descriptor of
 * an object gives back all bytes that the process has of it. */
bool segment_is_open(const struct stat *object);

/* Marks the segment as one that is about to lose its name: locks do not outlive a fork, so who was forked by
 * the last that had it open, and has not attached yet, learns of it by that. Who opens the segment to
 * serve it takes the mark off again. For who has all bytes. False: errno tells. */
bool segment_retire(int fd);

#endif
