/* harness.c: see harness.h. The program itself only supervises: it forks each test, waits for its end with a
 * limit, kills what is left and prints the verdict. A test's output goes to a file and is shown where the
 * test failed. */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, REASON_SIZE = 4096, QUOTE_SIZE = 1024 };

/* What the processes of a test tell the supervisor; in shared memory, so that a failed expectation counts in
 * whichever of them it was, and whatever has become of their standard error. */
struct verdict {
    atomic_bool failed;
    bool finished, skipped;
    char reason[REASON_SIZE];
    char figures[REASON_SIZE];
};

static struct verdict *verdict;
static char store_name[64], directory[PATH_MAX];

/* The environment failed, not the test. */
static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "harness: %s: %s\n", what, strerror(errno));
    exit(70);
}

const char *harness_name(void)
{
    return store_name;
}

const char *harness_directory(void)
{
    return directory;
}

const char *harness_build(void)
{
    static char build[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", build, sizeof build - 1);
    if (length <= 0)
        give_up("/proc/self/exe");
    build[length] = '\0';
    for (int folders = 0; folders < 2; folders++) {
        char *slash = strrchr(build, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    return build;
}

void harness_say(const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    size_t used = strlen(verdict->figures);
    snprintf(verdict->figures + used, sizeof verdict->figures - used, "figures: %s\n", line);
}

void harness_skip(const char *reason)
{
    snprintf(verdict->reason, sizeof verdict->reason, "%s", reason);
    verdict->skipped = true;
    _exit(0);
}

/* Only the first failure is kept. Ends by _exit: what a leak checker finds after a failure is noise. */
void harness_fail(const char *file, int line, const char *format, ...)
{
    if (verdict != NULL && !atomic_exchange(&verdict->failed, true)) {
        int used = snprintf(verdict->reason, sizeof verdict->reason, "%s:%d: ", file, line);
        va_list arguments;
        va_start(arguments, format);
        if (used >= 0 && (size_t)used < sizeof verdict->reason)
            vsnprintf(verdict->reason + used, sizeof verdict->reason - (size_t)used, format, arguments);
        va_end(arguments);
    }
    fflush(stdout);
    _exit(EXIT_FAILED);
}

void harness_expect_equal(const char *file, int line, const char *text, intmax_t left, intmax_t right)
{
    if (left != right)
        harness_fail(file, line, "%s\nleft:  %jd\nright: %jd", text, left, right);
}

/* Writes text as C would have it, cut where it is too long. */
static void quote(char out[static QUOTE_SIZE], const char *text)
{
    static const char special[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
    size_t used = 0;
    if (text == NULL) {
        snprintf(out, QUOTE_SIZE, "NULL");
        return;
    }
    out[used++] = '"';
    for (; *text != '\0' && used < QUOTE_SIZE - 16; text++) {
        unsigned char byte = (unsigned char)*text;
        const char *found = strchr(special, byte);
        if (found != NULL) {
            out[used++] = '\\';
            out[used++] = letters[found - special];
        } else if (byte < 0x20 || byte == 0x7f) {
            used += (size_t)snprintf(out + used, 5, "\\x%02x", byte);
        } else {
            out[used++] = (char)byte;
        }
    }
    snprintf(out + used, QUOTE_SIZE - used, "\"%s", *text == '\0' ? "" : "...");
}

void harness_expect_string(const char *file, int line, const char *text, const char *left, const char *right)
{
    char shown_left[QUOTE_SIZE], shown_right[QUOTE_SIZE];
    if (left == right || (left != NULL && right != NULL && strcmp(left, right) == 0))
        return;
    quote(shown_left, left);
    quote(shown_right, right);
    harness_fail(file, line, "%s\nleft:  %s\nright: %s", text, shown_left, shown_right);
}

static _Noreturn void run_child(const struct harness_test *test, int output, const sigset_t *mask)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0 || chdir(directory) != 0)
        give_up("a test's descriptors");
    close(input);
    close(output);
    sigprocmask(SIG_SETMASK, mask, NULL);
    test->run();
    verdict->finished = true;
    exit(0);
}

static sigset_t watched_signals(void)
{
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGHUP);
    return watched;
}

/* Waits until the child has ended, which leaves it a zombie, so that its process group is still its own.
 * Returns 0, SIGALRM when the time is over, or the signal that asks the harness itself to stop. */
static int wait_for_end(pid_t child, unsigned limit)
{
    struct timespec now, left = {0};
    sigset_t watched = watched_signals();
    clock_gettime(CLOCK_MONOTONIC, &now);
    time_t deadline = now.tv_sec + (time_t)limit + 1;
    for (;;) {
        siginfo_t info = {0};
        while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
            if (info.si_pid == child)
                return 0;
            waitpid(info.si_pid, NULL, 0);
            info.si_pid = 0;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec >= deadline)
            return SIGALRM;
        left.tv_sec = deadline - now.tv_sec;
        int received = sigtimedwait(&watched, NULL, &left);
        if (received > 0 && received != SIGCHLD)
            return received;
    }
}

