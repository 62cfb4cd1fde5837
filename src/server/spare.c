/* spare.c: passes a connection as a descriptor over a pair of sockets, with one byte back when it has come.
 * A copy stays with the parent until then, so that no death in between loses it. */
#include "spare.h"

#include "pass.h"
#include "signals.h"
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

bool spare_channel(int ends[static 2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0;
}

bool spare_give(int channel, int connection, const struct caller *caller)
{
    return pass_give(channel, connection, caller, sizeof *caller);
}

bool spare_has_taken(int channel)
{
    char byte;

    return recv(channel, &byte, 1, MSG_DONTWAIT) == 1;
}

static int wait_for_connection(int channel, struct caller *caller)
{
    int connection = -1;

    while (connection < 0 && *signals_closing() == 0) {
        struct pollfd poll = {.fd = channel, .events = POLLIN};
        int ready = ppoll(&poll, 1, NULL, signals_sleep_mask());
        if (ready > 0) {
            connection = pass_take(channel, caller, sizeof *caller);
        }
        if (connection < 0 && (ready > 0 || errno != EINTR)) {
            return -1;
        }
    }
    return connection;
}

int spare_wait(int channel, struct store *store, struct caller *caller)
{
    bool attached = store != NULL && store_attach_ahead(store) == STATUS_OK;

    stream_expect();
    int connection = wait_for_connection(channel, caller);
    if (connection < 0 && attached) {
        store_detach(store);
    }
    if (connection >= 0) {
        /* From here on the death of this process is that of the connection. Where nobody hears it, the parent
         * is dead, and its children go on serving. */
        (void)send(channel, "", 1, MSG_NOSIGNAL);
        (void)close(channel);
    }
    return connection;
}
