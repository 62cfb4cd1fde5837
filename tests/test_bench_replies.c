/* What the bench asks in each protocol, and that it takes one reply only: each verb's reply is given byte by
 * byte, and with each of its bytes changed. */
#include "bench_lane.h"

#include <endian.h>

/* In request and reply, %T is the text of the message that is there, %N that of the next one, %C the cookie,
 * and %L the length of all that follows, in four bytes. In a reply, '7' may be any digit. */
struct row {
    const char *speech, *verb;
    unsigned held; /* messages: 1, 2, or 0 where all have gone */
    const char *request;
    size_t request_length;
    const char *reply;
    size_t reply_length;
};

#define BYTES(literal) (literal), sizeof(literal) - 1
#define MAIL(id, text)                                                                           \
    "{\"id\": " id                                                                               \
    ", \"source\": \"m0@bench.test\", \"destination\": \"m0@bench.test\", \"header\": \"bench\"" \
    ", \"text\": \"" text "\"}"
#define NO_MAIL "\xFF\xFF\xFF\xFE%L\"Mail with such index does not exist\""
#define KEY "$2\r\nm0\r\n"

static const struct row rows[] = {
    {"smsp", "NOOP", 1, BYTES("NOOP\n"), BYTES("OK\n")},
    {"smsp", "COUNT", 1, BYTES("COUNT m0 %C\n"), BYTES("COUNTED 1\n")},
    {"smsp", "COUNT", 0, BYTES("COUNT m0 %C\n"), BYTES("COUNTED 0\n")},
    {"smsp", "SEND", 1, BYTES("SEND m0 %N %C\n"), BYTES("OK 3\n")},
    {"smsp", "STORE", 1, BYTES("MESSAGE %N %C\nSTORE m0 %C\n"), BYTES("OK\nOK\n")},
    {"smsp", "GETMSG", 1, BYTES("GETMSG m0 %C\n"), BYTES("%T\n")},
    {"smsp", "GETMSG", 0, BYTES("GETMSG m0 %C\n"), BYTES("KO\n")},
    {"smsp", "FETCH", 1, BYTES("FETCH m0 2 %C\n"), BYTES("OK 20\n%T\n")},
    {"smsp", "FETCH", 0, BYTES("FETCH m0 0 %C\n"), BYTES("KO\n")},
    {"smsp", "LIST", 1, BYTES("LIST m0 %C\n"), BYTES("OK 1\n2 20 7777777777 m0 %T\n")},
    {"smsp", "LIST", 2, BYTES("LIST m0 %C\n"), BYTES("OK 2\n2 20 7777777777 m0 %T\n3 20 7777777777 m0 %N\n")},
    {"smsp", "LIST", 0, BYTES("LIST m0 %C\n"), BYTES("OK 0\n")},
    {"smsp", "DELMSG", 1, BYTES("DELMSG m0 %C\n"), BYTES("OK\n")},
    {"smsp", "DELMSG", 0, BYTES("DELMSG m0 %C\n"), BYTES("KO\n")},
    {"smsp-nul", "COUNT", 1, BYTES("COUNT m0 %C\0"), BYTES("COUNTED 1\0")},
    {"smsp-nul", "STORE", 1, BYTES("MESSAGE %N %C\0STORE m0 %C\0"), BYTES("OK\0OK\0")},
    {"smsp-nul", "FETCH", 1, BYTES("FETCH m0 2 %C\0"), BYTES("OK 20\0%T\0")},
    {"message", "WAIT", 1, BYTES("\0\0\0\6%L{\"count\": 0, \"timeout\": 1}"), BYTES("\0\0\0\0%L\"OK\"")},
    {"message", "SEND", false,
     BYTES("\0\0\0\1%L{\"to\": \"m0@bench.test\", \"header\": \"bench\", \"text\": \"%N\"}"),
     BYTES("\0\0\0\0%L\"OK\"")},
    {"message", "OPEN", 1, BYTES("\0\0\0\3%L{\"index\": \"2\"}"), BYTES("\0\0\0\3%L" MAIL("2", "%T"))},
    {"message", "OPEN", 0, BYTES("\0\0\0\3%L{\"index\": \"0\"}"), BYTES(NO_MAIL)},
    {"message", "MAILBOX", 1, BYTES("\0\0\0\2%Lnull"), BYTES("\0\0\0\2%L[" MAIL("2", "%T") "]")},
    {"message", "MAILBOX", 2, BYTES("\0\0\0\2%Lnull"),
     BYTES("\0\0\0\2%L[" MAIL("2", "%T") ", " MAIL("3", "%N") "]")},
    {"message", "MAILBOX", 0, BYTES("\0\0\0\2%Lnull"), BYTES("\0\0\0\2%L[]")},
    {"message", "DEL", 1, BYTES("\0\0\0\4%L{\"index\": \"2\"}"), BYTES("\0\0\0\0%L\"OK\"")},
    {"message", "DEL", 0, BYTES("\0\0\0\4%L{\"index\": \"3\"}"), BYTES(NO_MAIL)},
    {"redis", "LLEN", 1, BYTES("*2\r\n$4\r\nLLEN\r\n" KEY), BYTES(":1\r\n")},
    {"redis", "LPUSH", 1, BYTES("*3\r\n$5\r\nLPUSH\r\n" KEY "$20\r\n%N\r\n"), BYTES(":2\r\n")},
    {"redis", "LRANGE", 1, BYTES("*4\r\n$6\r\nLRANGE\r\n" KEY "$1\r\n0\r\n$1\r\n0\r\n"),
     BYTES("*1\r\n$20\r\n%T\r\n")},
    {"redis", "LRANGE", 0, BYTES("*4\r\n$6\r\nLRANGE\r\n" KEY "$1\r\n0\r\n$1\r\n0\r\n"), BYTES("*0\r\n")},
    {"redis", "RPOP", 1, BYTES("*2\r\n$4\r\nRPOP\r\n" KEY), BYTES("$20\r\n%T\r\n")},
    {"redis", "RPOP", 0, BYTES("*2\r\n$4\r\nRPOP\r\n" KEY), BYTES("$-1\r\n")},
    {"beanstalkd", "USED", 1, BYTES("list-tube-used\r\n"), BYTES("USING m0\r\n")},
    {"beanstalkd", "PUT", 1, BYTES("put 0 0 60 20\r\n%N\r\n"), BYTES("INSERTED 7\r\n")},
    {"beanstalkd", "PEEK", 1, BYTES("peek-ready\r\n"), BYTES("FOUND 7 20\r\n%T\r\n")},
    {"beanstalkd", "PEEK", 0, BYTES("peek-ready\r\n"), BYTES("NOT_FOUND\r\n")},
    {"echo", "ECHO", 1, BYTES("%N\n"), BYTES("%N\n")},
};

