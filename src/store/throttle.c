/* throttle.c: counts what is done too often, in tables that are sets of a few records each: a key has its
 * place in one set only. In come sources and names, out goes whether it is their turn.
 *
 * A record holds the tick at which all is forgiven, each failure being forgiven one period after the one
 * before it; so the count needs no upkeep. In a full set the record that is forgiven first makes room, and
 * its count stays with the newcomer (the "space saving" of A. Metwally, D. Agrawal, A. El Abbadi: Efficient
 * Computation of Frequent and Top-k Elements in Data Streams, 2005): a count is never too low. */
#include "throttle.h"

#include "clock.h"
#include "siphash.h"
#include "throttle_table.h"
#include "transaction.h"

enum {
    TICKS = 16,      /* a second; 32 bits of them last for eight years after a boot */
    DELAY_START = 2, /* ticks; doubles with each failure */
    DELAY_MOST = THROTTLE_DELAY_MOST * TICKS,
    OVER_MOST = 10, /* what is counted beyond the free ones: the delay has long reached its end */
    FAILURE_PERIOD = 60 * TICKS,
    PAIR_PERIOD = 120 * TICKS,
    HOUR = 3600 * TICKS,
    RECORDS_MOST = 4096, /* 64 KiB a table: more failures than two processors hash in a minute */
    RECORDS_LEAST = 1024,
};

uint32_t throttle_records(uint32_t accounts)
{
    uint32_t records = RECORDS_LEAST;
    while (records < accounts && records < RECORDS_MOST)
        records *= 2;
    return records;
}

static uint32_t tick(const struct store *store)
{
    return (uint32_t)((clock_now() + store->ahead) / (NANOSECONDS_PER_SECOND / TICKS));
}

/* Names that no account has are counted as well, so that nobody sees the difference. */
static uint64_t key_of(const struct store *store, const struct source *source, const char *name,
                       size_t length)
{
    struct {
        uint64_t name;
        struct source source;
        uint8_t unused[7];
    } who = {.source = source ? *source : (struct source){.kind = SOURCE_OTHER}};
    const uint8_t *key = store->header->hash_key;
    if (name)
        who.name = siphash13_folded(key, name, length);
    uint64_t hash = siphash13(key, &who, sizeof(who));
    return hash ? hash : 1;
}

static struct throttle_record *set_of(const struct store *store, enum throttle which, uint64_t key)
{
    size_t set = (key >> 32) & (store->throttle_most / THROTTLE_WAYS - 1); /* it is a power of two */
    return &store->throttles[which][set * THROTTLE_WAYS];
}

/* Within a transaction: the key's record, or NULL; *victim is then the one that would make room. */
static struct throttle_record *find(const struct store *store, enum throttle which, uint64_t key,
                                    struct throttle_record **victim)
{
    struct throttle_record *set = set_of(store, which, key);
    *victim = set;
    for (int i = 0; i < THROTTLE_WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].until < (*victim)->until)
            *victim = &set[i];
    }
    return NULL;
}

/* One key in one table, as a transaction sees it. */
struct count {
    struct throttle_record *record; /* the key's own, or the one that it would take over */
    uint64_t key;
    uint32_t period, now, failures, last;
};

static struct count count_of(const struct store *store, enum throttle which, uint64_t key, uint32_t period)
{
    struct throttle_record *victim;
    struct throttle_record *record = find(store, which, key, &victim);
    struct count count = {
        .record = record ? record : victim, .key = key, .period = period, .now = tick(store)};
    if (count.record->until > count.now)
        count.failures = (count.record->until - count.now + period - 1) / period;
    count.last = count.record->last;
    return count;
}

static void add(struct store *store, const struct count *count, uint32_t most)
{
    struct throttle_record *record = count->record;
    uint32_t from = record->until > count->now ? record->until : count->now;
    uint32_t limit = count->now + most * count->period;
    set64(store, &record->key, count->key);
    set32(store, &record->until, limit - from > count->period ? from + count->period : limit);
    set32(store, &record->last, count->now);
}

/* Ticks that an attempt has to wait; 0: none. */
static uint32_t delay(const struct count *count, uint32_t free)
{
    if (count->failures < free)
        return 0;
    uint32_t over = count->failures - free;
    uint32_t wait = over < 6 ? (uint32_t)DELAY_START << over : DELAY_MOST;
    uint32_t passed = count->now - count->last;
    return passed < wait ? wait - passed : 0;
}

