/* traffic.c: moves requests out and replies in, for all lanes of a process in turn. In come a phase and what
 * the speech's verbs write and judge, out go latencies, or one sentence about the first thing that was wrong.
 * It knows no protocol.
 *
 * It shares the machine with what it measures, so it costs little: one recv(2) and one send(2) a lane and
 * turn, whatever the depth, two looks at the clock, and no epoll_wait(2) where there is one lane only. */
#include "traffic.h"

#include "clock.h"
#include "complaint.h"
#include "connect.h"
#include "phase.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    TICK_MILLISECONDS = 1000, /* the longest sleep */
    RETRY_MILLISECONDS = 1,   /* until a connection is tried again that found no room */
};

/* ---- a lane's turn ---- */

static void fail(struct lane *lane, int status)
{
    if (lane->worker->status == 0) {
        lane->worker->status = status;
    }
}

static void ask(struct lane *lane, struct request request)
{
    struct request *place = &lane->ring[lane->tail++ & lane->ring_mask];

    *place = request;
    place->verb->ask(lane, place);
}

/* The next step of the greeting, if there is one. */
static void greet(struct lane *lane)
{
    const struct verb *const *steps = lane->plan->speech->greet;
    const struct verb *step = steps != NULL && lane->greeted < SPEECH_STEPS ? steps[lane->greeted] : NULL;

    if (step == NULL) {
        lane->state = LANE_OPEN;
        return;
    }
    lane->greeted++;
    ask(lane, (struct request){.verb = step, .mailbox = phase_draw_mailbox(lane)});
}

/* Asks as much as the depth allows. The first request of a connection counts from when that was begun. */
static void ask_more(struct lane *lane)
{
    uint32_t first = lane->tail;

    if (lane->state == LANE_GREETING && lane_under_way(lane) == 0) {
        greet(lane);
    }
    while (lane->state == LANE_OPEN && lane_under_way(lane) < lane->plan->depth && lane->left_here > 0 &&
           phase_has_more(lane)) {
        struct request request;
        phase_take(lane, &request);
        ask(lane, request);
        lane->left_here -= lane->left_here != UINT64_MAX;
    }
    if (lane->tail == first) {
        return;
    }
    int64_t now = lane->began != 0 ? lane->began : clock_now();
    for (uint32_t i = first; i != lane->tail; i++) {
        lane->ring[i & lane->ring_mask].sent = now;
    }
    if (lane->state == LANE_OPEN) {
        lane->began = 0;
    }
}

static void watch(struct lane *lane, bool writing)
{
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = lane};

    if (lane->writing != writing &&
        epoll_ctl(lane->worker->epoll, EPOLL_CTL_MOD, lane->socket, &event) == 0) {
        lane->writing = writing;
    }
}

static void lose(struct lane *lane, int error)
{
    complain(lane->plan, "connection lost: %s", error == 0 ? "the server closed it" : strerror(error));
    fail(lane, EX_UNAVAILABLE);
}

/* A server that hangs up may have said why, so what is left in the way is found by the next receive. */
static void send_out(struct lane *lane)
{
    while (lane->out.length > lane->sent) {
        ssize_t sent = send(lane->socket, lane->out.bytes + lane->sent, lane->out.length - lane->sent,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EAGAIN) {
                watch(lane, true);
            } else if (errno == EPIPE || errno == ECONNRESET) {
                lane->sent = lane->out.length;
            } else if (errno != EINTR) {
                lose(lane, errno);
            }
            if (errno != EINTR) {
                break;
            }
        } else {
            lane->sent += (size_t)sent;
        }
    }
    if (lane->sent == lane->out.length) {
        buffer_clear(&lane->out);
        lane->sent = 0;
        watch(lane, false);
    }
}

static void note(struct worker *worker, const struct request *request)
{
    if (request->counted && worker->phase.latencies != NULL) {
        histogram_add(&worker->phase.latencies[request->part], (uint64_t)(worker->now - request->sent));
    }
}

/* Judges what has come, in place. */
static void judge(struct lane *lane)
{
    const char *bytes = lane->in.bytes;
    size_t left = lane->in.length;

    while (left > 0 && lane_under_way(lane) > 0) {
        struct request *request = &lane->ring[lane->head & lane->ring_mask];
        size_t taken = 0;
        enum verdict verdict = request->verb->judge(lane, request, bytes, left, &taken);
        if (verdict == REPLY_WRONG) {
            complain_of_reply(lane->plan, request, lane->expected, bytes, left);
            fail(lane, EXIT_WRONG);
            return;
        }
        bytes += taken;
        left -= taken;
        if (verdict == REPLY_WHOLE) {
            note(lane->worker, request);
            lane->head++;
        } else if (taken == 0) {
            break;
        }
    }
    if (left > 0 && lane_under_way(lane) == 0) {
        complain_of_reply(lane->plan, NULL, "nothing more", bytes, left);
        fail(lane, EXIT_WRONG);
    }
    lane->worker->phase.last_reply = lane->worker->now;
    buffer_consume(&lane->in, lane->in.length - left);
}

/* Reads once. False: nothing has come, or the connection is at its end. */
static bool receive(struct lane *lane, int flags)
{
    size_t room = lane->read_size + lane->in.length; /* doubles while a reply is not whole */

    char *at = buffer_reserve(&lane->in, room);
    if (at == NULL) {
        complain(lane->plan, "no memory for a reply");
        fail(lane, EX_TEMPFAIL);
        return false;
    }
    ssize_t got = recv(lane->socket, at, room, flags);
    lane->worker->now = clock_now();
    if (got > 0) {
        lane->in.length += (size_t)got;
        return true;
    }
    if (got == 0 && lane->state == LANE_LEAVING) {
        lane_disconnect(lane);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        lose(lane, got == 0 ? 0 : errno);
    }
    return false;
}