/* Sends SIGKILL to each child, dead or alive; false if there is none. */
static bool kill_children(void)
{
    bool found = false;
    char child[32];
    FILE *list = fopen("/proc/thread-self/children", "re");
    while (list != NULL && fscanf(list, "%31s", child) == 1) {
        found = true;
        kill((pid_t)strtol(child, NULL, 10), SIGKILL);
    }
    if (list != NULL)
        fclose(list);
    return found;
}

/* Kills the test's group, then whatever else it left: as the subreaper we inherit each orphan, also those
 * that have moved to a session of their own. Returns the test's wait status. */
static int kill_test(pid_t child)
{
    int status = 0;
    kill(-child, SIGKILL);
    if (waitpid(child, &status, 0) != child)
        give_up("waitpid");
    while (kill_children())
        waitpid(-1, NULL, 0);
    return status;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)kind, (void)place;
    remove(path);
    return 0;
}

static void remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void harness_remove(const char *pattern)
{
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        remove_tree(found.gl_pathv[i]);
    globfree(&found);
}

static void copy_file(const char *path, const char *folder)
{
    char to[PATH_MAX];
    struct stat about;
    off_t from = 0;
    snprintf(to, sizeof to, "%s%s", folder, strrchr(path, '/'));
    int source = open(path, O_RDONLY | O_CLOEXEC);
    if (source < 0 || fstat(source, &about) != 0)
        give_up(path);
    int target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, about.st_mode & 07777);
    if (target < 0 || ftruncate(target, about.st_size) != 0)
        give_up(to);
    while ((from = lseek(source, from, SEEK_DATA)) >= 0) {
        off_t end = lseek(source, from, SEEK_HOLE), at = from;
        while (from < end)
            if (copy_file_range(source, &from, target, &at, (size_t)(end - from), 0) <= 0)
                give_up(to);
    }
    if (errno != ENXIO) /* no more of it */
        give_up(path);
    close(source);
    close(target);
}

void harness_copy(const char *pattern, const char *folder)
{
    glob_t found;
    remove_tree(folder);
    if (mkdir(folder, 0700) != 0)
        give_up(folder);
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        copy_file(found.gl_pathv[i], folder);
    globfree(&found);
}

static void remove_traces(void)
{
    char prefix[sizeof store_name + 8], object[NAME_MAX + 2];
    size_t length = (size_t)snprintf(prefix, sizeof prefix, "shmail-%s", store_name);
    DIR *objects = opendir("/dev/shm");
    const struct dirent *entry;
    while (objects != NULL && (entry = readdir(objects)) != NULL) {
        if (strncmp(entry->d_name, prefix, length) != 0)
            continue;
        if (strchr("-.", entry->d_name[length])) { /* also its end, and a segment that was set aside */
            snprintf(object, sizeof object, "/%s", entry->d_name);
            shm_unlink(object);
        }
    }
    if (objects != NULL)
        closedir(objects);
    remove_tree(directory);
}

/* Prints each line of text behind "# ", as TAP has it. */
static void print_comment(const char *text, size_t length)
{
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        size_t line = end != NULL ? (size_t)(end - text) : length;
        printf("# %.*s\n", (int)line, text);
        line += end != NULL;
        text += line;
        length -= line;
    }
}

