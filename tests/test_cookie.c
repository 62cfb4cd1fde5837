/* test_cookie.c: sessions: opened, found, remembered, ended, and never mixed up. */
#include "account.h"
#include "lock.h"
#include "post_office.h"
#include "process.h"
#include "queue.h"

#include <sys/wait.h>
#include <unistd.h>

static struct store *store;

static void open_with_sessions(uint32_t sessions)
{
    store = attached_store(&(struct store_options){.crypt_cost = 1, .sessions_per_account = sessions});
}

static account_t new_session(const char *name, struct cookie *cookie)
{
    account_t account;
    EXPECT_EQ(account_create(store, name, strlen(name), "hash", &account, cookie), STATUS_OK);
    EXPECT_EQ(strlen(cookie->text), COOKIE_TEXT);
    return account;
}

static void login(const char *name, struct cookie *cookie)
{
    struct account_secret secret;
    EXPECT_EQ(account_secret(store, name, strlen(name), &secret), STATUS_OK);
    EXPECT_EQ(account_login(store, &secret, cookie), STATUS_OK);
}

static enum status verify(const struct cookie *cookie, struct session *session)
{
    return cookie_verify(store, cookie->text, strlen(cookie->text), session);
}

/* By a process that has seen no session before. */
static enum status verify_anew(const struct cookie *cookie)
{
    struct session session = {0};
    return verify(cookie, &session);
}

static uint32_t sessions(void)
{
    struct store_figures figures;
    store_figures(store, &figures);
    return figures.sessions;
}

static void a_login_replaces_the_cookie_before_it(void)
{
    struct cookie cookies[2];
    struct session session = {0};
    open_with_sessions(0);
    account_t alice = new_session("alice", &cookies[0]);
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(verify(&cookies[i % 2], &session), STATUS_OK);
        EXPECT_EQ(session.account.index, alice.index);
        EXPECT_EQ(session.account.generation, alice.generation);
        login("Alice", &cookies[(i + 1) % 2]);
        EXPECT_EQ(verify(&cookies[i % 2], &session), STATUS_NO_SESSION);
        EXPECT_EQ(session.index, 0);
        EXPECT_EQ(sessions(), 1);
    }
    EXPECT_CLEAN(store);
}

static void the_oldest_of_many_sessions_goes_first(void)
{
    enum { SESSIONS = 5, LOGINS = 30 };
    struct cookie cookies[LOGINS];
    open_with_sessions(SESSIONS);
    new_session("alice", &cookies[0]);
    for (int i = 1; i < LOGINS; i++) {
        struct session middle = {0};
        login("alice", &cookies[i]);
        for (int j = 0; j <= i; j++)
            EXPECT_EQ(verify_anew(&cookies[j]), j > i - SESSIONS ? STATUS_OK : STATUS_NO_SESSION);
        if (i % 7 != 0)
            continue;
        EXPECT_EQ(verify(&cookies[i - 2], &middle), STATUS_OK);
        EXPECT_EQ(cookie_end(store, &middle), STATUS_OK);
        EXPECT_EQ(verify_anew(&cookies[i - 2]), STATUS_NO_SESSION);
        EXPECT_EQ(verify_anew(&cookies[i - 3]), STATUS_OK);
        EXPECT_EQ(sessions(), SESSIONS - 1);
        EXPECT_CLEAN(store);
        cookies[i - 2] = cookies[i - 1]; /* in order of age again */
        cookies[i - 1] = cookies[i];
        login("alice", &cookies[i]);
    }
}

/* The limit is each process's own: a server that starts again may have a lower one. */
static void a_lower_limit_ends_what_is_too_much(void)
{
    enum { SESSIONS = 16 };
    struct cookie cookies[SESSIONS];
    struct cookie last;
    open_with_sessions(SESSIONS);
    new_session("alice", &cookies[0]);
    for (int i = 1; i < SESSIONS; i++)
        login("alice", &cookies[i]);
    store->sessions_per_account = 1;
    login("alice", &last);
    login("alice", &last);
    EXPECT_EQ(sessions(), 1);
    EXPECT_EQ(verify_anew(&last), STATUS_OK);
    for (int i = 0; i < SESSIONS; i++)
        EXPECT_EQ(verify_anew(&cookies[i]), STATUS_NO_SESSION);
    EXPECT_CLEAN(store);
}

