/* tool_attack.c: attacks a server by connections, and measures what a client that is already in and one that
 * comes from another address notice of it. Prints a line of figures; exits 1 with a reason where a promise
 * does not hold.
 *
 *     tool_attack PORT flood N     N connections from 127.0.0.1 that are silent, slow or cut short, kept up
 *     tool_attack 0 network 0      makes a network of its own fit for the next one
 *     tool_attack PORT half-open N N first packets of connections that go no further; needs root
 *     tool_attack PORT gone N      N connections that are reset at once
 *     tool_attack PORT garbage N   N connections that send what no protocol speaks
 *     tool_attack PORT deaf N      N requests in one go, whose replies nobody reads, until the server hangs
 * up
 */
#include "attack_dial.h"
#include "clock.h"
#include "number.h"

#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SAMPLES = 2000,
    HELD_MOST = 20000,
    NEWCOMER_EVERY = 200, /* samples */
    PATIENCE = 10,        /* seconds */
    TENFOLD = 10,         /* what a client inside may notice of an attack at most */
    AT_ONCE = 2,          /* seconds in which a newcomer has its reply, on a machine that is busy otherwise */
};

/* Nanoseconds. Attackers, clients and server share this machine's processors: what a slice of the scheduler
 * costs is none of the server's doing, so a quiet p99 below it counts as this. */
#define QUIET_LEAST (NANOSECONDS_PER_SECOND / 500)

#define NOWHERE 0x0a000000u /* 10.0.0.0 */

/* False: no reply in time. */
static bool ask(int descriptor)
{
    struct pollfd poll_in = {.fd = descriptor, .events = POLLIN};
    char reply[8];

    return send(descriptor, "NOOP\n", 5, MSG_NOSIGNAL) == 5 && poll(&poll_in, 1, PATIENCE * 1000) == 1 &&
           recv(descriptor, reply, sizeof reply, 0) == 3 && memcmp(reply, "OK\n", 3) == 0;
}

static int compare(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

static int64_t percentile(int64_t *samples, size_t count, size_t hundredths)
{
    qsort(samples, count, sizeof *samples, compare);
    return samples[(count - 1) * hundredths / 100];
}

static void sample(int witness, int64_t *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t start = clock_now();
        if (!ask(witness)) {
            fail("the client inside got no reply");
        }
        samples[i] = clock_now() - start;
    }
}

/* How long somebody from another address takes from the first packet to the reply. */
static int64_t newcomer(void)
{
    int64_t start = clock_now();
    int descriptor = dial(2, 0);

    if (descriptor < 0 || !ask(descriptor)) {
        fail("a client from elsewhere does not get in");
    }
    (void)close(descriptor);
    return clock_now() - start;
}

/* ---- flood ---- */