enum { EXPANDED_MOST = 512 };

/* Writes what a row's bytes stand for, and returns how many those are. */
static size_t expand(const struct bench_lane *bench, const char *bytes, size_t length, char *out)
{
    char *at = out, *counted = NULL;

    for (size_t i = 0; i < length; i++) {
        char what = bytes[i] == '%' ? bytes[++i] : '\0';
        if (what == 'T' || what == 'N') {
            mailbox_text(&bench->book, &bench->book.mailboxes[0], what == 'T' ? 1 : 2, at);
            at += TEXT_SIZE;
        } else if (what == 'C') {
            memcpy(at, COOKIE, COOKIE_TEXT);
            at += COOKIE_TEXT;
        } else if (what == 'L') {
            counted = at;
            at += 4;
        } else {
            *at++ = bytes[i];
        }
    }
    if (counted != NULL) {
        uint32_t rest = htobe32((uint32_t)(at - counted - 4));
        memcpy(counted, &rest, sizeof rest);
    }
    return (size_t)(at - out);
}

/* Asks what the row asks, and expands its reply. */
static size_t row_begin(struct bench_lane *bench, const struct row *row, char *reply)
{
    bench_open(bench, row->speech, 1);
    mailbox_adopt(&bench->book.mailboxes[0], row->held > 0 ? 1 : 2, row->held);
    bench_ask(bench, row->verb);
    return expand(bench, row->reply, row->reply_length, reply);
}

static void for_each_row(void (*test)(struct bench_lane *, const struct row *, const char *, size_t))
{
    static struct bench_lane bench;
    char reply[EXPANDED_MOST];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t length = row_begin(&bench, &rows[i], reply);
        test(&bench, &rows[i], reply, length);
        bench_close(&bench);
    }
}

static void expect_verdict(struct bench_lane *bench, const struct row *row, const char *reply, size_t length,
                           enum verdict expected)
{
    enum verdict verdict = bench_judge(bench, reply, length);

    if (verdict != expected) {
        harness_fail(__FILE__, __LINE__, "%s %s: verdict %d, not %d, on %zu bytes: %.*s", row->speech,
                     row->verb, (int)verdict, (int)expected, length, (int)length, reply);
    }
}

static void expect_request(struct bench_lane *bench, const struct row *row, const char *reply, size_t length)
{
    char request[EXPANDED_MOST];
    size_t request_length = expand(bench, row->request, row->request_length, request);
    const struct buffer *out = &bench->lane.out;

    (void)reply;
    (void)length;
    if (out->length != request_length || memcmp(out->bytes, request, request_length) != 0) {
        harness_fail(__FILE__, __LINE__, "%s %s asks: %.*s", row->speech, row->verb, (int)out->length,
                     out->bytes);
    }
}

static void test_requests(void)
{
    for_each_row(expect_request);
}

static void expect_whole_at_its_end(struct bench_lane *bench, const struct row *row, const char *reply,
                                    size_t length)
{
    for (size_t part = 1; part < length; part++) {
        expect_verdict(bench, row, reply, part, REPLY_CUT);
    }
    expect_verdict(bench, row, reply, length, REPLY_WHOLE);
}

static void test_cut(void)
{
    for_each_row(expect_whole_at_its_end);
}

/* Also that a change in the first bytes shows at once: else a short wrong reply would be waited for. */
static void expect_each_byte_to_count(struct bench_lane *bench, const struct row *row, const char *reply,
                                      size_t length)
{
    char changed[EXPANDED_MOST];

    for (size_t i = 0; i < length; i++) {
        if (reply[i] == '7') {
            continue;
        }
        memcpy(changed, reply, length);
        changed[i] ^= 1;
        expect_verdict(bench, row, changed, length, REPLY_WRONG);
    }
    changed[0] = (char)(reply[0] ^ 1);
    expect_verdict(bench, row, changed, 1, REPLY_WRONG);
}

static void test_changed(void)
{
    for_each_row(expect_each_byte_to_count);
}

static const struct harness_test tests[] = {
    {"each verb asks what the protocol says, to the byte", test_requests},
    {"a reply that comes byte by byte is right at its last byte, and not before", test_cut},
    {"a reply with any one byte changed is wrong", test_changed},
};

HARNESS_MAIN(tests)
