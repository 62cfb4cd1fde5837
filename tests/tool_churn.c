/* tool_churn.c: connections that come and go: both protocols, mail that is sent and removed, accounts that
 * are made and given up, and every way to end, from the polite one to a reset in the middle of a request; now
 * and then the process that serves one is killed. Whoever waits for replies must get them, if nobody was
 * killed. Whatever the connections leave is given up at the end. Prints a line of figures; exits 1 with a
 * reason where it is not so.
 *
 *     tool_churn PORT SERVER N     SERVER: the server's process; those that it has when this begins are not
 * killed */
#include "attack_dial.h"
#include "number.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>

enum {
    WORKERS = 8,
    SOURCES = 200, /* each has 28,000 ports, which rest for a minute after use */
    PATIENCE = 10, /* seconds */
    KILL_EVERY = 1000,
    PROCESSES = 300, /* the server has fewer */
    FRAMES = -1,     /* in place of a terminator */
};

enum ending { POLITE, CUT, SENSELESS, RESET, LEFT, ENDINGS };

/* Out of sixteen. */
static const enum ending endings[16] = {POLITE, POLITE, POLITE,    POLITE,    POLITE, POLITE, POLITE, POLITE,
                                        CUT,    CUT,    SENSELESS, SENSELESS, RESET,  RESET,  LEFT,   LEFT};

/* What all workers count together. */
struct counts {
    _Atomic uint64_t ended[ENDINGS], killed, lost;
};

/* What a connection says, and how many replies that has. */
struct speech {
    char bytes[512];
    size_t length;
    int terminator; /* of each reply */
    unsigned replies;
};

/* The last one has passwords hashed, which is dear. */
enum { SPEECHES = 8, HASHES = SPEECHES - 1, HASH_EVERY = 32 };

static struct counts *counts;
static struct speech speeches[SPEECHES];
static long server;
static long residents[PROCESSES];
static uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice >> 33) % sides;
}

/* ---- what is said ---- */

__attribute__((format(printf, 2, 3))) static void speak(struct speech *speech, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length =
        vsnprintf(speech->bytes + speech->length, sizeof speech->bytes - speech->length, format, arguments);
    va_end(arguments);
    speech->length += (size_t)length;
    speech->replies++;
}

/* In a framing by NUL; the dialect puts a checksum before it. */
static void speak_nul(struct speech *speech, const char *request, bool dialect)
{
    unsigned sum = 0;

    for (const char *byte = request; *byte != '\0'; byte++) {
        sum += (unsigned char)*byte;
    }
    if (dialect) {
        speak(speech, "%u %s", sum % 13 % 17, request);
    } else {
        speak(speech, "%s", request);
    }
    speech->length++;
    speech->terminator = '\0';
}

static void speak_frame(struct speech *speech, uint32_t type, const char *body)
{
    const uint32_t header[2] = {htonl(type), htonl((uint32_t)strlen(body))};

    memcpy(speech->bytes + speech->length, header, sizeof header);
    speech->length += sizeof header;
    speak(speech, "%s", body);
    speech->terminator = FRAMES;
}

/* Each worker has names of its own; the mailbox is everybody's, and its cookie. */
static void prepare(unsigned worker, const char *cookie)
{
    char text[128];
    struct speech *speech = speeches;

    for (unsigned i = 0; i < SPEECHES; i++) {
        speeches[i] = (struct speech){.terminator = '\n'};
    }
    speak(speech++, "NOOP\n");
    speak(speech, "SEND churn some words %s\n", cookie);
    for (unsigned i = 0; i < 2; i++) {
        speak(speech, "DELMSG churn %s\n", cookie);
    }
    speak(speech++, "QUIT\n");
    speak(speech, "MESSAGE some words %s\n", cookie);
    speak(speech, "STORE churn %s\n", cookie);
    speak(speech, "LIST nobody %s\n", cookie);
    speak(speech, "DELMSG churn %s\n", cookie);
    speak(speech++, "WHY\n");
    (void)snprintf(text, sizeof text, "COUNT churn %s", cookie);
    speak_nul(speech++, text, false);
    (void)snprintf(text, sizeof text, "COUNT churn Cookie: %s ", cookie);
    speak_nul(speech++, text, true);
    (void)snprintf(text, sizeof text, "{\"name\": \"churn%u@come.and.go\"}", worker);
    for (unsigned i = 0; i < 2; i++, speech++) {
        speak_frame(speech, 0, text);
        speak_frame(speech, 1,
                    "{\"to\": \"churn@mail.localhost\", \"header\": \"some\", \"text\": \"words\"}");
        speak_frame(speech, 2, "null");
    }
    speak_frame(speech - 1, 5, "null");
    speech[-1].replies--; /* quit has none */
    speak(speech, "REGISTER churn%u secret\n", worker);
    speak(speech, "UNREGISTER churn%u secret\n", worker);
}

