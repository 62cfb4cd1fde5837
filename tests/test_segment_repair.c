/* test_segment_repair.c: whatever field of a segment holds a wrong value, a repair neither crashes nor goes
 * round in circles, drops nothing unsaid, puts nothing where it does not belong, and leaves what is served.
 */
#include "segment.h"
#include "wreck.h"

/* ---- one field ---- */

/* What a wrong value may cost where there is no journal. */
enum cost {
    NOTHING,
    UNSEEN,    /* nothing, but ids may be given again: nobody knows better */
    SOMETHING, /* exported, or named */
    CONTENT,   /* the same, or nobody sees that it is wrong: the text then reads otherwise */
};

struct field {
    const char *name;
    const void *where;
    size_t size;
    enum cost cost;
};

static size_t trials, costly;

static uint64_t value_of(const struct field *field)
{
    uint64_t value = 0;
    memcpy(&value, field->where, field->size);
    return value;
}

static void try_value(const struct field *field, uint64_t value)
{
    char what[128];
    snprintf(what, sizeof(what), "%s: %llx instead of %llx", field->name, (unsigned long long)value,
             (unsigned long long)value_of(field));
    dprintf(STDOUT_FILENO, "# %s\n", what);
    int object = begin_trial();
    EXPECT_EQ(pwrite(object, &value, field->size, (off_t)offset_of(field->where)), (ssize_t)field->size);
    close(object);
    repair();
    expect_served(field->cost != UNSEEN);
    expect_no_wrong_place();
    size_t missing = expect_accounted_for(field->cost != CONTENT);
    if (missing > 0 && (field->cost <= UNSEEN || (with_journal && field->cost != CONTENT)))
        harness_fail(__FILE__, __LINE__, "%s: %zu messages are not there:\n%s", what, missing, outcome->said);
    trials++;
    costly += missing > 0;
    end_trial();
}

static void try_field(const struct field *field)
{
    const uint64_t was = value_of(field);
    const uint64_t most = field->size == 8 ? UINT64_MAX : (UINT64_C(1) << field->size * 8) - 1;
    const uint64_t values[] = {0,
                               1,
                               was + 1,
                               was - 1,
                               was ^ (most / 2 + 1),
                               was + 64,
                               most,
                               was ^ (most / 8 + 1),
                               was ^ (most / 4 + 1)};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        if ((values[i] & most) != was && (!with_journal || i % 2 == 0))
            try_value(field, values[i] & most);
}

#define FIELD(of, cost)                \
    {                                  \
#of, &(of), sizeof(of), (cost) \
    }

#define TRY_ALL(fields)                                                   \
    do {                                                                  \
        for (size_t i = 0; i < sizeof(fields) / sizeof((fields)[0]); i++) \
            try_field(&(fields)[i]);                                      \
    } while (0)

/* ---- where things are ---- */

static struct page_record *page_of(const void *block)
{
    return &store->pages[(offset_of(block) - store->arena) / PAGE];
}

/* Of a page that has one. */
static uint32_t *free_block(const struct page_record **of)
{
    struct page_shape shape;
    for (uint32_t page = 0; page < store->header->pages_used; page++)
        if (block_page_shape(store->pages[page].word, &shape) && shape.first_free > 0) {
            *of = &store->pages[page];
            return (uint32_t *)(void *)(store->base + store->arena + (uint64_t)page * PAGE +
                                        (uint64_t)(shape.first_free - 1) * shape.size);
        }
    harness_fail(__FILE__, __LINE__, "no page has a free block");
}

static struct slot *dead_slot(void)
{
    for (uint32_t i = 0; i < store->header->slots_most; i++)
        if (process_has_slot(store, i) && slot_at(store, i)->draft)
            return slot_at(store, i);
    harness_fail(__FILE__, __LINE__, "nobody has died");
}

/* ---- the kinds of records ---- */