/* With the lock held: to take it once more would abort. */
static void a_remembered_cookie_needs_no_lock(void)
{
    struct cookie cookie;
    struct session session = {0};
    message_id id;
    open_with_sessions(0);
    account_t alice = new_session("alice", &cookie);
    EXPECT_EQ(deliver(store, alice, "bob", "", "x", 1, &id), STATUS_OK);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    lock_take(store);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    EXPECT_EQ(mailbox_count(store, alice), 1);
    EXPECT_EQ(mailbox_newest(store, alice), 1);
    EXPECT_EQ(queue_count(store, alice), 0);
    lock_release(store);
}

static void a_remembered_session_answers_to_its_own_cookie_only(void)
{
    struct cookie alices, bobs;
    struct session session = {0};
    open_with_sessions(0);
    account_t alice = new_session("alice", &alices);
    account_t bob = new_session("bob", &bobs);
    EXPECT_EQ(verify(&alices, &session), STATUS_OK);
    EXPECT_EQ(session.account.index, alice.index);
    EXPECT_EQ(verify(&bobs, &session), STATUS_OK);
    EXPECT_EQ(session.account.index, bob.index);
    EXPECT_EQ(cookie_verify(store, "", 0, &session), STATUS_NO_SESSION);
    EXPECT_EQ(session.index, 0);
    EXPECT_EQ(verify(&alices, &session), STATUS_OK);
    EXPECT_EQ(session.account.index, alice.index);
}

static void what_is_no_cookie_opens_nothing(void)
{
    struct cookie cookie, other;
    struct session session = {0};
    char longer[COOKIE_TEXT + 2];
    open_with_sessions(0);
    new_session("alice", &cookie);
    for (size_t i = 0; i < COOKIE_TEXT; i++) {
        other = cookie;
        other.text[i] = cookie.text[i] == 'A' ? 'Q' : 'A';
        EXPECT_EQ(verify_anew(&other), STATUS_NO_SESSION);
        EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
        EXPECT_EQ(verify(&other, &session), STATUS_NO_SESSION);
        other.text[i] = "\0 =+/\xff."[i % 7];
        session = (struct session){0};
        EXPECT_EQ(cookie_verify(store, other.text, COOKIE_TEXT, &session), STATUS_NO_SESSION);
    }
    snprintf(longer, sizeof(longer), "%sA", cookie.text);
    EXPECT_EQ(cookie_verify(store, longer, COOKIE_TEXT + 1, &session), STATUS_NO_SESSION);
    EXPECT_EQ(cookie_verify(store, longer, COOKIE_TEXT - 1, &session), STATUS_NO_SESSION);
    EXPECT_EQ(cookie_verify(store, longer, COOKIE_TEXT, &session), STATUS_OK);
}

static void an_ended_session_is_ended_once_and_wiped(void)
{
    static const uint8_t zeros[COOKIE_BYTES];
    struct cookie cookie;
    struct session session = {0};
    open_with_sessions(0);
    new_session("alice", &cookie);
    EXPECT_EQ(cookie_end(store, &session), STATUS_NO_SESSION);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    struct session copy = session;
    EXPECT_EQ(cookie_end(store, &session), STATUS_OK);
    EXPECT_EQ(session.index, 0);
    EXPECT(memcmp(session_at(store, copy.index)->secret, zeros, COOKIE_BYTES) == 0);
    EXPECT_EQ(verify_anew(&cookie), STATUS_NO_SESSION);
    struct cookie next;
    login("alice", &next); /* takes the same record */
    EXPECT_EQ(sessions(), 1);
    EXPECT_EQ(cookie_end(store, &copy), STATUS_NO_SESSION);
    EXPECT_EQ(verify_anew(&next), STATUS_OK);
    EXPECT_CLEAN(store);
}

static void a_removed_account_leaves_no_session(void)
{
    enum { SESSIONS = 16 };
    struct cookie cookies[SESSIONS];
    struct session remembered = {0};
    struct account_secret secret;
    open_with_sessions(SESSIONS);
    new_session("alice", &cookies[0]);
    for (int i = 1; i < SESSIONS; i++)
        login("alice", &cookies[i]);
    EXPECT_EQ(verify(&cookies[7], &remembered), STATUS_OK);
    EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
    EXPECT_EQ(verify(&cookies[7], &remembered), STATUS_NO_SESSION);
    EXPECT_EQ(cookie_end(store, &remembered), STATUS_NO_SESSION);
    EXPECT_EQ(sessions(), 0);
    struct cookie fresh;
    new_session("alice", &fresh);
    for (int i = 0; i < SESSIONS; i++)
        EXPECT_EQ(verify_anew(&cookies[i]), STATUS_NO_SESSION);
    EXPECT_EQ(verify_anew(&fresh), STATUS_OK);
    EXPECT_CLEAN(store);
}

