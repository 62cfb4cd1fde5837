/* Tests of name.h: what is a user name, what is an address, and which of them are one account. */
#include "harness.h"
#include "name.h"

#include <stdbool.h>
#include <string.h>

static bool username(const char *name)
{
    return name_is_username(name, strlen(name));
}

static bool address(const char *name)
{
    return name_is_address(name, strlen(name));
}

static void a_username_is_1_to_64_letters_and_digits(void)
{
    char longest[USERNAME_MAX + 2];

    memset(longest, 'x', sizeof longest - 1);
    longest[USERNAME_MAX + 1] = '\0';
    EXPECT(!username(longest));
    longest[USERNAME_MAX] = '\0';
    EXPECT(username(longest));
    EXPECT(username("a"));
    EXPECT(username("AZaz09"));
    static const char *const others[] = {"",  "a_b", "a.b", "a-b", "a@b.c", "\xc3\xa9", "a\n",
                                         "`", "[",   "/",   ":",   "@",     "{"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        EXPECT(!username(others[i]));
    }
    EXPECT(!name_is_username("a\0b", 3));
}

static void an_address_has_words_around_one_at_and_a_dot_in_its_domain(void)
{
    static const char *const good[] = {
        "test1@mail.ru",
        "a@b.c",
        "a.b-c_d@e-f.g_h",
        ".@..a",
        "-@-.a",
        "a@b..c",
        "a@b.c.d",
        "\xd1\x8f@\xd0\xbf\xd0\xbe\xd1\x87\xd1\x82\xd0\xb0.\xd1\x80\xd1\x84",
        "\xf0\x9f\x93\xab@mail.ru",
    };
    static const char *const bad[] = {
        "",        "a",       "@",       "a@",       "@b.c",      "a@b",
        "a@.c",    "a@b.",    "a@b.c-d", "a@b.c.",   "a@b@c.d",   "a b@c.d",
        "a@b.c d", "a+b@c.d", "a@b.c\n", "\xff@b.c", "a@b.c\xc3", "a@\xed\xa0\x80.c",
        "a@b-.-",
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!address(good[i])) {
            harness_fail(__FILE__, __LINE__, "refused: %s", good[i]);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (address(bad[i])) {
            harness_fail(__FILE__, __LINE__, "taken: %s", bad[i]);
        }
    }
    EXPECT(!name_is_address("a\0@b.c", 6));
}

static void an_address_has_at_most_254_bytes(void)
{
    char longest[NAME_MAX_BYTES + 2];

    memset(longest, 'x', sizeof longest);
    memcpy(longest, "a@", 2);
    longest[NAME_MAX_BYTES - 2] = '.';
    EXPECT(name_is_address(longest, NAME_MAX_BYTES));
    EXPECT(!name_is_address(longest, NAME_MAX_BYTES + 1));
}

static size_t canonical(const char *name)
{
    return name_canonical(name, strlen(name), "Mail.LocalHost");
}

static void a_local_address_is_its_user_name(void)
{
    EXPECT_EQ(canonical("alice@mail.localhost"), 5);
    EXPECT_EQ(canonical("Alice@MAIL.LOCALHOST"), 5);
    EXPECT_EQ(canonical("alice"), 5);
    EXPECT_EQ(canonical("alice@mail.localhos"), 19);
    EXPECT_EQ(canonical("alice@mail.localhost.org"), 24);
    EXPECT_EQ(canonical("a.b@mail.localhost"), 18); /* no user name: an account of its own */
    EXPECT_EQ(canonical("test1@mail.ru"), 13);
}

static void ascii_case_and_nothing_else_is_folded(void)
{
    EXPECT(name_equal("aZ09", 4, "Az09", 4));
    EXPECT(!name_equal("a", 1, "ab", 2));
    EXPECT(!name_equal("@", 1, "`", 1));
    EXPECT(!name_equal("[", 1, "{", 1));
    EXPECT(!name_equal("\xc3\x89", 2, "\xc3\xa9", 2)); /* E with acute, and e with acute */
    EXPECT(name_equal("", 0, "", 0));
}

static void a_canonical_name_has_an_address(void)
{
    char out[2 * NAME_MAX_BYTES + 2];

    EXPECT_EQ(name_address("Alice", 5, "mail.localhost", out), 20);
    EXPECT(memcmp(out, "Alice@mail.localhost", 20) == 0);
    EXPECT_EQ(name_address("test1@mail.ru", 13, "mail.localhost", out), 13);
    EXPECT(memcmp(out, "test1@mail.ru", 13) == 0);
}

static const struct harness_test tests[] = {
    {"a user name is 1 to 64 letters and digits", a_username_is_1_to_64_letters_and_digits},
    {"an address has words around one @ and a dot in its domain",
     an_address_has_words_around_one_at_and_a_dot_in_its_domain},
    {"an address has at most 254 bytes", an_address_has_at_most_254_bytes},
    {"a local address is its user name", a_local_address_is_its_user_name},
    {"ASCII case and nothing else is folded", ascii_case_and_nothing_else_is_folded},
    {"a canonical name has an address", a_canonical_name_has_an_address},
};

HARNESS_MAIN(tests)
