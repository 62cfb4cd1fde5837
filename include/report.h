/* report.h: what a long piece of work tells of itself while it goes on, a line for each thing found. */
#ifndef SHMAIL_REPORT_H
#define SHMAIL_REPORT_H

#include <stddef.h>

enum report_kind {
    REPORT_NOTE,     /* good to know, and no harm */
    REPORT_DAMAGE,   /* what is not as it should be, with nothing lost by it */
    REPORT_LOST,     /* what is gone, or contradicts the rest */
    REPORT_EXPORTED, /* a message that has no place, and the file that it is in now */
    REPORT_KINDS
};

struct report {
    /* text is one line without its end; it may hold what a client has sent, so it is to be escaped. */
    void (*say)(void *context, enum report_kind, const char *text);
    void *context;
    size_t counts[REPORT_KINDS]; /* of what was said */
};

/* How much of it is damage of any kind. */
static inline size_t report_findings(const struct report *report)
{
    return report->counts[REPORT_DAMAGE] + report->counts[REPORT_LOST] + report->counts[REPORT_EXPORTED];
}

__attribute__((format(printf, 3, 4))) void report_say(struct report *, enum report_kind, const char *format,
                                                      ...);

#endif
