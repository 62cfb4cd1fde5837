/* Tests of spare.h: whoever is told to end while a connection comes, it is a spare's or in the backlog still.
 */
#include "harness.h"
#include "signals.h"
#include "spare.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 400, TOGETHER = 3, LATEST_US = 400 };

static struct listeners listeners;
static struct spares spares;
static struct spares_board board;
static struct store *store; /* that they attach to */

static void listen_somewhere(void)
{
    struct sockaddr_in *address = (struct sockaddr_in *)&listeners.list[0].address.socket.storage;
    socklen_t size = sizeof *address;

    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listeners.list[0].descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    EXPECT(bind(listeners.list[0].descriptor, (struct sockaddr *)address, size) == 0);
    EXPECT(listen(listeners.list[0].descriptor, 16) == 0);
    EXPECT(getsockname(listeners.list[0].descriptor, (struct sockaddr *)address, &size) == 0);
    listeners.count = 1;
}

static int call(void)
{
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    EXPECT(connect(connection, &listeners.list[0].address.socket.any, sizeof(struct sockaddr_in)) == 0);
    return connection;
}

static void prepare(void)
{
    if (listeners.count == 0) {
        signals_prepare();
        listen_somewhere();
    }
    spares_leave(&spares);
    board = (struct spares_board){0};
    EXPECT(spares_prepare(&spares, TOGETHER, &board, &listeners));
}

/* One that says by its exit code whether it has a connection. listener: what it has as its own. */
static void make_spare_with(int listener)
{
    pid_t *place = spares_place(&spares);
    struct arrival arrival;

    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(listener, listeners.list[0].descriptor);
        if (!spare_wait(&spares, place, &listeners, store, &arrival)) {
            _exit(0);
        }
        if (store != NULL) {
            EXPECT_EQ(store_attach(store, "somebody"), STATUS_OK); /* it is none of those ahead any more */
        }
        _exit(arrival.connection >= 0 ? 1 : 2);
    }
    __atomic_store_n(place, pid, __ATOMIC_RELEASE); /* as the kernel does it for the maker */
}

static void make_spare(void)
{
    make_spare_with(listeners.list[0].descriptor);
}

static void nap(long microseconds)
{
    struct timespec time = {.tv_nsec = microseconds * 1000};

    (void)nanosleep(&time, NULL);
}

static bool is_waiting(void)
{
    int accepted = accept(listeners.list[0].descriptor, NULL, NULL);

    if (accepted >= 0) {
        (void)close(accepted);
    }
    return accepted >= 0;
}

/* What has become of all spares, which have been told to end. */
static int count_served(void)
{
    struct source source;
    int served = 0, status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, 0)) > 0) {
        int heard = 0;
        while (spares_hear(&spares, &source) != 0) { /* it may be of another one */
            EXPECT_EQ(source.kind, SOURCE_INET);
            heard++;
        }
        served += heard;
        if (WEXITSTATUS(status) == 0) {
            EXPECT(spares_reap(&spares, &listeners, pid));
        }
    }
    EXPECT_EQ(spares_count(&spares), 0);
    return served;
}

static void who_is_told_to_end_leaves_the_connection_to_others(void)
{
    int both = 0;

    for (int round = 0; round < ROUNDS; round++) {
        prepare();
        for (int i = 0; i < TOGETHER; i++) {
            make_spare();
        }
        nap(LATEST_US);
        if (round % 2 == 0) {
            spares_end(&spares); /* none has heard it yet when the connection comes */
        }
        int connection = call();
        nap(round % 20);
        spares_end(&spares);
        int served = count_served();
        EXPECT_EQ(served + is_waiting(), 1);
        both |= 1 << served;
        (void)close(connection);
    }
    EXPECT_EQ(both, 1 + 2); /* else nothing was tried */
}

static void take_one(void)
{
    int status, connection = call();

    EXPECT(waitpid(-1, &status, 0) > 0);
    EXPECT_EQ(WEXITSTATUS(status), 1);
    (void)close(connection);
}

