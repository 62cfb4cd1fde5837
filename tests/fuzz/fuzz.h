/* fuzz.h: what a target offers to whoever brings it inputs: libFuzzer, or replay.c with files.
 *
 * A target is one file fuzz_NAME.c. It must end the same way for the same bytes, whatever was tried before,
 * and says by EXPECT what holds for any bytes. It is linked with still.c, so nothing sleeps and nothing is
 * random. */
#ifndef SHMAIL_FUZZ_H
#define SHMAIL_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Returns 0: libFuzzer's contract. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* From who brings the inputs: a name for a post office, and an empty directory (absolute), both this
 * process's own until it ends. */
const char *fuzz_name(void);
const char *fuzz_directory(void);

/* Ends the process by abort(3), which both callers take for a finding. */
#define EXPECT(condition) ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition))

_Noreturn static inline void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

/* Reads an input that is no text of the program but a recipe for one; what is beyond its end is zeros. */
struct recipe {
    const uint8_t *bytes;
    size_t left;
};

static inline uint8_t recipe_byte(struct recipe *recipe)
{
    if (recipe->left == 0)
        return 0;
    recipe->left--;
    return *recipe->bytes++;
}

static inline uint64_t recipe_number(struct recipe *recipe, unsigned bytes)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < bytes; i++)
        number |= (uint64_t)recipe_byte(recipe) << (8 * i);
    return number;
}

#endif
