/* limit_answer.c: what a process for each request can reach at most: limit_answer same, or any of
 * segment held stay bounded confined reap, and apart or accepting.
 *
 * A child sends the one line that it has read back, and exits. Linked statically, as a fork costs by the
 * pages that are mapped. "same" answers in the process that accepted, for what the fork alone costs. Each
 * other word is one thing more that a mail store has to do:
 *
 * segment   A child also writes to memory that all share, in as many places as a request must: its header,
 *           the process's slot, a bucket, a session, an account and its name. They lie in one huge page,
 *           where the system gives one.
 * held      It holds a lock of a byte of that memory's file, which the kernel lets go whatever ends the
 *           process: by that everybody else knows, who is not its parent.
 * stay      It waits for the client's end: where a connection may carry any number of requests, nothing else
 *           tells that there is none more.
 * bounded   It waits for a client for some time and not for ever.
 * confined  All is under a filter of system calls, which lets all through.
 * reap      The parent learns of each child's end, as it must if it is to count them, and to clean up after
 *           one that was killed.
 * apart     Who accepts and forks is another process than their parent, who looks after them 50 times a
 *           second; it waits its turn, as they do, lest it push out a client that is about to ask.
 * accepting The children are forked before the connection comes, half of eight at a time, and accept it
 *           themselves. */
#include "limit_memory.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PLACES = 6, AHEAD = 8, LOOKS = 50 };

struct duties {
    bool same, segment, held, stay, bounded, confined, reap, apart, accepting;
};

struct segment {
    char *memory;
    int file;
};

/* As large as a post office may become, and as empty as one is. */
static struct segment share_segment(void)
{
    struct segment segment;
    segment.memory = share_memory((size_t)64 << 30, &segment.file);
    get_memory(segment.memory, segment.file, 0);
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

static void wait_for_end(int connection)
{
    char more[64];
    while (recv(connection, more, sizeof(more), 0) > 0)
        continue;
}

static void hold(const struct segment *segment)
{
    const struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = ((off_t)1 << 40) + getpid(), .l_len = 1};
    if (fcntl(segment->file, F_SETLK, &lock) != 0)
        fail("a lock of the segment");
}

static void attach(const struct duties *duties, const struct segment *segment)
{
    if (duties->held)
        hold(segment);
    for (size_t i = 0; duties->segment && i < PLACES; i++)
        ++*(volatile char *)(segment->memory + i * (HUGE / PLACES));
}

static void serve(const struct duties *duties, int connection)
{
    if (duties->bounded)
        end_waiting(connection);
    answer(connection);
    if (duties->stay)
        wait_for_end(connection);
}

/* The next connection; who has ended meanwhile is looked for when it has come, which needs no signal. */
static int next_connection(const struct duties *duties, int listener)
{
    int connection = accept_connection(listener);
    while (duties->reap && waitpid(-1, NULL, WNOHANG) > 0)
        continue;
    return connection;
}

/* Those that wait for a connection would stay for ever. */
static void end_all(int number)
{
    (void)number;
    (void)kill(0, SIGKILL);
}

/* Whoever leaves only half of them idle has the parent fork the others. */
static void serve_accepting(const struct duties *duties, int listener, const struct segment *segment)
{
    int bell = eventfd(0, EFD_CLOEXEC);
    int *idle = mmap(NULL, sizeof(*idle), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    eventfd_t rung;
    if (bell < 0 || idle == MAP_FAILED || setpgid(0, 0) != 0)
        fail("what the children share");
    signal(SIGTERM, end_all);
    do {
        while (duties->reap && waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        while (__atomic_load_n(idle, __ATOMIC_RELAXED) < AHEAD) {
            __atomic_add_fetch(idle, 1, __ATOMIC_RELAXED);
            pid_t child = fork();
            if (child < 0)
                fail("fork");
            if (child > 0)
                continue;
            attach(duties, segment);
            int connection = accept_connection(listener);
            if (__atomic_sub_fetch(idle, 1, __ATOMIC_RELAXED) == AHEAD / 2)
                (void)eventfd_write(bell, 1);
            serve(duties, connection);
            _exit(0);
        }
    } while (eventfd_read(bell, &rung) == 0);
}

/* As the server under test does it while no limit can be reached: CLONE_PARENT. */
static void serve_apart(const struct duties *duties, int listener, const struct segment *segment)
{
    const struct timespec nap = {.tv_nsec = 1000000000 / LOOKS};
    pid_t *made = mmap(NULL, sizeof(*made), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED)
        fail("mmap");
    wait_its_turn();
    pid_t other = fork();
    if (other < 0)
        fail("fork");
    if (other > 0)
        for (;;) {
            nanosleep(&nap, NULL);
            while (waitpid(-1, NULL, WNOHANG) > 0)
                continue;
        }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int connection = accept_connection(listener);
        pid_t child =
            (pid_t)syscall(SYS_clone, CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD, NULL, made, NULL, NULL);
        if (child < 0)
            fail("clone");
        if (child == 0) {
            attach(duties, segment);
            serve(duties, connection);
            _exit(0);
        }
        close(connection);
    }
}

static void serve_then(const struct duties *duties, int listener, const struct segment *segment)
{
    for (;;) {
        int connection = next_connection(duties, listener);
        pid_t child = duties->same ? 0 : fork();
        if (child < 0)
            fail("fork");
        if (child == 0) {
            attach(duties, segment);
            serve(duties, connection);
        }
        if (child == 0 && !duties->same)
            _exit(0);
        close(connection);
    }
}

int main(int argc, char **argv)
{
    struct duties duties = {0};
    const struct {
        const char *word;
        bool *duty;
    } words[] = {{"same", &duties.same}, {"segment", &duties.segment}, {"held", &duties.held},
                 {"stay", &duties.stay}, {"bounded", &duties.bounded}, {"confined", &duties.confined},
                 {"reap", &duties.reap}, {"apart", &duties.apart},     {"accepting", &duties.accepting}};
    const size_t count = sizeof(words) / sizeof(words[0]);
    for (int i = 1; i < argc; i++) {
        size_t at = 0;
        while (at < count && strcmp(argv[i], words[at].word) != 0)
            at++;
        if (at == count || (argc > 2 && words[at].duty == &duties.same)) {
            fputs("usage: limit_answer [same | [segment [held]] [stay] [bounded] [confined] [reap] [apart | "
                  "accepting]]\n",
                  stderr);
            return 64;
        }
        *words[at].duty = true;
    }
    struct segment segment = {0};
    if (duties.segment)
        segment = share_segment();
    duties.held = duties.held && duties.segment;
    int listener = listen_and_announce();
    signal(SIGCHLD, duties.reap ? SIG_DFL : SIG_IGN);
    if (duties.confined)
        confine();
    if (duties.apart)
        serve_apart(&duties, listener, &segment);
    if (duties.accepting)
        serve_accepting(&duties, listener, &segment);
    serve_then(&duties, listener, &segment);
}
