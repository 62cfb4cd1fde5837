/* test_password.c: hashes, what they match, and what an unknown user costs. */
#include "clock.h"
#include "layout.h"
#include "password.h"
#include "post_office.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct store *store;

static struct account_secret secret_with(const char *hash)
{
    struct account_secret secret = {.account = {1, 1}};
    EXPECT(strlen(hash) <= HASH_MAX);
    memcpy(secret.hash, hash, strlen(hash) + 1);
    return secret;
}

static struct account_secret hashed(const char *password, size_t length)
{
    char hash[HASH_MAX + 1];
    EXPECT_EQ(password_hash(store, password, length, hash), STATUS_OK);
    EXPECT(strncmp(hash, "$y$", 3) == 0);
    return secret_with(hash);
}

static void a_hash_matches_its_own_password_only(void)
{
    static const char password[] = "correct horse \xc3\xa4 \x01 battery";
    const size_t length = sizeof(password) - 1;
    char other[sizeof(password) + 1];
    store = private_store();
    struct account_secret secret = hashed(password, length);
    EXPECT_EQ(password_matches(store, password, length, &secret), STATUS_OK);
    for (size_t i = 0; i < length; i += 3) {
        memcpy(other, password, sizeof(password));
        other[i] ^= 1;
        EXPECT_EQ(password_matches(store, other, length, &secret), STATUS_DENIED);
        EXPECT_EQ(password_matches(store, password, i, &secret), STATUS_DENIED);
    }
    snprintf(other, sizeof(other), "%sx", password);
    EXPECT_EQ(password_matches(store, other, length + 1, &secret), STATUS_DENIED);
}

static void two_hashes_of_one_password_differ(void)
{
    store = private_store();
    struct account_secret first = hashed("secret", 6);
    struct account_secret second = hashed("secret", 6);
    EXPECT(strcmp(first.hash, second.hash) != 0);
    EXPECT_EQ(password_matches(store, "secret", 6, &first), STATUS_OK);
    EXPECT_EQ(password_matches(store, "secret", 6, &second), STATUS_OK);
}

static void passwords_have_limits(void)
{
    char password[PASSWORD_MAX + 1];
    char hash[HASH_MAX + 1];
    store = private_store();
    memset(password, 'p', sizeof(password));
    EXPECT_EQ(password_hash(store, password, 0, hash), STATUS_MALFORMED);
    EXPECT_EQ(password_hash(store, password, PASSWORD_MAX + 1, hash), STATUS_TOO_LONG);
    struct account_secret secret = hashed(password, PASSWORD_MAX);
    EXPECT_EQ(password_matches(store, password, PASSWORD_MAX, &secret), STATUS_OK);
    EXPECT_EQ(password_matches(store, password, PASSWORD_MAX - 1, &secret), STATUS_DENIED);
    EXPECT_EQ(password_matches(store, password, PASSWORD_MAX + 1, &secret), STATUS_DENIED);
    EXPECT_EQ(password_matches(store, password, SIZE_MAX, &secret), STATUS_DENIED);
    password[PASSWORD_MAX - 1] = 'q'; /* the last byte counts */
    EXPECT_EQ(password_matches(store, password, PASSWORD_MAX, &secret), STATUS_DENIED);
}

/* crypt(3) would take what stands before it for the whole password. */
static void a_nul_is_no_part_of_a_password(void)
{
    char hash[HASH_MAX + 1];
    store = private_store();
    EXPECT_EQ(password_hash(store, "sec\0ret", 7, hash), STATUS_MALFORMED);
    EXPECT_EQ(password_hash(store, "\0", 1, hash), STATUS_MALFORMED);
    EXPECT_EQ(password_hash(store, "secret\0", 7, hash), STATUS_MALFORMED);
    struct account_secret secret = hashed("sec", 3);
    EXPECT_EQ(password_matches(store, "sec\0ret", 7, &secret), STATUS_DENIED);
    EXPECT_EQ(password_matches(store, "sec\0", 4, &secret), STATUS_DENIED);
}

