/* complaint.h: what the bench says on standard error, with the program's name before it and everything that
 * came from elsewhere escaped. */
#ifndef SHMAIL_BENCH_COMPLAINT_H
#define SHMAIL_BENCH_COMPLAINT_H

#include "plan.h"

#include <stddef.h>

enum { EXIT_WRONG = 1 }; /* a reply was not what it had to be */

__attribute__((format(printf, 2, 3))) void complain(const struct plan *, const char *format, ...);

/* "wrong reply to COUNT bench7: expected EXPECTED, got "BYTES""; request NULL: nothing had been asked. */
void complain_of_reply(const struct plan *, const struct request *, const char *expected, const char *bytes,
                       size_t length);

#endif
