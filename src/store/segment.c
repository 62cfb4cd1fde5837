/* segment.c: begins and maps the segment in a shared memory object, and reserves memory behind it.
 *
 * Of the tables it knows only where they lie, and of names only what to say of what they stand for. */
#include "segment.h"

#include "clock.h"
#include "crc32c.h"
#include "huge.h"
#include "journal.h"
#include "journal_stage.h"
#include "throttle_table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ACCOUNTS_DEFAULT = 1000000, SLOTS_DEFAULT = 1024 };
enum { GATHER_LEAST = 64 << 20 }; /* bytes that are free where 2 MiB may be taken for speed */

static uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

static uint32_t buckets_for(uint32_t records)
{
    uint32_t buckets = 1024;
    while (buckets < records && buckets < UINT32_C(1) << 31)
        buckets *= 2;
    return buckets;
}

/* FNV-1a over the sizes: another compiler or another struct is another layout. */
static uint32_t records_hash(void)
{
    const size_t sizes[] = {sizeof(struct header),         sizeof(struct slot),
                            sizeof(struct account_record), sizeof(sem_t),
                            sizeof(struct page_record),    sizeof(struct session_record),
                            sizeof(struct node),           sizeof(struct identity),
                            sizeof(struct message_record), sizeof(struct journal_note),
                            sizeof(struct throttle_record)};
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        hash = (hash ^ (uint32_t)sizes[i]) * 16777619u;
    return hash;
}

/* What of the header never changes again, in bytes. Of a copy this part alone is used: the whole has five
 * pages. */
enum { HEADER_FIXED = offsetof(struct header, complained) };

uint32_t segment_header_crc(const struct header *header)
{
    const size_t from = offsetof(struct header, version);
    return crc32c(0, (const char *)header + from, offsetof(struct header, crc) - from);
}

/* Where each table begins, as an offset; each at a 64 KiB boundary, so that none shares a unit of
 * reservation. What a small post office uses comes first, with the beginning of the arena; behind that what
 * it uses little of. Of a table in two parts the far one begins where its record 0 would lie. */
struct offsets {
    uint64_t reserved, waits, ring, arena;
    uint64_t cookies[2], sessions[2], accounts[2], slots[2];
    uint64_t arena_end; /* and the beginning of the throttles, which have memory from the start */
    uint64_t names, pages, stage;
};

/* Gives a table its place, and moves *next behind it. */
static uint64_t place(uint64_t *next, uint64_t records, size_t record)
{
    uint64_t at = *next;
    *next += whole_pages(records * record);
    return at;
}

static uint64_t place_near(uint64_t *next, uint64_t records, uint64_t near, size_t record)
{
    return place(next, records < near ? records : near, record);
}

static uint64_t place_far(uint64_t *next, uint64_t records, uint64_t near, size_t record)
{
    return records <= near ? *next : place(next, records - near, record) - near * record;
}

static uint32_t far_buckets(const struct header *sizes)
{
    return sizes->sessions_most < SESSIONS_NEAR ? 0 : buckets_for(sizes->sessions_most - SESSIONS_NEAR + 1);
}

static void place_before_arena(struct offsets *at, const struct header *sizes)
{
    uint64_t next = whole_pages(sizeof(struct header));
    at->reserved = place(&next, sizes->segment_bytes / PAGE / 64 + 1, sizeof(uint64_t));
    at->waits = place(&next, sizes->slots_most, sizeof(uint64_t));
    at->ring = place(&next, RING, sizeof(struct journal_note));
    at->cookies[0] = place(&next, SESSIONS_NEAR, sizeof(uint32_t));
    at->sessions[0] =
        place_near(&next, (uint64_t)sizes->sessions_most + 1, SESSIONS_NEAR, sizeof(struct session_record));
    at->accounts[0] =
        place_near(&next, (uint64_t)sizes->accounts_most + 1, ACCOUNTS_NEAR, sizeof(struct account_record));
    at->slots[0] = place_near(&next, sizes->slots_most, SLOTS_NEAR, sizeof(struct slot));
    at->arena = next;
}

/* Returns the end. */
static uint64_t place_behind_arena(struct offsets *at, const struct header *sizes, uint64_t arena_end)
{
    uint64_t next = arena_end;
    at->arena_end = place(&next, (uint64_t)THROTTLES * sizes->throttle_most, sizeof(struct throttle_record));
    at->names = place(&next, buckets_for(sizes->accounts_most), sizeof(uint32_t));
    at->cookies[1] = place(&next, far_buckets(sizes), sizeof(uint32_t));
    at->sessions[1] =
        place_far(&next, (uint64_t)sizes->sessions_most + 1, SESSIONS_NEAR, sizeof(struct session_record));
    at->accounts[1] =
        place_far(&next, (uint64_t)sizes->accounts_most + 1, ACCOUNTS_NEAR, sizeof(struct account_record));
    at->slots[1] = place_far(&next, sizes->slots_most, SLOTS_NEAR, sizeof(struct slot));
    at->pages = place(&next, sizes->segment_bytes / PAGE, sizeof(struct page_record));
    at->stage = place(&next, STAGE_BYTES, 1);
    return next;
}

