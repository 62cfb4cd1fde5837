/* sandbox.c: puts a process into its sandbox: limits, an empty root, a user without rights, no new ones,
 * Landlock, and the filter of system calls last. What the system has not got is left out and said once; what
 * it had when it was asked and then refuses ends the process, before it has read anything. */
#include "sandbox.h"

#include "landlock.h"
#include "log.h"
#include "sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#define ROOM_OF_ITS_OWN                                                                 \
    ((rlim_t)3 << 29) /* for listings (LIST_REPLY_MAX), crypt(3) and the program itself \
                       */

enum {
    MESSAGE_COPIES = 24,  /* a text that comes in escapes, in a buffer that doubles, and its reply */
    CAPABILITY_SETS = 2,  /* of 32 each */
    DESCRIPTORS_MORE = 1, /* the next connection */
};

static const bool sanitized = SANITIZED; /* its run-time reads files, starts processes and maps terabytes */

/* A directory that nobody else can reach: it has no name any more, so nothing can be put into it. Where it is
 * in memory no start waits for a disk. */
static int make_empty_directory(void)
{
    static const char *const places[] = {"/dev/shm", "/run", "/tmp", "/var/tmp"};
    char path[sizeof "/var/tmp/shmaild-XXXXXX"];

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/shmaild-XXXXXX", places[i]);
        if (mkdtemp(path) != NULL) {
            (void)chmod(path, S_IRWXU); /* whatever the umask has taken of that */
            int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            (void)rmdir(path);
            if (directory >= 0) {
                return directory;
            }
        }
    }
    return -1;
}

static bool set_capabilities(uint32_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[CAPABILITY_SETS] = {{.effective = kept, .permitted = kept}};

    return syscall(SYS_capset, &header, sets) == 0;
}

static bool has_capability(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[CAPABILITY_SETS];

    return syscall(SYS_capget, &header, sets) == 0 && (sets[0].effective >> capability & 1) != 0;
}

/* A process that is to end with the one that has started it still is when its user changes, which takes that
 * from it. */
struct bond {
    int signal; /* 0: it is not to */
    pid_t starter;
};

static struct bond bond_to_starter(void)
{
    struct bond bond = {.starter = getppid()};

    (void)prctl(PR_GET_PDEATHSIG, &bond.signal);
    return bond;
}

/* That process may have ended meanwhile. */
static bool keep_bond(const struct bond *bond)
{
    if (prctl(PR_SET_PDEATHSIG, bond->signal) != 0) {
        return false;
    }
    if (bond->signal != 0 && getppid() != bond->starter) {
        (void)raise(bond->signal);
    }
    return true;
}

static bool become(const struct user *user)
{
    const struct bond bond = bond_to_starter();

    return setgroups(0, NULL) == 0 && setresgid(user->gid, user->gid, user->gid) == 0 &&
           setresuid(user->uid, user->uid, user->uid) == 0 && keep_bond(&bond);
}

/* A container may have no such user, or not let anybody become it: better found now than at each connection.
 * Tried for a moment, by the effective ids, from which root as the saved ones leads back: a process made for
 * it takes longer than all else that a start does here. */
static int become_and_return(struct user user)
{
    gid_t group = getegid();
    int error = 0;

    if (setgroups(0, NULL) != 0 || setresgid((gid_t)-1, user.gid, group) != 0) {
        return errno;
    }
    if (setresuid((uid_t)-1, user.uid, 0) != 0) {
        error = errno;
    } else if (setresuid((uid_t)-1, 0, (uid_t)-1) != 0) {
        die(EX_OSERR, "cannot become root again: %s", strerror(errno));
    }
    if (setresgid((gid_t)-1, group, (gid_t)-1) != 0) {
        die(EX_OSERR, "cannot get the group of root again: %s", strerror(errno));
    }
    return error;
}

/* Nothing of it stays: not the mark of one whose memory nobody may look at, nor a lost wish to end with the
 * process that has started this one, which may end meanwhile. */
static int try_to_become(struct user user)
{
    int dumpable = prctl(PR_GET_DUMPABLE);
    const struct bond bond = bond_to_starter();
    int count = getgroups(0, NULL);
    gid_t *groups = count > 0 ? calloc((size_t)count, sizeof *groups) : NULL;

    if (count > 0 && (groups == NULL || getgroups(count, groups) != count)) {
        die(EX_OSERR, "cannot learn the groups: %s", strerror(errno));
    }
    int error = become_and_return(user);
    if (count > 0) {
        (void)setgroups((size_t)count, groups); /* not where a container has no number for one */
    }
    free(groups);
    (void)prctl(PR_SET_DUMPABLE, dumpable);
    (void)keep_bond(&bond);
    return error;
}

