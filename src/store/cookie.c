/* cookie.c: sessions: opened with fresh random bytes, found by them, ended.
 *
 * They are found by a keyed hash: what is nearly right leads to another bucket than what is right, and takes
 * as long as anything else. Ended records are wiped. */
#include "cookie.h"

#include "account_record.h"
#include "base64.h"
#include "log.h"
#include "moment.h"
#include "process.h"
#include "secret.h"
#include "segment.h"
#include "siphash.h"
#include "transaction.h"

#include <string.h>
#include <sys/random.h>

uint32_t session_hash(const struct store *store, const uint8_t secret[static COOKIE_BYTES])
{
    return (uint32_t)siphash13(store->header->hash_key, secret, COOKIE_BYTES);
}

/* Each part of the table has buckets of its own. */
static uint32_t *bucket_of(const struct store *store, uint32_t index, const uint8_t *secret)
{
    bool far = index >= SESSIONS_NEAR;
    return &store->cookie_buckets[far][session_hash(store, secret) & store->cookie_mask[far]];
}

/* Within a transaction; first: any index of the part that is looked through. 0: there is none. */
static uint32_t find_in(const struct store *store, uint32_t first, const uint8_t *secret)
{
    const uint32_t *bucket = bucket_of(store, first, secret);
    if (!segment_has(store, segment_offset(store, bucket)))
        return 0;
    uint32_t left = store->sessions_most;
    uint32_t index = get32(store, bucket);
    while (index && !secret_equal(session_at(store, index)->secret, secret, COOKIE_BYTES)) {
        if (left-- == 0)
            bug("a chain of sessions has no end");
        index = get32(store, &session_at(store, index)->chain);
    }
    return index;
}

static uint32_t find(const struct store *store, const uint8_t *secret)
{
    uint32_t found = find_in(store, 0, secret);
    if (!found && get32(store, &store->header->sessions_used) >= SESSIONS_NEAR)
        found = find_in(store, SESSIONS_NEAR, secret);
    return found;
}

/* Takes a value out of a chain that starts at *link; next is where a record keeps its successor. */
static void unchain(struct store *store, uint32_t *link, uint32_t index, size_t next)
{
    uint32_t left = store->sessions_most;
    for (uint32_t found; (found = get32(store, link)) != index || found == 0; left--) {
        if (found == 0 || left == 0)
            bug("a session is not in its chain");
        link = (uint32_t *)(void *)((char *)session_at(store, found) + next);
    }
    const char *record = (const char *)session_at(store, index);
    set32(store, link, get32(store, (const uint32_t *)(const void *)(record + next)));
}

static void end(struct store *store, struct account_record *account, uint32_t index)
{
    struct header *header = store->header;
    struct session_record *session = session_at(store, index);
    unchain(store, bucket_of(store, index, session->secret), index, offsetof(struct session_record, chain));
    unchain(store, &account->session, index, offsetof(struct session_record, older));
    set32(store, &account->sessions, get32(store, &account->sessions) - 1);
    set32(store, &session->generation, get32(store, &session->generation) + 1);
    for (size_t i = 0; i < COOKIE_BYTES; i += sizeof(uint64_t))
        set64(store, (uint64_t *)(void *)(session->secret + i), 0);
    set32(store, &session->chain, get32(store, &header->sessions_free));
    set32(store, &header->sessions_free, index);
    set32(store, &header->sessions_live, get32(store, &header->sessions_live) - 1);
}

bool session_end_newest(struct store *store, struct account_record *account)
{
    uint32_t newest = get32(store, &account->session);
    if (newest)
        end(store, account, newest);
    return newest != 0;
}

static void end_oldest(struct store *store, struct account_record *account)
{
    uint32_t oldest = get32(store, &account->session);
    uint32_t left = SESSIONS_LIMIT;
    for (uint32_t older = oldest; older; older = get32(store, &session_at(store, older)->older)) {
        if (left-- == 0)
            bug("an account has more sessions than any can have");
        oldest = older;
    }
    end(store, account, oldest);
}

/* A cookie whose text begins with '-' looks like an option to every program that it is given to: one in 64 is
 * drawn again, which costs a fortieth of a bit. */
enum status session_draw(uint8_t random[static COOKIE_BYTES])
{
    do {
        if (getrandom(random, COOKIE_BYTES, 0) != COOKIE_BYTES)
            return STATUS_SYSTEM;
    } while (random[0] >> 2 == 62);
    return STATUS_OK;
}

static enum status take_record(struct store *store, uint32_t *index)
{
    struct header *header = store->header;
    *index = get32(store, &header->sessions_free);
    if (*index) {
        set32(store, &header->sessions_free, get32(store, &session_at(store, *index)->chain));
        return STATUS_OK;
    }
    *index = get32(store, &header->sessions_used) + 1;
    if (*index > store->sessions_most)
        return STATUS_FULL_SESSIONS;
    const struct session_record *session = session_at(store, *index);
    if (!segment_wants(store, session) || !segment_wants(store, (const char *)(session + 1) - 1))
        return STATUS_FULL_SEGMENT;
    set32(store, &header->sessions_used, *index);
    return STATUS_OK;
}

