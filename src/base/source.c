/* source.c: from an address or a user to what throttles and limits take for one source. It knows no limit. */
#include "source.h"

#include "address.h"

#include <netinet/in.h>
#include <string.h>

enum { INET_BYTES = 4, NETWORK_BYTES = 8, MAPPED = 12 };

static struct source make(enum source_kind kind, const void *bytes, size_t length)
{
    struct source source = {.kind = (uint8_t)kind};

    memcpy(source.bytes, bytes, length);
    return source;
}

struct source source_of_address(const struct address *address)
{
    struct sockaddr_in inet;
    struct sockaddr_in6 inet6;

    switch (address->socket.any.sa_family) {
    case AF_INET:
        memcpy(&inet, &address->socket, sizeof inet);
        return make(SOURCE_INET, &inet.sin_addr, INET_BYTES);
    case AF_INET6:
        memcpy(&inet6, &address->socket, sizeof inet6);
        return IN6_IS_ADDR_V4MAPPED(&inet6.sin6_addr)
                   ? make(SOURCE_INET, inet6.sin6_addr.s6_addr + MAPPED, INET_BYTES)
                   : make(SOURCE_INET6, inet6.sin6_addr.s6_addr, NETWORK_BYTES);
    default:
        return (struct source){.kind = SOURCE_OTHER};
    }
}

struct source source_of_user(uint32_t uid)
{
    return make(SOURCE_USER, &uid, sizeof uid);
}