/* least: bytes of a segment whose arena has one page. Where there are fewer, the offsets are of no use. */
static struct offsets offsets_of(const struct header *sizes, uint64_t *least)
{
    struct offsets at;
    place_before_arena(&at, sizes);
    uint64_t behind = place_behind_arena(&at, sizes, 0);
    *least = at.arena + PAGE + behind;
    place_behind_arena(&at, sizes, sizes->segment_bytes - behind);
    return at;
}

/* Whether all tables lie in the segment. A checksum tells of damage, but whoever writes over the sizes can
 * make it right again. */
static bool sizes_can_be(const struct header *sizes)
{
    uint64_t least;
    (void)offsets_of(sizes, &least);
    return sizes->segment_bytes <= SEGMENT_BYTES_MAX && least <= sizes->segment_bytes &&
           sizes->accounts_most > 0 && sizes->sessions_most > 0 &&
           sizes->sessions_most <= (uint64_t)sizes->accounts_most * SESSIONS_LIMIT && sizes->slots_most > 0 &&
           sizes->slots_most <= SLOTS_LIMIT && sizes->tokens > 0 && sizes->tokens <= TOKENS_MAX &&
           sizes->throttle_most == throttle_records(sizes->accounts_most);
}

static void *table(const struct store *store, uint64_t offset)
{
    return store->base + offset;
}

/* sizes: a copy that nobody else writes to, of HEADER_FIXED bytes. */
static void lay_out(struct store *store, const struct header *sizes)
{
    uint64_t least;
    struct offsets at = offsets_of(sizes, &least);
    store->accounts_most = sizes->accounts_most;
    store->sessions_most = sizes->sessions_most;
    store->slots_most = sizes->slots_most;
    store->throttle_most = sizes->throttle_most;
    store->tokens = sizes->tokens;
    store->reserved = table(store, at.reserved);
    store->waits = table(store, at.waits);
    store->ring = table(store, at.ring);
    for (int part = 0; part < 2; part++) {
        store->cookie_buckets[part] = table(store, at.cookies[part]);
        store->sessions[part] = table(store, at.sessions[part]);
        store->accounts[part] = table(store, at.accounts[part]);
        store->slots[part] = table(store, at.slots[part]);
    }
    store->cookie_mask[0] = SESSIONS_NEAR - 1;
    store->cookie_mask[1] = far_buckets(sizes) - 1;
    for (uint32_t i = 0; i < THROTTLES; i++)
        store->throttles[i] =
            (struct throttle_record *)table(store, at.arena_end) + (uint64_t)i * sizes->throttle_most;
    store->name_buckets = table(store, at.names);
    store->name_mask = buckets_for(sizes->accounts_most) - 1;
    store->pages = table(store, at.pages);
    store->stage = table(store, at.stage);
    store->arena = at.arena;
    store->pages_most = (uint32_t)((at.arena_end - at.arena) / PAGE);
}

static int allocate(int fd, uint64_t offset, uint64_t length)
{
    int error;
    do
        error = posix_fallocate(fd, (off_t)offset, (off_t)length);
    while (error == EINTR);
    return error;
}

enum status segment_reserve(struct store *store, uint64_t offset, uint64_t length)
{
    uint64_t first = offset / PAGE;
    uint64_t last = (offset + length - 1) / PAGE;
    if (offset + length > store->mapped)
        return STATUS_FULL_SEGMENT;
    for (uint64_t unit = first; unit <= last; unit++) {
        if (segment_has(store, unit * PAGE))
            continue;
        int error = allocate(store->fd, unit * PAGE, PAGE);
        if (error) {
            errno = error;
            return STATUS_FULL_SEGMENT;
        }
        /* Who reserves mostly writes next: one call maps what else would be a fault a page. */
        (void)madvise(store->base + unit * PAGE, PAGE, MADV_POPULATE_WRITE);
        __atomic_fetch_or(&store->reserved[unit / 64], UINT64_C(1) << (unit % 64), __ATOMIC_RELEASE);
    }
    return STATUS_OK;
}

