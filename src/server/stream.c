/* stream.c: moves bytes between a connection and its protocol: input into one growing buffer, replies out of
 * a table of runs by one system call a batch.
 *
 * Descriptors that others may share (descriptors 0 and 1 of inetd or a shell) keep their flags: sockets are
 * used with MSG_DONTWAIT, and what is neither socket nor file is asked by ppoll(2) before each call. How it
 * sleeps until they are ready is the sleeper's. */
#include "stream.h"

#include "batch.h"
#include "clock.h"
#include "descriptors.h"
#include "log.h"
#include "number.h"
#include "patience.h"
#include "sleeper.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    INPUT_START = 16 << 10, /* bytes; doubles as far as stream_read allows */
    INPUT_BUSY = 64 << 10,  /* so far also for reads that took all there was room for: it saves calls */
    INPUT_KEPT = 256 << 10, /* an empty buffer above this is given back before the process sleeps */
    REFER_LEAST = 256,      /* what is shorter costs less as a copy than as a run */
    LINGER_SECONDS = 2,
};

#define RETRY_NANOSECONDS 10000000

enum {
    PAGE = 4096,
    STACK_NEAR = 2704, /* bytes of the stack, where a short connection needs a little less */
};

struct stream {
    struct batch batch;
    bool is_open;
    _Alignas(max_align_t) char beside[STREAM_BESIDE];

    struct stream_options options;
    enum descriptor_kind in_kind, out_kind;
    struct sleeper sleeper;

    char *input; /* [start, start + length) is what stream_data shows; at first room */
    size_t start, length, capacity;
    bool more;  /* the last read took all that there was room for */
    bool begun; /* some of the request is consumed already */
    bool ended;

    enum status failure;
    int error; /* behind a failure of the system */
    enum status (*settle)(void *context);
    void *settle_context;
    void (*more_replies)(void *context);
    void *more_context;
    void (*done)(void *context);
    void *context;

    struct patience patience;

    _Alignas(max_align_t) char room[INPUT_START];
};

/* They lie where memory need not be asked for, which touches pages that each connection would pay for. What a
 * short connection writes to is in one page: the top of the stack, the fields, little room for replies, the
 * beginning of the room for requests, and what a caller has there.
 *
 * As the first of the variables, by their alignment: who writes below the stack soon comes to what was
 * settled when the program was loaded, or to nothing, which ends it. */
static struct {
    _Alignas(PAGE) char stack[STREAM_STACK + STACK_NEAR];
    struct stream only;
} own __attribute__((section(".data.stack")));
static struct batch_memory more_room;

static void give_first_room(struct stream *s)
{
    s->input = s->room;
    s->capacity = INPUT_START;
}

static void drop_input(struct stream *s)
{
    if (s->input != s->room) {
        free(s->input);
    }
}

void *stream_beside(void)
{
    return own.only.beside;
}

void *stream_ahead(void)
{
    return own.only.room;
}

void *stream_stack(void)
{
    return own.stack + sizeof own.stack;
}

struct stream *stream_open(const struct stream_options *options)
{
    struct stream *s = &own.only;

    if (__atomic_exchange_n(&s->is_open, true, __ATOMIC_RELAXED)) { /* a look that writes is one fault less */
        bug("a process opens a second stream");
    }
    memset(&s->options, 0, offsetof(struct stream, room) - offsetof(struct stream, options));
    give_first_room(s);
    s->options = *options;
    s->in_kind = options->is_socket ? DESCRIPTOR_SOCKET : descriptor_kind(options->in);
    s->out_kind = options->out == options->in ? s->in_kind : descriptor_kind(options->out);
    sleeper_begin(&s->sleeper, &s->options);
    s->patience = (struct patience){
        .idle = options->idle_seconds,
        .request = options->request_seconds,
        .write = options->write_seconds,
        .session_deadline =
            options->session_seconds > 0 ? deadline_after_seconds(options->session_seconds) : DEADLINE_NEVER,
    };
    batch_open(&s->batch, &more_room);
    return s;
}

void stream_close(struct stream *s)
{
    sleeper_end(&s->sleeper);
    drop_input(s);
    s->is_open = false;
}

void stream_hurry(struct stream *s, int seconds)
{
    s->patience.idle = seconds;
    s->patience.request = seconds;
    s->sleeper.watch.is_set = false; /* it may be sooner now */
}

void stream_begin_request(struct stream *s)
{
    s->patience.request_since = 0;
    s->begun = false;
}

const char *stream_late_text(const struct stream *s)
{
    return s->patience.late;
}

static enum status failure_of(int error)
{
    switch (error) {
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EIO: /* a terminal whose other side is gone */
        return STATUS_HANGUP;
    default:
        return STATUS_SYSTEM;
    }
}

static bool is_passing(int error)
{
    return error == EAGAIN || error == EINTR;
}

const char *stream_data(const struct stream *s)
{
    return s->length > 0 ? s->input + s->start : "";
}

size_t stream_length(const struct stream *s)
{
    return s->length;
}

