/* segment_salvage.h: a new state from what verifies in a damaged segment, and from its journal. Private to
 * src/store. */
#ifndef SHMAIL_SEGMENT_SALVAGE_H
#define SHMAIL_SEGMENT_SALVAGE_H

#include "export.h"
#include "layout.h"

/* old: a private copy that nobody changes. journal: what its journal says up to record last, attached, or
 * NULL. fresh: attached and empty, with room for as many accounts. An account whose every part verifies is
 * taken as old has it; of any other, the messages that verify and those that the journal has. What is sound
 * in old, but belongs to nothing, is exported. STATUS_NO_MEMORY, STATUS_FULL_*, STATUS_SYSTEM (an export has
 * failed). */
enum status segment_salvage(const struct store *old, struct store *journal, uint64_t last,
                            struct store *fresh, struct report *, struct exporter *);

#endif
