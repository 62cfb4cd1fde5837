/* process.c: process slots: claimed, given back, and reclaimed from the dead.
 *
 * A slot belongs to the process that holds its two fcntl bytes, first the claim and then the slot's own; the
 * kernel releases both at any death. Who can claim a slot that is still in use has outlived its owner: it
 * first begins a new life of the slot, so that every owner word of the old one is known as dead, and then
 * gives back in transactions what the old one owed (a draft, pins, an entered name, a login that was being
 * checked). If it dies in this, the next one does the same. */
#include "process.h"

#include "account.h"
#include "account_record.h"
#include "clock.h"
#include "lock.h"
#include "message.h"
#include "moment.h"
#include "segment.h"
#include "throttle_table.h"
#include "transaction.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define IN_USE UINT64_C(1)

bool process_has_slot(const struct store *store, uint32_t index)
{
    const struct slot *slot = slot_at(store, index);
    return index < store->slots_most && segment_has(store, segment_offset(store, &store->waits[index])) &&
           segment_has(store, segment_offset(store, slot)) &&
           segment_has(store, segment_offset(store, slot + 1) - 1);
}

bool owner_is_dead(const struct store *store, uint64_t owner)
{
    owner &= ~LOCK_WAITERS;
    uint32_t index = owner_slot(owner);
    if (owner == store->me)
        return false;
    if (index >= store->slots_most || !process_has_slot(store, index))
        return true; /* a scribble: nobody ever was this */
    return owner != owner_word(index, load64(&slot_at(store, index)->life)) ||
           !segment_byte_is_held(store, slot_byte(index));
}

/* The hints for 64 slots from first on, without any for a slot that there cannot be. */
static uint64_t read_map(const struct store *store, uint32_t first)
{
    uint32_t left = store->slots_most - first;
    uint64_t map = load64(&store->header->slot_map[first / 64]);
    return left < 64 ? map & ((UINT64_C(1) << left) - 1) : map;
}

static uint64_t bit(uint32_t index)
{
    return UINT64_C(1) << (index % 64);
}

static void clear_idle(struct store *store, uint32_t index)
{
    if (load64(&store->header->idle_map[index / 64]) & bit(index))
        __atomic_fetch_and(&store->header->idle_map[index / 64], ~bit(index), __ATOMIC_RELAXED);
}

static void clear_map(struct store *store, uint32_t index)
{
    clear_idle(store, index);
    __atomic_fetch_and(&store->header->slot_map[index / 64], ~bit(index), __ATOMIC_RELAXED);
}

static void set_map(struct store *store, uint32_t index)
{
    __atomic_fetch_or(&store->header->slot_map[index / 64], bit(index), __ATOMIC_RELAXED);
}

/* Takes a slot whose owner is gone. A new life begins before its byte is taken: else this process, if it were
 * stopped in between, would make the dead owner look alive and block whoever waits for its lock. The claim,
 * which an owner keeps for as long as it lives, keeps others from doing the same meanwhile. The map has it
 * first, so that it is found whenever this process dies. *before is the old life. False: another process has
 * the slot. */
static bool take_over(struct store *store, uint32_t index, uint64_t *before)
{
    struct slot *slot = slot_at(store, index);
    if (!segment_try_byte(store, claim_byte(index)))
        return false;
    set_map(store, index);
    *before = load64(&slot->life);
    __atomic_store_n(&slot->life, ((*before & ~IN_USE) + 2) | IN_USE, __ATOMIC_RELEASE);
    if (segment_try_byte(store, slot_byte(index)))
        return true;
    if (!(*before & IN_USE)) { /* nothing is owed */
        __atomic_store_n(&slot->life, load64(&slot->life) & ~IN_USE, __ATOMIC_RELEASE);
        clear_map(store, index);
    }
    segment_free_slot(store, index);
    return false;
}

/* One transaction of giving back what a slot owes from an earlier life, or from this one; true when nothing
 * is left. */
