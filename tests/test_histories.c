/* test_histories.c: several processes work on the same mailboxes and queues at once, some are killed in the
 * middle, and what each was answered, and when, must be what a post office that does one thing at a time
 * could have answered. The checker itself is tried on histories made by hand.
 *
 * Each process interrupts itself at random instructions in the middle of operations, so that few processors
 * suffice for many interleavings, and some kill themselves there. */
#include "account.h"
#include "linearize.h"
#include "post_office.h"
#include "queue.h"
#include "sanitized.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    WORKERS_MAX = 4,
    COUNT_MIN = 8, /* operations of one worker */
    COUNT_MAX = 14,
    COUNT_END = 6,
    STEPS_MIN = 100,  /* instructions: about so many before an operation begins, */
    STEPS_MAX = 2000, /* and in the longest of them */
    TRAP_FLAG = 0x100,
    CHECK_EVERY = 20,
    LONG_SECONDS = 3600,
};

enum { HISTORIES = SANITIZED ? 200 : 1000, HISTORIES_LONG = SANITIZED ? 5000 : 100000 };

struct worker {
    uint32_t count, dies_from, rests_at;
    struct operation operations[COUNT_MAX]; /* those that were called stand in front */
};

static struct shared {
    uint32_t count, ready;
    struct worker workers[WORKERS_MAX];
} * shared;

static struct store *store;
static account_t boxes[BOXES];
static uint64_t random_state = 88172645463325252;
static int screen; /* where figures are shown also when all is well */

static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 11) % below;
}

/* ---- operations of a worker ---- */

