/* Tests of SMSP, smsp(7), in LF framing: accounts and sessions, who may do what, and what every verb refuses.
 */
#include "smsp_pair.h"

#include <stdbool.h>

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void registering_opens_a_session_and_an_empty_mailbox(void)
{
    begin();
    enrol(&alice, "alice", cookie);
    EXPECT_STR(ask(&alice, "COUNT alice %s", cookie), "COUNTED 0");
    EXPECT_STR(ask(&alice, "REGISTER alice other"), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK the name is taken");
    EXPECT_STR(ask(&alice, "REGISTER ALICE other"), "KO");
    EXPECT_STR(ask(&alice, "COUNT ALICE %s", cookie), "COUNTED 0");
    end();
}

static void names_and_passwords_have_their_form(void)
{
    char longest[PASSWORD_MAX + 2];

    begin();
    memset(longest, 'x', sizeof longest);
    longest[PASSWORD_MAX + 1] = '\0';
    EXPECT_STR(ask(&alice, "REGISTER a_b secret"), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK a user name is 1 to 64 letters and digits");
    EXPECT_STR(ask(&alice, "REGISTER alice@mail.localhost secret"), "KO");
    EXPECT_STR(ask(&alice, "LOGIN alice@mail.localhost secret"), "KO");
    EXPECT_STR(ask(&alice, "REGISTER %.65s secret", longest), "KO");
    EXPECT_STR(ask(&alice, "REGISTER alice %s", longest), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK a password is 1 to 256 bytes long");
    EXPECT(starts_with(ask(&alice, "REGISTER %.64s %.256s", longest, longest), "OK "));
    EXPECT(starts_with(ask(&alice, "LOGIN %.64s %.256s", longest, longest), "OK "));
    EXPECT_STR(ask(&alice, "LOGIN %.64s %.255s", longest, longest), "KO");
    end();
}

static void a_login_ends_the_session_before_it(void)
{
    char second[COOKIE_TEXT + 1];

    begin();
    enrol(&alice, "alice", cookie);
    keep_cookie(ask(&alice, "LOGIN Alice secret"), second);
    EXPECT(strcmp(cookie, second) != 0);
    EXPECT_STR(ask(&alice, "COUNT alice %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "COUNT alice %s", second), "COUNTED 0");
    EXPECT_STR(ask(&alice, "LOGOUT %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "LOGOUT %s", second), "OK");
    EXPECT_STR(ask(&alice, "LOGOUT %s", second), "KO");
    EXPECT_STR(ask(&alice, "COUNT alice %s", second), "KO");
    EXPECT(starts_with(ask(&alice, "LOGIN alice secret"), "OK "));
    end();
}

static void an_unknown_user_and_a_wrong_password_look_alike(void)
{
    begin();
    enrol(&alice, "alice", cookie);
    EXPECT_STR(ask(&alice, "LOGIN alice wrong"), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK wrong name or password");
    EXPECT_STR(ask(&alice, "LOGIN nobody secret"), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK wrong name or password");
    EXPECT_STR(ask(&alice, "PASSWD nobody secret new"), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK wrong name or password");
    EXPECT_STR(ask(&alice, "UNREGISTER alice wrong"), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK wrong name or password");
    EXPECT_STR(ask(&alice, "COUNT alice %s", cookie), "COUNTED 0");
    end();
}

static void a_mailbox_is_its_owners_only(void)
{
    static const char *const own[] = {"COUNT alice",   "GETMSG alice",   "DELMSG alice",  "LIST alice",
                                      "FETCH alice 1", "REMOVE alice 1", "WAIT alice 1 0"};

    begin_with_two();
    EXPECT_STR(ask(&bob, "SEND alice private %s", bobs), "OK 1");
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        EXPECT_STR(ask(&bob, "%s %s", own[i], bobs), "KO");
        EXPECT_STR(ask(&bob, "WHY"), "OK the cookie is not one of that user's");
        EXPECT_STR(ask(&bob, "%s %s", own[i], "wrong"), "KO");
        EXPECT_STR(ask(&bob, "WHY"), "OK no such session, log in first");
    }
    EXPECT_STR(ask(&alice, "COUNT alice %s", cookie), "COUNTED 1");
    end();
}

static void only_message_invites_to_log_in(void)
{
    begin_with_two();
    EXPECT_STR(ask(&alice, "MESSAGE hello wrong"), "You should log in first.");
    EXPECT_STR(ask(&alice, "WHY"), "OK no such session, log in first");
    EXPECT_STR(ask(&alice, "LOGOUT %s", cookie), "OK");
    EXPECT_STR(ask(&alice, "MESSAGE hello %s", cookie), "You should log in first.");
    EXPECT_STR(ask(&alice, "STORE bob %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "SEND bob hello %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "LOGOUT %.42s", bobs), "KO");
    end();
}

/* Every verb with one argument less, with one more, and with a last word that is empty; an empty cookie, as a
 * script without one sends it, is there and is a bad one. */
static void too_few_and_too_many_arguments_are_refused(void)
{
    static const struct {
        const char *name, *arguments;
        bool content; /* takes any number of words */
    } shapes[] = {
        {"REGISTER", " <username> <password>", false},
        {"LOGIN", " <username> <password>", false},
        {"LOGOUT", " <cookie>", false},
        {"MESSAGE", " <content> <cookie>", true},
        {"STORE", " <username> <cookie>", false},
        {"COUNT", " <username> <cookie>", false},
        {"GETMSG", " <username> <cookie>", false},
        {"DELMSG", " <username> <cookie>", false},
        {"DUMP", " no argument", false},
        {"WHY", " no argument", false},
        {"SEND", " <username> <content> <cookie>", true},
        {"LIST", " <username> <cookie>", false},
        {"FETCH", " <username> <id> <cookie>", false},
        {"REMOVE", " <username> <id> <cookie>", false},
        {"WAIT", " <username> <count> <seconds> <cookie>", false},
        {"PASSWD", " <username> <old> <new>", false},
        {"UNREGISTER", " <username> <password>", false},
        {"HELP", " no argument", false},
        {"NOOP", " no argument", false},
        {"QUIT", " no argument", false},
    };

    begin();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        static const char ones[] = " 1 1 1 1 1";
        char usage[128];
        int words = 0;
        for (const char *at = strchr(shapes[i].arguments, '<'); at != NULL; at = strchr(at + 1, '<')) {
            words++;
        }
        snprintf(usage, sizeof usage, "OK %s takes%s", shapes[i].name, shapes[i].arguments);
        for (int given = 0; given <= (shapes[i].content ? words : words + 1); given++) {
            if (given != words) {
                EXPECT_STR(ask(&alice, "%s%.*s", shapes[i].name, 2 * given, ones), "KO");
                EXPECT_STR(ask(&alice, "WHY"), usage);
            }
        }
        bool has_cookie = strstr(usage, "<cookie>") != NULL, invites = strcmp(shapes[i].name, "MESSAGE") == 0;
        EXPECT_STR(ask(&alice, "%s%.*s ", shapes[i].name, words > 1 ? 2 * (words - 1) : 0, ones),
                   invites ? "You should log in first." : "KO");
        EXPECT_STR(ask(&alice, "WHY"), has_cookie ? "OK no such session, log in first" : usage);
    }
    EXPECT_STR(ask(&alice, "COUNT  alice %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "COUNT alice  %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "COUNT alice cookie "), "KO");
    end();
}

static void unknown_verbs_are_refused(void)
{
    static const char *const unknown[] = {"",      "HELO", "register a b", "NOOPS", "NOO",
                                          " NOOP", "12",   "12 NOOP",      "\t"};

    begin();
    EXPECT_STR(ask(&alice, "WHY"), "OK nothing was refused");
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        EXPECT_STR(ask(&alice, "%s", unknown[i]), "KO");
        EXPECT_STR(ask(&alice, "WHY"), i == 0 ? "OK the request is empty" : "OK no such verb, try HELP");
    }
    EXPECT_STR(ask(&alice, "NOOP"), "OK");
    EXPECT_STR(ask(&alice, "WHY"), "OK no such verb, try HELP");
    end();
}

static void a_password_change_keeps_the_session(void)
{
    begin();
    enrol(&alice, "alice", cookie);
    EXPECT_STR(ask(&alice, "PASSWD alice wrong new"), "KO");
    EXPECT_STR(ask(&alice, "PASSWD alice secret new"), "OK");
    EXPECT_STR(ask(&alice, "COUNT alice %s", cookie), "COUNTED 0");
    EXPECT_STR(ask(&alice, "LOGIN alice secret"), "KO");
    EXPECT(starts_with(ask(&alice, "LOGIN alice new"), "OK "));
    end();
}

static void unregistering_removes_everything(void)
{
    begin_with_two();
    EXPECT_STR(ask(&bob, "SEND alice mail %s", bobs), "OK 1");
    EXPECT_STR(ask(&alice, "MESSAGE queued %s", cookie), "OK");
    EXPECT_STR(ask(&alice, "UNREGISTER alice secret"), "OK");
    EXPECT_STR(ask(&alice, "COUNT alice %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "LOGIN alice secret"), "KO");
    EXPECT_STR(ask(&bob, "SEND alice mail %s", bobs), "KO");
    enrol(&alice, "alice", cookie);
    EXPECT_STR(ask(&alice, "COUNT alice %s", cookie), "COUNTED 0");
    EXPECT_STR(ask(&alice, "STORE alice %s", cookie), "KO");
    end();
}

static void help_names_every_verb_once(void)
{
    begin();
    EXPECT_STR(ask(&alice, "HELP"),
               "OK REGISTER LOGIN LOGOUT MESSAGE STORE COUNT GETMSG DELMSG DUMP WHY SEND LIST FETCH "
               "REMOVE WAIT PASSWD UNREGISTER HELP NOOP QUIT");
    EXPECT_STR(ask(&alice, "NOOP"), "OK");
    EXPECT_STR(ask(&alice, "QUIT"), "OK");
    char byte;
    EXPECT_EQ(recv(alice.socket, &byte, 1, 0), 0);
    end();
}

static const struct harness_test tests[] = {
    {"registering opens a session and an empty mailbox", registering_opens_a_session_and_an_empty_mailbox},
    {"names and passwords have their form", names_and_passwords_have_their_form},
    {"a login ends the session before it", a_login_ends_the_session_before_it},
    {"an unknown user and a wrong password look alike", an_unknown_user_and_a_wrong_password_look_alike},
    {"a mailbox is its owner's only", a_mailbox_is_its_owners_only},
    {"only MESSAGE invites to log in", only_message_invites_to_log_in},
    {"too few and too many arguments are refused", too_few_and_too_many_arguments_are_refused},
    {"unknown verbs are refused", unknown_verbs_are_refused},
    {"a password change keeps the session", a_password_change_keeps_the_session},
    {"unregistering removes everything", unregistering_removes_everything},
    {"HELP names every verb once", help_names_every_verb_once},
};

HARNESS_MAIN(tests)