static bool settle_step(struct store *store, struct slot *slot)
{
    transaction_begin(store);
    bool done = draft_drop_step(store, slot);
    while (done && get32(store, &slot->pins) > 0) {
        done = transaction_has_room(store, 16);
        if (done)
            message_unpin_last(store, slot);
    }
    if (done && slot->entered.index) {
        struct account_record *record = account_at(store, slot->entered.index);
        uint64_t entered = get64(store, &record->entered);
        if (entered && owner_slot(entered) == slot_index(store, slot))
            set64(store, &record->entered, 0);
        set32(store, &slot->entered.index, 0);
    }
    if (done && get64(store, &slot->attempt[0])) {
        done = transaction_has_room(store, 16);
        if (done)
            throttle_abandon(store, slot);
    }
    transaction_end(store, STATUS_OK);
    return done;
}

static void settle(struct store *store, struct slot *slot)
{
    while (!settle_step(store, slot))
        ;
    message_sweep(store);
}

/* The same for the slot of a dead process. False: it has been scribbled over, and is left until a check has
 * found that out. */
static bool settle_dead(struct store *store, struct slot *slot)
{
    transaction_begin(store);
    bool can_be = slot->entered.index <= store->accounts_most && message_owed_can_be(store, slot);
    transaction_end(store, STATUS_OK);
    if (can_be)
        settle(store, slot);
    else
        store_suspect(store);
    return can_be;
}

/* Cut to what there is room for. Not by printf or strnlen(3), which touch pages that each connection would
 * pay for. */
static void set_text(char *field, size_t size, const char *text)
{
    size_t length = 0;
    for (; length < size - 1 && text[length] != '\0'; length++)
        field[length] = text[length];
    field[length] = '\0';
}

/* From now on it is this peer's. */
static void name_peer(struct slot *slot, const char *peer)
{
    slot->since = clock_unix();
    set_text(slot->peer, sizeof(slot->peer), peer);
}

/* Takes this slot for this process. STATUS_FULL_SLOTS: it is another's. as_it_is: it owes what it owed. */
static enum status claim(struct store *store, uint32_t index, const char *peer, bool as_it_is)
{
    struct slot *slot = slot_at(store, index);
    enum status status = segment_reserve(store, segment_offset(store, slot), sizeof(*slot));
    if (status == STATUS_OK)
        status = segment_reserve(store, segment_offset(store, &store->waits[index]), sizeof(uint64_t));
    if (status != STATUS_OK)
        return status;
    uint64_t before;
    if (load64(&slot->life) & IN_USE && !as_it_is && store_is_suspect(store))
        return STATUS_FULL_SLOTS; /* what is suspect is not worked on */
    if (!take_over(store, index, &before))
        return STATUS_FULL_SLOTS;
    if (!slot->has_wake && sem_init(&slot->wake, 1, 0) != 0) {
        segment_free_slot(store, index);
        return STATUS_SYSTEM;
    }
    slot->has_wake = 1;
    slot->pid = getpid();
    slot->account = ACCOUNT_NONE;
    name_peer(slot, peer);
    slot->protocol[0] = '\0';
    slot->source = (struct source){.kind = SOURCE_OTHER};
    __atomic_store_n(&store->waits[index], 0, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->settling, 0, __ATOMIC_RELEASE);
    store->slot = slot;
    store->me = owner_word(index, load64(&slot->life));
    clear_idle(store, index);
    store->inherits = before & IN_USE && as_it_is;
    if (before & IN_USE && !as_it_is && !settle_dead(store, slot)) {
        store_detach(store);
        return STATUS_FULL_SLOTS;
    }
    return STATUS_OK;
}

/* By the map, which keeps the slots in use dense and the search short. */
static enum status claim_by_map(struct store *store, const char *peer)
{
    uint32_t most = store->slots_most;
    for (uint32_t first = 0; first < most; first += 64) {
        uint64_t taken = load64(&store->header->slot_map[first / 64]);
        uint32_t free;
        for (; ~taken != 0; taken |= bit(free)) {
            free = (uint32_t)__builtin_ctzll(~taken);
            if (first + free >= most)
                break;
            enum status status = claim(store, first + free, peer, false);
            if (status != STATUS_FULL_SLOTS)
                return status;
        }
    }
    return STATUS_FULL_SLOTS;
}

enum status store_attach_ahead(struct store *store)
{
    enum status status = store_attach(store, "spare");
    if (status == STATUS_OK) {
        uint32_t index = slot_index(store, store->slot);
        __atomic_fetch_or(&store->header->idle_map[index / 64], bit(index), __ATOMIC_RELAXED);
        store->is_idle = true;
    }
    return status;
}

