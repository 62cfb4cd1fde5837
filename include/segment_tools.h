/* segment_tools.h: a post office's segment as shmailctl mends it. */
#ifndef SHMAIL_SEGMENT_TOOLS_H
#define SHMAIL_SEGMENT_TOOLS_H

#include "report.h"
#include "status.h"

/* Where the check finds something in the segment, or in its journal: makes a new segment of the same sizes
 * from every account and message that verifies, and from the journal where there is one. The old segment
 * stays, as NAME.damaged-MOMENT, and a journal's old files as journal_repair keeps them. What is sound but
 * belongs to nothing is exported to export-NAME-MOMENT in the working directory. Sessions end. Where there is
 * nothing to mend it writes nothing.
 *
 * directory: where the journal is now, or one without any, in which a new one begins with what is in memory:
 * for a journal that is lost, or one that there never was. NULL: where the segment says.
 *
 * STATUS_OK if it has done its work, whatever it has found; otherwise nothing was changed and
 * why[0..why_size) says what to do, in one line: STATUS_IN_USE (processes are attached, or somebody has the
 * journal), STATUS_MISMATCH (another layout or no sound header, another journal), STATUS_FULL_SEGMENT (there
 * is no memory for two of them), STATUS_FULL_JOURNAL (nothing can be written), STATUS_MALFORMED,
 * STATUS_SYSTEM. Needs a process that has no other post office open. */
enum status segment_repair(const char *name, const char *directory, struct report *, char *why,
                           size_t why_size);

#endif