static void each_field_of_the_header(void)
{
    struct header *header = store->header;
    uint32_t *class = header->roomy;
    while (*class == 0)
        class ++;
    const struct field fields[] = {
        FIELD(header->owner, NOTHING),
        FIELD(header->accounts_used, NOTHING),
        FIELD(header->accounts_free, NOTHING),
        FIELD(header->accounts_live, NOTHING),
        FIELD(header->accounts_dying, NOTHING),
        FIELD(header->sessions_used, NOTHING),
        FIELD(header->sessions_free, NOTHING),
        FIELD(header->sessions_live, NOTHING),
        FIELD(header->limbo, NOTHING),
        FIELD(header->pages_used, NOTHING),
        FIELD(header->pages_free, NOTHING),
        FIELD(header->pages_free_count, NOTHING),
        FIELD(*class, NOTHING),
        FIELD(header->deaths, NOTHING),
        FIELD(header->suspected, NOTHING),
        FIELD(header->slot_map[0], NOTHING),
        FIELD(store->reserved[0], NOTHING),
        FIELD(header->token[0], NOTHING),
    };
    TRY_ALL(fields);
}

static void each_field_of_the_tables(void)
{
    struct account_record *record = record_of("alice");
    struct session_record *session = session_at(store, record->session);
    const uint32_t *name = &store->name_buckets[record->name_hash & store->name_mask];
    const uint32_t *bucket = store->cookie_buckets[0];
    while (*bucket == 0)
        bucket++; /* there is one session */
    uint64_t *cookie = (uint64_t *)(void *)session->secret;
    const struct field fields[] = {
        FIELD(record->generation, NOTHING),
        FIELD(record->chain, NOTHING),
        FIELD(record->name_hash, SOMETHING),
        FIELD(record->revision, NOTHING),
        FIELD(record->identity, SOMETHING),
        FIELD(record->queue, SOMETHING),
        FIELD(record->queue_count, NOTHING),
        FIELD(record->newest, UNSEEN),
        FIELD(record->base, SOMETHING),
        FIELD(record->first, NOTHING),
        FIELD(record->count, NOTHING),
        FIELD(record->bytes, NOTHING),
        FIELD(record->root, SOMETHING),
        FIELD(record->height, SOMETHING),
        FIELD(record->session, NOTHING),
        FIELD(record->sessions, NOTHING),
        FIELD(record->entered, NOTHING),
        FIELD(record->waited, NOTHING),
        FIELD(record->queue_newest, UNSEEN),
        FIELD(record->changed, NOTHING),
        FIELD(*name, NOTHING),
        FIELD(session->generation, NOTHING),
        FIELD(session->chain, NOTHING),
        FIELD(session->account, NOTHING),
        FIELD(session->older, NOTHING),
        FIELD(*cookie, NOTHING),
        FIELD(*bucket, NOTHING),
        FIELD(record_of("bob")->root, SOMETHING),
        FIELD(record_of("bob")->height, SOMETHING),
    };
    TRY_ALL(fields);
}

