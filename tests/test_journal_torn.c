/* test_journal_torn.c: whatever becomes of a journal's bytes, recovery gives a prefix of what happened or
 * refuses and says where; never a wrong mailbox. SHMAIL_LONG=1: cut at every byte, each bit flipped;
 * otherwise one in THINNED of them, others in each record and each kind of journal. */
#include "journal_bytes.h"

#include <stdatomic.h>

enum { THINNED = 8 };

static size_t turn; /* which kind of journal this is */

static bool is_long(void)
{
    return getenv("SHMAIL_LONG") != NULL;
}

static bool is_chosen(size_t at)
{
    return is_long() || (at + turn) % THINNED == 0;
}

/* ---- what must come of damage ---- */

struct expectation {
    bool refused;
    uint64_t offset; /* which the refusal names; 0: it is about a header */
    uint64_t sequence;
};

static struct expectation whole(void)
{
    return (struct expectation){.sequence = journal_last()};
}

/* Not where there are zeros instead of zeros. */
static bool is_hit(size_t index, const struct damage *damage)
{
    const struct place *place = &journal.places[index];
    const unsigned char *bytes = journal.bytes[journal.active];
    size_t end = damage->offset + damage->length;
    bool hit = false;
    for (size_t at = place->offset; at < place->offset + place->size && at < end; at++)
        hit = hit || (at >= damage->offset && (damage->bytes || bytes[at] != 0));
    return hit;
}

/* The prefix before what is hit first, unless some later sound record says that this was on disk, or the
 * snapshot has it. */
static struct expectation of_damage(const struct damage *damage)
{
    size_t first = 0;
    if (damage->file != journal.active)
        return whole();
    if (damage->offset < sizeof(struct journal_header))
        return (struct expectation){.refused = true};
    while (first < journal.count && !is_hit(first, damage))
        first++;
    if (first == journal.count)
        return whole();
    const struct place *place = &journal.places[first];
    struct expectation refused = {.refused = true, .offset = place->offset};
    if (place->record.flags & RECORD_SNAPSHOT)
        return refused;
    for (size_t i = first + 1; i < journal.count; i++)
        if (journal.places[i].record.synced >= place->record.sequence && !is_hit(i, damage))
            return refused;
    if (journal_reaches() >= place->record.sequence)
        return refused;
    return (struct expectation){.sequence = place->record.sequence - 1};
}

/* Nothing that comes later can say anything, but the snapshot. */
static struct expectation of_cut(size_t length)
{
    struct expectation expectation = {.sequence = journal.header.first};
    if (length < sizeof(struct journal_header))
        return (struct expectation){.refused = true};
    for (size_t i = 0; i < journal.count; i++) {
        const struct place *place = &journal.places[i];
        if (place->offset + place->size <= length)
            expectation.sequence =
                place->record.flags & RECORD_SNAPSHOT ? journal.header.first : place->record.sequence;
        else if (place->record.flags & RECORD_SNAPSHOT || journal_reaches() >= place->record.sequence)
            return (struct expectation){.refused = true, .offset = place->offset};
        else
            break;
    }
    return expectation;
}

static atomic_size_t *counts; /* refused, prefixes, whole: shared by all processes */

static void expect(const struct expectation *expectation, const struct recovered *recovered, const char *what)
{
    char named[32];
    if (!expectation->refused) {
        expect_recovered(&journal.scene, recovered, expectation->sequence, expectation->sequence, what);
        counts[expectation->sequence == journal_last() ? 2 : 1]++;
        return;
    }
    snprintf(named, sizeof(named), "offset %ju:", (uintmax_t)expectation->offset);
    if (recovered->status == STATUS_OK)
        harness_fail(__FILE__, __LINE__, "%s: not refused, but recovered up to %ju of %ju", what,
                     (uintmax_t)recovered->sequence, (uintmax_t)journal_last());
    EXPECT_EQ(recovered->status, STATUS_MISMATCH);
    if (!strstr(recovered->why, expectation->offset ? named : "header"))
        harness_fail(__FILE__, __LINE__, "%s: the refusal should name %s, but says: %s", what, named,
                     recovered->why);
    counts[0]++;
}

static void start_counting(void)
{
    counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(counts != MAP_FAILED);
}

static void say_counts(const char *what, size_t tried)
{
    harness_say("%zu %s tried: %zu refused, %zu gave a prefix, %zu everything", tried, what, counts[0],
                counts[1], counts[2]);
}

