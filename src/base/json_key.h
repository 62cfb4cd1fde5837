/* json_key.h: a key of a JSON object while it is decoded, and how keys are told apart: by 64 bits of a hash
 * whose key no client knows. So many long keys with a common beginning cost no more than other text, however
 * they are escaped. Private to src/base. */
#ifndef SHMAIL_JSON_KEY_H
#define SHMAIL_JSON_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key is hashed in links of a chain; each starts with the hash of those before it. */
struct json_key {
    struct {
        uint64_t before;
        char bytes[248];
    } link;
    size_t used;
    bool whole; /* no link before this one: the key stands in link.bytes[0..used) */
};

void json_key_start(struct json_key *);
void json_key_add(struct json_key *, const char *bytes, size_t length);
uint64_t json_key_hash(const struct json_key *);

/* name is at most as long as one link. */
bool json_key_is(const struct json_key *, const char *name);

#endif
