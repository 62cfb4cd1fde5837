/* Tests of descriptors.h: what a connection has of its listener, and standard error. */
#include "descriptors.h"
#include "harness.h"
#include "listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONGESTION_MAX = 16,  /* TCP_CA_NAME_MAX */
    NOTICED_SECONDS = 120 /* within which a peer that is gone is noticed, as smsp(7) says */
};

static int option(int descriptor, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT(getsockopt(descriptor, level, name, &value, &size) == 0);
    return value;
}

static void read_congestion(int descriptor, char name[static CONGESTION_MAX])
{
    socklen_t size = CONGESTION_MAX;
    memset(name, 0, CONGESTION_MAX);
    EXPECT(getsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, name, &size) == 0);
}

static void expect_prompt_and_kept(int descriptor)
{
    EXPECT(option(descriptor, IPPROTO_TCP, TCP_NODELAY) != 0);
    EXPECT(option(descriptor, SOL_SOCKET, SO_KEEPALIVE) != 0);
    int probing =
        option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL) * option(descriptor, IPPROTO_TCP, TCP_KEEPCNT);
    EXPECT(option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE) + probing <= NOTICED_SECONDS);
}

static void a_connection_of_this_machine_looks_for_no_congestion(void)
{
    static struct listeners listeners;
    struct address_name name;
    char why[256], congestion[CONGESTION_MAX];
    const char *reason = NULL;

    EXPECT(address_parse("inet:127.0.0.1:0", &name, &reason));
    EXPECT(listeners_add(&listeners, &name, false, why, sizeof why));
    const struct listener *listener = &listeners.list[0];
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(connect(peer, &listener->address.socket.any, listener->address.length) == 0);
    int connection = accept(listener->descriptor, NULL, NULL);
    EXPECT(connection >= 0);
    expect_prompt_and_kept(connection);
    read_congestion(connection, congestion);
    EXPECT_STR(congestion, "reno");
    (void)close(connection);
    (void)close(peer);
    listeners_close(&listeners);
}

static void what_a_network_reaches_does_as_the_system_has_chosen(void)
{
    const struct sockaddr_in anywhere = {.sin_family = AF_INET};
    char before[CONGESTION_MAX], after[CONGESTION_MAX];
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);

    EXPECT(bind(descriptor, (const struct sockaddr *)(const void *)&anywhere, sizeof anywhere) == 0);
    read_congestion(descriptor, before);
    if (strcmp(before, "reno") == 0)
        harness_skip("the system has chosen what a loopback gets");
    descriptor_tune(descriptor);
    expect_prompt_and_kept(descriptor);
    read_congestion(descriptor, after);
    EXPECT_STR(after, before);
    (void)close(descriptor);
}

static void a_pipe_as_standard_error_does_not_block_and_is_as_it_was_for_others(void)
{
    int ends[2];
    char byte = 0;

    EXPECT(pipe2(ends, O_CLOEXEC) == 0);
    EXPECT(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    descriptor_unblock(STDERR_FILENO);
    EXPECT((fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK) != 0);
    EXPECT_EQ(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(write(STDERR_FILENO, "x", 1), 1);
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
    EXPECT_EQ(byte, 'x');
}

static const struct harness_test tests[] = {
    {"a connection of this machine looks for no congestion",
     a_connection_of_this_machine_looks_for_no_congestion},
    {"what a network reaches does as the system has chosen",
     what_a_network_reaches_does_as_the_system_has_chosen},
    {"a pipe as standard error does not block, and is as it was for others",
     a_pipe_as_standard_error_does_not_block_and_is_as_it_was_for_others},
};

HARNESS_MAIN(tests)
