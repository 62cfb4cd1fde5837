/* Tests of address.h: texts that are addresses, texts that are none, and what is printed of them. */
#include "address.h"
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* Parses, looks up and prints; the only address of a text that is numeric or a path. */
static void expect_printed(const char *text, const char *expected)
{
    struct address_name name;
    struct address found[ADDRESS_FOUND_MAX];
    char printed[ADDRESS_TEXT_SIZE];
    const char *why = NULL;

    if (!address_parse(text, &name, &why)) {
        harness_fail(__FILE__, __LINE__, "%s: refused: %s", text, why);
    }
    if (address_find(&name, found, &why) != 1) {
        harness_fail(__FILE__, __LINE__, "%s: not one address: %s", text, why != NULL ? why : "more");
    }
    address_print(&found[0], printed);
    EXPECT_STR(printed, expected);
}

static void the_port_stands_after_the_last_colon(void)
{
    expect_printed("inet:127.0.0.1:8887", "inet:127.0.0.1:8887");
    expect_printed("inet:0.0.0.0:0", "inet:0.0.0.0:0");
    expect_printed("inet:::1:25", "inet:[::1]:25");
    expect_printed("inet:[::1]:25", "inet:[::1]:25");
    expect_printed("inet::::65535", "inet:[::]:65535");
    expect_printed("inet:2001:db8::7:80", "inet:[2001:db8::7]:80");
    expect_printed("inet:127.0.0.1:0080", "inet:127.0.0.1:80");
}

static void a_path_may_hold_anything_that_fits_a_socket(void)
{
    char text[128], path[109];

    expect_printed("unix:/run/shmail.sock", "unix:/run/shmail.sock");
    expect_printed("unix:a b:c", "unix:a b:c");
    memset(path, 'x', sizeof path - 1);
    path[107] = '\0';
    (void)snprintf(text, sizeof text, "unix:%s", path);
    expect_printed(text, text);
}

static void what_is_no_address_is_refused_with_a_reason(void)
{
    static const char *const bad[] = {
        "",
        "inet",
        "inet:",
        "inet:127.0.0.1",
        "inet::80",
        "inet:127.0.0.1:",
        "inet:127.0.0.1:65536",
        "inet:127.0.0.1:-1",
        "inet:127.0.0.1:+1",
        "inet:127.0.0.1: 1",
        "inet:127.0.0.1:8x",
        "inet:127.0.0.1:http",
        "inet:127.0.0.1:99999999999999999999",
        "inet:[]:80",
        "inet:[127.0.0.1]:80",
        "inet:[::1:80",
        "inet:::1]:80",
        "inet:a b:80",
        "inet:a/b:80",
        "inet:a\n:80",
        "unix:",
        "unix",
        "tcp:127.0.0.1:80",
        "127.0.0.1:80",
        "INET:127.0.0.1:80",
    };
    char text[512];
    struct address_name name;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *why = NULL;
        if (address_parse(bad[i], &name, &why)) {
            harness_fail(__FILE__, __LINE__, "taken: %s", bad[i]);
        }
        EXPECT(why != NULL && why[0] != '\0');
    }
    const char *why;
    (void)snprintf(text, sizeof text, "unix:%0108d", 0);
    EXPECT(!address_parse(text, &name, &why));
    (void)snprintf(text, sizeof text, "inet:%0256d:80", 0);
    EXPECT(!address_parse(text, &name, &why));
}

static void a_host_and_a_port_may_come_apart(void)
{
    struct address_name name;
    const char *why;

    EXPECT(address_parse_host("::1", "8887", &name, &why));
    EXPECT(!name.is_path);
    EXPECT_STR(name.name, "::1");
    EXPECT_STR(name.port, "8887");
    EXPECT(address_parse_host("[::1]", "0", &name, &why));
    EXPECT_STR(name.name, "::1");
    EXPECT(address_parse_host("mail.example", "1", &name, &why));
    EXPECT_STR(name.name, "mail.example");
    EXPECT(!address_parse_host("127.0.0.1", "", &name, &why));
    EXPECT(!address_parse_host("", "1", &name, &why));
}

static void localhost_is_found_and_each_of_its_addresses_once(void)
{
    struct address_name name;
    struct address found[ADDRESS_FOUND_MAX];
    char texts[ADDRESS_FOUND_MAX][ADDRESS_TEXT_SIZE];
    const char *why;

    EXPECT(address_parse("inet:localhost:80", &name, &why));
    size_t count = address_find(&name, found, &why);
    EXPECT(count >= 1);
    for (size_t i = 0; i < count; i++) {
        EXPECT(address_is_local(&found[i]));
        address_print(&found[i], texts[i]);
        for (size_t k = 0; k < i; k++) {
            EXPECT(strcmp(texts[i], texts[k]) != 0);
        }
    }
}

static bool is_local(const char *text)
{
    struct address_name name;
    struct address found[ADDRESS_FOUND_MAX];
    const char *why;

    EXPECT(address_parse(text, &name, &why));
    EXPECT_EQ(address_find(&name, found, &why), 1);
    return address_is_local(&found[0]);
}

static void loopback_and_paths_are_local_and_nothing_else(void)
{
    EXPECT(is_local("inet:127.0.0.1:1"));
    EXPECT(is_local("inet:127.255.0.7:1"));
    EXPECT(is_local("inet:::1:1"));
    EXPECT(is_local("inet:[::ffff:127.0.0.1]:1"));
    EXPECT(is_local("unix:/x"));
    EXPECT(!is_local("inet:0.0.0.0:1"));
    EXPECT(!is_local("inet:[::]:1"));
    EXPECT(!is_local("inet:128.0.0.1:1"));
    EXPECT(!is_local("inet:192.0.2.1:1"));
    EXPECT(!is_local("inet:[::2]:1"));
    EXPECT(!is_local("inet:[::ffff:192.0.2.1]:1"));
}

static void an_unnamed_socket_is_printed_as_an_empty_path(void)
{
    struct address address = {.length = sizeof(sa_family_t)};
    char text[ADDRESS_TEXT_SIZE];

    address.socket.path.sun_family = AF_UNIX;
    address_print(&address, text);
    EXPECT_STR(text, "unix:");
}

static const struct harness_test tests[] = {
    {"the port stands after the last colon", the_port_stands_after_the_last_colon},
    {"a path may hold anything that fits a socket", a_path_may_hold_anything_that_fits_a_socket},
    {"what is no address is refused with a reason", what_is_no_address_is_refused_with_a_reason},
    {"a host and a port may come apart", a_host_and_a_port_may_come_apart},
    {"localhost is found, and each of its addresses once", localhost_is_found_and_each_of_its_addresses_once},
    {"loopback and paths are local, and nothing else", loopback_and_paths_are_local_and_nothing_else},
    {"an unnamed socket is printed as an empty path", an_unnamed_socket_is_printed_as_an_empty_path},
};

HARNESS_MAIN(tests)
