/* peer_main.c: bench-peers, which is shmail-bench with the protocols of its peers beside its own. */
#include "bench.h"
#include "peers.h"

int main(int argc, char **argv)
{
    static const struct speech *const speeches[] = {
        &speech_smsp, &speech_smsp_nul, &speech_message,    &speech_redis,
        &speech_pop3, &speech_lmtp,     &speech_beanstalkd, &speech_echo,
    };

    return bench_main(argc, argv, speeches, sizeof speeches / sizeof speeches[0]);
}
