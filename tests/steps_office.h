/* steps_office.h: the post office in which processes die: what it holds at first, and letters. */
#ifndef SHMAIL_TEST_STEPS_OFFICE_H
#define SHMAIL_TEST_STEPS_OFFICE_H

#include "journal.h"
#include "post_office.h"
#include "queue.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct store *office;
static const account_t alice = {1, 1};
static const account_t bob = {2, 1};
static const char hash[] = "$y$j75$of.no.password$nobody.knows.what.it.stands.for";
static const char other_hash[] = "$y$j75$of.another.password$and.that.is.not.known.either";
static char long_body[340000];
enum { BIG = 40000 /* bytes of a body that needs three blocks */, CHECKPOINT_BYTES = 1 << 18 };

static void fill_long_body(void)
{
    for (size_t i = 0; i < sizeof(long_body); i++)
        long_body[i] = (char)('a' + i * 7 % 26);
}

static void write_letter(size_t length)
{
    struct letter letter = {"alice", "about", long_body, 5, 5, length};
    EXPECT_EQ(draft_write(office, &letter), STATUS_OK);
}

static void append(account_t to, size_t length)
{
    message_id id;
    write_letter(length);
    EXPECT_EQ(mailbox_append(office, to, &id), STATUS_OK);
}

static void settle(void)
{
    EXPECT_EQ(store_settle(office), STATUS_OK);
}

static void in_another_process(void (*run)(void), int expected)
{
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        EXPECT_EQ(store_attach(office, "other"), STATUS_OK);
        run();
        store_detach(office);
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, expected);
}

/* alice has a session and a queue, bob a mailbox. */
static void make_post_office(void)
{
    account_t account;
    struct cookie cookie;
    EXPECT_EQ(account_create(office, "alice", 5, hash, &account, &cookie), STATUS_OK);
    EXPECT_EQ(account_create(office, "bob", 3, NULL, &account, NULL), STATUS_OK);
    append(bob, 30);
    append(bob, 0);
    append(bob, BIG);
    write_letter(25);
    EXPECT_EQ(queue_push(office, alice), STATUS_OK);
    settle();
}

#endif
