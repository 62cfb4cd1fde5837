/* Tests of stream.h over socket pairs, pipes and files: what is gathered, when it leaves, in which order, and
 * that long input arrives whole. The peer is the test, or a child of it where both ends have to move. */
#include "stream_pair.h"

#include <errno.h>
#include <fcntl.h>

static void replies_leave_together_when_the_input_is_used_up(void)
{
    static char text[1000];
    struct pair pair = open_pair(SOCK_SEQPACKET, 0);
    struct stream *s = pair.stream;

    memset(text, 'x', sizeof text);
    put_text(s, "OK ");
    stream_put_number(s, UINT64_MAX);
    stream_put(s, "\n", 1);
    stream_refer(s, text, sizeof text);
    stream_refer(s, "short", 5);
    put_text(s, "\n");
    EXPECT_STR(hear(pair.peer), "");
    say(pair.peer, "NOOP\n");
    EXPECT_EQ(stream_read(s, MOST), STATUS_OK);
    const char *heard = hear(pair.peer);
    EXPECT_EQ(strlen(heard), 24 + sizeof text + 6);
    EXPECT(memcmp(heard, "OK 18446744073709551615\nxxxx", 28) == 0);
    EXPECT_STR(heard + 24 + sizeof text, "short\n");
    stream_close(s);
}

/* Puts and refers to a pattern by runs shorter and longer than what is copied rather than referred to; some
 * are written where the stream has room for them. */
static void give_pattern(struct stream *s, const char *bytes)
{
    char copy[5003];
    size_t length = 1;

    for (size_t place = 0; place < LONG; place += length) {
        length = 1 + (length * 7 + 3) % sizeof copy;
        length = length < LONG - place ? length : LONG - place;
        char *room = length % 3 == 0 ? stream_room(s, length) : NULL;
        if (room != NULL) {
            memcpy(room, bytes + place, length);
            stream_put(s, room, length);
        } else if (length % 2 == 0) {
            memcpy(copy, bytes + place, length);
            stream_put(s, copy, length);
            memset(copy, 0, length);
        } else {
            stream_refer(s, bytes + place, length);
        }
    }
    EXPECT_EQ(stream_flush(s), STATUS_OK);
}

static void copied_and_referred_bytes_keep_their_order(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 0);
    char *bytes = make_pattern(LONG);
    pid_t reader = start_peer(pair.peer, pair.own, LONG, false);

    give_pattern(pair.stream, bytes);
    EXPECT(close(pair.own) == 0);
    expect_success(reader);
    stream_close(pair.stream);
    free(bytes);
}

/* Messages that have come: of the pattern from *place on. */
static size_t count_messages(int peer, size_t *place)
{
    static char message[256 << 10];
    size_t count = 0;
    ssize_t got;

    while ((got = recv(peer, message, sizeof message, MSG_DONTWAIT)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            EXPECT_EQ(message[i], pattern((*place)++));
        }
        count++;
    }
    return count;
}

/* A batch begins small, so that it touches little memory, and is large from the first that has left. */
static void runs_and_copies_by_hundreds_leave_together(void)
{
    enum { RUNS = 250, RUN = 300, COPIES = 600, COPY = 100 };
    struct pair pair = open_pair(SOCK_SEQPACKET, 0);
    char *bytes = make_pattern(RUNS * RUN + COPIES * COPY);
    size_t place = 0, heard = 0;

    EXPECT(setsockopt(pair.own, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int)) == 0);
    for (size_t i = 0; i < RUNS; i++, place += RUN) {
        stream_refer(pair.stream, bytes + place, RUN);
    }
    EXPECT_EQ(stream_flush(pair.stream), STATUS_OK);
    EXPECT_EQ(count_messages(pair.peer, &heard), 1);
    for (size_t i = 0; i < COPIES; i++, place += COPY) {
        stream_put(pair.stream, bytes + place, COPY);
    }
    EXPECT_EQ(stream_flush(pair.stream), STATUS_OK);
    EXPECT_EQ(count_messages(pair.peer, &heard), 1);
    EXPECT_EQ(heard, place);
    stream_close(pair.stream);
    free(bytes);
}

