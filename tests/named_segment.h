/* named_segment.h: what the tests of the segment share: a post office by name, looked at by processes of
 * their own, as fcntl locks want it, and its object in shared memory. */
#ifndef SHMAIL_TEST_NAMED_SEGMENT_H
#define SHMAIL_TEST_NAMED_SEGMENT_H

#include "account.h"
#include "layout.h"
#include "post_office.h"
#include "queue.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct store *store;

static inline struct store_options named(void)
{
    return (struct store_options){
        .name = harness_name(), .segment_bytes = UINT64_C(64) << 20, .accounts = 1000, .slots = 16};
}

static inline void expect_success(pid_t pid)
{
    int status;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
}

static inline void in_a_process(void (*run)(void))
{
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        run();
        _exit(0);
    }
    expect_success(pid);
}

/* The object behind the name, or -1. */
static inline int open_object(int flags)
{
    char path[128];
    snprintf(path, sizeof(path), "/shmail-%s", harness_name());
    return shm_open(path, flags, 0600);
}

static inline bool object_exists(void)
{
    int fd = open_object(O_RDONLY);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static inline void expect_refusal(struct store_options options, enum status expected, const char *advice)
{
    char why[512] = "";
    struct store *refused;
    EXPECT_EQ(store_open(&refused, &options, why, sizeof(why)), expected);
    EXPECT(refused == NULL);
    if (!strstr(why, advice))
        harness_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", why, advice);
    EXPECT(!strchr(why, '\n'));
}

static struct cookie *cookie; /* alice's, shared by the processes; NULL: nobody asks */

static inline void fill_post_office(void)
{
    static char body[50000];
    struct store_options options = named();
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = "queued", .body_length = 6};
    account_t alice, bob;
    message_id id;
    store = attached_store(&options);
    EXPECT_EQ(account_create(store, "Alice", 5, "her hash", &alice, cookie), STATUS_OK);
    EXPECT_EQ(account_create(store, "bob", 3, NULL, &bob, NULL), STATUS_OK);
    memset(body, 'x', sizeof(body));
    EXPECT_EQ(deliver(store, alice, "bob", "long", body, sizeof(body), &id), STATUS_OK);
    EXPECT_EQ(deliver(store, alice, "bob", "", "short", 5, &id), STATUS_OK);
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_EQ(queue_push(store, bob), STATUS_OK);
    EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    store_detach(store);
}

#endif
