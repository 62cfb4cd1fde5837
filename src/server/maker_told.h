/* maker_told.h: what goes through the channel to the maker. Private to maker.c, which sends it, and
 * maker_work.c. */
#ifndef SHMAIL_MAKER_TOLD_H
#define SHMAIL_MAKER_TOLD_H

#include "peer.h"

#include <stdbool.h>
#include <stdint.h>

/* With a descriptor a process is ordered for it. */
struct maker_told {
    uint32_t place;       /* in made, of an order */
    struct caller caller; /* of its connection */
    uint32_t let;         /* without a descriptor: connections that it may take, or spares that it may make */
    bool completes;       /* the same: no spare shall lack, as far as it is let */
};

#endif