enum status session_open(struct store *store, account_t owner, struct account_record *account,
                         const uint8_t random[static COOKIE_BYTES], struct cookie *cookie)
{
    /* The seed's AC list: a cookie that was assigned is not assigned again. With 256 bits only a broken
     * generator comes here. */
    if (find(store, random))
        return STATUS_SYSTEM;
    /* More than one where the limit was higher before; what one transaction has no room for, the next login
     * ends. */
    while (get32(store, &account->sessions) >= store->sessions_per_account && transaction_has_room(store, 48))
        end_oldest(store, account);
    uint32_t index;
    enum status status = take_record(store, &index);
    if (status != STATUS_OK)
        return status;
    uint32_t *bucket = bucket_of(store, index, random);
    if (!segment_wants(store, bucket))
        return STATUS_FULL_SEGMENT;
    struct session_record *session = session_at(store, index);
    for (size_t i = 0; i < COOKIE_BYTES; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, random + i, sizeof(word));
        set64(store, (uint64_t *)(void *)(session->secret + i), word);
    }
    set32(store, &session->generation, get32(store, &session->generation) + 1);
    set32(store, &session->account.index, owner.index);
    set32(store, &session->account.generation, owner.generation);
    set32(store, &session->older, get32(store, &account->session));
    set32(store, &account->session, index);
    set32(store, &account->sessions, get32(store, &account->sessions) + 1);
    set32(store, &session->chain, get32(store, bucket));
    set32(store, bucket, index);
    uint64_t now = (uint64_t)moment_coarse(store);
    set64(store, (uint64_t *)&session->opened, now);
    set64(store, (uint64_t *)&session->used, now);
    set32(store, &store->header->sessions_live, get32(store, &store->header->sessions_live) + 1);
    base64_encode(random, COOKIE_BYTES, cookie->text);
    cookie->text[COOKIE_TEXT] = '\0';
    return STATUS_OK;
}

/* Lock-free. */
static bool session_alive(struct store *store, const struct session *session)
{
    return session->index && load32(&session_at(store, session->index)->generation) == session->generation &&
           account_record(store, session->account);
}

/* How late, in seconds, a use may be noted: other processes look at it only that often. */
static int64_t idle_slack(const struct store *store)
{
    return store->session_idle / 16 + 1;
}

/* Looks at both limits, notes the use, and sets when to look again. False: the session has expired. */
static bool refresh(const struct store *store, struct session *session, int64_t now)
{
    struct session_record *record = session_at(store, session->index);
    int64_t used = (int64_t)load64((const uint64_t *)&record->used);
    session->fresh = INT64_MAX;
    if (store->session_age) {
        /* The login was in the second that begins with opened, perhaps at its end. */
        session->fresh = record->opened + store->session_age + 1;
        if (now >= session->fresh)
            return false;
    }
    if (store->session_idle) {
        if (now - used >= store->session_idle + idle_slack(store))
            return false;
        __atomic_store_n(&record->used, now, __ATOMIC_RELAXED);
        if (session->fresh > now + idle_slack(store))
            session->fresh = now + idle_slack(store);
    }
    return true;
}

static enum status end_expired(struct store *store, struct session *session)
{
    (void)cookie_end(store, session);
    return STATUS_NO_SESSION;
}

/* Apart from cookie_verify, whose frame it would make large. */
static __attribute__((noinline)) enum status verify_anew(struct store *store, const char *text, size_t length,
                                                         struct session *session)
{
    uint8_t secret[COOKIE_BYTES];
    *session = (struct session){0};
    if (length != COOKIE_TEXT || !base64_decode(text, length, secret, sizeof(secret)))
        return STATUS_NO_SESSION;
    enum status status = STATUS_NO_SESSION;
    transaction_begin(store);
    uint32_t index = find(store, secret);
    const struct session_record *found = session_at(store, index);
    if (index && account_record(store, found->account)) {
        session->index = index;
        session->generation = found->generation;
        session->account = found->account;
        status = STATUS_OK;
    }
    transaction_end(store, status);
    if (status == STATUS_OK && !refresh(store, session, moment_coarse(store)))
        return end_expired(store, session);
    if (status == STATUS_OK) {
        memcpy(session->text, text, COOKIE_TEXT);
        store->slot->account = session->account;
    }
    return status;
}

enum status cookie_verify(struct store *store, const char *text, size_t length, struct session *session)
{
    if (length == COOKIE_TEXT && session->index &&
        (text == session->text || secret_equal(text, session->text, COOKIE_TEXT)) &&
        session_alive(store, session)) {
        int64_t now = moment_coarse(store);
        if (now < session->fresh || refresh(store, session, now))
            return STATUS_OK;
        return end_expired(store, session);
    }
    return verify_anew(store, text, length, session);
}

enum status cookie_end(struct store *store, struct session *session)
{
    enum status status = STATUS_OK;
    transaction_begin(store);
    struct account_record *account = account_record(store, session->account);
    bool waited = account && account->waited;
    if (account && session_alive(store, session))
        end(store, account, session->index);
    else
        status = STATUS_NO_SESSION;
    transaction_end(store, status);
    if (status == STATUS_OK && waited)
        process_wake_waiters(store, session->account);
    *session = (struct session){0};
    return status;
}
