/* test_log.c: a log line is one write, one line, of bounded length, and harmless on a terminal. Descriptor 2
 * is a socket that keeps the bounds of each write. */
#include "clock.h"
#include "harness.h"
#include "log.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
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

/* The socket of a logger, in a /dev of this test's own. */
static int begin_logger(int type)
{
    static const struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = _PATH_LOG};
    int logger = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    (void)unlink(name.sun_path);
    EXPECT(bind(logger, (const struct sockaddr *)&name, sizeof name) == 0);
    EXPECT(type == SOCK_DGRAM || listen(logger, 0) == 0);
    return logger;
}

static int begin_first_logger(int type)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/dev", "tmpfs", 0, NULL) != 0) {
        harness_skip("no file systems can be mounted here");
    }
    return begin_logger(type);
}

/* The next line, a datagram or what a stream has up to its NUL; NULL: there is none. */
static const char *logged(int logger, char room[ROOM])
{
    ssize_t length = recv(logger, room, ROOM - 1, MSG_PEEK | MSG_DONTWAIT);

    if (length <= 0) {
        return NULL;
    }
    room[length] = '\0';
    EXPECT(recv(logger, room, strlen(room) + 1, 0) > 0);
    return room;
}

static const char *text_of(const char *line)
{
    const char *text = line != NULL ? strstr(line, "]: ") : NULL;

    return text != NULL ? text + 3 : line;
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

/* All but the time, which may go on between the two. */
static void the_systems_logger_cannot_tell_it_from_syslog(void)
{
    static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    static const char *const words[] = {"error: ", "warning: ", "", ""};
    char ours[ROOM], theirs[ROOM];
    int logger = begin_first_logger(SOCK_DGRAM);

    openlog("shmail-test", LOG_PID | LOG_NDELAY, LOG_MAIL);
    log_open("shmail-test", LOG_LEVEL_DEBUG, true);
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        do {
            syslog(priorities[level], "%stext", words[level]);
            log_line((enum log_level)level, "text");
            EXPECT(logged(logger, theirs) != NULL);
            EXPECT(logged(logger, ours) != NULL);
        } while (memcmp(ours + 4, theirs + 4, sizeof "Nov 29 12:34:56" - 1) != 0);
        EXPECT_STR(ours, theirs);
    }
    closelog();
}

/* Each place that is read free is raced for by all, and in the end there is none. */
static void a_logger_that_is_stuck_keeps_none_of_many_waiting(void)
{
    enum { CHILDREN = 8, LINES = 2000 };
    char room[ROOM];
    int logger = begin_first_logger(SOCK_DGRAM);
    int status;

    log_open("x", LOG_LEVEL_INFO, true);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        EXPECT(child >= 0);
        for (int line = 0; child == 0; line++) {
            if (line == LINES) {
                _exit(0);
            }
            log_info("line");
        }
    }
    for (int i = 0; i < CHILDREN * LINES / 16; i++) {
        (void)logged(logger, room);
        (void)sched_yield();
    }
    for (int i = 0; i < CHILDREN; i++) {
        EXPECT(wait(&status) > 0);
        EXPECT_EQ(status, 0);
    }
}

/* Those that were sent are whole, and what follows counts the others. */
static void fill_and_count(int type)
{
    enum { LINES = 1000 };
    char room[ROOM], expected[ROOM];
    const char *line;
    int taken = 0;
    int logger = begin_first_logger(type);

    log_open("x", LOG_LEVEL_INFO, true);
    int end = type == SOCK_STREAM ? accept(logger, NULL, NULL) : logger;
    int64_t before = clock_now();
    for (int i = 0; i < LINES; i++) {
        log_info("line");
    }
    EXPECT(clock_now() - before < NANOSECONDS_PER_SECOND);
    EXPECT(!log_is_missing());
    for (; (line = logged(end, room)) != NULL; taken++) {
        EXPECT_STR(text_of(line), "line");
    }
    EXPECT(taken > 0 && taken < LINES);
    log_info("last");
    (void)snprintf(expected, sizeof expected, "warning: %d lines before this one could not be written",
                   LINES - taken);
    EXPECT_STR(text_of(logged(end, room)), expected);
    EXPECT_STR(text_of(logged(end, room)), "last");
    EXPECT(!log_is_missing());
}

static void a_logger_that_was_stuck_is_told_later_what_was_lost(void)
{
    fill_and_count(SOCK_DGRAM);
}

static void so_is_one_with_a_stream(void)
{
    fill_and_count(SOCK_STREAM);
}

static void one_whose_stream_nobody_accepts_keeps_nobody_waiting(void)
{
    (void)begin_first_logger(SOCK_STREAM);
    log_open("x", LOG_LEVEL_INFO, true);
    EXPECT(!log_open_again());
    EXPECT_EQ(errno, EAGAIN);
}

static void the_log_stays_where_it_cannot_be_opened_again(void)
{
    char room[ROOM];
    int logger = begin_first_logger(SOCK_DGRAM);

    log_open("x", LOG_LEVEL_INFO, true);
    EXPECT_EQ(unlink(_PATH_LOG), 0);
    EXPECT(!log_open_again());
    EXPECT_EQ(errno, ENOENT);
    log_info("line");
    EXPECT_STR(text_of(logged(logger, room)), "line");
    EXPECT(!log_is_missing());

    int next = begin_logger(SOCK_DGRAM);
    EXPECT(log_open_again());
    log_info("line");
    EXPECT_STR(text_of(logged(next, room)), "line");
    EXPECT(logged(logger, room) == NULL);

    log_open("x", LOG_LEVEL_INFO, false);
    EXPECT(!log_open_again());
    EXPECT_EQ(errno, 0);
}

static void a_logger_that_was_started_again_is_found(void)
{
    char room[ROOM], expected[ROOM];
    int logger = begin_first_logger(SOCK_DGRAM);
    int lines = 0;

    log_open("x", LOG_LEVEL_INFO, true);
    close(logger);
    log_info("line %d", lines++);
    EXPECT(log_is_missing());
    struct pollfd end = {.fd = begin_logger(SOCK_DGRAM), .events = POLLIN};
    int64_t deadline = deadline_after_seconds(5);
    do {
        log_info("line %d", lines++);
    } while (poll(&end, 1, 1) == 0 && clock_now() < deadline);
    (void)snprintf(expected, sizeof expected, "warning: %d lines before this one could not be written",
                   lines - 1);
    EXPECT_STR(text_of(logged(end.fd, room)), expected);
    (void)snprintf(expected, sizeof expected, "line %d", lines - 1);
    EXPECT_STR(text_of(logged(end.fd, room)), expected);
    EXPECT(!log_is_missing());
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
    {"the system's logger cannot tell it from syslog(3)", the_systems_logger_cannot_tell_it_from_syslog},
    {"a logger that is stuck keeps none of many waiting", a_logger_that_is_stuck_keeps_none_of_many_waiting,
     20},
    {"a logger that was stuck is told later what was lost",
     a_logger_that_was_stuck_is_told_later_what_was_lost, 20},
    {"so is one with a stream", so_is_one_with_a_stream, 20},
    {"a logger whose stream nobody accepts keeps nobody waiting",
     one_whose_stream_nobody_accepts_keeps_nobody_waiting, 20},
    {"the log stays where it cannot be opened again", the_log_stays_where_it_cannot_be_opened_again},
    {"a logger that was started again is found", a_logger_that_was_started_again_is_found},
    {"die says why and exits with its code", die_says_why_and_exits_with_its_code},
    {"a bug says where and aborts", a_bug_says_where_and_aborts},
};

HARNESS_MAIN(tests)
