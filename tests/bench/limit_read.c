/* limit_read.c: what recovery costs at least: limit_read FILE BYTES [lanes | copy | ahead].
 *
 * Reads so much of a file once from its beginning, takes the CRC-32C of all these bytes on the way, and
 * prints how long that took as a line of JSON. The CRC is taken as one writes it, word after word by the
 * processor's instruction, and that stays so, lest the yardstick changes with what it measures; with "lanes",
 * and the words after it, by the function that checks the journal. With "copy" the bytes are also put into
 * shared memory that nobody has used yet, as they must where mailboxes lie in such; with "ahead" a second
 * thread has the system give that memory, a little ahead of where it is needed. */
#include "crc32c.h"
#include "limit_memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PIECE = 1 << 18,
    AHEAD = 2, /* huge pages: what is cleared still lies in a processor's cache when it is filled */
};

static int memory;
static char *base;
static size_t steps;
static sem_t wanted_ahead, given;

static void make_memory(size_t bytes)
{
    steps = (bytes + HUGE - 1) / HUGE;
    base = share_memory(steps * HUGE, &memory);
}

static void reserve(size_t step)
{
    get_memory(base + step * HUGE, memory, step * HUGE);
}

static void *reserve_ahead(void *unused)
{
    for (size_t i = 0; i < steps; i++) {
        while (sem_wait(&wanted_ahead) != 0)
            continue;
        reserve(i);
        sem_post(&given);
    }
    return unused;
}

static void begin_ahead(void)
{
    pthread_t thread;
    if (sem_init(&wanted_ahead, 0, AHEAD) != 0 || sem_init(&given, 0, 0) != 0 ||
        pthread_create(&thread, NULL, reserve_ahead, NULL) != 0)
        fail("thread");
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t word_after_word(uint32_t before, const void *from,
                                                                  size_t length)
{
    const char *bytes = from;
    uint64_t crc = ~before, word;
    for (; length >= sizeof(word); bytes += sizeof(word), length -= sizeof(word)) {
        memcpy(&word, bytes, sizeof(word));
        crc = __builtin_ia32_crc32di(crc, word);
    }
    return crc32c(~(uint32_t)crc, bytes, length);
}
#else
#define word_after_word crc32c
#endif

static void keep(const char *piece, size_t length, size_t offset, bool ahead)
{
    static size_t reserved;
    for (; reserved * HUGE < offset + length; reserved++) {
        if (!ahead) {
            reserve(reserved);
            continue;
        }
        while (sem_wait(&given) != 0)
            continue;
        sem_post(&wanted_ahead);
    }
    memcpy(base + offset, piece, length);
}

int main(int argc, char **argv)
{
    static char piece[PIECE];
    const char *manner = argc == 4 ? argv[3] : "";
    bool ahead = strcmp(manner, "ahead") == 0;
    bool copies = ahead || strcmp(manner, "copy") == 0;
    bool lanes = copies || strcmp(manner, "lanes") == 0;
    if (argc != 3 + lanes) {
        fputs("usage: limit_read FILE BYTES [lanes | copy | ahead]\n", stderr);
        return 64;
    }
    size_t wanted = number_argument(argv[2]);
    double start = now();
    int file = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (file < 0)
        fail(argv[1]);
    if (copies)
        make_memory(wanted);
    if (ahead)
        begin_ahead();
    uint32_t sum = 0;
    size_t bytes = 0;
    while (bytes < wanted) {
        ssize_t got = read(file, piece, wanted - bytes < sizeof(piece) ? wanted - bytes : sizeof(piece));
        if (got <= 0)
            fail(argv[1]);
        sum = (lanes ? crc32c : word_after_word)(sum, piece, (size_t)got);
        if (copies)
            keep(piece, (size_t)got, bytes, ahead);
        bytes += (size_t)got;
    }
    double seconds = now() - start;
    printf("{\"bytes\": %zu, \"crc32c\": \"%08x\", \"seconds\": %.6f}\n", bytes, sum, seconds);
    return 0;
}
