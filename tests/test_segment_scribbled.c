/* test_segment_scribbled.c: a segment whose fields say what cannot be, as the fuzzer found them: whoever
 * opens, locks, lists or checks it comes to no harm. */
#include "account.h"
#include "block.h"
#include "journal_load.h"
#include "layout.h"
#include "lock.h"
#include "process.h"
#include "segment.h"
#include "segment_tools.h"
#include "siphash.h"
#include "transaction.h"

#include "hostile.h"
#include "named_segment.h"

/* ---- the header ---- */

static struct header *header_on_disk(void)
{
    int fd = open_object(O_RDWR);
    EXPECT(fd >= 0);
    struct header *header = mmap(NULL, sizeof(*header), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT(header != MAP_FAILED);
    close(fd);
    return header;
}

static void expect_damaged_header(void)
{
    struct report report = {.counts = {0}};
    char why[512] = "";
    expect_refusal((struct store_options){.name = harness_name(), .must_exist = true}, STATUS_MISMATCH,
                   "its header is damaged");
    EXPECT_EQ(segment_repair(harness_name(), NULL, &report, why, sizeof(why)), STATUS_MISMATCH);
    EXPECT(strstr(why, "its header is damaged"));
}

static void sizes_that_do_not_fit_are_refused(void)
{
    in_a_process(fill_post_office);
    struct header *header = header_on_disk();
    uint32_t *const fields[] = {&header->accounts_most, &header->sessions_most, &header->slots_most,
                                &header->tokens, &header->throttle_most};
    uint32_t crc = header->crc;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const uint32_t values[] = {0, 1 << 20, 1u << 31, UINT32_MAX,
                                   i == 1 ? header->accounts_most * SESSIONS_LIMIT + 1 : 0};
        uint32_t was = *fields[i];
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
            *fields[i] = values[j];
            expect_damaged_header();
            header->crc = segment_header_crc(header); /* so it can be meant */
            expect_damaged_header();
            header->crc = crc;
        }
        *fields[i] = was;
    }
    struct store_options options = {.name = harness_name(), .must_exist = true};
    store = attached_store(&options);
    EXPECT_CLEAN(store);
}

static uint64_t arena;

static void open_once(void)
{
    const struct store_options options = {.name = harness_name(), .must_exist = true};
    char why[512];
    enum status status = store_open(&store, &options, why, sizeof(why));
    EXPECT(status == STATUS_OK || status == STATUS_MISMATCH);
    if (status == STATUS_OK)
        EXPECT_EQ(store->arena, arena);
    journal_unload(store);
}

static void sizes_that_change_are_taken_as_they_were_verified(void)
{
    in_a_process(fill_post_office);
    struct header *header = header_on_disk();
    const struct store_options options = {.name = harness_name(), .must_exist = true};
    struct store *sound = open_store(&options);
    arena = sound->arena;
    journal_unload(sound);
    LOOK_AT_HOSTILE(header->slots_most, header->slots_most + 100, open_once);
    LOOK_AT_HOSTILE(header->accounts_most, header->accounts_most + 1000, open_once);
}

/* ---- the lock and the slots ---- */

static void lock_once(void)
{
    lock_take(store);
    lock_release(store);
}

static void a_lock_word_that_names_no_slot_is_nobodys(void)
{
    store = attached_store(&(struct store_options){.accounts = 10, .slots = 4, .crypt_cost = 1});
    const uint64_t words[] = {1, owner_word(4, 3), owner_word(3, 3), owner_word(1 << 20, 3),
                              UINT64_MAX & ~LOCK_WAITERS};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        store->header->owner = words[i];
        EXPECT(owner_is_dead(store, words[i]));
        lock_once();
        EXPECT_EQ(store->header->owner, 0);
    }
    EXPECT_CLEAN(store);
}

/* The arena lies behind the few slots, so that a slot too many would be a block. */
static void hints_for_slots_that_cannot_be_are_passed_over(void)
{
    static char before[PAGE];
    store = attached_store(&(struct store_options){.accounts = 10, .slots = 4, .crypt_cost = 1});
    account_t account = new_account(store, "alice");
    const char *behind = (const char *)slot_at(store, 4);
    size_t length = sizeof(before);
    EXPECT(behind + length > store->base + store->arena);
    store->header->slot_map[0] = store->header->slot_map[1] = UINT64_MAX;
    for (uint32_t index = store->header->slots_most; index < 128; index++)
        EXPECT(!process_has_slot(store, index)); /* another table stands there */
    memcpy(before, behind, length);
    store_reclaim(store);
    process_wake_waiters(store, account);
    EXPECT(memcmp(before, behind, length) == 0);
    EXPECT_CLEAN(store);
}

