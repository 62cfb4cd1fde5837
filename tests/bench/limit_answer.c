/* limit_answer.c: what a process for each request can reach at most: limit_answer fork | same.
 *
 * A child sends the one line that it has read back, and exits. Linked statically, as a fork costs by the
 * pages that are mapped. "same" answers in the process that accepted, for what the fork alone costs. */
#include "limit_program.h"

#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

static void answer(int connection)
{
    char line[4096];
    size_t got = 0;
    while (got < sizeof(line) && (got == 0 || line[got - 1] != '\n')) {
        ssize_t more = recv(connection, line + got, sizeof(line) - got, 0);
        if (more <= 0)
            return;
        got += (size_t)more;
    }
    (void)send(connection, line, got, MSG_NOSIGNAL);
}

int main(int argc, char **argv)
{
    if (argc != 2 || (strcmp(argv[1], "fork") != 0 && strcmp(argv[1], "same") != 0)) {
        fputs("usage: limit_answer fork | same\n", stderr);
        return 64;
    }
    bool forks = strcmp(argv[1], "fork") == 0;
    int listener = listen_and_announce();
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int connection = accept_connection(listener);
        pid_t child = forks ? fork() : 0;
        if (child < 0)
            fail("fork");
        if (child == 0)
            answer(connection);
        if (child == 0 && forks)
            _exit(0);
        close(connection);
    }
}