static void nothing_matches_where_there_is_no_hash(void)
{
    static const char *const passwords[] = {"x", "*", "*0", "*1", "$y$", "for who is not there, same time"};
    static const char *const unusable[] = {"", "*", "*0", "x", "$y$", "$nosuch$method", "!"};
    store = private_store();
    account_t alice = new_account(store, "alice");
    for (size_t i = 0; i < sizeof(passwords) / sizeof(passwords[0]); i++) {
        struct account_secret secret;
        size_t length = strlen(passwords[i]);
        EXPECT_EQ(account_secret(store, "nobody", 6, &secret), STATUS_NO_ACCOUNT);
        EXPECT_EQ(password_matches(store, passwords[i], length, &secret), STATUS_DENIED);
        EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
        EXPECT_EQ(secret.account.index, alice.index);
        EXPECT_EQ(password_matches(store, passwords[i], length, &secret), STATUS_DENIED);
        for (size_t j = 0; j < sizeof(unusable) / sizeof(unusable[0]); j++) {
            secret = secret_with(unusable[j]);
            EXPECT(password_matches(store, passwords[i], length, &secret) != STATUS_OK);
        }
    }
}

/* Else who hashes would wait for ever, or take a word behind them for one. */
static void how_many_tokens_there_are_is_what_was_verified(void)
{
    char hash[HASH_MAX + 1];
    store = private_store();
    store->header->tokens = 0; /* a scribble */
    alarm(20);
    EXPECT_EQ(password_hash(store, "secret", 6, hash), STATUS_OK);
    alarm(0);
    EXPECT_EQ(store->header->token[0], 0);
}

