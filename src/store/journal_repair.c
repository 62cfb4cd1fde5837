/* journal_repair.c: mends a journal's directory: what is sound is kept in a fresh pair of files, the rest is
 * named, exported, and kept as it was. */
#include "journal_tools.h"

#include "journal_load.h"
#include "journal_rewrite.h"
#include "standing.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { MARK_SIZE = MOMENT_SIZE + 12, TRIES = 1000 };

struct repair {
    struct journal_directory place;
    struct journal_choice choice;
    struct exporter exporter;
    char mark[MARK_SIZE]; /* the moment, and a number where one moment sees several repairs */
    char export_name[sizeof("export-") + MARK_SIZE];
};

static bool is_taken(struct repair *repair)
{
    struct stat about;
    snprintf(repair->export_name, sizeof(repair->export_name), "export-%s", repair->mark);
    return journal_keeps(&repair->place, repair->mark) ||
           fstatat(repair->place.directory, repair->export_name, &about, AT_SYMLINK_NOFOLLOW) == 0;
}

static void choose_mark(struct repair *repair)
{
    char moment[MOMENT_SIZE];
    export_moment(moment);
    snprintf(repair->mark, sizeof(repair->mark), "%s", moment);
    for (unsigned i = 2; i < TRIES && is_taken(repair); i++)
        snprintf(repair->mark, sizeof(repair->mark), "%s-%u", moment, i);
}

/* What stands in memory has all that the damaged file had, and more: it must not be given up unsaid. */
static enum status refuse_for_standing(const char *directory, const char *name, char *why, size_t why_size)
{
    snprintf(
        why, why_size,
        "journal directory %s: post office %s still stands in memory, and has what is damaged here: mend both "
        "with 'shmailctl -n %s repair', or give it up first with 'shmailctl rm %s'",
        directory, name, name, name);
    return STATUS_IN_USE;
}

static enum status mend(struct repair *repair, struct report *report, char *why, size_t why_size)
{
    char office[OBJECT_MAX + 1];
    bool stands = standing_office(&repair->place, office);
    struct journal_load load = {
        .place = &repair->place, .report = report, .exporter = stands ? NULL : &repair->exporter};
    struct store *store = NULL;
    enum status status = journal_load(&load, &repair->choice, &store, why, why_size);
    if (status == STATUS_OK && load.mended && stands) {
        status = refuse_for_standing(repair->place.path, office, why, why_size);
    } else if (status == STATUS_OK && load.mended) {
        status = export_finish(&repair->exporter);
        if (status == STATUS_OK)
            status =
                journal_rewrite(&repair->place, &repair->choice, store, repair->mark, report, why, why_size);
        else
            export_print_failure(&repair->exporter, why, why_size);
    }
    journal_unload(store);
    return status;
}

enum status journal_repair(const char *directory, struct report *report, char *why, size_t why_size)
{
    struct repair repair;
    enum status status = journal_directory_open(&repair.place, directory, DIRECTORY_MEND, why, why_size);
    if (status != STATUS_OK)
        return status;
    choose_mark(&repair);
    repair.exporter = EXPORT_TO(repair.place.directory, directory, repair.export_name);
    status = journal_choose(&repair.place, &repair.choice, report, why, why_size);
    if (status == STATUS_OK)
        status = mend(&repair, report, why, why_size);
    export_end(&repair.exporter, status == STATUS_OK);
    journal_directory_close(&repair.place);
    return status;
}
