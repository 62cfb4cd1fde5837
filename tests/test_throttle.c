/* test_throttle.c: who has to wait for a login, how long, and that neither many at once, nor many sources,
 * nor a success of his own takes that off anybody. Hours pass by the store's own clock. */
#include "address.h"
#include "clock.h"
#include "layout.h"
#include "post_office.h"
#include "throttle.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND NANOSECONDS_PER_SECOND

static struct store *store;

static void open_office(void)
{
    store = private_store();
}

static struct source inet(uint32_t host)
{
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
    struct address address = {.length = sizeof(inet)};
    memcpy(&address.socket, &inet, sizeof(inet));
    return source_of_address(&address);
}

static struct source inet6(const char *text)
{
    struct sockaddr_in6 inet6 = {.sin6_family = AF_INET6};
    struct address address = {.length = sizeof(inet6)};
    EXPECT_EQ(inet_pton(AF_INET6, text, &inet6.sin6_addr), 1);
    memcpy(&address.socket, &inet6, sizeof(inet6));
    return source_of_address(&address);
}

static int64_t begin(struct source source, const char *name)
{
    return throttle_login(store, &source, name, strlen(name));
}

static int64_t try(struct source source, const char *name)
{
    int64_t wait = begin(source, name);
    if (wait == 0)
        throttle_end(store, true);
    return wait;
}

static void succeed(struct source source, const char *name)
{
    EXPECT_EQ(begin(source, name), 0);
    throttle_end(store, false);
}

static void pass(int64_t nanoseconds)
{
    store->ahead += nanoseconds;
}

static void fail_freely(struct source source, const char *name, int times)
{
    for (int i = 0; i < times; i++)
        EXPECT_EQ(try(source, name), 0);
}

/* What is left of a delay that has just begun, within the two ticks of the clock that it may lack. */
static bool is_about(int64_t wait, int64_t whole)
{
    return wait <= whole && wait > whole - SECOND / 8;
}

static void ten_failures_are_free_and_then_each_waits_longer(void)
{
    static const int eighths[] = {1, 2, 4, 8, 16, 32, 40, 40, 40};
    struct source source = inet(1);
    open_office();
    fail_freely(source, "alice", THROTTLE_SOURCE_FREE);
    for (size_t i = 0; i < sizeof(eighths) / sizeof(eighths[0]); i++) {
        int64_t wait = try(source, i % 2 ? "alice" : "bob");
        EXPECT(is_about(wait, eighths[i] * SECOND / 8));
        EXPECT(try(source, "alice") > 0);
        pass(wait);
        EXPECT_EQ(try(source, "alice"), 0);
    }
    EXPECT_EQ(try(inet(2), "bob"), 0);
    EXPECT_CLEAN(store);
}

static void failures_are_forgiven_one_a_minute(void)
{
    struct source source = inet(1);
    open_office();
    fail_freely(source, "alice", THROTTLE_SOURCE_FREE);
    for (int i = 0; i < 3; i++) {
        EXPECT(try(source, "bob") > 0);
        pass(60 * SECOND);
        EXPECT_EQ(try(source, "bob"), 0);
    }
    pass(600 * SECOND);
    fail_freely(source, "alice", THROTTLE_SOURCE_FREE);
    EXPECT(try(source, "alice") > 0);
}

/* However long an attack lasts, its source is as good as new in twenty minutes. */
static void no_attack_is_held_against_a_source_for_ever(void)
{
    struct source source = inet(1);
    open_office();
    for (int i = 0; i < 500; i++) {
        pass(5 * SECOND);
        EXPECT_EQ(try(source, "alice"), 0);
    }
    pass(1200 * SECOND);
    fail_freely(source, "alice", THROTTLE_SOURCE_FREE);
}

static void a_success_takes_back_its_own_attempt_alone(void)
{
    struct source source = inet(1);
    open_office();
    fail_freely(source, "alice", THROTTLE_SOURCE_FREE - 1);
    for (int i = 0; i < 50; i++) {
        succeed(source, "mallory");
    }
    EXPECT_EQ(try(source, "alice"), 0);
    EXPECT(try(source, "mallory") > 0);
    EXPECT_CLEAN(store);
}

