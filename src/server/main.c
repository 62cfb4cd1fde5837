/* main.c: shmaild from its command line to its end: options, log, post office, listeners, then either the one
 * connection of inetd or the loop that has a child serve each. */
#include "clock.h"
#include "connection.h"
#include "descriptors.h"
#include "evict.h"
#include "keeper.h"
#include "listener.h"
#include "log.h"
#include "options.h"
#include "parent.h"
#include "scheduling.h"
#include "signals.h"
#include "stack.h"
#include "text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { LINE = 1024 }; /* room for a reason, or for a list of addresses */

#ifdef SHMAIL_STATIC
TEXT_ENDS_HERE;
#endif

#define REBUILT_AGO (10 * NANOSECONDS_PER_SECOND) /* what is damaged again sooner, stays so */

static void open_log(struct options *options, bool error_was_open)
{
    bool unusable = !error_was_open || descriptors_error_is_wire();

    descriptor_unblock(STDERR_FILENO);
    options->sandbox.syslog = options->syslog || (options->inetd && unusable);
    log_open("shmaild", options->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, options->sandbox.syslog);
}

static int print(const char *text, bool output_was_open)
{
    errno = EBADF;
    if (output_was_open && fputs(text, stdout) >= 0 && fflush(stdout) == 0) {
        return EX_OK;
    }
    die(EX_IOERR, "cannot write: %s", strerror(errno));
}

static int exit_code(enum status status)
{
    switch (status) {
    case STATUS_MALFORMED: /* sizes that no segment can have */
        return EX_USAGE;
    case STATUS_IN_USE:
    case STATUS_MISMATCH:
        return EX_UNAVAILABLE;
    default:
        return EX_OSERR;
    }
}

/* die(), but sockets that were bound before do not stay behind. listeners may be NULL. */
__attribute__((format(printf, 3, 4), noreturn)) static void refuse(struct listeners *listeners, int code,
                                                                   const char *format, ...)
{
    char why[LINE];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    if (listeners != NULL) {
        listeners_remove(listeners);
    }
    die(code, "%s", why);
}

/* In a signal's handler. What was begun of a post office is left as kill -9 would leave it. */
static void end_start(void *listeners)
{
    listeners_remove(listeners);
    _exit(EX_OK);
}

static struct store *open_post_office(const struct options *options, struct listeners *listeners)
{
    struct store *store;
    char why[LINE];

    enum status status = store_open(&store, &options->store, why, sizeof why);
    if (status != STATUS_OK) {
        refuse(listeners, exit_code(status), "%s", why);
    }
    return store;
}

static void become_server(struct store *store, const struct options *options, struct listeners *listeners)
{
    if (store_serve(store) != STATUS_OK) {
        refuse(listeners, EX_UNAVAILABLE,
               "post office %s has a server already: stop that one, or name another post office with -n",
               options->name);
    }
}

/* For connections. */
static size_t slots_left(const struct store *store, const struct store_figures *figures)
{
    return figures->slots_most - (store_has_journal(store) ? 1 : 0);
}

/* How many connections at once: what was asked for, or as many as usual where there are slots for them. */
static size_t connections_most(struct store *store, const struct options *options,
                               struct listeners *listeners)
{
    struct store_figures figures;

    store_figures(store, &figures);
    size_t slots = slots_left(store, &figures);
    if (slots == 0) {
        refuse(listeners, EX_USAGE,
               "post office %s has one process slot (--slots), which the journal's keeper takes",
               options->name);
    }
    if (options->connections > slots) {
        refuse(listeners, EX_USAGE, "-c %u: post office %s has %u process slots (--slots)%s",
               (unsigned)options->connections, options->name, (unsigned)figures.slots_most,
               store_has_journal(store) ? ", of which the journal's keeper has one" : "");
    }
    if (options->connections > 0) {
        return options->connections;
    }
    return slots < OPTIONS_CONNECTIONS_DEFAULT ? slots : OPTIONS_CONNECTIONS_DEFAULT;
}

/* A source's share leaves a quarter for all others. Spares hold slots only where those of all connections are
 * left beside: there may be as many for a moment. */
static struct parent_limits find_limits(struct store *store, const struct options *options,
                                        struct listeners *listeners)
{
    size_t most = connections_most(store, options, listeners);
    struct store_figures figures;

    store_figures(store, &figures);
    return (struct parent_limits){.connections = most,
                                  .per_source =
                                      options->per_source > 0 ? options->per_source : most - most / 4,
                                  .spares = options->spares,
                                  .attach_spares = most + options->spares <= slots_left(store, &figures)};
}

