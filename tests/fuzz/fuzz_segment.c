/* fuzz_segment.c: a segment that was scribbled over, for whoever opens, checks, mends or lists it. An input
 * is a list of scribbles on a sound post office, in which a dead process has left a draft, a pin and a name.
 *
 * It is refused, or opened; a suspect one is attached to and checked without harm. If the check finds
 * nothing, every message can be read, and mail delivered and deleted. What a repair makes is sound. */
#include "still.h"
#include "workplace.h"

#include "account.h"
#include "layout.h"
#include "mailbox.h"
#include "mailbox_record.h"
#include "process.h"
#include "queue.h"
#include "segment_tools.h"

#include <glob.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum {
    SEGMENT = 62 * PAGE,
    SCRIBBLES = 40,
    OPERATIONS = 7, /* kinds of scribble */
};

static char office[64];      /* its name */
static char object[80];      /* and its file's */
static char *sound;          /* its bytes before any scribble */
static struct store *layout; /* where its tables are; not to be used otherwise */

static const struct store_options options = {
    .name = office, .segment_bytes = SEGMENT, .accounts = 20, .slots = 4, .sessions_per_account = 2};

static struct store *open_office(bool must_exist)
{
    struct store_options wanted = {.name = office, .must_exist = true};
    struct store *store;
    char why[512] = "";
    enum status status = store_open(&store, must_exist ? &wanted : &options, why, sizeof(why));
    EXPECT((status == STATUS_OK) == (store != NULL) && (store || why[0]));
    return store;
}

static void close_office(struct store *store)
{
    char aside[64];
    if (store)
        EXPECT(store_set_aside(&store, NULL, aside, sizeof(aside)) == STATUS_OK);
}

/* ---- the sound one ---- */

static void deliver(struct store *store, account_t to, const char *subject, const char *body, size_t length)
{
    struct letter letter = {.sender = "bob",
                            .sender_length = 3,
                            .subject = subject,
                            .subject_length = strlen(subject),
                            .body = body,
                            .body_length = length};
    message_id id;
    EXPECT(draft_write(store, &letter) == STATUS_OK);
    EXPECT((*subject == '?' ? queue_push(store, to) : mailbox_append(store, to, &id)) == STATUS_OK);
}

static void fill(struct store *store)
{
    static char body[40000];
    struct cookie cookie;
    account_t accounts[4];
    memset(body, 'x', sizeof(body));
    for (int i = 0; i < 4; i++) {
        char name[] = "account0";
        name[7] = (char)('0' + i);
        EXPECT(account_create(store, name, 8, i % 2 ? NULL : "hash", &accounts[i], &cookie) == STATUS_OK);
        for (int j = 0; j < 3 + 65 * (i == 0); j++)
            deliver(store, accounts[i], j ? "" : "subject", body, j == 2 ? sizeof(body) : 30);
        deliver(store, accounts[i], "? queued", body, 20000);
        deliver(store, accounts[i], "? queued", body, 20);
    }
    struct account_secret secret;
    EXPECT(account_secret(store, "account3", 8, &secret) == STATUS_OK);
    EXPECT(account_remove(store, &secret) == STATUS_OK);
    EXPECT(mailbox_delete(store, accounts[0], 2) == STATUS_OK);
}

/* Leaves what a killed process leaves. */
static _Noreturn void die_within(struct store *store)
{
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = "draft", .body_length = 5};
    struct message message;
    struct account_secret secret;
    EXPECT(store_attach(store, "to die") == STATUS_OK);
    EXPECT(account_secret(store, "account1", 8, &secret) == STATUS_OK);
    EXPECT(account_enter(store, &secret) == STATUS_OK);
    EXPECT(mailbox_first(store, secret.account, &message) == STATUS_OK);
    EXPECT(mailbox_delete_first(store, secret.account) == STATUS_OK);
    EXPECT(draft_write(store, &letter) == STATUS_OK);
    _exit(0);
}