/* They are the first that anybody looks at, before a check as well. */
static void lists_of_what_is_to_be_freed_that_cannot_be_are_left(void)
{
    const uint32_t impossible[] = {UINT32_MAX, 1u << 31, 11, 1000};
    store = attached_store(&(struct store_options){.accounts = 10, .slots = 4, .crypt_cost = 1});
    new_account(store, "alice");
    uint32_t *const lists[] = {&store->header->accounts_dying, &store->header->limbo};
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < sizeof(impossible) / sizeof(impossible[0]); j++) {
            *lists[i] = impossible[j];
            store->header->acquitted = store->header->suspected;
            store_reclaim(store);
            EXPECT(store_is_suspect(store));
            EXPECT_EQ(*lists[i], impossible[j]);
            *lists[i] = 0;
        }
    store->header->acquitted = store->header->suspected;
    EXPECT_CLEAN(store);
}

static size_t reports;

static void count_report(void *context, const char *text)
{
    (void)context;
    EXPECT(*text != '\0');
    reports++;
}

/* Its accounts may be anything. */
static void a_suspect_post_office_names_no_account(void)
{
    struct store_process process;
    uint32_t slot = 0;
    store = attached_store(&(struct store_options){.accounts = 10, .slots = 4, .crypt_cost = 1});
    store->slot->account = new_account(store, "alice");
    EXPECT(store_next_process(store, &slot, &process));
    EXPECT_STR(process.account, "alice");
    account_at(store, store->slot->account.index)->identity = UINT32_MAX;
    store_suspect(store);
    slot = 0;
    EXPECT(store_next_process(store, &slot, &process));
    EXPECT_STR(process.account, "");
    EXPECT_EQ(process.pid, getpid());
}

static void scribble_over_a_record(void)
{
    struct store_options options = {.name = harness_name(), .must_exist = true};
    store = attached_store(&options);
    store->slot->redo_count = UINT64_C(1) << 60;
    memset(store->slot->redo, 0xff, sizeof(store->slot->redo));
    _exit(0);
}

static void note(void *context, enum report_kind kind, const char *text)
{
    (void)context;
    (void)kind;
    EXPECT(*text != '\0');
}

static void repair_office(void)
{
    struct report report = {.say = note};
    char why[512] = "";
    EXPECT_EQ(segment_repair(harness_name(), NULL, &report, why, sizeof(why)), STATUS_OK);
}

static void a_scribbled_record_of_a_transaction_is_dropped(void)
{
    in_a_process(fill_post_office);
    in_a_process(scribble_over_a_record);
    in_a_process(repair_office);
    struct store_options options = {.name = harness_name(), .must_exist = true};
    store = attached_store(&options);
    EXPECT_EQ(store->header->accounts_live, 2);
    EXPECT_CLEAN(store);
}

/* ---- the check ---- */

/* What a transaction does not find in the map it does not write, so nothing in use may be missing there. */
static void what_is_in_use_but_not_reserved_is_found(void)
{
    store = attached_store(&(struct store_options){
        .segment_bytes = UINT64_C(64) << 20, .accounts = 1000, .slots = 4, .crypt_cost = 1});
    account_t account = new_account(store, "alice");
    message_id id;
    EXPECT_EQ(deliver(store, account, "bob", "subject", "body", 4, &id), STATUS_OK);
    const void *const parts[] = {store->header, account_at(store, 1), store->pages,
                                 at(store, account_at(store, 1)->root)};
    EXPECT_CLEAN(store);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint64_t unit = (uint64_t)((const char *)parts[i] - store->base) / PAGE;
        store->reserved[unit / 64] ^= UINT64_C(1) << (unit % 64);
        EXPECT(store_check(store, count_report, NULL) > 0);
        store->reserved[unit / 64] ^= UINT64_C(1) << (unit % 64);
    }
    EXPECT_CLEAN(store);
    EXPECT(reports >= sizeof(parts) / sizeof(parts[0]));
}

