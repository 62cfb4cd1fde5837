/* fuzz_journal.c: a journal directory of any bytes, for the server and for the tools. An input is a recipe
 * for two files (journal_recipe.h), with sound checksums unless it asks for others.
 *
 * A server must refuse them, and then has changed no byte, or come to a sound store that is the same after it
 * was written to and recovered once more. The check writes nothing, and finds nothing only where the server
 * starts; after a repair the server starts. */
#include "journal_recipe.h"
#include "still.h"
#include "workplace.h"

#include "account.h"
#include "journal_tools.h"
#include "layout.h"
#include "mailbox.h"
#include "queue.h"

enum { JOURNAL_BYTES = 96 << 10, ACCOUNTS = 40 };

static const char *const names[2] = {"journal.0", "journal.1"};
static struct journal_recipe made;

static void put_files(void)
{
    for (int i = 0; i < 2; i++) {
        int file = open(workplace_path(names[i]), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        EXPECT(file >= 0 && write(file, made.bytes[i], made.size[i]) == (ssize_t)made.size[i]);
        close(file);
    }
}

static void expect_unchanged(void)
{
    static uint8_t now[RECIPE_ROOM + 1];
    for (int i = 0; i < 2; i++) {
        int file = open(workplace_path(names[i]), O_RDONLY | O_CLOEXEC);
        EXPECT(file >= 0 && read(file, now, sizeof(now)) == (ssize_t)made.size[i]);
        EXPECT(memcmp(now, made.bytes[i], made.size[i]) == 0);
        close(file);
    }
}

static void complain(void *context, const char *finding)
{
    (void)context;
    fprintf(stderr, "check: %s\n", finding);
}

static struct store *begin(enum status *status)
{
    const struct store_options options = {.directory = workplace,
                                          .journal_bytes = JOURNAL_BYTES,
                                          .segment_bytes = UINT64_C(62) * PAGE,
                                          .accounts = ACCOUNTS,
                                          .slots = 3};
    struct store *store;
    char why[512] = "";
    *status = store_open(&store, &options, why, sizeof(why));
    EXPECT((*status == STATUS_OK) == (store != NULL) && (store != NULL || why[0] != '\0'));
    EXPECT(!strchr(why, '\n'));
    if (store) {
        EXPECT(store_attach(store, "fuzz") == STATUS_OK);
        EXPECT(store_check(store, complain, NULL) == 0);
    }
    return store;
}

static void end(struct store *store)
{
    char aside[64];
    EXPECT(store_settle(store) == STATUS_OK);
    store_detach(store);
    EXPECT(store_set_aside(&store, NULL, aside, sizeof(aside)) == STATUS_OK);
}

/* ---- what a store holds, as one number ---- */

struct sum {
    struct store *store;
    uint64_t value;
    account_t some; /* an account, if there is one */
};

static void add(struct sum *sum, const void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum->value = (sum->value ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
}

static void add_message(struct sum *sum, const struct message *message)
{
    struct message_cursor cursor = {0};
    const char *run;
    size_t length;
    add(sum, &message->id, sizeof(message->id));
    add(sum, &message->received, sizeof(message->received));
    add(sum, message->sender, message->sender_length);
    add(sum, message->subject, message->subject_length);
    while (message_next(sum->store, message, &cursor, &run, &length))
        add(sum, run, length);
}

static bool add_account(void *context, account_t account, const char *name)
{
    struct sum *sum = context;
    struct message messages[PINS_MAX];
    struct account_secret secret;
    uint64_t after = 0, newest = mailbox_newest(sum->store, account), count;
    size_t found = 1;
    EXPECT(account_secret(sum->store, name, strlen(name), &secret) == STATUS_OK);
    add(sum, name, strlen(name) + 1);
    add(sum, secret.hash, strlen(secret.hash) + 1);
    add(sum, &newest, sizeof(newest));
    for (count = 0; found > 0; count += found) {
        EXPECT(mailbox_list(sum->store, account, after, newest, messages, PINS_MAX, &found) == STATUS_OK);
        for (size_t i = 0; i < found; i++)
            add_message(sum, &messages[i]);
        after = found > 0 ? messages[found - 1].id : after;
        message_release_all(sum->store);
    }
    EXPECT(count == mailbox_count(sum->store, account));
    EXPECT(queue_list(sum->store, account, messages, PINS_MAX, &found) == STATUS_OK);
    for (size_t i = 0; i < found; i++)
        add_message(sum, &messages[i]);
    message_release_all(sum->store);
    sum->some = account;
    return true;
}

static struct sum sum_of(struct store *store)
{
    struct sum sum = {.store = store};
    account_each(store, add_account, &sum);
    return sum;
}

/* ---- what must hold ---- */

/* A message more, where there is room. */
static void write_to(struct store *store, account_t account)
{
    struct letter letter = {.sender = "fuzz", .sender_length = 4, .body = "more", .body_length = 4};
    message_id id;
    if (account.index == 0)
        return;
    enum status status = draft_write(store, &letter);
    if (status == STATUS_OK)
        status = mailbox_append(store, account, &id);
    EXPECT(status == STATUS_OK || status == STATUS_FULL_SEGMENT || status == STATUS_FULL_JOURNAL ||
           (status == STATUS_FULL_MAILBOX && mailbox_newest(store, account) == ID_MOST - 1));
    draft_drop(store);
}

/* Writes, ends, and begins again: all is there. */
static void expect_recovers(struct store *store)
{
    enum status status;
    write_to(store, sum_of(store).some);
    uint64_t before = sum_of(store).value;
    end(store);
    store = begin(&status);
    EXPECT(status == STATUS_OK && sum_of(store).value == before);
    end(store);
}

/* True: served, or there is only no room for it. */
static bool serve(bool is_made)
{
    enum status status;
    struct store *store = begin(&status);
    if (store)
        expect_recovers(store);
    else if (is_made)
        expect_unchanged();
    return status == STATUS_OK || status == STATUS_FULL_ACCOUNTS || status == STATUS_FULL_SEGMENT;
}

static void ignore(void *context, enum report_kind kind, const char *text)
{
    (void)context;
    EXPECT(kind < REPORT_KINDS && *text);
}

static void ignore_bytes(void *context, const char *bytes, size_t length)
{
    (void)bytes;
    *(size_t *)context += length;
}

static void print_all(void)
{
    size_t printed = 0;
    const struct journal_sink sink = {ignore_bytes, &printed};
    char why[512] = "";
    bool damaged;
    if (journal_print(workplace, NULL, true, &sink, &damaged, why, sizeof(why)) != STATUS_OK)
        EXPECT(why[0]);
    for (int i = 0; i < 2; i++)
        if (journal_print(workplace, names[i], true, &sink, &damaged, why, sizeof(why)) != STATUS_OK)
            EXPECT(why[0]);
}

/* True: nothing was found. */
static bool check_finds_nothing(void)
{
    struct report report = {.say = ignore};
    char why[512] = "";
    enum status status = journal_check(workplace, &report, why, sizeof(why));
    EXPECT(status == STATUS_OK || why[0]);
    return status == STATUS_OK && report_findings(&report) == 0;
}

static void repair(void)
{
    struct report report = {.say = ignore};
    char why[512] = "";
    enum status status = journal_repair(workplace, &report, why, sizeof(why));
    if (status != STATUS_OK) {
        EXPECT(why[0]);
        expect_unchanged();
    } else {
        EXPECT(check_finds_nothing());
        EXPECT(serve(false));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct recipe recipe = {bytes, length};
    still_begin();
    workplace_begin();
    uint8_t mode = recipe_byte(&recipe);
    bool with_tools = mode & 1;
    journal_make(&recipe, &made);
    put_files();
    if (mode & 2)
        print_all();
    bool sound = with_tools && check_finds_nothing();
    expect_unchanged();
    bool served = serve(true);
    EXPECT(served || !sound);
    if (with_tools) {
        put_files();
        repair();
    }
    workplace_clear();
    return 0;
}
