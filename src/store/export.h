/* export.h: messages that have no place in a post office any more, as files. Private to src/store. */
#ifndef SHMAIL_EXPORT_H
#define SHMAIL_EXPORT_H

#include "report.h"
#include "status.h"

#include <stdbool.h>
#include <stdint.h>

/* A message, and what is known of it. */
struct stray {
    const char *from, *subject, *body; /* not known: NULL */
    size_t from_length, subject_length, body_length;
    const char *to;   /* whose mailbox or queue it was in */
    uint64_t id;      /* 0: not known */
    int64_t received; /* Unix seconds; 0: not known */
    bool queued;
    const char *origin; /* where it was found */
    const char *reason; /* why it has no place */
};

/* The directory is made when the first message comes. */
struct exporter {
    int parent; /* the directory that it is made in: AT_FDCWD, or an open one, which stays the caller's */
    const char *name;  /* lives as long as this */
    const char *shown; /* in front of the name, for who reads of it; NULL: nothing */
    int directory;     /* -1: not yet made */
    unsigned count;    /* of its files, which are 000001.mail and so on */
    int error;         /* why it could not be written */
};

#define EXPORT_TO(where, path, what) \
    ((struct exporter){.parent = (where), .shown = (path), .name = (what), .directory = -1})

/* Writes one file and says so; without an exporter it only says that the message has no place.
 * STATUS_NO_MEMORY, STATUS_FULL_JOURNAL: it cannot be written, as export_print_failure says. */
enum status export_stray(struct exporter *, struct report *, const struct stray *);

/* Syncs what was written. STATUS_FULL_JOURNAL. */
enum status export_finish(struct exporter *);

/* What could not be written, and why. */
void export_print_failure(const struct exporter *, char *why, size_t why_size);

/* At the end. Not kept: whatever it was for has failed and changed nothing, so what was written goes too. */
void export_end(struct exporter *, bool keep);

/* The time as part of a name: 20000101T000000Z. */
enum { MOMENT_SIZE = sizeof("20000101T000000Z") };
void export_moment(char moment[static MOMENT_SIZE]);

#endif