static void each_field_of_the_blocks(void)
{
    struct account_record *record = record_of("alice");
    struct identity *identity = at(store, record->identity);
    struct node *leaf = at(store, record->root);
    struct node *top = at(store, record_of("bob")->root);
    struct message_record *message = at(store, leaf->entry[4 - record->base]); /* of 20000 bytes */
    struct piece *piece = at(store, message->pieces);
    struct message_record *newest = at(store, record->queue);
    const struct page_record *roomy;
    uint32_t *free = free_block(&roomy);
    EXPECT_EQ(record_of("bob")->height, 2);
    const struct field fields[] = {
        FIELD(identity->link, NOTHING),
        FIELD(identity->name_length, SOMETHING),
        FIELD(identity->hash_length, SOMETHING),
        FIELD(identity->text[1], SOMETHING),
        FIELD(leaf->present, SOMETHING),
        FIELD(leaf->entry[3 - record->base], SOMETHING),
        FIELD(top->present, SOMETHING),
        FIELD(top->entry[0], SOMETHING),
        FIELD(message->link, NOTHING),
        FIELD(message->pieces, SOMETHING),
        FIELD(message->id, SOMETHING),
        FIELD(message->received, NOTHING),
        FIELD(message->owner, SOMETHING),
        FIELD(message->pins, NOTHING),
        FIELD(message->body_length, CONTENT),
        FIELD(message->shape, CONTENT),
        FIELD(piece->link, SOMETHING),
        FIELD(newest->link, SOMETHING),
        FIELD(newest->id, SOMETHING),
        FIELD(newest->owner, SOMETHING),
        FIELD(newest->shape, CONTENT),
        FIELD(page_of(message)->word, CONTENT),
        FIELD(page_of(message)->next, NOTHING),
        FIELD(page_of(message)->prev, NOTHING),
        FIELD(page_of(leaf)->word, SOMETHING),
        FIELD(page_of(identity)->word, SOMETHING),
        FIELD(roomy->word, SOMETHING),
        FIELD(*free, NOTHING),
    };
    TRY_ALL(fields);
}

static void each_field_of_a_dead_process(void)
{
    struct slot *slot = dead_slot();
    const struct field fields[] = {
        FIELD(slot->life, NOTHING),
        FIELD(slot->draft, NOTHING),
        FIELD(slot->run, NOTHING),
        FIELD(slot->pins, NOTHING),
        FIELD(slot->pinned[0], NOTHING),
        FIELD(slot->entered.index, NOTHING),
        FIELD(slot->account, NOTHING),
        FIELD(slot->settling, NOTHING),
        FIELD(slot->redo_count, NOTHING),
        FIELD(slot->redo[0].where, NOTHING),
        FIELD(store->waits[slot_index(store, slot)], NOTHING),
    };
    TRY_ALL(fields);
}

static void each_field(void)
{
    each_field_of_the_header();
    each_field_of_the_tables();
    each_field_of_the_blocks();
    each_field_of_a_dead_process();
}

static void any_field_without_a_journal(void)
{
    make_wreck(false);
    each_field();
    harness_say("%zu wrong values, %zu of which have cost something, which was exported or named", trials,
                costly);
}

static void any_field_with_a_journal(void)
{
    make_wreck(true);
    each_field();
    harness_say("%zu wrong values, none of which has cost anything", trials);
}

/* ---- what is not repaired ---- */

/* Nothing is exported: there are the inventory and, with a journal, two directories. */
static void expect_repair_refused(enum status expected, const char *words)
{
    in_a_process(run_repair);
    expect_refused(outcome->status, expected, outcome->why, words);
    EXPECT_EQ(outcome->counts[REPORT_NOTE], 0);
    EXPECT_EQ(count_files("."), with_journal ? 3 : 1);
}

static void write_object(const void *field, const void *bytes, size_t length)
{
    int object = begin_trial();
    EXPECT_EQ(pwrite(object, bytes, length, (off_t)offset_of(field)), (ssize_t)length);
    close(object);
}

static void a_damaged_header_is_refused_and_kept(void)
{
    static const uint32_t wrong = 12345;
    make_wreck(false);
    struct header *header = store->header;
    const void *const fixed[] = {&header->accounts_most, &header->sessions_most, &header->slots_most,
                                 &header->tokens,        header->hash_key,       header->hash_key + 12,
                                 header->boot_id,        &header->created,       &header->crc};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        write_object(fixed[i], &wrong, sizeof(wrong));
        expect_repair_refused(STATUS_MISMATCH, "its header is damaged");
        EXPECT(strstr(outcome->why, "shmailctl rm"));
        end_trial();
    }
    header->tokens++;
    EXPECT_EQ(findings(), 1);
    header->tokens--;
}