/* One copied reply into a batch whose runs are all used up. */
static void what_is_written_in_place_leaves_when_no_run_is_left(void)
{
    enum { RUNS = 256, RUN = 300, SHORT = 9 };
    struct pair pair = open_pair(SOCK_SEQPACKET, 0);
    char *bytes = make_pattern(RUNS * RUN + 2 * SHORT);
    char *heard = malloc(RUNS * RUN + 2 * SHORT);
    size_t place = 0;

    EXPECT(heard != NULL);
    EXPECT(setsockopt(pair.own, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int)) == 0);
    for (size_t i = 0; i < RUNS; i++, place += RUN) {
        stream_refer(pair.stream, bytes + place, RUN);
    }
    for (size_t i = 0; i < 2; i++, place += SHORT) {
        char *room = stream_room(pair.stream, SHORT);
        EXPECT(room != NULL);
        memcpy(room, bytes + place, SHORT);
        stream_put(pair.stream, room, SHORT);
    }
    EXPECT_EQ(stream_flush(pair.stream), STATUS_OK);
    for (size_t have = 0; have < place;) {
        ssize_t got = recv(pair.peer, heard + have, place - have, MSG_DONTWAIT);
        EXPECT(got > 0);
        have += (size_t)got;
    }
    EXPECT(memcmp(heard, bytes, place) == 0);
    stream_close(pair.stream);
    free(heard);
    free(bytes);
}

static void a_socket_that_takes_little_at_once_gets_everything(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 0);
    char *bytes = make_pattern(LONG);

    EXPECT(setsockopt(pair.own, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)) == 0);
    pid_t reader = start_peer(pair.peer, pair.own, LONG, false);
    stream_put(pair.stream, bytes, LONG); /* longer than a batch */
    EXPECT_EQ(stream_flush(pair.stream), STATUS_OK);
    EXPECT(close(pair.own) == 0);
    expect_success(reader);
    stream_close(pair.stream);
    free(bytes);
}

static void pipes_carry_both_ways_and_keep_their_flags(void)
{
    int in[2], out[2];
    char *bytes = make_pattern(LONG);
    size_t place = 0;

    EXPECT(pipe(in) == 0 && pipe(out) == 0);
    pid_t writer = start_peer(in[1], in[0], LONG, true);
    pid_t reader = start_peer(out[0], out[1], LONG, false);
    struct stream *s = open_on(in[0], out[1], 0);
    give_pattern(s, bytes);
    while (stream_read(s, MOST) == STATUS_OK) {
        EXPECT(memcmp(stream_data(s), bytes + place, stream_length(s)) == 0);
        place += stream_length(s);
        stream_consume(s, stream_length(s));
    }
    EXPECT_EQ(place, LONG);
    EXPECT_EQ(fcntl(in[0], F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(fcntl(out[1], F_GETFL) & O_NONBLOCK, 0);
    EXPECT(close(out[1]) == 0);
    expect_success(writer);
    expect_success(reader);
    stream_close(s);
    free(bytes);
}

static void files_are_read_to_their_end_and_written_whole(void)
{
    int in = open("in", O_RDWR | O_CREAT, 0600);
    int out = open("out", O_RDWR | O_CREAT, 0600);
    char *bytes = make_pattern(LONG);

    say(in, "NOOP\n");
    EXPECT(lseek(in, 0, SEEK_SET) == 0);
    struct stream *s = open_on(in, out, 0);
    EXPECT_EQ(stream_read(s, MOST), STATUS_OK);
    EXPECT(stream_length(s) == 5 && memcmp(stream_data(s), "NOOP\n", 5) == 0);
    give_pattern(s, bytes);
    EXPECT_EQ(stream_read(s, MOST), STATUS_HANGUP);
    EXPECT(!stream_gone(s));
    EXPECT(lseek(out, 0, SEEK_SET) == 0);
    expect_pattern(out, LONG);
    stream_close(s);
    free(bytes);
}

/* The rest of the input was worked on in between. */
static void why_replies_cannot_be_written_is_known_at_the_flush(void)
{
    static char text[LONG];
    int full = open("/dev/full", O_WRONLY);
    struct stream *s = open_on(full, full, 0);

    stream_put(s, text, sizeof text);
    errno = 0;
    put_text(s, "OK\n");
    EXPECT_EQ(stream_flush(s), STATUS_SYSTEM);
    EXPECT_EQ(errno, ENOSPC);
    stream_close(s);
}

/* Requests of odd lengths, so that each read ends inside one. */
static void input_stays_in_order_while_it_is_consumed_piece_by_piece(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 0);
    char *bytes = make_pattern(LONG);
    pid_t writer = start_peer(pair.peer, pair.own, LONG, true);
    size_t place = 0, piece = 1;
    enum status status;

    while ((status = stream_read(pair.stream, MOST)) == STATUS_OK) {
        while (stream_length(pair.stream) >= piece) {
            EXPECT(memcmp(stream_data(pair.stream), bytes + place, piece) == 0);
            stream_consume(pair.stream, piece);
            place += piece;
            piece = (piece * 5 + 1) % 70001;
            piece = piece < LONG - place || place == LONG ? piece : LONG - place;
        }
    }
    EXPECT_EQ(status, STATUS_HANGUP);
    EXPECT_EQ(place, LONG);
    expect_success(writer);
    stream_close(pair.stream);
    free(bytes);
}

static void a_long_request_arrives_whole_and_a_longer_one_is_refused(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 0);
    char *bytes = make_pattern(LONG);
    pid_t writer = start_peer(pair.peer, pair.own, LONG, true);
    enum status status;

    while ((status = stream_read(pair.stream, LONG)) == STATUS_OK) {
    }
    EXPECT_EQ(status, STATUS_TOO_LONG);
    EXPECT_EQ(stream_length(pair.stream), LONG);
    EXPECT(memcmp(stream_data(pair.stream), bytes, LONG) == 0);
    EXPECT_EQ(stream_read(pair.stream, LONG + 1), STATUS_HANGUP);
    EXPECT_EQ(stream_length(pair.stream), LONG);
    expect_success(writer);
    stream_close(pair.stream);
    free(bytes);
}

