/* test_harness.c: the harness itself, by what it reports of small tables whose tests fail in every way there
 * is. */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORT_SIZE 8192

struct report {
    int status;
    char text[REPORT_SIZE];
};

/* Runs a table in a process of its own, as its program would, and keeps what it prints. */
static void run_table(struct report *report, const struct harness_test *tests, size_t count, char *part)
{
    int ends[2];
    char *arguments[] = {NULL, part, NULL};
    size_t length = 0;
    ssize_t got = 0;
    EXPECT(pipe2(ends, O_CLOEXEC) == 0);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        if (dup2(ends[1], STDOUT_FILENO) < 0)
            _exit(70);
        _exit(harness_main(part != NULL ? 2 : 1, arguments, tests, count));
    }
    close(ends[1]);
    while ((got = read(ends[0], report->text + length, sizeof report->text - 1 - length)) > 0)
        length += (size_t)got;
    report->text[length] = '\0';
    close(ends[0]);
    EXPECT_EQ(waitpid(child, &report->status, 0), child);
    EXPECT(WIFEXITED(report->status));
    report->status = WEXITSTATUS(report->status);
}

static void passes(void)
{
}

static void fails(void)
{
    puts("a line of output");
    EXPECT(1 + 1 == 3);
    puts("never reached");
}

static void fails_on_numbers(void)
{
    EXPECT_EQ(sizeof(char), -1);
}

static void fails_on_strings(void)
{
    EXPECT_STR("OK\r\n", NULL);
}

static void skips(void)
{
    harness_skip("no moon");
}

static void leaves_early(void)
{
    exit(0);
}

static void is_killed(void)
{
    raise(SIGKILL);
}

static void fails_in_a_child(void)
{
    if (fork() == 0)
        EXPECT(2 + 2 == 5);
    wait(NULL);
}

static void hangs(void)
{
    for (;;)
        pause();
}

/* Hangs together with a child that has left for a session of its own. Both hold the pipe that the report is
 * read from, so that reading it to its end waits for their death. */
static void hangs_with_a_child(void)
{
    if (fork() == 0)
        setsid();
    hangs();
}