static int64_t now(void)
{
    struct timespec time;
    EXPECT_EQ(clock_gettime(CLOCK_MONOTONIC, &time), 0);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Mostly short, sometimes of several blocks; the number stands in its first byte. */
static void write_letter(uint8_t letter)
{
    static char body[40000];
    size_t length = letter % 16 == 7 ? sizeof(body) : letter * 5u + 1;
    memset(body, letter, length);
    struct letter draft = {.body = body, .body_length = length};
    EXPECT_EQ(draft_write(store, &draft), STATUS_OK);
}

static struct held read_letter(struct message *message)
{
    struct message_cursor cursor = {0};
    const char *run;
    size_t length, done = 0;
    struct held held = {(uint8_t)message->id, 0};
    while (message_next(store, message, &cursor, &run, &length)) {
        held.letter = (uint8_t)run[0];
        for (size_t i = 0; i < length; i++)
            EXPECT_EQ((uint8_t)run[i], held.letter);
        done += length;
    }
    EXPECT_EQ(done, held.letter % 16 == 7 ? 40000 : held.letter * 5u + 1);
    return held;
}

static void read_letters(struct operation *operation, struct message *messages, size_t count)
{
    operation->count = (uint8_t)count;
    for (size_t i = 0; i < count; i++)
        operation->found[i] = read_letter(&messages[i]);
    message_release_all(store);
}

/* Interrupts itself after some instructions, by single steps where the processor can: to rest there, while
 * the others go on, or to die. */
static volatile sig_atomic_t steps_left;
static bool interrupted, lethal;

static void step(int signal_number, siginfo_t *info, void *context)
{
    const struct timespec rest = {.tv_nsec = 100000};
    (void)signal_number, (void)info;
    if (steps_left > 0 && --steps_left == 0) {
        if (lethal)
            (void)kill(getpid(), SIGKILL);
        (void)nanosleep(&rest, NULL);
    }
#if defined(__x86_64__)
    greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
    *flags = steps_left > 0 ? *flags | TRAP_FLAG : *flags & ~TRAP_FLAG;
#else
    (void)context;
#endif
}

/* As GETMSG asks: most often what it is told has been pinned by a request before. */
static enum status first(account_t box, struct message *message)
{
    return mailbox_first_again(store, box, message) ? STATUS_OK : mailbox_first(store, box, message);
}

/* Between the two times stands nothing but the operation. */
static void perform(struct operation *operation)
{
    static struct message messages[OPERATIONS_MAX];
    account_t box = boxes[operation->box];
    enum status status = STATUS_OK;
    message_id id = operation->id;
    uint64_t held = 0;
    size_t count = 0;
    if (operation->kind == APPEND || operation->kind == PUSH)
        write_letter(operation->letter);
    if (operation->kind == FIRST && draw(4) > 0) {
        const struct timespec others = {.tv_nsec = 50000};
        (void)mailbox_first(store, box, &messages[0]);
        (void)nanosleep(&others, NULL); /* may delete it */
    }
    if (interrupted) {
        steps_left = (sig_atomic_t)(STEPS_MIN + draw(STEPS_MAX - STEPS_MIN));
        EXPECT_EQ(raise(SIGTRAP), 0);
    }
    __atomic_store_n(&operation->called, now(), __ATOMIC_RELEASE);
    switch ((enum kind)operation->kind) {
    case APPEND:
        status = mailbox_append(store, box, &id);
        break;
    case FIRST:
        status = first(box, &messages[0]);
        break;
    case DELETE_FIRST:
        status = mailbox_delete_first(store, box);
        break;
    case DELETE:
        status = mailbox_delete(store, box, id);
        break;
    case OPEN:
        status = mailbox_open(store, box, id, &messages[0]);
        break;
    case COUNT:
        held = mailbox_count(store, box);
        break;
    case LIST:
        status =
            mailbox_list(store, box, operation->after, operation->newest, messages, operation->most, &count);
        break;
    case PUSH:
        status = queue_push(store, box);
        break;
    case STORE:
        status = queue_store(store, boxes[operation->sender], box, &id);
        break;
    case QUEUE:
        status = queue_list(store, box, messages, OPERATIONS_MAX, &count);
        break;
    case KINDS:
        break;
    }
    int64_t returned = now();
    steps_left = 0;
    operation->nothing = status == STATUS_NO_MESSAGE || status == STATUS_NOTHING_QUEUED;
    if (!operation->nothing)
        EXPECT_EQ(status, STATUS_OK);
    operation->id = (uint8_t)id;
    operation->count = (uint8_t)held;
    if (operation->kind == LIST || operation->kind == QUEUE)
        read_letters(operation, messages, count);
    if ((operation->kind == FIRST || operation->kind == OPEN) && !operation->nothing) {
        operation->id = (uint8_t)messages[0].id;
        operation->letter = read_letter(&messages[0]).letter;
        message_release(store, &messages[0]);
    }
    message_release_all(store);
    __atomic_store_n(&operation->returned, returned, __ATOMIC_RELEASE);
}

static void choose(struct operation *operation, uint8_t letter)
{
    static const uint8_t kinds[] = {APPEND, APPEND, APPEND, FIRST, DELETE_FIRST, DELETE_FIRST,
                                    DELETE, OPEN,   COUNT,  COUNT, LIST,         LIST,
                                    PUSH,   PUSH,   STORE,  STORE, QUEUE};
    operation->kind = kinds[draw(sizeof(kinds))];
    operation->box = draw(3) == 0;
    operation->sender = draw(3) == 0;
    operation->letter = operation->kind == APPEND || operation->kind == PUSH ? letter : 0;
    if (operation->kind == DELETE || operation->kind == OPEN)
        operation->id = (uint8_t)(1 + draw(8));
    if (operation->kind == LIST) {
        operation->after = (uint8_t)(draw(2) ? 0 : draw(6));
        operation->newest = (uint8_t)(draw(2) ? UINT8_MAX : operation->after + draw(6));
        operation->most = (uint8_t)(1 + draw(OPERATIONS_MAX));
    }
}

/* ---- a worker ---- */

static _Noreturn void work(struct worker *worker)
{
    struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};
    EXPECT_EQ(sigaction(SIGTRAP, &action, NULL), 0);
    random_state ^= (uint64_t)(worker - shared->workers + 1) * UINT64_C(0x9e3779b97f4a7c15);
    EXPECT_EQ(store_attach(store, "worker"), STATUS_OK);
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) < shared->count)
        (void)sched_yield();
    for (uint32_t i = 0; i < worker->count; i++) {
        choose(&worker->operations[i], (uint8_t)(1 + (uint32_t)(worker - shared->workers) * COUNT_MAX + i));
        lethal = i >= worker->dies_from && changes(&worker->operations[i]);
        interrupted = lethal || i == worker->rests_at;
        perform(&worker->operations[i]);
    }
    store_detach(store);
    _exit(0);
}

/* ---- a history ---- */

