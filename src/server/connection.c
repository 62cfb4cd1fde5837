/* connection.c: gives a connection its place in the store and its stream, has a protocol serve it, and says
 * in the log who came and how it ended. Every connection passes here, whether accepted or inherited from
 * inetd. */
#include "connection.h"

#include "address.h"
#include "checker.h"
#include "log.h"
#include "signals.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

enum { TURN_AWAY_SECONDS = 2 }; /* for the first request of a client that can only be refused */

/* Who is at the other end: an address without "inet:", a user and process, or "stdin". */
static void name_peer(int descriptor, char peer[static PEER_MAX + 1])
{
    struct address address = {.length = sizeof address.socket};
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    char text[ADDRESS_TEXT_SIZE];

    if (getpeername(descriptor, &address.socket.any, &address.length) != 0) {
        (void)snprintf(peer, PEER_MAX + 1, "stdin");
    } else if (address.socket.any.sa_family == AF_UNIX) {
        if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
            (void)snprintf(peer, PEER_MAX + 1, "unix:uid=%lu,pid=%ld", (unsigned long)credentials.uid,
                           (long)credentials.pid);
        } else {
            (void)snprintf(peer, PEER_MAX + 1, "unix");
        }
    } else {
        address_print(&address, text);
        (void)snprintf(peer, PEER_MAX + 1, "%.*s", PEER_MAX, text + strcspn(text, ":") + 1);
    }
}

static const char *end_text(enum status status, const struct stream *stream)
{
    switch (status) {
    case STATUS_OK:
        return "done";
    case STATUS_HANGUP:
        return "the peer closed";
    case STATUS_TIMED_OUT:
        return stream_late_text(stream);
    case STATUS_READ_ONLY:
        return "the journal failed, so its requests cannot be answered";
    case STATUS_MALFORMED:
        return "the peer speaks no protocol that is served here";
    default:
        return status_text(status);
    }
}

static enum status settle(void *store)
{
    return store_settle(store);
}

static int serve(struct store *store, const struct settings *settings, struct stream *stream,
                 const char *peer)
{
    struct connection connection = {.store = store, .stream = stream, .settings = settings};

    log_debug("%s: connected", peer);
    enum status status = protocol_serve(&connection);
    signals_interrupt(NULL);
    store_detach(store);
    if (status == STATUS_SYSTEM || status == STATUS_NO_MEMORY) {
        log_warning("%s: closed: %s", peer, end_text(status, stream));
    } else {
        log_debug("%s: closed: %s", peer, end_text(status, stream));
    }
    if (status != STATUS_HANGUP && status != STATUS_TIMED_OUT) { /* there may be input that nobody read */
        stream_linger(stream);
    }
    return status == STATUS_SYSTEM || status == STATUS_NO_MEMORY ? EX_OSERR : EX_OK;
}

/* A client for whom there is no place is told so, if it asks soon. */
static int turn_away(struct stream *stream, const char *peer, enum status why)
{
    log_warning("%s: turned away: %s", peer, status_text(why));
    stream_hurry(stream, TURN_AWAY_SECONDS);
    protocol_turn_away(stream, why);
    stream_linger(stream);
    stream_close(stream);
    return EX_UNAVAILABLE;
}

int connection_serve(struct store *store, const struct settings *settings,
                     const struct stream_options *limits, int in, int out, struct sandbox *sandbox)
{
    struct stream_options options = *limits;
    char peer[PEER_MAX + 1];

    options.in = in;
    options.out = out;
    options.sleep_mask = signals_sleep_mask();
    options.closing = signals_closing();
    name_peer(in, peer);
    struct stream *stream = stream_open(&options); /* it looks at descriptors as a sandbox does not allow */
    if (stream == NULL) {
        log_error("%s: turned away: %s", peer, status_text(STATUS_NO_MEMORY));
        return EX_OSERR;
    }
    if (sandbox != NULL) {
        sandbox_enter(sandbox, -1);
        sandbox_seal(sandbox, -1);
    }
    enum status status = store_attach(store, peer);
    if (status != STATUS_OK) {
        return turn_away(stream, peer, status);
    }
    signals_interrupt(store);
    if (sandbox != NULL && store_is_suspect(store) && checker_run(store) != STATUS_OK) {
        log_error("save the post office, then mend it with 'shmailctl repair'");
        signals_interrupt(NULL);
        store_detach(store);
        return turn_away(stream, peer, STATUS_DAMAGED);
    }
    stream_before_send(stream, settle, store);
    int code = serve(store, settings, stream, peer);
    stream_close(stream);
    return code;
}