static void make_sound(void)
{
    int status;
    snprintf(office, sizeof(office), "%s", fuzz_name());
    snprintf(object, sizeof(object), "/shmail-%s", office);
    workplace_begin();
    struct store *store = open_office(false);
    EXPECT(store && store_attach(store, "fuzz") == STATUS_OK);
    fill(store);
    pid_t pid = fork();
    if (pid == 0)
        die_within(store);
    EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    store_detach(store);
    sound = malloc(SEGMENT);
    EXPECT(sound != NULL);
    memcpy(sound, store->base, SEGMENT);
    layout = store;
    EXPECT(shm_unlink(object) == 0);
}

/* ---- scribbles ---- */

struct region {
    uint64_t offset;
    uint32_t words;
};

static struct region region_of(uint8_t which)
{
    const struct {
        const void *start;
        size_t size;
    } regions[] = {
        {layout->header, offsetof(struct header, slot_map)},
        {&layout->header->slot_map[0], sizeof(uint64_t)},
        {&layout->header->owner, sizeof(struct header) - offsetof(struct header, owner)},
        {layout->reserved, 16},
        {slot_at(layout, 0), 4 * sizeof(struct slot)},
        {layout->name_buckets, 64 * sizeof(uint32_t)},
        {layout->cookie_buckets[0], 64 * sizeof(uint32_t)},
        {account_at(layout, 0), 8 * sizeof(struct account_record)},
        {session_at(layout, 0), 8 * sizeof(struct session_record)},
        {layout->pages, 20 * sizeof(struct page_record)},
        {layout->base + layout->arena, (size_t)20 * PAGE},
        {layout->waits, 4 * sizeof(uint64_t)},
    };
    size_t count = sizeof(regions) / sizeof(regions[0]);
    const char *start = regions[which % count].start;
    return (struct region){(uint64_t)(start - layout->base), (uint32_t)(regions[which % count].size / 4)};
}

static void scribble(struct recipe *recipe, char *bytes)
{
    uint8_t how = recipe_byte(recipe);
    struct region region = region_of(how & 15);
    uint64_t at = region.offset + recipe_number(recipe, 3) % region.words * 4;
    uint32_t word;
    uint64_t wide;
    memcpy(&word, bytes + at, sizeof(word));
    switch ((how >> 4) % OPERATIONS) {
    case 0:
        word = (uint32_t)recipe_number(recipe, 4);
        break;
    case 1:
        word = (uint32_t)(int8_t)recipe_byte(recipe);
        break;
    case 2:
        word = (uint32_t)((int64_t)word + (int8_t)recipe_byte(recipe));
        break;
    case 3:
        word ^= UINT32_C(1) << recipe_byte(recipe) % 32;
        break;
    case 4: /* a block reference, as likely as not to a block */
        word = (uint32_t)((layout->arena + recipe_number(recipe, 2) % (20 * PAGE / 16) * 16) / UNIT);
        break;
    case 5:
        wide = recipe_number(recipe, 8);
        memcpy(bytes + at, &wide, at + sizeof(wide) <= SEGMENT ? sizeof(wide) : sizeof(word));
        return;
    default: /* what stands elsewhere */
        memcpy(&word, bytes + region.offset + recipe_number(recipe, 2) % region.words * 4, sizeof(word));
        break;
    }
    memcpy(bytes + at, &word, sizeof(word));
}

static void make_object(struct recipe *recipe)
{
    static char bytes[SEGMENT];
    uint64_t units = layout->reserved[0];
    memcpy(bytes, sound, SEGMENT);
    for (int i = 0; i < SCRIBBLES && recipe->left > 0; i++)
        scribble(recipe, bytes);
    int fd = shm_open(object, O_RDWR | O_CREAT | O_EXCL, 0600);
    EXPECT(fd >= 0 && ftruncate(fd, SEGMENT) == 0);
    for (; units; units &= units - 1) {
        off_t at = (off_t)__builtin_ctzll(units) * PAGE;
        EXPECT(pwrite(fd, bytes + at, PAGE, at) == PAGE);
    }
    close(fd);
}

/* ---- what must hold ---- */

static void count(void *context, const char *finding)
{
    EXPECT(*finding);
    ++*(size_t *)context;
}

static void complain(void *context, const char *finding)
{
    (void)context;
    fprintf(stderr, "check: %s\n", finding);
}

