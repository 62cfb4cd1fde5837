/* standing.h: post offices that stand in memory without a process. Private to src/store. */
#ifndef SHMAIL_STANDING_H
#define SHMAIL_STANDING_H

#include "journal_directory.h"
#include "limit.h"

/* Whether a segment of this machine was the last to have that directory, and its name. By the lock file's
 * number; where there is none, by the journal and the directory that the segment names. */
bool standing_office(const struct journal_directory *, char name[static OBJECT_MAX + 1]);

/* The same for one that has what the files lack: whoever takes the directory would make it out of date, and
 * what it has was acknowledged. Opens the files itself. Neither looks at a segment that this process has
 * open. */
bool standing_office_owes(const struct journal_directory *, char name[static OBJECT_MAX + 1]);

#endif
