/* refusal.h: a named post office with a journal, which later is not opened or not repaired. */
#ifndef SHMAIL_TEST_REFUSAL_H
#define SHMAIL_TEST_REFUSAL_H

#include "named_segment.h"
#include "report.h"
#include "scene.h"

static struct store_options options;

static inline void refuse(enum status expected, const char *words)
{
    expect_refusal(options, expected, words);
}

static inline struct store *open_named_store(const char *suffix)
{
    static char name[100];
    snprintf(name, sizeof(name), "%s%s", harness_name(), suffix);
    options = scene_options;
    options.name = name;
    return attached_store(&options);
}

/* What a repair reports to. */
static inline void note_nothing(void *context, enum report_kind kind, const char *text)
{
    (void)context;
    (void)kind;
    (void)text;
}

#endif
