/* bench_lane.h: a lane without a connection, so that tests can see what a verb asks and give it replies. It
 * has one mailbox, "m0", with the message numbered 1 in it: number 0 is gone. */
#ifndef SHMAIL_TEST_BENCH_LANE_H
#define SHMAIL_TEST_BENCH_LANE_H

#include "harness.h"
#include "lane.h"
#include "peers.h"
#include "speech.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 20 };

#define COOKIE "CookieCookieCookieCookieCookieCookieCookie1"

struct bench_lane {
    struct plan plan;
    struct mailbox_book book;
    struct lane lane;
    struct request request; /* the last */
};

static const struct speech *const bench_speeches[] = {&speech_smsp,  &speech_smsp_nul, &speech_message,
                                                      &speech_redis, &speech_pop3,     &speech_beanstalkd,
                                                      &speech_lmtp,  &speech_echo};

static inline const struct speech *bench_speech(const char *name)
{
    for (size_t i = 0; i < sizeof bench_speeches / sizeof bench_speeches[0]; i++) {
        if (strcmp(bench_speeches[i]->name, name) == 0) {
            return bench_speeches[i];
        }
    }
    harness_fail(__FILE__, __LINE__, "no speech %s", name);
}

/* connections above 1 share the mailbox. */
static inline void bench_open(struct bench_lane *bench, const char *speech, unsigned connections)
{
    *bench = (struct bench_lane){
        .plan = {.program = "bench",
                 .speech = bench_speech(speech),
                 .connections = connections,
                 .mailboxes = 1,
                 .processes = 1,
                 .size = TEXT_SIZE,
                 .prefix = "m",
                 .password = "secret"},
    };
    EXPECT(mailbox_book_open(&bench->book, &bench->plan, 0) && bench->book.mailboxes != NULL);
    bench->lane.plan = &bench->plan;
    bench->lane.book = &bench->book;
    memcpy(bench->book.mailboxes[0].cookie, COOKIE, COOKIE_TEXT);
    mailbox_adopt(&bench->book.mailboxes[0], 1, 1);
}

static inline void bench_close(struct bench_lane *bench)
{
    buffer_free(&bench->lane.out);
    mailbox_book_close(&bench->book);
}

/* Asks by a verb of the speech's mix; what is said then stands in lane.out. */
static inline void bench_ask(struct bench_lane *bench, const char *name)
{
    const struct verb *verb = bench->plan.speech->verbs;

    while (verb->name != NULL && strcmp(verb->name, name) != 0) {
        verb++;
    }
    EXPECT(verb->name != NULL);
    buffer_clear(&bench->lane.out);
    bench->request = (struct request){.verb = verb, .mailbox = &bench->book.mailboxes[0]};
    verb->ask(&bench->lane, &bench->request);
}

/* Gives the first length bytes of a reply to a copy of the request, as traffic.c does. */
static inline enum verdict bench_judge(struct bench_lane *bench, const char *bytes, size_t length)
{
    struct request request = bench->request;
    struct mailbox before = bench->book.mailboxes[0];
    uint64_t last_id = bench->lane.last_id;
    enum verdict verdict = REPLY_CUT;
    size_t taken = 1;

    while (verdict == REPLY_CUT && length > 0 && taken > 0) {
        taken = 0;
        verdict = request.verb->judge(&bench->lane, &request, bytes, length, &taken);
        bytes += taken;
        length -= taken;
    }
    EXPECT(verdict != REPLY_WHOLE || length == 0);
    bench->book.mailboxes[0] = before;
    bench->lane.last_id = last_id;
    return verdict;
}

#endif
