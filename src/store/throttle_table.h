/* throttle_table.h: the tables of throttle.h as the segment and its check see them. Private to src/store. */
#ifndef SHMAIL_THROTTLE_TABLE_H
#define SHMAIL_THROTTLE_TABLE_H

#include "check.h"

/* How many records each table of a post office for so many accounts has. */
uint32_t throttle_records(uint32_t accounts);

/* Within a transaction: takes back the attempt of a slot whose process was killed in it. */
void throttle_abandon(struct store *, struct slot *);

/* Each record is in the set of its key, once, and will be forgiven some day. */
void check_throttles(struct check *);

#endif
