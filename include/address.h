/* address.h: where a server listens or a client connects, as text and as a socket address.
 *
 * The text is inet:HOST:PORT or unix:PATH. The port stands after the last colon, so inet:::1:25 and
 * inet:[::1]:25 are the same; a host is a numeric address or a name. Nothing here opens a socket. */
#ifndef SHMAIL_ADDRESS_H
#define SHMAIL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ADDRESS_DEFAULT "inet:127.0.0.1:8887" /* where clients look for a server that nobody has named */

enum {
    ADDRESS_NAME_MAX = 255,  /* bytes of a host (RFC 1035), or of a path: sun_path takes 107 */
    ADDRESS_TEXT_SIZE = 128, /* any address as text with its NUL: "unix:" and sun_path is the longest */
    ADDRESS_FOUND_MAX = 16,  /* addresses of one name; the rest is ignored */
};

/* A text taken apart, not yet looked up. */
struct address_name {
    bool is_path;
    char name[ADDRESS_NAME_MAX + 1]; /* the host without brackets, or the path */
    char port[6];                    /* decimal, 0 to 65535; empty for a path */
};

struct address {
    socklen_t length;
    union {
        struct sockaddr any;
        struct sockaddr_un path;
        struct sockaddr_storage storage;
    } socket;
};

/* False: *why says what is wrong, in words that live for ever and follow "TEXT: ". */
bool address_parse(const char *text, struct address_name *, const char **why);
bool address_parse_host(const char *host, const char *port, struct address_name *, const char **why);

/* The addresses that a name stands for, in the resolver's order and each once; 0: none, and *why as above. A
 * numeric address needs no resolver. */
size_t address_find(const struct address_name *, struct address found[static ADDRESS_FOUND_MAX],
                    const char **why);

/* Writes inet:HOST:PORT (numeric, IPv6 in brackets) or unix:PATH. */
void address_print(const struct address *, char text[static ADDRESS_TEXT_SIZE]);

/* True where only this machine reaches it: loopback or a path. */
bool address_is_local(const struct address *);

#endif
