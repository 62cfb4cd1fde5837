/* source.h: what counts as one source of connections: an IPv4 address, the /64 network of an IPv6 address
 * (which is what one customer gets), or a user of this machine. */
#ifndef SHMAIL_SOURCE_H
#define SHMAIL_SOURCE_H

#include <stdint.h>

enum source_kind { SOURCE_OTHER, SOURCE_INET, SOURCE_INET6, SOURCE_USER };

/* Two are one source if their bytes are equal. All zero: what has neither address nor user. */
struct source {
    uint8_t kind;
    uint8_t bytes[8];
};

struct address; /* address.h */

/* An IPv4 address that is written as IPv6 is an IPv4 one. A path is SOURCE_OTHER. */
struct source source_of_address(const struct address *);
struct source source_of_user(uint32_t uid);

#endif
