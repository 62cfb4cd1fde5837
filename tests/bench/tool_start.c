/* tool_start.c: how long a server takes to start: tool_start PROGRAM [ARGUMENT...].
 *
 * Runs it, reads the line that says that it listens, ends it, and prints the time from before the fork to
 * that line as a line of JSON. */
#include "limit_program.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int out[2];
    char line[256];
    if (argc < 2) {
        fputs("usage: tool_start PROGRAM [ARGUMENT...]\n", stderr);
        return 64;
    }
    if (pipe(out) != 0)
        fail("pipe");
    double start = now();
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        execv(argv[1], argv + 1);
        _exit(127);
    }
    close(out[1]);
    ssize_t got = read(out[0], line, sizeof(line));
    double seconds = now() - start;
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    if (got <= 0) {
        fprintf(stderr, "tool_start: %s does not start\n", argv[1]);
        return 1;
    }
    printf("{\"seconds\": %.6f}\n", seconds);
    return 0;
}
