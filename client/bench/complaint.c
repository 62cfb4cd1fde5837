/* complaint.c: writes one line to standard error. */
#include "complaint.h"

#include "buffer.h"
#include "escape.h"
#include "mailbox_book.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    LINE_BYTES = 1024,
    SHOWN_MOST = 160, /* bytes of a wrong reply */
};

static void write_escaped(struct buffer *line, const char *text, size_t length)
{
    char shown[ESCAPE_MAX];

    while (length > 0) {
        size_t taken = escape_next(&text, &length, shown);
        buffer_append(line, shown, taken);
    }
}

/* One write, so that the lines of several processes stay whole. */
static void write_line(struct buffer *line)
{
    if (buffer_append_byte(line, '\n')) {
        (void)fwrite(line->bytes, 1, line->length, stderr);
    }
    buffer_free(line);
}

void complain(const struct plan *plan, const char *format, ...)
{
    struct buffer line = BUFFER_WITH_CAP(0);
    char text[LINE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        return;
    }
    buffer_print(&line, "%s: ", plan->program);
    write_escaped(&line, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
    write_line(&line);
}

void complain_of_reply(const struct plan *plan, const struct request *request, const char *expected,
                       const char *bytes, size_t length)
{
    struct buffer line = BUFFER_WITH_CAP(0);
    bool cut = length > SHOWN_MOST;

    buffer_print(&line, "%s: wrong reply", plan->program);
    if (request != NULL) {
        buffer_print(&line, " to %s %s", request->verb->name, request->mailbox->name);
    }
    buffer_print(&line, ": expected %s, got \"", expected);
    write_escaped(&line, bytes, cut ? SHOWN_MOST : length);
    buffer_append_text(&line, cut ? "...\"" : "\"");
    write_line(&line);
}
