/* verbs.h: what shmailctl can do; each verb prints, and returns the exit status. Private to src/ctl. */
#ifndef SHMAIL_VERBS_H
#define SHMAIL_VERBS_H

#include "report.h"
#include "status.h"

enum { FOUND = 1 }; /* the exit status of a check with findings, and of a repair with losses */

struct request {
    const char *name;      /* of the post office: -n, or main */
    const char *directory; /* of the journal: -d, or NULL */
    const char *domain;    /* the local one: -D, or mail.localhost */
    int count;             /* of the arguments behind the verb */
    char **arguments;
};

/* segment_verbs.c */
int verb_check_segment(const struct request *);
int verb_repair_segment(const struct request *);
int verb_processes(const struct request *);
int verb_figures(const struct request *);
int verb_remove(const struct request *);

/* account_verbs.c */
int verb_account(const struct request *);

/* journal_verbs.c */
int verb_check_journal(const struct request *);
int verb_repair_journal(const struct request *);
int verb_print_journal(const struct request *);

/* main.c: for all of them. */
int refuse(enum status, const char *why); /* says why on standard error, escaped as below */
int usage(const char *what, const char *word);

/* Names and texts of others stand in a line: nothing in it may act on a terminal. */
void print_escaped(const char *);

/* What a check or a repair has to say goes to standard output, a line each. */
struct report check_report(void);
struct report repair_report(void);
int end_check(const struct report *);
int end_repair(const struct report *);

#endif