static void what_the_parent_was_told_does_not_end_its_spares(void)
{
    sigset_t before, hangup;

    prepare();
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    EXPECT(kill(getpid(), SIGHUP) == 0);
    EXPECT(sigprocmask(SIG_UNBLOCK, &hangup, &before) == 0);
    EXPECT(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
    make_spare();
    EXPECT(signals_take_hangup());
    take_one();
}

static void one_that_is_stopped_is_told_to_end_as_well(void)
{
    int status;

    prepare();
    make_spare();
    nap(LATEST_US);
    pid_t pid = board.places[0];
    EXPECT(kill(pid, SIGSTOP) == 0);
    EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    spares_end(&spares);
    EXPECT_EQ(spares_ending(&spares), 1);
    EXPECT_EQ(spares_waiting(&spares), 0);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT(spares_reap(&spares, &listeners, pid));
    EXPECT_EQ(spares_ending(&spares), 0);
}

static void who_comes_together_is_taken_by_as_many(void)
{
    int connections[TOGETHER];
    struct source source;

    for (int round = 0; round < ROUNDS / 4; round++) {
        prepare();
        for (int i = 0; i < TOGETHER; i++) {
            connections[i] = call();
        }
        for (int i = 0; i < TOGETHER; i++) {
            make_spare();
        }
        for (int i = 0; i < TOGETHER; i++) {
            int status;
            EXPECT(waitpid(-1, &status, 0) > 0);
            EXPECT_EQ(WEXITSTATUS(status), 1);
            EXPECT(spares_hear(&spares, &source) > 0);
        }
        for (int i = 0; i < TOGETHER; i++) {
            (void)close(connections[i]);
        }
    }
}

/* As a spare that dies between its wake-up and its accept(2). */
static void another_one_is_woken_for_who_was_left(void)
{
    struct source source;
    int status;

    prepare();
    make_spare();
    nap(LATEST_US);
    pid_t first = board.places[0];
    EXPECT(kill(first, SIGSTOP) == 0);
    EXPECT_EQ(waitpid(first, &status, WUNTRACED), first);
    int connection = call();
    make_spare(); /* not woken: who is stopped was */
    nap(LATEST_US);
    EXPECT(kill(first, SIGKILL) == 0);
    EXPECT_EQ(waitpid(first, &status, 0), first);
    EXPECT(spares_reap(&spares, &listeners, first));
    EXPECT(waitpid(-1, &status, 0) > 0);
    EXPECT_EQ(WEXITSTATUS(status), 1);
    EXPECT(spares_hear(&spares, &source) > 0);
    (void)close(connection);
}

static bool is_ready(int descriptor)
{
    struct pollfd poll_ = {.fd = descriptor, .events = POLLIN};

    return poll(&poll_, 1, 0) == 1;
}

static bool rings(void)
{
    bool rung = is_ready(spares.bell);

    EXPECT(!spares_hear_bell(&spares));
    return rung;
}

static void make_some(void)
{
    prepare();
    for (int i = 0; i < TOGETHER; i++) {
        make_spare();
    }
    nap(LATEST_US);
}

static void the_parent_hears_each_that_serves_and_the_maker_counts_the_others(void)
{
    struct source source;

    make_some();
    for (size_t left = TOGETHER; left > 0; left--) {
        EXPECT_EQ(spares_waiting(&spares), left);
        EXPECT(!is_ready(spares.hears));
        EXPECT(spares_hear(&spares, &source) == 0);
        take_one();
        EXPECT_EQ(spares_waiting(&spares), left - 1);
        EXPECT_EQ(spares_count(&spares), left);
        EXPECT(is_ready(spares.hears));
        EXPECT(spares_hear(&spares, &source) > 0);
        EXPECT_EQ(spares_count(&spares), left - 1);
    }
}

static void the_bell_rings_when_half_of_them_are_left(void)
{
    const struct store_options options = {.slots = 8};
    char why[256];

    EXPECT_EQ(store_open(&store, &options, why, sizeof why), STATUS_OK);
    make_some();
    while (store_processes_ahead(store) < TOGETHER) { /* until then they are not counted */
        nap(LATEST_US);
    }
    take_one();
    EXPECT(!rings());
    take_one();
    EXPECT(rings());
    take_one();
    EXPECT(rings());
}

static void where_they_have_no_slots_it_rings_for_each(void)
{
    make_some();
    for (int i = 0; i < TOGETHER; i++) {
        take_one();
        EXPECT(rings());
    }
}

/* As a limit may have it, or somebody who shuts the listener down. */
static void one_that_cannot_accept_says_so_and_ends(void)
{
    int status;

    prepare();
    make_spare_with(STDERR_FILENO);
    int connection = call();
    pid_t pid = waitpid(-1, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT(spares_hear_bell(&spares));
    EXPECT(!spares_hear_bell(&spares));
    EXPECT(spares_reap(&spares, &listeners, pid));
    EXPECT(is_waiting());
    (void)close(connection);
}

static const struct harness_test tests[] = {
    {"who is told to end leaves the connection to others",
     who_is_told_to_end_leaves_the_connection_to_others},
    {"what the parent was told does not end its spares", what_the_parent_was_told_does_not_end_its_spares},
    {"one that is stopped is told to end as well", one_that_is_stopped_is_told_to_end_as_well},
    {"who comes together is taken by as many", who_comes_together_is_taken_by_as_many},
    {"another one is woken for who was left", another_one_is_woken_for_who_was_left},
    {"the parent hears each that serves, and the maker counts the others",
     the_parent_hears_each_that_serves_and_the_maker_counts_the_others},
    {"the bell rings when half of them are left", the_bell_rings_when_half_of_them_are_left},
    {"where they have no slots it rings for each", where_they_have_no_slots_it_rings_for_each},
    {"one that cannot accept says so and ends", one_that_cannot_accept_says_so_and_ends},
};

HARNESS_MAIN(tests)
