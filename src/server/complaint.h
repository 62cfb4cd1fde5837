/* complaint.h: the same trouble fills no log. */
#ifndef SHMAIL_COMPLAINT_H
#define SHMAIL_COMPLAINT_H

#include <stdbool.h>
#include <stdint.h>

enum { COMPLAINT_SECONDS = 10 }; /* the least time between two lines about the same trouble */

/* When trouble of one kind was last logged; 0: never. */
struct complaint {
    int64_t last;
};

/* True now and then; the caller then logs it. */
bool complaint_is_due(struct complaint *);

#endif
