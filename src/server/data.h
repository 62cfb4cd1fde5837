/* data.h: the program's variables in one mapping that nobody else has had.
 *
 * They lie in two, those with a first value and those without. Of each mapping that was written to, a fork
 * also copies the list of the processes that it has come through. Where a process that was forked itself
 * forks many more, there is one mapping after this, whose list begins with it. */
#ifndef SHMAIL_DATA_H
#define SHMAIL_DATA_H

/* For this process, without threads and with signals blocked, and what it forks. Where it cannot be had all
 * stays as it was. */
void data_renew(void);

#endif
