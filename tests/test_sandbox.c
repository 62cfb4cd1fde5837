/* The sandbox of a process that serves: whatever the filter's table does not list ends it, each call and each
 * argument tried in a process of its own, and what it lists works. */
#include "clock.h"
#include "harness.h"
#include "huge.h"
#include "log.h"
#include "maker.h"
#include "pass.h"
#include "sandbox.h"
#include "sanitized.h"
#include "signals.h"
#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NUMBERS = 500, ALLOWED = 77, X32 = 0x40000000 };

struct scene {
    struct sandbox sandbox;
    int segment, journal, direct, channel, peer;
};

static bool as_root;

static void need_sandbox(void)
{
    if (SANITIZED)
        harness_skip("built with sanitizers, and so without a sandbox");
    if (!filter_is_possible()) {
        harness_skip("no filter of system calls here");
    }
}

/* All that a change of user takes from a process, and gives it. No room in it is unused. */
struct identity {
    uid_t users[3];
    gid_t groups[3], more[64];
    int count, dumpable, end, effective;
};

static struct identity identity(void)
{
    struct identity own;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    memset(&own, 0, sizeof own);
    EXPECT(getresuid(&own.users[0], &own.users[1], &own.users[2]) == 0);
    EXPECT(getresgid(&own.groups[0], &own.groups[1], &own.groups[2]) == 0);
    own.count = getgroups(sizeof own.more / sizeof own.more[0], own.more);
    own.dumpable = prctl(PR_GET_DUMPABLE);
    EXPECT(prctl(PR_GET_PDEATHSIG, &own.end) == 0);
    EXPECT(syscall(SYS_capget, &header, sets) == 0);
    own.effective = (int)sets[0].effective;
    return own;
}

static struct scene make_scene(void)
{
    struct scene scene = {0};
    char why[256];
    int ends[2];

    need_sandbox();
    scene.segment = memfd_create("segment", MFD_CLOEXEC);
    scene.journal = memfd_create("journal", MFD_CLOEXEC);
    scene.direct = memfd_create("journal", MFD_CLOEXEC);
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    EXPECT(geteuid() != 0 || setgroups(2, (const gid_t[2]){7, 8}) == 0);
    scene.channel = ends[0];
    scene.peer = ends[1];
    const struct sandbox_options options = {.message_limit = 1000, .as_root = as_root};
    const struct identity before = identity();
    const struct store_descriptors descriptors = {scene.segment, {scene.journal, -1, -1, scene.direct}};
    EXPECT(sandbox_prepare(&scene.sandbox, &options, why, sizeof why));
    const struct identity after = identity();
    EXPECT(memcmp(&after, &before, sizeof before) == 0); /* nothing is left of the try to change the user */
    sandbox_admit(&scene.sandbox, &descriptors);
    return scene;
}

typedef void action(const struct scene *, const long *numbers);

/* How a process ends that does this inside. */
static int status_of(struct scene *scene, action *act, const long *numbers)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        sandbox_enter(&scene->sandbox, 1);
        sandbox_bound_memory(&scene->sandbox);
        sandbox_seal(&scene->sandbox, NULL);
        sandbox_end_processes(&scene->sandbox);
        sandbox_end_descriptors(&scene->sandbox);
        act(scene, numbers);
        (void)syscall(SYS_exit_group, ALLOWED);
    }
    EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static void call(const struct scene *scene, const long *numbers)
{
    (void)scene;
    (void)syscall(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]);
}

static void expect_breach(struct scene *scene, const char *what, const long *numbers)
{
    int status = status_of(scene, call, numbers);

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
        harness_fail(__FILE__, __LINE__, "%s (%ld): ended with status %x, not by SIGSYS", what, numbers[0],
                     (unsigned)status);
    }
}

/* Linux lets no filter look at the two calls (since 6.11) by which a probe of the processor's own comes back;
 * made by anybody else they end in SIGILL, or do nothing. */