static void a_session_ends_for_every_process(void)
{
    struct cookie cookie;
    struct session session = {0};
    int status;
    open_with_sessions(0);
    new_session("alice", &cookie);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        struct session found = {0};
        EXPECT_EQ(store_attach(store, "other"), STATUS_OK);
        EXPECT_EQ(verify(&cookie, &found), STATUS_OK);
        EXPECT_EQ(cookie_end(store, &found), STATUS_OK);
        store_detach(store);
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(verify(&cookie, &session), STATUS_NO_SESSION);
    EXPECT_CLEAN(store);
}

static void cookies_of_many_sessions_are_told_apart(void)
{
    enum { ACCOUNTS = 3000 };
    static struct cookie cookies[ACCOUNTS];
    struct session session = {0};
    store = attached_store(&(struct store_options){.accounts = ACCOUNTS}); /* for which buckets are shared */
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        char name[16];
        sprintf(name, "user%u", i);
        EXPECT_EQ(new_session(name, &cookies[i]).index, i + 1);
        EXPECT(cookies[i].text[0] != '-'); /* would look like an option */
    }
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        EXPECT_EQ(verify(&cookies[i], &session), STATUS_OK);
        EXPECT_EQ(session.account.index, i + 1);
        if (i % 3 == 0)
            EXPECT_EQ(cookie_end(store, &session), STATUS_OK);
    }
    for (uint32_t i = 0; i < ACCOUNTS; i++)
        EXPECT_EQ(verify_anew(&cookies[i]), i % 3 ? STATUS_OK : STATUS_NO_SESSION);
    EXPECT_EQ(sessions(), ACCOUNTS - ACCOUNTS / 3);
    EXPECT_CLEAN(store);
}

static struct session_record *record_of(const struct cookie *cookie)
{
    struct session session = {0};
    EXPECT_EQ(verify(cookie, &session), STATUS_OK);
    return session_at(store, session.index);
}

/* Time passes by the record: that it was opened and used so many seconds before. */
static void age(struct session_record *record, struct session *session, int64_t seconds)
{
    record->opened -= seconds;
    record->used -= seconds;
    session->fresh -= seconds;
}

static void a_session_ends_so_long_after_its_login_however_much_it_is_used(void)
{
    struct cookie cookie;
    struct session session = {0};
    store = attached_store(&(struct store_options){.crypt_cost = 1, .session_age_seconds = 1000});
    new_session("alice", &cookie);
    struct session_record *record = record_of(&cookie);
    for (int i = 0; i < 9; i++) {
        EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
        EXPECT_EQ(verify_anew(&cookie), STATUS_OK);
        age(record, &session, 110);
    }
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    age(record, &session, 11);
    EXPECT_EQ(verify(&cookie, &session), STATUS_NO_SESSION);
    EXPECT_EQ(session.index, 0);
    EXPECT_EQ(verify_anew(&cookie), STATUS_NO_SESSION);
    EXPECT_EQ(sessions(), 0);
    EXPECT_CLEAN(store);
}

static void a_session_lives_as_long_as_was_said_and_a_second_more_at_most(void)
{
    struct cookie cookie;
    struct session session = {0};
    store = attached_store(&(struct store_options){.crypt_cost = 1, .session_age_seconds = 1});
    new_session("alice", &cookie);
    EXPECT_EQ(sessions(), 1);
    const struct session_record *record = session_at(store, 1);
    store->now = record->opened + 1; /* which may be a millisecond after the login */
    EXPECT_EQ(verify_anew(&cookie), STATUS_OK);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    store->now++;
    EXPECT_EQ(verify(&cookie, &session), STATUS_NO_SESSION);
    EXPECT_EQ(sessions(), 0);
    EXPECT_CLEAN(store);
}

static void a_session_ends_so_long_after_its_last_use_by_whomever(void)
{
    struct cookie cookie;
    struct session session = {0};
    store = attached_store(&(struct store_options){.crypt_cost = 1, .session_idle_seconds = 1600});
    new_session("alice", &cookie);
    struct session_record *record = record_of(&cookie);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    for (int i = 0; i < 20; i++) { /* used by others, then by this one */
        age(record, &session, 1500);
        EXPECT_EQ(i % 2 ? verify_anew(&cookie) : verify(&cookie, &session), STATUS_OK);
    }
    age(record, &session, 1500);
    EXPECT_EQ(verify_anew(&cookie), STATUS_OK);
    age(record, &session, 1500);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    age(record, &session, 1600 + 100 + 2); /* a sixteenth late at most */
    EXPECT_EQ(verify(&cookie, &session), STATUS_NO_SESSION);
    EXPECT_EQ(sessions(), 0);
    login("alice", &cookie);
    EXPECT_EQ(verify_anew(&cookie), STATUS_OK);
    EXPECT_CLEAN(store);
}

