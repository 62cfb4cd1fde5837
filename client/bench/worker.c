/* worker.c: makes the lanes and mailboxes of one process, and takes them down. */
#include "complaint.h"
#include "connect.h"
#include "traffic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    READ_LEAST = 16 << 10, /* bytes of one read */
    READ_MOST = 256 << 10,
    REPLY_REST = 64, /* what a reply may hold beside a text */
};

static uint32_t ring_size(uint32_t depth)
{
    uint32_t size = 1;

    while (size < depth) {
        size *= 2;
    }
    return size;
}

static size_t read_size(const struct plan *plan)
{
    uint64_t batch = (uint64_t)plan->depth * (plan->size + REPLY_REST);

    return batch < READ_LEAST ? READ_LEAST : batch < READ_MOST ? (size_t)batch : READ_MOST;
}

static bool lane_open(struct lane *lane, struct worker *worker, unsigned number)
{
    uint32_t size = ring_size(worker->plan->depth);

    *lane = (struct lane){
        .plan = worker->plan,
        .worker = worker,
        .book = &worker->book,
        .number = number,
        .socket = -1,
        .read_size = read_size(worker->plan),
        .ring_mask = size - 1,
        .ring = calloc(size, sizeof *lane->ring),
    };
    return lane->ring != NULL;
}

bool worker_open(struct worker *worker, const struct plan *plan, unsigned process,
                 const volatile sig_atomic_t *stop)
{
    unsigned count = (plan->connections - process + plan->processes - 1) / plan->processes;

    *worker = (struct worker){.plan = plan, .stop = stop, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    worker->lanes = calloc(count, sizeof *worker->lanes);
    bool good =
        worker->epoll >= 0 && worker->lanes != NULL && mailbox_book_open(&worker->book, plan, process);
    while (good && worker->lane_count < count) {
        good = lane_open(&worker->lanes[worker->lane_count], worker, worker->lane_count);
        worker->lane_count++;
    }
    if (!good) {
        complain(plan, "cannot make %u connections: %s", count, strerror(errno));
        worker_close(worker);
    }
    return good;
}

void worker_close(struct worker *worker)
{
    for (unsigned i = 0; worker->lanes != NULL && i < worker->lane_count; i++) {
        lane_disconnect(&worker->lanes[i]);
        buffer_free(&worker->lanes[i].out);
        buffer_free(&worker->lanes[i].in);
        free(worker->lanes[i].ring);
    }
    free(worker->lanes);
    mailbox_book_close(&worker->book);
    if (worker->epoll >= 0) {
        (void)close(worker->epoll);
    }
}