/* By the number of the connection: nothing, a byte now and then, or half a request and no more. */
static void misbehave(size_t number, int descriptor)
{
    if (number % 3 == 1) {
        (void)send(descriptor, "N", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else if (number % 3 == 2) {
        (void)send(descriptor, "MESSAGE half of", 15, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)shutdown(descriptor, SHUT_WR);
    }
}

/* Keeps up what the server lets it; says by one byte when so many have been tried. */
static void flood(size_t wanted, int said, pid_t attacked_by)
{
    static struct pollfd held[HELD_MOST];
    size_t count = 0, tried = 0;
    char byte;

    for (size_t round = 0; getppid() == attacked_by; round++) {
        for (size_t i = 0; i < 64 && count < wanted; i++) {
            int descriptor = dial(1, SOCK_NONBLOCK);
            if (descriptor < 0) {
                break;
            }
            held[count++] = (struct pollfd){.fd = descriptor, .events = POLLIN | POLLOUT};
            if (++tried == wanted && write(said, "", 1) != 1) {
                _exit(1);
            }
        }
        (void)poll(held, count, 1);
        for (size_t i = 0; i < count; i++) {
            if ((held[i].revents & (POLLHUP | POLLERR)) != 0 ||
                ((held[i].revents & POLLIN) != 0 && recv(held[i].fd, &byte, 1, MSG_DONTWAIT) <= 0)) {
                (void)close(held[i].fd);
                held[i--] = held[--count];
            } else if ((held[i].revents & POLLOUT) != 0) {
                misbehave((size_t)held[i].fd, held[i].fd);
                held[i].events = POLLIN;
            } else if (round % 1000 == 0) {
                misbehave((size_t)held[i].fd / 3 * 3 + 1, held[i].fd); /* slowly */
            }
        }
    }
}

/* Makes connections, says by one byte to said when so many have been tried, and goes on while the process
 * lives that attacked_by is. */
typedef void assault(size_t wanted, int said, pid_t attacked_by);

static int attack(size_t wanted, assault *make)
{
    static int64_t quiet[SAMPLES], attacked[SAMPLES];
    int said[2], witness = dial(1, 0);
    int64_t slowest = 0;
    struct rlimit many;

    if (witness < 0 || pipe(said) != 0 || wanted > HELD_MOST || getrlimit(RLIMIT_NOFILE, &many) != 0) {
        fail("the attack cannot be prepared");
    }
    many.rlim_cur = many.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &many);
    sample(witness, quiet, SAMPLES);
    pid_t attacker = fork();
    if (attacker == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* whoever is stopped does not leave an attacker behind */
        make(wanted, said[1], getppid());
        _exit(0);
    }
    struct pollfd over = {.fd = said[0], .events = POLLIN};
    size_t rounds = 0;
    for (bool all_tried = false; !all_tried; rounds++) {
        all_tried = rounds >= SAMPLES / NEWCOMER_EVERY && poll(&over, 1, 0) == 1;
        sample(witness, attacked + rounds % (SAMPLES / NEWCOMER_EVERY) * NEWCOMER_EVERY, NEWCOMER_EVERY);
        int64_t took = newcomer();
        slowest = took > slowest ? took : slowest;
    }
    (void)kill(attacker, SIGKILL);
    (void)waitpid(attacker, NULL, 0);
    int64_t before = percentile(quiet, SAMPLES, 99), during = percentile(attacked, SAMPLES, 99);
    (void)printf("%zu connections: p99 of a client inside %.0f us, quiet %.0f us; the slowest of %zu "
                 "newcomers %.0f us\n",
                 wanted, (double)during / 1e3, (double)before / 1e3, rounds, (double)slowest / 1e3);
    before = before > QUIET_LEAST ? before : QUIET_LEAST;
    if (during >= TENFOLD * before || slowest >= AT_ONCE * NANOSECONDS_PER_SECOND) {
        (void)printf("the attack is noticed\n");
        return 1;
    }
    return 0;
}

static int flood_it(size_t wanted)
{
    return attack(wanted, flood);
}

/* ---- handshakes that are never finished ---- */

/* Brings up a network of this process's own, in which whatever goes to 10.0.0.0/8 is lost. */
static int prepare_network(size_t unused)
{
    struct ifreq interface = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    struct rtentry route = {.rt_flags = RTF_UP, .rt_dev = interface.ifr_name};
    struct sockaddr_in network = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(NOWHERE)};
    struct sockaddr_in mask = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xff000000)};
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)unused;
    memcpy(&route.rt_dst, &network, sizeof network);
    memcpy(&route.rt_genmask, &mask, sizeof mask);
    if (any < 0 || ioctl(any, SIOCSIFFLAGS, &interface) != 0 || ioctl(any, SIOCADDRT, &route) != 0) {
        fail("no network");
    }
    return 0;
}

/* RFC 1071: over the segment and what stands for its address header. */
static uint16_t checksum(const struct iphdr *ip, const struct tcphdr *tcp)
{
    const struct {
        uint32_t from, to;
        uint16_t protocol, length;
        struct tcphdr tcp;
    } summed = {ip->saddr, ip->daddr, htons(IPPROTO_TCP), htons(sizeof *tcp), *tcp};
    uint16_t words[sizeof summed / 2];
    uint32_t sum = 0;

    memcpy(words, &summed, sizeof summed);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        sum += words[i];
    }
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t) ~(sum + (sum >> 16));
}

/* First packets of connections from addresses that never answer. */
static void half_open(size_t wanted, int said, pid_t attacked_by)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct {
        struct iphdr ip;
        struct tcphdr tcp;
    } packet = {.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP}};
    int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

    packet.ip.daddr = to.sin_addr.s_addr;
    for (uint32_t tried = 1; getppid() == attacked_by; tried++) {
        packet.ip.saddr = htonl(NOWHERE + tried);
        packet.tcp = (struct tcphdr){.seq = tried, .doff = 5, .syn = 1, .window = 0xffff};
        packet.tcp.source = htons(1024);
        packet.tcp.dest = htons(port);
        packet.tcp.check = checksum(&packet.ip, &packet.tcp);
        if (sendto(raw, &packet, sizeof packet, 0, (struct sockaddr *)&to, sizeof to) != sizeof packet ||
            (tried == wanted && write(said, "", 1) != 1)) {
            return;
        }
        if (tried % 64 == 0) {
            (void)poll(NULL, 0, 1);
        }
    }
}