bool segment_reserve_huge(struct store *store, uint64_t offset)
{
    const uint64_t unit = offset / PAGE, units = HUGE_BYTES / PAGE;
    static_assert(HUGE_BYTES / PAGE == 32, "they are half a word of the map");
    /* Where there is nothing, nothing is gathered; what is mapped is first taken from all processors. */
    if ((!segment_has(store, offset) && allocate(store->fd, offset, 1) != 0) ||
        !huge_gather(store->base + offset, HUGE_BYTES))
        return false;
    (void)madvise(store->base + offset, PAGE, MADV_POPULATE_WRITE);
    uint64_t all = ((UINT64_C(1) << units) - 1) << unit % 64;
    __atomic_fetch_or(&store->reserved[unit / 64], all, __ATOMIC_RELEASE);
    return true;
}

void segment_give_back(struct store *store, uint64_t offset, uint64_t length)
{
    for (uint64_t unit = offset / PAGE; unit < (offset + length) / PAGE; unit++)
        if (madvise(store->base + unit * PAGE, PAGE, MADV_REMOVE) == 0)
            __atomic_fetch_and(&store->reserved[unit / 64], ~(UINT64_C(1) << (unit % 64)), __ATOMIC_RELEASE);
}

/* Mail needs what is left more than the tables do. Where there is no limit, or none is told, f_blocks is 0.
 */
static bool memory_is_scarce(const struct store *store)
{
    struct statvfs memory = {0};
    (void)fstatvfs(store->fd, &memory);
    return memory.f_blocks > 0 && memory.f_bavail < GATHER_LEAST / memory.f_bsize;
}

void store_gather(struct store *store)
{
    if (store->mapped >= HUGE_BYTES && !memory_is_scarce(store))
        (void)huge_gather(store->base, HUGE_BYTES);
}

static void read_boot_id(char out[40])
{
    memset(out, 0, 40);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t got = read(fd, out, 36);
    if (got < 0)
        out[0] = '\0';
    close(fd);
}

static uint32_t slots_of(const struct store_options *options)
{
    uint32_t least = options->slots_least > SLOTS_DEFAULT ? options->slots_least : SLOTS_DEFAULT;
    return options->slots ? options->slots : least;
}

/* sizes: of HEADER_FIXED bytes. */
static void sizes_from_options(struct header *sizes, const struct store_options *options)
{
    memset(sizes, 0, HEADER_FIXED);
    sizes->version = LAYOUT_VERSION;
    sizes->records = records_hash();
    sizes->segment_bytes = options->segment_bytes ? options->segment_bytes / PAGE * PAGE : SEGMENT_BYTES_MAX;
    sizes->accounts_most = options->accounts ? options->accounts : ACCOUNTS_DEFAULT;
    sizes->slots_most = slots_of(options);
    sizes->created = clock_unix();
    uint64_t sessions =
        (uint64_t)sizes->accounts_most * (options->sessions_per_account ? options->sessions_per_account : 1);
    sizes->sessions_most = sessions < UINT32_MAX / 2 ? (uint32_t)sessions : UINT32_MAX / 2;
    sizes->throttle_most = throttle_records(sizes->accounts_most);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    sizes->tokens = processors < 1 ? 1 : processors > TOKENS_MAX ? TOKENS_MAX : (uint32_t)processors;
}

static enum status map(struct store *store, uint64_t bytes, char *why, size_t why_size)
{
    void *base = huge_map(bytes, PROT_READ | PROT_WRITE, MAP_NORESERVE, store->fd);
    if (base == MAP_FAILED) {
        snprintf(why, why_size, "cannot map %llu bytes of address space: %s; a smaller --segment-size may do",
                 (unsigned long long)bytes, strerror(errno));
        return STATUS_SYSTEM;
    }
    /* A core dump of one process would hold everybody's mail. */
    (void)madvise(base, bytes, MADV_DONTDUMP);
    store->base = base;
    store->mapped = bytes;
    store->header = base;
    return STATUS_OK;
}

