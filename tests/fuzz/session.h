/* session.h: what the targets of the two protocols share: one post office that is the same before each input,
 * and one connection to it, served in this process by the real protocols over the real stream. What comes in
 * are packets of a socket, so that a request may be cut anywhere; what goes out is a file in memory.
 *
 * The post office: the accounts alice and bob with a cookie each and the password "pw", open@fuzz.test
 * without one; in alice's mailbox a message with a subject, one of several pieces with every byte, one with
 * line breaks; one in her queue. */
#ifndef SHMAIL_FUZZ_SESSION_H
#define SHMAIL_FUZZ_SESSION_H

#include "fuzz.h"
#include "still.h"

#include "account.h"
#include "account_record.h"
#include "base64.h"
#include "layout.h"
#include "log.h"
#include "mailbox.h"
#include "password.h"
#include "protocol.h"
#include "queue.h"
#include "segment.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SESSION_LIMIT = 2000, /* bytes of a message */
    SESSION_PACKETS = 128,
    SESSION_IDLE = 30,
};

static const struct settings session_settings = {
    .domain = "mail.localhost", .message_limit = SESSION_LIMIT, .dump_allowed = true};

static struct cookie session_cookies[3]; /* of alice, of bob, and the first that a connection is given */

struct office {
    struct store *store;
    struct store own; /* as it is between two inputs: detached */
    char *bytes;      /* of the units of the segment that had memory then, one behind the other */
    uint64_t units;   /* bit for each; a segment of the least size has no more than one word of them */
    int replies;      /* the file that they go to */
};
static struct office office;

static inline account_t session_account(const char *name, const char *password, struct cookie *cookie)
{
    char hash[HASH_MAX + 1];
    account_t account;
    if (password)
        EXPECT(password_hash(office.store, password, strlen(password), hash) == STATUS_OK);
    EXPECT(account_create(office.store, name, strlen(name), password ? hash : NULL, &account, cookie) ==
           STATUS_OK);
    return account;
}

static inline void session_mail(account_t to, const char *subject, const char *body, size_t length)
{
    struct letter letter = {.sender = "bob",
                            .sender_length = 3,
                            .subject = subject,
                            .subject_length = strlen(subject),
                            .body = body,
                            .body_length = length};
    message_id id;
    EXPECT(draft_write(office.store, &letter) == STATUS_OK);
    EXPECT((*subject == '?' ? queue_push(office.store, to) : mailbox_append(office.store, to, &id)) ==
           STATUS_OK);
}

static inline void session_fill(void)
{
    static char body[40000];
    account_t alice = session_account("alice", "pw", &session_cookies[0]);
    account_t bob = session_account("Bob", "pw", &session_cookies[1]);
    session_account("open@fuzz.test", NULL, NULL);
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)(i % 255 + 1);
    session_mail(alice, "a subject: \xC3\xA9", "short", 5);
    session_mail(alice, "", body, sizeof(body));
    session_mail(alice, "", "one\r\ntwo\nthree\r", 15);
    session_mail(alice, "? queued", "queued", 6);
    session_mail(bob, "", "to bob", 6);
}

static inline void session_foresee(void)
{
    uint8_t random[COOKIE_BYTES];
    still_begin();
    EXPECT(session_draw(random) == STATUS_OK);
    base64_encode(random, sizeof(random), session_cookies[2].text);
}

static inline void session_begin(void)
{
    const struct store_options options = {.segment_bytes = UINT64_C(62) * PAGE,
                                          .accounts = 20,
                                          .slots = 3,
                                          .sessions_per_account = 2,
                                          .crypt_cost = 1};
    char why[256];
    still_begin();
    log_open("fuzz", LOG_LEVEL_DEBUG, false);
    EXPECT(store_open(&office.store, &options, why, sizeof(why)) == STATUS_OK);
    EXPECT(store_attach(office.store, "fuzz") == STATUS_OK);
    session_fill();
    store_detach(office.store);
    office.own = *office.store;
    session_foresee();
    office.units = office.store->reserved[0];
    office.bytes = malloc((size_t)__builtin_popcountll(office.units) * PAGE);
    EXPECT(office.bytes != NULL);
    char *to = office.bytes;
    for (uint64_t units = office.units; units; units &= units - 1, to += PAGE)
        memcpy(to, office.store->base + (size_t)__builtin_ctzll(units) * PAGE, PAGE);
    office.replies = memfd_create("replies", MFD_CLOEXEC);
    EXPECT(office.replies >= 0);
}