static bool is_no_call(long number)
{
#ifdef __x86_64__
    return number == 335 || number == 336;
#else
    return number < 0;
#endif
}

static bool is_listed(long number)
{
    for (size_t i = 0; i < filter_wide.count; i++) {
        if (filter_wide.rules[i].number == number && filter_wide.rules[i].tests[0].kind != FILTER_SIGNAL) {
            return true;
        }
    }
    return false;
}

static void every_other_call(void)
{
    struct scene scene = make_scene();
    size_t tried = 0;

    for (long number = 0; number < NUMBERS; number++) {
        if (!is_listed(number) && !is_no_call(number)) {
            expect_breach(&scene, "a call", (long[7]){number});
            tried++;
        }
    }
    EXPECT(tried > NUMBERS - 60);
    harness_say("%zu of %d system calls tried", tried, NUMBERS);
}

static void every_other_argument(void)
{
    struct scene scene = make_scene();
    const long segment = scene.segment, journal = scene.journal, channel = scene.channel;
    const long anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    long place[4] = {0};
    const struct {
        const char *what;
        long numbers[7];
    } breaches[] = {
        {"memory for code", {SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, anonymous, -1}},
        {"a mapped file", {SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, segment}},
        {"a flag of a descriptor", {SYS_fcntl, segment, F_SETFD, 0}},
        {"a copy of a descriptor", {SYS_fcntl, segment, F_DUPFD, 0}},
        {"another signal for a descriptor", {SYS_fcntl, channel, F_SETSIG, SIGKILL}},
        {"a lock that waits", {SYS_fcntl, segment, F_SETLKW, (long)place}},
        {"a lock elsewhere", {SYS_fcntl, journal, F_SETLK, (long)place}},
        {"a hole in the segment", {SYS_fallocate, segment, 3, 0, 4096}},
        {"a hole in the mapped segment", {SYS_madvise, (long)place & -4096, 4096, MADV_REMOVE}},
        {"a hole in the journal", {SYS_fallocate, journal, 3, 0, 4096}},
        {"memory behind another file", {SYS_fallocate, 0, 0, 0, 4096}},
        {"a write into the segment's file", {SYS_pwrite64, segment, (long)place, 1, 0}},
        {"a read of another file", {SYS_pread64, 0, (long)place, 1, 0}},
        {"a vector into another file", {SYS_pwritev, 2, (long)place, 0, 0}},
        {"a sync of another file", {SYS_fdatasync, segment}},
        {"an option of a socket", {SYS_getsockopt, channel, SOL_SOCKET, SO_ERROR, (long)place, (long)place}},
        {"an option of TCP", {SYS_getsockopt, channel, 6, SO_TYPE, (long)place, (long)place}},
        {"a control of a descriptor", {SYS_ioctl, channel, FIONBIO, (long)place}},
        {"an attribute of the process", {SYS_prctl, PR_SET_DUMPABLE, 1}},
        {"a handler", {SYS_rt_sigaction, SIGTERM, (long)place, 0, 8}},
        {"a signal to another process", {SYS_tgkill, 1, 1, 0}},
        {"a process that shares memory", {SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD}},
        {"a process that has namespaces", {SYS_clone, CLONE_NEWUSER | SIGCHLD}},
        {"a listener of system calls", {SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, (long)place}},
        {"a limit of memory", {SYS_prlimit64, 0, RLIMIT_DATA, (long)place, 0}},
        {"a limit of another process", {SYS_prlimit64, 1, RLIMIT_NPROC, (long)place, 0}},
        {"the scheduling of another process", {SYS_sched_setscheduler, 1, SCHED_BATCH, (long)place}},
        {"a look at that", {SYS_sched_getscheduler, 1}},
        {"the processors of another process", {SYS_sched_setaffinity, 1, sizeof(cpu_set_t), (long)place}},
        {"a look at those", {SYS_sched_getaffinity, 1, sizeof(cpu_set_t), (long)place}},
        {"a scheduling in real time", {SYS_sched_setscheduler, 0, SCHED_FIFO, (long)place}},
        {"a futex that moves waiters", {SYS_futex, (long)place, FUTEX_CMP_REQUEUE, 1, 1, (long)place, 0}},
        {"a futex that lends priority", {SYS_futex, (long)place, FUTEX_LOCK_PI}},
#ifdef __x86_64__
        {"a call of x32", {X32 | SYS_getpid}},
        {"a call of x32 of its own", {X32 | 512}},
#endif
    };

    for (size_t i = 0; i < sizeof breaches / sizeof breaches[0]; i++) {
        expect_breach(&scene, breaches[i].what, breaches[i].numbers);
    }
}

