/* resolve.c: asks the system's resolver; or, in a static program, which cannot load the libraries that one
 * consists of, reads numeric addresses and knows localhost. */
#include "resolve.h"

#ifdef SHMAIL_STATIC

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

size_t resolve(const char *host, const char *port, struct address found[static ADDRESS_FOUND_MAX],
               const char **why)
{
    struct sockaddr_in inet = {.sin_family = AF_INET};
    struct sockaddr_in6 inet6 = {.sin6_family = AF_INET6};
    bool is_local = strcmp(host, "localhost") == 0;
    size_t count = 0;

    inet.sin_port = inet6.sin6_port = htons((uint16_t)strtoul(port, NULL, 10));
    if (inet_pton(AF_INET6, is_local ? "::1" : host, &inet6.sin6_addr) == 1) {
        found[count] = (struct address){.length = sizeof inet6};
        memcpy(&found[count++].socket, &inet6, sizeof inet6);
    }
    if (inet_pton(AF_INET, is_local ? "127.0.0.1" : host, &inet.sin_addr) == 1) {
        found[count] = (struct address){.length = sizeof inet};
        memcpy(&found[count++].socket, &inet, sizeof inet);
    }
    if (count == 0) {
        *why = "this static program knows numeric addresses and localhost only";
    }
    return count;
}

#else

#include <errno.h>
#include <netdb.h>
#include <string.h>

static bool is_among(const struct address *address, const struct address *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].length == address->length &&
            memcmp(&list[i].socket, &address->socket, address->length) == 0) {
            return true;
        }
    }
    return false;
}

size_t resolve(const char *host, const char *port, struct address found[static ADDRESS_FOUND_MAX],
               const char **why)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    size_t count = 0;

    int error = getaddrinfo(host, port, &hints, &list);
    if (error != 0) {
        *why = error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error);
        return 0;
    }
    for (struct addrinfo *each = list; each != NULL && count < ADDRESS_FOUND_MAX; each = each->ai_next) {
        struct address address = {.length = each->ai_addrlen};
        if ((each->ai_family != AF_INET && each->ai_family != AF_INET6) ||
            each->ai_addrlen > sizeof address.socket) {
            continue;
        }
        memcpy(&address.socket, each->ai_addr, each->ai_addrlen);
        if (!is_among(&address, found, count)) { /* /etc/hosts may name one address twice */
            found[count++] = address;
        }
    }
    freeaddrinfo(list);
    if (count == 0) {
        *why = "the name has no address";
    }
    return count;
}

#endif
