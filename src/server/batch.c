/* batch.c: gathers runs of bytes and sends them. In come replies piece by piece, out goes one sendmsg(2) for
 * all of them. It knows neither protocol nor time; who calls it decides when to sleep. */
#include "batch.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct iovec *runs_of(struct batch *batch)
{
    return batch->room == BATCH_FEW ? batch->few : batch->memory->many;
}

static void begin(struct batch *batch, char *bytes, size_t most)
{
    batch->room = BATCH_FEW;
    batch->first = 0;
    batch->count = 0;
    batch->bytes = bytes;
    batch->copied = 0;
    batch->most = most;
    batch->last = NULL;
}

void batch_open(struct batch *batch, struct batch_memory *memory)
{
    batch->memory = memory;
    begin(batch, batch->little, BATCH_LITTLE);
}

void batch_clear(struct batch *batch)
{
    begin(batch, batch->memory->bytes, BATCH_BYTES);
}

bool batch_is_empty(const struct batch *batch)
{
    return batch->first == batch->count;
}

bool batch_refer(struct batch *batch, const void *bytes, size_t length)
{
    if (batch->count == BATCH_RUNS) {
        return false;
    }
    if (batch->count == batch->room) {
        memcpy(batch->memory->many, batch->few, sizeof batch->few);
        batch->room = BATCH_RUNS;
    }
    batch->last = NULL;
    runs_of(batch)[batch->count++] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    return true;
}

/* What was little goes on where there is more. */
static bool has_room(struct batch *batch, size_t length)
{
    if (length > batch->most - batch->copied && batch->most == BATCH_LITTLE) {
        batch->bytes = batch->memory->bytes;
        batch->copied = 0;
        batch->most = BATCH_BYTES;
        batch->last = NULL;
    }
    return length <= batch->most - batch->copied;
}

char *batch_room(struct batch *batch, size_t length)
{
    return has_room(batch, length) ? batch->bytes + batch->copied : NULL;
}

bool batch_copy(struct batch *batch, const void *bytes, size_t length)
{
    char *place = batch_room(batch, length);

    if (place == NULL) {
        return false;
    }
    if (batch->last != NULL) {
        batch->last->iov_len += length;
    } else if (batch_refer(batch, place, length)) {
        batch->last = &runs_of(batch)[batch->count - 1];
    } else {
        return false;
    }
    if (bytes != place) {
        memcpy(place, bytes, length);
    }
    batch->copied += length;
    return true;
}

static void drop(struct batch *batch, size_t sent)
{
    const struct iovec *runs = runs_of(batch);

    while (!batch_is_empty(batch) && sent >= runs[batch->first].iov_len) {
        sent -= runs[batch->first].iov_len;
        batch->first++;
    }
    if (sent > 0) {
        struct iovec *run = &runs_of(batch)[batch->first];
        run->iov_base = (char *)run->iov_base + sent;
        run->iov_len -= sent;
    }
}

ssize_t batch_send(struct batch *batch, int descriptor, enum descriptor_kind kind)
{
    struct iovec *runs = runs_of(batch) + batch->first;
    size_t count = batch->count - batch->first;
    ssize_t sent;

    if (kind == DESCRIPTOR_SOCKET && count == 1) {
        sent = send(descriptor, runs->iov_base, runs->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (kind == DESCRIPTOR_SOCKET) {
        struct msghdr message = {.msg_iov = runs, .msg_iovlen = count};
        sent = sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (kind == DESCRIPTOR_FILE) {
        sent = writev(descriptor, runs, (int)count);
    } else {
        sent = write(descriptor, runs->iov_base, runs->iov_len < PIPE_BUF ? runs->iov_len : PIPE_BUF);
    }
    if (sent > 0) {
        drop(batch, (size_t)sent);
    }
    return sent;
}
