/* Tests of stream.h: how a connection ends, by its peer, by time, or by a signal, and what still gets through
 * then. */
#include "clock.h"
#include "descriptors.h"
#include "signals.h"
#include "stream_pair.h"

#include <fcntl.h>

static void a_half_closed_peer_gets_its_replies(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 0);

    say(pair.peer, "COUNT");
    EXPECT(shutdown(pair.peer, SHUT_WR) == 0);
    EXPECT_EQ(stream_read(pair.stream, MOST), STATUS_OK);
    EXPECT_EQ(stream_read(pair.stream, MOST), STATUS_HANGUP);
    EXPECT_EQ(stream_read(pair.stream, MOST), STATUS_HANGUP);
    EXPECT_EQ(stream_length(pair.stream), 5);
    EXPECT(!stream_gone(pair.stream));
    put_text(pair.stream, "COUNTED 1\n");
    EXPECT_EQ(stream_flush(pair.stream), STATUS_OK);
    EXPECT_STR(hear(pair.peer), "COUNTED 1\n");
    stream_close(pair.stream);
}

static void a_peer_that_is_gone_is_noticed_without_a_signal_that_kills(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 0);

    EXPECT(!stream_gone(pair.stream));
    EXPECT(close(pair.peer) == 0);
    EXPECT(stream_gone(pair.stream));
    put_text(pair.stream, "OK\n");
    EXPECT_EQ(stream_flush(pair.stream), STATUS_HANGUP);
    put_text(pair.stream, "OK\n");
    EXPECT_EQ(stream_flush(pair.stream), STATUS_HANGUP);
    EXPECT_EQ(stream_read(pair.stream, MOST), STATUS_HANGUP);
    stream_close(pair.stream);
}

static void a_silent_peer_and_one_that_does_not_read_time_out(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 1);
    char *bytes = make_pattern(LONG);

    EXPECT_EQ(stream_read(pair.stream, MOST), STATUS_TIMED_OUT);
    EXPECT(!stream_gone(pair.stream));
    stream_put(pair.stream, bytes, LONG);
    EXPECT_EQ(stream_flush(pair.stream), STATUS_TIMED_OUT);
    EXPECT(stream_gone(pair.stream));
    stream_close(pair.stream);
    free(bytes);
}

static int slow_peer;

static void take_some(int number)
{
    static char bytes[64 << 10];

    (void)number;
    (void)recv(slow_peer, bytes, sizeof bytes, MSG_DONTWAIT);
}

/* Bytes that a socket of a pair takes when nobody reads. */
static size_t room_of_a_socket(const char *bytes)
{
    int ends[2];

    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    ssize_t sent = send(ends[0], bytes, LONG, MSG_DONTWAIT);
    EXPECT(sent > 0 && sent < LONG);
    EXPECT(close(ends[0]) == 0 && close(ends[1]) == 0);
    return (size_t)sent;
}

static void a_peer_that_takes_little_does_not_time_out(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 1);
    struct sigaction action = {.sa_handler = take_some};
    char *bytes = make_pattern(LONG);

    slow_peer = pair.peer;
    EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
    EXPECT(raise(SIGUSR1) == 0); /* pending until the sleep: the peer then takes less than ppoll(2) wants */
    stream_put(pair.stream, bytes, room_of_a_socket(bytes) + 1000);
    EXPECT_EQ(stream_flush(pair.stream), STATUS_OK);
    stream_close(pair.stream);
    free(bytes);
}

static void what_has_arrived_is_read_before_the_server_closes(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 0);

    closing = 1;
    say(pair.peer, "COUNT");
    EXPECT_EQ(stream_read(pair.stream, MOST), STATUS_OK);
    EXPECT_EQ(stream_length(pair.stream), 5);
    put_text(pair.stream, "COUNTED 1\n");
    EXPECT_EQ(stream_read(pair.stream, MOST), STATUS_CLOSING);
    EXPECT_STR(hear(pair.peer), "COUNTED 1\n");
    EXPECT(stream_gone(pair.stream));
    stream_close(pair.stream);
}

