/* report.c: makes one line of each thing that is reported, and counts them by kind. */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_BYTES = 2048 }; /* two names, a path and the words around them */

void report_say(struct report *report, enum report_kind kind, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(line, sizeof(line), format, arguments) < 0)
        snprintf(line, sizeof(line), "%s", format);
    va_end(arguments);
    report->counts[kind]++;
    report->say(report->context, kind, line);
}
