/* log.c: turns a format into one line that is safe on a terminal, and writes it to descriptor 2 or to the
 * system's logger. In come texts that may hold anything a client sent. It allocates nothing and leaves errno
 * as it was. */
#include "log.h"

#include "clock.h"
#include "escape.h"
#include "number.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 2048, /* below PIPE_BUF, so that a pipe takes a line whole, and at once if it is ready */
    WRITE_PATIENCE = 100,  /* milliseconds that whoever reads the log may keep a process waiting */
};

#define OPEN_PAUSE NANOSECONDS_PER_SECOND /* until a logger that is gone is looked for again */

static struct {
    const char *name;
    enum log_level most;
    bool to_syslog, to_journal;
    int syslog;      /* a socket to the system's logger; -1: there was none */
    bool streams;    /* and it is a stream */
    int64_t tried;   /* when that was last opened, or could not be; monotonic nanoseconds */
    bool is_missing; /* the last line found nobody there */
    size_t lost;     /* lines since one was last written */
} sink = {.syslog = -1};

enum log_level log_most = LOG_LEVEL_INFO;

static const struct {
    const char *word;
    int priority;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error: ", LOG_ERR},
    [LOG_LEVEL_WARNING] = {"warning: ", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"", LOG_DEBUG},
};

struct line {
    char bytes[LINE_MAX_BYTES];
    size_t length;
};

static bool add(struct line *line, const char *bytes, size_t length)
{
    static const char ending[] = "...\n"; /* always has room */

    if (length > sizeof line->bytes - sizeof ending - line->length) {
        return false;
    }
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
    return true;
}

/* False where the line is full: it then ends in front of the character that did not fit. */
static bool add_text(struct line *line, const char *text)
{
    char shown[ESCAPE_MAX];
    size_t left = strlen(text);

    while (left > 0) {
        size_t length = escape_next(&text, &left, shown);
        if (!add(line, shown, length)) {
            return false;
        }
    }
    return true;
}

/* Where a service manager reads descriptor 2, JOURNAL_STREAM is its device and inode (systemd.exec(5)). It is
 * passed on to children, whose descriptor 2 may be another file. */
static bool is_read_by_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    const char *colon = stream != NULL ? strchr(stream, ':') : NULL;
    uint64_t device = 0, inode = 0;
    struct stat status;

    return colon != NULL && number_parse(stream, (size_t)(colon - stream), UINT64_MAX, &device) &&
           number_parse(colon + 1, strlen(colon + 1), UINT64_MAX, &inode) &&
           fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

/* As syslog(3) has it. */
static void add_syslog_start(struct line *line, enum log_level level)
{
    char start[sizeof "<191>Mmm dd hh:mm:ss "], process[sizeof "[-2147483648]"];
    time_t now = time(NULL);
    struct tm local;

    (void)snprintf(start, sizeof start, "<%d>", LOG_MAIL | levels[level].priority);
    if (localtime_r(&now, &local) != NULL) {
        size_t length = strlen(start);
        (void)strftime(start + length, sizeof start - length, "%b %e %T ", &local);
    }
    (void)snprintf(process, sizeof process, "[%d]", (int)getpid());
    (void)(add_text(line, start) && add_text(line, sink.name) && add_text(line, process));
}

/* What the line begins with: for the journal its level, as sd-daemon(3) has it, since the journal knows the
 * name; for others the name. */
static void add_start(struct line *line, enum log_level level)
{
    char start[] = "<0>";

    if (sink.to_journal) {
        start[1] = (char)('0' + levels[level].priority);
        (void)add(line, start, 3);
        return;
    }
    if (sink.to_syslog) {
        add_syslog_start(line, level);
    } else {
        (void)add_text(line, sink.name != NULL ? sink.name : program_invocation_short_name);
    }
    (void)add(line, ": ", 2);
}

/* -1: there is no logger that takes what is sent so. A stream is never waited for either: where its logger
 * accepts nobody, that is EAGAIN. */
static int connect_syslog(int type)
{
    static const struct sockaddr_un logger = {.sun_family = AF_UNIX, .sun_path = _PATH_LOG};
    int descriptor = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (descriptor >= 0 && connect(descriptor, (const struct sockaddr *)&logger, sizeof logger) != 0) {
        int error = errno;
        (void)close(descriptor);
        errno = error;
        return -1;
    }
    return descriptor;
}

