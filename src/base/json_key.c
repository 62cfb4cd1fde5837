/* json_key.c: collects and hashes one decoded key of a JSON object in memory of fixed size. In come its
 * characters in pieces, out goes a hash. It knows nothing of the object. */
#include "json_key.h"

#include "siphash.h"

#include <string.h>
#include <sys/auxv.h>

void json_key_start(struct json_key *key)
{
    key->link.before = 0;
    key->used = 0;
    key->whole = true;
}

/* The hash's own key: the 16 random bytes that the kernel gives each program, at no system call. It puts them
 * on the stack, which not every process of the program has (src/server/stack.h). */
static uint8_t random_key[16];

__attribute__((constructor)) static void take_random_key(void)
{
    const void *given = (const void *)getauxval(AT_RANDOM);

    if (given != NULL) {
        memcpy(random_key, given, sizeof random_key);
    }
}

uint64_t json_key_hash(const struct json_key *key)
{
    return siphash13(random_key, &key->link, sizeof key->link.before + key->used);
}

void json_key_add(struct json_key *key, const char *bytes, size_t length)
{
    while (length > 0) {
        if (key->used == sizeof key->link.bytes) {
            key->link.before = json_key_hash(key);
            key->used = 0;
            key->whole = false;
        }
        size_t room = sizeof key->link.bytes - key->used;
        size_t part = length < room ? length : room;
        memcpy(key->link.bytes + key->used, bytes, part);
        key->used += part;
        bytes += part;
        length -= part;
    }
}

bool json_key_is(const struct json_key *key, const char *name)
{
    return key->whole && strlen(name) == key->used && memcmp(name, key->link.bytes, key->used) == 0;
}
