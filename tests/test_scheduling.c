/* test_scheduling.c: a process that serves goes to the processor that its client's bytes come in on; the
 * policies are test_company's. */
#include "scheduling.h"

#include "harness.h"

#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRIES = 20, MANY = 1 << 20 };

static cpu_set_t all;
static int here, there; /* two of them */
static int client, server;

static void stay_on(int processor)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)processor, &one);
    EXPECT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
}

static void connect_both(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    client = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(bind(listener, (struct sockaddr *)&address, size), 0);
    EXPECT_EQ(listen(listener, 1), 0);
    EXPECT_EQ(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    EXPECT_EQ(connect(client, (struct sockaddr *)&address, size), 0);
    server = accept(listener, NULL, NULL);
    EXPECT(server >= 0);
    EXPECT_EQ(close(listener), 0);
}

static void begin(size_t processes)
{
    EXPECT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
    if (CPU_COUNT(&all) < 2)
        harness_skip("there is one processor");
    here = there = -1;
    for (int i = 0; there < 0; i++) {
        if (!CPU_ISSET((size_t)i, &all))
            continue;
        if (here < 0)
            here = i;
        else
            there = i;
    }
    connect_both();
    scheduling_prepare();
    scheduling_share(processes);
}

/* What comes from there is taken in there; then this process is here, and may be anywhere in usable. */
static void be_sent_something(const cpu_set_t *usable)
{
    char byte = 1;
    stay_on(there);
    EXPECT_EQ(send(client, &byte, 1, 0), 1);
    EXPECT_EQ(recv(server, &byte, 1, 0), 1);
    stay_on(here);
    EXPECT_EQ(sched_setaffinity(0, sizeof(*usable), usable), 0);
}

static void expect_usable(const cpu_set_t *usable)
{
    cpu_set_t now;
    EXPECT_EQ(sched_getaffinity(0, sizeof(now), &now), 0);
    EXPECT(CPU_EQUAL(&now, usable));
}

/* How often it came there: the system may move it at any time. */
static int followed(void)
{
    int came = 0;
    for (int i = 0; i < TRIES; i++) {
        be_sent_something(&all);
        scheduling_follow(server);
        came += sched_getcpu() == there;
        expect_usable(&all);
    }
    return came;
}

static void one_of_many_goes_to_where_its_client_is(void)
{
    begin(MANY);
    EXPECT(followed() > TRIES * 3 / 4);
}

static void one_of_few_stays_where_it_is(void)
{
    begin(1);
    EXPECT(followed() < TRIES / 4);
}

static void nobody_goes_where_he_must_not_be(void)
{
    cpu_set_t only;
    begin(MANY);
    CPU_ZERO(&only);
    CPU_SET((size_t)here, &only);
    be_sent_something(&only);
    scheduling_follow(server);
    EXPECT_EQ(sched_getcpu(), here);
    expect_usable(&only);
}

static void what_does_not_say_is_not_followed(void)
{
    int pair[2], pipes[2];
    begin(MANY);
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    EXPECT_EQ(pipe(pipes), 0);
    scheduling_follow(pair[0]);
    scheduling_follow(pipes[1]);
    scheduling_follow(-1);
    expect_usable(&all);
}

static const struct harness_test tests[] = {
    {"one of many goes to where its client is", one_of_many_goes_to_where_its_client_is},
    {"one of few stays where it is", one_of_few_stays_where_it_is},
    {"nobody goes where he must not be", nobody_goes_where_he_must_not_be},
    {"what does not say where that is is not followed", what_does_not_say_is_not_followed},
};

HARNESS_MAIN(tests)
