/* test_buffer.c: what buffer.h promises: growth, the cap, and failures that change nothing. */
#include "buffer.h"
#include "harness.h"
#include "sanitized.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_bytes(const struct buffer *buffer, const char *bytes, size_t length)
{
    EXPECT_EQ(buffer->length, length);
    EXPECT(length == 0 || (buffer->bytes != NULL && memcmp(buffer->bytes, bytes, length) == 0));
}

static void appended_bytes_stay_in_order(void)
{
    struct buffer buffer = BUFFER_WITH_CAP(0);

    for (size_t i = 0; i < 100000; i++) {
        EXPECT(buffer_append_byte(&buffer, (char)(i % 251)));
    }
    EXPECT_EQ(buffer.length, 100000);
    for (size_t i = 0; i < buffer.length; i++) {
        EXPECT_EQ((unsigned char)buffer.bytes[i], i % 251);
    }
    buffer_free(&buffer);
}

static void nothing_can_be_appended(void)
{
    struct buffer buffer = BUFFER_WITH_CAP(0);

    EXPECT(buffer_append(&buffer, NULL, 0));
    EXPECT(buffer_append_text(&buffer, ""));
    EXPECT(buffer_print(&buffer, "%s", ""));
    EXPECT_EQ(buffer.length, 0);
    EXPECT(!buffer.failed);
    EXPECT(buffer_reserve(&buffer, 0) != NULL);
    buffer_free(&buffer);
}

static void a_cap_is_reached_but_not_passed(void)
{
    for (size_t cap = 1; cap < 200; cap++) {
        struct buffer buffer = BUFFER_WITH_CAP(cap);
        for (size_t i = 0; i < cap; i++) {
            EXPECT(buffer_append_byte(&buffer, 'x'));
        }
        EXPECT(!buffer.failed);
        EXPECT(!buffer_append_byte(&buffer, 'y'));
        EXPECT(buffer.failed);
        EXPECT_EQ(buffer.length, cap);
        EXPECT(buffer.capacity <= cap);
        buffer_free(&buffer);
    }
}

static void a_failure_changes_nothing_and_is_remembered(void)
{
    struct buffer buffer = BUFFER_WITH_CAP(8);

    EXPECT(buffer_append_text(&buffer, "12345"));
    EXPECT(!buffer_append_text(&buffer, "6789"));
    EXPECT(!buffer_print(&buffer, "%d", 6789));
    expect_bytes(&buffer, "12345", 5);
    EXPECT(buffer_append_text(&buffer, "678"));
    expect_bytes(&buffer, "12345678", 8);
    EXPECT(buffer.failed);
    buffer_clear(&buffer);
    EXPECT(!buffer.failed);
    EXPECT_EQ(buffer.length, 0);
    EXPECT(buffer_append_text(&buffer, "abcdefgh"));
    expect_bytes(&buffer, "abcdefgh", 8);
    buffer_free(&buffer);
}

static void lengths_do_not_wrap_around(void)
{
    struct buffer capped = BUFFER_WITH_CAP(100);
    struct buffer open = BUFFER_WITH_CAP(0);

    EXPECT(buffer_append_text(&capped, "x"));
    EXPECT(buffer_reserve(&capped, SIZE_MAX) == NULL);
    EXPECT(capped.failed);
    EXPECT(buffer_append_text(&open, "x"));
    EXPECT(buffer_reserve(&open, SIZE_MAX) == NULL);
    EXPECT(open.failed);
    expect_bytes(&open, "x", 1);
    buffer_free(&capped);
    buffer_free(&open);
}

static void printed_text_of_any_length_is_whole(void)
{
    char text[1024];

    memset(text, 'p', sizeof text);
    for (size_t length = 0; length < sizeof text; length++) {
        struct buffer buffer = BUFFER_WITH_CAP(length + 2);
        EXPECT(buffer_print(&buffer, "<%.*s>", (int)length, text));
        EXPECT_EQ(buffer.length, length + 2);
        EXPECT(buffer.bytes[0] == '<' && buffer.bytes[length + 1] == '>');
        EXPECT(memcmp(buffer.bytes + 1, text, length) == 0);
        buffer_free(&buffer);

        struct buffer narrow = BUFFER_WITH_CAP(length + 1);
        EXPECT(!buffer_print(&narrow, "<%.*s>", (int)length, text));
        EXPECT(narrow.failed);
        EXPECT_EQ(narrow.length, 0);
        buffer_free(&narrow);
    }
}

static void reserved_room_can_be_filled(void)
{
    struct buffer buffer = BUFFER_WITH_CAP(1000);

    EXPECT(buffer_append_text(&buffer, "head"));
    char *room = buffer_reserve(&buffer, 996);
    EXPECT(room != NULL);
    EXPECT_EQ(buffer.length, 4);
    memset(room, 'r', 996);
    buffer.length += 996;
    EXPECT(memcmp(buffer.bytes, "headrr", 6) == 0);
    EXPECT(buffer_reserve(&buffer, 0) == buffer.bytes + 1000);
    EXPECT(buffer_reserve(&buffer, 1) == NULL);
    buffer_free(&buffer);
}

