/* test_text.c: the program in huge pages: that it does what it did, and where it stays as it was. This one is
 * linked as the static server is, its code and constants in one part, and made large enough. */
#include "mapping.h"
#include "sanitized.h"
#include "text.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

__asm__(".pushsection .text\n.skip 300000, 0x90\n.popsection");

static const char constants[300000] = {[0] = 1, [70000] = 2, [299999] = 3};
static const char *const ends[] = {constants, constants + sizeof(constants) - 1}; /* the loader writes them */

TEXT_ENDS_HERE;

__attribute__((noinline)) static int add_constants(volatile int *to)
{
    for (const char *at = ends[0]; at <= ends[1]; at++)
        *to += *at;
    return *to;
}

static bool is_of(const void *address, const char *rights, const char *name)
{
    struct mapping mapping = mapping_at(address);
    return strcmp(mapping.rights, rights) == 0 && strstr(mapping.path, name) != NULL;
}

static const void *code(void)
{
    return (const void *)(uintptr_t)add_constants;
}

static void expect_none_written_and_executed(void)
{
    char line[512], rights[5];
    FILE *maps = fopen("/proc/self/maps", "r");
    EXPECT(maps != NULL);
    while (fgets(line, sizeof(line), maps))
        EXPECT(sscanf(line, "%*s %4s", rights) == 1 && !(strchr(rights, 'w') && strchr(rights, 'x')));
    fclose(maps);
}

/* How a process ends that writes there. */
static int end_of_a_write(const void *address)
{
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile char *)(uintptr_t)address = 0;
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void want_to_move(void)
{
    if (SANITIZED)
        harness_skip("built with sanitizers");
    want_huge_pages();
}

static void code_and_constants_move_and_do_what_they_did(void)
{
    int sum = 0;
    want_to_move();
    EXPECT(is_of(code(), "r-xp", "/test_text"));
    EXPECT_EQ(mapping_at(constants).start, mapping_at(code()).start);
    EXPECT(is_of(ends, "r--p", "/test_text"));
    EXPECT_EQ(add_constants(&sum), 6);
    text_gather();
    EXPECT_EQ(add_constants(&sum), 12);
    EXPECT(is_of(code(), "r-xp", "memfd:shmaild"));
    EXPECT_EQ(mapping_at(constants).start, mapping_at(code()).start);
    EXPECT_EQ(mapping_at(ends).start, mapping_at(code()).start);
    EXPECT_EQ((uintptr_t)mapping_at(&text_ends_here).start % HUGE_BYTES, 0);
    EXPECT(mapping_at(code()).huge >= HUGE_BYTES);
    expect_none_written_and_executed();
    EXPECT_EQ(end_of_a_write(code()), SIGSEGV);
    EXPECT_EQ(end_of_a_write(constants), SIGSEGV);
    EXPECT_EQ(end_of_a_write(ends), SIGSEGV);
}

static const char *behind(const void *part)
{
    return (const char *)((mapping_at(part).end + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES - 4096);
}

static void without_huge_pages_it_stays(void)
{
    int sum = 0;
    size_t before = mapped_bytes();
    EXPECT_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
    text_gather();
    EXPECT_EQ(add_constants(&sum), 6);
    EXPECT(is_of(code(), "r-xp", "/test_text"));
    EXPECT_EQ(mapped_bytes(), before);
}

static void expect_it_stays_beside(const char *place)
{
    int sum = 0;
    char *other = mmap((void *)(uintptr_t)place, 4096, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    EXPECT(other == place);
    *other = 'x';
    size_t before = mapped_bytes();
    text_gather();
    EXPECT_EQ(*other, 'x');
    EXPECT_EQ(add_constants(&sum), 6);
    EXPECT(is_of(code(), "r-xp", "/test_text"));
    EXPECT_EQ(mapped_bytes(), before);
}

static void what_lies_behind_it_is_not_mapped_over(void)
{
    want_to_move();
    expect_it_stays_beside(behind(code()));
}

/* Between the code and what the loader has written. */
static void what_lies_within_it_is_not_mapped_over(void)
{
    want_to_move();
    const char *hole = (const char *)mapping_at(code()).end;
    EXPECT(hole < (const char *)mapping_at(ends).start);
    expect_it_stays_beside(hole);
}

static const struct harness_test tests[] = {
    {"code and constants move, and do what they did", code_and_constants_move_and_do_what_they_did},
    {"without huge pages it stays where it was", without_huge_pages_it_stays},
    {"what lies behind it is not mapped over", what_lies_behind_it_is_not_mapped_over},
    {"what lies within it is not mapped over", what_lies_within_it_is_not_mapped_over},
};

HARNESS_MAIN(tests)