struct figures {
    uint64_t operations, killed, pending;
};

static void start_workers(void)
{
    uint32_t deaths = draw(4) == 0 ? 1 + draw(2) : 0;
    memset(shared, 0, sizeof(*shared));
    shared->count = 3 + draw(WORKERS_MAX - 2);
    for (uint32_t i = 0; i < shared->count; i++) {
        struct worker *worker = &shared->workers[i];
        worker->count = COUNT_MIN + draw(COUNT_MAX - COUNT_MIN + 1);
        worker->dies_from = i < deaths ? draw(worker->count) : UINT32_MAX;
        worker->rests_at = draw(8) == 0 ? draw(worker->count) : UINT32_MAX;
        pid_t pid = fork();
        EXPECT(pid >= 0);
        if (pid == 0)
            work(worker);
    }
}

static void end_workers(struct figures *figures)
{
    int status;
    for (uint32_t i = 0; i < shared->count; i++) {
        EXPECT(wait(&status) > 0);
        EXPECT(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
        if (status != 0) {
            figures->killed++;
            store_wake(store);
        }
    }
}

/* What is there when all is over, as operations of one more process. */
static unsigned add_end(struct operation *operations, unsigned count)
{
    static const uint8_t kinds[] = {COUNT, LIST, QUEUE};
    for (unsigned i = 0; i < COUNT_END; i++) {
        struct operation *operation = &operations[count++];
        *operation = (struct operation){
            .kind = kinds[i / BOXES], .box = i % BOXES, .newest = UINT8_MAX, .most = OPERATIONS_MAX};
        perform(operation);
    }
    return count;
}

static void show(const struct operation *operations, unsigned count)
{
    struct buffer out = {.cap = 0};
    int64_t zero = INT64_MAX;
    for (unsigned i = 0; i < count; i++)
        zero = operations[i].called < zero ? operations[i].called : zero;
    for (unsigned i = 0; i < count; i++)
        print_operation(&out, &operations[i], zero);
    printf("%.*s", (int)out.length, out.bytes);
    buffer_free(&out);
}

/* Near the order in which they happened, so that the search finds that soon. */
static int compare_calls(const void *left, const void *right)
{
    int64_t a = ((const struct operation *)left)->called;
    int64_t b = ((const struct operation *)right)->called;
    return (a > b) - (a < b);
}

static void expect_linearizable(struct figures *figures)
{
    static struct operation operations[OPERATIONS_MAX];
    unsigned count = 0;
    for (uint32_t i = 0; i < shared->count; i++) {
        const struct worker *worker = &shared->workers[i];
        for (uint32_t at = 0; at < worker->count && worker->operations[at].called != 0; at++) {
            figures->pending += worker->operations[at].returned == 0;
            operations[count++] = worker->operations[at];
        }
    }
    count = add_end(operations, count);
    figures->operations += count;
    qsort(operations, count, sizeof(operations[0]), compare_calls);
    enum verdict verdict = linearize(operations, count);
    if (verdict != LINEARIZABLE)
        show(operations, count);
    EXPECT_EQ(verdict, LINEARIZABLE);
}

static void open_mailboxes(uint32_t round)
{
    for (unsigned i = 0; i < BOXES; i++) {
        char name[32];
        int length = snprintf(name, sizeof(name), "box%u.%u", i, round);
        EXPECT_EQ(account_create(store, name, (size_t)length, NULL, &boxes[i], NULL), STATUS_OK);
    }
}

static void remove_mailboxes(uint32_t round)
{
    for (unsigned i = 0; i < BOXES; i++) {
        struct account_secret secret;
        char name[32];
        int length = snprintf(name, sizeof(name), "box%u.%u", i, round);
        EXPECT_EQ(account_secret(store, name, (size_t)length, &secret), STATUS_OK);
        EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
    }
}

static void every_history_is_linearizable(void)
{
    const uint32_t histories = getenv("SHMAIL_LONG") ? HISTORIES_LONG : HISTORIES;
    struct figures figures = {0};
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(shared != MAP_FAILED);
    store = attached_store(&(struct store_options){
        .segment_bytes = UINT64_C(64) << 20, .accounts = 1000, .slots = 64, .crypt_cost = 1});
    for (uint32_t round = 0; round < histories; round++) {
        open_mailboxes(round);
        start_workers();
        end_workers(&figures);
        expect_linearizable(&figures);
        remove_mailboxes(round);
        if (round % CHECK_EVERY == 0) {
            store_reclaim(store);
            EXPECT_CLEAN(store);
        }
    }
    dprintf(screen,
            "# %u histories, %llu operations, %llu processes killed, %llu in an operation; 0 violations\n",
            histories, (unsigned long long)figures.operations, (unsigned long long)figures.killed,
            (unsigned long long)figures.pending);
}

/* ---- the checker ---- */

/* NEVER: it did not return. */
#define AT(from, to) .called = (from), .returned = (to)
#define NEVER 0

static const struct by_hand {
    const char *what;
    enum verdict verdict;
    struct operation operations[6];
} by_hand[] = {
    {"one after the other",
     LINEARIZABLE,
     {{AT(1, 2), .kind = APPEND, .letter = 1, .id = 1},
      {AT(3, 4), .kind = APPEND, .letter = 2, .id = 2},
      {AT(5, 6), .kind = DELETE_FIRST},
      {AT(7, 8), .kind = FIRST, .letter = 2, .id = 2},
      {AT(9, 10), .kind = COUNT, .count = 1}}},
    {"first finds the second of two that came one after the other",
     NOT_LINEARIZABLE,
     {{AT(1, 2), .kind = APPEND, .letter = 1, .id = 1},
      {AT(3, 4), .kind = APPEND, .letter = 2, .id = 2},
      {AT(5, 6), .kind = FIRST, .letter = 2, .id = 2}}},
    {"two at once, in either order",
     LINEARIZABLE,
     {{AT(1, 4), .kind = APPEND, .letter = 1, .id = 2},
      {AT(2, 3), .kind = APPEND, .letter = 2, .id = 1},
      {AT(5, 6), .kind = FIRST, .letter = 2, .id = 1}}},
    {"the later one has the smaller id",
     NOT_LINEARIZABLE,
     {{AT(1, 2), .kind = APPEND, .letter = 1, .id = 2}, {AT(3, 4), .kind = APPEND, .letter = 2, .id = 1}}},
    {"an id is used again",
     NOT_LINEARIZABLE,
     {{AT(1, 2), .kind = APPEND, .letter = 1, .id = 1},
      {AT(3, 4), .kind = DELETE, .id = 1},
      {AT(5, 6), .kind = APPEND, .letter = 2, .id = 1}}},
    {"a message is gone that nobody deleted",
     NOT_LINEARIZABLE,
     {{AT(1, 2), .kind = APPEND, .letter = 1, .id = 1}, {AT(3, 4), .kind = OPEN, .id = 1, .nothing = 1}}},
    {"one message is deleted by two",
     NOT_LINEARIZABLE,
     {{AT(1, 2), .kind = APPEND, .letter = 1, .id = 1},
      {AT(3, 6), .kind = DELETE_FIRST},
      {AT(4, 5), .kind = DELETE, .id = 1}}},
    {"of two that delete one message one comes too late",
     LINEARIZABLE,
     {{AT(1, 2), .kind = APPEND, .letter = 1, .id = 1},
      {AT(3, 6), .kind = DELETE_FIRST, .nothing = 1},
      {AT(4, 5), .kind = DELETE, .id = 1}}},
    {"a message is read before it was sent",
     NOT_LINEARIZABLE,
     {{AT(1, 2), .kind = FIRST, .letter = 1, .id = 1}, {AT(3, 4), .kind = APPEND, .letter = 1, .id = 1}}},
    {"a count that is old",
     NOT_LINEARIZABLE,
     {{AT(1, 2), .kind = APPEND, .letter = 1, .id = 1}, {AT(3, 4), .kind = COUNT, .count = 0}}},
    {"a count in the middle of it",
     LINEARIZABLE,
     {{AT(1, 4), .kind = APPEND, .letter = 1, .id = 1}, {AT(2, 3), .kind = COUNT, .count = 0}}},
    {"a killed append that happened, one that did not, and one that happened late",
     LINEARIZABLE,
     {{AT(1, NEVER), .kind = APPEND, .letter = 1},
      {AT(2, NEVER), .kind = APPEND, .letter = 2},
      {AT(3, NEVER), .kind = APPEND, .letter = 3},
      {AT(4, 5), .kind = FIRST, .letter = 3, .id = 1},
      {AT(6, 7), .kind = COUNT, .count = 1},
      {AT(8, 9), .kind = LIST, .newest = 9, .most = 9, .count = 2, .found = {{1, 3}, {2, 1}}}}},
    {"a killed append that happened, and then did not",
     NOT_LINEARIZABLE,
     {{AT(1, NEVER), .kind = APPEND, .letter = 1},
      {AT(2, 3), .kind = COUNT, .count = 1},
      {AT(4, 5), .kind = COUNT, .count = 0}}},
    {"a killed append that happened before it was called",
     NOT_LINEARIZABLE,
     {{AT(1, 2), .kind = COUNT, .count = 1}, {AT(3, NEVER), .kind = APPEND, .letter = 1}}},
    {"a killed deletion that happened twice",
     NOT_LINEARIZABLE,
     {{AT(1, 2), .kind = APPEND, .letter = 1, .id = 1},
      {AT(3, 4), .kind = APPEND, .letter = 2, .id = 2},
      {AT(5, NEVER), .kind = DELETE_FIRST},
      {AT(6, 7), .kind = COUNT, .count = 0}}},
    {"a list that is not of one instant",
     NOT_LINEARIZABLE,
     {{AT(1, 2), .kind = APPEND, .letter = 1, .id = 1},
      {AT(3, 9), .kind = LIST, .newest = 9, .most = 9, .count = 2, .found = {{1, 1}, {2, 2}}},
      {AT(4, 5), .kind = DELETE, .id = 1},
      {AT(6, 7), .kind = APPEND, .letter = 2, .id = 2}}},
    {"a list within its bounds",
     LINEARIZABLE,
     {{AT(1, 2), .kind = APPEND, .letter = 1, .id = 1},
      {AT(3, 4), .kind = APPEND, .letter = 2, .id = 2},
      {AT(5, 6), .kind = APPEND, .letter = 3, .id = 3},
      {AT(7, 8), .kind = LIST, .after = 1, .newest = 3, .most = 1, .count = 1, .found = {{2, 2}}}}},
    {"the newest that was queued is stored, elsewhere",
     LINEARIZABLE,
     {{AT(1, 2), .kind = PUSH, .letter = 1},
      {AT(3, 4), .kind = PUSH, .letter = 2},
      {AT(5, 6), .kind = STORE, .box = 1, .id = 1},
      {AT(7, 8), .kind = FIRST, .box = 1, .letter = 2, .id = 1},
      {AT(9, 10), .kind = QUEUE, .count = 1, .found = {{0, 1}}}}},
    {"a killed store lost what it moved",
     NOT_LINEARIZABLE,
     {{AT(1, 2), .kind = PUSH, .letter = 1},
      {AT(3, NEVER), .kind = STORE, .box = 1},
      {AT(5, 6), .kind = QUEUE, .count = 0},
      {AT(7, 8), .kind = COUNT, .box = 1, .count = 0}}},
    {"a store gave what is still queued",
     NOT_LINEARIZABLE,
     {{AT(1, 2), .kind = PUSH, .letter = 1},
      {AT(3, 4), .kind = STORE, .box = 1, .id = 1},
      {AT(5, 6), .kind = QUEUE, .count = 1, .found = {{0, 1}}}}},
};

static void the_checker_knows_what_is_linearizable(void)
{
    for (size_t i = 0; i < sizeof(by_hand) / sizeof(by_hand[0]); i++) {
        unsigned count = 0;
        while (count < 6 && by_hand[i].operations[count].called != 0)
            count++;
        if (linearize(by_hand[i].operations, count) != by_hand[i].verdict)
            harness_fail(__FILE__, __LINE__, "%s: not judged as it should be", by_hand[i].what);
    }
}

static struct harness_test tests[] = {
    {"the checker knows what is linearizable", the_checker_knows_what_is_linearizable},
    {"every history is linearizable, kills included", every_history_is_linearizable, 120},
};

int main(int argc, char **argv)
{
    screen = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    if (getenv("SHMAIL_LONG"))
        tests[1].limit = LONG_SECONDS;
    return harness_main(argc, argv, tests, sizeof(tests) / sizeof(tests)[0]);
}