/* Runs it on each kind of journal, in a process and a directory of its own. */
static void on_each_journal(void (*run)(void))
{
    start_counting();
    for (size_t i = 0; i < JOURNAL_KINDS; i++) {
        char directory[16];
        int status;
        snprintf(directory, sizeof(directory), "%zu", i);
        EXPECT_EQ(mkdir(directory, 0700), 0);
        pid_t pid = fork();
        if (pid == 0) {
            EXPECT_EQ(chdir(directory), 0);
            journal_kinds[i]();
            turn = i;
            run();
            _exit(0);
        }
        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        EXPECT_EQ(status, 0);
    }
}

/* ---- cut and flipped ---- */

/* Between two records, or beside that. */
static bool is_edge(size_t length)
{
    size_t place = 0;
    while (place < journal.count && journal.places[place].offset + 1 < length)
        place++;
    return length + 1 >= journal.end || (place < journal.count && length + 1 >= journal.places[place].offset);
}

static void try_cut(void *context, size_t length, const char *directory)
{
    char what[64];
    if (!is_edge(length) && !is_chosen(length))
        return;
    struct expectation expectation = of_cut(length);
    struct damage damage = {.file = journal.active, .offset = length, .cut = true};
    struct recovered recovered = try_damage(&damage, directory);
    (void)context;
    snprintf(what, sizeof(what), "cut at %zu", length);
    expect(&expectation, &recovered, what);
    counts[3]++;
}

static void cut_everywhere(void)
{
    try_all(journal.end + 1, try_cut, NULL);
}

static void the_acknowledged_prefix_of_a_cut_journal(void)
{
    on_each_journal(cut_everywhere);
    say_counts("cuts", counts[3]);
}

struct flips {
    size_t count;
    struct {
        int file;
        size_t bit;
    } at[BYTES_MAX];
};

/* Each bit of a header, and, if chosen, of a record's fixed part; of what lies between, one in so many. */
static void choose_flips(struct flips *flips, int file)
{
    size_t place = 0;
    for (size_t bit = 0; bit < journal.size[file] * 8; bit++) {
        size_t position = bit / 8;
        size_t step = position < JOURNAL_HEADER_SIZE ? 211 : position < journal.end ? 47 : 3001;
        while (place < journal.count && position >= journal.places[place].offset + journal.places[place].size)
            place++;
        bool is_in_header = position < sizeof(struct journal_header);
        bool is_fixed = file == journal.active && place < journal.count &&
                        position >= journal.places[place].offset &&
                        position < journal.places[place].offset + sizeof(struct journal_record);
        if (is_in_header || (is_fixed && is_chosen(bit + place)) || bit % step == 0 ||
            (is_long() && position < journal.end)) {
            EXPECT(flips->count < BYTES_MAX);
            flips->at[flips->count].file = file;
            flips->at[flips->count++].bit = bit;
        }
    }
}

static void try_flip(void *context, size_t index, const char *directory)
{
    const struct flips *flips = context;
    int file = flips->at[index].file;
    size_t position = flips->at[index].bit / 8;
    unsigned char byte = journal.bytes[file][position] ^ (unsigned char)(1u << flips->at[index].bit % 8);
    char what[64];
    struct damage damage = {.file = file, .offset = position, .length = 1, .bytes = &byte};
    struct expectation expectation = of_damage(&damage);
    struct recovered recovered = try_damage(&damage, directory);
    snprintf(what, sizeof(what), "bit %zu of byte %zu of file %d flipped", flips->at[index].bit % 8, position,
             file);
    expect(&expectation, &recovered, what);
    counts[3]++;
}

static void flip_everywhere(void)
{
    static struct flips flips;
    choose_flips(&flips, journal.active);
    choose_flips(&flips, 1 - journal.active);
    try_all(flips.count, try_flip, &flips);
}

static void a_flipped_bit_is_noticed_or_was_not_acknowledged(void)
{
    on_each_journal(flip_everywhere);
    say_counts("flips", counts[3]);
}

/* A sector that the disk has lost: zeros. */
static void try_lost_sector(void *context, size_t index, const char *directory)
{
    char what[64];
    struct damage damage = {.file = journal.active, .offset = index * 512, .length = 512};
    struct expectation expectation = of_damage(&damage);
    struct recovered recovered = try_damage(&damage, directory);
    (void)context;
    snprintf(what, sizeof(what), "sector %zu lost", index);
    expect(&expectation, &recovered, what);
    counts[3]++;
}

static void lose_each_sector(void)
{
    try_all(journal.end / 512 + 1, try_lost_sector, NULL);
}

static void a_lost_sector_is_noticed_or_was_not_acknowledged(void)
{
    on_each_journal(lose_each_sector);
    say_counts("lost sectors", counts[3]);
}

/* ---- headers ---- */

