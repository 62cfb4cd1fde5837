/* test_salvage_race.c: a process that has kept its mapping writes to a segment while a repair takes from it
 * what verifies: the repair comes to its end all the same, and to no harm. */
#include "export.h"
#include "journal_load.h"
#include "segment_salvage.h"

#include "damage.h"
#include "hostile.h"

#include <fcntl.h>

static struct store *old;

static void say_nothing(void *context, enum report_kind kind, const char *text)
{
    (void)context;
    (void)kind;
    EXPECT(*text != '\0');
}

static void salvage_once(void)
{
    struct report report = {.say = say_nothing};
    struct exporter exporter = EXPORT_TO(AT_FDCWD, NULL, "export");
    struct store *fresh = attached_store(&(struct store_options){
        .segment_bytes = UINT64_C(64) << 20, .accounts = 50, .slots = 4, .sessions_per_account = 4});
    (void)segment_salvage(old, NULL, 0, fresh, &report, &exporter);
    EXPECT_CLEAN(fresh);
    export_end(&exporter, false);
    journal_unload(fresh);
}

#define FLIP(what, value) LOOK_AT_HOSTILE(what, value, salvage_once)

static void a_record_that_changes_leads_the_repair_nowhere(void)
{
    make_post_office();
    old = store;
    struct identity *identity = at(store, alice->identity);
    salvage_once();
    FLIP(store->header->accounts_most, UINT32_MAX);
    FLIP(store->header->slots_most, UINT32_MAX);
    FLIP(store->header->accounts_dying, UINT32_MAX);
    FLIP(alice->identity, UINT32_MAX);
    FLIP(alice->queue, UINT32_MAX);
    FLIP(alice->root, UINT32_MAX);
    FLIP(alice->height, UINT32_MAX);
    FLIP(identity->name_length, UINT16_MAX);
    FLIP(identity->hash_length, UINT16_MAX);
    FLIP(root->present, UINT64_MAX);
}

static void a_message_that_changes_leads_the_repair_nowhere(void)
{
    make_post_office();
    old = store;
    FLIP(listed->body_length, UINT32_MAX);
    FLIP(listed->body_length, listed->body_length + 1);
    FLIP(listed->shape, listed->shape + 0x10000);
    FLIP(listed->pieces, UINT32_MAX);
    FLIP(((struct piece *)at(store, listed->pieces))->link, UINT32_MAX);
    FLIP(queued->link, UINT32_MAX);
    FLIP(queued->body_length, queued->body_length + 1);
    FLIP(limbo->owner, UINT32_MAX);
    alice->root = 0; /* its messages are exported */
    FLIP(listed->body_length, listed->body_length + 1);
    FLIP(listed->owner, UINT32_MAX);
}

/* The link of a free block that is not the last of its page's. */
static uint32_t *free_link(void)
{
    for (uint32_t page = 0; page < store->header->pages_used; page++) {
        struct page_shape shape;
        if (!block_page_shape(store->pages[page].word, &shape) || !shape.first_free)
            continue;
        uint64_t offset =
            store->arena + (uint64_t)page * PAGE + (uint64_t)(shape.first_free - 1) * shape.size;
        uint32_t *link = (void *)(store->base + offset);
        if (*link)
            return link;
    }
    harness_fail(__FILE__, __LINE__, "no page has two free blocks");
}

static void a_chain_that_changes_leads_the_repair_nowhere(void)
{
    make_post_office();
    old = store;
    FLIP(*free_link(), UINT32_MAX);
    FLIP(store->pages[0].word, UINT64_MAX);
    FLIP(store->slot->draft, UINT32_MAX);
}

static const struct harness_test tests[] = {
    {"a record that changes leads the repair nowhere", a_record_that_changes_leads_the_repair_nowhere},
    {"a message that changes leads the repair nowhere", a_message_that_changes_leads_the_repair_nowhere},
    {"a chain that changes leads the repair nowhere", a_chain_that_changes_leads_the_repair_nowhere},
};

HARNESS_MAIN(tests)
