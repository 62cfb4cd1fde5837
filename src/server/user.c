/* user.c: finds a user in /etc/passwd, line by line. It asks no name service: those need shared libraries,
 * which a static program has not, and a user of the sandbox has no business anywhere but here. */
#include "user.h"

#include "number.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELD_UID = 2, FIELD_GID = 3 };

#define ID_MAX (UINT32_MAX - 1) /* (uid_t)-1 means "leave it" to setresuid(2) */

/* Field number which of a line whose fields are separated by colons. */
static bool field(const char *line, int which, const char **start, size_t *length)
{
    for (; which > 0; which--) {
        line = strchr(line, ':');
        if (line == NULL) {
            return false;
        }
        line++;
    }
    *start = line;
    *length = strcspn(line, ":\n");
    return true;
}

static bool read_id(const char *line, int which, uint64_t *id)
{
    const char *start;
    size_t length;

    return field(line, which, &start, &length) && number_parse(start, length, ID_MAX, id);
}

static bool is_named(const char *line, const char *name)
{
    size_t length = strlen(name);

    return length > 0 && strncmp(line, name, length) == 0 && line[length] == ':';
}

bool user_find(const char *name, struct user *user)
{
    char *line = NULL;
    size_t room = 0;
    uint64_t number = 0, uid, gid;
    bool found = false;
    bool numeric = number_parse(name, strlen(name), ID_MAX, &number);
    FILE *file = fopen("/etc/passwd", "re");
    int error = file != NULL || errno == ENOENT ? 0 : errno;

    while (file != NULL && !found && getline(&line, &room, file) >= 0) {
        found = read_id(line, FIELD_UID, &uid) && read_id(line, FIELD_GID, &gid) &&
                (is_named(line, name) || (numeric && uid == number));
    }
    if (file != NULL) {
        error = !found && feof(file) == 0 ? errno : 0;
        (void)fclose(file);
        free(line);
    }
    if (!found && !numeric) {
        errno = error;
        return false;
    }
    *user = (struct user){.uid = (uid_t)(found ? uid : number), .gid = (gid_t)(found ? gid : number)};
    return true;
}
