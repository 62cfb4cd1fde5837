/* speech_smsp.h: what the verbs of SMSP share with those that have a file of their own. */
#ifndef SHMAIL_BENCH_SPEECH_SMSP_H
#define SHMAIL_BENCH_SPEECH_SMSP_H

#include "lane.h"

extern const struct verb smsp_login;
extern const struct verb *const smsp_adopt_steps[SPEECH_STEPS];

/* VERB name cookie; verb ends with a space. */
void smsp_ask_own(struct lane *, const char *verb, const struct mailbox *);

void smsp_ask_send(struct lane *, struct request *);
void smsp_ask_fetch(struct lane *, struct request *);
enum verdict smsp_judge_fetch(struct lane *, struct request *, const char *bytes, size_t length,
                              size_t *taken);

void smsp_ask_list(struct lane *, struct request *);
enum verdict smsp_judge_list(struct lane *, struct request *, const char *bytes, size_t length,
                             size_t *taken);

#endif
