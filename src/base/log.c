/* log.c: turns a format into one line that is safe on a terminal, and writes it to descriptor 2 or syslog. In
 * come texts that may hold anything a client sent. It allocates nothing and leaves errno as it was. */
#include "log.h"

#include "escape.h"
#include "number.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 2048, /* below PIPE_BUF, so that a pipe takes a line whole, and at once if it is ready */
    WRITE_PATIENCE = 100,  /* milliseconds that whoever reads descriptor 2 may keep a process waiting */
};

static struct {
    const char *name;
    enum log_level most;
    bool to_syslog, to_journal;
    int syslog;  /* the C library's descriptor of the system's logger, as long as it is a datagram socket */
    size_t lost; /* lines since one was last written */
} sink;

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

/* What the line begins with: for the journal its level, as sd-daemon(3) has it, since the journal knows the
 * name; for others the name. */
static void add_start(struct line *line, enum log_level level)
{
    char start[] = "<0>";

    if (sink.to_journal) {
        start[1] = (char)('0' + levels[level].priority);
        (void)add(line, start, 3);
    } else if (!sink.to_syslog) {
        (void)(add_text(line, sink.name != NULL ? sink.name : program_invocation_short_name) &&
               add(line, ": ", 2));
    }
}

void log_open(const char *name, enum log_level most, bool to_syslog)
{
    sink.name = name;
    log_most = most;
    sink.to_syslog = to_syslog;
    sink.to_journal = !to_syslog && is_read_by_journal();
    if (to_syslog) {
        tzset(); /* and so does openlog: a sandbox may forbid later what syslog(3) then needs */
        closelog();
        int next = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0); /* the number that openlog will get */
        (void)close(next);
        openlog(name, LOG_PID | LOG_NDELAY, LOG_MAIL);
        sink.syslog = next;
    }
}

bool log_open_again(void)
{
    if (sink.to_syslog) {
        log_open(sink.name, log_most, true);
    }
    return sink.to_syslog;
}

/* The C library tells its descriptor to nobody, and may have closed it and opened another since. */
static bool knows_syslog(void)
{
    int type = 0;
    socklen_t size = sizeof type;

    return getsockopt(sink.syslog, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM;
}

static bool takes_a_line(int patience)
{
    struct pollfd end = {.fd = sink.to_syslog ? sink.syslog : STDERR_FILENO, .events = POLLOUT};

    return (sink.to_syslog && !knows_syslog()) || poll(&end, 1, patience) > 0;
}

/* Nobody may read descriptor 2, which others may share, so that it is not made non-blocking; and syslog(3)
 * waits for a logger that is stuck for as long as that is. Only the first line is waited for: many would add
 * up. */
static void write_line(enum log_level level, const struct line *line)
{
    size_t lost = sink.lost;

    if (lost > 0 && takes_a_line(0)) {
        sink.lost = 0;
        log_warning("%zu lines before this one could not be written", lost);
    }
    if (!takes_a_line(sink.lost > 0 ? 0 : WRITE_PATIENCE)) {
        sink.lost++;
        return;
    }
    if (sink.to_syslog) {
        syslog(levels[level].priority, "%.*s", (int)line->length - 1, line->bytes);
        return;
    }
    ssize_t written = 0;
    do {
        written = write(STDERR_FILENO, line->bytes, line->length);
    } while (written < 0 && errno == EINTR);
    /* Another process was faster, or a terminal has taken a part; else nobody is there to be told. */
    if (written < 0 ? errno == EAGAIN : (size_t)written < line->length) {
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

    write_line(level, &line);
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
