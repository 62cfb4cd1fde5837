/* spare.c: passes a connection as a descriptor over a pair of sockets, with one byte back when it has come.
 * A copy stays with the parent until then, so that no death in between loses it. */
#include "spare.h"

#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool spare_channel(int ends[static 2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0;
}

bool spare_give(int channel, int connection, bool proxied)
{
    char byte = (char)proxied;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {
        .header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec run = {.iov_base = &byte, .iov_len = 1};
    const struct msghdr message = {
        .msg_iov = &run, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

    memcpy(CMSG_DATA(&control.header), &connection, sizeof connection);
    return sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

bool spare_has_taken(int channel)
{
    char byte;

    return recv(channel, &byte, 1, MSG_DONTWAIT) == 1;
}

/* -1: nothing has come. */
static int receive_connection(int channel, bool *proxied)
{
    char byte = 0;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec run = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &run, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int connection = -1;

    if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) == 1 &&
        message.msg_controllen >= CMSG_LEN(sizeof(int)) && control.header.cmsg_type == SCM_RIGHTS) {
        memcpy(&connection, CMSG_DATA(&control.header), sizeof connection);
        *proxied = byte != 0;
    }
    return connection;
}

int spare_wait(int channel, bool *proxied)
{
    int connection = -1;

    while (connection < 0 && *signals_closing() == 0) {
        struct pollfd poll = {.fd = channel, .events = POLLIN};
        int ready = ppoll(&poll, 1, NULL, signals_sleep_mask());
        if (ready > 0) {
            connection = receive_connection(channel, proxied);
        }
        if (connection < 0 && (ready > 0 || errno != EINTR)) {
            return -1;
        }
    }
    if (connection >= 0) {
        /* From here on the death of this process is that of the connection. Where nobody hears it, the parent
         * is dead, and its children go on serving. */
        (void)send(channel, "", 1, MSG_NOSIGNAL);
        (void)close(channel);
    }
    return connection;
}