static int compare_times(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Of this process, so that others on the machine do not count. */
static int64_t time_used(void)
{
    struct timespec now;
    EXPECT_EQ(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return now.tv_sec * NANOSECONDS_PER_SECOND + now.tv_nsec;
}

static void an_unknown_user_costs_the_same_time(void)
{
    enum { ROUNDS = 11, KINDS = 3 };
    int64_t times[KINDS][ROUNDS];
    store = attached_store(&(struct store_options){.crypt_cost = 3});
    struct account_secret known = hashed("secret", 6);
    struct account_secret unknown = {.account = ACCOUNT_NONE};
    struct account_secret without = {.account = {1, 1}};
    const struct account_secret *const secrets[KINDS] = {&known, &unknown, &without};
    for (int round = 0; round < ROUNDS; round++) {
        for (int kind = 0; kind < KINDS; kind++) {
            int64_t start = time_used();
            EXPECT_EQ(password_matches(store, "wrong", 5, secrets[kind]), STATUS_DENIED);
            times[kind][round] = time_used() - start;
        }
    }
    for (int kind = 0; kind < KINDS; kind++)
        qsort(times[kind], ROUNDS, sizeof(times[kind][0]), compare_times);
    for (int kind = 1; kind < KINDS; kind++) {
        int64_t ratio = 100 * times[kind][ROUNDS / 2] / times[0][ROUNDS / 2];
        printf("kind %d: %lld %% of the time\n", kind, (long long)ratio);
        EXPECT(ratio > 50 && ratio < 200);
    }
}

static void the_cost_is_an_option(void)
{
    char hash[HASH_MAX + 1];
    static struct store *volatile cheap, *volatile dear;
    cheap = attached_store(&(struct store_options){.crypt_cost = 1});
    dear = attached_store(&(struct store_options){.crypt_cost = 4});
    int64_t start = time_used();
    EXPECT_EQ(password_hash(cheap, "secret", 6, hash), STATUS_OK);
    int64_t between = time_used();
    EXPECT_EQ(password_hash(dear, "secret", 6, hash), STATUS_OK);
    EXPECT(time_used() - between > between - start);
    struct account_secret secret = secret_with(hash);
    EXPECT_EQ(password_matches(cheap, "secret", 6, &secret), STATUS_OK); /* the hash says what it cost */
    store = attached_store(&(struct store_options){.crypt_cost = 99});
    EXPECT_EQ(password_hash(store, "secret", 6, hash), STATUS_SYSTEM);
    store->crypt_cost = -1;
    EXPECT_EQ(password_hash(store, "secret", 6, hash), STATUS_SYSTEM);
    EXPECT_EQ(password_matches(store, "secret", 6, &secret), STATUS_OK);
}

/* More processes than tokens: each gets one in the end, and all are given back. */
static void many_processes_hash_at_once(void)
{
    enum { PROCESSES = 12 };
    pid_t pids[PROCESSES];
    store = private_store();
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        EXPECT(pids[i] >= 0);
        if (pids[i] > 0)
            continue;
        EXPECT_EQ(store_attach(store, "hasher"), STATUS_OK);
        for (int round = 0; round < 5; round++) {
            struct account_secret secret = hashed("secret", 6);
            EXPECT_EQ(password_matches(store, "secret", 6, &secret), STATUS_OK);
        }
        store_detach(store);
        _exit(0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        EXPECT_EQ(waitpid(pids[i], &status, 0), pids[i]);
        EXPECT_EQ(status, 0);
    }
    for (uint32_t i = 0; i < store->header->tokens; i++)
        EXPECT_EQ(store->header->token[i], 0);
}

static void only_a_hash_like_new_ones_is_current(void)
{
    static const char *const others[] = {
        "", "$y$", "$y$j75", "$6$abcdefgh$x", "$2b$05$abcdefghijklmnopqrstuv", "$7$CU..../....abc$x", "*0"};
    char hash[HASH_MAX + 1];
    store = private_store();
    EXPECT_EQ(password_hash(store, "secret", 6, hash), STATUS_OK);
    EXPECT(password_is_current(store, hash));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        EXPECT(!password_is_current(store, others[i]));
    store->crypt_cost = 2;
    EXPECT(!password_is_current(store, hash));
    store->crypt_cost = 0;
    EXPECT(!password_is_current(store, hash));
}

/* A hash that is made while all tokens are held would be one too many at once. */
static void a_hash_waits_for_a_token(void)
{
    int ends[2];
    char byte;
    store = private_store();
    EXPECT(store->header->tokens > 0);
    for (uint32_t i = 0; i < store->header->tokens; i++)
        store->header->token[i] = store->me;
    EXPECT_EQ(pipe(ends), 0);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        EXPECT_EQ(store_attach(store, "hasher"), STATUS_OK);
        hashed("secret", 6);
        _exit(write(ends[1], "x", 1) != 1);
    }
    struct pollfd poll_end = {.fd = ends[0], .events = POLLIN};
    EXPECT_EQ(poll(&poll_end, 1, 500), 0);
    __atomic_store_n(&store->header->token[0], 0, __ATOMIC_RELEASE);
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
    EXPECT_EQ(waitpid(child, NULL, 0), child);
}

static const struct harness_test tests[] = {
    {"how many tokens there are is what was verified", how_many_tokens_there_are_is_what_was_verified},
    {"a hash matches its own password only", a_hash_matches_its_own_password_only},
    {"two hashes of one password differ", two_hashes_of_one_password_differ},
    {"passwords have limits", passwords_have_limits},
    {"a NUL is no part of a password", a_nul_is_no_part_of_a_password},
    {"nothing matches where there is no hash", nothing_matches_where_there_is_no_hash},
    {"an unknown user costs the same time", an_unknown_user_costs_the_same_time},
    {"the cost is an option", the_cost_is_an_option},
    {"only a hash like new ones is current", only_a_hash_like_new_ones_is_current},
    {"a hash waits for a token", a_hash_waits_for_a_token},
    {"many processes hash at once", many_processes_hash_at_once},
};

HARNESS_MAIN(tests)