void stream_consume(struct stream *s, size_t length)
{
    if (length > s->length) {
        bug("more was consumed than had come in");
    }
    s->start += length;
    s->length -= length;
    s->begun = true;
}

static void move_to_front(struct stream *s)
{
    if (s->start > 0 && s->length > 0) {
        memmove(s->input, s->input + s->start, s->length);
    }
    s->start = 0;
}

/* Room for one byte at least: by moving what is held where that gains much for its cost, else by growing. */
static bool make_room(struct stream *s, size_t most)
{
    if (s->length == 0) {
        s->start = 0;
        if (s->capacity > INPUT_KEPT) {
            drop_input(s);
            give_first_room(s);
        }
    }
    size_t tail = s->capacity - s->start - s->length;
    bool busy = s->more && s->capacity < INPUT_BUSY;
    if (!busy && tail > s->capacity / 4) {
        return true;
    }
    if (!busy && s->start > 0 && s->length <= s->capacity / 2) {
        move_to_front(s);
        return true;
    }
    size_t limit = most > INPUT_START ? most : INPUT_START;
    if (s->capacity < limit) {
        size_t wanted = s->capacity > limit / 2 ? limit : 2 * s->capacity;
        move_to_front(s);
        char *grown = realloc(s->input == s->room ? NULL : s->input, wanted);
        if (grown != NULL && s->input == s->room) {
            memcpy(grown, s->room, s->length);
        }
        if (grown != NULL) {
            s->input = grown;
            s->capacity = wanted;
        }
    } else if (tail == 0) {
        move_to_front(s);
    }
    return s->start + s->length < s->capacity;
}

/* One read into the room that there is. STATUS_OK with *taken == 0: nothing was ready after all. */
static enum status take_input(struct stream *s, int flags, size_t *taken)
{
    char *end = s->input + s->start + s->length;
    size_t room = s->capacity - s->start - s->length;
    ssize_t got = s->in_kind == DESCRIPTOR_SOCKET ? recv(s->options.in, end, room, flags)
                                                  : read(s->options.in, end, room);

    *taken = 0;
    if (got < 0) {
        return is_passing(errno) ? STATUS_OK : failure_of(errno);
    }
    if (got == 0 && s->sleeper.waits_in_recv &&
        sleeper_is_closing(&s->sleeper)) { /* the end that let_in has made */
        return STATUS_CLOSING;
    }
    if (got == 0 && s->sleeper.watch.late) {
        return STATUS_TIMED_OUT;
    }
    if (got == 0) {
        s->ended = true;
        return STATUS_HANGUP;
    }
    *taken = (size_t)got;
    s->length += *taken;
    s->more = *taken == room;
    return STATUS_OK;
}

static enum status wait_for_input(struct stream *s, int64_t deadline)
{
    if (sleeper_is_cut(&s->sleeper)) {
        return STATUS_CLOSING;
    }
    return s->in_kind == DESCRIPTOR_FILE ? STATUS_OK
                                         : sleeper_wait(&s->sleeper, s->options.in, POLLIN, deadline);
}

enum status stream_read(struct stream *s, size_t most)
{
    enum status status = stream_flush(s);
    size_t taken = 0;

    if (status != STATUS_OK) {
        return status;
    }
    if (s->length >= most) {
        return STATUS_TOO_LONG;
    }
    if (s->ended) {
        return STATUS_HANGUP;
    }
    if (!make_room(s, most)) {
        return STATUS_NO_MEMORY;
    }
    sleeper_let_signals_in(&s->sleeper);
    int64_t now = clock_now();
    int64_t deadline = patience_to_read(&s->patience, now, s->length > 0 || s->begun);
    if (now >= deadline) { /* a peer may be late and yet never silent */
        return STATUS_TIMED_OUT;
    }
    bool is_socket = s->in_kind == DESCRIPTOR_SOCKET;
    bool likely = s->more || s->sleeper.reads == 0; /* the rest, or what came while this process was made */
    if (likely && is_socket && !sleeper_is_closing(&s->sleeper)) {
        status = take_input(s, MSG_DONTWAIT, &taken);
    } else if (is_socket && patience_is_idle(&s->patience, now, deadline) &&
               sleeper_may_recv(&s->sleeper, deadline)) {
        status = take_input(s, 0, &taken);
    }
    sleeper_has_read(&s->sleeper);
    while (status == STATUS_OK && taken == 0) {
        status = wait_for_input(s, deadline);
        if (status == STATUS_OK) {
            status = take_input(s, MSG_DONTWAIT, &taken);
        }
    }
    return status;
}

/* A terminal is ready where it has room for one byte, and takes no end of a line, which is two. */
static enum status pause_before_retry(struct stream *s, int64_t deadline)
{
    sleeper_pause(&s->sleeper, RETRY_NANOSECONDS);
    if (sleeper_is_cut(&s->sleeper)) {
        return STATUS_CLOSING;
    }
    return clock_now() < deadline ? STATUS_OK : STATUS_TIMED_OUT;
}

/* At the deadline. A socket is ready only where a third of its buffer is free, or three quarters: what a slow
 * peer has taken by then may be less. */
