/* proxy.c: reads one PROXY header, of either version, from bytes in memory. In come bytes of whoever could
 * connect, out goes an address or a refusal. It reads no socket and knows no deadline.
 *
 * The sections are those of "The PROXY protocol, versions 1 & 2" (HAProxy, 2020). */
#include "proxy.h"

#include "crc32c.h"
#include "number.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

enum {
    START_SIZE = 16, /* of version 2, before the addresses (section 2.2) */
    VERSION_2 = 0x20,
    COMMAND_LOCAL = 0,
    COMMAND_PROXY = 1,
    OVER_STREAM = 1, /* the low half of the byte that says how the addresses look */
    FAMILY_UNSPEC = 0x00,
    FAMILY_INET = 0x10,
    FAMILY_INET6 = 0x20,
    FAMILY_UNIX = 0x30,
    INET_SIZE = 12,
    INET6_SIZE = 36,
    UNIX_SIZE = 216,
    FIELD_START = 3, /* bytes before the value of a further field: its type and length (section 2.2.1) */
    FIELD_CHECKSUM = 0x03, /* section 2.2.3 */
};

static const char line_start[] = "PROXY ";
static const char binary_start[] = "\r\n\r\n\0\r\nQUIT\n"; /* its own NUL is part of no header */

enum { LINE_START = sizeof line_start - 1, BINARY_START = sizeof binary_start - 1 };

static bool begins(const char *bytes, size_t length, const char *start, size_t start_length)
{
    return memcmp(bytes, start, length < start_length ? length : start_length) == 0;
}

static void set_inet(struct address *address, const void *host, uint16_t port)
{
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_port = port};

    memcpy(&inet.sin_addr, host, sizeof inet.sin_addr);
    address->length = sizeof inet;
    memcpy(&address->socket, &inet, sizeof inet);
}

static void set_inet6(struct address *address, const void *host, uint16_t port)
{
    struct sockaddr_in6 inet6 = {.sin6_family = AF_INET6, .sin6_port = port};

    memcpy(&inet6.sin6_addr, host, sizeof inet6.sin6_addr);
    address->length = sizeof inet6;
    memcpy(&address->socket, &inet6, sizeof inet6);
}

/* ---- version 1: PROXY TCP4 SOURCE DESTINATION PORT PORT ---- */

/* Cuts off the next word: the space behind it, or the end of the line. */
static bool cut_word(const char **text, char *word, size_t size)
{
    size_t length = strcspn(*text, " ");

    if (length == 0 || length >= size) {
        return false;
    }
    memcpy(word, *text, length);
    word[length] = '\0';
    *text += length + ((*text)[length] == ' ');
    return true;
}

static bool parse_port(const char *word, uint16_t *port)
{
    uint64_t number = 0;

    if (!number_parse(word, strlen(word), UINT16_MAX, &number) || (word[0] == '0' && word[1] != '\0')) {
        return false;
    }
    *port = htons((uint16_t)number);
    return true;
}

static bool parse_words(const char *text, struct proxy_header *header)
{
    char family[sizeof "UNKNOWN"], source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    char ports[2][sizeof "65535"];
    struct in6_addr host, other;
    uint16_t port, other_port;

    if (!cut_word(&text, family, sizeof family)) {
        return false;
    }
    if (strcmp(family, "UNKNOWN") == 0) {
        return true; /* and whatever follows is to be ignored */
    }
    int kind = strcmp(family, "TCP4") == 0 ? AF_INET : AF_INET6;
    if ((kind == AF_INET6 && strcmp(family, "TCP6") != 0) || !cut_word(&text, source, sizeof source) ||
        !cut_word(&text, destination, sizeof destination) || !cut_word(&text, ports[0], sizeof ports[0])) {
        return false;
    }
    /* The last word ends the line, with no space behind it. */
    bool last = strchr(text, ' ') == NULL && cut_word(&text, ports[1], sizeof ports[1]) && *text == '\0';
    if (!last || inet_pton(kind, source, &host) != 1 || inet_pton(kind, destination, &other) != 1 ||
        !parse_port(ports[0], &port) || !parse_port(ports[1], &other_port)) {
        return false;
    }
    header->is_known = true;
    if (kind == AF_INET) {
        set_inet(&header->source, &host, port);
    } else {
        set_inet6(&header->source, &host, port);
    }
    return true;
}

static enum proxy_step parse_line(const char *bytes, size_t length, struct proxy_header *header)
{
    char line[PROXY_LINE_MAX + 1];
    size_t shown = length < PROXY_LINE_MAX ? length : PROXY_LINE_MAX;
    const char *end = memchr(bytes, '\n', shown);

