/* tool_unanswered.c: runs a program under a filter of system calls that lets all through and has a listener
 * already, as some containers have it: no filter of the program's own can have one (seccomp(2), EBUSY).
 *
 * usage: tool_unanswered PROGRAM [ARGUMENT...] */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a process of its own, and no child of the program, until that ends. */
static void hold(int program)
{
    struct pollfd ended = {.fd = program, .events = POLLIN};

    (void)close(STDIN_FILENO);
    (void)close(STDOUT_FILENO);
    (void)close(STDERR_FILENO);
    (void)poll(&ended, 1, -1);
    _exit(0);
}

int main(int argc, char **argv)
{
    struct sock_filter all = {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW};
    const struct sock_fprog filter = {.len = 1, .filter = &all};
    int program = (int)syscall(SYS_pidfd_open, getpid(), 0);

    if (argc < 2 || program < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter) < 0) {
        (void)fprintf(stderr, "tool_unanswered: %s\n", argc < 2 ? "no program is named" : strerror(errno));
        return 77;
    }
    pid_t between = fork();
    if (between == 0) {
        if (fork() == 0) {
            hold(program);
        }
        _exit(0);
    }
    (void)waitpid(between, NULL, 0);
    (void)close(program);
    (void)execv(argv[1], argv + 1);
    (void)fprintf(stderr, "tool_unanswered: %s: %s\n", argv[1], strerror(errno));
    return 127;
}