/* ---- what is heard ---- */

/* How many replies these bytes are; what is none ends the program. */
static unsigned lines(const char *bytes, const char *end, char terminator)
{
    unsigned count = 0;

    for (const char *at; bytes < end && (at = memchr(bytes, terminator, (size_t)(end - bytes))) != NULL;
         bytes = at + 1) {
        while (*bytes >= '0' && *bytes <= '9') {
            bytes++; /* a checksum */
        }
        bytes += *bytes == ' ';
        if (strncmp(bytes, "OK", 2) != 0 && strncmp(bytes, "KO", 2) != 0 &&
            strncmp(bytes, "COUNTED ", 8) != 0) {
            errno = EBADMSG;
            fail("a reply is none");
        }
        count++;
    }
    return count;
}

static unsigned frames(const char *bytes, const char *end)
{
    unsigned count = 0;
    uint32_t header[2];

    for (; (size_t)(end - bytes) >= sizeof header; count++) {
        memcpy(header, bytes, sizeof header);
        bytes += sizeof header;
        int32_t type = (int32_t)ntohl(header[0]);
        if ((type != 0 && type != 2 && type != -2) || ntohl(header[1]) > 1024) {
            errno = EBADMSG;
            fail("a reply is none");
        }
        if ((size_t)(end - bytes) < ntohl(header[1])) {
            break;
        }
        bytes += ntohl(header[1]);
    }
    return count;
}

/* All that comes until the end. */
static size_t hear(int descriptor, char *bytes, size_t size)
{
    size_t length = 0;
    ssize_t got;

    while (length < size && (got = recv(descriptor, bytes + length, size - length, 0)) > 0) {
        length += (size_t)got;
    }
    if (length == size || (got < 0 && errno != ECONNRESET)) {
        fail("a connection does not come to its end");
    }
    return length;
}

/* ---- one connection ---- */

/* The server's processes, without those that were there before: how many. */
static unsigned find_processes(long found[static PROCESSES])
{
    char path[64], text[PROCESSES * 12], *at = text, *next;
    unsigned count = 0;

    (void)snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", server, server);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fail("the server's processes cannot be read");
    }
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    for (; count < PROCESSES && (found[count] = strtol(at, &next, 10)) != 0; at = next) {
        bool resident = false;
        for (unsigned i = 0; i < PROCESSES && residents[i] != 0; i++) {
            resident = resident || residents[i] == found[count];
        }
        count += !resident;
    }
    return count;
}

/* Whose connection it serves is not known here. */
static void kill_some(void)
{
    long found[PROCESSES];
    unsigned count = find_processes(found);

    if (count > 0 && kill((pid_t)found[roll(count)], SIGKILL) == 0) {
        counts->killed++;
    }
}

static void listen_to(int descriptor, const struct speech *speech, enum ending ending)
{
    char heard[16384];
    size_t length = hear(descriptor, heard, sizeof heard);
    unsigned replies = 0;

    if (ending == SENSELESS) {
        return;
    }
    replies = speech->terminator == FRAMES ? frames(heard, heard + length)
                                           : lines(heard, heard + length, (char)speech->terminator);
    if (ending == POLITE && replies < speech->replies) {
        counts->lost++;
    }
    if (replies > speech->replies + (ending == CUT)) { /* half a request has a reply as well */
        errno = EBADMSG;
        fail("there are more replies than requests");
    }
}

