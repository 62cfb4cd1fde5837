/* terminal.h: the person's side: lines and secrets from standard input, answers to standard output.
 *
 * To a terminal, what could control it goes out escaped; to a pipe or file every byte is exact. Prompts and
 * complaints use standard error, so that output which is caught by a script stays clean. */
#ifndef SHMAIL_CLIENT_TERMINAL_H
#define SHMAIL_CLIENT_TERMINAL_H

#include "buffer.h"

#include <stdbool.h>
#include <stddef.h>

struct terminal {
    bool input_is_terminal;
    bool output_is_terminal;
    bool output_failed; /* nothing more goes out; the reason was said, or the reader just went away */
    struct buffer
        input; /* read ahead of the line that was asked for; what stands before start was handed out */
    size_t start;
    struct buffer output; /* until terminal_flush */
};

enum line {
    LINE_READ,
    LINE_END,    /* of the input */
    LINE_FAILED, /* it cannot be read (said) */
    LINE_CUT,    /* a terminal has lost its end (said) */
    LINE_HANGUP, /* nothing to read, and the watched descriptor has something to say */
};

void terminal_open(struct terminal *);
void terminal_free(struct terminal *);

/* The next line without its LF; a last line may lack one. The prompt shows only on a terminal. watched is a
 * descriptor that ends the wait, or -1. */
enum line terminal_read_line(struct terminal *, const char *prompt, int watched, struct buffer *line);

/* A line without echo. Signals that end or stop the program find the terminal as it was before. */
enum line terminal_read_secret(struct terminal *, const char *prompt, struct buffer *line);

/* The rest of the input, to its end. False: it cannot be read, or is more than any message holds (said). */
bool terminal_read_rest(struct terminal *, struct buffer *content);

void terminal_write(struct terminal *, const char *bytes, size_t length);
void terminal_write_text(struct terminal *, const char *text);

/* False once output failed. */
bool terminal_flush(struct terminal *);

/* "shmail: ..." and a line end on standard error, escaped, after what is still to go to standard output. */
__attribute__((format(printf, 2, 3))) void terminal_complain(struct terminal *, const char *format, ...);

#endif
