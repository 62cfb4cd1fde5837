/* limit_answer.c: what a process for each request can reach at most: limit_answer same, or any of ahead
 * segment stay confined reap apart.
 *
 * A child sends the one line that it has read back, and exits. Linked statically, as a fork costs by the
 * pages that are mapped. "same" answers in the process that accepted, for what the fork alone costs. Each
 * other word is one thing more that a mail store has to do:
 *
 * segment   A child also writes to memory that all share, in as many places as a request must: its header,
 *           the process's slot, a bucket, a session, an account and its name. They lie in one huge page,
 *           where the system gives one.
 * stay      It waits for the client's end: where a connection may carry any number of requests, nothing else
 *           tells that there is none more.
 * confined  All is as bounded as a server should be: a filter of system calls, which lets all through, and
 *           an end to waiting.
 * reap      The parent learns of each child's end, as it must if it is to count them, and to clean up after
 *           one that was killed.
 * apart     Who accepts and forks is another process than their parent, who looks after them 50 times a
 * second; it waits its turn, as they do, lest it push out a client that is about to ask. ahead     The
 * children are forked before the connection comes, which is passed to them. accepting They are, and accept it
 * themselves: the fastest, where no limit must be kept by who knows all. */
#include "limit_memory.h"

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PLACES = 6, AHEAD = 8, LOOKS = 50 };

struct duties {
    bool same, segment, stay, confined, reap, apart, ahead, accepting;
};

/* As large as a post office may become, and as empty as one is. */
static char *share_segment(void)
{
    int file;
    char *segment = share_memory((size_t)64 << 30, &file);
    get_memory(segment, file, 0);
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

static void touch(char *segment)
{
    for (size_t i = 0; i < PLACES; i++)
        ++*(volatile char *)(segment + i * (HUGE / PLACES));
}

/* A message of one byte that carries the connection: to a child, or in it. */
static void pass(int channel, int connection)
{
    char byte = 0;
    struct iovec run = {&byte, 1};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr message = {
        .msg_iov = &run, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    memcpy(CMSG_DATA(&control.header), &connection, sizeof(connection));
    if (sendmsg(channel, &message, MSG_NOSIGNAL) != 1)
        fail("sendmsg");
}

static int take(int channel)
{
    char byte;
    int connection;
    struct iovec run = {&byte, 1};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &run, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    if (recvmsg(channel, &message, 0) != 1 || message.msg_controllen < CMSG_LEN(sizeof(int)))
        _exit(0); /* the parent has ended */
    memcpy(&connection, CMSG_DATA(&control.header), sizeof(connection));
    return connection;
}

static void serve(const struct duties *duties, int connection)
{
    if (duties->confined)
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

/* What can be done before the connection comes is; half of them at a time. */
static void serve_ahead(const struct duties *duties, int listener, char *segment)
{
    int channels[AHEAD];
    for (int idle = 0;;) {
        for (; idle < AHEAD; idle++) {
            int ends[2];
            if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
                fail("socketpair");
            pid_t child = fork();
            if (child < 0)
                fail("fork");
            if (child == 0) {
                close(ends[0]);
                if (duties->segment)
                    touch(segment);
                serve(duties, take(ends[1]));
                _exit(0);
            }
            close(ends[1]);
            channels[idle] = ends[0];
        }
        for (; idle > AHEAD / 2; idle--) {
            int connection = next_connection(duties, listener);
            pass(channels[idle - 1], connection);
            close(channels[idle - 1]);
            close(connection);
        }
    }
}

/* Whoever leaves only half of them idle has the parent fork the others. */
static void serve_accepting(const struct duties *duties, int listener, char *segment)
{
    int bell = eventfd(0, EFD_CLOEXEC);
    int *idle = mmap(NULL, sizeof(*idle), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    eventfd_t rung;
    if (bell < 0 || idle == MAP_FAILED)
        fail("what the children share");
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
            if (duties->segment)
                touch(segment);
            int connection = accept_connection(listener);
            if (__atomic_sub_fetch(idle, 1, __ATOMIC_RELAXED) == AHEAD / 2)
                (void)eventfd_write(bell, 1);
            serve(duties, connection);
            _exit(0);
        }
    } while (eventfd_read(bell, &rung) == 0);
}

/* As the server under test does it while no limit can be reached: CLONE_PARENT. */
static void serve_apart(const struct duties *duties, int listener, char *segment)
{
    const struct timespec nap = {.tv_nsec = 1000000000 / LOOKS};
    const struct sched_param none = {0};
    pid_t *made = mmap(NULL, sizeof(*made), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED)
        fail("mmap");
    (void)sched_setscheduler(0, SCHED_BATCH, &none);
    pid_t other = fork();
    if (other < 0)
        fail("fork");
    while (other > 0) {
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
            if (duties->segment)
                touch(segment);
            serve(duties, connection);
            _exit(0);
        }
        close(connection);
    }
}

static void serve_then(const struct duties *duties, int listener, char *segment)
{
    for (;;) {
        int connection = next_connection(duties, listener);
        pid_t child = duties->same ? 0 : fork();
        if (child < 0)
            fail("fork");
        if (child == 0 && duties->segment)
            touch(segment);
        if (child == 0)
            serve(duties, connection);
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
    } words[] = {{"same", &duties.same},           {"segment", &duties.segment},   {"stay", &duties.stay},
                 {"reap", &duties.reap},           {"confined", &duties.confined}, {"ahead", &duties.ahead},
                 {"accepting", &duties.accepting}, {"apart", &duties.apart}};
    const size_t count = sizeof(words) / sizeof(words[0]);
    for (int i = 1; i < argc; i++) {
        size_t at = 0;
        while (at < count && strcmp(argv[i], words[at].word) != 0)
            at++;
        if (at == count || (argc > 2 && words[at].duty == &duties.same)) {
            fputs(
                "usage: limit_answer [same | [segment] [stay] [confined] [reap] [ahead | accepting | apart]]\n",
                stderr);
            return 64;
        }
        *words[at].duty = true;
    }
    char *segment = duties.segment ? share_segment() : NULL;
    int listener = listen_and_announce();
    signal(SIGCHLD, duties.reap ? SIG_DFL : SIG_IGN);
    if (duties.confined)
        confine();
    if (duties.apart)
        serve_apart(&duties, listener, segment);
    if (duties.accepting)
        serve_accepting(&duties, listener, segment);
    if (duties.ahead)
        serve_ahead(&duties, listener, segment);
    serve_then(&duties, listener, segment);
}