static void listen_everywhere(struct listeners *listeners, const struct options *options)
{
    static const struct address_name usual = {.name = "127.0.0.1", .port = "8887"};
    char why[LINE];
    bool listens = listeners_inherit(listeners, options->proxy, why, sizeof why);

    for (size_t i = 0; listens && i < options->listener_count; i++) {
        listens = listeners_add(listeners, &options->listeners[i], options->behind_proxy[i], why, sizeof why);
    }
    if (listens && listeners->count == 0) {
        listens = listeners_add(listeners, &usual, false, why, sizeof why);
    }
    if (!listens) {
        refuse(listeners, EX_UNAVAILABLE, "%s", why);
    }
}

static void announce(const struct listeners *listeners, const struct options *options)
{
    char line[LINE] = "", text[ADDRESS_TEXT_SIZE];
    bool printed = true;

    for (size_t i = 0; i < listeners->count; i++) {
        const char *mark = listeners->list[i].behind_proxy ? "proxy:" : "";
        size_t length = strlen(line);
        address_print(&listeners->list[i].address, text);
        (void)snprintf(line + length, sizeof line - length, "%s%s%s", i > 0 ? ", " : "", mark, text);
        printed = printed && (!options->announce || printf("%s%s\n", mark, text) > 0);
    }
    log_info("listening on %s; %s %s, process %ld", line, options->private ? "private" : "post office",
             options->private ? "post office" : options->name, (long)getpid());
    if (options->announce && !(fflush(stdout) == 0 && printed && descriptors_end_output())) {
        log_warning("the addresses could not be printed: %s", strerror(errno));
    }
}

/* Last, so that whatever needs the file system or root's rights is there. listeners may be NULL. */
static void prepare_sandbox(struct sandbox *sandbox, struct store *store, const struct options *options,
                            struct listeners *listeners)
{
    const struct store_descriptors descriptors = store_descriptors(store);
    char why[LINE];

    if (!sandbox_prepare(sandbox, &options->sandbox, why, sizeof why)) {
        refuse(listeners, EX_NOPERM, "%s", why);
    }
    sandbox_admit(sandbox, &descriptors);
}

