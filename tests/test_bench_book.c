/* What the bench knows of its mailboxes: exactly where one lane has one for itself, within bounds where
 * several share one; and the texts of messages. */
#include "bench_lane.h"
#include "random.h"

static void expect_counts(struct bench_lane *bench, const struct request *request, uint64_t least,
                          uint64_t most)
{
    uint64_t low, high;

    mailbox_counts(&bench->book, request, &low, &high);
    EXPECT_EQ(low, least);
    EXPECT_EQ(high, most);
}

static void test_count_exact(void)
{
    struct bench_lane bench;
    struct request count = {0}, other = {0};

    bench_open(&bench, "smsp", 1);
    struct mailbox *mailbox = count.mailbox = other.mailbox = &bench.book.mailboxes[0];
    mailbox_ask_append(mailbox, &other);
    mailbox_ask_count(&bench.book, mailbox, &count);
    mailbox_ask_append(mailbox, &other);
    mailbox_ask_removal(&bench.book, mailbox, &other);
    expect_counts(&bench, &count, 2, 2);
    mailbox_ask_count(&bench.book, mailbox, &count);
    expect_counts(&bench, &count, 2, 2);
    mailbox_ask_removal(&bench.book, mailbox, &other);
    mailbox_ask_removal(&bench.book, mailbox, &other);
    mailbox_ask_removal(&bench.book, mailbox, &other);
    EXPECT(!mailbox_may_have(&bench.book, &other));
    mailbox_ask_count(&bench.book, mailbox, &count);
    expect_counts(&bench, &count, 0, 0);
    bench_close(&bench);
}

/* A store as the server's, to which requests come in an order that the bench does not see. */
static void test_count_shared(void)
{
    enum { LANES = 8, TURNS = 20000 };
    struct bench_lane bench;
    struct {
        struct request request;
        enum { FREE, APPEND, REMOVE, COUNT } what;
        bool done, had;
        int turn; /* when it was asked */
        uint64_t told;
    } lanes[LANES] = {0};
    uint64_t held = 1;

    bench_open(&bench, "smsp", LANES);
    bench.book.takes = true;
    struct mailbox *mailbox = &bench.book.mailboxes[0];
    for (int i = 0; i < TURNS; i++) {
        size_t lane = pick(LANES);
        struct request *request = &lanes[lane].request;
        if (lanes[lane].what == FREE) {
            *request = (struct request){.mailbox = mailbox};
            lanes[lane].what = APPEND + pick(3);
            lanes[lane].done = false;
            lanes[lane].turn = i;
            if (lanes[lane].what == APPEND) {
                mailbox_ask_append(mailbox, request);
            } else if (lanes[lane].what == REMOVE) {
                mailbox_ask_removal(&bench.book, mailbox, request);
            } else {
                mailbox_ask_count(&bench.book, mailbox, request);
            }
        } else if (!lanes[lane].done) {
            lanes[lane].done = true;
            lanes[lane].told = held;
            lanes[lane].had = held > 0;
            held += lanes[lane].what == APPEND;
            held -= lanes[lane].what == REMOVE && held > 0;
        } else {
            if (lanes[lane].what == APPEND) {
                mailbox_know_append(mailbox);
            } else if (lanes[lane].what == REMOVE) {
                EXPECT(lanes[lane].had ? mailbox_may_have(&bench.book, request)
                                       : mailbox_may_lack(&bench.book, request));
                mailbox_know_removal(&bench.book, mailbox, lanes[lane].had);
            } else {
                uint64_t least, most;
                mailbox_counts(&bench.book, request, &least, &most);
                EXPECT(lanes[lane].told >= least);
                EXPECT(lanes[lane].told <= most);
                EXPECT(most - least <= (uint64_t)(i - lanes[lane].turn) + LANES);
            }
            lanes[lane].what = FREE;
        }
    }
    bench_close(&bench);
}

