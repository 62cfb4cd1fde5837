/* limit_echo.c: what a server with a process for each connection can reach at most: limit_echo.
 *
 * A child sends back what it reads, as soon as it has read it: at depth 1 that is a reply for each request,
 * with pipelining one reply of many lines for all the requests that have come. It looks at nothing. */
#include "limit_program.h"

#include <signal.h>
#include <unistd.h>

static void serve(int connection)
{
    static char bytes[1 << 16];
    for (ssize_t got; (got = recv(connection, bytes, sizeof(bytes), 0)) > 0;)
        for (ssize_t sent = 0, more; sent < got; sent += more)
            if ((more = send(connection, bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL)) < 0)
                return;
}

int main(void)
{
    int listener = listen_and_announce();
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int connection = accept_connection(listener);
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0) {
            close(listener);
            serve(connection);
            _exit(0);
        }
        close(connection);
    }
}
