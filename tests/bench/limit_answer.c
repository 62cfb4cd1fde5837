/* limit_answer.c: what a process for each request can reach at most: limit_answer fork | same | segment |
 * stay | ahead.
 *
 * A child sends the one line that it has read back, and exits. Linked statically, as a fork costs by the
 * pages that are mapped. "same" answers in the process that accepted, for what the fork alone costs; with
 * "segment" a child also writes to memory that all share, in as many places as a request of a mail store
 * must: its header, the process's slot, a bucket, a session, an account and its name. They lie in one huge
 * page, where the system gives one. "stay" is the same with children that wait for the client's end: where a
 * connection may carry any number of requests, nothing else tells that there is none more. "ahead" is
 * "segment" with children that are forked before the connection comes, which is passed to them. */
#include "limit_program.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

enum { PLACES = 6, AHEAD = 8 };
enum { HUGE = 2 << 20 }; /* bytes */

/* As large as a post office may become, and as empty as one is. */
static char *share_segment(void)
{
    const size_t bytes = (size_t)64 << 30;
    int file = memfd_create("segment", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)bytes) != 0)
        fail("memfd_create");
    char *room = mmap(NULL, bytes + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        fail("mmap");
    char *segment = mmap(room + (-(uintptr_t)room % HUGE), bytes, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_NORESERVE | MAP_FIXED, file, 0);
    if (segment == MAP_FAILED)
        fail("mmap");
    memset(segment, 1, HUGE);
    (void)madvise(segment, HUGE, MADV_COLLAPSE);
    return segment;
}

static void answer(int connection)
{
    char line[4096];
    size_t got = 0;
    while (got < sizeof(line) && (got == 0 || line[got - 1] != '\n')) {
        ssize_t more = recv(connection, line + got, sizeof(line) - got, 0);
        if (more <= 0)
            return;
        got += (size_t)more;
    }
    (void)send(connection, line, got, MSG_NOSIGNAL);
}

static void wait_for_end(int connection)
{
    char more[64];
    while (recv(connection, more, sizeof(more), 0) > 0)
        continue;
}

static void touch(char *segment)
{
    for (size_t i = 0; i < PLACES; i++)
        ++*(volatile char *)(segment + i * (HUGE / PLACES));
}

/* A message of one byte that carries the connection: to a child, or in it. */
static void pass(int channel, int connection)
{
    char byte = 0;
    struct iovec run = {&byte, 1};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr message = {
        .msg_iov = &run, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    memcpy(CMSG_DATA(&control.header), &connection, sizeof(connection));
    if (sendmsg(channel, &message, MSG_NOSIGNAL) != 1)
        fail("sendmsg");
}

static int take(int channel)
{
    char byte;
    int connection;
    struct iovec run = {&byte, 1};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &run, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    if (recvmsg(channel, &message, 0) != 1 || message.msg_controllen < CMSG_LEN(sizeof(int)))
        _exit(0); /* the parent has ended */
    memcpy(&connection, CMSG_DATA(&control.header), sizeof(connection));
    return connection;
}

/* What can be done before the connection comes is; half of them at a time. */
static void answer_ahead(int listener, char *segment)
{
    int channels[AHEAD];
    for (int idle = 0;;) {
        for (; idle < AHEAD; idle++) {
            int ends[2];
            if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
                fail("socketpair");
            pid_t child = fork();
            if (child < 0)
                fail("fork");
            if (child == 0) {
                close(ends[0]);
                touch(segment);
                answer(take(ends[1]));
                _exit(0);
            }
            close(ends[1]);
            channels[idle] = ends[0];
        }
        for (; idle > AHEAD / 2; idle--) {
            int connection = accept_connection(listener);
            pass(channels[idle - 1], connection);
            close(channels[idle - 1]);
            close(connection);
        }
    }
}

int main(int argc, char **argv)
{
    const char *way = argc == 2 ? argv[1] : "";
    bool forks = strcmp(way, "fork") == 0, ahead = strcmp(way, "ahead") == 0;
    bool stays = strcmp(way, "stay") == 0, shares = stays || strcmp(way, "segment") == 0;
    if (!forks && !ahead && !shares && strcmp(way, "same") != 0) {
        fputs("usage: limit_answer fork | same | segment | stay | ahead\n", stderr);
        return 64;
    }
    forks = forks || shares;
    char *segment = shares || ahead ? share_segment() : NULL;
    int listener = listen_and_announce();
    signal(SIGCHLD, SIG_IGN);
    if (ahead)
        answer_ahead(listener, segment);
    for (;;) {
        int connection = accept_connection(listener);
        pid_t child = forks ? fork() : 0;
        if (child < 0)
            fail("fork");
        if (child == 0 && shares)
            touch(segment);
        if (child == 0)
            answer(connection);
        if (child == 0 && stays)
            wait_for_end(connection);
        if (child == 0 && forks)
            _exit(0);
        close(connection);
    }
}
