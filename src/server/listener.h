/* listener.h: the sockets on which the server listens: bound by name, or handed over by a service manager.
 *
 * On failure each says why in one line, and what was added before stays. */
#ifndef SHMAIL_LISTENER_H
#define SHMAIL_LISTENER_H

#include "address.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

enum { LISTENERS_MAX = 64 };

struct listener {
    int descriptor;
    struct address address; /* as bound: with the port that the kernel chose */
    bool behind_proxy;      /* each connection begins with a PROXY header */
    bool owns_path;         /* we have made it: path_status is what it was then */
    struct stat path_status;
};

struct listeners {
    struct listener list[LISTENERS_MAX];
    size_t count;
};

/* Listens on every address of the name that this machine has. A path whose server is gone is taken over; one
 * where a server answers, or that is no socket, is refused. */
bool listeners_add(struct listeners *, const struct address_name *, bool behind_proxy, char *why,
                   size_t why_size);

/* The first number that is none of those of LISTEN_FDS: 3 where nothing is handed over to this process. */
int listeners_handed_over_end(void);

/* Takes the listening sockets of LISTEN_PID and LISTEN_FDS (sd_listen_fds(3)), where they are meant for this
 * process. */
bool listeners_inherit(struct listeners *, bool behind_proxy, char *why, size_t why_size);

/* True where only this machine reaches them; through a proxy anybody may. */
bool listeners_are_local(const struct listeners *);

/* Closes one of them for good, and removes its path if that is ours; those behind it move up. */
void listeners_drop(struct listeners *, const struct listener *);

/* For a child, which only closes them; and for the parent, which also removes the paths that it has made. */
void listeners_close(struct listeners *);
void listeners_remove(struct listeners *);

#endif
