/* pass.c: SCM_RIGHTS, one descriptor at a time. */
#include "pass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
};

bool pass_give(int channel, int descriptor, const void *bytes, size_t length)
{
    union control control = {
        .header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec run = {.iov_base = (void *)bytes, .iov_len = length};
    struct msghdr message = {.msg_iov = &run, .msg_iovlen = 1};

    if (descriptor >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    }
    return sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

bool pass_hear(int channel, bool waits, void *bytes, size_t length, int *descriptor)
{
    union control control;
    struct iovec run = {.iov_base = bytes, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &run, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

    *descriptor = -1;
    ssize_t got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC | (waits ? 0 : MSG_DONTWAIT));
    if (got >= 0 && message.msg_controllen >= CMSG_LEN(sizeof(int)) &&
        control.header.cmsg_type == SCM_RIGHTS) {
        memcpy(descriptor, CMSG_DATA(&control.header), sizeof *descriptor);
    }
    if (got == 0) {
        errno = EPIPE;
    }
    if (*descriptor >= 0 && got != (ssize_t)length) {
        (void)close(*descriptor);
        *descriptor = -1;
    }
    return got == (ssize_t)length;
}
