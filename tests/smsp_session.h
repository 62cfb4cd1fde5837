/* smsp_session.h: SMSP connections for tests: each is served by a child over a socketpair, all on one private
 * store, as shmaild does it but without a listener. */
#ifndef SHMAIL_SMSP_SESSION_H
#define SHMAIL_SMSP_SESSION_H

#include "buffer.h"
#include "harness.h"
#include "mailbox.h"
#include "protocol.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct settings settings = {.domain = "mail.localhost", .message_limit = 4096};
static uint64_t quota_messages; /* of a store that is opened; 0: no other than is usual */

struct peer {
    int socket;
    pid_t pid;
    char terminator;
    char reply[32768]; /* the last one, ended by NUL instead of its terminator */
};

static inline struct store *open_store(void)
{
    struct store_options options = {.segment_bytes = UINT64_C(64) << 20,
                                    .accounts = 1000,
                                    .slots = 16,
                                    .crypt_cost = 1,
                                    .quota_messages = quota_messages};
    static struct store *stores[64]; /* they are never closed: here a leak checker still sees them */
    static size_t count;
    char why[256] = "";

    EXPECT(count < sizeof stores / sizeof stores[0]);
    if (store_open(&stores[count], &options, why, sizeof why) != STATUS_OK) {
        harness_fail(__FILE__, __LINE__, "store_open: %s", why);
    }
    return stores[count++];
}

_Noreturn static inline void serve_peer(struct store *store, int socket)
{
    struct stream_options options = {.in = socket, .out = socket, .idle_seconds = 30};
    struct connection connection = {
        .store = store, .stream = stream_open(&options), .settings = &settings, .peer = "test"};

    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
    enum status status = protocol_serve(&connection);
    EXPECT_EQ(message_pins(store), 0);
    store_detach(store);
    stream_close(connection.stream);
    _exit(status == STATUS_OK || status == STATUS_HANGUP ? 0 : 10 + (int)status);
}

static inline void connect_peer(struct store *store, struct peer *peer, char terminator)
{
    int ends[2];

    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    peer->pid = fork();
    EXPECT(peer->pid >= 0);
    if (peer->pid == 0) {
        close(ends[0]);
        serve_peer(store, ends[1]);
    }
    close(ends[1]);
    peer->socket = ends[0];
    peer->terminator = terminator;
}

/* The status that the served connection ended with: 0 for an ordinary end. */
static inline int disconnect(struct peer *peer)
{
    int status = -1;

    (void)shutdown(peer->socket, SHUT_RDWR); /* later peers' children hold this end too */
    close(peer->socket);
    EXPECT_EQ(waitpid(peer->pid, &status, 0), peer->pid);
    EXPECT(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static inline void say_bytes(struct peer *peer, const void *bytes, size_t length)
{
    EXPECT_EQ(send(peer->socket, bytes, length, MSG_NOSIGNAL), length);
}

/* Reads one frame into peer->reply. */
static inline const char *hear(struct peer *peer)
{
    size_t length = 0;

    for (;;) {
        EXPECT(length < sizeof peer->reply);
        if (recv(peer->socket, peer->reply + length, 1, 0) != 1) {
            peer->reply[length] = '\0';
            harness_fail(__FILE__, __LINE__, "the connection ended after \"%s\"", peer->reply);
        }
        if (peer->reply[length] == peer->terminator) {
            peer->reply[length] = '\0';
            return peer->reply;
        }
        length++;
    }
}

/* Sends a request with its terminator and returns the reply without. */
__attribute__((format(printf, 2, 3))) static inline const char *ask(struct peer *peer, const char *format,
                                                                    ...)
{
    char request[16384];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(request, sizeof request - 1, format, arguments);
    va_end(arguments);
    EXPECT(length >= 0 && (size_t)length < sizeof request - 1);
    request[length] = peer->terminator;
    say_bytes(peer, request, (size_t)length + 1);
    return hear(peer);
}

/* Copies the last word of an OK or Cookie: reply. */
static inline void keep_cookie(const char *reply, char cookie[static COOKIE_TEXT + 1])
{
    size_t length = strlen(reply);

    if (length <= COOKIE_TEXT || reply[length - COOKIE_TEXT - 1] != ' ') {
        harness_fail(__FILE__, __LINE__, "no cookie in \"%s\"", reply);
    }
    memcpy(cookie, reply + length - COOKIE_TEXT, COOKIE_TEXT + 1);
}

static inline void enrol(struct peer *peer, const char *name, char cookie[static COOKIE_TEXT + 1])
{
    keep_cookie(ask(peer, "REGISTER %s secret", name), cookie);
}

/* Sends everything and closes that direction while it reads replies up to the end. Returns how many bytes
 * came, which are the caller's to free. */
static inline size_t converse(struct store *store, const char *bytes, size_t length, char **replies)
{
    struct peer peer;
    size_t have = 0, room = 0, sent = 0;
    ssize_t got = 1;

    *replies = NULL;
    connect_peer(store, &peer, '\n');
    if (length == 0) {
        EXPECT_EQ(shutdown(peer.socket, SHUT_WR), 0);
    }
    while (got > 0) {
        struct pollfd poll_socket = {.fd = peer.socket,
                                     .events = (short)(POLLIN | (sent < length ? POLLOUT : 0))};
        EXPECT(poll(&poll_socket, 1, -1) == 1);
        if (sent < length && (poll_socket.revents & POLLOUT) != 0) {
            ssize_t taken = send(peer.socket, bytes + sent, length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            EXPECT(taken > 0);
            sent += (size_t)taken;
            if (sent == length) {
                EXPECT_EQ(shutdown(peer.socket, SHUT_WR), 0);
            }
        }
        if ((poll_socket.revents & (POLLIN | POLLHUP)) != 0) {
            if (room - have < 4096) {
                room = 2 * room + 65536;
                *replies = realloc(*replies, room);
                EXPECT(*replies != NULL);
            }
            got = recv(peer.socket, *replies + have, room - have - 1, 0);
            EXPECT(got >= 0);
            have += (size_t)got;
        }
    }
    EXPECT_EQ(disconnect(&peer), 0);
    (*replies)[have] = '\0';
    return have;
}

#endif
