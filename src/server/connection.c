/* connection.c: gives a connection its place in the store and its stream, has a protocol serve it, and says
 * in the log who came and how it ended. Every connection passes here, whether accepted or inherited from
 * inetd. */
#include "connection.h"

#include "checker.h"
#include "clock.h"
#include "complaint.h"
#include "descriptors.h"
#include "log.h"
#include "peer.h"
#include "sanitized.h"
#include "scheduling.h"
#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    TURN_AWAY_SECONDS = 2, /* for the first request of a client that can only be refused */
    LASTS = 2,             /* replies to a connection that is more than one request */
    LOOK_ROUND = 64,       /* replies between two looks at how many serve */
};

#define MOMENT (NANOSECONDS_PER_SECOND / 5)  /* for another one of the same source to end */
#define SOON (NANOSECONDS_PER_SECOND / 1000) /* after which it may have, at first */

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

/* For settle, on the stack: static, it would be one more page for a new process to copy. */
struct answering {
    struct store *store;
    int out;
    unsigned replies;
};

/* The client may come to another processor, and so may this process; but to run after it each time would cost
 * more than it gains where the kernel wants them apart. So it follows at the first look, the second, the
 * fourth, and so on. */
static void look(const struct answering *answering)
{
    unsigned looks = answering->replies / LOOK_ROUND;

    scheduling_share(store_processes(answering->store));
    if ((looks & (looks - 1)) == 0) {
        scheduling_follow(answering->out);
    }
}

/* Before replies leave. */
static enum status settle(void *context)
{
    struct answering *answering = context;

    if (++answering->replies == LASTS) { /* until then it waits its turn as its maker does */
        scheduling_share(store_processes(answering->store));
    } else if (answering->replies % LOOK_ROUND == 0) {
        look(answering);
    }
    return store_settle(answering->store);
}

static int serve(struct store *store, const struct settings *settings, struct stream *stream,
                 const struct peer *peer)
{
    struct connection connection = {
        .store = store, .stream = stream, .settings = settings, .source = peer->source, .peer = peer->name};

    log_debug("%s: connected", peer->name);
    enum status status = protocol_serve(&connection);
    if (status == STATUS_HANGUP) { /* a protocol only sees that nobody listens any more */
        enum status sent = stream_flush(stream);
        status = sent != STATUS_OK ? sent : status;
    }
    const char *reason = status == STATUS_SYSTEM ? strerror(errno) : NULL;
    bool lingers = status != STATUS_HANGUP && status != STATUS_TIMED_OUT; /* there may be unread input */
    if (status == STATUS_HANGUP && *signals_closing() != 0) {
        status = STATUS_CLOSING; /* for the log: who waited for mail was let go */
    }
    if (lingers || SANITIZED) { /* at whose end leaks are looked for */
        store_detach(store);
    } else {
        store_detach_with_end(store);
    }
    if (status == STATUS_SYSTEM || status == STATUS_NO_MEMORY) {
        log_warning("%s: closed: %s%s%s", peer->name, end_text(status, stream), reason != NULL ? ": " : "",
                    reason != NULL ? reason : "");
    } else {
        log_debug("%s: closed: %s", peer->name, end_text(status, stream));
    }
    if (lingers) {
        stream_linger(stream);
    }
    return status == STATUS_SYSTEM || status == STATUS_NO_MEMORY ? EX_OSERR : EX_OK;
}

static const char *header_text(enum status status)
{
    switch (status) {
    case STATUS_MALFORMED:
        return "it was malformed";
    case STATUS_TIMED_OUT:
        return "it was late";
    case STATUS_HANGUP:
        return "the connection ended before it was whole";
    default:
        return status == STATUS_SYSTEM ? strerror(errno) : status_text(status);
    }
}

/* Who comes again when he has seen the end of his last connection may be here before its process has ended.
 * So he is counted again for a moment, unless so many wait so that others would find no place. */