static void a_signal_ends_the_sleep_for_input_and_for_output(void)
{
    struct pair reading = open_pair(SOCK_STREAM, 0);
    char *bytes = make_pattern(LONG);

    EXPECT(raise(SIGTERM) == 0);
    EXPECT_EQ(closing, 0); /* pending until the sleep */
    EXPECT_EQ(stream_read(reading.stream, MOST), STATUS_CLOSING);
    stream_close(reading.stream);
    closing = 0;
    struct pair writing = open_pair(SOCK_STREAM, 0);
    EXPECT(raise(SIGTERM) == 0);
    stream_put(writing.stream, bytes, LONG);
    EXPECT_EQ(stream_flush(writing.stream), STATUS_CLOSING);
    stream_close(writing.stream);
    free(bytes);
}

static void a_busy_peer_does_not_keep_a_signal_out(void)
{
    struct pair pair = open_pair(SOCK_SEQPACKET, 0);
    int reads = 0;

    for (int i = 0; i < 100; i++) { /* each is a read of its own */
        say(pair.peer, "x");
    }
    EXPECT(raise(SIGTERM) == 0);
    while (stream_read(pair.stream, MOST) == STATUS_OK && closing == 0) {
        reads++;
    }
    EXPECT(closing != 0);
    EXPECT(reads < 100);
    stream_close(pair.stream);
}

static void who_waits_elsewhere_hears_of_the_peer_by_sigio(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 0);

    descriptor_own(pair.own, getpid()); /* as its parent does */
    const sigset_t *mask = stream_sleep_mask(pair.stream);

    EXPECT(sigismember(mask, SIGIO) == 0);
    say(pair.peer, "x");
    EXPECT(stream_sleep_mask(pair.stream) == mask);
    EXPECT(sigsuspend(mask) != 0 && signalled != 0);
    signalled = 0;
    EXPECT(close(pair.peer) == 0);
    EXPECT(sigsuspend(mask) != 0 && signalled != 0);
    EXPECT(stream_gone(pair.stream));
    stream_close(pair.stream);
    EXPECT_EQ(fcntl(pair.own, F_GETFL) & O_ASYNC, 0);
}

static void unread_input_does_not_cost_the_last_reply(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 0);
    char reply[8] = "";

    say(pair.peer, "QUIT\nand more that nobody reads\n");
    pid_t server = fork();
    EXPECT(server >= 0);
    if (server == 0) {
        EXPECT(close(pair.peer) == 0);
        put_text(pair.stream, "OK\n");
        EXPECT_EQ(stream_flush(pair.stream), STATUS_OK);
        stream_linger(pair.stream);
        _exit(0);
    }
    EXPECT(close(pair.own) == 0);
    EXPECT_EQ(read(pair.peer, reply, sizeof reply), 3);
    EXPECT_STR(reply, "OK\n");
    EXPECT_EQ(read(pair.peer, reply, sizeof reply), 0);
    EXPECT(shutdown(pair.peer, SHUT_WR) == 0);
    expect_success(server);
    EXPECT_EQ(read(pair.peer, reply, sizeof reply), 0); /* and no ECONNRESET */
    stream_close(pair.stream);
}

/* A stream as the server has it, in the state in which it waits for further requests. */
static struct pair open_served(int idle_seconds)
{
    struct pair pair = open_pair(SOCK_STREAM, 0);

    stream_close(pair.stream);
    signals_prepare();
    const struct stream_options options = {.in = pair.own,
                                           .out = pair.own,
                                           .idle_seconds = idle_seconds,
                                           .sleep_mask = signals_sleep_mask(),
                                           .closing = signals_closing(),
                                           .let_in = signals_open};
    pair.stream = stream_open(&options);
    for (int i = 0; i < 3; i++) {
        say(pair.peer, "COUNT");
        EXPECT_EQ(stream_read(pair.stream, MOST), STATUS_OK);
        stream_consume(pair.stream, 5);
        stream_begin_request(pair.stream);
    }
    return pair;
}

