/* main.c: shmail-bench, a load generator: the protocols that it speaks. */
#include "bench.h"

int main(int argc, char **argv)
{
    static const struct speech *const speeches[] = {&speech_smsp, &speech_smsp_nul, &speech_message};

    return bench_main(argc, argv, speeches, sizeof speeches / sizeof speeches[0]);
}
