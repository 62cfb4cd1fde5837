/* filter.c: turns the table of rules into a program of the kernel's packet-filter machine, and puts it into
 * force. The program searches the call's number in a tree, since the kernel runs it for every number when a
 * process takes it on, and then the tests of that number. */
#include "filter.h"

#include "log.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define NUMBERS_END 0x40000000u /* above are those of x32 */
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define NUMBERS_END UINT32_MAX
#endif

enum {
    LEAF = 3, /* numbers that are compared one after the other */
    RULES_MOST = 72,
    NEXT = -1, /* the instruction that follows */
    ALLOW = 0, /* labels; those of numbers and alternatives come behind */
    BREACH,
    REFUSE, /* the call fails, and the process goes on */
    SIGNAL, /* it gets a signal */
    ASK,    /* whoever has the filter's descriptor says whether it may go on */
    LABELS_FIRST,
    LABELS_MOST = 2 * RULES_MOST,
};

#ifdef ARCHITECTURE

/* Jumps hold labels until all places are known. */
struct assembler {
    struct filter *filter;
    const struct filter_values *values;
    const struct filter_table *table;
    const struct filter_rule *rules[RULES_MOST]; /* by number */
    size_t count;
    short yes[FILTER_MOST], no[FILTER_MOST];
    short place[LABELS_MOST];
    int labels;
};

static int new_label(struct assembler *a)
{
    if (a->labels == LABELS_MOST) {
        bug("the filter has too many labels");
    }
    return a->labels++;
}

static void set_label(struct assembler *a, int label)
{
    a->place[label] = (short)a->filter->length;
}

static void emit(struct assembler *a, unsigned code, uint32_t k, int yes, int no)
{
    unsigned short at = a->filter->length;

    if (at == FILTER_MOST) {
        bug("the filter is too long");
    }
    a->filter->code[at] = (struct sock_filter){.code = (unsigned short)code, .k = k};
    a->yes[at] = (short)yes;
    a->no[at] = (short)no;
    a->filter->length++;
}

static void load(struct assembler *a, size_t offset)
{
    emit(a, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, NEXT, NEXT);
}

static void jump(struct assembler *a, unsigned condition, uint32_t k, int yes, int no)
{
    emit(a, BPF_JMP | BPF_K | condition, k, yes, no);
}

/* The values of which the argument must be one. */
static size_t expected(const struct assembler *a, const struct filter_test *test,
                       uint32_t values[static FILTER_VALUES_MOST])
{
    switch (test->kind) {
    case FILTER_SEGMENT:
        values[0] = (uint32_t)a->values->store.segment;
        return 1;
    case FILTER_JOURNAL:
        for (size_t i = 0; i < 4; i++) {
            values[i] = (uint32_t)a->values->store.journal[i];
        }
        return 4;
    default:
        memcpy(values, test->values, sizeof test->values);
        return test->count;
    }
}

/* Goes on at one of two labels; NEXT is behind itself. */
static void emit_test(struct assembler *a, const struct filter_test *test, int then, int otherwise)
{
    size_t low = offsetof(struct seccomp_data, args) + test->argument * sizeof(uint64_t);
    uint32_t values[FILTER_VALUES_MOST] = {0};
    int holds = then == NEXT ? new_label(a) : then;

    load(a, low);
    if (test->ignored != 0) {
        emit(a, BPF_ALU | BPF_AND | BPF_K, ~test->ignored, NEXT, NEXT);
    }
    if (test->kind == FILTER_WITHOUT) {
        jump(a, BPF_JSET, test->values[0], otherwise, holds);
    } else if (test->kind == FILTER_WITH) {
        jump(a, BPF_JSET, test->values[0], holds, otherwise);
    } else if (test->kind == FILTER_NULL) {
        jump(a, BPF_JEQ, 0, NEXT, otherwise);
        load(a, low + sizeof(uint32_t));
        jump(a, BPF_JEQ, 0, holds, otherwise);
    } else {
        size_t count = expected(a, test, values);
        for (size_t i = 0; i < count; i++) {
            jump(a, BPF_JEQ, values[i], holds, i + 1 < count ? NEXT : otherwise);
        }
    }
    if (then == NEXT) {
        set_label(a, holds);
    }
}

/* All alternatives of one number. */
static void emit_rules(struct assembler *a, size_t first)
{
    size_t i = first;

    for (bool more = true; more; i++) {
        more = i + 1 < a->count && a->rules[i + 1]->number == a->rules[first]->number;
        int otherwise = more ? new_label(a) : BREACH;
        const struct filter_test *tests = a->rules[i]->tests;
        for (size_t t = 0; t < FILTER_TESTS && tests[t].kind != FILTER_NO_TEST; t++) {
            bool last = t + 1 == FILTER_TESTS || tests[t + 1].kind == FILTER_NO_TEST;
            int then = tests[t].kind == FILTER_ASK ? ASK : ALLOW;
            emit_test(a, &tests[t], last ? then : NEXT, otherwise);
        }
        if (more) {
            set_label(a, otherwise);
        }
    }
}

struct target {
    uint32_t number;
    size_t rule; /* the first of its rules */
    int label;
};

static bool has_alternatives(const struct assembler *a, size_t rule)
{
    return rule + 1 < a->count && a->rules[rule + 1]->number == a->rules[rule]->number;
}

static bool same_tests(const struct filter_test *a, const struct filter_test *b)
{
    for (size_t i = 0; i < FILTER_TESTS; i++) {
        if (a[i].kind != b[i].kind || a[i].argument != b[i].argument || a[i].count != b[i].count ||
            a[i].ignored != b[i].ignored || memcmp(a[i].values, b[i].values, sizeof a[i].values) != 0) {
            return false;
        }
    }
    return true;
}