/* What was given memory since is zeros again. */
static inline void session_restore(void)
{
    const char *from = office.bytes;
    for (uint64_t units = office.store->reserved[0] | office.units; units; units &= units - 1) {
        unsigned unit = (unsigned)__builtin_ctzll(units);
        char *to = office.store->base + (size_t)unit * PAGE;
        if (office.units >> unit & 1) {
            memcpy(to, from, PAGE);
            from += PAGE;
        } else {
            memset(to, 0, PAGE);
        }
    }
    *office.store = office.own;
    EXPECT(ftruncate(office.replies, 0) == 0 && lseek(office.replies, 0, SEEK_SET) == 0);
}

/* Packets of piece bytes (0: of 4000), then the end. Returns the end to read from. */
static inline int session_send(const char *bytes, size_t length, size_t piece)
{
    int ends[2];
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    if (piece == 0)
        piece = 4000;
    if (length / piece >= SESSION_PACKETS)
        piece = length / SESSION_PACKETS + 1;
    for (size_t sent = 0; sent < length; sent += piece) {
        size_t part = length - sent < piece ? length - sent : piece;
        EXPECT(send(ends[1], bytes + sent, part, MSG_DONTWAIT) == (ssize_t)part);
    }
    close(ends[1]);
    return ends[0];
}

static inline void session_complain(void *context, const char *finding)
{
    (void)context;
    fprintf(stderr, "check: %s\n", finding);
}

/* Whether the log has that; nothing is known where DUMP has printed mail, which may have anything in it. */
static inline bool session_tells(const char *text, size_t length)
{
    size_t said_length;
    const char *said = still_said(&said_length);
    return said_length > 0 && memmem(said, said_length, text, length) != NULL &&
           !memmem(said, said_length, "MBX ", 4) && !memmem(said, said_length, "IMQ ", 4);
}

/* Whatever a connection was, it leaves a sound post office without a pin, and no secret in the log. */
static inline void session_prove(void)
{
    EXPECT(message_pins(office.store) == 0);
    store_detach(office.store);
    EXPECT(!store_is_suspect(office.store));
    EXPECT(store_attach(office.store, "check") == STATUS_OK);
    EXPECT(store_check(office.store, session_complain, NULL) == 0);
    store_detach(office.store);
    EXPECT(!session_tells(session_cookies[0].text, COOKIE_TEXT));
    EXPECT(!session_tells(session_cookies[1].text, COOKIE_TEXT));
    EXPECT(!session_tells("$y$", 3));
}

/* Serves what comes in these bytes up to its end; *replies, until the next call, is what went out. */
static inline size_t session_serve(const char *bytes, size_t length, size_t piece, const char **replies)
{
    static char *sent;
    if (!office.store)
        session_begin();
    still_begin();
    struct stream_options options = {
        .in = session_send(bytes, length, piece), .out = office.replies, .idle_seconds = SESSION_IDLE};
    struct connection connection = {.store = office.store,
                                    .stream = stream_open(&options),
                                    .settings = &session_settings,
                                    .peer = "fuzzer"};
    EXPECT(store_attach(office.store, "fuzz") == STATUS_OK);
    enum status status = protocol_serve(&connection);
    EXPECT(status == STATUS_OK || status == STATUS_HANGUP || status == STATUS_MALFORMED ||
           status == STATUS_TOO_LONG);
    stream_close(connection.stream);
    close(options.in);
    session_prove();
    off_t end = lseek(office.replies, 0, SEEK_CUR);
    EXPECT(end >= 0);
    free(sent);
    sent = malloc((size_t)end + 1);
    EXPECT(sent != NULL && pread(office.replies, sent, (size_t)end, 0) == end);
    session_restore();
    *replies = sent;
    return (size_t)end;
}

#endif