static void the_time_is_looked_at_once_for_all_that_is_answered_together(void)
{
    struct cookie cookie;
    struct session session = {0};
    store = attached_store(&(struct store_options){.crypt_cost = 1, .session_age_seconds = 1000});
    new_session("alice", &cookie);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    EXPECT(store->now > 0);
    store->now -= 2000; /* it was looked at before all that */
    age(session_at(store, session.index), &session, 1001);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    EXPECT_EQ(verify(&cookie, &session), STATUS_NO_SESSION);
    EXPECT_CLEAN(store);
}

static void a_use_is_noted_no_more_often_than_needed(void)
{
    struct cookie cookie;
    struct session session = {0};
    store = attached_store(&(struct store_options){.crypt_cost = 1, .session_idle_seconds = 1600});
    new_session("alice", &cookie);
    struct session_record *record = record_of(&cookie);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    int64_t noted = record->used -= 50;
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    EXPECT_EQ(record->used, noted);
    age(record, &session, 102);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    EXPECT(record->used > noted);
}

static void without_a_limit_no_session_expires(void)
{
    struct cookie cookie;
    struct session session = {0};
    open_with_sessions(1);
    new_session("alice", &cookie);
    struct session_record *record = record_of(&cookie);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    record->opened -= INT64_C(1) << 32;
    record->used -= INT64_C(1) << 32;
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    EXPECT_EQ(verify_anew(&cookie), STATUS_OK);
}

/* As a process is that sleeps for mail of an account. */
static void wait_for_mail(account_t account)
{
    account_at(store, account.index)->waited = 1;
    store->waits[owner_slot(store->me)] = pack(account);
}

static void whoever_waits_with_a_session_is_woken_by_its_end(void)
{
    struct cookie cookie;
    struct session session = {0};
    open_with_sessions(1);
    account_t alice = new_session("alice", &cookie);
    wait_for_mail(alice);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    EXPECT_EQ(sem_trywait(&store->slot->wake), -1);
    login("alice", &cookie);
    EXPECT_EQ(sem_trywait(&store->slot->wake), 0);
    EXPECT_EQ(verify(&cookie, &session), STATUS_OK);
    EXPECT_EQ(cookie_end(store, &session), STATUS_OK);
    EXPECT_EQ(sem_trywait(&store->slot->wake), 0);
    EXPECT_EQ(sem_trywait(&store->slot->wake), -1);
}

static const struct harness_test tests[] = {
    {"a login replaces the cookie before it", a_login_replaces_the_cookie_before_it},
    {"the oldest of many sessions goes first", the_oldest_of_many_sessions_goes_first},
    {"a lower limit ends what is too much", a_lower_limit_ends_what_is_too_much},
    {"a remembered cookie needs no lock", a_remembered_cookie_needs_no_lock},
    {"a remembered session answers to its own cookie only",
     a_remembered_session_answers_to_its_own_cookie_only},
    {"what is no cookie opens nothing", what_is_no_cookie_opens_nothing},
    {"an ended session is ended once and wiped", an_ended_session_is_ended_once_and_wiped},
    {"whoever waits with a session is woken by its end", whoever_waits_with_a_session_is_woken_by_its_end},
    {"a removed account leaves no session", a_removed_account_leaves_no_session},
    {"a session ends for every process", a_session_ends_for_every_process},
    {"a session ends so long after its login, however much it is used",
     a_session_ends_so_long_after_its_login_however_much_it_is_used},
    {"a session lives as long as was said, and a second more at most",
     a_session_lives_as_long_as_was_said_and_a_second_more_at_most},
    {"a session ends so long after its last use, by whomever",
     a_session_ends_so_long_after_its_last_use_by_whomever},
    {"the time is looked at once for all that is answered together",
     the_time_is_looked_at_once_for_all_that_is_answered_together},
    {"a use is noted no more often than needed", a_use_is_noted_no_more_often_than_needed},
    {"without a limit no session expires", without_a_limit_no_session_expires},
    {"cookies of many sessions are told apart", cookies_of_many_sessions_are_told_apart},
};

HARNESS_MAIN(tests)