/* Numbers with the same tests share them: the kernel translates a program each time it is put into force. */
static int choose_label(struct assembler *a, const struct target *targets, size_t which)
{
    const struct filter_test *tests = a->rules[targets[which].rule]->tests;

    if (tests[0].kind == FILTER_NO_TEST) {
        return ALLOW;
    }
    if (tests[0].kind == FILTER_NEVER || tests[0].kind == FILTER_SIGNAL) {
        return tests[0].kind == FILTER_NEVER ? BREACH : SIGNAL;
    }
    for (size_t i = 0; i < which && !has_alternatives(a, targets[which].rule); i++) {
        if (!has_alternatives(a, targets[i].rule) && same_tests(a->rules[targets[i].rule]->tests, tests)) {
            return targets[i].label;
        }
    }
    return new_label(a);
}

static void emit_tree(struct assembler *a, const struct target *targets, size_t count)
{
    if (count <= LEAF) {
        int other = a->table->allows_others ? ALLOW : BREACH;
        for (size_t i = 0; i < count; i++) {
            jump(a, BPF_JEQ, targets[i].number, targets[i].label, i + 1 < count ? NEXT : other);
        }
        return;
    }
    int right = new_label(a);
    jump(a, BPF_JGE, targets[count / 2].number, right, NEXT);
    emit_tree(a, targets, count / 2);
    set_label(a, right);
    emit_tree(a, targets + count / 2, count - count / 2);
}

static void sort_rules(struct assembler *a)
{
    for (size_t i = 0; i < a->table->count; i++) {
        const struct filter_rule *rule = &a->table->rules[i];
        size_t place = a->count++;
        for (; place > 0 && a->rules[place - 1]->number > rule->number; place--) {
            a->rules[place] = a->rules[place - 1];
        }
        a->rules[place] = rule;
    }
}

/* From labels to distances. */
static void resolve(struct assembler *a)
{
    for (unsigned short i = 0; i < a->filter->length; i++) {
        struct sock_filter *instruction = &a->filter->code[i];
        instruction->jt = (unsigned char)(a->yes[i] == NEXT ? 0 : a->place[a->yes[i]] - i - 1);
        instruction->jf = (unsigned char)(a->no[i] == NEXT ? 0 : a->place[a->no[i]] - i - 1);
    }
}

static bool has_action(uint32_t action)
{
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* Linux 5.0; a kernel that does not know an action kills. */
static bool can_ask(void)
{
    return has_action(SECCOMP_RET_USER_NOTIF);
}

static void build(struct filter *filter, const struct filter_table *table, const struct filter_values *values)
{
    struct assembler a = {.filter = filter, .values = values, .table = table, .labels = LABELS_FIRST};
    struct target targets[RULES_MOST] = {{0}};
    size_t count = 0;

    if (table->count >= RULES_MOST) {
        bug("the filter has too many rules");
    }
    *filter = (struct filter){0};
    sort_rules(&a);
    load(&a, offsetof(struct seccomp_data, arch));
    jump(&a, BPF_JEQ, ARCHITECTURE, NEXT, BREACH);
    load(&a, offsetof(struct seccomp_data, nr));
    jump(&a, BPF_JGE, NUMBERS_END, BREACH, NEXT);
    if (values->syslog && !table->allows_others) {
        jump(&a, BPF_JEQ, SYS_socket, REFUSE, NEXT);
    }
    for (size_t i = 0; i < a.count; i++) {
        if (i == 0 || a.rules[i]->number != a.rules[i - 1]->number) {
            targets[count] = (struct target){(uint32_t)a.rules[i]->number, i, ALLOW};
            targets[count].label = choose_label(&a, targets, count);
            count++;
        }
    }
    emit_tree(&a, targets, count);
    for (size_t t = 0; t < count; t++) {
        if (targets[t].label >= LABELS_FIRST && a.place[targets[t].label] == 0) {
            set_label(&a, targets[t].label);
            emit_rules(&a, targets[t].rule);
        }
    }
    set_label(&a, ALLOW);
    emit(&a, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, NEXT, NEXT);
    set_label(&a, BREACH);
    emit(&a, BPF_RET | BPF_K, values->breach, NEXT, NEXT);
    set_label(&a, REFUSE);
    emit(&a, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES, NEXT, NEXT);
    set_label(&a, SIGNAL);
    emit(&a, BPF_RET | BPF_K, SECCOMP_RET_TRAP, NEXT, NEXT);
    set_label(&a, ASK);
    emit(&a, BPF_RET | BPF_K, can_ask() ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ERRNO | EACCES, NEXT, NEXT);
    resolve(&a);
}

void filter_build_wide(struct filter *filter, const struct filter_values *values)
{
    build(filter, &filter_wide, values);
}

void filter_build_narrow(struct filter *filter, const struct filter_values *values)
{
    build(filter, &filter_narrow, values);
}

bool filter_is_possible(void)
{
    return has_action(SECCOMP_RET_KILL_PROCESS);
}

#else

void filter_build_wide(struct filter *filter, const struct filter_values *values)
{
    (void)values;
    *filter = (struct filter){0};
}

void filter_build_narrow(struct filter *filter, const struct filter_values *values)
{
    filter_build_wide(filter, values);
}

bool filter_is_possible(void)
{
    return false;
}

#endif

bool filter_install(const struct filter *filter, int *answers)
{
    const struct sock_fprog program = {.len = filter->length,
                                       .filter = (struct sock_filter *)(uintptr_t)filter->code};

    if (answers != NULL) {
        *answers =
            (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
        if (*answers >= 0) {
            return true;
        }
    }
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}
