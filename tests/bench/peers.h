/* peers.h: the protocols of the programs that shmail is measured against, spoken by the same bench. */
#ifndef SHMAIL_BENCH_PEERS_H
#define SHMAIL_BENCH_PEERS_H

#include "lane.h"

extern const struct speech speech_redis, speech_beanstalkd, speech_pop3, speech_lmtp, speech_echo;

enum { PEER_SAY_MOST = 512 }; /* bytes: an SMTP command line */

/* Appends a request, or a part of it. */
__attribute__((format(printf, 2, 3))) void peer_say(struct lane *, const char *format, ...);

#endif
