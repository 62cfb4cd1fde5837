/* journal_load.c: scans a journal file into an empty store that ends with this process, and says what it
 * meets on the way. Writes nothing but exports. */
#include "journal_load.h"

#include "salvage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ACCOUNTS_LEAST = 1000, SLOTS = 4 };

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static void say_damage(struct report *report, const char *file, const struct journal_scan *scan,
                       const char *also)
{
    unsigned long long from = scan->offset;
    unsigned long long missing = scan->missing;
    if (scan->harmless)
        report_say(report, REPORT_DAMAGE, "%s offset %llu: a record that only began an epoch: %s", file, from,
                   scan->reason);
    else if (scan->length == 0 && missing > 0)
        report_say(report, REPORT_LOST, "%s offset %llu: %llu record%s missing here%s", file, from, missing,
                   missing == 1 ? " is" : "s are", also);
    else if (missing > 0)
        report_say(report, REPORT_LOST, "%s offset %llu: %llu bytes, once %llu record%s, are damaged: %s%s",
                   file, from, (unsigned long long)scan->length, missing, plural(missing), scan->reason,
                   also);
    else
        report_say(report, REPORT_LOST, "%s offset %llu: %llu bytes are damaged: %s%s", file, from,
                   (unsigned long long)scan->length, scan->reason, also);
}

/* True while there is more. */
static bool step(struct journal_load *load, struct salvage *salvage, struct journal_scan *scan,
                 const char *file, enum status *status)
{
    struct journal_record record;
    const char *texts;
    bool in_log = !scan->reader.snapshot;
    switch (journal_scan_next(scan, &record, &texts)) {
    case SCAN_RECORD:
        *status = salvage_record(salvage, &record, texts, scan->offset);
        break;
    case SCAN_DAMAGE:
        say_damage(load->report, file, scan, "");
        if (in_log && !scan->harmless)
            salvage_gap(salvage, scan->missing, scan->length);
        break;
    case SCAN_TORN:
        say_damage(load->report, file, scan, "; nothing says that it was ever synced");
        salvage_gap(salvage, scan->missing, scan->length);
        break;
    case SCAN_END:
        if (scan->cut)
            report_say(
                load->report, REPORT_NOTE,
                "%s offset %llu: the file ends where its log does: it may have been cut, and what came "
                "later be missing",
                file, (unsigned long long)scan->offset);
        else if (scan->torn)
            report_say(load->report, REPORT_NOTE,
                       "%s offset %llu: the last record is torn, and nothing says that it was ever synced",
                       file, (unsigned long long)scan->offset);
        return false;
    case SCAN_TROUBLE:
        *status = STATUS_SYSTEM;
        break;
    }
    return *status == STATUS_OK;
}

/* What the log lacks at its end: no account of the snapshot can be as of a record that was never there. */
static void find_missing_end(struct journal_load *load, struct salvage *salvage,
                             const struct journal_scan *scan, const struct journal_choice *choice)
{
    const struct journal_reader *reader = &scan->reader;
    uint64_t last = reader->snapshot ? reader->header.first : reader->sequence;
    bool known = !scan->header_is_lost || (!reader->snapshot && last > 0);
    if (!known || choice->last <= last)
        return;
    report_say(load->report, REPORT_LOST,
               "%s offset %llu: %llu record%s missing here, which the snapshot has",
               journal_file_name(choice->file), (unsigned long long)scan->offset,
               (unsigned long long)(choice->last - last), choice->last - last == 1 ? " is" : "s are");
    salvage_gap(salvage, choice->last - last, 0);
}

static enum status read_file(struct journal_load *load, const struct journal_choice *choice,
                             struct store *store)
{
    const char *file = journal_file_name(choice->file);
    struct journal_scan scan;
    enum journal_found found;
    size_t before = report_findings(load->report);
    struct salvage *salvage = salvage_begin(store, file, load->report, load->exporter);
    if (!salvage)
        return STATUS_NO_MEMORY;
    enum status status = STATUS_SYSTEM;
    if (journal_scan_open(&scan, load->place->files[choice->file], &found)) {
        status = STATUS_OK;
        while (step(load, salvage, &scan, file, &status))
            ;
        if (status == STATUS_OK)
            find_missing_end(load, salvage, &scan, choice);
    }
    int error = errno;
    journal_scan_close(&scan);
    salvage_end(salvage);
    load->mended = choice->header_is_lost || report_findings(load->report) > before;
    errno = error;
    return status;
}

static void complain(void *context, const char *finding)
{
    report_say(context, REPORT_LOST, "what the records say is not sound: %s", finding);
}

void journal_unload(struct store *store)
{
    char aside[1];
    if (store)
        (void)store_set_aside(&store, NULL, aside, sizeof(aside)); /* without a name it cannot fail */
}

enum status journal_load(struct journal_load *load, const struct journal_choice *choice, struct store **store,
                         char *why, size_t why_size)
{
    struct store_options options = {.accounts = choice->accounts, .slots = SLOTS};
    if (options.accounts < load->accounts)
        options.accounts = load->accounts;
    if (options.accounts < ACCOUNTS_LEAST)
        options.accounts = ACCOUNTS_LEAST;
    enum status status = store_open(store, &options, why, why_size);
    if (status != STATUS_OK)
        return status;
    status = store_attach(*store, "tool");
    if (status == STATUS_OK && choice->file >= 0)
        status = read_file(load, choice, *store);
    if (status == STATUS_OK) {
        store_check(*store, complain, load->report);
        return status;
    }
    if (status == STATUS_FULL_JOURNAL) /* the store has none: what has no place cannot be saved */
        export_print_failure(load->exporter, why, why_size);
    else
        snprintf(why, why_size, "journal directory %s cannot be read into memory: %s%s%s", load->place->path,
                 status_text(status), status == STATUS_SYSTEM ? ": " : "",
                 status == STATUS_SYSTEM ? strerror(errno) : "");
    journal_unload(*store);
    *store = NULL;
    return status;
}
