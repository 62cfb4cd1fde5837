/* log.h: one line an event, to standard error or syslog, safe to read on a terminal.
 *
 * Control characters, what reorders text, and bytes that are not UTF-8 are written \xNN, a backslash is
 * doubled. A line is written by one write(2), so lines of several processes never mix; it ends in "..." where
 * it would be longer than 2 KiB. Where standard error is the journal's, a level stands in front (<3> to <7>)
 * instead of the name. Where nobody reads what is written there, a line waits a tenth of a second; it and
 * those that follow are lost until one is taken again, and a warning says how many. errno is kept. Callers
 * never pass a password, hash or cookie. */
#ifndef SHMAIL_LOG_H
#define SHMAIL_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* name stands at the front of each line and must live for ever. to_syslog: to the system's logger, as
 * syslog(3) would, instead of descriptor 2, but without ever waiting for one that is stuck; where there is
 * none, or it goes away, lines are lost, and every second it is looked for. */
void log_open(const char *name, enum log_level most, bool to_syslog);

/* For a logger of the system that was started again: who is in a sandbox cannot reach it otherwise. False:
 * the log stays what it was; errno tells why, or is 0 where that is standard error. */
bool log_open_again(void);

/* The last line was lost since there was no logger of the system, rather than one that is stuck. */
bool log_is_missing(void);

__attribute__((cold, format(printf, 2, 3))) void log_line(enum log_level, const char *format, ...);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
/* Each connection says two of these: where nobody listens it does not even call. */
extern enum log_level log_most;
#define log_debug(...) (log_most >= LOG_LEVEL_DEBUG ? log_line(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)

/* log_line for the environment's failures, then exit(code). */
__attribute__((cold, format(printf, 2, 3), noreturn)) void die(int code, const char *format, ...);

/* For our own failures: an invariant does not hold. Says where and aborts. */
__attribute__((cold, noreturn)) void bug_at(const char *file, int line, const char *what);
#define bug(what) bug_at(__FILE__, __LINE__, what)

#endif