enum status store_attach(struct store *store, const char *peer)
{
    struct header *header = store->header;
    if (store->is_idle) {
        store->is_idle = false;
        clear_idle(store, slot_index(store, store->slot));
        name_peer(store->slot, peer);
        moment_end(store); /* it may have waited for long */
        return STATUS_OK;
    }
    /* Nothing of what this process was forked from, which may have recovered the store, goes on in it. */
    moment_end(store);
    store->draft_block = store->drafts_alike = 0;
    enum status status = claim_by_map(store, peer);
    /* The map only hints: those whom it calls taken may be dead. Theirs will do also where there is no memory
     * for a slot that nobody ever had. */
    for (uint32_t index = 0; status != STATUS_OK && index < store->slots_most; index++) {
        if (status == STATUS_FULL_SEGMENT && !process_has_slot(store, index))
            break;
        enum status again = claim(store, index, peer, false);
        status = again == STATUS_FULL_SLOTS ? status : again;
    }
    /* After the fork, while nobody had a byte of it. Who has opened it itself has had one since. */
    if (status == STATUS_OK && load32(&header->retired) && store->opener != store->slot->pid) {
        store_detach(store);
        status = STATUS_FULL_SLOTS;
    }
    if (status != STATUS_OK)
        return status;
    /* A forked child trusts its parent to have noticed deaths; a process on its own looks for itself. */
    if (store_is_suspect(store))
        return STATUS_OK;
    if (store->opener == store->slot->pid || load64(&header->deaths) != load64(&header->deaths_seen))
        store_reclaim(store);
    return STATUS_OK;
}

enum status store_attach_to_check(struct store *store, const char *peer)
{
    enum status status = store_attach(store, peer);
    for (uint32_t i = 0; status != STATUS_OK && store_is_suspect(store) && i < store->slots_most; i++)
        if (process_has_slot(store, i) && claim(store, i, peer, true) == STATUS_OK)
            status = STATUS_OK;
    return status;
}

bool store_inherits(const struct store *store)
{
    return store->inherits;
}

void process_settle_inherited(struct store *store)
{
    if (!store->inherits || store_is_suspect(store))
        return;
    store->inherits = false;
    settle(store, store->slot);
}

bool store_is_attached(const struct store *store)
{
    return store->slot != NULL;
}

/* Its bytes are still to be freed, by segment_free_slot or by the end of the process. */
static void give_up(struct store *store, struct slot *slot)
{
    (void)store_write_unkept(store); /* a failure is in the log */
    bool owes = slot->draft || load32(&slot->run) || slot->pins || slot->entered.index || slot->attempt[0];
    bool is_left = owes && store_is_suspect(store); /* as if it had died: reclaimed after an acquittal */
    if (owes && !is_left)
        settle(store, slot);
    store->slot = NULL;
    store->is_idle = store->inherits = false;
    store->me = 0;
    if (is_left) {
        segment_free_slot(store, slot_index(store, slot)); /* before who is told of the death looks for it */
        __atomic_fetch_add(&store->header->deaths, 1, __ATOMIC_RELAXED);
        return;
    }
    __atomic_store_n(&slot->life, load64(&slot->life) & ~IN_USE, __ATOMIC_RELEASE);
    clear_map(store, slot_index(store, slot));
}

void store_detach(struct store *store)
{
    struct slot *slot = store->slot;
    if (!slot)
        return;
    give_up(store, slot);
    segment_free_slot(store, slot_index(store, slot));
}

void store_detach_with_end(struct store *store)
{
    if (store->slot)
        give_up(store, store->slot);
}

/* A scribble on the map: nobody ever had that slot. Who claims it meanwhile has the byte of its claim. */
static void clear_scribble(struct store *store, uint32_t index)
{
    if (!segment_try_byte(store, claim_byte(index)))
        return;
    clear_map(store, index);
    segment_free_slot(store, index);
}