static bool has_taken_little(struct stream *s)
{
    return s->out_kind == DESCRIPTOR_SOCKET && clock_now() < s->patience.session_deadline &&
           batch_send(&s->batch, s->options.out, s->out_kind) > 0;
}

static void send_all(struct stream *s)
{
    bool ready = s->out_kind != DESCRIPTOR_OTHER;
    int64_t deadline = 0; /* for the next bytes to leave, once they could not at once */

    if (batch_is_empty(&s->batch)) {
        return;
    }
    if (s->settle != NULL && s->failure == STATUS_OK) {
        s->failure = s->settle(s->settle_context);
    }
    while (s->failure == STATUS_OK && !batch_is_empty(&s->batch)) {
        if (!ready) {
            if (deadline == 0) {
                deadline = patience_to_write(&s->patience, clock_now());
            }
            s->failure = sleeper_wait(&s->sleeper, s->options.out, POLLOUT, deadline);
            if (s->failure == STATUS_TIMED_OUT && has_taken_little(s)) {
                s->failure = STATUS_OK;
                deadline = 0;
                continue;
            }
            if (s->failure != STATUS_OK) {
                s->error = errno;
                break;
            }
        }
        ssize_t sent = batch_send(&s->batch, s->options.out, s->out_kind);
        if (sent < 0 && !is_passing(errno)) {
            s->failure = failure_of(errno);
            s->error = errno;
        }
        if (sent >= 0) {
            deadline = 0;
        } else if (errno == EAGAIN && s->out_kind == DESCRIPTOR_OTHER) {
            s->failure = pause_before_retry(s, deadline);
        }
        ready = sent >= 0 && s->out_kind != DESCRIPTOR_OTHER;
    }
    batch_clear(&s->batch);
}

static void refer(struct stream *s, const void *bytes, size_t length)
{
    if (!batch_refer(&s->batch, bytes, length)) {
        send_all(s);
        (void)batch_refer(&s->batch, bytes, length); /* has room in an empty batch */
    }
}

void stream_put(struct stream *s, const void *bytes, size_t length)
{
    if (length == 0 || s->failure != STATUS_OK || batch_copy(&s->batch, bytes, length)) {
        return;
    }
    refer(s, bytes, length); /* leaves at once, uncopied, with what stands before it */
    send_all(s);
}

char *stream_room(struct stream *s, size_t length)
{
    return batch_room(&s->batch, length);
}

void stream_put_number(struct stream *s, uint64_t number)
{
    char digits[NUMBER_TEXT];

    stream_put(s, digits, number_print(number, digits));
}

void stream_refer(struct stream *s, const void *bytes, size_t length)
{
    if (length < REFER_LEAST) {
        stream_put(s, bytes, length);
    } else if (s->failure == STATUS_OK) {
        refer(s, bytes, length);
    }
}

void stream_before_send(struct stream *s, enum status (*settle)(void *context), void *context)
{
    s->settle = settle;
    s->settle_context = context;
}

void stream_before_flush(struct stream *s, void (*more)(void *context), void *context)
{
    s->more_replies = more;
    s->more_context = context;
}

void stream_on_flush(struct stream *s, void (*done)(void *context), void *context)
{
    s->done = done;
    s->context = context;
}

enum status stream_flush(struct stream *s)
{
    if (s->more_replies != NULL) {
        s->more_replies(s->more_context);
    }
    send_all(s);
    if (s->done != NULL) {
        s->done(s->context);
    }
    if (s->failure == STATUS_SYSTEM) {
        errno = s->error;
    }
    return s->failure;
}

bool stream_gone(struct stream *s)
{
    struct pollfd poll_out = {.fd = s->options.out};

    return sleeper_is_closing(&s->sleeper) || s->failure != STATUS_OK ||
           (poll(&poll_out, 1, 0) > 0 && (poll_out.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0);
}

bool stream_ended(struct stream *s)
{
    struct pollfd poll_in = {.fd = s->options.in, .events = POLLRDHUP};

    return s->in_kind == DESCRIPTOR_SOCKET &&
           (s->ended || (poll(&poll_in, 1, 0) > 0 && poll_in.revents != 0));
}

const sigset_t *stream_sleep_mask(struct stream *s)
{
    return sleeper_mask(&s->sleeper, s->out_kind == DESCRIPTOR_SOCKET);
}

void stream_linger(struct stream *s)
{
    int64_t deadline = deadline_after_seconds(LINGER_SECONDS);
    size_t taken;

    if (s->out_kind != DESCRIPTOR_SOCKET || s->in_kind != DESCRIPTOR_SOCKET || s->ended ||
        s->failure != STATUS_OK || shutdown(s->options.out, SHUT_WR) != 0) {
        return;
    }
    do {
        s->start = 0;
        s->length = 0;
    } while (make_room(s, INPUT_START) && wait_for_input(s, deadline) == STATUS_OK &&
             take_input(s, MSG_DONTWAIT, &taken) == STATUS_OK && clock_now() < deadline);
}