/* What a test has printed and logged, for tests/run, which looks for secrets in it. */
static void keep_output(int output)
{
    const char *folder = getenv("SHMAIL_LOGS");
    char path[PATH_MAX], text[4096];
    ssize_t length;
    if (folder == NULL)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, store_name);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    for (off_t at = 0; file >= 0 && (length = pread(output, text, sizeof text, at)) > 0; at += length)
        if (write(file, text, (size_t)length) != length)
            give_up(path);
    if (file >= 0)
        close(file);
}

static void print_output(int output)
{
    static char text[64 * 1024];
    off_t size = lseek(output, 0, SEEK_END), start = 0;
    if (size > (off_t)sizeof text) {
        start = size - (off_t)sizeof text;
        printf("# (the last %zu bytes of %jd)\n", sizeof text, (intmax_t)size);
    }
    ssize_t length = pread(output, text, sizeof text, start);
    if (length > 0)
        print_comment(text, (size_t)length);
}

/* Says in text why the test failed; false where it did not. */
static bool explain(int end, int status, unsigned limit, char text[static REASON_SIZE])
{
    text[0] = '\0';
    if (atomic_load(&verdict->failed))
        memcpy(text, verdict->reason, REASON_SIZE);
    else if (end == SIGALRM)
        snprintf(text, REASON_SIZE, "still running after %u seconds: killed", limit);
    else if (end != 0)
        snprintf(text, REASON_SIZE, "stopped by signal %d (%s)", end, strsignal(end));
    else if (WIFSIGNALED(status))
        snprintf(text, REASON_SIZE, "ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        snprintf(text, REASON_SIZE, "exited with status %d", WEXITSTATUS(status));
    else if (!verdict->finished && !verdict->skipped)
        snprintf(text, REASON_SIZE, "exited before its end");
    text[REASON_SIZE - 1] = '\0';
    return text[0] != '\0';
}

/* Runs one test and prints its lines; returns whether it held. */
static bool run_test(const struct harness_test *test, size_t number, const sigset_t *mask)
{
    char reason[REASON_SIZE];
    const char *parent = getenv("TMPDIR");
    unsigned limit = test->limit != 0 ? test->limit : HARNESS_LIMIT;
    memset(verdict, 0, sizeof *verdict);
    snprintf(store_name, sizeof store_name, "t-%ld-%zu", (long)getpid(), number);
    snprintf(directory, sizeof directory, "%s/shmail-test-XXXXXX",
             parent != NULL && parent[0] == '/' ? parent : "/tmp");
    int output = memfd_create("output", MFD_CLOEXEC);
    if (output < 0 || fcntl(output, F_SETFL, O_APPEND) != 0 || mkdtemp(directory) == NULL)
        give_up(directory);
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        give_up("fork");
    if (child == 0)
        run_child(test, output, mask);
    setpgid(child, child); /* whoever comes first */
    int end = wait_for_end(child, limit);
    int status = kill_test(child);
    remove_traces();
    keep_output(output);
    bool failed = explain(end, status, limit, reason);
    if (verdict->skipped && !failed)
        printf("ok %zu - %s # SKIP %s\n", number, test->name, verdict->reason);
    else
        printf("%sok %zu - %s\n", failed ? "not " : "", number, test->name);
    print_comment(verdict->figures, strlen(verdict->figures));
    if (failed) {
        print_comment(reason, strlen(reason));
        print_output(output);
    }
    close(output);
    if (end != 0 && end != SIGALRM) {
        signal(end, SIG_DFL);
        sigprocmask(SIG_SETMASK, mask, NULL);
        raise(end);
        exit(128 + end);
    }
    return !failed;
}

int harness_main(int argc, char **argv, const struct harness_test *tests, size_t count)
{
    const char *part = argc > 1 ? argv[1] : "";
    size_t planned = 0, number = 0, failed = 0;
    sigset_t mask, watched = watched_signals();
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &watched, &mask);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    verdict = mmap(NULL, sizeof *verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (verdict == MAP_FAILED)
        give_up("mmap");
    for (size_t i = 0; i < count; i++)
        planned += strstr(tests[i].name, part) != NULL;
    printf("1..%zu\n", planned);
    for (size_t i = 0; i < count; i++) {
        if (strstr(tests[i].name, part) != NULL && !run_test(&tests[i], ++number, &mask))
            failed++;
    }
    return failed == 0 && planned > 0 ? 0 : 1;
}
