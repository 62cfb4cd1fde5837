/* resolve.h: the addresses of a host. */
#ifndef SHMAIL_RESOLVE_H
#define SHMAIL_RESOLVE_H

#include "address.h"

/* host is numeric or a name; port is numeric. As address_find. */
size_t resolve(const char *host, const char *port, struct address found[static ADDRESS_FOUND_MAX],
               const char **why);

#endif