static void whoever_has_the_password_never_waits(void)
{
    open_office();
    for (int i = 0; i < 1000; i++) {
        succeed(inet(1), "alice");
    }
}

static void the_owner_gets_in_while_others_fail_at_the_account(void)
{
    open_office();
    for (uint32_t host = 0; host < THROTTLE_ACCOUNT_FREE + 20; host++)
        EXPECT_EQ(try(inet(host), "alice"), 0); /* each one's first */
    for (uint32_t host = 0; host < THROTTLE_ACCOUNT_FREE; host++)
        EXPECT(try(inet(host), "Alice") > 0);
    EXPECT_EQ(try(inet(0), "bob"), 0);
    for (int i = 0; i < 100; i++) {
        succeed(inet(1000), "alice");
    }
    EXPECT_EQ(try(inet(1000), "alice"), 0);
    EXPECT(try(inet(1000), "alice") > 0);
    EXPECT_CLEAN(store);
}

static void all_that_fail_at_an_account_share_its_turns(void)
{
    open_office();
    for (int i = 0; i < 10; i++)
        for (uint32_t host = 0; host < 10; host++)
            (void)try(inet(host), "alice");
    pass(5 * SECOND);
    int turns = 0;
    for (uint32_t host = 0; host < 10; host++)
        turns += try(inet(host), "alice") == 0;
    EXPECT_EQ(turns, 1);
}

static void a_source_is_an_address_a_network_or_a_user(void)
{
    struct source first = inet6("2001:db8:1:2:3:4:5:6"), same = inet6("2001:db8:1:2:ffff::1");
    struct source other = inet6("2001:db8:1:3:3:4:5:6"), mapped = inet6("::ffff:192.0.2.1");
    struct source inet_same = inet(0xC0000201), user = source_of_user(1000), another = source_of_user(1001);
    open_office();
    fail_freely(first, "alice", THROTTLE_SOURCE_FREE);
    EXPECT(try(same, "bob") > 0);
    EXPECT_EQ(try(other, "bob"), 0);
    fail_freely(mapped, "alice", THROTTLE_SOURCE_FREE);
    EXPECT(try(inet_same, "bob") > 0);
    fail_freely(user, "alice", THROTTLE_SOURCE_FREE);
    EXPECT(try(user, "bob") > 0);
    EXPECT_EQ(try(another, "bob"), 0);
}

/* A post office for few accounts has small tables. */
static void open_small_office(void)
{
    store = attached_store(&(struct store_options){.crypt_cost = 1, .accounts = 100, .slots = 128});
    EXPECT_EQ(store->header->throttle_most, 1024);
}

static void a_crowd_of_sources_resets_nobody(void)
{
    struct source source = inet(1);
    open_small_office();
    fail_freely(source, "alice", THROTTLE_SOURCE_FREE);
    for (uint32_t host = 2; host < 30000; host++)
        (void)try(inet(host), "bob");
    EXPECT(try(source, "alice") > 0);
    EXPECT_CLEAN(store);
}

static void a_crowd_that_fits_slows_no_other_source(void)
{
    char name[16];
    open_small_office();
    for (uint32_t host = 1000; host < 1512; host++) {
        snprintf(name, sizeof(name), "user%u", host);
        EXPECT_EQ(try(inet(host), name), 0);
    }
    for (uint32_t host = 1; host < THROTTLE_ACCOUNT_FREE; host++)
        EXPECT_EQ(try(inet(host), "alice"), 0);
}

/* Four failures for each record: nobody has ten of them without six of his own. */
static void a_newcomer_begins_with_the_least_count_of_the_crowd(void)
{
    char name[16];
    open_small_office();
    for (uint32_t host = 1000; host < 1000 + 4 * 1024; host++) {
        snprintf(name, sizeof(name), "user%u", host);
        EXPECT_EQ(try(inet(host), name), 0);
    }
    for (uint32_t host = 1; host < THROTTLE_ACCOUNT_FREE / 2; host++)
        EXPECT_EQ(try(inet(host), "alice"), 0);
    EXPECT_CLEAN(store);
}

