/* test_repair_lost.c: a post office in memory whose journal is lost, or is a copy from before, gets a new one
 * with all its mail; and none where its own might still be had. */
#include "wreck.h"

#include <sys/file.h>
#include <sys/syscall.h>

static void lose(const char *command, const char *given)
{
    close(begin_trial());
    run_command(command);
    journal_given = given;
}

static void make_sound_wreck(void)
{
    make_wreck(true);
    lose("true", NULL);
    repair();
    EXPECT_EQ(outcome->counts[REPORT_DAMAGE], 0);
    EXPECT_STR(outcome->said, "");
    end_trial();
}

/* words: what the repair says of it; the journal is in "journal" afterwards. */
static void expect_anew(const char *command, const char *given, const char *words)
{
    dprintf(STDOUT_FILENO, "# %s\n", command);
    lose(command, given);
    repair();
    EXPECT_EQ(outcome->counts[REPORT_LOST], 0);
    if (!strstr(outcome->said, words))
        harness_fail(__FILE__, __LINE__, "\"%s\" does not say: %s", outcome->said, words);
    if (given && strcmp(given, "journal") != 0)
        run_command("mv moved journal");
    struct stat about;
    EXPECT_EQ(stat("journal/journal.0", &about), 0);
    EXPECT(!store->header->journal.on || about.st_size < 4 << 20); /* about as before */
    expect_served(true);
    EXPECT_EQ(expect_accounted_for(true), 0);
    end_trial();
    run_command("rm -rf moved");
}

static const char none_is_active[] = " can be told to be the active one ";

static void a_sound_post_office_gets_a_new_one(void)
{
    make_sound_wreck();
    expect_anew("rm journal/journal.?", NULL, "there is no journal in ");
    expect_anew("rm journal/journal.0 journal/journal.1 journal/lock", "journal",
                "there is no journal in journal: ");
    expect_anew("truncate -s 0 journal/journal.?", NULL, none_is_active);
    expect_anew("rm journal/journal.0; truncate -s 0 journal/journal.1", NULL, none_is_active);
    expect_anew("rm journal/journal.0", NULL, none_is_active);
    expect_anew("cp journal/journal.[01]", NULL, none_is_active);
    expect_anew(
        "dd if=/dev/urandom of=journal/journal.0 bs=4k count=999 status=none && cp journal/journal.[01]",
        NULL, none_is_active);
    expect_anew("rm -r journal", "moved", "there is no journal in moved: ");
    expect_anew("rm -r journal && mkdir -m 700 moved", "moved", "there is no journal in moved: ");
}

/* As if a checkpoint had come since, and nothing else. */
static void age(const char *path)
{
    struct journal_header header;
    struct buffer bytes = {0};
    EXPECT_EQ(store->header->journal.file, 0);
    read_whole(path, &bytes);
    memcpy(&header, bytes.bytes, sizeof(header));
    header.generation--;
    header.crc = journal_header_crc(&header);
    write_at(path, 0, &header, sizeof(header));
    buffer_free(&bytes);
}

static void what_was_written_last_is_written_again(void)
{
    char command[96];
    make_sound_wreck();
    snprintf(command, sizeof(command), "truncate -s %ju journal/journal.%u",
             (uintmax_t)store->header->journal.last, store->header->journal.file);
    expect_anew(command, NULL, " lacks what was written last");
    age("sound/journal.0");
    expect_anew("true", NULL, " lacks what was written last");
    expect_anew("mv journal moved && truncate -s 5000 moved/journal.?", "moved",
                " lacks what was written last");
}

/* Each is refused by a start, which says to repair it. */
static void what_no_start_takes_is_mended(void)
{
    static const char unnumbered[] = " does not say whose the journal is";
    static const char *const losses[] = {"rm journal/lock", "truncate -s 0 journal/lock",
                                         "truncate -s 7 journal/lock"};
    make_sound_wreck();
    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        expect_anew(losses[i], NULL, unnumbered);
        expect_anew(losses[i], "journal", unnumbered);
    }
    expect_anew("mv journal moved && rm moved/lock", "moved", unnumbered);
    expect_anew("cd journal && mv journal.0 other && mv journal.1 journal.0 && mv other journal.1", NULL,
                " is journal.1, and another one in memory");
}