#ifdef __x86_64__
/* getpid by the gate of 32-bit programs, where it has the number of x86_64's writev. */
static void call_as_i386(const struct scene *scene, const long *numbers)
{
    long result = 20;

    (void)scene;
    (void)numbers;
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
}
#endif

static void other_architecture(void)
{
    struct scene scene = make_scene();
#ifdef __x86_64__
    int status = status_of(&scene, call_as_i386, NULL);

    EXPECT(WIFSIGNALED(status));
    EXPECT(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV); /* the latter without IA32 emulation */
#else
    (void)scene;
    harness_skip("no other architecture on this processor");
#endif
}

static void work(const struct scene *scene, const long *numbers)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    const struct sched_param usual = {0};
    cpu_set_t usable;
    int processor;
    socklen_t size = sizeof processor;
    char byte = 1;
    const struct iovec one = {.iov_base = &byte, .iov_len = 1};
    void *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)numbers;
    (void)huge_gather(NULL, 0); /* an older system does not know it */
    bool works = memory != MAP_FAILED && munmap(memory, 1 << 20) == 0 &&
                 fcntl(scene->segment, F_SETLK, &lock) == 0 && fcntl(scene->segment, F_GETLK, &lock) == 0 &&
                 posix_fallocate(scene->segment, 0, 65536) == 0 && pwrite(scene->journal, &byte, 1, 0) == 1 &&
                 posix_fallocate(scene->journal, 0, 4096) == 0 && pread(scene->journal, &byte, 1, 0) == 1 &&
                 fdatasync(scene->journal) == 0 && pwritev(scene->direct, &one, 1, 0) == 1 &&
                 fcntl(scene->channel, F_GETFL) >= 0 && fcntl(scene->channel, F_GETOWN) == 0 &&
                 clock_now() > 0 && sched_setscheduler(0, SCHED_BATCH, &usual) == 0 &&
                 sched_setscheduler(0, SCHED_OTHER, &usual) == 0 && sched_getscheduler(0) == SCHED_OTHER &&
                 getsockopt(scene->channel, SOL_SOCKET, SO_INCOMING_CPU, &processor, &size) == 0 &&
                 sched_getaffinity(0, sizeof usable, &usable) == 0 &&
                 sched_setaffinity(0, sizeof usable, &usable) == 0;
    if (!works) {
        _exit(1);
    }
}

static void its_own_calls(void)
{
    struct scene scene = make_scene();
    int status = status_of(&scene, work, NULL);

    EXPECT(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), ALLOWED);
}

static void look_around(const struct scene *scene, const long *numbers)
{
    struct rlimit core, processes, data;

    (void)numbers;
    bool bare = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 &&
                getrlimit(RLIMIT_NPROC, &processes) == 0 && processes.rlim_max == 0 &&
                getrlimit(RLIMIT_DATA, &data) == 0 && data.rlim_max < (rlim_t)2 << 30 &&
                prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && dup(scene->segment) < 0 && errno == EMFILE;
    if (scene->sandbox.changes_user) {
        gid_t groups[1];
        bare = bare && getuid() != 0 && geteuid() != 0 && getgid() != 0 && getgroups(1, groups) == 0 &&
               setuid(0) != 0;
    }
    if (scene->sandbox.root >= 0) {
        bare = bare && access("/etc/passwd", F_OK) != 0 && access("/", W_OK) != 0;
    }
    if (scene->sandbox.rules >= 0) {
        bare = bare && open("/", O_RDONLY | O_DIRECTORY) < 0;
    }
    _exit(bare ? ALLOWED : 1);
}