/* How many guesses one source has in so many nanoseconds, for who misses no turn. */
static int guesses_in(int64_t nanoseconds)
{
    int64_t at = 0;
    int guesses = THROTTLE_SOURCE_FREE;
    for (int64_t delay = SECOND / 8; (at += delay) <= nanoseconds; guesses++)
        delay = 2 * delay < 5 * SECOND ? 2 * delay : 5 * SECOND;
    return guesses;
}

static _Noreturn void guess_until(int64_t deadline)
{
    int guesses = 0;
    EXPECT_EQ(store_attach(store, "guesser"), STATUS_OK);
    while (clock_now() < deadline)
        guesses += try(inet(1), "alice") == 0;
    store_detach(store);
    _exit(guesses);
}

static void many_at_once_have_no_more_guesses_than_one(void)
{
    enum { GUESSERS = 64 };
    int guesses = 0;
    open_small_office();
    int64_t start = clock_now(), deadline = start + SECOND;
    for (int i = 0; i < GUESSERS; i++) {
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0)
            guess_until(deadline);
    }
    for (int i = 0, status; i < GUESSERS; i++) {
        EXPECT(wait(&status) > 0 && WIFEXITED(status));
        guesses += WEXITSTATUS(status);
    }
    int most = guesses_in(clock_now() - start + SECOND / 4);
    harness_say("%d guesses by %d processes in %.1f s, at most %d are allowed", guesses, GUESSERS,
                (double)(clock_now() - start) / 1e9, most);
    EXPECT(guesses >= THROTTLE_SOURCE_FREE && guesses <= most);
    EXPECT_CLEAN(store);
}

/* Whether killed or let go: only who has heard an answer has made a guess. */
static void an_attempt_that_is_cut_off_does_not_count(void)
{
    struct source source = inet(1);
    open_small_office();
    for (int i = 0; i < 40; i++) {
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            EXPECT_EQ(store_attach(store, "cut off"), STATUS_OK);
            EXPECT_EQ(begin(source, "alice"), 0);
            if (i % 2)
                raise(SIGKILL);
            store_detach(store);
            _exit(0);
        }
        EXPECT_EQ(waitpid(child, NULL, 0), child);
        store_wake(store);
        store_reclaim(store);
    }
    fail_freely(source, "alice", THROTTLE_SOURCE_FREE);
    EXPECT(try(source, "alice") > 0);
    EXPECT_CLEAN(store);
}

/* Whatever else it has in hand: there is a number of messages with which not all goes in one transaction. */
static void an_attempt_that_is_cut_off_does_not_count_whatever_else_is_given_back(void)
{
    struct source source = inet(1);
    struct message messages[PINS_MAX];
    message_id id;
    size_t count;
    open_small_office();
    account_t bob = new_account(store, "bob");
    for (size_t pinned = 1; pinned <= PINS_MAX; pinned++) {
        for (size_t i = 0; i < pinned; i++)
            EXPECT_EQ(deliver(store, bob, "", "", "x", 1, &id), STATUS_OK);
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            store->slot = NULL;
            EXPECT_EQ(store_attach(store, "cut off"), STATUS_OK);
            EXPECT_EQ(mailbox_list(store, bob, 0, UINT64_MAX, messages, PINS_MAX, &count), STATUS_OK);
            EXPECT_EQ(count, pinned);
            while (mailbox_count(store, bob) > 0)
                EXPECT_EQ(mailbox_delete_first(store, bob), STATUS_OK);
            EXPECT_EQ(begin(source, "alice"), 0);
            raise(SIGKILL);
        }
        EXPECT_EQ(waitpid(child, NULL, 0), child);
        store_wake(store);
        store_reclaim(store);
        EXPECT_CLEAN(store);
    }
    fail_freely(source, "alice", THROTTLE_SOURCE_FREE);
    EXPECT(try(source, "alice") > 0);
}