/* ---- refused ---- */

/* In a file: so what was changed is seen. An empty lock file is no change. */
static void list_into(const char *path)
{
    char command[256];
    snprintf(
        command, sizeof(command),
        "{ ls -lR --time-style=full-iso journal moved other /dev/shm/shmail-%s* 2>/dev/null; } | sed '/lock$/d' >%s",
        harness_name(), path);
    run_command(command);
}

static void refuse(const char *command, const char *given, const char *words)
{
    dprintf(STDOUT_FILENO, "# %s\n", command);
    lose(command, given);
    list_into("before");
    in_a_process(run_repair);
    EXPECT(outcome->status == STATUS_MISMATCH || outcome->status == STATUS_SYSTEM);
    if (!strstr(outcome->why, words))
        harness_fail(__FILE__, __LINE__, "\"%s\" does not say: %s", outcome->why, words);
    list_into("after");
    run_command("diff before after");
    end_trial();
    run_command("rm -rf moved");
}

static void make_other(void)
{
    const struct store_options options = {.directory = "other", .journal_bytes = 1 << 18};
    run_command("rm -rf other");
    in_store(&options, live, &after);
}

static void none_is_made_where_its_own_may_be_had(void)
{
    make_sound_wreck();
    make_other();
    refuse("true", "moved", "has its journal in ");
    refuse("rm -r journal", NULL, "it cannot be opened: No such file or directory; say with -d where ");
    refuse("rm -r journal/*", NULL, "there is no journal in ");
    refuse("rm -r journal", "other", "journal directory other is another post office's");
    refuse("rm -r journal && cp -a other moved && rm moved/lock", "moved",
           "what is in moved is not its journal");
    refuse("cp other/journal.? journal", NULL, "is not its journal");
    refuse("rm -r journal && touch moved", "moved", "Not a directory");
    refuse("rm -r journal && mkdir moved && chmod 777 moved", "moved", "may be written by others");
}

static void damage(void)
{
    static const uint64_t wrong = 99;
    char path[128];
    object_path(path, "");
    write_at(path, offset_of(&record_of("alice")->count), &wrong, sizeof(wrong));
}

static void damage_and(const char *command, const char *given)
{
    lose(command, given);
    damage();
    in_a_process(run_repair);
}

static void one_without_a_journal_gets_one(void)
{
    make_wreck(false);
    run_command("mkdir sound");
    make_other();
    refuse("true", "other", "journal directory other is another post office's");
    with_journal = true; /* from now on */
    expect_anew("true", "journal", "there is no journal in journal: ");
    expect_anew("rm -rf journal", "moved", "there is no journal in moved: ");
}

/* The first try for the lock file comes too late. */
static const char *who_comes_first;
static enum { STAYS, GOES, WAS_KILLED, HAS_THE_SECOND } and_then; /* without having said whose it is */

static const char *left_behind(void)
{
    return and_then == WAS_KILLED ? "moved/journal.0" : "moved/journal.1";
}

