/* Tests of proxy.h: headers of both versions byte by byte, what is none, and whose address comes out. */
#include "crc32c.h"
#include "harness.h"
#include "proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xC0\x00\x02\x01\xC0\x00\x02\x02\x30\x39\x00\x50"
#define V6                                                             \
    "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" \
    "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08\x30\x39\x00\x50"

struct sample {
    const char *bytes;
    size_t length;
    const char *source; /* NULL: it does not say */
};

#define SAMPLE(literal, source)                 \
    {                                           \
        "" literal, sizeof(literal) - 1, source \
    }

static const char unix_paths[216] = "/run/client";

static const struct sample sound[] = {
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\r\n", "inet:192.0.2.1:12345"),
    SAMPLE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "inet:255.255.255.255:65535"),
    SAMPLE("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "inet:0.0.0.0:0"),
    SAMPLE("PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "inet:[2001:db8::7]:1"),
    SAMPLE(
        "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535"
        "\r\n",
        "inet:[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
    SAMPLE("PROXY UNKNOWN\r\n", NULL),
    SAMPLE("PROXY UNKNOWN any thing  at all\r\n", NULL),
    SAMPLE("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "65535 65535\r\n",
           NULL),
    SAMPLE(START "\x21\x11\x00\x0C" V4, "inet:192.0.2.1:12345"),
    SAMPLE(START "\x21\x21\x00\x24" V6, "inet:[2001:db8::7]:12345"),
    SAMPLE(START "\x21\x11\x00\x13" V4 "\x04\x00\x04pads", "inet:192.0.2.1:12345"),
    SAMPLE(START "\x21\x11\x00\x12" V4 "\x01\x00\x00\xEA\x00\x00", "inet:192.0.2.1:12345"),
    SAMPLE(START "\x20\x00\x00\x00", NULL),
    SAMPLE(START "\x20\x11\x00\x0C" V4, NULL),
    SAMPLE(START "\x20\xFF\x00\x02??", NULL),
    SAMPLE(START "\x21\x00\x00\x00", NULL),
    SAMPLE(START "\x21\x00\x00\x03???", NULL),
};

static const struct sample wrong[] = {
    SAMPLE("X", NULL),
    SAMPLE("proxy", NULL),
    SAMPLE("PROXY\r", NULL),
    SAMPLE("PROXY\t", NULL),
    SAMPLE("LOGIN alice secret\n", NULL),
    SAMPLE("\r\n\r\nX", NULL),
    SAMPLE("\r\n\r\n\r", NULL),
    SAMPLE("PROXY \r\n", NULL),
    SAMPLE("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", NULL),
    SAMPLE("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", NULL),
    SAMPLE("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", NULL),
    SAMPLE("PROXY TCP4\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1\r 192.0.2.2 1 2\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2.3 1 2\r\n", NULL),
    SAMPLE("PROXY TCP4 ::1 192.0.2.2 1 2\r\n", NULL),
    SAMPLE("PROXY TCP6 192.0.2.1 ::1 1 2\r\n", NULL),
    SAMPLE("PROXY TCP6 ::1%lo ::1 1 2\r\n", NULL),
    SAMPLE("PROXY TCP6 [::1] ::1 1 2\r\n", NULL),
    SAMPLE("PROXY TCP6 :::1 ::1 1 2\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 1 00\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 1 0x2\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\0\r\n", NULL),
    SAMPLE("PROXY TCP4 192.0.2.1\0", NULL),
    SAMPLE("PROXY UNKNOWNS\r\n", NULL),
    SAMPLE("PROXY UNKNOWN\0\r\n", NULL),
    SAMPLE(START "\x11", NULL),
    SAMPLE(START "\x22", NULL),
    SAMPLE(START "\x31", NULL),
    SAMPLE(START "\x21\x12\x00\x0C" V4, NULL),
    SAMPLE(START "\x21\x10\x00\x0C" V4, NULL),
    SAMPLE(START "\x21\x41\x00\x0C" V4, NULL),
    SAMPLE(START "\x21\x11\x00\x0B" V4, NULL),
    SAMPLE(START "\x21\x11\x00\x00", NULL),
    SAMPLE(START "\x21\x21\x00\x23" V6, NULL),
    SAMPLE(START "\x21\x31\x00\x0C" V4, NULL),
    SAMPLE(START "\x21\x11\x00\x0D" V4 "\x04", NULL),
    SAMPLE(START "\x21\x11\x00\x0E" V4 "\x04\x00", NULL),
    SAMPLE(START "\x21\x11\x00\x12" V4 "\x04\x00\x04pad", NULL),
    SAMPLE(START "\x21\x11\x00\x13" V4 "\x03\x00\x04\x00\x00\x00\x00", NULL),
    SAMPLE(START "\x21\x11\x00\x11" V4 "\x03\x00\x02\x00\x00", NULL),
    SAMPLE(START "\x21\x11\xFF\xFF", NULL),
    SAMPLE(START "\x21\x11\x0F\xF1", NULL),
};

/* From memory of exactly that size, so that a sanitizer sees a read beyond it. */
static enum proxy_step parse(const char *bytes, size_t length, struct proxy_header *header)
{
    char *exact = malloc(length + (length == 0));
    EXPECT(exact != NULL);
    memcpy(exact, bytes, length);
    enum proxy_step step = proxy_parse(exact, length, header);
    free(exact);
    return step;
}

static void expect_sound(const struct sample *sample)
{
    struct proxy_header header;
    char text[ADDRESS_TEXT_SIZE], more[1024];
    for (size_t part = 0; part < sample->length; part++) {
        if (parse(sample->bytes, part, &header) != PROXY_PART)
            harness_fail(__FILE__, __LINE__, "not a part: %zu bytes of %s", part, sample->bytes);
    }
    memcpy(more, sample->bytes, sample->length);
    memcpy(more + sample->length, "\0PROXY \r\n", 9);
    for (size_t length = sample->length; length < sample->length + 10; length++) {
        EXPECT_EQ(parse(more, length, &header), PROXY_WHOLE);
        EXPECT_EQ(header.length, sample->length);
        EXPECT_EQ(header.is_known, sample->source != NULL);
        if (sample->source != NULL) {
            address_print(&header.source, text);
            EXPECT_STR(text, sample->source);
        }
    }
}

static void every_header_is_read_at_its_last_byte(void)
{
    for (size_t i = 0; i < sizeof sound / sizeof sound[0]; i++)
        expect_sound(&sound[i]);
}

static void a_path_names_nobody(void)
{
    char bytes[16 + sizeof unix_paths];
    memcpy(bytes, START "\x21\x31\x00\xD8", 16);
    memcpy(bytes + 16, unix_paths, sizeof unix_paths);
    expect_sound(&(struct sample){bytes, sizeof bytes, NULL});
}

static void what_is_no_header_is_refused_however_it_goes_on(void)
{
    struct proxy_header header;
    char more[1024];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const struct sample *sample = &wrong[i];
        if (parse(sample->bytes, sample->length, &header) != PROXY_WRONG)
            harness_fail(__FILE__, __LINE__, "accepted, or waited for more: sample %zu: %s", i,
                         sample->bytes);
        memcpy(more, sample->bytes, sample->length);
        memset(more + sample->length, '\n', sizeof more - sample->length);
        EXPECT_EQ(parse(more, sizeof more, &header), PROXY_WRONG);
    }
}

static void a_line_has_at_most_107_bytes(void)
{
    struct proxy_header header;
    char line[PROXY_LINE_MAX + 2] = "PROXY UNKNOWN ";
    memset(line + 14, 'x', sizeof line - 14);
    memcpy(line + PROXY_LINE_MAX - 2, "\r\n", 2);
    EXPECT_EQ(parse(line, PROXY_LINE_MAX, &header), PROXY_WHOLE);
    memcpy(line + PROXY_LINE_MAX - 2, "x\r\n", 3);
    EXPECT_EQ(parse(line, PROXY_LINE_MAX - 1, &header), PROXY_PART);
    EXPECT_EQ(parse(line, PROXY_LINE_MAX, &header), PROXY_WRONG);
    EXPECT_EQ(parse(line, PROXY_LINE_MAX + 1, &header), PROXY_WRONG);
}

/* A header with a checksum behind a field and before another. */
static size_t summed_header(unsigned char bytes[64])
{
    static const char parts[] = START "\x21\x11\x00\x1A" V4 "\x05\x00\x01i\x03\x00\x04\0\0\0\0\x04\x00\x00";
    size_t length = sizeof parts - 1, at = 16 + 12 + 4 + 3;
    memcpy(bytes, parts, length);
    uint32_t sum = crc32c(0, bytes, length);
    for (size_t i = 0; i < 4; i++)
        bytes[at + i] = (unsigned char)(sum >> (24 - 8 * i));
    return length;
}

static void a_checksum_must_hold_over_every_bit(void)
{
    struct proxy_header header;
    unsigned char bytes[64];
    size_t length = summed_header(bytes);
    EXPECT_EQ(parse((char *)bytes, length, &header), PROXY_WHOLE);
    for (size_t bit = 128; bit < length * 8; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        /* Where the checksum's own field changes its type there is none any more. */
        bool is_type = bit / 8 == 16 + 12 + 4;
        EXPECT_EQ(parse((char *)bytes, length, &header), is_type ? PROXY_WHOLE : PROXY_WRONG);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

static void the_longest_header_is_read_and_no_longer_one(void)
{
    static char bytes[PROXY_HEADER_MAX + 1];
    struct proxy_header header;
    size_t rest = PROXY_HEADER_MAX - 16, field = rest - 12 - 3;
    memcpy(bytes, START "\x21\x11", 14);
    bytes[14] = (char)(rest >> 8);
    bytes[15] = (char)(rest & 0xff);
    memcpy(bytes + 16, V4, 12);
    bytes[28] = 0x04;
    bytes[29] = (char)(field >> 8);
    bytes[30] = (char)(field & 0xff);
    EXPECT_EQ(parse(bytes, PROXY_HEADER_MAX - 1, &header), PROXY_PART);
    EXPECT_EQ(parse(bytes, PROXY_HEADER_MAX, &header), PROXY_WHOLE);
    EXPECT_EQ(header.length, PROXY_HEADER_MAX);
    rest++;
    bytes[14] = (char)(rest >> 8);
    bytes[15] = (char)(rest & 0xff);
    EXPECT_EQ(parse(bytes, 16, &header), PROXY_WRONG);
}

static const struct harness_test tests[] = {
    {"every header is read at its last byte, and says whose address it is",
     every_header_is_read_at_its_last_byte},
    {"a path names nobody", a_path_names_nobody},
    {"what is no header is refused, however it goes on", what_is_no_header_is_refused_however_it_goes_on},
    {"a line has at most 107 bytes", a_line_has_at_most_107_bytes},
    {"a checksum must hold over every bit", a_checksum_must_hold_over_every_bit},
    {"the longest header is read, and no longer one", the_longest_header_is_read_and_no_longer_one},
};

HARNESS_MAIN(tests)
