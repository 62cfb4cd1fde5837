/* torture_office.h: a post office under torture: its server, inetd-style processes and tools, as the real
 * programs, and who of them is alive. The test's process is the parent of all that have none: it reaps them,
 * and fails where one has ended otherwise than by a kill or by itself. */
#ifndef SHMAIL_TEST_TORTURE_OFFICE_H
#define SHMAIL_TEST_TORTURE_OFFICE_H

#include "clock.h"
#include "harness.h"
#include "load_life.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>

enum {
    CLIENTS = 16,
    PROCESSES_MOST = 256,
    PATIENCE_SECONDS = 30,
    NICE = 5, /* of all but who strikes */
};

#define SOCKET_PATH "socket"

/* Shared by the test and its clients. */
struct office {
    const char *directory;  /* of the journal; NULL: none */
    pid_t server;           /* 0: none now */
    pid_t clients[CLIENTS]; /* 0: not yet, or ended */
    pid_t inetd[CLIENTS];   /* atomic: each client's own process; 0: none */
    pthread_mutex_t gate;   /* to make an inetd-style process; the test closes it where nobody may come */
    unsigned random;
};

static struct office *office;

static inline unsigned random_below(unsigned below)
{
    return (unsigned)rand_r(&office->random) % below;
}

/* Of every four clients one has a process of inetd, the others speak to the server. */
static inline bool has_inetd(unsigned number)
{
    return number / 2 % 4 == 3;
}

/* ---- processes ---- */

static inline size_t read_file(const char *path, char *text, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, size - 1) : 0;

    if (file >= 0) {
        (void)close(file);
    }
    text[length > 0 ? length : 0] = '\0';
    return length > 0 ? (size_t)length : 0;
}

struct process {
    pid_t pid, parent;
    char state; /* R, S, T, ...; X: there is none */
    char name[16];
};

static inline struct process look_at(pid_t pid)
{
    struct process process = {.pid = pid, .state = 'X'};
    char path[64], text[512];

    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    if (read_file(path, text, sizeof text) > 0) {
        char *name = strchr(text, '('), *behind = strrchr(text, ')');
        EXPECT(name != NULL && behind != NULL);
        *behind = '\0';
        (void)snprintf(process.name, sizeof process.name, "%s", name + 1);
        process.state = behind[2];
        process.parent = (pid_t)strtol(behind + 4, NULL, 10);
    }
    return process;
}

static inline size_t children_of(pid_t parent, pid_t *children, size_t count)
{
    char path[64], text[PROCESSES_MOST * 12], *next = text;

    (void)snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)parent, (long)parent);
    (void)read_file(path, text, sizeof text);
    for (pid_t pid; count < PROCESSES_MOST && (pid = (pid_t)strtol(next, &next, 10)) > 0;) {
        children[count++] = pid;
    }
    return count;
}

static inline int client_number(pid_t pid)
{
    for (int i = 0; i < CLIENTS; i++) {
        if (office->clients[i] == pid) {
            return i;
        }
    }
    return -1;
}

/* Nobody ends in a way that was not meant: a fault, or bug(). */
static inline void expect_fair_end(const char *who, pid_t pid, int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM) {
        harness_fail(__FILE__, __LINE__, "%s, process %ld, was ended by signal %d (%s)", who, (long)pid,
                     WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
}

static inline void show_children(pid_t parent)
{
    pid_t pids[PROCESSES_MOST];
    size_t count = children_of(parent, pids, 0);

    for (size_t i = 0; i < count; i++) {
        struct process process = look_at(pids[i]);
        printf("process %ld, child of %ld, client %d: %s, %c\n", (long)process.pid, (long)process.parent,
               client_number(process.pid), process.name, process.state);
        fflush(stdout);
        show_children(pids[i]);
    }
}

/* For who wants to know why somebody has waited for too long. */
static inline void show_everybody(void)
{
    printf("the server is process %ld\n", (long)office->server);
    show_children(getpid());
}

/* The wait status of a child that must end soon. */
static inline int status_at_end(const char *who, pid_t pid)
{
    struct pollfd end = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    int status;

    if (end.fd < 0 || poll(&end, 1, PATIENCE_SECONDS * 1000) != 1) {
        show_everybody();
        harness_fail(__FILE__, __LINE__, "%s, process %ld, does not end", who, (long)pid);
    }
    (void)close(end.fd);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static inline void note_end(pid_t pid, int status)
{
    int number = client_number(pid);

    if (number >= 0) {
        office->clients[number] = 0;
        if (status != 0) {
            show_everybody();
            harness_fail(__FILE__, __LINE__, "client %d has failed: status %#x", number, (unsigned)status);
        }
    } else if (pid == office->server) {
        office->server = 0;
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
            harness_fail(__FILE__, __LINE__, "the server ended by itself: status %#x", (unsigned)status);
        }
    }
    expect_fair_end("one without a parent", pid, status);
}

static inline void reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        note_end(pid, status);
    }
}

/* Waits for the end of a child of this process. */
static inline void reap_one(pid_t pid)
{
    int status;

    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    note_end(pid, status);
}

/* ---- programs ---- */

static inline const char *program(const char *name)
{
    static char path[4096];

    (void)snprintf(path, sizeof path, "%s/%s", harness_build(), name);
    return path;
}

/* In a fork: becomes the program, with these as its standard input and output. What it logs is shown where
 * the test fails. */