static bool choose_user(struct sandbox *sandbox, char *why, size_t why_size)
{
    const char *name = sandbox->options.user;

    if (name == NULL && (user_find("shmail", &sandbox->user) || errno != 0)) {
        name = "shmail";
    } else if (name == NULL) {
        name = "nobody";
        log_line(sandbox->options.lone ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
                 "started as root, and there is no user shmail: connections are served as nobody");
    }
    if (!user_find(name, &sandbox->user)) {
        (void)snprintf(why, why_size,
                       errno == 0 ? "there is no user %s to serve connections: make it, or name one with -u"
                                  : "cannot look up user %s, who is to serve connections, in /etc/passwd: %s",
                       name, strerror(errno));
        return false;
    }
    if (sandbox->user.uid == 0) {
        (void)snprintf(why, why_size,
                       "connections are not served as root: name another user with -u, or say --run-as-root");
        return false;
    }
    int error = try_to_become(sandbox->user);
    if (error != 0) {
        (void)snprintf(
            why, why_size,
            "cannot become user %s: %s; start as that user, or say --run-as-root if root is all there is",
            name, strerror(error));
        return false;
    }
    if (!sandbox->options.lone && !has_capability(CAP_KILL)) {
        (void)snprintf(why, why_size,
                       "cannot end processes of user %s: root has lost CAP_KILL; start as that user", name);
        return false;
    }
    sandbox->changes_user = true;
    return true;
}

/* What is left out, in one line, or that nothing is. */
static void report(const struct sandbox *sandbox, int abi, int root_error, int rules_error)
{
    enum log_level level = sandbox->options.lone ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
    char missing[256] = "";
    size_t length = 0;

    if (sandbox->root < 0) {
        length += (size_t)snprintf(missing + length, sizeof missing - length, ", no empty root (%s)",
                                   root_error != 0 ? strerror(root_error) : "needs root");
    }
    if (sandbox->rules < 0 && abi > 0) {
        length += (size_t)snprintf(missing + length, sizeof missing - length, ", no Landlock (%s)",
                                   strerror(rules_error));
    } else if (sandbox->rules < 0) {
        length += (size_t)snprintf(missing + length, sizeof missing - length, ", no Landlock in this kernel");
    }
    if (!sandbox->filters) {
        length +=
            (size_t)snprintf(missing + length, sizeof missing - length, ", no filter of system calls here");
    }
    if (length > 0) {
        log_line(level, "the sandbox of connections lacks a part: %s", missing + 2);
    } else {
        log_debug("the sandbox of connections is whole, with Landlock %d", abi);
    }
}

bool sandbox_prepare(struct sandbox *sandbox, const struct sandbox_options *options, char *why,
                     size_t why_size)
{
    int abi = 0, root_error = 0;

    *sandbox = (struct sandbox){.options = *options, .root = -1, .rules = -1};
    if (sanitized) {
        sandbox->options.off = true;
        log_debug("built with sanitizers: connections are served without a sandbox");
        return true;
    }
    if (geteuid() == 0 && !options->as_root && !choose_user(sandbox, why, why_size)) {
        return false;
    }
    if (options->off) {
        log_warning("--no-sandbox: connections are served without a sandbox");
        return true;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) { /* and so will all that are forked */
        (void)snprintf(why, why_size, "no_new_privs: %s", strerror(errno));
        return false;
    }
    if (has_capability(CAP_SYS_CHROOT)) {
        sandbox->root = make_empty_directory();
        root_error = errno;
    }
    sandbox->rules = landlock_prepare(&abi);
    int rules_error = errno;
    sandbox->filters = filter_is_possible();
    sandbox->is_root = geteuid() == 0 && !sandbox->changes_user;
    sandbox->breach = options->debug || options->lone ? SECCOMP_RET_TRAP : SECCOMP_RET_KILL_PROCESS;
    report(sandbox, abi, root_error, rules_error);
    return true;
}