static void leave(struct lane *lane)
{
    if (lane->plan->speech->leave == NULL) {
        lane_disconnect(lane);
        return;
    }
    lane->state = LANE_LEAVING;
    lane->began = lane->worker->now;
    ask(lane, (struct request){.verb = lane->plan->speech->leave,
                               .mailbox = phase_draw_mailbox(lane),
                               .sent = clock_now()});
}

/* Does all that can be done without waiting. */
static void go_on(struct lane *lane)
{
    struct worker *worker = lane->worker;

    if (lane->state == LANE_OPEN && lane->left_here == 0 && lane_under_way(lane) == 0) {
        leave(lane);
    }
    if (lane->state == LANE_CLOSED && phase_has_more(lane)) {
        int status = lane_connect(lane);
        if (status != 0) {
            fail(lane, status);
            return;
        }
        worker->postponed += lane->state == LANE_CLOSED;
    }
    if (lane->state == LANE_GREETING || lane->state == LANE_OPEN) {
        ask_more(lane);
    }
    if (lane->socket >= 0 && lane->state != LANE_CONNECTING) {
        send_out(lane);
    }
    bool idle = lane->state == LANE_CLOSED
                    ? !phase_has_more(lane)
                    : lane->state == LANE_OPEN && lane_under_way(lane) == 0 && !phase_has_more(lane);
    if (idle && !lane->idle) {
        lane->idle = true;
        worker->busy--;
    }
}

static void take_turn(struct lane *lane, uint32_t events, int flags)
{
    if (lane->state == LANE_CONNECTING) {
        int status = lane_connected(lane);
        if (status != 0) {
            fail(lane, status);
            return;
        }
    } else if ((events & ~(uint32_t)EPOLLOUT) != 0 && receive(lane, flags)) {
        judge(lane);
    }
    go_on(lane);
}

/* ---- all lanes ---- */

/* Since when the lane waits for the server; now, if it does not. */
static int64_t waits_since(const struct lane *lane)
{
    if (lane_under_way(lane) > 0) {
        return lane->ring[lane->head & lane->ring_mask].sent;
    }
    return lane->state != LANE_OPEN && lane->began != 0 ? lane->began : lane->worker->now;
}

static void look_for_silence(struct worker *worker)
{
    int64_t patience = *worker->stop != 0 ? NANOSECONDS_PER_SECOND : worker->plan->timeout;
    unsigned silent = 0;

    for (unsigned i = 0; i < worker->lane_count; i++) {
        silent += worker->now - waits_since(&worker->lanes[i]) > patience;
    }
    if (silent > 0 && worker->status == 0) {
        complain(worker->plan, "no answer for %.3g s on %u of %u connections",
                 (double)patience / (double)NANOSECONDS_PER_SECOND, silent, worker->lane_count);
        worker->status = EX_TEMPFAIL;
    }
}

static void retry_postponed(struct worker *worker)
{
    worker->postponed = 0;
    for (unsigned i = 0; i < worker->lane_count; i++) {
        if (worker->lanes[i].state == LANE_CLOSED && !worker->lanes[i].idle) {
            go_on(&worker->lanes[i]);
        }
    }
}

static void wait_for_any(struct worker *worker)
{
    struct epoll_event events[EVENTS];
    int timeout = worker->postponed > 0 ? RETRY_MILLISECONDS : TICK_MILLISECONDS;
    int count = epoll_wait(worker->epoll, events, EVENTS, timeout);

    worker->now = clock_now();
    for (int i = 0; i < count && worker->status == 0; i++) {
        take_turn(events[i].data.ptr, events[i].events, MSG_DONTWAIT);
    }
    if (worker->postponed > 0) {
        retry_postponed(worker);
    }
}

/* One lane alone may sleep in recv(2), for a tick at most: its socket has that as its timeout. */
static bool may_sleep_alone(const struct worker *worker)
{
    const struct lane *lane = &worker->lanes[0];

    return worker->lane_count == 1 && lane->socket >= 0 && lane->state != LANE_CONNECTING && !lane->writing;
}

int worker_run(struct worker *worker, const struct phase *phase)
{
    worker->phase = *phase;
    worker->busy = worker->lane_count;
    worker->now = clock_now();
    worker->phase.last_reply = worker->now;
    for (unsigned i = 0; i < worker->lane_count && worker->status == 0; i++) {
        struct lane *lane = &worker->lanes[i];
        lane->idle = false;
        lane->own = phase_count_own(worker, i);
        lane->cursor = 0;
        lane->left_here = phase->each == NULL && worker->plan->per_connection > 0 ? 0 : UINT64_MAX;
        go_on(lane);
    }
    int64_t tick = worker->now;
    while (worker->busy > 0 && worker->status == 0) {
        if (may_sleep_alone(worker)) {
            take_turn(&worker->lanes[0], EPOLLIN, 0);
        } else {
            wait_for_any(worker);
        }
        if (worker->now - tick > NANOSECONDS_PER_SECOND) {
            tick = worker->now;
            look_for_silence(worker);
        }
    }
    return worker->status;
}