static inline _Noreturn void become(const char *const *arguments, int in, int out)
{
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        prctl(PR_SET_PDEATHSIG, SIGKILL) == 0) {
        (void)execv(program(arguments[0]), (char *const *)(uintptr_t)arguments);
    }
    fail("%s cannot be run: %s", arguments[0], strerror(errno));
}

static inline void add_office(const char **arguments, size_t count)
{
    const char *const all[] = {"-n",      harness_name(), "--crypt-cost",   "1",   "--accounts", "100",
                               "--slots", "64",           "--segment-size", "64M", NULL};
    const char *const journal[] = {"-d", office->directory, "--journal-size", "4M", NULL};

    for (size_t i = 0; all[i] != NULL; i++) {
        arguments[count++] = all[i];
    }
    for (size_t i = 0; office->directory != NULL && journal[i] != NULL; i++) {
        arguments[count++] = journal[i];
    }
    arguments[count] = NULL;
}

/* The server as a process that does not listen yet; *said is where it says so. */
static inline pid_t fork_server(int *said)
{
    const char *arguments[32] = {"shmaild", "-1", "-l", ("unix:" SOCKET_PATH)};
    int ends[2];

    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    add_office(arguments, 4);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        (void)setpriority(PRIO_PROCESS, 0, NICE);
        become(arguments, STDIN_FILENO, ends[1]);
    }
    (void)close(ends[1]);
    *said = ends[0];
    return pid;
}

static inline void start_server(void)
{
    int said;
    char byte;

    pid_t pid = fork_server(&said);
    struct pollfd ready = {.fd = said, .events = POLLIN};
    EXPECT_EQ(poll(&ready, 1, PATIENCE_SECONDS * 1000), 1);
    if (read(said, &byte, 1) != 1) {
        harness_fail(__FILE__, __LINE__, "the server does not start");
    }
    (void)close(said);
    office->server = pid;
}

/* A tool, whose output goes there. */
static inline pid_t fork_tool(const char *const *arguments, int out)
{
    pid_t pid = fork();

    EXPECT(pid >= 0);
    if (pid == 0) {
        become(arguments, STDIN_FILENO, out);
    }
    return pid;
}

static inline void expect_clean(const char *option, const char *value)
{
    const char *const arguments[] = {"shmailctl", option, value, "check", NULL};
    int status = status_at_end("a check", fork_tool(arguments, STDERR_FILENO));

    if (status != 0) {
        harness_fail(__FILE__, __LINE__, "shmailctl %s %s check: status %#x", option, value,
                     (unsigned)status);
    }
}

/* ---- clients ---- */

static inline int dial_server(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_PATH};
    int64_t deadline = deadline_after_seconds(PATIENCE_SECONDS);
    int found = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    while (connect(found, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (clock_now() > deadline) {
            fail("no server for %d seconds: %s", PATIENCE_SECONDS, strerror(errno));
        }
        (void)poll(NULL, 0, 1); /* there may be none now, and nothing tells of the next */
    }
    return found;
}

static inline int dial_inetd(unsigned number)
{
    const char *arguments[32] = {"shmaild", "-i"};
    int ends[2];
    pid_t before = office->inetd[number];

    if (before != 0) { /* its connection is closed, or lost */
        expect_fair_end("a process of inetd", before, status_at_end("a process of inetd", before));
        __atomic_store_n(&office->inetd[number], 0, __ATOMIC_RELEASE);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        fail("no socket: %s", strerror(errno));
    }
    add_office(arguments, 2);
    (void)pthread_mutex_lock(&office->gate);
    pid_t pid = fork();
    if (pid == 0) {
        become(arguments, ends[1], ends[1]);
    }
    __atomic_store_n(&office->inetd[number], pid, __ATOMIC_RELEASE);
    (void)pthread_mutex_unlock(&office->gate);
    if (pid < 0) {
        fail("no process: %s", strerror(errno));
    }
    (void)close(ends[1]);
    return ends[0];
}

static inline int dial(void *context)
{
    unsigned number = *(const unsigned *)context;

    return has_inetd(number) ? dial_inetd(number) : dial_server();
}

static inline void start_clients(struct ledger *ledger)
{
    static struct client client;

    for (unsigned i = 0; i < ledger->clients; i++) {
        office->inetd[i] = 0;
        pid_t pid = fork();
        EXPECT(pid >= 0);
        if (pid == 0) {
            (void)setpriority(PRIO_PROCESS, 0, NICE);
            client_live(&client, ledger, i, (struct wire){.dial = dial, .context = &i});
            _exit(0);
        }
        office->clients[i] = pid;
    }
}

static inline bool clients_live(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (office->clients[i] != 0) {
            return true;
        }
    }
    return false;
}

/* ---- the whole ---- */

static inline void open_office(const char *directory, unsigned seed)
{
    pthread_mutexattr_t mutex;

    EXPECT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    /* So that a strike comes when it is due. Without the right to that, others just do more in between. */
    (void)sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &(struct sched_param){.sched_priority = 1});
    office = mmap(NULL, sizeof *office, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(office != MAP_FAILED);
    EXPECT_EQ(pthread_mutexattr_init(&mutex), 0);
    EXPECT_EQ(pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED), 0);
    EXPECT_EQ(pthread_mutex_init(&office->gate, &mutex), 0);
    office->directory = directory;
    office->random = seed;
    start_server();
}

#endif