void sandbox_admit(struct sandbox *sandbox, const struct store_descriptors *descriptors)
{
    const struct filter_values values = {
        .store = *descriptors, .breach = sandbox->breach, .syslog = sandbox->options.syslog};

    if (sandbox->filters) {
        filter_build_wide(&sandbox->wide, &values);
        filter_build_narrow(&sandbox->narrow, &values);
    }
}

void sandbox_keep_little(const struct sandbox *sandbox)
{
    const uint32_t kept = sandbox->changes_user ? 1u << CAP_KILL | 1u << CAP_SETUID | 1u << CAP_SETGID : 0;
    const uint32_t root = sandbox->root >= 0 ? 1u << CAP_SYS_CHROOT : 0;

    if (sandbox->options.off || geteuid() != 0) {
        return;
    }
    /* With no_new_privs it is a second lock on the same door: who may not is not asked to. */
    for (int i = 0; prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0; i++) {
    }
    if (!set_capabilities(kept | root)) {
        die(EX_OSERR, "cannot give up the rights of root: %s", strerror(errno));
    }
}

static bool limit(int what, rlim_t value)
{
    struct rlimit old;

    if (getrlimit((__rlimit_resource_t)what, &old) != 0) {
        return false;
    }
    if (old.rlim_max < value) {
        value = old.rlim_max;
    }
    const struct rlimit new = {.rlim_cur = value, .rlim_max = value};
    return setrlimit((__rlimit_resource_t)what, &new) == 0;
}

/* The numbers that so many descriptors more will get are below this. ppoll(2) takes no more descriptors than
 * the limit, and needs one. */
static rlim_t descriptors_end(unsigned more)
{
    int got[DESCRIPTORS_MORE], last = 0;
    unsigned count = 0;

    while (count < more && (got[count] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0) {
        last = got[count++];
    }
    while (count > 0) {
        (void)close(got[--count]);
    }
    return (rlim_t)last + 1;
}

/* A core dump would hold passwords. */
static bool limit_all(unsigned descriptors)
{
    return limit(RLIMIT_CORE, 0) && limit(RLIMIT_NOFILE, descriptors_end(descriptors));
}

static void need(bool done, const char *what)
{
    if (!done) {
        die(EX_OSERR, "a connection is not served: its sandbox cannot be made: %s: %s", what,
            strerror(errno));
    }
}

void sandbox_enter(const struct sandbox *sandbox, unsigned descriptors)
{
    if (!sandbox->options.off) {
        need(sandbox->root < 0 || (fchdir(sandbox->root) == 0 && chroot(".") == 0), "chroot");
    }
    if (sandbox->changes_user) {
        need(become(&sandbox->user), "the change of user");
    }
    if (sandbox->options.off) {
        return;
    }
    need(set_capabilities(0), "no capabilities");
    need(sandbox->rules < 0 || landlock_enter(sandbox->rules), "Landlock");
    const int files[] = {sandbox->root, sandbox->rules};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (files[i] >= 0) {
            (void)close(files[i]);
        }
    }
    need(limit_all(descriptors), "limits");
}

void sandbox_bound_memory(const struct sandbox *sandbox)
{
    rlim_t most = ROOM_OF_ITS_OWN + MESSAGE_COPIES * (rlim_t)sandbox->options.message_limit;

    need(sandbox->options.off || limit(RLIMIT_DATA, most), "the limit of memory");
}

void sandbox_seal(const struct sandbox *sandbox, int *answers)
{
    if (answers != NULL) {
        *answers = -1;
    }
    if (sandbox->filters) {
        need(filter_install(&sandbox->wide, answers), "the filter of system calls");
    }
}

static bool limit_for_good(__rlimit_resource_t what, rlim_t value)
{
    const struct rlimit limit = {.rlim_cur = value, .rlim_max = value};

    return setrlimit(what, &limit) == 0;
}

void sandbox_end_processes(const struct sandbox *sandbox)
{
    if (sandbox->options.off) {
        return;
    }
    need(limit_for_good(RLIMIT_NPROC, 0), "the limit of processes");
    if (sandbox->filters && sandbox->is_root) {
        need(filter_install(&sandbox->narrow, NULL), "the narrow filter of system calls");
    }
}

void sandbox_end_descriptors(const struct sandbox *sandbox)
{
    need(sandbox->options.off || limit_for_good(RLIMIT_NOFILE, 1), "the limit of descriptors");
}
