/* limit_echo.c: what a server with a process for each connection can reach at most: limit_echo [say BYTES |
 * keep | deliver].
 *
 * A child sends back what it reads, as soon as it has read it: at depth 1 that is a reply for each request,
 * with pipelining one reply of many lines for all the requests that have come. It looks at nothing. With
 * "say" it is told how long each line is and has the same short reply for each, which costs the client less,
 * so that it does nothing but receive, divide and send; and it waits its turn and soon goes to where its
 * client is, which is faster where there are fewer processors. With "keep" it first copies
 * what it has read into shared memory that nothing was in, each child into its own. With "deliver" it has the
 * least of a mail store's other duties as well. For each line it finds the mailbox by a name of 8 bytes,
 * compares a cookie of 32 bytes in a time that does not tell how far it was right, and puts the text last in
 * the mailbox, which all children share: under a lock that says who has it, and with a note of what was there
 * before, so that another one can undo what a killed one has left. And it is as bounded as a server should
 * be: by a filter of system calls, which lets all through, and an end to waiting.
 */
#include "limit_memory.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    NAME = 8,
    COOKIE = 32,
    MAILBOXES = 1000,
    SETTLED = 64, /* replies, until a client is where it stays */
};

/* What begins where the last one of this process has ended. */
static void *keep(const char *bytes, size_t length)
{
    static char *memory;
    static size_t kept;
    static int file;
    if (memory == NULL)
        memory = share_memory((size_t)64 << 30, &file);
    char *place = memory + kept;
    while (length > 0) {
        size_t part = HUGE - kept % HUGE < length ? HUGE - kept % HUGE : length;
        if (kept % HUGE == 0)
            get_memory(memory + kept, file, kept);
        memcpy(memory + kept, bytes, part);
        kept += part;
        bytes += part;
        length -= part;
    }
    return place;
}

struct mailbox {
    char name[NAME], cookie[COOKIE];
    uint64_t count;
    void *last;
};

static struct office {
    _Atomic pid_t lock;
    _Atomic uint32_t changes; /* the mailbox that is being changed, from 1 on; 0: none */
    struct mailbox before;
    struct mailbox mailboxes[MAILBOXES];
} * office;

static void make_office(void)
{
    office = mmap(NULL, sizeof(*office), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (office == MAP_FAILED)
        fail("mmap");
}

static uint32_t mailbox_of(const char *name)
{
    uint32_t hash = 2166136261;
    for (size_t i = 0; i < NAME; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619;
    return hash % MAILBOXES;
}

/* Not 0 where they differ. Nobody has registered here, so nobody is refused for it. */
static unsigned differ(const char *one, const char *other, size_t length)
{
    unsigned difference = 0;
    for (size_t i = 0; i < length; i++)
        difference |= (unsigned char)(one[i] ^ other[i]);
    return difference;
}

static void append(uint32_t which, void *text)
{
    static pid_t self;
    struct mailbox *mailbox = &office->mailboxes[which];
    self = self ? self : getpid();
    for (pid_t nobody = 0; !atomic_compare_exchange_weak(&office->lock, &nobody, self); nobody = 0)
        sched_yield();
    office->before.count = mailbox->count;
    office->before.last = mailbox->last;
    atomic_store_explicit(&office->changes, which + 1, memory_order_release);
    mailbox->count++;
    mailbox->last = text;
    atomic_store_explicit(&office->changes, 0, memory_order_release);
    atomic_store(&office->lock, 0);
}

static void deliver(const char *bytes, size_t length)
{
    static volatile unsigned refused;
    for (const char *end; (end = memchr(bytes, '\n', length)) != NULL; bytes = end + 1) {
        size_t line = (size_t)(end + 1 - bytes);
        void *text = keep(bytes, line);
        length -= line;
        if (line < NAME + COOKIE + 1)
            continue;
        uint32_t which = mailbox_of(bytes);
        const struct mailbox *mailbox = &office->mailboxes[which];
        refused +=
            differ(bytes, mailbox->name, NAME) != 0 || differ(end - COOKIE, mailbox->cookie, COOKIE) != 0;
        append(which, text);
    }
}

/* As many replies as lines of that many bytes have ended. False: nobody is there. */
static bool say(int connection, size_t line, size_t length)
{
    static const char reply[] = "COUNTED 0\n";
    enum { REPLY = sizeof(reply) - 1 };
    static char replies[1 << 16];
    static size_t begun, times;
    if (++times == SETTLED)
        follow(connection);
    if (replies[0] == '\0')
        for (size_t at = 0; at + REPLY <= sizeof(replies); at += REPLY)
            memcpy(replies + at, reply, REPLY);
    size_t said = (begun + length) / line * REPLY;
    begun = (begun + length) % line;
    return send(connection, replies, said, MSG_NOSIGNAL) == (ssize_t)said;
}

struct manner {
    size_t says; /* a reply for as many bytes; 0: what has come */
    bool keeps, delivers;
};

static void serve(int connection, const void *context)
{
    const struct manner *manner = context;
    static char bytes[1 << 16];
    if (manner->says > 0)
        wait_its_turn();
    if (manner->delivers) {
        confine();
        end_waiting(connection);
    }
    for (ssize_t got; (got = recv(connection, bytes, sizeof(bytes), 0)) > 0;) {
        if (manner->says > 0) {
            if (!say(connection, manner->says, (size_t)got))
                return;
            continue;
        }
        if (manner->keeps)
            (void)keep(bytes, (size_t)got);
        if (manner->delivers)
            deliver(bytes, (size_t)got);
        for (ssize_t sent = 0, more; sent < got; sent += more)
            if ((more = send(connection, bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL)) < 0)
                return;
    }
}

int main(int argc, char **argv)
{
    bool says = argc == 3 && strcmp(argv[1], "say") == 0;
    const struct manner manner = {.says = says ? strtoul(argv[2], NULL, 10) : 0,
                                  .keeps = argc == 2 && strcmp(argv[1], "keep") == 0,
                                  .delivers = argc == 2 && strcmp(argv[1], "deliver") == 0};
    if (argc > 1 && manner.says == 0 && !manner.keeps && !manner.delivers) {
        fputs("usage: limit_echo [say BYTES | keep | deliver]\n", stderr);
        return 64;
    }
    if (manner.delivers)
        make_office();
    serve_connections(serve, &manner);
}
