/* message_client.h: a post office with servers and clients of it for the tests of the Message protocol. Each
 * client's connection is served in a process of its own, as shmaild does it. */
#ifndef SHMAIL_TESTS_MESSAGE_CLIENT_H
#define SHMAIL_TESTS_MESSAGE_CLIENT_H

#include "descriptors.h"
#include "harness.h"
#include "mailbox.h"
#include "protocol.h"
#include "signals.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS_MAX = 8, REPLY_MAX = 1 << 16 };

enum { ENTRY, SEND, MAILBOX, OPEN, DEL, QUIT, WAIT, ERROR = -2 };

#define LOG_IN_FIRST "\"Log in first\""
#define NO_SUCH_MAIL "\"Mail with such index does not exist\""
#define IN_USE "\"Such user is already logged in\""

struct client {
    int socket;
    pid_t server;
};

/* One for each test, which is a process of its own. */
static struct store *store;
static struct settings settings = {.domain = "mail.localhost", .message_limit = 1000, .dump_allowed = true};
static int sockets[CLIENTS_MAX];
static size_t socket_count;

static inline void open_store(uint64_t segment_bytes)
{
    struct store_options options = {
        .crypt_cost = 1, .segment_bytes = segment_bytes, .accounts = 100, .slots = 32};
    char why[256] = "";

    if (store_open(&store, &options, why, sizeof why) != STATUS_OK)
        harness_fail(__FILE__, __LINE__, "the store does not open: %s", why);
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
}

static inline void serve(int descriptor)
{
    signals_prepare();
    if (store_attach(store, "client") != STATUS_OK)
        _exit(70);
    signals_interrupt(store);
    descriptor_own(descriptor, getpid()); /* as its parent would */
    struct stream_options options = {.in = descriptor,
                                     .out = descriptor,
                                     .idle_seconds = 30,
                                     .sleep_mask = signals_sleep_mask(),
                                     .closing = signals_closing()};
    struct connection connection = {
        .store = store, .stream = stream_open(&options), .settings = &settings, .peer = "test"};
    (void)protocol_serve(&connection);
    stream_close(connection.stream);
    store_detach(store);
    _exit(0);
}

/* type: SOCK_STREAM, or SOCK_SEQPACKET, with which each recv gives what one write has sent. */
static inline struct client connect_by(int type)
{
    int ends[2];

    if (store == NULL)
        open_store(64 << 20);
    EXPECT(socket_count < CLIENTS_MAX);
    EXPECT_EQ(socketpair(AF_UNIX, type, 0, ends), 0);
    pid_t server = fork();
    EXPECT(server >= 0);
    if (server == 0) {
        close(ends[0]);
        for (size_t i = 0; i < socket_count; i++)
            close(sockets[i]);
        serve(ends[1]);
    }
    close(ends[1]);
    sockets[socket_count++] = ends[0];
    return (struct client){ends[0], server};
}

static inline struct client connect_client(void)
{
    return connect_by(SOCK_STREAM);
}

static inline void disconnect(struct client client)
{
    size_t i = 0;

    while (sockets[i] != client.socket)
        i++;
    sockets[i] = sockets[--socket_count];
    close(client.socket);
}

static inline void send_bytes(struct client client, const void *bytes, size_t length)
{
    EXPECT_EQ(send(client.socket, bytes, length, MSG_NOSIGNAL), length);
}

/* Makes a frame of a body with a NUL at its end; returns its length. */
static inline size_t pack(char *frame, size_t room, int32_t type, const char *body)
{
    size_t length = strlen(body);
    uint32_t header[2] = {htonl((uint32_t)type), htonl((uint32_t)length)};

    EXPECT(sizeof header + length <= room);
    memcpy(frame, header, sizeof header);
    memcpy(frame + sizeof header, body, length);
    return sizeof header + length;
}

static inline void send_frame(struct client client, int32_t type, const char *body)
{
    size_t room = strlen(body) + 8;
    char *frame = malloc(room);

    EXPECT(frame != NULL);
    send_bytes(client, frame, pack(frame, room, type, body));
    free(frame);
}

static inline void send_header(struct client client, int32_t type, uint32_t length)
{
    uint32_t header[2] = {htonl((uint32_t)type), htonl(length)};

    send_bytes(client, header, sizeof header);
}

/* As the published client does it: two calls of recv(2), and whatever they give must be all. */
static inline int32_t receive(struct client client, char body[static REPLY_MAX + 1])
{
    uint32_t header[2];

    EXPECT_EQ(recv(client.socket, header, sizeof header, 0), sizeof header);
    size_t length = ntohl(header[1]);
    EXPECT(length > 0 && length <= REPLY_MAX);
    EXPECT_EQ(recv(client.socket, body, length, 0), length);
    body[length] = '\0';
    return (int32_t)ntohl(header[0]);
}

static inline void expect_reply_at(const char *file, int line, struct client client, int32_t type,
                                   const char *body)
{
    static char received[REPLY_MAX + 1];
    int32_t got = receive(client, received);

    harness_expect_string(file, line, "reply", received, body);
    harness_expect_equal(file, line, "type", got, type);
}

/* One request and its reply. */
static inline void ask_at(const char *file, int line, struct client client, int32_t type, const char *body,
                          int32_t reply_type, const char *reply)
{
    send_frame(client, type, body);
    expect_reply_at(file, line, client, reply_type, reply);
}

#define EXPECT_REPLY(client, type, body) expect_reply_at(__FILE__, __LINE__, client, type, body)
#define EXPECT_OK(client) EXPECT_REPLY(client, 0, "\"OK\"")
#define ASK(client, type, body, reply_type, reply) \
    ask_at(__FILE__, __LINE__, client, type, body, reply_type, reply)
#define ASK_OK(client, type, body) ASK(client, type, body, 0, "\"OK\"")
#define ASK_ERROR(client, type, body, error) ASK(client, type, body, ERROR, error)

static inline void expect_closed(struct client client)
{
    char byte;

    EXPECT_EQ(recv(client.socket, &byte, 1, 0), 0);
}

/* Sends a line of SMSP and returns its reply without its LF, valid until the next call. */
static inline const char *ask_smsp(struct client client, const char *request)
{
    static char reply[REPLY_MAX];
    size_t length = 0;

    send_bytes(client, request, strlen(request));
    send_bytes(client, "\n", 1);
    do {
        EXPECT(length < sizeof reply);
        EXPECT_EQ(recv(client.socket, reply + length, 1, 0), 1);
    } while (reply[length++] != '\n');
    reply[length - 1] = '\0';
    return reply;
}

#endif
