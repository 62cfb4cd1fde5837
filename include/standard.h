/* standard.h: the three descriptors that a program is started with, some of which may be closed. */
#ifndef SHMAIL_STANDARD_H
#define SHMAIL_STANDARD_H

#include <stdbool.h>

/* First of all, or the next file, socket or segment that is opened becomes one of them, and gets what is
 * printed. What fills a closed one's place fails when it is used. So does from now on what would exceed a
 * limit of the size of files (RLIMIT_FSIZE), and ends nobody. False: a place cannot be filled. */
bool standard_hold(void);

#endif
