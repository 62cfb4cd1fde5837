/* attack_dial.h: how the programs that attack a server reach it, and how they end when it does what it must
 * not. */
#ifndef SHMAIL_ATTACK_DIAL_H
#define SHMAIL_ATTACK_DIAL_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint16_t port; /* of the server, on 127.0.0.1 */

__attribute__((noreturn)) static inline void fail(const char *what)
{
    (void)printf("%s (%s)\n", what, strerror(errno));
    exit(1);
}

/* -1: errno tells. last: of the source 127.0.0.LAST. flags: of socket(2). */
static inline int dial(unsigned last, int flags)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + last)};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    if (descriptor < 0) {
        return -1;
    }
    (void)setsockopt(descriptor, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &on, sizeof on);
    if (bind(descriptor, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(descriptor, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)) {
        (void)close(descriptor);
        return -1;
    }
    return descriptor;
}

#endif
