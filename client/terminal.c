/* terminal.c: standard input, output and error of the client. In come answers to show, out go lines, secrets
 * and content that a person or a script gave. It knows nothing of mail or the server. */
#include "terminal.h"

#include "escape.h"
#include "limit.h"
#include "silence.h"
#include "utf8.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)MESSAGE_LIMIT_MAX + 65536) /* the largest message, and a command before it */

enum {
    READ_SIZE = 65536,
    FLUSH_SIZE = 65536,        /* output is written out from here on */
    TERMINAL_LINE_MOST = 4095, /* bytes of a line that Linux keeps; the rest up to its end is lost */
};

void terminal_open(struct terminal *terminal)
{
    *terminal = (struct terminal){
        .input_is_terminal = isatty(STDIN_FILENO) == 1,
        .output_is_terminal = isatty(STDOUT_FILENO) == 1,
        .input = BUFFER_WITH_CAP(INPUT_MAX),
    };
}

void terminal_free(struct terminal *terminal)
{
    if (terminal->input.bytes != NULL) {
        explicit_bzero(terminal->input.bytes, terminal->input.capacity); /* passwords are typed, too */
    }
    buffer_free(&terminal->input);
    buffer_free(&terminal->output);
}

static void append_escaped(struct buffer *out, const char *bytes, size_t length)
{
    while (length > 0) {
        uint32_t code = 0;
        size_t size = utf8_decode(bytes, length, &code);
        bool harmless = size > 0 && (code == '\n' || code == '\t' || !escape_hides(code));
        if (size == 0) {
            size = 1;
        }
        if (harmless) {
            buffer_append(out, bytes, size);
        } else {
            for (size_t i = 0; i < size; i++) {
                buffer_print(out, "\\x%02x", (unsigned)(unsigned char)bytes[i]);
            }
        }
        bytes += size;
        length -= size;
    }
}

/* Returns 0 or an errno. */
static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written >= 0) {
            bytes += written;
            length -= (size_t)written;
        } else if (errno == EAGAIN) { /* somebody who shares the pipe made it non-blocking */
            struct pollfd descriptor = {.fd = fd, .events = POLLOUT};
            if (poll(&descriptor, 1, -1) < 0 && errno != EINTR) {
                return errno;
            }
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static void say_error(const char *text, size_t length)
{
    struct buffer line = {.cap = 0};

    buffer_append_text(&line, "shmail: ");
    append_escaped(&line, text, length);
    buffer_append_byte(&line, '\n');
    int problem = write_all(STDERR_FILENO, line.bytes, line.length);
    (void)problem; /* there is no further place to say so; the exit code still tells */
    buffer_free(&line);
}

bool terminal_flush(struct terminal *terminal)
{
    if (!terminal->output_failed) {
        bool lost = terminal->output.failed;
        int problem =
            lost ? ENOMEM : write_all(STDOUT_FILENO, terminal->output.bytes, terminal->output.length);
        if (problem != 0) {
            terminal->output_failed = true;
            if (problem != EPIPE) { /* a reader that has seen enough is no error to report */
                terminal_complain(terminal, "standard output: %s", strerror(problem));
            }
        }
    }
    buffer_clear(&terminal->output);
    return !terminal->output_failed;
}

void terminal_write(struct terminal *terminal, const char *bytes, size_t length)
{
    if (terminal->output_failed) {
        return;
    }
    if (terminal->output_is_terminal) {
        append_escaped(&terminal->output, bytes, length);
    } else {
        buffer_append(&terminal->output, bytes, length);
    }
    if (terminal->output.length >= FLUSH_SIZE || terminal->output.failed) {
        terminal_flush(terminal);
    }
}

void terminal_write_text(struct terminal *terminal, const char *text)
{
    terminal_write(terminal, text, strlen(text));
}

void terminal_complain(struct terminal *terminal, const char *format, ...)
{
    char text[1024]; /* a complaint is a line; what a user typed into it may be cut */
    va_list arguments;

    terminal_flush(terminal);
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length > 0) {
        say_error(text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
    }
}

static void show_prompt(struct terminal *terminal, const char *prompt)
{
    terminal_flush(terminal);
    if (terminal->input_is_terminal && write_all(STDERR_FILENO, prompt, strlen(prompt)) != 0) {
        terminal->output_failed = true; /* a person who cannot be asked is gone */
    }
}

/* 1: input can be read; 0: only the watched descriptor can; -1: errno tells. */
static int wait_for_input(int watched)
{
    struct pollfd descriptors[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = watched, .events = POLLIN}};
    int ready;

    do {
        ready = poll(descriptors, 2, -1);
    } while (ready < 0 && errno == EINTR);
    return ready < 0 ? -1 : descriptors[0].revents != 0 ? 1 : 0;
}