static bool has_share(struct store *store, const struct source *source, size_t per_source)
{
    size_t most = per_source + per_source / 4 + 1;
    int64_t until = clock_now() + MOMENT;
    int64_t again = SOON;
    size_t count;

    while ((count = store_count_source(store, source)) > per_source) {
        if (count > most || clock_now() >= until || *signals_closing() != 0) {
            return true;
        }
        int64_t next = clock_now() + again;
        struct timespec left = deadline_left(next < until ? next : until);
        (void)ppoll(NULL, 0, &left, signals_sleep_mask());
        again *= 2;
    }
    return false;
}

/* The connection is that of a proxy until it has said whose it is. Nothing answers who does not say. */
static bool take_header(int in, struct peer *peer)
{
    enum status status = peer_take_proxy(in, peer);

    if (status != STATUS_OK) {
        log_warning("%s: closed: no PROXY header: %s", peer->name, header_text(status));
    }
    return status == STATUS_OK;
}

/* Nor does anything answer a source that has its share already. */
static bool identify(struct store *store, int in, size_t per_source, struct peer *peer)
{
    if (!take_header(in, peer)) {
        return false;
    }
    store_name_peer(store, peer->name, &peer->source);
    if (has_share(store, &peer->source, per_source)) {
        if (store_may_complain(store, COMPLAINT_SECONDS)) {
            log_warning("%s: closed: its source has %zu connections already (--per-source)", peer->name,
                        per_source);
        }
        return false;
    }
    return true;
}

/* A client for whom there is no place is told so, if it asks soon; what a proxy says first is no request. */
static int turn_away(struct stream *stream, int in, bool is_proxied, struct peer *peer, enum status why)
{
    if (!is_proxied || take_header(in, peer)) {
        log_warning("%s: turned away: %s", peer->name, status_text(why));
        stream_hurry(stream, TURN_AWAY_SECONDS);
        protocol_turn_away(stream, why);
        stream_linger(stream);
    }
    stream_close(stream);
    return why == STATUS_DAMAGED ? EX_DATAERR : EX_UNAVAILABLE;
}

int connection_serve(struct store *store, const struct settings *settings,
                     const struct stream_options *limits, int in, int out, size_t proxied,
                     const struct caller *caller, struct sandbox *sandbox)
{
    struct stream_options options = *limits;
    struct peer peer;

    options.in = in;
    options.out = out;
    options.is_socket = caller != NULL;
    options.sleep_mask = signals_sleep_mask();
    options.closing = signals_closing();
    options.let_in = signals_open;
    peer_of(in, caller, &peer);
    struct stream *stream = stream_open(&options); /* it looks at descriptors as a sandbox does not allow */
    if (sandbox != NULL) {
        if (descriptor_kind(out) == DESCRIPTOR_SOCKET) {
            descriptor_own(out, getpid());
        }
        sandbox_enter(sandbox, 0);
        sandbox_bound_memory(sandbox);
        sandbox_seal(sandbox, NULL);
        sandbox_end_processes(sandbox);
    }
    /* Under inetd nobody else checks. */
    enum status status =
        sandbox != NULL ? store_attach_to_check(store, peer.name) : store_attach(store, peer.name);
    if (status != STATUS_OK) {
        return turn_away(stream, in, proxied != 0, &peer, status);
    }
    signals_interrupt(store);
    bool checks = sandbox != NULL && (store_is_suspect(store) || store_inherits(store));
    status = checks ? checker_run(store) : STATUS_OK;
    if (status != STATUS_OK) {
        if (status == STATUS_DAMAGED) {
            log_error("save the post office, then mend it with 'shmailctl repair'");
        }
        store_detach(store);
        return turn_away(stream, in, proxied != 0, &peer, status);
    }
    struct answering answering = {.store = store, .out = out};
    stream_before_send(stream, settle, &answering);
    int code = EX_OK;
    if (proxied == 0 || identify(store, in, proxied, &peer)) {
        code = serve(store, settings, stream, &peer);
    } else {
        store_detach(store);
    }
    stream_close(stream);
    return code;
}
