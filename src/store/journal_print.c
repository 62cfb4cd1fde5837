/* journal_print.c: a journal file as lines of text: header, records, and what is wrong between them. */
#include "journal_tools.h"

#include "buffer.h"
#include "escape.h"
#include "journal_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct printer {
    const struct journal_sink *sink;
    struct buffer line;
    bool texts;
    bool failed;
};

static void put_line(struct printer *printer)
{
    buffer_append_byte(&printer->line, '\n');
    printer->failed = printer->failed || printer->line.failed;
    printer->sink->put(printer->sink->context, printer->line.bytes, printer->line.length);
    buffer_clear(&printer->line);
}

static void put_number(struct printer *printer, const char *key, uint64_t value)
{
    buffer_print(&printer->line, " %s=%llu", key, (unsigned long long)value);
}

static void put_epoch(struct printer *printer, uint64_t epoch)
{
    buffer_print(&printer->line, " epoch=%016llx", (unsigned long long)epoch);
}

static void put_time(struct printer *printer, int64_t when)
{
    char date[sizeof("-2147483648-01-01T00:00:00Z")];
    time_t seconds = (time_t)when;
    struct tm parts;
    if (!gmtime_r(&seconds, &parts))
        return; /* the year does not fit an int */
    (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &parts);
    buffer_print(&printer->line, " time=%s", date);
}

/* The length of a text, or with texts also the text itself. */
static void put_text(struct printer *printer, const char *key, const char *text, size_t length)
{
    char escaped[ESCAPE_MAX];
    put_number(printer, key, length);
    if (!printer->texts)
        return;
    buffer_append_text(&printer->line, ":\"");
    while (length > 0) {
        size_t size = escape_next(&text, &length, escaped);
        if (size == 1 && escaped[0] == '"')
            buffer_append_byte(&printer->line, '\\');
        buffer_append(&printer->line, escaped, size);
    }
    buffer_append_byte(&printer->line, '"');
}

static void put_message(struct printer *printer, const struct journal_record *record, const char *texts)
{
    put_text(printer, "sender", texts, record->sender_length);
    put_text(printer, "subject", texts + record->sender_length, record->subject_length);
    put_text(printer, "body", texts + record->sender_length + record->subject_length, record->body_length);
}

/* Second text: a hash, of which only the length may be seen. */
static void put_account(struct printer *printer, const struct journal_record *record, const char *texts)
{
    put_number(printer, "account", record->account);
    if (record->flags & RECORD_SNAPSHOT)
        put_number(printer, "as-of", (uint64_t)record->received);
    if (record->type == RECORD_REMOVE)
        return;
    if (record->flags & RECORD_SNAPSHOT) {
        put_number(printer, "newest", record->id);
        put_number(printer, "queue-newest", record->other);
    }
    put_text(printer, "name", texts, record->sender_length);
    put_number(printer, "hash", record->subject_length);
}

static void put_record(struct printer *printer, const struct journal_scan *scan,
                       const struct journal_record *record, const char *texts)
{
    bool snapshot = record->flags & RECORD_SNAPSHOT;
    buffer_print(&printer->line, "%llu %s%llu %s", (unsigned long long)scan->offset, snapshot ? "s" : "",
                 (unsigned long long)record->sequence, journal_type_name(record->type));
    if (!snapshot)
        put_number(printer, "synced", record->synced);
    switch (record->type) {
    case RECORD_EPOCH:
        put_epoch(printer, record->other);
        break;
    case RECORD_END:
        put_number(printer, "records", record->id);
        break;
    case RECORD_ACCOUNT:
    case RECORD_PASSWORD:
    case RECORD_REMOVE:
        put_account(printer, record, texts);
        break;
    case RECORD_STORE:
        put_number(printer, "account", record->account);
        put_number(printer, "id", record->id);
        put_number(printer, "to", record->second);
        put_number(printer, "to-id", record->other);
        put_time(printer, record->received);
        if (record->flags & RECORD_WHOLE)
            put_message(printer, record, texts);
        break;
    case RECORD_DELETE:
        put_number(printer, "account", record->account);
        put_number(printer, "id", record->id);
        break;
    default:
        put_number(printer, "account", record->account);
        put_number(printer, "id", record->id);
        put_time(printer, record->received);
        put_message(printer, record, texts);
    }
    put_line(printer);
}

