/* journal_attach.c: whether a segment and the journal in a directory belong together, and neither is a copy
 * from before.
 *
 * Others may be writing meanwhile. Where something has failed, or a checkpoint was interrupted, nobody can
 * say which of the two is behind: then the segment counts, which has what the files may lack. */
#include "journal.h"

#include "journal_read.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct comparison {
    bool ours;          /* the segment's active file is */
    bool repaired;      /* a file was, since */
    bool file_lacks;    /* what the segment has written last */
    bool segment_lacks; /* what is written in a file */
    uint32_t version;   /* of a file, if this program does not have it; else 0 */
    int error;          /* that kept a file from being read; else 0 */
};

/* A checkpoint marks the journal as doubtful before it changes this, and takes that back afterwards; whoever
 * dies in between leaves the mark. */
bool journal_seal_is_broken(const struct journal_segment *journal)
{
    uint64_t generation;
    bool may_change, broken;
    do {
        generation = load64(&journal->generation);
        may_change = load32(&journal->doubtful);
        broken = load32(&journal->seal) != journal_seal(journal);
    } while (load64(&journal->generation) != generation);
    return broken && !may_change;
}

static ssize_t read_record(const struct store *store, uint64_t offset, struct journal_record *record)
{
    ssize_t got;
    do
        got = pread(store->files[journal_active(store)], record, sizeof(*record), (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

static bool is_doubtful(const struct journal_segment *journal)
{
    return load32(&journal->doubtful) || load32(&journal->suspect) || load32(&journal->failure);
}

/* Whether the file has all that was written, up to the last record or a later one: it may be a copy from
 * before, or have been cut. Sets *error where that cannot be read. */
static bool has_last_record(const struct store *store, int *error)
{
    const struct journal_segment *journal = &store->header->journal;
    struct journal_record record;
    struct stat about;
    uint64_t tail = load64(&journal->tail);
    uint64_t written = load64(&journal->written);
    uint64_t last = load64(&journal->last);
    if (fstat(store->files[journal_active(store)], &about) != 0) {
        *error = errno;
        return false;
    }
    if ((uint64_t)about.st_size < tail)
        return false;
    if (last == 0)
        return true;
    ssize_t got = read_record(store, last, &record);
    if (got <= 0)
        *error = got < 0 ? errno : ENODATA;
    return got == (ssize_t)sizeof(record) && journal_is_last(&record, written);
}

/* Whether a record that the segment never assigned is behind those that it has written. A dead leader may
 * have written some that it has. Mostly there is none, which one look tells. */
static bool has_unknown_record(const struct store *store, struct journal_reader *reader)
{
    const struct journal_segment *journal = &store->header->journal;
    struct journal_record record;
    const char *texts;
    uint64_t offset = load64(&journal->tail);
    uint64_t sequence = load64(&journal->written);
    if (read_record(store, offset, &record) != (ssize_t)sizeof(record) || record.magic != RECORD_MAGIC)
        return false;
    reader->epoch = load64(&journal->epoch);
    while (journal_read_at(reader, offset, 0, &record, &texts) && !(record.flags & RECORD_SNAPSHOT) &&
           record.sequence == ++sequence) {
        if (sequence > load64(&journal->assigned))
            return true;
        offset += journal_size(&record);
    }
    return false;
}

static void compare_file(const struct store *store, uint32_t file, struct comparison *comparison)
{
    const struct journal_segment *journal = &store->header->journal;
    struct journal_reader reader;
    uint64_t generation = load64(&journal->generation);
    enum journal_found found = journal_read_open(&reader, store->files[file]);
    const struct journal_header *header = &reader.header;
    if (found == FOUND_TROUBLE)
        comparison->error = errno;
    if (found == FOUND_RECORD && memcmp(header->id, journal->id, sizeof(journal->id)) == 0) {
        if (header->version != JOURNAL_VERSION)
            comparison->version = header->version;
        if (header->generation > generation + 1)
            comparison->repaired = true;
        if (file == journal_active(store)) {
            comparison->ours = true;
            if (header->generation != generation || !has_last_record(store, &comparison->error))
                comparison->file_lacks = true;
            else if (header->state != JOURNAL_ACTIVE || has_unknown_record(store, &reader))
                comparison->segment_lacks = true;
        }
    }
    journal_read_close(&reader);
}

/* Again where a checkpoint has changed the files meanwhile. */
static struct comparison compare(const struct store *store)
{
    const struct journal_segment *journal = &store->header->journal;
    struct comparison comparison;
    uint64_t generation;
    uint32_t file;
    do {
        generation = load64(&journal->generation);
        file = load32(&journal->file);
        comparison = (struct comparison){.ours = false};
        for (uint32_t i = 0; i < 2; i++)
            compare_file(store, i, &comparison);
        if (is_doubtful(journal))
            comparison.file_lacks = comparison.segment_lacks = false;
    } while (load64(&journal->generation) != generation || load32(&journal->file) != file);
    return comparison;
}

static enum status judge(const struct store *store, const struct comparison *comparison,
                         const struct store_options *options, char *why, size_t why_size)
{
    const char *directory = options->directory;
    const char *name = options->name;
    if (comparison->error) {
        snprintf(why, why_size, "journal directory %s cannot be read: %s", directory,
                 strerror(comparison->error));
        return STATUS_SYSTEM;
    }
    if (comparison->version)
        snprintf(
            why, why_size,
            "journal directory %s: a file is of version %u, this program has %u: use the shmail that wrote it",
            directory, (unsigned)comparison->version, (unsigned)JOURNAL_VERSION);
    else if (comparison->repaired)
        snprintf(
            why, why_size,
            "journal directory %s has been repaired since: post office %s is out of date, remove it with "
            "'shmailctl rm %s'",
            directory, name, name);
    else if (comparison->segment_lacks)
        snprintf(
            why, why_size,
            "post office %s is a copy from before: its journal in %s has more; remove it with 'shmailctl rm "
            "%s', and the next start reads that",
            name, directory, name);
    else if (comparison->file_lacks)
        snprintf(
            why, why_size,
            "journal directory %s is a copy from before: post office %s has written more since; give it the one "
            "that it has written, or have what is in memory written anew with 'shmailctl -n %s repair'",
            directory, name, name);
    else
        return comparison->ours ? STATUS_OK : journal_refuse_files(store, options, why, why_size);
    return STATUS_MISMATCH;
}

enum status journal_attach(struct store *store, const struct store_options *options, char *why,
                           size_t why_size)
{
    const struct journal_segment *journal = &store->header->journal;
    store->journal_bytes = options->journal_bytes ? options->journal_bytes : JOURNAL_BYTES_DEFAULT;
    if (!journal->on && !options->directory)
        return STATUS_OK;
    if (journal->on && !options->directory) {
        if (options->must_exist && !options->changes)
            return STATUS_OK; /* who only looks needs no journal */
        return journal_refuse_directory(store, options, why, why_size);
    }
    if (!journal->on) {
        snprintf(
            why, why_size,
            "post office %s was made without a journal: start it without -d, or give it one with 'shmailctl -n "
            "%s -d DIR repair'",
            options->name, options->name);
        return STATUS_MISMATCH;
    }
    if (journal_seal_is_broken(journal)) {
        snprintf(
            why, why_size,
            "post office %s: what says where its journal goes on is damaged: have it mended with 'shmailctl "
            "-n %s repair'",
            options->name, options->name);
        return STATUS_MISMATCH;
    }
    enum status status = journal_open_directory(store, options, why, why_size);
    if (status != STATUS_OK)
        return status;
    const struct comparison comparison = compare(store);
    return judge(store, &comparison, options, why, why_size);
}