int flock(int file, int how)
{
    if (who_comes_first) {
        int lock = open(who_comes_first, O_RDWR | O_CLOEXEC);
        who_comes_first = NULL;
        EXPECT_EQ(syscall(SYS_flock, lock, LOCK_SH), 0);
        if (and_then == GOES)
            EXPECT_EQ(write(lock, "a segment's id..", 16), 16);
        if (and_then >= WAS_KILLED)
            close(open(left_behind(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        if (and_then != STAYS)
            close(lock);
    }
    return (int)syscall(SYS_flock, file, how);
}

static void the_lock_file_of_who_has_come_first_stays(void)
{
    make_wreck(false);
    run_command("mkdir sound");
    for (and_then = STAYS; and_then <= HAS_THE_SECOND; and_then++) {
        lose("rm -rf moved", "moved");
        who_comes_first = "moved/lock";
        in_a_process(run_repair);
        EXPECT_EQ(outcome->status, STATUS_IN_USE);
        struct stat about;
        EXPECT_EQ(stat(and_then >= WAS_KILLED ? left_behind() : "moved/lock", &about), 0);
        EXPECT_EQ(about.st_size, and_then == GOES ? 16 : 0);
        end_trial();
    }
}

/* What such a one lacks the journal may have. */
static void a_damaged_one_waits_for_its_journal_until_it_is_told(void)
{
    make_sound_wreck();
    damage_and("rm journal/journal.?", NULL);
    EXPECT_EQ(outcome->status, STATUS_MISMATCH);
    EXPECT(strstr(outcome->why, "nothing is left of the journal in "));
    end_trial();
    damage_and("rm journal/journal.?", "journal");
    expect_repaired();
    EXPECT(strstr(outcome->said, "lost alice: "));
    expect_served(true);
    (void)expect_accounted_for(true);
    end_trial();
}

static void send_later(struct store *office)
{
    put(office, "bob", 300, 0);
}

/* What it has of an account that verifies is not what the journal has of it. */
static void a_damaged_copy_from_before_is_refused_as_a_sound_one_is(void)
{
    make_sound_wreck();
    const struct store_options options = office();
    lose("true", NULL);
    in_store(&options, send_later, NULL);
    run_command("mv journal later");
    end_trial();
    for (int damaged = 0; damaged <= 1; damaged++) {
        lose("rm -r journal && cp -a later journal", NULL);
        if (damaged)
            damage();
        in_a_process(run_repair);
        EXPECT_EQ(outcome->status, STATUS_MISMATCH);
        EXPECT(strstr(outcome->why, " is a copy from before: its journal in "));
        end_trial();
    }
}

/* One of the two that tell a copy from before. */
static void a_mark_that_was_scribbled_over_makes_no_copy_from_before(void)
{
    char path[128];
    make_sound_wreck();
    const struct journal_segment *journal = &store->header->journal;
    const void *const marks[] = {&journal->assigned, &journal->written};
    for (uint64_t value = 0; value <= 5; value += 5)
        for (size_t i = 0; i < 2; i++) {
            lose("true", NULL);
            object_path(path, "");
            write_at(path, offset_of(marks[i]), &value, sizeof(value));
            repair();
            EXPECT(outcome->counts[REPORT_DAMAGE] > 0);
            expect_served(true);
            EXPECT_EQ(expect_accounted_for(true), 0);
            end_trial();
        }
}

/* As if the repair had been killed before the new segment took its place. */
static void a_segment_whose_journal_was_written_anew_is_out_of_date(void)
{
    make_sound_wreck();
    lose("rm -r journal", "journal");
    repair();
    run_command("rm -rf sound && cp -a journal sound");
    end_trial();
    lose("true", "journal");
    in_a_process(run_repair);
    EXPECT_EQ(outcome->status, STATUS_MISMATCH);
    EXPECT(strstr(outcome->why, " is out of date, remove it with "));
    end_trial();
}

static const struct harness_test tests[] = {
    {"a sound post office gets a new one", a_sound_post_office_gets_a_new_one},
    {"what was written last is written again", what_was_written_last_is_written_again},
    {"what no start takes is mended", what_no_start_takes_is_mended},
    {"one without a journal gets one", one_without_a_journal_gets_one},
    {"none is made where its own may be had", none_is_made_where_its_own_may_be_had},
    {"the lock file of who has come first stays", the_lock_file_of_who_has_come_first_stays},
    {"a damaged one waits for its journal until it is told",
     a_damaged_one_waits_for_its_journal_until_it_is_told},
    {"a damaged copy from before is refused as a sound one is",
     a_damaged_copy_from_before_is_refused_as_a_sound_one_is},
    {"a mark that was scribbled over makes no copy from before",
     a_mark_that_was_scribbled_over_makes_no_copy_from_before},
    {"a segment whose journal was written anew is out of date",
     a_segment_whose_journal_was_written_anew_is_out_of_date},
};

HARNESS_MAIN(tests)