static void test_empty_shared(void)
{
    struct bench_lane bench;
    struct request request = {0};

    bench_open(&bench, "smsp", 2);
    request.mailbox = &bench.book.mailboxes[0];
    mailbox_ask_first(&bench.book, request.mailbox, &request);
    EXPECT(mailbox_may_have(&bench.book, &request));
    EXPECT(!mailbox_may_lack(&bench.book, &request));
    bench_close(&bench);
}

static bool fits(struct bench_lane *bench, uint64_t number, const char *text, size_t length)
{
    struct request request = {.mailbox = &bench->book.mailboxes[0], .low = number, .high = number + 1};

    return mailbox_text_fits(&bench->book, &request, text, length);
}

static void test_texts_differ(void)
{
    struct bench_lane bench;
    char text[TEXT_SIZE + 1] = "", other[TEXT_SIZE + 1] = "";
    uint64_t number;

    bench_open(&bench, "smsp", 1);
    struct mailbox second = bench.book.mailboxes[0];
    second.number++;
    mailbox_text(&bench.book, &bench.book.mailboxes[0], 0x12AB34CD, text);
    EXPECT_EQ(memcmp(text, "0000000012ab34cd", TEXT_STAMP), 0);
    EXPECT(fits(&bench, 0x12AB34CD, text, TEXT_SIZE));
    EXPECT(!fits(&bench, 0x12AB34CE, text, TEXT_SIZE));
    EXPECT(mailbox_text_number(&bench.book, &bench.book.mailboxes[0], text, &number));
    EXPECT_EQ(number, 0x12AB34CD);
    EXPECT(!mailbox_text_number(&bench.book, &second, text, &number));
    mailbox_text(&bench.book, &second, 0x12AB34CD, other);
    EXPECT(!fits(&bench, 0x12AB34CD, other, TEXT_SIZE));
    bench_close(&bench);
}

static void test_text_in_any_size(void)
{
    struct bench_lane bench;
    char text[64];

    for (size_t size = 1; size < sizeof text; size++) {
        bench_open(&bench, "smsp", 1);
        mailbox_book_close(&bench.book);
        bench.plan.size = size;
        EXPECT(mailbox_book_open(&bench.book, &bench.plan, 0));
        mailbox_text(&bench.book, &bench.book.mailboxes[0], 9, text);
        for (size_t length = 0; length <= size; length++) {
            EXPECT(fits(&bench, 9, text, length));
        }
        text[size - 1] ^= 1;
        EXPECT(!fits(&bench, 9, text, size));
        bench_close(&bench);
    }
}

static void test_shares(void)
{
    struct plan plan = {.connections = 7, .mailboxes = 11, .processes = 3, .size = 1, .prefix = "m"};
    unsigned seen[11] = {0};

    for (unsigned process = 0; process < plan.processes; process++) {
        struct mailbox_book book;
        EXPECT(mailbox_book_open(&book, &plan, process));
        EXPECT(book.count >= (plan.connections - process + plan.processes - 1) / plan.processes);
        for (uint32_t i = 0; i < book.count; i++) {
            seen[book.mailboxes[i].number]++;
        }
        mailbox_book_close(&book);
    }
    for (size_t i = 0; i < 11; i++) {
        EXPECT_EQ(seen[i], 1);
    }
}

static const struct harness_test tests[] = {
    {"the count of a mailbox that one lane has for itself is known exactly, whatever is asked after it",
     test_count_exact},
    {"the count of a shared mailbox is within its bounds in any order, and they are as narrow as what is under way",
     test_count_shared},
    {"a shared mailbox from which nothing is removed is never empty", test_empty_shared},
    {"no two messages have one text, and a text tells its number", test_texts_differ},
    {"a text of any size is recognised in any part, and not with a byte changed", test_text_in_any_size},
    {"several processes share the mailboxes, each to one of them, enough for their connections", test_shares},
};

HARNESS_MAIN(tests)
