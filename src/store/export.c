/* export.c: one file for each message that has no place: a header of what is known, an empty line, the exact
 * body. */
#include "export.h"

#include "buffer.h"
#include "escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_NAME_SIZE = sizeof("4294967295.mail") };

static void file_name(char name[static FILE_NAME_SIZE], unsigned number)
{
    snprintf(name, FILE_NAME_SIZE, "%06u.mail", number);
}

void export_moment(char moment[static MOMENT_SIZE])
{
    time_t now = time(NULL);
    struct tm parts;
    strftime(moment, MOMENT_SIZE, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &parts));
}

static void put_line(struct buffer *out, const char *key, const char *text, size_t length)
{
    char escaped[ESCAPE_MAX];
    buffer_print(out, "%s: ", key);
    while (length > 0) {
        size_t size = escape_next(&text, &length, escaped);
        buffer_append(out, escaped, size);
    }
    buffer_append_byte(out, '\n');
}

static void put_date(struct buffer *out, int64_t received)
{
    char date[sizeof("-2147483648-01-01T00:00:00Z")];
    time_t seconds = (time_t)received;
    struct tm parts;
    if (received != 0 && gmtime_r(&seconds, &parts) &&
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &parts) > 0)
        put_line(out, "Date", date, strlen(date));
}

static void put_header(struct buffer *out, const struct stray *stray)
{
    if (stray->from)
        put_line(out, "From", stray->from, stray->from_length);
    if (stray->to)
        put_line(out, stray->queued ? "Queue-Of" : "To", stray->to, strlen(stray->to));
    if (stray->subject && stray->subject_length > 0)
        put_line(out, "Subject", stray->subject, stray->subject_length);
    if (stray->id)
        buffer_print(out, "Id: %llu\n", (unsigned long long)stray->id);
    put_date(out, stray->received);
    put_line(out, "Origin", stray->origin, strlen(stray->origin));
    put_line(out, "Reason", stray->reason, strlen(stray->reason));
    buffer_print(out, "Length: %zu\n\n", stray->body_length);
}

static bool write_all(int file, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(file, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

static enum status fail(struct exporter *exporter)
{
    exporter->error = errno;
    return STATUS_FULL_JOURNAL;
}

/* Where it cannot be opened it goes again. */
static bool make_directory(struct exporter *exporter)
{
    if (mkdirat(exporter->parent, exporter->name, 0700) != 0)
        return false;
    exporter->directory = openat(exporter->parent, exporter->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = errno;
    if (exporter->directory < 0)
        unlinkat(exporter->parent, exporter->name, AT_REMOVEDIR);
    errno = error;
    return exporter->directory >= 0;
}

static enum status write_file(struct exporter *exporter, const char *name, const struct stray *stray)
{
    struct buffer header = {0};
    enum status status = STATUS_OK;
    if (exporter->directory < 0 && !make_directory(exporter))
        return fail(exporter);
    int file = openat(exporter->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return fail(exporter);
    put_header(&header, stray);
    if (header.failed)
        status = STATUS_NO_MEMORY;
    else if (!write_all(file, header.bytes, header.length) ||
             (stray->body && !write_all(file, stray->body, stray->body_length)))
        status = fail(exporter);
    buffer_free(&header);
    return close(file) == 0 || status != STATUS_OK ? status : fail(exporter);
}

enum status export_stray(struct exporter *exporter, struct report *report, const struct stray *stray)
{
    char name[FILE_NAME_SIZE];
    char what[128];
    snprintf(what, sizeof(what), "%smessage %llu of %zu bytes", stray->queued ? "queued " : "",
             (unsigned long long)stray->id, stray->body_length);
    if (!exporter) {
        report_say(report, REPORT_LOST, "%s: %s for %s has no place: %s", stray->origin, what,
                   stray->to ? stray->to : "somebody", stray->reason);
        return STATUS_OK;
    }
    file_name(name, exporter->count + 1);
    enum status status = write_file(exporter, name, stray);
    if (status != STATUS_OK)
        return status;
    exporter->count++;
    report_say(report, REPORT_EXPORTED, "%s: %s for %s has no place: %s; it is %s%s%s/%s", stray->origin,
               what, stray->to ? stray->to : "somebody", stray->reason,
               exporter->shown ? exporter->shown : "", exporter->shown ? "/" : "", exporter->name, name);
    return STATUS_OK;
}

enum status export_finish(struct exporter *exporter)
{
    bool synced = exporter->directory < 0 || syncfs(exporter->directory) == 0;
    return synced ? STATUS_OK : fail(exporter);
}

void export_print_failure(const struct exporter *exporter, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s%s%s cannot be written: %s", exporter->shown ? exporter->shown : "",
             exporter->shown ? "/" : "", exporter->name, strerror(exporter->error));
}

void export_end(struct exporter *exporter, bool keep)
{
    char name[FILE_NAME_SIZE];
    int error = errno;
    if (exporter->directory < 0)
        return;
    for (unsigned number = 1; !keep && number <= exporter->count + 1;
         number++) { /* one may be half written */
        file_name(name, number);
        unlinkat(exporter->directory, name, 0);
    }
    close(exporter->directory);
    exporter->directory = -1;
    if (!keep)
        unlinkat(exporter->parent, exporter->name, AT_REMOVEDIR);
    errno = error;
}
