/* test_check.c: the check finds each kind of damage to the header and the tables. */
#include "damage.h"

static void damage_to_the_header_is_found(void)
{
    make_post_office();
    struct header *header = store->header;
    DAMAGE32(header->accounts_used);
    DAMAGE32(header->accounts_free);
    DAMAGE32(header->accounts_live);
    DAMAGE32(header->accounts_dying);
    DAMAGE32(header->sessions_used);
    DAMAGE32(header->sessions_free);
    DAMAGE32(header->sessions_live);
    DAMAGE32(header->limbo);
    DAMAGE32(header->pages_used);
    DAMAGE32(header->pages_free);
    DAMAGE32(header->pages_free_count);
    for (uint32_t class = 0; class < CLASSES; class ++)
        DAMAGE32(header->roomy[class]);
}

static void damage_to_an_account_is_found(void)
{
    make_post_office();
    DAMAGE32(alice->generation);
    DAMAGE32(alice->chain);
    DAMAGE32(alice->name_hash);
    DAMAGE32(alice->identity);
    DAMAGE32(alice->queue);
    DAMAGE64(alice->queue_count);
    DAMAGE64(alice->base);
    DAMAGE64(alice->first);
    DAMAGE64(alice->count);
    DAMAGE64(alice->bytes);
    DAMAGE32(alice->root);
    DAMAGE32(alice->height);
    DAMAGE32(alice->session);
    DAMAGE32(alice->sessions);
    DAMAGE32(store->name_buckets[alice->name_hash & store->name_mask]);
    DAMAGE32(store->name_buckets[(alice->name_hash + 1) & store->name_mask]);
    DAMAGE64(alice->changed);
    damaging = "newest, of which only a smaller one is known to be wrong";
    alice->queue_newest--;
    expect_found("of the queue");
    alice->queue_newest++;
    alice->newest = 70;
    expect_found("of the mailbox");
}

static void damage_to_a_removed_account_is_found(void)
{
    make_post_office();
    DAMAGE_GENERATION(removed->generation);
    DAMAGE32(removed->chain);
    DAMAGE32(removed->identity);
    DAMAGE32(removed->queue);
    DAMAGE64(removed->queue_count);
    DAMAGE64(removed->newest);
    DAMAGE64(removed->queue_newest);
    DAMAGE64(removed->changed);
    DAMAGE64(removed->count);
    DAMAGE64(removed->bytes);
    DAMAGE32(removed->root);
    DAMAGE32(removed->height);
    DAMAGE32(removed->session);
    DAMAGE32(removed->sessions);
    DAMAGE32(dying->generation);
    DAMAGE32(dying->chain);
    DAMAGE32(dying->identity);
    DAMAGE32(dying->queue);
    DAMAGE32(dying->root);
    DAMAGE32(dying->height);
    DAMAGE32(dying->session);
    DAMAGE32(dying->sessions);
}

static void damage_to_a_session_is_found(void)
{
    make_post_office();
    struct session_record *session = session_at(store, alice->session);
    damaging = "session->secret";
    for (int bit = 0; bit < 8; bit++) { /* of those that choose its bucket; all others are random */
        session->secret[0] ^= (uint8_t)(1 << bit);
        expect_found("one bit");
        session->secret[0] ^= (uint8_t)(1 << bit);
    }
    DAMAGE_GENERATION(session->generation);
    DAMAGE32(session->chain);
    DAMAGE32(session->account.index);
    DAMAGE32(session->account.generation);
    DAMAGE32(session->older);
    DAMAGE_GENERATION(session_at(store, store->header->sessions_free)->generation);
    DAMAGE32(session_at(store, store->header->sessions_free)->chain);
}

static void damage_to_a_name_is_found(void)
{
    make_post_office();
    struct identity *identity = at(store, alice->identity);
    damaging = "identity";
    for (size_t byte = offsetof(struct identity, name_length);
         byte < offsetof(struct identity, text) + identity->name_length + 1u; byte++) {
        unsigned char *at_byte = (unsigned char *)identity + byte;
        *at_byte ^= 0x41;
        expect_found("one byte");
        *at_byte ^= 0x41;
    }
    char *end = identity->text + identity->name_length + 1 + identity->hash_length;
    *end = 'x';
    expect_found("the end of the hash");
    *end = '\0';
    EXPECT_CLEAN(store);
}

static const struct harness_test tests[] = {
    {"damage to the header is found", damage_to_the_header_is_found},
    {"damage to an account is found", damage_to_an_account_is_found},
    {"damage to a removed account is found", damage_to_a_removed_account_is_found},
    {"damage to a session is found", damage_to_a_session_is_found},
    {"damage to a name is found", damage_to_a_name_is_found},
};

HARNESS_MAIN(tests)
