/* log.c: turns a format into one line that is safe on a terminal, and writes it to descriptor 2 or syslog. In
 * come texts that may hold anything a client sent. It allocates nothing and leaves errno as it was. */
#include "log.h"

#include "utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 }; /* below PIPE_BUF, so that a pipe takes a line whole */

static struct {
    const char *name;
    enum log_level most;
    bool to_syslog;
} sink = {.most = LOG_LEVEL_INFO};

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

void log_open(const char *name, enum log_level most, bool to_syslog)
{
    sink.name = name;
    sink.most = most;
    sink.to_syslog = to_syslog;
    if (to_syslog) {
        tzset(); /* and so does openlog: a sandbox may forbid later what syslog(3) then needs */
        openlog(name, LOG_PID | LOG_NDELAY, LOG_MAIL);
    }
}

/* Controls of both kinds, line and paragraph separators, and what reorders the characters around it. */
static bool hides_something(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C || code == 0x200E ||
           code == 0x200F || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

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

static bool add_escaped(struct line *line, const char *bytes, size_t length)
{
    char escaped[4 * 4 + 1];

    for (size_t i = 0; i < length; i++) {
        (void)snprintf(escaped + 4 * i, sizeof escaped - 4 * i, "\\x%02x", (unsigned)(unsigned char)bytes[i]);
    }
    return add(line, escaped, 4 * length);
}

/* False where the line is full: it then ends in front of the character that did not fit. */
static bool add_text(struct line *line, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        uint32_t code = 0;
        size_t taken = utf8_decode(text, left, &code);
        bool added;
        if (taken == 0) {
            taken = utf8_broken(text, left);
            added = add_escaped(line, text, taken);
        } else if (hides_something(code)) {
            added = add_escaped(line, text, taken);
        } else if (code == '\\') {
            added = add(line, "\\\\", 2);
        } else {
            added = add(line, text, taken);
        }
        if (!added) {
            return false;
        }
        text += taken;
        left -= taken;
    }
    return true;
}

__attribute__((format(printf, 2, 0))) static void log_arguments(enum log_level level, const char *format,
                                                                va_list arguments)
{
    struct line line = {.length = 0};
    /* As long as a line: where vsnprintf cuts it, perhaps inside a character, the line is full before. */
    char text[LINE_MAX_BYTES];
    int saved = errno;

    if (level > sink.most) {
        return;
    }
    if (vsnprintf(text, sizeof text, format, arguments) < 0) {
        (void)snprintf(text, sizeof text, "a log line could not be formatted: %s", format);
    }
    if (!sink.to_syslog) {
        (void)(add_text(&line, sink.name != NULL ? sink.name : program_invocation_short_name) &&
               add(&line, ": ", 2));
    }
    bool whole = add_text(&line, levels[level].word) && add_text(&line, text);
    const char *end = whole ? "\n" : "...\n";
    memcpy(line.bytes + line.length, end, strlen(end));
    line.length += strlen(end);

    if (sink.to_syslog) {
        syslog(levels[level].priority, "%.*s", (int)line.length - 1, line.bytes);
    } else {
        /* There is nobody to tell that the log is gone. */
        while (write(STDERR_FILENO, line.bytes, line.length) < 0 && errno == EINTR) {
        }
    }
    errno = saved;
}

void log_line(enum log_level level, const char *format, ...)
{
    va_list arguments;

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