/* Also one whose hash is right: a journal's record may have had it so. */
static void a_name_with_a_nul_in_it_is_found(void)
{
    store = attached_store(&(struct store_options){.accounts = 10, .slots = 4, .crypt_cost = 1});
    account_t account = new_account(store, "alice");
    struct account_record *record = account_at(store, account.index);
    struct identity *identity = at(store, record->identity);
    uint32_t *bucket = &store->name_buckets[record->name_hash & store->name_mask];
    identity->text[2] = '\0';
    *bucket = 0;
    record->name_hash = (uint32_t)siphash13_folded(store->header->hash_key, identity->text, 5);
    store->name_buckets[record->name_hash & store->name_mask] = account.index;
    EXPECT_EQ(store_check(store, count_report, NULL), 1);
}

/* ---- no trace of what was refused ---- */

static size_t mappings(void)
{
    char line[512];
    size_t count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    EXPECT(maps != NULL);
    while (fgets(line, sizeof(line), maps))
        count += strstr(line, "shmail-") != NULL;
    fclose(maps);
    return count;
}

static void a_refused_segment_is_let_go(void)
{
    in_a_process(fill_post_office);
    struct store_options other = {.name = harness_name(), .accounts = 7};
    expect_refusal(other, STATUS_MISMATCH, "cannot be changed");
    EXPECT_EQ(mappings(), 0);
}

/* As a process in the sandbox may write it while another, which is in none, works on it. */
static void what_is_longer_than_its_place_is_cut(void)
{
    static struct {
        char name[NAME_MAX_BYTES + 1], behind[HASH_MAX];
    } place;
    static struct {
        struct account_secret secret;
        char behind[HASH_MAX];
    } secret;
    struct store_options options = {.crypt_cost = 1};
    account_t account;
    store = attached_store(&options);
    EXPECT_EQ(account_create(store, "alice", 5, "hash", &account, NULL), STATUS_OK);
    struct identity *identity = at(store, account_at(store, account.index)->identity);
    memset(secret.behind, 'x', sizeof(secret.behind));
    memset(place.behind, 'x', sizeof(place.behind));
    identity->hash_length = 60000;
    EXPECT_EQ(account_secret(store, "alice", 5, &secret.secret), STATUS_OK);
    EXPECT_EQ(secret.secret.hash[HASH_MAX], '\0');
    for (size_t i = 0; i < sizeof(secret.behind); i++)
        EXPECT_EQ(secret.behind[i], 'x');
    identity->name_length = 60000;
    EXPECT_EQ(account_name(store, account, place.name), NAME_MAX_BYTES);
    for (size_t i = 0; i < sizeof(place.behind); i++)
        EXPECT_EQ(place.behind[i], 'x');
}

static bool count_account(void *context, account_t account, const char *name)
{
    size_t *count = context;
    (void)account;
    (void)name;
    ++*count;
    return true;
}

/* What lies behind the table of accounts is none, and behind the last table nothing is. */
static void accounts_beyond_the_table_are_not_listed(void)
{
    size_t count = 0;
    store = attached_store(&(struct store_options){.segment_bytes = 64 << 20, .accounts = 10});
    new_account(store, "alice");
    store->header->accounts_used = UINT32_MAX - 1;
    alarm(20);
    account_each(store, count_account, &count);
    alarm(0);
    EXPECT_EQ(count, 1);
}

