/* options.h: the command line of shmaild, checked whole before anything is opened. */
#ifndef SHMAIL_OPTIONS_H
#define SHMAIL_OPTIONS_H

#include "address.h"
#include "protocol.h"
#include "sandbox.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    OPTIONS_LISTENERS_MAX = 32,       /* more -l than anyone needs */
    OPTIONS_CONNECTIONS_DEFAULT = 256 /* where the post office has slots for them */
};

enum options_action { OPTIONS_SERVE, OPTIONS_SHOW_HELP, OPTIONS_SHOW_VERSION };

struct options {
    enum options_action action;
    const char *name;                                     /* -n: the post office */
    bool private;                                         /* -e */
    struct store_options store;                           /* its name is NULL with -e */
    struct settings settings;                             /* dump_allowed: --dump was given */
    struct address_name listeners[OPTIONS_LISTENERS_MAX]; /* -l and HOST PORT */
    bool behind_proxy[OPTIONS_LISTENERS_MAX];             /* -l proxy:ADDRESS */
    size_t listener_count;
    struct sandbox_options sandbox; /* -u and the options about the sandbox */
    uint32_t connections;           /* -c; 0: not given */
    uint32_t per_source;            /* --per-source; 0: not given */
    uint32_t spares;                /* --spare */
    struct stream_options limits;   /* its seconds: -t and the timeouts */
    bool sync_given;                /* --sync */
    bool announce;                  /* -1 */
    bool inetd;                     /* -i */
    bool proxy;                     /* --proxy: what is handed over is behind one */
    bool verbose;                   /* -v */
    bool syslog;                    /* --syslog */
};

/* False: why[0..why_size) names the option and the value that is wrong. options->inetd holds all the same. */
bool options_parse(struct options *, int argc, char **argv, char *why, size_t why_size);

extern const char options_help[];

#endif