/* How many the kernel keeps; tcp(7) calls them SYN_RECV, /proc/net/tcp 03. */
static size_t count_half_open(void)
{
    FILE *file = fopen("/proc/net/tcp", "re");
    char line[256];
    size_t count = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        count += strstr(line, " 03 ") != NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return count;
}

static int half_open_it(size_t wanted)
{
    int result = attack(wanted, half_open);
    size_t kept = count_half_open();

    (void)printf("%zu handshakes are still half done\n", kept);
    return result != 0 || kept < wanted / 10;
}

/* ---- the others ---- */

/* The caller has stopped the server, so that all are gone before it looks. */
static int gone(size_t wanted)
{
    const struct linger at_once = {.l_onoff = 1};

    for (size_t i = 0; i < wanted; i++) {
        int descriptor = dial(1, 0);
        if (descriptor < 0 || send(descriptor, "NOOP\n", 5, MSG_NOSIGNAL) != 5 ||
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) != 0) {
            fail("no connection");
        }
        (void)close(descriptor);
    }
    (void)printf("%zu connections, reset before they were accepted\n", wanted);
    return 0;
}

static int garbage(size_t wanted)
{
    unsigned state = 1;
    char bytes[4096];

    for (size_t i = 0; i < wanted; i++) {
        int descriptor = dial(1, 0);
        if (descriptor < 0) {
            fail("no connection");
        }
        for (size_t at = 0; at < sizeof bytes; at++) {
            state = state * 1103515245 + 12345;
            bytes[at] = (char)(state >> 16);
        }
        bytes[0] = (char)(i % 3 == 0 ? 0 : i % 3 == 1 ? 'A' : i);
        (void)send(descriptor, bytes, 1 + state % sizeof bytes, MSG_NOSIGNAL);
        (void)shutdown(descriptor, SHUT_WR);
        struct pollfd end = {.fd = descriptor, .events = POLLIN};
        while (poll(&end, 1, PATIENCE * 1000) == 1 && recv(descriptor, bytes, sizeof bytes, 0) > 0) {
        }
        if (end.revents == 0) {
            fail("a connection with garbage is kept");
        }
        (void)close(descriptor);
    }
    (void)printf("%zu connections with garbage, each ended\n", wanted);
    return 0;
}

static int deaf(size_t wanted)
{
    static char requests[5 * 1024];
    const int small = 4096;
    size_t sent = 0, most = wanted * 5;
    int descriptor = dial(1, SOCK_NONBLOCK);
    struct pollfd out = {.fd = descriptor, .events = POLLOUT};

    (void)setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (size_t i = 0; i < sizeof requests; i += 5) {
        memcpy(requests + i, "HELP\n", 5);
    }
    while (sent < most && poll(&out, 1, PATIENCE * 1000) == 1 && (out.revents & (POLLERR | POLLHUP)) == 0) {
        size_t left = most - sent;
        ssize_t went =
            send(descriptor, requests, left < sizeof requests ? left : sizeof requests, MSG_NOSIGNAL);
        sent += went > 0 ? (size_t)went : 0;
    }
    (void)printf("%zu of %zu requests were taken whose replies nobody read\n", sent / 5, wanted);
    out.events = 0;
    if (sent == most || poll(&out, 1, PATIENCE * 1000) != 1) {
        fail("the server goes on with a client that takes no replies");
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(size_t);
    } attacks[] = {{"flood", flood_it}, {"network", prepare_network}, {"half-open", half_open_it},
                   {"gone", gone},      {"garbage", garbage},         {"deaf", deaf}};
    uint64_t number = 0, count = 0;

    if (argc == 4 && number_parse(argv[1], strlen(argv[1]), UINT16_MAX, &number) &&
        number_parse(argv[3], strlen(argv[3]), UINT32_MAX, &count)) {
        port = (uint16_t)number;
        for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
            if (strcmp(argv[2], attacks[i].name) == 0) {
                return attacks[i].run((size_t)count);
            }
        }
    }
    (void)fprintf(stderr, "usage: tool_attack PORT flood|network|half-open|gone|garbage|deaf N\n");
    return 64;
}