static void registrations_and_entries_have_limits_of_their_own(void)
{
    struct source source = inet(1), other = inet(2);
    open_office();
    for (int i = 0; i < 100; i++)
        EXPECT(throttle_take(store, THROTTLE_ENTRY, &source, 0));
    for (int i = 0; i < 3; i++) {
        EXPECT(throttle_take(store, THROTTLE_REGISTRATION, &source, 3));
        EXPECT(throttle_take(store, THROTTLE_ENTRY, &source, 3));
    }
    EXPECT(!throttle_take(store, THROTTLE_REGISTRATION, &source, 3));
    EXPECT(!throttle_take(store, THROTTLE_ENTRY, &source, 3));
    EXPECT(throttle_take(store, THROTTLE_REGISTRATION, &other, 3));
    EXPECT_EQ(try(source, "alice"), 0);
    pass(1201 * SECOND);
    EXPECT(throttle_take(store, THROTTLE_REGISTRATION, &source, 3));
    EXPECT(!throttle_take(store, THROTTLE_REGISTRATION, &source, 3));
    pass(3600 * SECOND);
    for (int i = 0; i < THROTTLE_HOUR_MOST; i++)
        EXPECT(throttle_take(store, THROTTLE_REGISTRATION, &source, THROTTLE_HOUR_MOST));
    EXPECT(!throttle_take(store, THROTTLE_REGISTRATION, &source, THROTTLE_HOUR_MOST));
    EXPECT_CLEAN(store);
}

static void damage_is_found(void)
{
    open_office();
    EXPECT_EQ(try(inet(1), "alice"), 0);
    for (enum throttle which = THROTTLE_SOURCE; which <= THROTTLE_PAIR; which++) {
        struct throttle_record *record = store->throttles[which];
        while (record->key == 0)
            record++;
        struct throttle_record before = *record;
        record->key ^= UINT64_C(1) << 32; /* belongs to another set */
        EXPECT(store_check(store, print_finding, NULL) > 0);
        *record = before;
        record->until += 2 * 3600 * 16;
        EXPECT(store_check(store, print_finding, NULL) > 0);
        *record = before;
        record->last += 3600;
        EXPECT(store_check(store, print_finding, NULL) > 0);
        *record = before;
        EXPECT_CLEAN(store);
    }
}

static const struct harness_test tests[] = {
    {"ten failures are free, and then each waits longer", ten_failures_are_free_and_then_each_waits_longer},
    {"failures are forgiven one a minute", failures_are_forgiven_one_a_minute},
    {"no attack is held against a source for ever", no_attack_is_held_against_a_source_for_ever},
    {"a success takes back its own attempt alone", a_success_takes_back_its_own_attempt_alone},
    {"whoever has the password never waits", whoever_has_the_password_never_waits},
    {"the owner gets in while others fail at the account",
     the_owner_gets_in_while_others_fail_at_the_account},
    {"all that fail at an account share its turns", all_that_fail_at_an_account_share_its_turns},
    {"a source is an address, a network or a user", a_source_is_an_address_a_network_or_a_user},
    {"a crowd of sources resets nobody", a_crowd_of_sources_resets_nobody},
    {"a crowd that fits slows no other source", a_crowd_that_fits_slows_no_other_source},
    {"a newcomer begins with the least count of the crowd",
     a_newcomer_begins_with_the_least_count_of_the_crowd},
    {"many at once have no more guesses than one", many_at_once_have_no_more_guesses_than_one},
    {"an attempt that is cut off does not count", an_attempt_that_is_cut_off_does_not_count},
    {"an attempt that is cut off does not count, whatever else is given back",
     an_attempt_that_is_cut_off_does_not_count_whatever_else_is_given_back},
    {"registrations and entries have limits of their own",
     registrations_and_entries_have_limits_of_their_own},
    {"damage is found", damage_is_found},
};

HARNESS_MAIN(tests)