    if (end == NULL) {
        return shown == PROXY_LINE_MAX || memchr(bytes, '\0', shown) != NULL ? PROXY_WRONG : PROXY_PART;
    }
    size_t text = (size_t)(end - bytes) - 1; /* without CR LF */
    if (text < LINE_START || bytes[text] != '\r' || memchr(bytes, '\0', text) != NULL ||
        memchr(bytes, '\r', text) != NULL) {
        return PROXY_WRONG;
    }
    memcpy(line, bytes, text);
    line[text] = '\0';
    header->length = text + 2;
    return parse_words(line + LINE_START, header) ? PROXY_WHOLE : PROXY_WRONG;
}

/* ---- version 2: a start, addresses, further fields ---- */

static size_t get_16(const unsigned char *bytes)
{
    return (size_t)bytes[0] << 8 | bytes[1];
}

static uint32_t get_32(const unsigned char *bytes)
{
    return (uint32_t)(get_16(bytes) << 16 | get_16(bytes + 2));
}

/* The checksum is over the whole header with its own four bytes as zero. */
static bool sum_holds(const unsigned char *header, size_t length, size_t at)
{
    static const unsigned char zero[4];
    uint32_t sum = crc32c(0, header, at);

    sum = crc32c(sum, zero, sizeof zero);
    sum = crc32c(sum, header + at + sizeof zero, length - at - sizeof zero);
    return sum == get_32(header + at);
}

static bool fields_hold(const unsigned char *header, size_t length, size_t at)
{
    bool summed = false;

    while (at < length) {
        if (length - at < FIELD_START || length - at - FIELD_START < get_16(header + at + 1)) {
            return false;
        }
        size_t size = get_16(header + at + 1);
        if (header[at] == FIELD_CHECKSUM) {
            if (summed || size != sizeof(uint32_t) || !sum_holds(header, length, at + FIELD_START)) {
                return false;
            }
            summed = true;
        }
        at += FIELD_START + size;
    }
    return true;
}

/* Fills in the source and sets *size to the bytes that both addresses take. */
static bool parse_addresses(const unsigned char *header, size_t length, struct proxy_header *result,
                            size_t *size)
{
    const unsigned char *addresses = header + START_SIZE;
    uint16_t port;

    result->is_known = true;
    switch (header[13]) {
    case FAMILY_UNSPEC:
        result->is_known = false;
        *size = length - START_SIZE; /* of no known form: all of it is to be passed over */
        return true;
    case FAMILY_INET | OVER_STREAM:
        *size = INET_SIZE;
        break;
    case FAMILY_INET6 | OVER_STREAM:
        *size = INET6_SIZE;
        break;
    case FAMILY_UNIX | OVER_STREAM:
        result->is_known = false; /* a path tells nobody from another */
        *size = UNIX_SIZE;
        break;
    default:
        return false;
    }
    if (length - START_SIZE < *size) {
        return false;
    }
    if (*size == INET_SIZE) {
        memcpy(&port, addresses + 8, sizeof port);
        set_inet(&result->source, addresses, port);
    } else if (*size == INET6_SIZE) {
        memcpy(&port, addresses + 32, sizeof port);
        set_inet6(&result->source, addresses, port);
    }
    return true;
}

static enum proxy_step parse_binary(const char *bytes, size_t length, struct proxy_header *result)
{
    const unsigned char *header = (const unsigned char *)bytes;
    size_t addresses = 0;

    if (length > 12 && header[12] != (VERSION_2 | COMMAND_LOCAL) &&
        header[12] != (VERSION_2 | COMMAND_PROXY)) {
        return PROXY_WRONG;
    }
    if (length < START_SIZE) {
        return PROXY_PART;
    }
    result->length = START_SIZE + get_16(header + 14);
    if (result->length > PROXY_HEADER_MAX) {
        return PROXY_WRONG;
    }
    if (length < result->length) {
        return PROXY_PART;
    }
    if (header[12] == (VERSION_2 | COMMAND_LOCAL)) {
        return PROXY_WHOLE; /* whatever it says besides is to be discarded */
    }
    return parse_addresses(header, result->length, result, &addresses) &&
                   fields_hold(header, result->length, START_SIZE + addresses)
               ? PROXY_WHOLE
               : PROXY_WRONG;
}

enum proxy_step proxy_parse(const char *bytes, size_t length, struct proxy_header *header)
{
    *header = (struct proxy_header){.is_known = false};
    if (begins(bytes, length, line_start, LINE_START)) {
        return parse_line(bytes, length, header);
    }
    if (begins(bytes, length, binary_start, BINARY_START)) {
        return parse_binary(bytes, length, header);
    }
    return PROXY_WRONG;
}