static void read_message(struct store *store, const struct message *message)
{
    struct message_cursor cursor = {0};
    const char *run;
    size_t length, total = 0;
    volatile char last = 0;
    while (message_next(store, message, &cursor, &run, &length)) {
        last = length > 0 ? run[length - 1] : last;
        total += length;
    }
    EXPECT(total == message->body_length);
}

static bool use_account(void *context, account_t account, const char *name)
{
    struct store *store = context;
    struct message messages[PINS_MAX];
    struct account_secret secret;
    uint64_t after = 0;
    size_t found;
    EXPECT(account_secret(store, name, strlen(name), &secret) == STATUS_OK);
    do {
        EXPECT(mailbox_list(store, account, after, UINT64_MAX, messages, PINS_MAX, &found) == STATUS_OK);
        for (size_t i = 0; i < found; i++)
            read_message(store, &messages[i]);
        after = found > 0 ? messages[found - 1].id : after;
        message_release_all(store);
    } while (found > 0);
    EXPECT(queue_list(store, account, messages, PINS_MAX, &found) == STATUS_OK);
    for (size_t i = 0; i < found; i++)
        read_message(store, &messages[i]);
    message_release_all(store);
    return true;
}

/* Reads everything, then changes something everywhere. */
static void use(struct store *store)
{
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = "more", .body_length = 4};
    static const char *const names[] = {"account0", "account1", "account2", "new"};
    account_t account;
    message_id id;
    account_each(store, use_account, store);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (account_find(store, names[i], strlen(names[i]), &account) != STATUS_OK &&
            account_create(store, names[i], strlen(names[i]), NULL, &account, NULL) != STATUS_OK)
            continue;
        EXPECT(draft_write(store, &letter) == STATUS_OK);
        if (mailbox_append(store, account, &id) != STATUS_OK)
            draft_drop(store);
        (void)mailbox_delete_first(store, account);
        if (queue_count(store, account) > 0)
            queue_drop(store, account);
    }
    EXPECT(store_check(store, complain, NULL) == 0);
}

/* As a server or shmailctl looks at a post office in which somebody has crashed. */
static void look(void)
{
    struct store *store = open_office(true);
    struct store_figures figures;
    struct store_process process;
    uint32_t slot = 0;
    size_t findings = 0;
    if (!store)
        return;
    if (!store_is_suspect(store))
        store_suspect(store);
    store_figures(store, &figures);
    if (store_attach(store, "check") == STATUS_OK) {
        while (store_next_process(store, &slot, &process))
            EXPECT(slot <= figures.slots_most);
        if (store_acquit(store, count, &findings) == STATUS_OK) {
            store_reclaim(store);
            use(store);
        }
        EXPECT((findings > 0) == store_is_suspect(store));
        store_detach(store);
    }
    close_office(store);
}

static void ignore(void *context, enum report_kind kind, const char *text)
{
    (void)context;
    EXPECT(kind < REPORT_KINDS && *text);
}

static void repair(void)
{
    struct report report = {.say = ignore};
    char why[512] = "";
    enum status status = segment_repair(office, NULL, &report, why, sizeof(why));
    if (status != STATUS_OK) {
        EXPECT(why[0]);
        return;
    }
    struct store *store = open_office(true);
    EXPECT(store && store_attach(store, "check") == STATUS_OK);
    if (report_findings(&report) > 0) {
        EXPECT(store_check(store, complain, NULL) == 0);
        use(store);
    }
    store_detach(store);
    close_office(store);
}

/* The object, and what a repair has put aside. */
static void forget(void)
{
    glob_t found;
    char pattern[sizeof(object) + 16];
    snprintf(pattern, sizeof(pattern), "/dev/shm%s*", object);
    if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            unlink(found.gl_pathv[i]);
        globfree(&found);
    }
    workplace_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct recipe recipe = {bytes, length};
    if (!sound)
        make_sound();
    still_begin();
    bool mends = recipe_byte(&recipe) % 2 == 1;
    int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    EXPECT(home >= 0 && chdir(workplace) == 0); /* exports go there */
    make_object(&recipe);
    if (mends)
        repair();
    else
        look();
    forget();
    EXPECT(fchdir(home) == 0);
    close(home);
    return 0;
}
