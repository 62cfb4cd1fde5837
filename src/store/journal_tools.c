/* journal_tools.c: proves a journal's directory from its files alone. */
#include "journal_tools.h"

#include "journal_load.h"

enum status journal_check(const char *directory, struct report *report, char *why, size_t why_size)
{
    struct journal_directory place;
    struct journal_choice choice;
    struct store *store = NULL;
    struct journal_load load = {.place = &place, .report = report};
    enum status status = journal_directory_open(&place, directory, DIRECTORY_CHECK, why, why_size);
    if (status != STATUS_OK)
        return status;
    status = journal_choose(&place, &choice, report, why, why_size);
    if (status == STATUS_OK)
        status = journal_load(&load, &choice, &store, why, why_size);
    journal_unload(store);
    journal_directory_close(&place);
    return status;
}