static void a_signal_just_before_the_sleep_in_recv_ends_it(void)
{
    struct pair pair = open_served(0);
    char bytes[8];

    say(pair.peer, "COUNT");
    EXPECT(raise(SIGTERM) == 0);
    EXPECT(*signals_closing() != 0);
    EXPECT_EQ(recv(pair.own, bytes, sizeof bytes, 0), 5); /* what has arrived */
    EXPECT_EQ(recv(pair.own, bytes, sizeof bytes, 0), 0); /* and no sleep */
    EXPECT_EQ(stream_read(pair.stream, MOST), STATUS_CLOSING);
    stream_close(pair.stream);
}

static void a_signal_ends_the_sleep_in_recv(void)
{
    struct pair pair = open_served(0);
    pid_t reader = getpid(), sender = fork();

    if (sender == 0) {
        (void)usleep(2000); /* most likely it sleeps by then; it must not matter */
        _exit(kill(reader, SIGTERM) == 0 ? 0 : 1);
    }
    EXPECT_EQ(stream_read(pair.stream, MOST), STATUS_CLOSING);
    expect_success(sender);
    stream_close(pair.stream);
}

static void expect_timed_out_after(struct stream *stream, int seconds)
{
    int64_t start = clock_now();

    EXPECT_EQ(stream_read(stream, MOST), STATUS_TIMED_OUT);
    int64_t took = clock_now() - start;
    EXPECT(took >= seconds * NANOSECONDS_PER_SECOND);
    EXPECT(took < (seconds + 1) * NANOSECONDS_PER_SECOND);
    EXPECT_STR(stream_late_text(stream), "idle for too long");
}

static void a_silent_peer_times_out_in_recv(void)
{
    struct pair pair = open_served(2);

    expect_timed_out_after(pair.stream, 2);
    expect_timed_out_after(pair.stream, 0); /* for good */
    stream_close(pair.stream);
}

static void who_is_hurried_times_out_sooner_in_recv(void)
{
    struct pair pair = open_served(30);

    stream_hurry(pair.stream, 1);
    expect_timed_out_after(pair.stream, 1);
    stream_close(pair.stream);
}

/* As where the process was stopped between the look at the clock and the sleep. */
static void a_time_that_is_over_already_ends_the_sleep_in_recv(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 0);
    struct stream_watch watch = {.until = 0};
    char byte;

    signals_prepare();
    for (int ahead = 0; ahead < 3; ahead++) {
        watch.until = clock_now() - (int64_t[]){1, 1500, NANOSECONDS_PER_SECOND}[ahead];
        signals_open(pair.own, &watch);
        EXPECT_EQ(recv(pair.own, &byte, 1, 0), 0);
    }
    stream_close(pair.stream);
}

static const struct harness_test tests[] = {
    {"a half-closed peer gets its replies", a_half_closed_peer_gets_its_replies},
    {"a peer that is gone is noticed without a signal that kills",
     a_peer_that_is_gone_is_noticed_without_a_signal_that_kills},
    {"a silent peer and one that does not read time out", a_silent_peer_and_one_that_does_not_read_time_out},
    {"a peer that takes little does not time out", a_peer_that_takes_little_does_not_time_out},
    {"what has arrived is read before the server closes", what_has_arrived_is_read_before_the_server_closes},
    {"a signal ends the sleep for input and for output", a_signal_ends_the_sleep_for_input_and_for_output},
    {"a signal just before the sleep in recv ends it", a_signal_just_before_the_sleep_in_recv_ends_it},
    {"a signal ends the sleep in recv", a_signal_ends_the_sleep_in_recv},
    {"a silent peer times out in recv", a_silent_peer_times_out_in_recv},
    {"who is hurried times out sooner in recv", who_is_hurried_times_out_sooner_in_recv},
    {"a time that is over already ends the sleep in recv",
     a_time_that_is_over_already_ends_the_sleep_in_recv},
    {"a busy peer does not keep a signal out", a_busy_peer_does_not_keep_a_signal_out},
    {"who waits elsewhere hears of the peer by SIGIO", who_waits_elsewhere_hears_of_the_peer_by_sigio},
    {"unread input does not cost the last reply", unread_input_does_not_cost_the_last_reply},
};

HARNESS_MAIN(tests)
