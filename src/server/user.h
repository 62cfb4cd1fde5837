/* user.h: who is in /etc/passwd. */
#ifndef SHMAIL_USER_H
#define SHMAIL_USER_H

#include <stdbool.h>
#include <sys/types.h>

struct user {
    uid_t uid;
    gid_t gid; /* the only group that it gets */
};

/* name is one of /etc/passwd, or a number, whose group is the one it has there, else the same number. False,
 * not for a number: there is none; or, with errno not 0, that file is there and cannot be read. */
bool user_find(const char *name, struct user *);

#endif