static struct journal_header header_of(int file)
{
    struct journal_header header;
    memcpy(&header, trial_bytes[file], sizeof(header));
    return header;
}

static void put_header(int file, struct journal_header header)
{
    header.crc = journal_header_crc(&header);
    memcpy(trial_bytes[file], &header, sizeof(header));
}

static void zero_header(int file)
{
    memset(trial_bytes[file], 0, sizeof(struct journal_header));
}

static void empty_file(int file)
{
    EXPECT_EQ(ftruncate(disk_memory[file], 0), 0);
}

static void zero_active(void)
{
    zero_header(journal.active);
}

static void zero_other(void)
{
    zero_header(1 - journal.active);
}

static void zero_both(void)
{
    zero_active();
    zero_other();
}

static void lose_active(void)
{
    empty_file(journal.active);
}

static void lose_other(void)
{
    empty_file(1 - journal.active);
}

static void zero_active_lose_other(void)
{
    zero_active();
    lose_other();
}

static void give_active_another_version(void)
{
    struct journal_header header = header_of(journal.active);
    header.version++;
    put_header(journal.active, header);
}

static void give_other_another_version(void)
{
    struct journal_header header = header_of(1 - journal.active);
    header.version++;
    put_header(1 - journal.active, header);
}

static void supersede_active(void)
{
    struct journal_header header = header_of(journal.active);
    header.state = JOURNAL_SUPERSEDED;
    put_header(journal.active, header);
}

/* As after a checkpoint whose last step is missing. */
static void revive_other(void)
{
    struct journal_header header = header_of(journal.active);
    header.generation--;
    put_header(1 - journal.active, header);
}

static void revive_other_in_the_same_generation(void)
{
    put_header(1 - journal.active, header_of(journal.active));
}

static void revive_other_of_another_journal(void)
{
    struct journal_header header = header_of(journal.active);
    header.generation--;
    header.id[0] ^= 1;
    put_header(1 - journal.active, header);
}

static void swap_files(void)
{
    trial_put(0, journal.bytes[1], journal.size[1]);
    trial_put(1, journal.bytes[0], journal.size[0]);
}

static void leave_all(void)
{
}

static const struct {
    const char *name;
    void (*change)(void);
    const char *refusal; /* has this word in it; NULL: everything is recovered */
} headers[] = {
    {"nothing changed", leave_all, NULL},
    {"active zeroed", zero_active, "header"},
    {"other zeroed", zero_other, NULL},
    {"both zeroed", zero_both, "header"},
    {"active lost", lose_active, "header"},
    {"other lost", lose_other, NULL},
    {"active zeroed, other lost", zero_active_lose_other, "header"},
    {"active of another version", give_active_another_version, "version"},
    {"other of another version", give_other_another_version, NULL},
    {"active superseded", supersede_active, "header"},
    {"both active", revive_other, NULL},
    {"both active in one generation", revive_other_in_the_same_generation, "both"},
    {"both active, of two journals", revive_other_of_another_journal, "both"},
    {"files swapped", swap_files, NULL},
};

static void try_headers(void)
{
    trial_begin();
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        for (int file = 0; file < 2; file++)
            trial_put(file, journal.bytes[file], journal.size[file]);
        headers[i].change();
        for (int again = 0; again < 2; again++) {
            struct recovered recovered = scene_recover("trial");
            if (headers[i].refusal &&
                (recovered.status == STATUS_OK || !strstr(recovered.why, headers[i].refusal)))
                harness_fail(__FILE__, __LINE__, "%s: %s", headers[i].name, recovered.why);
            recovered.sequence -= recovered.status == STATUS_OK && again;
            if (!headers[i].refusal)
                expect_recovered(&journal.scene, &recovered, journal.scene.last, journal.scene.last,
                                 headers[i].name);
        }
        counts[headers[i].refusal ? 0 : 2]++;
        counts[3]++;
    }
}

static void the_active_file_is_known_or_the_journal_is_refused(void)
{
    on_each_journal(try_headers);
    say_counts("pairs of headers", counts[3]);
}

static const struct harness_test tests[] = {
    {"a journal that is cut anywhere gives what stands before the cut",
     the_acknowledged_prefix_of_a_cut_journal, 300},
    {"a flipped bit is noticed, or hits what nobody was promised",
     a_flipped_bit_is_noticed_or_was_not_acknowledged, 600},
    {"a lost sector is noticed, or hits what nobody was promised",
     a_lost_sector_is_noticed_or_was_not_acknowledged},
    {"the active file is known by the headers, or the journal is refused",
     the_active_file_is_known_or_the_journal_is_refused},
};

HARNESS_MAIN(tests)
