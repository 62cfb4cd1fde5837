/* tool_without.c: runs a program on a kernel that lacks some system calls: they fail with ENOSYS, or with the
 * error that is given.
 *
 *     tool_without NUMBER[:ERROR]... -- PROGRAM [ARGUMENT...] */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

enum { MOST = 100 };

int main(int argc, char **argv)
{
    struct sock_filter code[2 * MOST + 2];
    struct sock_fprog program = {.filter = code};
    int at = 1;

    code[program.len++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (; at < argc && at < MOST && strcmp(argv[at], "--") != 0; at++) {
        char *end;
        uint32_t number = (uint32_t)strtoul(argv[at], &end, 10);
        uint32_t error = *end == ':' ? (uint32_t)strtoul(end + 1, NULL, 10) : ENOSYS;
        code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
        code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
    }
    code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    if (at + 1 >= argc) {
        (void)fprintf(stderr, "usage: tool_without NUMBER[:ERROR]... -- PROGRAM [ARGUMENT...]\n");
        return EX_USAGE;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
        perror("tool_without");
        return EX_OSERR;
    }
    execv(argv[at + 1], argv + at + 1);
    perror(argv[at + 1]);
    return EX_UNAVAILABLE;
}
