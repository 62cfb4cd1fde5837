/* tool_durability.c: what durability costs, measured beside what the disk gives: tool_durability SHMAILD
 * DIRECTORY.
 *
 * Deliveries: sixteen connections that each SEND 1 KB and wait for the reply, against sixteen writers of 1 KB
 * that share one fdatasync, in turn, medians of five rounds. Recovery: a journal of such messages read by a
 * new post office, against reading the same file. */
#include "account.h"
#include "clock.h"
#include "mailbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRITERS = 16, ROUNDS = 5, BODY = 1024, SECONDS_PER_ROUND = 2, RECOVERED = 200000 };

static void fail(const char *what)
{
    fprintf(stderr, "tool_durability: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- sixteen writers that share one fdatasync ---- */

struct group {
    pthread_mutex_t mutex;
    pthread_cond_t settled;
    uint64_t assigned, synced;
    bool led;
    uint64_t count[WRITERS];
};

static struct group *new_group(void)
{
    struct group *group =
        mmap(NULL, sizeof(*group), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t mutex;
    pthread_condattr_t condition;
    if (group == MAP_FAILED)
        fail("mmap");
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&group->mutex, &mutex);
    pthread_condattr_init(&condition);
    pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&group->settled, &condition);
    return group;
}

/* One record: written and synced by this writer for all who wait, or by another. */
static void commit(struct group *group, int file)
{
    static char records[WRITERS * BODY];
    pthread_mutex_lock(&group->mutex);
    uint64_t mine = ++group->assigned;
    while (group->synced < mine) {
        if (group->led) {
            pthread_cond_wait(&group->settled, &group->mutex);
            continue;
        }
        group->led = true;
        uint64_t from = group->synced;
        uint64_t to = group->assigned;
        pthread_mutex_unlock(&group->mutex);
        off_t offset = (off_t)(from * BODY % (48 << 20));
        if (pwrite(file, records, (size_t)(to - from) * BODY, offset) < 0 || fdatasync(file) != 0)
            fail("writing");
        pthread_mutex_lock(&group->mutex);
        group->synced = to;
        group->led = false;
        pthread_cond_broadcast(&group->settled);
    }
    pthread_mutex_unlock(&group->mutex);
}

static uint64_t sum(const uint64_t *counts)
{
    uint64_t total = 0;
    for (int i = 0; i < WRITERS; i++)
        total += counts[i];
    return total;
}

static void join(void)
{
    int status;
    for (int i = 0; i < WRITERS; i++)
        if (wait(&status) < 0 || status != 0)
            fail("a writer failed");
}

static double bare_round(int file)
{
    struct group *group = new_group();
    int64_t deadline = deadline_after_seconds(SECONDS_PER_ROUND);
    for (int i = 0; i < WRITERS; i++) {
        if (fork() == 0) {
            for (; clock_now() < deadline; group->count[i]++)
                commit(group, file);
            _exit(0);
        }
    }
    join();
    double rate = (double)sum(group->count) / SECONDS_PER_ROUND;
    munmap(group, sizeof(*group));
    return rate;
}

/* ---- sixteen connections ---- */

static void talk(int socket, const char *request, size_t length, char *reply, size_t size)
{
    size_t got = 0;
    if (send(socket, request, length, MSG_NOSIGNAL) != (ssize_t)length)
        fail("send");
    while (got == 0 || reply[got - 1] != '\n') {
        ssize_t more = recv(socket, reply + got, size - 1 - got, 0);
        if (more <= 0)
            fail("recv");
        got += (size_t)more;
    }
    reply[got - 1] = '\0';
    if (strncmp(reply, "OK", 2) != 0)
        fail(reply);
}

static int connect_to(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int result = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (result < 0 || connect(result, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("connect");
    return result;
}

static void deliver_until(unsigned port, int round, int writer, int64_t deadline, uint64_t *count)
{
    char request[BODY + 256], reply[256], cookie[64];
    int socket = connect_to(port);
    int length = snprintf(request, sizeof(request), "REGISTER u%dx%d secret\n", round, writer);
    talk(socket, request, (size_t)length, reply, sizeof(reply));
    snprintf(cookie, sizeof(cookie), "%.60s", reply + 3);
    length = snprintf(request, sizeof(request), "SEND u%dx%d ", round, writer);
    memset(request + length, 'x', BODY);
    length += BODY + sprintf(request + length + BODY, " %s\n", cookie);
    for (; clock_now() < deadline; ++*count)
        talk(socket, request, (size_t)length, reply, sizeof(reply));
}

static double server_round(unsigned port, int round)
{
    uint64_t *counts =
        mmap(NULL, WRITERS * sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int64_t deadline = deadline_after_seconds(SECONDS_PER_ROUND);
    for (int i = 0; i < WRITERS; i++) {
        if (fork() == 0) {
            deliver_until(port, round, i, deadline, &counts[i]);
            _exit(0);
        }
    }
    join();
    double rate = (double)sum(counts) / SECONDS_PER_ROUND;
    munmap(counts, WRITERS * sizeof(*counts));
    return rate;
}

static pid_t start_server(const char *program, const char *directory, unsigned *port)
{
    int out[2];
    char line[128] = "";
    if (pipe(out) != 0)
        fail("pipe");
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        execl(program, program, "-e", "-1", "-d", directory, "--crypt-cost", "1", "-l", "inet:127.0.0.1:0",
              (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    if (read(out[0], line, sizeof(line) - 1) <= 0 || strrchr(line, ':') == NULL)
        fail("the server does not start");
    *port = (unsigned)strtoul(strrchr(line, ':') + 1, NULL, 10);
    close(out[0]);
    return pid;
}

/* ---- the two measurements ---- */

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof(*values), compare);
    return values[ROUNDS / 2];
}

static void measure_deliveries(const char *program, const char *directory)
{
    static char zeros[1 << 20];
    char path[4096];
    double bare[ROUNDS], server[ROUNDS], ratio[ROUNDS];
    unsigned port = 0;
    snprintf(path, sizeof(path), "%s/bare", directory);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < 64; i++)
        if (write(file, zeros, sizeof(zeros)) != (ssize_t)sizeof(zeros))
            fail("filling");
    fsync(file);
    snprintf(path, sizeof(path), "%s/journal", directory);
    pid_t pid = start_server(program, path, &port);
    for (int i = 0; i < ROUNDS; i++) {
        bare[i] = bare_round(file);
        server[i] = server_round(port, i);
        ratio[i] = server[i] / bare[i];
    }
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    printf(
        "durable 1 KB deliveries, 16 connections: %.0f/s; 16 writers that share one fdatasync: %.0f/s; ratio %.2f "
        "(%.2f to %.2f)\n",
        median(server), median(bare), median(ratio), ratio[0], ratio[ROUNDS - 1]);
}

static void fill_journal(struct store_options *options)
{
    static char body[BODY];
    struct store *store;
    char why[256];
    account_t account;
    message_id id;
    struct letter letter = {"alice", "", body, 5, 0, BODY};
    options->sync = STORE_SYNC_NEVER;
    options->journal_bytes = UINT64_C(320) << 20;
    if (store_open(&store, options, why, sizeof(why)) != STATUS_OK ||
        store_attach(store, "fill") != STATUS_OK ||
        account_create(store, "alice", 5, NULL, &account, NULL) != STATUS_OK)
        fail(why);
    for (int i = 0; i < RECOVERED; i++)
        if (draft_write(store, &letter) != STATUS_OK || mailbox_append(store, account, &id) != STATUS_OK)
            fail("append");
    store_serve(store);
    store_keep(store, 1, false, &(volatile sig_atomic_t){1}, &(sigset_t){0}); /* writes what is pending */
    store_detach(store);
}

static double seconds_to_read(const char *path, uint64_t *bytes)
{
    static char buffer[1 << 20];
    int64_t start = clock_now();
    int file = open(path, O_RDONLY);
    *bytes = 0;
    for (ssize_t got; (got = read(file, buffer, sizeof(buffer))) > 0;)
        *bytes += (uint64_t)got;
    close(file);
    return (double)(clock_now() - start) / 1e9;
}

static void measure_recovery(const char *directory)
{
    char journal[4096], file[4200], why[256];
    struct store_options options = {.directory = journal};
    struct store *store;
    double recovery[ROUNDS], reading[ROUNDS];
    uint64_t bytes;
    snprintf(journal, sizeof(journal), "%s/recovery", directory);
    snprintf(file, sizeof(file), "%s/journal.0", journal);
    if (fork() == 0) {
        fill_journal(&options);
        _exit(0);
    }
    wait(NULL);
    double used = (double)RECOVERED * (BODY + 88) / 1e6;
    int out[2];
    if (pipe(out) != 0)
        fail("pipe");
    for (int i = 0; i < ROUNDS; i++) {
        reading[i] = seconds_to_read(file, &bytes);
        if (fork() == 0) {
            int64_t start = clock_now();
            if (store_open(&store, &options, why, sizeof(why)) != STATUS_OK)
                fail(why);
            double seconds = (double)(clock_now() - start) / 1e9;
            if (write(out[1], &seconds, sizeof(seconds)) != (ssize_t)sizeof(seconds))
                fail("pipe");
            _exit(0);
        }
        if (read(out[0], &recovery[i], sizeof(recovery[i])) != (ssize_t)sizeof(recovery[i]))
            fail("recovery");
        wait(NULL);
    }
    printf("recovery of %.0f MB of records: %.0f MB/s; reading the file: %.0f MB/s\n", used,
           used / median(recovery), (double)bytes / 1e6 / median(reading));
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: tool_durability SHMAILD DIRECTORY\n", stderr);
        return 64;
    }
    if (mkdir(argv[2], 0700) != 0)
        fail(argv[2]);
    measure_deliveries(argv[1], argv[2]);
    measure_recovery(argv[2]);
    return 0;
}
