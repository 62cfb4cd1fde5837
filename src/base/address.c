/* address.c: takes addresses apart, has names looked up, and prints what the kernel uses. In come texts of
 * options and of the environment; out go socket addresses, or a reason. It opens no socket. */
#include "address.h"

#include "number.h"
#include "resolve.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static_assert(ADDRESS_TEXT_SIZE > sizeof "unix:" + sizeof(((struct sockaddr_un *)0)->sun_path),
              "a path is printed whole");

static bool refuse(const char **why, const char *reason)
{
    *why = reason;
    return false;
}

static bool parse_path(const char *path, struct address_name *name, const char **why)
{
    size_t length = strlen(path);

    if (length == 0) {
        return refuse(why, "the path is empty");
    }
    if (length >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        return refuse(why, "the path is longer than a socket's may be (107 bytes)");
    }
    *name = (struct address_name){.is_path = true};
    memcpy(name->name, path, length + 1);
    return true;
}

static bool parse_inet(const char *host, size_t length, const char *port, struct address_name *name,
                       const char **why)
{
    uint64_t number;

    if (!number_parse(port, strlen(port), UINT16_MAX, &number)) {
        return refuse(why, "a port is a number from 0 to 65535");
    }
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
        if (memchr(host, ':', length) == NULL) {
            return refuse(why, "only an IPv6 address may stand in brackets");
        }
    }
    if (length == 0 || length > ADDRESS_NAME_MAX) {
        return refuse(why, length == 0 ? "the host is empty" : "the host is longer than a name may be");
    }
    for (size_t i = 0; i < length; i++) {
        if (host[i] <= ' ' || host[i] == 0x7F || strchr("[]/", host[i]) != NULL) {
            return refuse(why, "no host is written so");
        }
    }
    *name = (struct address_name){.is_path = false};
    memcpy(name->name, host, length);
    (void)snprintf(name->port, sizeof name->port, "%u", (unsigned)(uint16_t)number);
    return true;
}

bool address_parse(const char *text, struct address_name *name, const char **why)
{
    if (strncmp(text, "unix:", 5) == 0) {
        return parse_path(text + 5, name, why);
    }
    if (strncmp(text, "inet:", 5) == 0) {
        const char *host = text + 5;
        const char *colon = strrchr(host, ':');
        if (colon != NULL) {
            return parse_inet(host, (size_t)(colon - host), colon + 1, name, why);
        }
    }
    return refuse(why, "an address is inet:HOST:PORT or unix:PATH");
}

bool address_parse_host(const char *host, const char *port, struct address_name *name, const char **why)
{
    return parse_inet(host, strlen(host), port, name, why);
}

size_t address_find(const struct address_name *name, struct address found[static ADDRESS_FOUND_MAX],
                    const char **why)
{
    if (name->is_path) {
        found[0] = (struct address){.length = sizeof(struct sockaddr_un)};
        found[0].socket.path.sun_family = AF_UNIX;
        memcpy(found[0].socket.path.sun_path, name->name, strlen(name->name) + 1);
        return 1;
    }
    return resolve(name->name, name->port, found, why);
}

static void print_path(const struct address *address, char text[static ADDRESS_TEXT_SIZE])
{
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t room = address->length > start ? address->length - start : 0;

    (void)snprintf(text, ADDRESS_TEXT_SIZE, "unix:%.*s", (int)strnlen(address->socket.path.sun_path, room),
                   address->socket.path.sun_path);
}

/* By hand: every connection is named, and printf touches a dozen pages that its process needs for nothing
 * else. */
static void print_v4(const struct sockaddr_in *socket, char text[static ADDRESS_TEXT_SIZE])
{
    const unsigned char *octets = (const unsigned char *)&socket->sin_addr;
    char *end = text + sizeof "inet:" - 1;

    memcpy(text, "inet:", sizeof "inet:" - 1);
    for (size_t i = 0; i < sizeof socket->sin_addr; i++) {
        end += number_print(octets[i], end);
        *end++ = i + 1 < sizeof socket->sin_addr ? '.' : ':';
    }
    end += number_print(ntohs(socket->sin_port), end);
    *end = '\0';
}

/* getnameinfo(3) would ask the kernel for the name of a link-local address's interface: no sandbox allows
 * that. Its number serves as well. */
void address_print(const struct address *address, char text[static ADDRESS_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";
    char zone[sizeof "%4294967295"] = "";
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    switch (address->socket.any.sa_family) {
    case AF_UNIX:
        print_path(address, text);
        break;
    case AF_INET:
        memcpy(&v4, &address->socket, sizeof v4);
        print_v4(&v4, text);
        break;
    case AF_INET6:
        memcpy(&v6, &address->socket, sizeof v6);
        (void)inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        if (v6.sin6_scope_id != 0) {
            (void)snprintf(zone, sizeof zone, "%%%u", (unsigned)v6.sin6_scope_id);
        }
        (void)snprintf(text, ADDRESS_TEXT_SIZE, "inet:[%s%s]:%u", host, zone, (unsigned)ntohs(v6.sin6_port));
        break;
    default:
        (void)snprintf(text, ADDRESS_TEXT_SIZE, "an address of family %d", address->socket.any.sa_family);
        break;
    }
}

bool address_is_local(const struct address *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    switch (address->socket.any.sa_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        memcpy(&v4, &address->socket, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    case AF_INET6:
        memcpy(&v6, &address->socket, sizeof v6);
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) && v6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
    default:
        return false;
    }
}
