/* limit_answer.c: what a process for each request can reach at most: limit_answer fork | same | segment.
 *
 * A child sends the one line that it has read back, and exits. Linked statically, as a fork costs by the
 * pages that are mapped. "same" answers in the process that accepted, for what the fork alone costs; with
 * "segment" a child also writes to memory that all share, in as many places as a request of a mail store
 * must: its header, the process's slot, a name, an account, a session and the tables between. */
#include "limit_program.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PLACES = 8 };
static const size_t places[PLACES] = {
    0,       1 << 16,  3 << 18,   1 << 20,    /* bytes; each on a page of its own, */
    9 << 20, 11 << 20, 133 << 20, 218 << 20}; /* far apart as tables are */

/* As large as a post office may become, and as empty as one is. */
static char *share_segment(void)
{
    const size_t bytes = (size_t)64 << 30;
    int file = memfd_create("segment", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)bytes) != 0)
        fail("memfd_create");
    char *segment = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (segment == MAP_FAILED)
        fail("mmap");
    for (size_t i = 0; i < PLACES; i++)
        memset(segment + places[i], 1, 1 << 16); /* memory is given out in such steps */
    return segment;
}

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
    if (argc != 2 ||
        (strcmp(argv[1], "fork") != 0 && strcmp(argv[1], "same") != 0 && strcmp(argv[1], "segment") != 0)) {
        fputs("usage: limit_answer fork | same | segment\n", stderr);
        return 64;
    }
    bool forks = strcmp(argv[1], "same") != 0;
    char *segment = strcmp(argv[1], "segment") == 0 ? share_segment() : NULL;
    int listener = listen_and_announce();
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int connection = accept_connection(listener);
        pid_t child = forks ? fork() : 0;
        if (child < 0)
            fail("fork");
        for (size_t i = 0; child == 0 && segment != NULL && i < PLACES; i++)
            ++*(volatile char *)(segment + places[i]);
        if (child == 0)
            answer(connection);
        if (child == 0 && forks)
            _exit(0);
        close(connection);
    }
}
