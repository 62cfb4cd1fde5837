/* limit_program.h: what the physical limits share: an address to be reached at, a clock, and one way to give
 * up. A limit does the least that its row of the bench needs from the machine, by no code of shmail's. */
#ifndef SHMAIL_BENCH_LIMIT_PROGRAM_H
#define SHMAIL_BENCH_LIMIT_PROGRAM_H

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void fail(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

static inline double now(void) /* in seconds */
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* A positive decimal argument, or the end. */
static inline unsigned long number_argument(const char *text)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (number == 0 || *end != '\0') {
        fprintf(stderr, "%s: %s: not a number above 0\n", program_invocation_short_name, text);
        exit(64);
    }
    return number;
}

/* Listens on a free port of 127.0.0.1 and prints it on a line, in the form that shmaild -1 prints. */
static inline int listen_and_announce(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, 1024) != 0 || getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        fail("listening");
    printf("inet:127.0.0.1:%u\n", (unsigned)ntohs(address.sin_port));
    if (fclose(stdout) != 0)
        fail("printing the address");
    return listener;
}

/* The next connection, as the server under test tunes it. */
static inline int accept_connection(int listener)
{
    const int on = 1;
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0)
        fail("accept");
    (void)setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return connection;
}

/* From here on this process and those that it forks are under a filter of system calls, which lets all
 * through: what a sandbox costs at least. */
static inline void confine(void)
{
    struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog filter = {.len = 1, .filter = &all};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        fail("confining");
}

/* Nobody waits for a client for ever. */
static inline void end_waiting(int connection)
{
    const struct timeval end = {.tv_sec = 600};
    if (setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &end, sizeof(end)) != 0)
        fail("SO_RCVTIMEO");
}

/* From here on this process and those that it forks push nobody out. */
static inline void wait_its_turn(void)
{
    const struct sched_param none = {0};
    if (sched_setscheduler(0, SCHED_BATCH, &none) != 0)
        fail("sched_setscheduler");
}

/* To the processor that its client sends from, and free to leave it. */
static inline void follow(int connection)
{
    int processor = -1;
    socklen_t size = sizeof(processor);
    cpu_set_t usable, one;
    if (getsockopt(connection, SOL_SOCKET, SO_INCOMING_CPU, &processor, &size) != 0 || processor < 0 ||
        sched_getaffinity(0, sizeof(usable), &usable) != 0 || !CPU_ISSET((size_t)processor, &usable))
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)processor, &one);
    if (sched_setaffinity(0, sizeof(one), &one) != 0 || sched_setaffinity(0, sizeof(usable), &usable) != 0)
        fail("sched_setaffinity");
}

/* Forks a process for each connection, for ever. */
static inline void serve_connections(void (*serve)(int connection, const void *context), const void *context)
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
            serve(connection, context);
            _exit(0);
        }
        close(connection);
    }
}

#endif