static void count_flush(void *context)
{
    ++*(int *)context;
}

static void what_is_referred_to_is_needed_until_the_flush_and_no_longer(void)
{
    struct pair pair = open_pair(SOCK_STREAM, 0);
    char *bytes = make_pattern(LONG);
    int flushes = 0;
    pid_t reader = start_peer(pair.peer, pair.own, LONG, false);

    stream_on_flush(pair.stream, count_flush, &flushes);
    for (size_t place = 0; place < LONG; place += 1024) { /* many batches */
        stream_refer(pair.stream, bytes + place, 1024);
    }
    EXPECT_EQ(flushes, 0);
    EXPECT_EQ(stream_flush(pair.stream), STATUS_OK);
    EXPECT_EQ(flushes, 1);
    EXPECT(close(pair.own) == 0);
    expect_success(reader);
    put_text(pair.stream, "x");
    EXPECT(stream_flush(pair.stream) != STATUS_OK);
    EXPECT_EQ(flushes, 2);
    stream_close(pair.stream);
    free(bytes);
}

static const struct harness_test tests[] = {
    {"replies leave together when the input is used up", replies_leave_together_when_the_input_is_used_up},
    {"copied and referred bytes keep their order", copied_and_referred_bytes_keep_their_order},
    {"runs and copies by hundreds leave together", runs_and_copies_by_hundreds_leave_together},
    {"what is written in place leaves when no run is left",
     what_is_written_in_place_leaves_when_no_run_is_left},
    {"a socket that takes little at once gets everything",
     a_socket_that_takes_little_at_once_gets_everything},
    {"pipes carry both ways and keep their flags", pipes_carry_both_ways_and_keep_their_flags},
    {"files are read to their end and written whole", files_are_read_to_their_end_and_written_whole},
    {"why replies cannot be written is known at the flush",
     why_replies_cannot_be_written_is_known_at_the_flush},
    {"input stays in order while it is consumed piece by piece",
     input_stays_in_order_while_it_is_consumed_piece_by_piece},
    {"a long request arrives whole and a longer one is refused",
     a_long_request_arrives_whole_and_a_longer_one_is_refused},
    {"what is referred to is needed until the flush and no longer",
     what_is_referred_to_is_needed_until_the_flush_and_no_longer},
};

HARNESS_MAIN(tests)