static void leaves_traces(void)
{
    char name[128];
    snprintf(name, sizeof name, "/shmail-%s", harness_name());
    EXPECT(shm_open(name, O_CREAT | O_RDWR | O_EXCL, 0600) >= 0);
    snprintf(name, sizeof name, "/shmail-%s-second", harness_name());
    EXPECT(shm_open(name, O_CREAT | O_RDWR | O_EXCL, 0600) >= 0);
    EXPECT(mkdir("folder", 0700) == 0);
    EXPECT(open("folder/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0);
    fprintf(stderr, "%s %s\n", harness_name(), harness_directory());
    abort();
}

static void a_table_of_passing_tests_succeeds(void)
{
    static const struct harness_test table[] = {{"one", passes}, {"two", passes}};
    struct report report;
    run_table(&report, table, 2, NULL);
    EXPECT_STR(report.text, "1..2\nok 1 - one\nok 2 - two\n");
    EXPECT_EQ(report.status, 0);
}

static void a_failed_expectation_ends_its_test_and_shows_place_and_output(void)
{
    static const struct harness_test table[] = {{"wrong", fails}, {"right", passes}};
    struct report report;
    run_table(&report, table, 2, NULL);
    EXPECT_EQ(report.status, 1);
    EXPECT(strncmp(report.text, "1..2\nnot ok 1 - wrong\n# ", 24) == 0);
    EXPECT(strstr(report.text, "test_harness.c:") != NULL);
    EXPECT(strstr(report.text, ": 1 + 1 == 3\n# a line of output\nok 2 - right\n") != NULL);
}

static void a_failed_comparison_shows_both_sides(void)
{
    static const struct harness_test table[] = {{"numbers", fails_on_numbers}, {"strings", fails_on_strings}};
    struct report report;
    run_table(&report, table, 2, NULL);
    EXPECT_EQ(report.status, 1);
    EXPECT(strstr(report.text, "sizeof(char) == -1\n# left:  1\n# right: -1\n") != NULL);
    EXPECT(strstr(report.text, "# left:  \"OK\\r\\n\"\n# right: NULL\n") != NULL);
}

static void a_failure_in_a_child_fails_the_test(void)
{
    static const struct harness_test table[] = {{"parent", fails_in_a_child}};
    struct report report;
    run_table(&report, table, 1, NULL);
    EXPECT_EQ(report.status, 1);
    EXPECT(strstr(report.text, "not ok 1 - parent\n") != NULL);
    EXPECT(strstr(report.text, ": 2 + 2 == 5\n") != NULL);
}

static void a_death_is_a_failure_and_is_named(void)
{
    static const struct harness_test table[] = {{"killed", is_killed}, {"early", leaves_early}};
    struct report report;
    run_table(&report, table, 2, NULL);
    EXPECT_EQ(report.status, 1);
    EXPECT(strstr(report.text, "not ok 1 - killed\n# ended by signal 9 (Killed)\n") != NULL);
    EXPECT(strstr(report.text, "not ok 2 - early\n# exited before its end\n") != NULL);
}

static void a_hanging_test_dies_with_all_its_children(void)
{
    static const struct harness_test table[] = {{"hanging", hangs_with_a_child, 1}, {"next", passes}};
    struct report report;
    run_table(&report, table, 2, NULL);
    EXPECT_EQ(report.status, 1);
    EXPECT_STR(report.text,
               "1..2\nnot ok 1 - hanging\n# still running after 1 seconds: killed\nok 2 - next\n");
}

static void a_crashed_test_leaves_no_segment_and_no_directory(void)
{
    static const struct harness_test table[] = {{"crash", leaves_traces}};
    struct report report;
    char name[128], path[192], directory[128];
    run_table(&report, table, 1, NULL);
    EXPECT_EQ(report.status, 1);
    const char *names = strstr(report.text, "\n# t-");
    EXPECT(names != NULL);
    EXPECT_EQ(sscanf(names, "\n# %127s %127s", name, directory), 2);
    EXPECT(access(directory, F_OK) != 0);
    snprintf(path, sizeof path, "/dev/shm/shmail-%s", name);
    EXPECT(access(path, F_OK) != 0);
    snprintf(path, sizeof path, "/dev/shm/shmail-%s-second", name);
    EXPECT(access(path, F_OK) != 0);
}

static void a_skipped_test_says_why(void)
{
    static const struct harness_test table[] = {{"moonlight", skips}};
    struct report report;
    run_table(&report, table, 1, NULL);
    EXPECT_STR(report.text, "1..1\nok 1 - moonlight # SKIP no moon\n");
    EXPECT_EQ(report.status, 0);
}

static void a_filter_chooses_by_part_of_the_name_and_must_choose_something(void)
{
    static const struct harness_test table[] = {{"one", fails}, {"two", passes}};
    char two[] = "tw", none[] = "three";
    struct report report;
    run_table(&report, table, 2, two);
    EXPECT_STR(report.text, "1..1\nok 1 - two\n");
    EXPECT_EQ(report.status, 0);
    run_table(&report, table, 2, none);
    EXPECT_STR(report.text, "1..0\n");
    EXPECT_EQ(report.status, 1);
}

static void a_test_runs_in_its_own_empty_directory(void)
{
    char where[512];
    EXPECT_STR(getcwd(where, sizeof where), harness_directory());
    EXPECT(rmdir(where) == 0);
}

static void the_built_programs_are_found_from_anywhere(void)
{
    char self[4096 + 32];
    snprintf(self, sizeof self, "%s/tests/test_harness", harness_build());
    EXPECT(access(self, X_OK) == 0);
}

static const struct harness_test tests[] = {
    {"a table of passing tests succeeds", a_table_of_passing_tests_succeeds},
    {"a failed expectation ends its test and shows place and output",
     a_failed_expectation_ends_its_test_and_shows_place_and_output},
    {"a failed comparison shows both sides", a_failed_comparison_shows_both_sides},
    {"a failure in a child fails the test", a_failure_in_a_child_fails_the_test},
    {"a death is a failure and is named", a_death_is_a_failure_and_is_named},
    {"a hanging test dies with all its children", a_hanging_test_dies_with_all_its_children},
    {"a crashed test leaves no segment and no directory", a_crashed_test_leaves_no_segment_and_no_directory},
    {"a skipped test says why", a_skipped_test_says_why},
    {"a filter chooses by part of the name, and must choose something",
     a_filter_chooses_by_part_of_the_name_and_must_choose_something},
    {"a test runs in its own empty directory", a_test_runs_in_its_own_empty_directory},
    {"the built programs are found from anywhere", the_built_programs_are_found_from_anywhere},
};

HARNESS_MAIN(tests)
