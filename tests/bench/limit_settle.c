/* limit_settle.c: what a server with a process for each connection can reach that has on disk what it answers
 * for: limit_settle FILE.
 *
 * A child reads into a place of its own in shared memory and sleeps until a writer has that on disk, which
 * takes whatever is in all places at a time; then it answers each line by a short one. Nothing is looked at,
 * copied or kept, and nobody takes a lock. It waits its turn and soon goes to where its client is, which is
 * faster where there are fewer processors than connections; the writer is a session of its own, as processors
 * are shared among sessions first.
 */
#include "limit_group.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <sys/uio.h>

enum {
    PLACES = 4096, /* connections, one after another */
    RUNS = 1024,   /* of one write (IOV_MAX) */
    STEP = 1 << 15,
    SETTLED = 64, /* replies, until a client is where it stays */
};

static struct journal {
    sem_t something;
    _Atomic uint32_t used;
    struct place {
        _Atomic size_t length; /* of what is to be written; 0: it is */
        sem_t written;
    } places[PLACES];
} * journal;

static char (*texts)[STEP]; /* a place's */

static void keep_writing(int file)
{
    static struct iovec runs[RUNS];
    static struct place *writers[RUNS];
    for (off_t at = 0;;) {
        size_t total = 0;
        int count = 0;
        for (uint32_t i = 0; i < journal->used && i < PLACES && count < RUNS; i++) {
            size_t length = journal->places[i].length;
            if (length == 0)
                continue;
            runs[count] = (struct iovec){texts[i], length};
            writers[count++] = &journal->places[i];
            total += length;
        }
        if (count == 0) {
            sem_wait(&journal->something);
            continue;
        }
        if ((size_t)at + total > GROUP_FILE_BYTES)
            at = 0;
        if (pwritev(file, runs, count, at) != (ssize_t)total || fdatasync(file) != 0)
            fail("writing");
        at += (off_t)total;
        while (count > 0) {
            struct place *writer = writers[--count];
            writer->length = 0;
            sem_post(&writer->written);
        }
    }
}

static void serve(int connection, const void *context)
{
    (void)context;
    static char replies[2 * STEP];
    uint32_t mine = journal->used++;
    if (mine >= PLACES)
        exit(1);
    struct place *place = &journal->places[mine];
    char *text = texts[mine];
    (void)madvise(text, STEP, MADV_POPULATE_WRITE);
    wait_its_turn();
    int times = 0;
    for (ssize_t got; (got = recv(connection, text, STEP, 0)) > 0;) {
        size_t length = 0;
        const char *end = text + got;
        if (++times == SETTLED)
            follow(connection);
        for (const char *at = text; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
            memcpy(replies + length, "k\n", 2);
            length += 2;
        }
        place->length = (size_t)got;
        sem_post(&journal->something);
        sem_wait(&place->written);
        for (ssize_t sent = 0, more; sent < (ssize_t)length; sent += more)
            if ((more = send(connection, replies + sent, length - (size_t)sent, MSG_NOSIGNAL)) < 0)
                return;
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: limit_settle FILE\n", stderr);
        return 64;
    }
    int file = open_preallocated(argv[1]);
    journal = shared_memory(sizeof(*journal));
    texts = shared_memory(PLACES * sizeof(*texts));
    sem_init(&journal->something, 1, 0);
    for (int i = 0; i < PLACES; i++)
        sem_init(&journal->places[i].written, 1, 0);
    pid_t writer = fork();
    if (writer < 0)
        fail("fork");
    if (writer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setsid();
        keep_writing(file);
    }
    serve_connections(serve, NULL);
}