static void put_header(struct printer *printer, const struct journal_scan *scan)
{
    static const char *const states[] = {"empty", "active", "superseded"};
    const struct journal_header *header = &scan->reader.header;
    buffer_append_text(&printer->line, "0 - header");
    if (scan->header_is_lost) {
        buffer_append_text(&printer->line, " damaged");
    } else {
        put_number(printer, "version", header->version);
        put_number(printer, "generation", header->generation);
        put_epoch(printer, header->epoch);
        put_number(printer, "first", header->first);
        put_number(printer, "log", header->log);
        buffer_print(&printer->line, " state=%s", header->state < 3 ? states[header->state] : "?");
    }
    put_line(printer);
}

static void put_fault(struct printer *printer, const struct journal_scan *scan, const char *what)
{
    buffer_print(&printer->line, "%llu - %s", (unsigned long long)scan->offset, what);
    put_number(printer, "bytes", scan->length);
    if (scan->missing > 0)
        put_number(printer, "missing", scan->missing);
    buffer_print(&printer->line, " (%s)", scan->reason);
    put_line(printer);
}

static void put_end(struct printer *printer, const struct journal_scan *scan)
{
    buffer_print(&printer->line, "%llu - torn (nothing says that it was ever synced)",
                 (unsigned long long)scan->offset);
    put_line(printer);
}

static enum status print_file(struct printer *printer, int file, bool *damaged)
{
    struct journal_scan scan;
    struct journal_record record;
    const char *texts;
    enum journal_found found;
    enum scan_found next = SCAN_END;
    bool readable = journal_scan_open(&scan, file, &found);
    if (readable || found == FOUND_DAMAGE)
        put_header(printer, &scan);
    *damaged = (readable && found != FOUND_RECORD) || found == FOUND_DAMAGE;
    bool known = readable && (scan.header_is_lost || scan.reader.header.version == JOURNAL_VERSION);
    while (known && (next = journal_scan_next(&scan, &record, &texts)) != SCAN_END && next != SCAN_TROUBLE) {
        *damaged = *damaged || next != SCAN_RECORD;
        if (next == SCAN_RECORD)
            put_record(printer, &scan, &record, texts);
        else
            put_fault(printer, &scan, next == SCAN_TORN ? "torn" : "damage");
    }
    if (known && next == SCAN_END && scan.torn)
        put_end(printer, &scan);
    int error = errno;
    journal_scan_close(&scan);
    errno = error;
    return next == SCAN_TROUBLE || found == FOUND_TROUBLE ? STATUS_SYSTEM : STATUS_OK;
}

static void say_nothing(void *context, enum report_kind kind, const char *text)
{
    (void)context;
    (void)kind;
    (void)text;
}

enum status journal_print(const char *directory, const char *file, bool texts,
                          const struct journal_sink *sink, bool *damaged, char *why, size_t why_size)
{
    struct printer printer = {.sink = sink, .texts = texts};
    struct journal_directory place = {.directory = -1, .lock = -1, .files = {-1, -1}};
    struct journal_choice choice = {.file = 0};
    struct report report = {.say = say_nothing};
    enum status status = STATUS_OK;
    *damaged = false;
    if (directory) {
        status = journal_directory_open(&place, directory, DIRECTORY_PRINT, why, why_size);
        if (status == STATUS_OK)
            status = journal_choose(&place, &choice, &report, why, why_size);
    } else {
        place.files[0] = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO may have no writer */
    }
    if (status == STATUS_OK && choice.file >= 0) {
        status = place.files[choice.file] < 0 ? STATUS_SYSTEM
                                              : print_file(&printer, place.files[choice.file], damaged);
        if (status == STATUS_SYSTEM)
            snprintf(why, why_size, "%s cannot be read: %s", file ? file : directory, strerror(errno));
    }
    if (status == STATUS_OK && printer.failed) {
        status = STATUS_NO_MEMORY;
        snprintf(why, why_size, "there is no memory for a line");
    }
    buffer_free(&printer.line);
    journal_directory_close(&place);
    return status;
}
