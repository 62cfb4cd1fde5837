/* staging.h: what the tests of the journal's stage share: a post office whose groups go past the page cache,
 * what calls it takes, and leaders that die. */
#ifndef SHMAIL_TEST_STAGING_H
#define SHMAIL_TEST_STAGING_H

#include "huge.h"
#include "journal_stage.h"

#include "power.h"

static const struct store_options large_options = {.directory = "journal",
                                                   .crypt_cost = 1,
                                                   .journal_bytes = 5 << 20,
                                                   .segment_bytes = 32 << 20,
                                                   .accounts = 16,
                                                   .slots = 8};

static inline void begin(void)
{
    open_post_office(&large_options);
    do_and_settle(0, 2);
}

static inline struct journal_segment *journal(void)
{
    return &store->header->journal;
}

/* Of the calls in between: how many this process has made, and how many of them past the page cache. */
static inline uint64_t count(enum disk_call kind, uint64_t *directs, void (*run)(void))
{
    uint64_t before = disk_directs;
    fault.kinds = kind;
    fault.at = fault.seen = 0;
    run();
    fault.kinds = 0;
    if (directs)
        *directs = disk_directs - before;
    return fault.seen;
}

static inline void send_one(void)
{
    send_and_settle(700);
}

static inline void note_mails(size_t mails)
{
    for (size_t mail = 0; mail < mails; mail++) {
        EXPECT_EQ(scene_send(store, "bob", "meanwhile", mail % 4 * 900), STATUS_OK);
        scene_note(scene, store);
    }
}

static inline void die_as_the_leader(unsigned kind, int how)
{
    pid_t pid = fork_attached();
    if (pid == 0) {
        fault.kinds = kind;
        fault.at = 1;
        fault.seen = 0;
        fault.error = how;
        journal_observe_all(store);
        (void)store_settle(store);
        _exit(0);
    }
    EXPECT(wait_for(pid));
}

#endif
