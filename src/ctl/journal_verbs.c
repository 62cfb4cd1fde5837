/* journal_verbs.c: the verbs that work on a journal's files, with no post office around them. */
#include "journal_tools.h"
#include "verbs.h"

#include <stdio.h>
#include <string.h>

enum { WHY_SIZE = 1024 }; /* a path or two stand in it */

int verb_check_journal(const struct request *request)
{
    struct report report = check_report();
    char why[WHY_SIZE];
    enum status status = journal_check(request->directory, &report, why, sizeof(why));
    return status == STATUS_OK ? end_check(&report) : refuse(status, why);
}

int verb_repair_journal(const struct request *request)
{
    struct report report = repair_report();
    char why[WHY_SIZE];
    enum status status = journal_repair(request->directory, &report, why, sizeof(why));
    return status == STATUS_OK ? end_repair(&report) : refuse(status, why);
}

static void print(void *context, const char *bytes, size_t length)
{
    (void)context;
    fwrite(bytes, 1, length, stdout); /* main looks whether it was written */
}

int verb_print_journal(const struct request *request)
{
    const struct journal_sink sink = {.put = print};
    const char *file = NULL;
    bool texts = false;
    bool damaged;
    char why[WHY_SIZE];
    for (int i = 0; i < request->count; i++) {
        const char *argument = request->arguments[i];
        if (strcmp(argument, "--texts") == 0)
            texts = true;
        else if (argument[0] == '-' || file)
            return usage("journal takes --texts and one FILE, not ", argument);
        else
            file = argument;
    }
    if (!file == !request->directory)
        return usage("journal takes either -d DIR or a FILE", "");
    enum status status = journal_print(request->directory, file, texts, &sink, &damaged, why, sizeof(why));
    if (status != STATUS_OK)
        return refuse(status, why);
    return damaged ? FOUND : 0;
}