/* By itself, as syslog(3) has no flag for not to wait. False: what was open before still is. */
static bool open_syslog(void)
{
    int next = connect_syslog(SOCK_DGRAM);
    bool streams = next < 0 && errno == EPROTOTYPE;

    if (streams) {
        next = connect_syslog(SOCK_STREAM);
    }
    sink.tried = clock_now();
    if (next < 0) {
        return false;
    }
    if (sink.syslog >= 0) {
        (void)close(sink.syslog);
    }
    sink.syslog = next;
    sink.streams = streams;
    return true;
}

void log_open(const char *name, enum log_level most, bool to_syslog)
{
    sink.name = name;
    log_most = most;
    sink.to_syslog = to_syslog;
    sink.to_journal = !to_syslog && is_read_by_journal();
    if (to_syslog) {
        tzset(); /* a sandbox may forbid later what that needs */
        (void)open_syslog();
    }
}

bool log_open_again(void)
{
    errno = 0;
    if (!sink.to_syslog) {
        return false;
    }
    tzset();
    return open_syslog();
}

bool log_is_missing(void)
{
    return sink.is_missing;
}

static bool takes_a_line(int patience)
{
    struct pollfd end = {.fd = sink.to_syslog ? sink.syslog : STDERR_FILENO, .events = POLLOUT};

    return end.fd < 0 || poll(&end, 1, patience) > 0;
}

/* A stream has a NUL between lines, as of syslog(3), and takes each whole or not at all: the kernel's least
 * room for what is sent is more than twice as long. */
static bool send_to_syslog(const struct line *line)
{
    size_t length = line->length - (sink.streams ? 0 : 1);

    return send(sink.syslog, line->bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* One that was started again is looked for, which a sandbox refuses. */
static bool write_to_syslog(struct line *line)
{
    line->bytes[line->length - 1] = '\0';
    bool sent = send_to_syslog(line);
    sink.is_missing = !sent && errno != EAGAIN;
    if (sink.is_missing && clock_now() - sink.tried >= OPEN_PAUSE && open_syslog()) {
        sent = send_to_syslog(line);
        sink.is_missing = !sent && errno != EAGAIN;
    }
    return sent;
}

/* False where another process was faster, or a terminal has taken a part. */
static bool write_to_error(const struct line *line)
{
    ssize_t written = 0;

    do {
        written = write(STDERR_FILENO, line->bytes, line->length);
    } while (written < 0 && errno == EINTR);
    /* Else nobody is there to be told. */
    return written < 0 ? errno != EAGAIN : (size_t)written == line->length;
}

/* Nobody may read descriptor 2, which others may share, so that it is not made non-blocking; and the system's
 * logger may be stuck. Only the first line is waited for: many would add up. */
static void write_line(struct line *line)
{
    size_t lost = sink.lost;

    if (lost > 0 && takes_a_line(0)) {
        sink.lost = 0;
        log_warning("%zu lines before this one could not be written", lost);
        if (sink.lost > 0) {
            sink.lost = lost; /* that one has told nobody, and is not missed */
        }
    }
    if (!takes_a_line(sink.lost > 0 ? 0 : WRITE_PATIENCE) ||
        !(sink.to_syslog ? write_to_syslog(line) : write_to_error(line))) {
        sink.lost++;
    }
}

/* Apart, as its frame is a page of the stack, which a process that says nothing need not have. */
__attribute__((noinline, format(printf, 2, 0))) static void
log_arguments(enum log_level level, const char *format, va_list arguments)
{
    struct line line = {.length = 0};
    /* As long as a line: where vsnprintf cuts it, perhaps inside a character, the line is full before. */
    char text[LINE_MAX_BYTES];
    int saved = errno;

    if (vsnprintf(text, sizeof text, format, arguments) < 0) {
        (void)snprintf(text, sizeof text, "a log line could not be formatted: %s", format);
    }
    add_start(&line, level);
    bool whole = add_text(&line, levels[level].word) && add_text(&line, text);
    const char *end = whole ? "\n" : "...\n";
    memcpy(line.bytes + line.length, end, strlen(end));
    line.length += strlen(end);

    write_line(&line);
    errno = saved;
}

void log_line(enum log_level level, const char *format, ...)
{
    va_list arguments;

    if (level > log_most) {
        return;
    }
    va_start(arguments, format);
    log_arguments(level, format, arguments);
    va_end(arguments);
}

void die(int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_arguments(LOG_LEVEL_ERROR, format, arguments);
    va_end(arguments);
    exit(code);
}

void bug_at(const char *file, int line, const char *what)
{
    log_error("bug at %s:%d: %s", file, line, what);
    abort();
}
