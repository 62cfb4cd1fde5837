/* stream_pair.h: what the tests of stream.h share: a stream on one end of a socket pair, set up as the server
 * does it, a peer on the other end, and bytes of which each tells whether it is in its place. */
#ifndef SHMAIL_STREAM_PAIR_H
#define SHMAIL_STREAM_PAIR_H

#include "harness.h"
#include "stream.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 4 << 20, LONG = 3 << 20 };

static volatile sig_atomic_t closing, signalled;

struct pair {
    struct stream *stream;
    int own, peer;
};

static inline void put_text(struct stream *stream, const char *text)
{
    stream_put(stream, text, strlen(text));
}

static inline void note(int number)
{
    if (number == SIGIO) {
        signalled = 1;
    } else {
        closing = 1;
    }
}

/* As in the server: all are blocked but while asleep, and then SIGIO still is. */
static inline const sigset_t *prepare_signals(void)
{
    static sigset_t asleep;
    sigset_t all;
    struct sigaction action = {.sa_handler = note};

    sigfillset(&all);
    sigdelset(&all, SIGABRT);
    EXPECT(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
    EXPECT(sigaction(SIGTERM, &action, NULL) == 0 && sigaction(SIGIO, &action, NULL) == 0);
    sigemptyset(&asleep);
    sigaddset(&asleep, SIGIO);
    return &asleep;
}

static inline struct stream *open_on(int in, int out, int idle_seconds)
{
    struct stream_options options = {.in = in,
                                     .out = out,
                                     .idle_seconds = idle_seconds,
                                     .sleep_mask = prepare_signals(),
                                     .closing = &closing};
    struct stream *stream = stream_open(&options);

    return stream;
}

/* SOCK_SEQPACKET keeps the bounds of each write. */
static inline struct pair open_pair(int type, int idle_seconds)
{
    int ends[2];

    EXPECT(socketpair(AF_UNIX, type, 0, ends) == 0);
    return (struct pair){.stream = open_on(ends[0], ends[0], idle_seconds), .own = ends[0], .peer = ends[1]};
}

static inline void say(int peer, const char *text)
{
    EXPECT_EQ(write(peer, text, strlen(text)), strlen(text));
}

/* What one read of the peer gives without waiting, as text. */
static inline const char *hear(int peer)
{
    static char text[4096];
    ssize_t got = recv(peer, text, sizeof text - 1, MSG_DONTWAIT);

    text[got > 0 ? got : 0] = '\0';
    return text;
}

/* Bytes of which each tells whether it is in its place. */
static inline char pattern(size_t place)
{
    return (char)(place ^ (place >> 8) ^ (place >> 16));
}

static inline char *make_pattern(size_t length)
{
    char *bytes = malloc(length);

    EXPECT(bytes != NULL);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = pattern(i);
    }
    return bytes;
}

static inline void expect_pattern(int descriptor, size_t length)
{
    char bytes[10000];
    size_t place = 0;
    ssize_t got;

    while ((got = read(descriptor, bytes, sizeof bytes)) > 0) {
        for (ssize_t i = 0; i < got; i++, place++) {
            EXPECT_EQ(bytes[i], pattern(place));
        }
    }
    EXPECT_EQ(got, 0);
    EXPECT_EQ(place, length);
}

/* A child that closes what is not its own and expects the pattern, or sends it. */
static inline pid_t start_peer(int descriptor, int not_own, size_t length, bool sends)
{
    pid_t child = fork();

    EXPECT(child >= 0);
    if (child != 0) {
        EXPECT(close(descriptor) == 0);
        return child;
    }
    EXPECT(close(not_own) == 0);
    if (!sends) {
        expect_pattern(descriptor, length);
    } else {
        char *bytes = make_pattern(length);
        for (size_t place = 0; place < length;) {
            ssize_t sent = write(descriptor, bytes + place, length - place);
            EXPECT(sent > 0);
            place += (size_t)sent;
        }
    }
    _exit(0);
}

static inline void expect_success(pid_t child)
{
    int status;

    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#endif
