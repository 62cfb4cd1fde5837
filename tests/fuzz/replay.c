/* replay.c: gives a target every file of its corpus, in order of their names, without a fuzzer: what was
 * found once stays found. The corpus is tests/fuzz/corpus/NAME of a program fuzz_NAME; SHMAIL_TESTS says
 * where tests is. A file that is named as argument is tried instead. */
#include "../harness.h"
#undef EXPECT
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static char corpus[PATH_MAX + 64]; /* or the one file: absolute, for the test has a directory of its own */

const char *fuzz_name(void)
{
    return harness_name();
}

const char *fuzz_directory(void)
{
    return harness_directory();
}

static int is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    EXPECT(file != NULL);
    EXPECT(fseek(file, 0, SEEK_END) == 0);
    long length = ftell(file);
    EXPECT(length >= 0 && fseek(file, 0, SEEK_SET) == 0);
    uint8_t *bytes = malloc((size_t)length + 1);
    EXPECT(bytes != NULL && fread(bytes, 1, (size_t)length, file) == (size_t)length);
    fclose(file);
    printf("# %s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(bytes, (size_t)length);
    free(bytes);
}

static void replay_corpus(void)
{
    struct dirent **entries;
    int count = scandir(corpus, &entries, is_file, alphasort);
    if (count <= 0)
        harness_fail(__FILE__, __LINE__, "%s: %s", corpus, count < 0 ? strerror(errno) : "no file in it");
    for (int i = 0; i < count; i++) {
        char path[sizeof(corpus) + 300];
        snprintf(path, sizeof(path), "%s/%s", corpus, entries[i]->d_name);
        replay(path);
        free(entries[i]);
    }
    free(entries);
    harness_say("%d inputs of the corpus", count);
}

static void replay_one(void)
{
    replay(corpus);
}

int main(int argc, char **argv)
{
    const char *name = strchr(program_invocation_short_name, '_');
    const char *tests = getenv("SHMAIL_TESTS");
    char folder[PATH_MAX], promise[128];
    struct harness_test table[] = {{promise, replay_corpus, 120}};
    if (!name || !realpath(argc > 1 ? argv[1] : tests ? tests : "tests", folder)) {
        fprintf(stderr, "there is no %s\n",
                argc > 1 ? argv[1] : "folder tests: SHMAIL_TESTS says where it is");
        return 70;
    }
    if (argc > 1) {
        table[0].run = replay_one;
        snprintf(corpus, sizeof(corpus), "%s", folder);
    } else {
        snprintf(corpus, sizeof(corpus), "%s/fuzz/corpus/%s", folder, name + 1);
    }
    snprintf(promise, sizeof(promise), "every input that the fuzzer kept of %s is handled soundly", name + 1);
    return harness_main(1, argv, table, 1);
}