static void reclaim_slot(struct store *store, uint32_t index)
{
    struct slot *slot = slot_at(store, index);
    uint64_t before;
    if (slot == store->slot)
        return;
    if (!process_has_slot(store, index)) {
        clear_scribble(store, index);
        return;
    }
    if (!take_over(store, index, &before))
        return;
    if (!(before & IN_USE) || settle_dead(store, slot)) {
        __atomic_store_n(&slot->life, load64(&slot->life) & ~IN_USE, __ATOMIC_RELEASE);
        clear_map(store, index);
    }
    segment_free_slot(store, index);
}

/* A slot in use that the map does not show is settled by whoever claims it next. */
void store_reclaim(struct store *store)
{
    struct header *header = store->header;
    uint64_t deaths = load64(&header->deaths);
    for (uint32_t i = 0; !store_is_suspect(store) && process_next(store, &i); i++)
        reclaim_slot(store, i);
    if (store_is_suspect(store))
        return;
    message_sweep(store);
    account_sweep(store);
    __atomic_store_n(&header->deaths_seen, deaths, __ATOMIC_RELAXED);
}

void store_name_peer(struct store *store, const char *peer, const struct source *source)
{
    set_text(store->slot->peer, sizeof(store->slot->peer), peer);
    store->slot->source = *source;
}

size_t store_count_source(struct store *store, const struct source *source)
{
    size_t count = 0;
    for (uint32_t first = 0; first < store->slots_most; first += 64) {
        uint64_t taken = load64(&store->header->slot_map[first / 64]);
        for (; taken; taken &= taken - 1) {
            uint32_t index = first + (uint32_t)__builtin_ctzll(taken);
            count += process_has_slot(store, index) && load64(&slot_at(store, index)->life) & IN_USE &&
                     memcmp(&slot_at(store, index)->source, source, sizeof(*source)) == 0;
        }
    }
    return count;
}

bool store_may_complain(struct store *store, uint32_t seconds)
{
    uint32_t now = (uint32_t)(clock_now() / NANOSECONDS_PER_SECOND) + 1;
    uint32_t last = load32(&store->header->complained);
    return (last == 0 || now - last >= seconds) &&
           __atomic_compare_exchange_n(&store->header->complained, &last, now, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}

void store_describe(struct store *store, const char *protocol)
{
    set_text(store->slot->protocol, sizeof(store->slot->protocol), protocol);
}

void store_wake(struct store *store)
{
    __atomic_fetch_add(&store->header->deaths, 1, __ATOMIC_RELAXED);
    /* One post is enough: whoever wakes looks for the dead. More would have to be drained by the next waiter.
     */
    int posts = 0;
    (void)sem_getvalue(&store->header->sleepers, &posts);
    if (posts == 0)
        sem_post(&store->header->sleepers);
}

void store_interrupt(struct store *store)
{
    if (store->slot)
        sem_post(&store->slot->wake);
}

void process_wake_waiters(struct store *store, account_t account)
{
    uint64_t wanted = pack(account);
    for (uint32_t i = 0; process_next(store, &i); i++)
        if (process_has_slot(store, i) && load64(&store->waits[i]) == wanted)
            sem_post(&slot_at(store, i)->wake);
}

bool process_next(const struct store *store, uint32_t *index)
{
    for (; *index < store->slots_most; *index = (*index / 64 + 1) * 64) {
        uint64_t taken = read_map(store, *index / 64 * 64) >> *index % 64;
        if (taken) {
            *index += (uint32_t)__builtin_ctzll(taken);
            return true;
        }
    }
    return false;
}

bool store_next_process(struct store *store, uint32_t *index, struct store_process *process)
{
    for (; *index < store->slots_most; (*index)++) {
        const struct slot *slot = slot_at(store, *index);
        if (!process_has_slot(store, *index) || !(load64(&slot->life) & IN_USE))
            continue;
        *process = (struct store_process){.slot = *index,
                                          .pid = slot->pid,
                                          .since = slot->since,
                                          .waiting = load64(&store->waits[*index]) != 0,
                                          .alive = slot == store->slot ||
                                                   segment_byte_is_held(store, slot_byte(*index))};
        snprintf(process->peer, sizeof(process->peer), "%.*s", PEER_MAX, slot->peer);
        snprintf(process->protocol, sizeof(process->protocol), "%.15s", slot->protocol);
        if (slot->account.index && slot->account.index <= store->accounts_most && !store_is_suspect(store))
            account_name(store, slot->account, process->account);
        (*index)++;
        return true;
    }
    return false;
}