/* Appends what is there to the input. 1: some; 0: the end; -1: errno tells. */
static int read_more(struct terminal *terminal)
{
    if (terminal->start > 0) {
        buffer_consume(&terminal->input, terminal->start);
        terminal->start = 0;
    }
    for (;;) {
        size_t left = INPUT_MAX - terminal->input.length;
        size_t size = left < READ_SIZE ? left : READ_SIZE;
        char *room = size > 0 ? buffer_reserve(&terminal->input, size) : NULL;
        if (room == NULL) {
            errno = size > 0 ? ENOMEM : EFBIG;
            return -1;
        }
        ssize_t got = read(STDIN_FILENO, room, size);
        if (got >= 0) {
            terminal->input.length += (size_t)got;
            return got > 0 ? 1 : 0;
        }
        if (errno == EAGAIN) {
            struct pollfd descriptor = {.fd = STDIN_FILENO, .events = POLLIN};
            if (poll(&descriptor, 1, -1) < 0 && errno != EINTR) {
                return -1;
            }
        } else if (errno != EINTR) {
            return -1;
        }
    }
}

static void complain_of_input(struct terminal *terminal, int number)
{
    terminal_complain(terminal, "standard input: %s", number == EFBIG ? "too long" : strerror(number));
}

static bool take(struct terminal *terminal, struct buffer *into, size_t length, size_t skip)
{
    bool done = length == 0 || buffer_append(into, terminal->input.bytes + terminal->start, length);

    terminal->start += length + skip;
    if (!done) {
        complain_of_input(terminal, ENOMEM);
    }
    return done;
}

/* At a terminal, so that what comes next starts a line of its own. */
static void end_shown_line(struct terminal *terminal)
{
    if (terminal->input.length > terminal->start &&
        terminal->input.bytes[terminal->input.length - 1] != '\n') {
        show_prompt(terminal, "\n");
    }
}

/* The input has ended; its last line may lack a line end. */
static enum line finish_line(struct terminal *terminal, struct buffer *line)
{
    size_t held = terminal->input.length - terminal->start;

    if (held == 0) {
        return LINE_END;
    }
    end_shown_line(terminal);
    return take(terminal, line, held, 0) ? LINE_READ : LINE_FAILED;
}

/* In a silence, or else with a watched descriptor. */
static enum line read_line(struct terminal *terminal, int watched, const struct silence *silence,
                           struct buffer *line)
{
    size_t searched = 0;

    buffer_clear(line);
    for (;;) {
        size_t held = terminal->input.length - terminal->start;
        const char *begin = held > 0 ? terminal->input.bytes + terminal->start : NULL;
        const char *end = held > searched ? memchr(begin + searched, '\n', held - searched) : NULL;
        if (end != NULL) {
            return take(terminal, line, (size_t)(end - begin), 1) ? LINE_READ : LINE_FAILED;
        }
        searched = held;

        int ready = silence == NULL ? wait_for_input(watched) : silence_wait(silence) ? 1 : -1;
        if (ready == 0) {
            return LINE_HANGUP;
        }
        if (ready > 0) {
            ready = read_more(terminal);
        }
        if (ready < 0) {
            if (errno != EINTR) {
                complain_of_input(terminal, errno);
            }
            return LINE_FAILED;
        }
        if (ready == 0) {
            return finish_line(terminal, line);
        }
    }
}

static void complain_of_cut(struct terminal *terminal)
{
    terminal_complain(
        terminal,
        "a terminal cuts lines at %d bytes: this is not sent; a file or a pipe may have longer ones",
        TERMINAL_LINE_MOST);
}

enum line terminal_read_line(struct terminal *terminal, const char *prompt, int watched, struct buffer *line)
{
    show_prompt(terminal, prompt);
    enum line result = read_line(terminal, watched, NULL, line);
    if (result != LINE_READ) {
        show_prompt(terminal, "\n"); /* what comes next starts a line of its own */
    } else if (terminal->input_is_terminal && line->length >= TERMINAL_LINE_MOST) {
        complain_of_cut(terminal);
        return LINE_CUT;
    }
    return result;
}

enum line terminal_read_secret(struct terminal *terminal, const char *prompt, struct buffer *line)
{
    struct silence silence;
    enum line result;

    if (!terminal->input_is_terminal) {
        return terminal_read_line(terminal, prompt, -1, line);
    }
    do {
        if (!silence_begin(&silence)) {
            complain_of_input(terminal, errno);
            return LINE_FAILED;
        }
        show_prompt(terminal, prompt);
        result = read_line(terminal, -1, &silence, line);
        if (result != LINE_READ) {
            show_prompt(terminal, "\n"); /* whoever comes next: a complaint, or the shell after a signal */
        }
    } while (!silence_end(&silence));
    return result;
}

static bool holds_cut_line(const struct terminal *terminal)
{
    size_t length = 0;

    for (size_t i = terminal->start; i < terminal->input.length; i++) {
        length = terminal->input.bytes[i] == '\n' ? 0 : length + 1;
        if (length >= TERMINAL_LINE_MOST) {
            return true;
        }
    }
    return false;
}

bool terminal_read_rest(struct terminal *terminal, struct buffer *content)
{
    int more;

    buffer_clear(content);
    do {
        more = read_more(terminal);
    } while (more > 0);
    if (more < 0) {
        complain_of_input(terminal, errno);
        return false;
    }
    end_shown_line(terminal);
    if (terminal->input_is_terminal && holds_cut_line(terminal)) {
        complain_of_cut(terminal);
        return false;
    }
    return take(terminal, content, terminal->input.length - terminal->start, 0);
}
