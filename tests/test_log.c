/* test_log.c: a log line is one write, one line, of bounded length, and harmless on a terminal. Descriptor 2
 * is a socket that keeps the bounds of each write. */
#include "clock.h"
#include "harness.h"
#include "log.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOM = 4096 };

/* Puts a socket in the place of descriptor 2; returns its other end. */
static int catch_standard_error(void)
{
    int ends[2];

    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    EXPECT(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    close(ends[1]);
    return ends[0];
}

/* The next write, without its LF; NULL where there was none. */
static const char *caught(int end, char room[ROOM])
{
    ssize_t length = recv(end, room, ROOM - 1, MSG_DONTWAIT);

    if (length <= 0) {
        return NULL;
    }
    EXPECT(room[length - 1] == '\n');
    room[length - 1] = '\0';
    return room;
}

static void errors_and_warnings_say_so(void)
{
    char room[ROOM];
    int end = catch_standard_error();

    log_open("shmaild", LOG_LEVEL_DEBUG, false);
    log_error("one %d", 1);
    EXPECT_STR(caught(end, room), "shmaild: error: one 1");
    log_warning("two");
    EXPECT_STR(caught(end, room), "shmaild: warning: two");
    log_info("three");
    EXPECT_STR(caught(end, room), "shmaild: three");
    log_debug("four");
    EXPECT_STR(caught(end, room), "shmaild: four");
    EXPECT(caught(end, room) == NULL);
}

static void what_is_above_the_level_is_left_out(void)
{
    char room[ROOM];
    int end = catch_standard_error();

    log_open("shmaild", LOG_LEVEL_WARNING, false);
    log_debug("no");
    log_info("no");
    EXPECT(caught(end, room) == NULL);
    log_warning("yes");
    EXPECT_STR(caught(end, room), "shmaild: warning: yes");
    log_error("yes");
    EXPECT_STR(caught(end, room), "shmaild: error: yes");
}

static void a_log_that_was_not_opened_bears_the_programs_name(void)
{
    char room[ROOM];
    int end = catch_standard_error();

    log_debug("no");
    log_info("early");
    EXPECT_STR(caught(end, room), "test_log: early");
}

static void nothing_from_a_client_steers_a_terminal(void)
{
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"a\nshmaild: error: forged", "a\\x0ashmaild: error: forged"},
        {"\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"},
        {"\r\t\x08\x7f", "\\x0d\\x09\\x08\\x7f"},
        {"\xC2\x9B[31m", "\\xc2\\x9b[31m"},
        {"\xE2\x80\xAEgpj.exe\xE2\x80\xAC", "\\xe2\\x80\\xaegpj.exe\\xe2\\x80\\xac"},
        {"\xE2\x80\xA8", "\\xe2\\x80\\xa8"},
        {"\xFF\xC0\xAF\xE2\x82", "\\xff\\xc0\\xaf\\xe2\\x82"},
        {"\\x1b", "\\\\x1b"},
        {"\xD0\xBF\xD0\xBE\xD1\x87\xD1\x82\xD0\xB0 \xF0\x9F\x93\xAC",
         "\xD0\xBF\xD0\xBE\xD1\x87\xD1\x82\xD0\xB0 \xF0\x9F\x93\xAC"},
        {"%s%n", "%s%n"},
        {"", ""},
    };
    char room[ROOM], line[ROOM];
    int end = catch_standard_error();

    log_open("x", LOG_LEVEL_INFO, false);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        log_info("%s", rows[i].text);
        (void)snprintf(line, sizeof line, "x: %s", rows[i].line);
        EXPECT_STR(caught(end, room), line);
    }
}

/* Every shift of the characters against the end of the line, and more text than the log's own memory holds.
 */
static void a_long_line_is_cut_between_characters(void)
{
    static const char *const fillers[] = {"b",    "\xD1\x8F", "\xE2\x82\xAC", "\xF0\x9F\x93\xAC", "\xFF",
                                          "\x01", "\\"};
    char room[ROOM], text[3 * ROOM];
    int end = catch_standard_error();

    log_open("x", LOG_LEVEL_INFO, false);
    for (size_t i = 0; i < 140; i++) {
        size_t length = i / 7;
        memset(text, 'a', length);
        while (length < sizeof text - 5) {
            memcpy(text + length, fillers[i % 7], strlen(fillers[i % 7]));
            length += strlen(fillers[i % 7]);
        }
        text[length] = '\0';
        log_info("%s", text);
        const char *line = caught(end, room);
        EXPECT(line != NULL);
        length = strlen(line);
        EXPECT(length < 2048 && length > 2048 - 24);
        EXPECT_STR(line + length - 3, "...");
        EXPECT(utf8_valid(line, length));
        EXPECT(caught(end, room) == NULL);
    }
}

static void a_line_that_fits_is_not_cut(void)
{
    char room[ROOM], text[ROOM], line[ROOM + 8];
    int end = catch_standard_error();

    log_open("x", LOG_LEVEL_INFO, false);
    for (size_t length = 0; length <= 2040; length++) {
        memset(text, 'a', length);
        text[length] = '\0';
        log_info("%s", text);
        (void)snprintf(line, sizeof line, "x: %s", text);
        EXPECT_STR(caught(end, room), line);
    }
}