/* The last slot. */
static void hold(int ready, int end)
{
    char byte = 0;
    store = open_store(&(struct store_options){.name = harness_name(), .must_exist = true});
    EXPECT(segment_try_byte(store, slot_byte(store->header->slots_most - 1)));
    EXPECT_EQ(write(ready, &byte, 1), 1);
    EXPECT_EQ(read(end, &byte, 1), 0);
    _exit(0);
}

static void who_is_attached_is_not_disturbed(void)
{
    static const uint64_t wrong = 99;
    int ready[2];
    int end[2];
    char byte;
    char words[48];
    make_wreck(false);
    write_object(&record_of("alice")->count, &wrong, sizeof(wrong));
    EXPECT(pipe(ready) == 0 && pipe(end) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(end[1]);
        hold(ready[1], end[0]);
    }
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    snprintf(words, sizeof(words), "process %ld is attached", (long)pid);
    expect_repair_refused(STATUS_IN_USE, words);
    close(end[0]);
    close(end[1]);
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    repair();
    EXPECT(outcome->counts[REPORT_DAMAGE] > 0);
    expect_served(true);
    EXPECT_EQ(expect_accounted_for(true), 0);
}

/* Somebody else has written to the journal since: an index may be another account's there. */
static void a_segment_that_is_out_of_date_is_refused(void)
{
    static const uint64_t wrong = 99;
    make_wreck(true);
    write_object(&record_of("alice")->count, &wrong, sizeof(wrong));
    in_store(&(struct store_options){.directory = "journal", .journal_bytes = 1 << 18}, live_on, NULL);
    expect_repair_refused(STATUS_MISMATCH, "out of date");
}

/* ---- what a dead process has begun ---- */

static void a_committed_transaction_is_completed(void)
{
    static const uint64_t wrong = 99;
    static const uint64_t one = 1;
    char path[128];
    make_wreck(false);
    const struct slot *slot = dead_slot();
    const struct redo_entry redo = {.where = offset_of(&record_of("bob")->newest) | 1, .value = 500};
    const uint64_t owner = owner_word(slot_index(store, slot), slot->life);
    write_object(&record_of("alice")->count, &wrong, sizeof(wrong));
    object_path(path, "");
    write_at(path, offset_of(&slot->redo[0]), &redo, sizeof(redo));
    write_at(path, offset_of(&slot->redo_count), &one, sizeof(one));
    write_at(path, offset_of(&store->header->owner), &owner, sizeof(owner));
    repair();
    expect_served(true);
    EXPECT_EQ(expect_accounted_for(true), 0);
    const struct store_options options = office();
    static struct store *volatile mended; /* a leak checker finds it here */
    mended = attached_store(&options);
    EXPECT_EQ(put(mended, "bob", 90, 0), 502); /* 501 was tried out */
}

/* Damages a count, so that there is something to repair, and writes a message where a dead process keeps room
 * for its drafts. */
static void write_where_drafts_would_come(const char *text)
{
    static const uint64_t wrong = 99;
    char path[128];
    const struct message_record *block = at(store, dead_slot()->run);
    const struct message_record message = {.id = 400,
                                           .owner = (uint32_t)(record_of("alice") - account_at(store, 0)),
                                           .body_length = (uint32_t)strlen(text),
                                           .shape = message_shape(MESSAGE_LISTED, 3, 0)};
    EXPECT(dead_slot()->run && strlen(text) == strlen(draft));
    write_object(&record_of("alice")->count, &wrong, sizeof(wrong));
    object_path(path, "");
    write_at(path, offset_of(block), &message, sizeof(message));
    write_at(path, offset_of(block->text), "bob", 3);
    write_at(path, offset_of(block->text + 3), text, strlen(text));
}

/* Whatever was in that memory before. */
static void what_is_kept_for_drafts_is_nobodys_mail(void)
{
    make_wreck(false);
    write_where_drafts_would_come("was mail");
    repair();
    expect_served(true);
    EXPECT(!is_exported(&exports, "was mail", 8));
    EXPECT_EQ(expect_accounted_for(true), 0);
}

