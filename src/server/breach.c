/* breach.c: names a system call that the sandbox's filter has stopped. The names are made from the kernel's
 * headers at build time. */
#include "breach.h"

#include "log.h"

#include <stddef.h>
#include <sys/syscall.h>

static const struct {
    int number;
    const char *name;
} calls[] = {
#include "call_names.inc"
};

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* si_code */
#endif

static bool is_breach(const siginfo_t *about)
{
    return about->si_signo == SIGSYS && about->si_code == SYS_SECCOMP;
}

bool breach_is_abort(const siginfo_t *about)
{
    return is_breach(about) && about->si_syscall == SYS_tgkill;
}

void breach_log(const siginfo_t *about)
{
    const char *name = "unknown";

    if (!is_breach(about)) {
        return;
    }
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (calls[i].number == about->si_syscall) {
            name = calls[i].name;
        }
    }
    log_error("the sandbox does not allow system call %d (%s), made at %p", about->si_syscall, name,
              about->si_call_addr);
}