static void consumed_bytes_leave_the_front(void)
{
    struct buffer buffer = BUFFER_WITH_CAP(0);

    buffer_consume(&buffer, 0);
    EXPECT(buffer_append_text(&buffer, "first second"));
    buffer_consume(&buffer, 0);
    expect_bytes(&buffer, "first second", 12);
    buffer_consume(&buffer, 6);
    expect_bytes(&buffer, "second", 6);
    buffer_consume(&buffer, 6);
    EXPECT_EQ(buffer.length, 0);
    EXPECT(buffer_append_text(&buffer, "third"));
    expect_bytes(&buffer, "third", 5);
    buffer_free(&buffer);
}

static void consuming_more_than_there_is_aborts(void)
{
    struct buffer buffer = BUFFER_WITH_CAP(0);
    int status;

    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        buffer_consume(&buffer, 1);
        _exit(0);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGABRT);
}

static void a_freed_buffer_is_empty_with_its_cap(void)
{
    struct buffer buffer = BUFFER_WITH_CAP(4);

    EXPECT(!buffer_append_text(&buffer, "12345"));
    EXPECT(buffer_append_text(&buffer, "1234"));
    buffer_free(&buffer);
    EXPECT(buffer.bytes == NULL);
    EXPECT_EQ(buffer.length, 0);
    EXPECT_EQ(buffer.capacity, 0);
    EXPECT_EQ(buffer.cap, 4);
    EXPECT(!buffer.failed);
    EXPECT(buffer_append_text(&buffer, "1234"));
    buffer_free(&buffer);
}

/* A sanitizer's allocator ends the process instead. */
static void want_of_memory_is_a_failure_that_changes_nothing(void)
{
    if (SANITIZED) {
        harness_skip("needs the C library's allocator");
    }
    struct buffer buffer = BUFFER_WITH_CAP(0);
    struct rlimit limit = {256u << 20, 256u << 20};

    EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
    EXPECT(buffer_append_text(&buffer, "kept"));
    EXPECT(buffer_reserve(&buffer, 512u << 20) == NULL);
    EXPECT(buffer.failed);
    expect_bytes(&buffer, "kept", 4);
    buffer_clear(&buffer);
    while (buffer_reserve(&buffer, 1u << 20) != NULL) {
        memset(buffer.bytes + buffer.length, 'm', 1u << 20);
        buffer.length += 1u << 20;
    }
    EXPECT(buffer.failed);
    EXPECT(buffer.length >= 32u << 20);
    EXPECT(buffer.bytes != NULL && buffer.bytes[buffer.length - 1] == 'm');
    buffer_free(&buffer);
}

static void a_borrowed_room_is_left_when_it_is_full(void)
{
    char room[8];
    struct buffer buffer = BUFFER_WITH_CAP(64);

    buffer_borrow(&buffer, room, sizeof room);
    for (size_t i = 0; i < 2; i++) {
        EXPECT(buffer_append(&buffer, "1234567", 7));
        EXPECT(buffer.bytes == room);
        buffer_clear(&buffer);
    }
    EXPECT(buffer_append(&buffer, "1234567", 7));
    EXPECT(buffer_append(&buffer, "89", 2));
    EXPECT(buffer.bytes != room && buffer.length == 9 && memcmp(buffer.bytes, "123456789", 9) == 0);
    memset(room, 'x', sizeof room);
    EXPECT(memcmp(buffer.bytes, "123456789", 9) == 0);
    while (buffer_append(&buffer, "x", 1)) {
    }
    EXPECT_EQ(buffer.length, 64);
    buffer_free(&buffer);
    buffer_borrow(&buffer, room, sizeof room);
    EXPECT(buffer_append(&buffer, "x", 1));
    buffer_free(&buffer);
    EXPECT(buffer.bytes == NULL && buffer.cap == 64);
}

static const struct harness_test tests[] = {
    {"appended bytes stay in order, however often the buffer grows", appended_bytes_stay_in_order},
    {"nothing can be appended", nothing_can_be_appended},
    {"a cap is reached but not passed", a_cap_is_reached_but_not_passed},
    {"a failure changes nothing and is remembered", a_failure_changes_nothing_and_is_remembered},
    {"lengths do not wrap around", lengths_do_not_wrap_around},
    {"printed text of any length is whole or not there", printed_text_of_any_length_is_whole},
    {"reserved room can be filled", reserved_room_can_be_filled},
    {"consumed bytes leave the front", consumed_bytes_leave_the_front},
    {"consuming more than there is aborts", consuming_more_than_there_is_aborts},
    {"a freed buffer is empty and keeps its cap", a_freed_buffer_is_empty_with_its_cap},
    {"want of memory is a failure that changes nothing", want_of_memory_is_a_failure_that_changes_nothing},
    {"a borrowed room is left when it is full", a_borrowed_room_is_left_when_it_is_full},
};

HARNESS_MAIN(tests)
