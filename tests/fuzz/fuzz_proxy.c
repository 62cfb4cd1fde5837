/* fuzz_proxy.c: any bytes as the header of a proxy. The first byte of an input says whether the checksum of
 * version 2 is to be put right; the rest is what came. However it is cut, the answer must be the same as soon
 * as there is one; a line must be what its own address prints as, and a binary header what its bytes say. */
#include "fuzz.h"

#include "crc32c.h"
#include "proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

enum { ROOM = 8192, START = 16, FIELD_CHECKSUM = 3 };

/* A copy of its own length, so that a byte read beyond is seen. */
static enum proxy_step parse(const uint8_t *bytes, size_t length, struct proxy_header *header)
{
    char *copy = malloc(length > 0 ? length : 1);
    EXPECT(copy != NULL);
    memcpy(copy, bytes, length);
    enum proxy_step step = proxy_parse(copy, length, header);
    free(copy);
    return step;
}

/* Where the first checksum's four bytes are in a binary header behind addresses of that size; 0: nowhere. */
static size_t find_checksum(const uint8_t *bytes, size_t length)
{
    static const size_t sizes[] = {0, 12, 36, 216};
    if (length < START || bytes[13] >> 4 > 3)
        return 0;
    for (size_t at = START + sizes[bytes[13] >> 4]; at + 7 <= length;) {
        size_t size = (size_t)bytes[at + 1] << 8 | bytes[at + 2];
        if (bytes[at] == FIELD_CHECKSUM)
            return size == 4 ? at + 3 : 0;
        at += 3 + size;
    }
    return 0;
}

static void put_sum(uint8_t *bytes, size_t length)
{
    size_t whole = length < START ? 0 : START + ((size_t)bytes[14] << 8 | bytes[15]);
    size_t at = whole <= length ? find_checksum(bytes, whole) : 0;
    if (at == 0)
        return;
    memset(bytes + at, 0, 4);
    uint32_t sum = htonl(crc32c(0, bytes, whole));
    memcpy(bytes + at, &sum, sizeof(sum));
}

/* Less of it must not have another answer. */
static void expect_same_when_cut(const uint8_t *bytes, size_t length, enum proxy_step step, size_t whole)
{
    struct proxy_header header;
    size_t last = step == PROXY_WHOLE ? whole : length;
    bool wrong = false;
    for (size_t part = 0; part <= length && part <= PROXY_HEADER_MAX + 16; part += part < 300 ? 1 : 97) {
        enum proxy_step now = parse(bytes, part, &header);
        EXPECT(now != PROXY_WRONG || step == PROXY_WRONG);
        EXPECT(now == PROXY_WRONG || !wrong);
        EXPECT(now != PROXY_PART || part < last || step == PROXY_PART);
        EXPECT(now != PROXY_WHOLE || (step == PROXY_WHOLE && part >= whole && header.length == whole));
        wrong = now == PROXY_WRONG;
    }
}

/* What the words of a line say, as far as the address has one form only. */
static void expect_line(const uint8_t *bytes, const struct proxy_header *header)
{
    char line[PROXY_LINE_MAX + 1], host[INET6_ADDRSTRLEN], again[INET6_ADDRSTRLEN], expected[128];
    const struct sockaddr_in *inet = (const void *)&header->source.socket;
    const struct sockaddr_in6 *inet6 = (const void *)&header->source.socket;
    bool is_four = inet->sin_family == AF_INET;
    unsigned port = ntohs(is_four ? inet->sin_port : inet6->sin6_port);
    struct in6_addr address;
    EXPECT(header->length <= PROXY_LINE_MAX && bytes[header->length - 2] == '\r' &&
           bytes[header->length - 1] == '\n');
    memcpy(line, bytes, header->length);
    line[header->length] = '\0';
    EXPECT(sscanf(line, "PROXY %*[TCP46] %45s ", host) == 1);
    EXPECT(inet_pton(is_four ? AF_INET : AF_INET6, host, &address) == 1);
    EXPECT(memcmp(&address, is_four ? (const void *)&inet->sin_addr : (const void *)&inet6->sin6_addr,
                  is_four ? 4 : 16) == 0);
    EXPECT(inet_ntop(is_four ? AF_INET : AF_INET6, &address, again, sizeof(again)) != NULL);
    EXPECT(!is_four || strcmp(host, again) == 0);
    snprintf(expected, sizeof(expected), "PROXY TCP%d %s ", is_four ? 4 : 6, host);
    EXPECT(strncmp(line, expected, strlen(expected)) == 0);
    snprintf(expected, sizeof(expected), " %u ", port);
    EXPECT(strstr(line + strlen("PROXY TCP4 ") + strlen(host) + 1, expected) != NULL);
}

static void expect_binary(const uint8_t *bytes, const struct proxy_header *header)
{
    const struct sockaddr_in *inet = (const void *)&header->source.socket;
    const struct sockaddr_in6 *inet6 = (const void *)&header->source.socket;
    EXPECT(bytes[12] == 0x21 && (bytes[13] == 0x11 || bytes[13] == 0x21));
    EXPECT(header->length == START + ((size_t)bytes[14] << 8 | bytes[15]));
    if (bytes[13] == 0x11) {
        EXPECT(header->source.length == sizeof(*inet) && inet->sin_family == AF_INET);
        EXPECT(memcmp(&inet->sin_addr, bytes + START, 4) == 0 &&
               memcmp(&inet->sin_port, bytes + START + 8, 2) == 0);
    } else {
        EXPECT(header->source.length == sizeof(*inet6) && inet6->sin6_family == AF_INET6);
        EXPECT(memcmp(&inet6->sin6_addr, bytes + START, 16) == 0 &&
               memcmp(&inet6->sin6_port, bytes + START + 32, 2) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static uint8_t came[ROOM];
    struct proxy_header header;
    if (length == 0 || length > ROOM)
        return 0;
    memcpy(came, bytes + 1, --length);
    if (bytes[0] % 2 == 1)
        put_sum(came, length);
    enum proxy_step step = parse(came, length, &header);
    if (step == PROXY_WHOLE) {
        EXPECT(header.length > 0 && header.length <= length && header.length <= PROXY_HEADER_MAX);
        if (header.is_known && came[0] == 'P')
            expect_line(came, &header);
        else if (header.is_known)
            expect_binary(came, &header);
    }
    EXPECT(step != PROXY_PART || length < PROXY_HEADER_MAX);
    expect_same_when_cut(came, length, step, header.length);
    return 0;
}