/* Whoever allocates, shmailctl too, ends instead of writing there. */
static void expect_end_of_allocating(uint32_t roomy, uint64_t word)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        account_t account;
        store =
            attached_store(&(struct store_options){.segment_bytes = 64 << 20, .accounts = 10, .slots = 8});
        size_t behind = 4 << 20;
        (void)mmap(store->base + store->mapped, behind, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        for (int class = 0; class < CLASSES; class ++)
            store->header->roomy[class] = roomy > 0 ? roomy : store->pages_most;
        if (roomy == 0)
            store->pages[store->pages_most - 1].word = word;
        alarm(20);
        (void)account_create(store, "alice", 5, "hash", &account, NULL);
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void expect_no_run(uint64_t word)
{
    block_t first;
    store = attached_store(&(struct store_options){.segment_bytes = 64 << 20, .accounts = 10, .slots = 8});
    for (int class = 0; class < CLASSES; class ++)
        store->header->roomy[class] = store->pages_most;
    EXPECT_EQ(segment_reserve(store, segment_offset(store, &store->pages[store->pages_most - 1]), 1),
              STATUS_OK);
    store->pages[store->pages_most - 1].word = word;
    transaction_begin(store);
    EXPECT(!block_take_run(store, 64, &first));
    transaction_end(store, STATUS_OK);
}

static void no_block_is_handed_out_outside_the_arena(void)
{
    enum { FRESH = 24, FIRST_FREE = 40 };
    expect_end_of_allocating(0, UINT64_C(0xffff) << FRESH);
    expect_end_of_allocating(0, UINT64_C(0xffff) << FIRST_FREE);
    expect_end_of_allocating(UINT32_MAX, 0);
    expect_end_of_allocating(1025, 0); /* of 64 MiB none */
    expect_no_run(UINT64_C(0xffff) << FRESH);
}

static void a_record_that_leads_out_of_the_segment_is_passed_over(void)
{
    uint64_t before[2] = {1, 1};
    store = attached_store(&(struct store_options){.crypt_cost = 1});
    struct slot *slot = store->slot;
    uint64_t away = (uint64_t)((char *)before - store->base);
    EXPECT(away % 8 == 0);
    slot->redo[0] = (struct redo_entry){away | EIGHT_BYTES, 7};
    slot->redo[1] = (struct redo_entry){away + 8, 7};
    slot->redo[2] = (struct redo_entry){(store->mapped - 4) | EIGHT_BYTES, 7};
    slot->redo[3] = (struct redo_entry){store->mapped, 7};
    __atomic_store_n(&slot->redo_count, 4, __ATOMIC_RELEASE);
    transaction_apply(store, slot);
    EXPECT(store_is_suspect(store));
    EXPECT_EQ(store_acquit(store, NULL, NULL), STATUS_OK);
    uint32_t *last = (uint32_t *)(void *)(store->base + store->mapped - 4);
    uint32_t was = *last;
    slot->redo[0] = (struct redo_entry){store->mapped - 4, was + 1};
    __atomic_store_n(&slot->redo_count, 1, __ATOMIC_RELEASE);
    transaction_apply(store, slot);
    EXPECT_EQ(*last, was + 1);
    *last = was;
    for (int i = 0; i < REDO_MAX; i++)
        slot->redo[i] = (struct redo_entry){store->mapped - 4, was};
    __atomic_store_n(&slot->redo_count, REDO_MAX + 8, __ATOMIC_RELEASE);
    transaction_apply(store, slot);
    EXPECT_EQ(slot->redo_count, 0);
    EXPECT_EQ(store->header->magic, SEGMENT_MAGIC); /* what lies behind the record is none */
    EXPECT(!store_is_suspect(store));
    EXPECT_EQ(before[0], 1);
    EXPECT_EQ(before[1], 1);
}

static const struct harness_test tests[] = {
    {"accounts beyond the table are not listed", accounts_beyond_the_table_are_not_listed},
    {"what is longer than its place is cut", what_is_longer_than_its_place_is_cut},
    {"no block is handed out outside the arena", no_block_is_handed_out_outside_the_arena},
    {"a record that leads out of the segment is passed over",
     a_record_that_leads_out_of_the_segment_is_passed_over},
    {"a segment whose sizes cannot be is refused, and kept", sizes_that_do_not_fit_are_refused},
    {"sizes that change are taken as they were verified", sizes_that_change_are_taken_as_they_were_verified},
    {"a lock word that names no slot is nobody's", a_lock_word_that_names_no_slot_is_nobodys},
    {"hints for slots that cannot be are passed over", hints_for_slots_that_cannot_be_are_passed_over},
    {"lists of what is to be freed that cannot be are left",
     lists_of_what_is_to_be_freed_that_cannot_be_are_left},
    {"a repair drops a transaction that was scribbled over", a_scribbled_record_of_a_transaction_is_dropped},
    {"a suspect post office names no account", a_suspect_post_office_names_no_account},
    {"what is in use but not reserved is found", what_is_in_use_but_not_reserved_is_found},
    {"a name with a NUL in it is found", a_name_with_a_nul_in_it_is_found},
    {"a refused segment is let go", a_refused_segment_is_let_go},
};

HARNESS_MAIN(tests)