static void errno_is_kept(void)
{
    char room[ROOM];
    int end = catch_standard_error();

    log_open("x", LOG_LEVEL_INFO, false);
    errno = ENOENT;
    log_info("%s", strerror(errno));
    EXPECT_EQ(errno, ENOENT);
    EXPECT_STR(caught(end, room), "x: No such file or directory");
    close(STDERR_FILENO);
    log_info("to nobody");
    EXPECT_EQ(errno, ENOENT);
    close(end);
}

/* A pipe of one page, which is not ready any more when it holds a line. */
static void a_log_that_nobody_reads_keeps_nobody_waiting(void)
{
    char room[ROOM + 1];
    int ends[2];

    EXPECT(pipe2(ends, O_CLOEXEC) == 0);
    int page = fcntl(ends[1], F_SETPIPE_SZ, 1);
    EXPECT(page > 0);
    EXPECT(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    log_open("x", LOG_LEVEL_INFO, false);
    log_info("first");
    int64_t before = clock_now();
    for (int i = 0; i < 100; i++) {
        errno = ENOENT;
        log_info("lost");
        EXPECT_EQ(errno, ENOENT);
    }
    EXPECT(clock_now() - before < NANOSECONDS_PER_SECOND);
    EXPECT_EQ(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);

    EXPECT_EQ(read(ends[0], room, ROOM), 9);
    EXPECT_EQ(fcntl(ends[1], F_SETPIPE_SZ, 2 * page), 2 * page);
    log_info("last");
    ssize_t length = read(ends[0], room, ROOM);
    EXPECT(length > 0);
    room[length] = '\0';
    EXPECT_STR(room, "x: warning: 100 lines before this one could not be written\nx: last\n");
}

static void syslog_leaves_standard_error_alone(void)
{
    char room[ROOM];
    int end = catch_standard_error();

    log_open("shmail-test", LOG_LEVEL_DEBUG, true);
    errno = ENOENT;
    log_debug("a test of shmail's log");
    EXPECT_EQ(errno, ENOENT);
    EXPECT(caught(end, room) == NULL);
}

static void die_says_why_and_exits_with_its_code(void)
{
    char room[ROOM];
    int end = catch_standard_error();
    int status;

    log_open("x", LOG_LEVEL_ERROR, false);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        die(69, "no %s", "server");
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 69);
    EXPECT_STR(caught(end, room), "x: error: no server");
}

static void a_bug_says_where_and_aborts(void)
{
    char room[ROOM];
    int end = catch_standard_error();
    int status;

    log_open("x", LOG_LEVEL_ERROR, false);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        bug_at("file.c", 12, "two heads");
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGABRT);
    EXPECT_STR(caught(end, room), "x: error: bug at file.c:12: two heads");
}

/* As sd-daemon(3) has it: the level in front, and no name, which the journal knows. */
static void the_journal_is_told_the_level(void)
{
    char room[ROOM], stream[64];
    int end = catch_standard_error();
    struct stat status;

    EXPECT_EQ(fstat(STDERR_FILENO, &status), 0);
    (void)snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    EXPECT_EQ(setenv("JOURNAL_STREAM", stream, 1), 0);
    log_open("x", LOG_LEVEL_DEBUG, false);
    log_error("one\n<0>two");
    EXPECT_STR(caught(end, room), "<3>error: one\\x0a<0>two");
    log_warning("three");
    EXPECT_STR(caught(end, room), "<4>warning: three");
    log_info("four");
    EXPECT_STR(caught(end, room), "<6>four");
    log_debug("five");
    EXPECT_STR(caught(end, room), "<7>five");
}

static void only_the_journal_is_told_the_level(void)
{
    static const char *const streams[] = {"", ":", "1", "1:", ":1", "1:2:3", "x:y", "0:0", "-1:1"};
    char room[ROOM];
    int end = catch_standard_error();

    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        EXPECT_EQ(setenv("JOURNAL_STREAM", streams[i], 1), 0);
        log_open("x", LOG_LEVEL_DEBUG, false);
        log_info("line");
        EXPECT_STR(caught(end, room), "x: line");
    }
}

static const struct harness_test tests[] = {
    {"errors and warnings say so, other lines do not", errors_and_warnings_say_so},
    {"what is above the level is left out", what_is_above_the_level_is_left_out},
    {"a log that was not opened bears the program's name", a_log_that_was_not_opened_bears_the_programs_name},
    {"nothing from a client steers a terminal", nothing_from_a_client_steers_a_terminal},
    {"a long line is cut between characters", a_long_line_is_cut_between_characters},
    {"a line that fits is not cut", a_line_that_fits_is_not_cut},
    {"errno is kept", errno_is_kept},
    {"the journal is told the level of each line", the_journal_is_told_the_level},
    {"nobody else is told the level", only_the_journal_is_told_the_level},
    {"a log that nobody reads keeps nobody waiting, and says later what was lost",
     a_log_that_nobody_reads_keeps_nobody_waiting},
    {"with syslog, standard error is left alone", syslog_leaves_standard_error_alone},
    {"die says why and exits with its code", die_says_why_and_exits_with_its_code},
    {"a bug says where and aborts", a_bug_says_where_and_aborts},
};

HARNESS_MAIN(tests)
