/* password.c: crypt(3), bounded over all processes by tokens: owner words, taken from dead owners like a
 * lock.
 *
 * No lock is held while a token is waited for or a hash is made. */
#include "password.h"

#include "clock.h"
#include "lock.h"
#include "moment.h"
#include "secret.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { TOKEN_SLEEP = 100000000 }; /* nanoseconds; how late a death may be noticed */

static const char method[] = "$y$";

static uint64_t *try_tokens(struct store *store, bool look_for_dead)
{
    struct header *header = store->header;
    bool from_dead;
    for (uint32_t i = 0; i < store->tokens; i++)
        if (role_take(store, &header->token[i], look_for_dead, &from_dead))
            return &header->token[i];
    return NULL;
}

static uint64_t *take_token(struct store *store)
{
    uint64_t *token = try_tokens(store, false);
    while (!token) {
        struct timespec until = deadline_at(clock_now() + TOKEN_SLEEP);
        (void)sem_clockwait(&store->header->token_sleepers, CLOCK_MONOTONIC, &until);
        token = try_tokens(store, true);
    }
    return token;
}

static void give_token(struct store *store, uint64_t *token)
{
    __atomic_store_n(token, 0, __ATOMIC_RELEASE);
    /* More posts than tokens would only make the next waiter spin. */
    int posts;
    if (sem_getvalue(&store->header->token_sleepers, &posts) != 0 || posts < (int)store->tokens)
        sem_post(&store->header->token_sleepers);
}

/* crypt(3) with a copy of the password that ends with a NUL; the scratch memory is wiped. */
static enum status hash_with(struct store *store, const char *password, size_t length, const char *setting,
                             char hash[static HASH_MAX + 1])
{
    char phrase[PASSWORD_MAX + 1];
    struct crypt_data *scratch = calloc(1, sizeof(*scratch));
    if (!scratch)
        return STATUS_NO_MEMORY;
    memcpy(phrase, password, length);
    phrase[length] = '\0';
    uint64_t *token = take_token(store);
    const char *result = crypt_rn(phrase, setting, scratch, (int)sizeof(*scratch));
    give_token(store, token);
    moment_end(store);
    enum status status = STATUS_SYSTEM;
    if (result && result[0] != '*' && strlen(result) <= HASH_MAX) {
        memcpy(hash, result, strlen(result) + 1);
        status = STATUS_OK;
    }
    explicit_bzero(phrase, sizeof(phrase));
    explicit_bzero(scratch, sizeof(*scratch));
    free(scratch);
    return status;
}

static enum status check_form(const char *password, size_t length)
{
    if (length > PASSWORD_MAX)
        return STATUS_TOO_LONG;
    return length == 0 || memchr(password, '\0', length) ? STATUS_MALFORMED : STATUS_OK;
}

enum status password_hash(struct store *store, const char *password, size_t length,
                          char hash[static HASH_MAX + 1])
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    unsigned char random[32];
    enum status status = check_form(password, length);
    if (status != STATUS_OK)
        return status;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random) ||
        !crypt_gensalt_rn(method, (unsigned long)store->crypt_cost, (const char *)random, (int)sizeof(random),
                          setting, (int)sizeof(setting)))
        return STATUS_SYSTEM;
    return hash_with(store, password, length, setting, hash);
}

/* A hash that nobody's password gives, of the cost that new ones have. */
static enum status dummy_setting(const struct store *store, char setting[static HASH_MAX + 1])
{
    static const char salt[32] = "for who is not there, same time";
    return crypt_gensalt_rn(method, (unsigned long)store->crypt_cost, salt, (int)sizeof(salt), setting,
                            HASH_MAX + 1)
               ? STATUS_OK
               : STATUS_SYSTEM;
}

bool password_is_current(const struct store *store, const char *hash)
{
    char setting[HASH_MAX + 1];
    if (dummy_setting(store, setting) != STATUS_OK)
        return true; /* no better one can be made */
    size_t parameters = (size_t)(strchr(setting + strlen(method), '$') - setting) + 1;
    return strncmp(hash, setting, parameters) == 0;
}

enum status password_matches(struct store *store, const char *password, size_t length,
                             const struct account_secret *secret)
{
    char setting[HASH_MAX + 1];
    char hash[HASH_MAX + 1];
    if (check_form(password, length) != STATUS_OK)
        return STATUS_DENIED;
    bool has_hash = secret->account.index && secret->hash[0];
    if (!has_hash && dummy_setting(store, setting) != STATUS_OK)
        return STATUS_SYSTEM;
    enum status status = hash_with(store, password, length, has_hash ? secret->hash : setting, hash);
    if (status != STATUS_OK)
        return status;
    bool equal =
        has_hash && strlen(hash) == strlen(secret->hash) && secret_equal(hash, secret->hash, strlen(hash));
    explicit_bzero(hash, sizeof(hash));
    return equal ? STATUS_OK : STATUS_DENIED;
}