int64_t throttle_login(struct store *store, const struct source *source, const char *name, size_t length)
{
    uint64_t keys[] = {key_of(store, source, NULL, 0), key_of(store, NULL, name, length),
                       key_of(store, source, name, length)};
    uint32_t wait;
    transaction_begin(store);
    struct count by_source = count_of(store, THROTTLE_SOURCE, keys[0], FAILURE_PERIOD);
    struct count to_account = count_of(store, THROTTLE_ACCOUNT, keys[1], FAILURE_PERIOD);
    struct count pair = count_of(store, THROTTLE_PAIR, keys[2], PAIR_PERIOD);
    wait = delay(&by_source, THROTTLE_SOURCE_FREE);
    if (pair.failures > 0) { /* else the owner would not get in while others try */
        uint32_t other = delay(&to_account, THROTTLE_ACCOUNT_FREE);
        wait = other > wait ? other : wait;
    }
    if (wait == 0) {
        add(store, &by_source, THROTTLE_SOURCE_FREE + OVER_MOST);
        add(store, &to_account, THROTTLE_ACCOUNT_FREE + OVER_MOST);
        add(store, &pair, OVER_MOST);
        for (int i = 0; i < 3; i++)
            set64(store, &store->slot->attempt[i], keys[i]);
    }
    transaction_end(store, STATUS_OK);
    return wait * (NANOSECONDS_PER_SECOND / TICKS);
}

/* Another key may have taken the record over meanwhile: then the count stays with it. */
static void take_back(struct store *store, enum throttle which, uint64_t key, uint32_t failures,
                      uint32_t period)
{
    struct throttle_record *victim;
    struct throttle_record *record = find(store, which, key, &victim);
    uint32_t now = tick(store);
    if (!record)
        return;
    uint32_t left = record->until > now ? record->until - now : 0;
    set32(store, &record->until, left > failures * period ? record->until - failures * period : now);
}

static void end_attempt(struct store *store, struct slot *slot, uint32_t of_pair)
{
    take_back(store, THROTTLE_SOURCE, get64(store, &slot->attempt[0]), 1, FAILURE_PERIOD);
    take_back(store, THROTTLE_ACCOUNT, get64(store, &slot->attempt[1]), 1, FAILURE_PERIOD);
    take_back(store, THROTTLE_PAIR, get64(store, &slot->attempt[2]), of_pair, PAIR_PERIOD);
}

static void clear_attempt(struct store *store, struct slot *slot)
{
    for (int i = 0; i < 3; i++)
        set64(store, &slot->attempt[i], 0);
}

void throttle_end(struct store *store, bool failed)
{
    transaction_begin(store);
    if (!failed && store->slot->attempt[0])
        end_attempt(store, store->slot, OVER_MOST);
    clear_attempt(store, store->slot);
    transaction_end(store, STATUS_OK);
}

void throttle_abandon(struct store *store, struct slot *slot)
{
    end_attempt(store, slot, 1);
    clear_attempt(store, slot);
}

bool throttle_take(struct store *store, enum throttle which, const struct source *source, uint32_t per_hour)
{
    if (per_hour == 0)
        return true;
    uint64_t key = key_of(store, source, NULL, 0);
    bool taken;
    transaction_begin(store);
    struct count count = count_of(store, which, key, HOUR / per_hour);
    taken = count.failures < per_hour;
    if (taken)
        add(store, &count, per_hour);
    transaction_end(store, STATUS_OK);
    return taken;
}

static uint32_t longest(enum throttle which)
{
    switch (which) {
    case THROTTLE_SOURCE:
        return (THROTTLE_SOURCE_FREE + OVER_MOST) * FAILURE_PERIOD;
    case THROTTLE_ACCOUNT:
        return (THROTTLE_ACCOUNT_FREE + OVER_MOST) * FAILURE_PERIOD;
    case THROTTLE_PAIR:
        return OVER_MOST * PAIR_PERIOD;
    default:
        return HOUR;
    }
}

static bool is_twice(const struct throttle_record *set, const struct throttle_record *record)
{
    for (; set < record; set++)
        if (set->key == record->key)
            return true;
    return false;
}

void check_throttles(struct check *check)
{
    const struct store *store = check->store;
    uint32_t now = tick(store) + TICKS;
    for (enum throttle which = THROTTLE_SOURCE; which < THROTTLES; which++) {
        for (uint32_t i = 0; i < store->throttle_most; i++) {
            const struct throttle_record *record = &store->throttles[which][i];
            const struct throttle_record *set = record - i % THROTTLE_WAYS;
            bool sound = record->key ? set == set_of(store, which, record->key) && !is_twice(set, record)
                                     : record->until == 0 && record->last == 0;
            if (!sound || record->last > now || record->until > now + longest(which))
                finding(check, "throttle %u of table %u makes no sense", i, (unsigned)which);
        }
    }
}
