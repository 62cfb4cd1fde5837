/* connect.h: the socket of a lane. */
#ifndef SHMAIL_BENCH_CONNECT_H
#define SHMAIL_BENCH_CONNECT_H

#include "lane.h"

/* Begins to connect a closed lane, which then is LANE_CONNECTING or LANE_GREETING; or still LANE_CLOSED,
 * where the server or the machine has no room at the moment. Returns 0 or the exit status (said). */
int lane_connect(struct lane *);

/* The socket of a LANE_CONNECTING lane is ready. Returns as above. */
int lane_connected(struct lane *);

/* What was under way is forgotten. */
void lane_disconnect(struct lane *);

/* Sets plan->address: of several, to the first where somebody answers. Returns 0 or the exit status (said).
 */
int server_find(struct plan *);

#endif
