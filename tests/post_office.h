/* post_office.h: what the store's tests share: a private post office, accounts and letters in one line. */
#ifndef SHMAIL_TEST_POST_OFFICE_H
#define SHMAIL_TEST_POST_OFFICE_H

#include "account_record.h"
#include "harness.h"
#include "mailbox.h"

#include <stdio.h>
#include <string.h>

static inline void print_finding(void *context, const char *text)
{
    (void)context;
    printf("# finding: %s\n", text);
    fflush(stdout);
}

#define EXPECT_CLEAN(store) EXPECT_EQ(store_check(store, print_finding, NULL), 0)

/* Opened, not attached. */
static inline struct store *open_store(const struct store_options *options)
{
    struct store *store;
    char why[256] = "";
    if (store_open(&store, options, why, sizeof(why)) != STATUS_OK)
        harness_fail(__FILE__, __LINE__, "store_open: %s", why);
    return store;
}

static inline struct store *attached_store(const struct store_options *options)
{
    struct store *store = open_store(options);
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
    return store;
}

static inline struct store *private_store(void)
{
    return attached_store(&(struct store_options){.crypt_cost = 1});
}

static inline account_t new_account(struct store *store, const char *name)
{
    account_t account;
    EXPECT_EQ(account_create(store, name, strlen(name), NULL, &account, NULL), STATUS_OK);
    return account;
}

/* By whatever password the account has now. */
static inline enum status enter_account(struct store *store, account_t account)
{
    const struct account_record *record = account_record(store, account);
    struct account_secret secret = {.account = account, .revision = record ? record->revision : 0};
    return account_enter(store, &secret);
}

static inline enum status deliver(struct store *store, account_t to, const char *from, const char *subject,
                                  const char *body, size_t length, message_id *id)
{
    struct letter letter = {from, subject, body, strlen(from), strlen(subject), length};
    enum status status = draft_write(store, &letter);
    return status == STATUS_OK ? mailbox_append(store, to, id) : status;
}

static inline void expect_message(struct store *store, const struct message *message, const char *from,
                                  const char *subject, const char *body, size_t length)
{
    struct message_cursor cursor = {0};
    const char *run;
    size_t run_length;
    size_t done = 0;
    EXPECT_EQ(message->sender_length, strlen(from));
    EXPECT(memcmp(message->sender, from, message->sender_length) == 0);
    EXPECT_EQ(message->subject_length, strlen(subject));
    EXPECT(memcmp(message->subject, subject, message->subject_length) == 0);
    EXPECT_EQ(message->body_length, length);
    while (message_next(store, message, &cursor, &run, &run_length)) {
        EXPECT(done + run_length <= length);
        EXPECT(memcmp(run, body + done, run_length) == 0);
        done += run_length;
    }
    EXPECT_EQ(done, length);
}

#endif
