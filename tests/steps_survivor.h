/* steps_survivor.h: what must hold for whoever survives a death: it owes nothing of the dead one's, has work
 * to do, gets the dead one's slot; and who was reading goes on reading. */
#ifndef SHMAIL_TEST_STEPS_SURVIVOR_H
#define SHMAIL_TEST_STEPS_SURVIVOR_H

#include "process.h"
#include "segment_copy.h"
#include "state.h"
#include "steps_office.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>

/* What a victim and whoever has forked it share. */
struct told {
    atomic_bool done; /* the operation has returned */
    uint32_t slot;    /* of the victim */
    uint32_t reader;  /* slot of a process that lives on, with a pin (READER) */
};

static void *shared(size_t bytes)
{
    return copy_mapping(bytes, MAP_SHARED | MAP_ANONYMOUS, -1);
}

/* What whoever survives must be able to do, whatever it was that died; then it settles. */
static void work(struct store *survivor)
{
    account_t account;
    struct cookie cookie;
    struct session verified = {0};
    struct message read;
    message_id id;
    struct letter letter = {"survivor", "", long_body, 8, 0, BIG};
    for (uint32_t index = 1; index <= survivor->header->accounts_used; index++) {
        account.index = index;
        account.generation = account_at(survivor, index)->generation;
        if (account.generation % 2)
            EXPECT_EQ(enter_account(survivor, account), STATUS_OK);
    }
    EXPECT_EQ(account_create(survivor, "survivor", 8, NULL, &account, &cookie), STATUS_OK);
    EXPECT_EQ(cookie_verify(survivor, cookie.text, COOKIE_TEXT, &verified), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(draft_write(survivor, &letter), STATUS_OK);
        EXPECT_EQ(mailbox_append(survivor, account, &id), STATUS_OK);
    }
    EXPECT_EQ(mailbox_first(survivor, account, &read), STATUS_OK);
    EXPECT_EQ(mailbox_delete_first(survivor, account), STATUS_OK);
    message_release(survivor, &read);
    EXPECT_EQ(mailbox_count(survivor, account), 1);
}

/* Attaches until the dead one's slot is claimed too. */
static void reuse_slot(const struct store *survivor, uint32_t slot)
{
    uint32_t count = 0;
    struct store *again = calloc(survivor->header->slots_most, sizeof(*again));
    EXPECT(again != NULL);
    do {
        EXPECT(count < survivor->header->slots_most);
        again[count] = *survivor;
        EXPECT_EQ(store_attach(&again[count], "reuser"), STATUS_OK);
    } while (slot_index(survivor, again[count++].slot) != slot);
    while (count > 0)
        store_detach(&again[--count]);
    free(again);
}

/* All is given back, but what a reader has that lives on. */
static void expect_no_debt(const struct store *survivor, bool reads, const struct told *told, uint32_t slots)
{
    struct store view = *survivor;
    struct store_figures figures;
    store_figures(&view, &figures);
    EXPECT_EQ(figures.slots, slots + reads);
    EXPECT_EQ(view.header->limbo, 0);
    EXPECT_EQ(view.header->accounts_dying, 0);
    for (uint32_t i = 0; i < view.header->slots_most; i++)
        if (process_has_slot(&view, i) && !(reads && i == told->reader))
            EXPECT_EQ(slot_at(&view, i)->draft | slot_at(&view, i)->pins | slot_at(&view, i)->entered.index,
                      0);
}

/* ---- a process that reads while another one dies ---- */

/* It holds its slot in the copy, if there is one, as it does in the segment. */
static void start_reader(struct told *told, const struct segment_copy *copy)
{
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct message pinned;
        EXPECT_EQ(store_attach(office, "reader"), STATUS_OK);
        EXPECT_EQ(mailbox_open(office, bob, 3, &pinned), STATUS_OK);
        told->reader = slot_index(office, office->slot);
        if (copy) {
            struct store held = *office;
            held.fd = copy->fd;
            EXPECT(segment_try_byte(&held, claim_byte(told->reader)));
            EXPECT(segment_try_byte(&held, slot_byte(told->reader)));
        }
        for (;;)
            raise(SIGSTOP);
    }
    EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    EXPECT(WIFSTOPPED(status));
}

/* What it reads is the same as ever. */
static void expect_pinned(const struct store *survivor, const struct told *told)
{
    static struct state expected;
    static struct state found;
    struct store view = *survivor;
    const struct slot *slot = slot_at(&view, told->reader);
    EXPECT_EQ(slot->pins, 1);
    found.length = expected.length = 0;
    state_add_message(&found, &view, "pinned", slot->pinned[0], 0);
    state_add(&expected, " pinned 3 from alice, \"about\", %d bytes %08x at 0\n", BIG,
              crc32c(0, long_body, BIG));
    EXPECT_STR(found.text, expected.text);
}

#endif