/* Nobody waited, so that a part of what the dead process had is zeros. */
static void a_sparse_copy_owes_what_the_original_does(void)
{
    char command[512], path[128];
    make_wreck(false);
    close(begin_trial());
    object_path(path, "");
    snprintf(command, sizeof(command), "cp --sparse=always %s copy && rm %s && cp --sparse=always copy %s",
             path, path, path);
    run_command(command);
    int object = open(path, O_RDONLY | O_CLOEXEC);
    off_t waits = (off_t)offset_of(store->waits);
    EXPECT(lseek(object, waits, SEEK_DATA) >= (waits / PAGE + 1) * PAGE);
    repair();
    EXPECT_EQ(outcome->counts[REPORT_DAMAGE], 0);
    expect_served(true);
}

/* Only who is there keeps something: else a scribble over a free slot could hide what nothing refers to. */
static void a_free_slot_keeps_nothing(void)
{
    static const block_t none = 0;
    char path[128];
    make_wreck(false);
    const struct slot *slot = dead_slot(), *other = slot == slot_at(store, 0) ? slot + 1 : slot - 1;
    EXPECT(process_has_slot(store, slot_index(store, other)) && other->life % 2 == 0);
    write_where_drafts_would_come("is mail!");
    object_path(path, "");
    write_at(path, offset_of(&slot->run), &none, sizeof(none));
    write_at(path, offset_of(&other->run), &slot->run, sizeof(slot->run));
    repair();
    expect_served(true);
    EXPECT(is_exported(&exports, "is mail!", 8));
}

static void expect_to_be_synced_always(struct store *mended)
{
    EXPECT_EQ(mended->header->journal.sync, STORE_SYNC_ALWAYS);
}

/* Or acknowledged mail would not be on disk. */
static void where_nobody_knows_when_to_sync_it_is_always(void)
{
    static const struct {
        uint32_t sync, seconds;
    } wrong[] = {
        {STORE_SYNC_TIMED + 1, 1}, {STORE_SYNC_TIMED, 0}, {STORE_SYNC_TIMED, STORE_SYNC_SECONDS_MAX + 1}};
    char path[128];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        make_wreck(true);
        const struct store_options options = office();
        write_object(&store->header->journal.sync, &wrong[i].sync, sizeof(wrong[i].sync));
        object_path(path, "");
        write_at(path, offset_of(&store->header->journal.sync_seconds), &wrong[i].seconds,
                 sizeof(wrong[i].seconds));
        repair();
        EXPECT(strstr(outcome->said, "when the journal is synced"));
        EXPECT(!strstr(outcome->said, "start shmaild")); /* it is made, and not left to a server */
        expect_served(true);
        EXPECT_EQ(expect_accounted_for(true), 0);
        in_store(&options, expect_to_be_synced_always, NULL);
        end_trial();
    }
}

static const struct harness_test tests[] = {
    {"whatever field is wrong, nothing is dropped unsaid or misplaced", any_field_without_a_journal, 300},
    {"whatever field is wrong, a journal has it all", any_field_with_a_journal, 300},
    {"a damaged header is refused, and the segment kept", a_damaged_header_is_refused_and_kept},
    {"a repair is refused while a process is attached", who_is_attached_is_not_disturbed},
    {"a segment whose journal has gone on without it is refused", a_segment_that_is_out_of_date_is_refused},
    {"what is kept for drafts is nobody's mail", what_is_kept_for_drafts_is_nobodys_mail},
    {"a sparse copy owes what the original does", a_sparse_copy_owes_what_the_original_does},
    {"a free slot keeps nothing", a_free_slot_keeps_nothing},
    {"where nobody knows when to sync, it is always", where_nobody_knows_when_to_sync_it_is_always},
    {"what a dead process had committed is completed first", a_committed_transaction_is_completed},
};

HARNESS_MAIN(tests)
