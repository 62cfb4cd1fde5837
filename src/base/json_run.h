/* json_run.h: what the JSON reader and writer share: the bytes of a string that stand for themselves. Private
 * to src/base. */
#ifndef SHMAIL_JSON_RUN_H
#define SHMAIL_JSON_RUN_H

#include <stddef.h>

/* Bytes at the front that may stand in a JSON string as they are: whole characters of valid UTF-8, no quote,
 * no backslash, no control character. */
size_t json_run(const char *bytes, size_t length);

#endif