enum status segment_create(struct store *store, const struct store_options *options, char *why,
                           size_t why_size)
{
    struct header sizes;
    sizes_from_options(&sizes, options);
    uint64_t least;
    struct offsets at = offsets_of(&sizes, &least);
    if (sizes.segment_bytes > SEGMENT_BYTES_MAX || least > sizes.segment_bytes) {
        snprintf(why, why_size,
                 "a segment for %u accounts and %u processes needs between %" PRIu64 " and %" PRIu64 " bytes",
                 sizes.accounts_most, sizes.slots_most, least, SEGMENT_BYTES_MAX);
        return STATUS_MALFORMED;
    }
    /* The header, the map of what is reserved, and the throttles, which must not fail when memory has run
     * out; all else is reserved by and by. */
    const uint64_t kept[][2] = {{0, at.waits}, {at.arena_end, at.names}};
    int error = 0;
    if (ftruncate(store->fd, 0) != 0 || ftruncate(store->fd, (off_t)sizes.segment_bytes) != 0)
        error = errno;
    for (int i = 0; i < 2 && !error; i++)
        error = allocate(store->fd, kept[i][0], kept[i][1] - kept[i][0]);
    if (error) {
        snprintf(why, why_size, "cannot create a segment of %llu bytes: %s",
                 (unsigned long long)sizes.segment_bytes, strerror(error));
        errno = error;
        return STATUS_SYSTEM;
    }
    enum status status = map(store, sizes.segment_bytes, why, why_size);
    if (status != STATUS_OK)
        return status;
    lay_out(store, &sizes);
    memcpy(store->header, &sizes, HEADER_FIXED);
    read_boot_id(store->header->boot_id);
    if (getrandom(store->header->hash_key, sizeof(store->header->hash_key), 0) !=
            (ssize_t)sizeof(store->header->hash_key) ||
        sem_init(&store->header->sleepers, 1, 0) != 0 ||
        sem_init(&store->header->token_sleepers, 1, 0) != 0) {
        snprintf(why, why_size, "cannot initialise the segment: %s", strerror(errno));
        return STATUS_SYSTEM;
    }
    for (int i = 0; i < 2; i++)
        for (uint64_t unit = kept[i][0] / PAGE; unit < kept[i][1] / PAGE; unit++)
            store->reserved[unit / 64] |= UINT64_C(1) << (unit % 64);
    store->header->crc = segment_header_crc(store->header);
    status = options->directory ? journal_create(store, options, why, why_size) : STATUS_OK;
    if (status == STATUS_OK)
        __atomic_store_n(&store->header->magic, SEGMENT_MAGIC, __ATOMIC_RELEASE);
    return status;
}

/* A repair does not take it either: it opens it as everybody does. */
static enum status refuse_damaged(const char *name, const char *what, char *why, size_t why_size)
{
    snprintf(why, why_size,
             "post office %s: %s, so nothing can be found in it: end its processes, save /dev/shm/shmail-%s "
             "for who can read it, and remove it with 'shmailctl rm %s'; with -d a new one is made from the "
             "journal",
             name, what, name, name);
    return STATUS_MISMATCH;
}

enum status segment_attach(struct store *store, uint64_t bytes, const struct store_options *options,
                           char *why, size_t why_size)
{
    enum status status = map(store, bytes, why, why_size);
    if (status != STATUS_OK)
        return status;
    struct header sizes; /* what is verified is what is used, whoever scribbles on */
    memcpy(&sizes, store->header, HEADER_FIXED);
    if (sizes.magic != SEGMENT_MAGIC) {
        snprintf(
            why, why_size,
            "the shared memory /dev/shm/shmail-%s is no post office of shmail, or its beginning is damaged: save "
            "it for who can read it, and remove it with 'shmailctl rm %s', or choose another name",
            options->name, options->name);
        return STATUS_MISMATCH;
    }
    if (sizes.version != LAYOUT_VERSION || sizes.records != records_hash()) {
        snprintf(
            why, why_size,
            "post office %s is of another version (layout %u, this program has %u): by the version that made it, end "
            "its programs, and so have all written to its journal, or fetch its mail where it has none; then "
            "remove it with 'shmailctl rm %s'",
            options->name, sizes.version, LAYOUT_VERSION, options->name);
        return STATUS_MISMATCH;
    }
    if (sizes.segment_bytes != bytes) {
        char what[100];
        snprintf(what, sizeof(what), "it is damaged, it has %llu bytes and its header says %llu",
                 (unsigned long long)bytes, (unsigned long long)sizes.segment_bytes);
        return refuse_damaged(options->name, what, why, why_size);
    }
    if (sizes.crc != segment_header_crc(&sizes) || !sizes_can_be(&sizes))
        return refuse_damaged(options->name, "its header is damaged", why, why_size);
    if ((options->accounts && options->accounts != sizes.accounts_most) ||
        (options->slots && options->slots != sizes.slots_most) ||
        (options->segment_bytes && options->segment_bytes / PAGE * PAGE != sizes.segment_bytes)) {
        snprintf(
            why, why_size,
            "post office %s was made with --accounts %u --slots %u --segment-size %llu, which cannot be changed: "
            "leave these options out, or remove it with 'shmailctl rm %s'",
            options->name, sizes.accounts_most, sizes.slots_most, (unsigned long long)sizes.segment_bytes,
            options->name);
        return STATUS_MISMATCH;
    }
    lay_out(store, &sizes);
    return journal_attach(store, options, why, why_size);
}