static void the_rest(void)
{
    struct scene scene = make_scene();

    scene.sandbox.filters = false; /* which would not let it look */
    int status = status_of(&scene, look_around, NULL);
    EXPECT(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), ALLOWED);
}

/* What the filter lets through since the maker needs it gives neither a process nor a descriptor. */
static void try_as_the_maker(const struct scene *scene, const long *numbers)
{
    int number = 0, got = -1;
    pid_t made = 0;

    (void)numbers;
    bool refused = pass_hear(scene->channel, true, &number, sizeof number, &got) && got == -1 &&
                   number == 77 && syscall(SYS_clone, MAKER_CLONE_FLAGS, NULL, &made, NULL, NULL) == -1 &&
                   errno == EAGAIN;
    (void)syscall(SYS_exit_group, refused ? ALLOWED : 1);
}

static void the_means_of_the_maker(void)
{
    struct scene scene = make_scene();
    const int number = 77;

    EXPECT(pass_give(scene.peer, scene.segment, &number, sizeof number));
    int status = status_of(&scene, try_as_the_maker, NULL);
    if (scene.sandbox.is_root) { /* whom no limit of processes binds */
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    } else {
        EXPECT(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), ALLOWED);
    }
}

static void the_means_of_the_maker_as_root(void)
{
    as_root = true;
    if (geteuid() != 0) {
        harness_skip("not root");
    }
    the_means_of_the_maker();
}

static void give_up(const struct scene *scene, const long *numbers)
{
    (void)scene;
    (void)numbers;
    abort();
}

static void raise_itself(const struct scene *scene, const long *numbers)
{
    (void)scene;
    signals_raise((int)numbers[0]);
    for (;;) {
        (void)ppoll(NULL, 0, NULL, NULL);
    }
}

static void ends_by_signal(void)
{
    static const long signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGKILL};
    struct scene scene = make_scene();

    signals_prepare();
    int status = status_of(&scene, give_up, NULL);
    EXPECT(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGABRT);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        status = status_of(&scene, raise_itself, &signals[i]);
        EXPECT(WIFSIGNALED(status));
        EXPECT_EQ(WTERMSIG(status), signals[i]);
    }
}

static void users(void)
{
    struct user user;

    EXPECT(user_find("root", &user) && user.uid == 0 && user.gid == 0);
    EXPECT(user_find("0", &user) && user.uid == 0);
    EXPECT(user_find("nobody", &user) && user.uid == 65534);
    EXPECT(user_find("4242", &user) && user.uid == 4242 && user.gid == 4242);
    EXPECT(!user_find("", &user));
    EXPECT(!user_find("noone-of-that-name", &user));
    EXPECT(!user_find("roo", &user));
    EXPECT(!user_find("4294967295", &user)); /* which means "leave it" to the kernel */
}

static const struct harness_test tests[] = {
    {"every system call outside the table ends the process", every_other_call},
    {"every argument outside the table ends the process", every_other_argument},
    {"a system call of another architecture ends the process", other_architecture},
    {"what serving needs is allowed", its_own_calls},
    {"inside there is no file, no right, no descriptor and no process to be had", the_rest},
    {"what the maker needs gives its children neither a process nor a descriptor", the_means_of_the_maker},
    {"nor where they are root", the_means_of_the_maker_as_root},
    {"a process ends by its fault or abort, though it may signal nobody", ends_by_signal},
    {"a user is found by name and by number", users},
};

HARNESS_MAIN(tests)