/* What root has opened by its rights over files it cannot open again when it has given them up. */
static void expect_to_reach_journal(const struct options *options, struct listeners *listeners)
{
    const char *directory = options->store.directory;

    if (directory != NULL && geteuid() == 0 &&
        faccessat(AT_FDCWD, directory, R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
        refuse(
            listeners, EX_NOPERM,
            "journal directory %s: nothing could be rebuilt from it, as root gives up its rights over files "
            "here, and could not open it again: %s",
            directory, strerror(errno));
    }
}

/* For a process without a parent. Where a keeper lives it starts none, which would ask for a slot only to see
 * that; one that was about to leave may not have seen it. */
static void attach_beside_keeper(struct store *store, struct sandbox *sandbox)
{
    const bool wants_one = store_has_journal(store);
    bool left;

    do {
        bool found = wants_one && store_has_keeper(store);
        if (wants_one && !found && keeper_start_alone(store, sandbox) < 0) {
            log_warning("the journal has no keeper: %s", strerror(errno));
        }
        /* Where it cannot be, it is turned away later. */
        left = store_attach_ahead(store) == STATUS_OK && found && !store_has_keeper(store);
        if (left) {
            store_detach(store);
        }
    } while (left);
}

static int serve_standard_input(struct store *store, struct options *options, bool error_was_open)
{
    static struct sandbox sandbox;

    prepare_sandbox(&sandbox, store, options, NULL);
    attach_beside_keeper(store, &sandbox);
    descriptor_tune(STDOUT_FILENO);
    descriptor_unblock(STDOUT_FILENO);
    options->settings.dump_allowed = error_was_open && descriptor_kind(STDERR_FILENO) != DESCRIPTOR_SOCKET;
    return connection_serve(store, &options->settings, &options->limits, STDIN_FILENO, STDOUT_FILENO,
                            options->proxy ? SIZE_MAX : 0, NULL, &sandbox);
}

/* From the journal, while connections wait in the backlog. The damaged segment stays for whoever wants to
 * know. */
static struct store *rebuild(struct store *store, const struct options *options, struct listeners *listeners,
                             struct sandbox *sandbox)
{
    static int64_t rebuilt;
    char aside[LINE], why[LINE];

    if (rebuilt != 0 && clock_now() - rebuilt < REBUILT_AGO) {
        refuse(
            listeners, EX_DATAERR,
            "post office %s is damaged again, just after it was rebuilt from its journal; it is kept as it is",
            options->name);
    }
    if (!store_has_journal(store)) {
        refuse(
            listeners, EX_DATAERR,
            "post office %s is damaged and has no journal to be rebuilt from; it is kept as it is: save what can "
            "be saved with 'shmailctl -n %s repair'",
            options->name, options->name);
    }
    signals_end_by(end_start, listeners);
    if (!evict_all(store, why, sizeof why)) {
        refuse(listeners, EX_UNAVAILABLE,
               "post office %s is damaged, and cannot be rebuilt: %s: end it and start again", options->name,
               why);
    }
    if (store_set_aside(&store, options->store.name, aside, sizeof aside) != STATUS_OK) {
        refuse(listeners, EX_OSERR, "the damaged post office %s cannot be set aside: %s", options->name,
               strerror(errno));
    }
    store = open_post_office(options, listeners);
    become_server(store, options, listeners);
    signals_end_by(NULL, NULL);
    const struct store_descriptors descriptors = store_descriptors(store);
    sandbox_admit(sandbox, &descriptors);
    store_gather(store);
    log_warning("the post office was rebuilt from its journal%s%s",
                aside[0] != '\0' ? "; the damaged one is kept as " : "", aside);
    rebuilt = clock_now();
    return store;
}

/* What a child serves by. */
struct office {
    struct store *store;
    const struct options *options;
    struct parent_limits limits;
};

static int serve_connection(void *context, int connection, const struct caller *caller)
{
    const struct office *office = context;

    return connection_serve(office->store, &office->options->settings, &office->options->limits, connection,
                            connection, caller->proxied ? office->limits.per_source : 0, caller, NULL);
}

/* Until it is told to end. */
static int serve(struct office *office, struct listeners *listeners, struct sandbox *sandbox)
{
    static struct service service = {.serve = serve_connection};
    enum parent_end end;

    service.context = office;
    for (;;) {
        service.ahead = office->limits.attach_spares ? office->store : NULL;
        end = parent_run(listeners, office->store, sandbox, &office->limits, &service);
        if (end != PARENT_DAMAGED) {
            break;
        }
        office->store = rebuild(office->store, office->options, listeners, sandbox);
    }
    log_info("stopped");
    return end == PARENT_DEAF ? EX_UNAVAILABLE : EX_OK;
}

int main(int argc, char **argv)
{
    static struct options options;
    static struct listeners listeners;
    static struct sandbox sandbox;
    static struct office office = {.options = &options};
    struct store *store; /* until the process ends: there is no close */
    char why[LINE];
    bool output_was_open = fcntl(STDOUT_FILENO, F_GETFD) != -1;
    bool error_was_open = descriptors_fill();

    argv = stack_move_arguments(argc, argv);
    (void)signal(SIGXFSZ, SIG_IGN); /* what is printed may go to a file, too */
    bool usable = options_parse(&options, argc, argv, why, sizeof why);
    descriptors_close_from(options.inetd ? STDERR_FILENO + 1 : listeners_handed_over_end());
    open_log(&options, error_was_open);
    if (!usable) {
        die(EX_USAGE, "%s (--help lists the options)", why);
    }
    if (options.action != OPTIONS_SERVE) {
        return print(options.action == OPTIONS_SHOW_HELP ? options_help : "shmaild " SHMAIL_VERSION "\n",
                     output_was_open);
    }
    static_assert((int)STORE_BYTES <= (int)STREAM_BESIDE, "one lies in the other");
    options.store.memory = stream_beside();
    signals_prepare();
    scheduling_prepare();
    signals_end_by(end_start, &listeners);
    if (options.inetd) {
        store = open_post_office(&options, NULL);
        signals_end_by(NULL, NULL);
        return serve_standard_input(store, &options, error_was_open);
    }
    listen_everywhere(&listeners, &options);
    store = open_post_office(&options, &listeners);
    become_server(store, &options, &listeners);
    signals_end_by(NULL, NULL);
    office.store = store;
    office.limits = find_limits(store, &options, &listeners);
    prepare_sandbox(&sandbox, store, &options, &listeners);
    sandbox_keep_little(&sandbox);
    expect_to_reach_journal(&options, &listeners);
    options.settings.dump_allowed = options.settings.dump_allowed || listeners_are_local(&listeners);
    announce(&listeners, &options);
    /* For all that is forked, and not by one of them: on a busy machine the system takes a second for it, in
     * which nothing ends, so that an orphan would keep the address from the next server. */
    text_gather();
    store_gather(store);
    return serve(&office, &listeners, &sandbox);
}
