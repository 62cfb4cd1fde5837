/* proxy.h: the header that a proxy or TLS terminator sends in front of a connection, to say whose it is: the
 * PROXY protocol of HAProxy, versions 1 (a line) and 2 (binary).
 *
 * Whoever may send one may claim any address: it is read only from listeners that were marked for it. */
#ifndef SHMAIL_PROXY_H
#define SHMAIL_PROXY_H

#include "address.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    PROXY_LINE_MAX = 107,    /* of version 1, with its CR LF: section 2.1 */
    PROXY_HEADER_MAX = 4096, /* of version 2: addresses take 52 bytes, some certificates' names are long */
};

enum proxy_step {
    PROXY_PART,  /* the start of a header: more bytes have to come */
    PROXY_WHOLE, /* *header is filled in */
    PROXY_WRONG, /* no header begins like this, however it goes on */
};

struct proxy_header {
    size_t length;         /* bytes that it took; the client's follow */
    bool is_known;         /* false: the proxy speaks for itself (LOCAL), or does not say (UNKNOWN, a path) */
    struct address source; /* the client's IPv4 or IPv6 address, where it is known */
};

/* Reads bytes[0..length) alone, so it may be asked again when more has come. Strict: numbers and addresses in
 * one form only, a checksum that must hold, nothing over the limits above. */
enum proxy_step proxy_parse(const char *bytes, size_t length, struct proxy_header *header);

#endif