static void live(unsigned number)
{
    const struct linger at_once = {.l_onoff = 1};
    const struct timeval patience = {.tv_sec = PATIENCE};
    enum ending ending = endings[roll(16)];
    struct speech speech = speeches[roll(HASH_EVERY) == 0 ? HASHES : roll(HASHES)];
    int descriptor = dial(1 + number % SOURCES, 0);

    if (descriptor < 0 || setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) {
        fail("no connection");
    }
    if (ending == CUT) {
        speech.length = 1 + roll((unsigned)speech.length - 1);
    }
    for (size_t i = 0; ending == SENSELESS && i < speech.length; i++) {
        speech.bytes[i] = (char)roll(256);
    }
    if (send(descriptor, speech.bytes, speech.length, MSG_NOSIGNAL) != (ssize_t)speech.length &&
        errno != ECONNRESET && errno != EPIPE) {
        fail("nothing can be sent");
    }
    if (roll(KILL_EVERY) == 0) {
        kill_some();
    }
    if (ending == RESET) {
        (void)setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    } else if (ending != LEFT) {
        (void)shutdown(descriptor, SHUT_WR);
        listen_to(descriptor, &speech, ending);
    }
    (void)close(descriptor);
    counts->ended[ending]++;
}

/* ---- all of them ---- */

/* One request over a connection of its own; what comes back, without its end. */
__attribute__((format(printf, 1, 2))) static const char *ask(const char *format, ...)
{
    static char reply[256];
    char request[256];
    int descriptor = dial(1, 0);
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(request, sizeof request, format, arguments);
    va_end(arguments);
    if (descriptor < 0 || send(descriptor, request, (size_t)length, MSG_NOSIGNAL) != length ||
        shutdown(descriptor, SHUT_WR) != 0) {
        fail("no connection");
    }
    reply[hear(descriptor, reply, sizeof reply - 1)] = '\0';
    reply[strcspn(reply, "\n")] = '\0';
    (void)close(descriptor);
    return reply;
}

static int churn(uint64_t wanted)
{
    long found[PROCESSES] = {0};
    char cookie[64];
    int status = 0, result = 0;

    (void)find_processes(found);
    memcpy(residents, found, sizeof found);
    (void)snprintf(cookie, sizeof cookie, "%s", ask("REGISTER churn secret\n"));
    if (strncmp(cookie, "OK ", 3) != 0) {
        fail("no account");
    }
    for (unsigned worker = 0; worker < WORKERS; worker++) {
        pid_t self = getpid();
        if (fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            prepare(worker, cookie + 3);
            dice = (uint64_t)self << 8 | worker;
            for (uint64_t i = worker; i < wanted && getppid() == self; i += WORKERS) {
                live((unsigned)i);
            }
            exit(0);
        }
    }
    while (wait(&status) > 0) {
        result |= status;
    }
    for (unsigned worker = 0; worker < WORKERS; worker++) {
        (void)ask("UNREGISTER churn%u secret\n", worker);
    }
    if (strcmp(ask("UNREGISTER churn secret\n"), "OK") != 0) {
        fail("the account cannot be given up");
    }
    (void)printf("%" PRIu64 " connections: %" PRIu64 " polite, %" PRIu64 " cut within a request, %" PRIu64
                 " senseless, %" PRIu64 " reset, %" PRIu64 " left without reading; %" PRIu64
                 " processes killed, %" PRIu64 " polite ones without all replies\n",
                 wanted, counts->ended[POLITE], counts->ended[CUT], counts->ended[SENSELESS],
                 counts->ended[RESET], counts->ended[LEFT], counts->killed, counts->lost);
    if (counts->lost > counts->killed) {
        (void)puts("replies are missing");
        result = 1;
    }
    return result != 0;
}

int main(int argc, char **argv)
{
    uint64_t number = 0, process = 0, count = 0;

    if (argc != 4 || !number_parse(argv[1], strlen(argv[1]), UINT16_MAX, &number) ||
        !number_parse(argv[2], strlen(argv[2]), INT32_MAX, &process) ||
        !number_parse(argv[3], strlen(argv[3]), UINT32_MAX, &count)) {
        (void)fprintf(stderr, "usage: tool_churn PORT SERVER N\n");
        return 64;
    }
    port = (uint16_t)number;
    server = (long)process;
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED) {
        fail("no memory");
    }
    return churn(count);
}
