/* account_verbs.c: the accounts of a post office in memory, as its operator makes, changes, lists and removes
 * them, beside a server or without one. A password comes from standard input, never from the command line,
 * which others can read. */
#include "fault.h"
#include "mailbox.h"
#include "name.h"
#include "password.h"
#include "silence.h"
#include "verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

/* What a verb works on: an attached store, and the canonical name and the password where it takes them. */
struct work {
    struct store *store;
    const char *name;
    size_t length;
    char password[PASSWORD_MAX + 2]; /* and a line break */
    size_t password_length;
};

static int say(enum status status, const char *what)
{
    char why[NAME_MAX_BYTES + 128];
    snprintf(why, sizeof(why), "%s: %s", what, status_text(status));
    return refuse(status, why);
}

/* A shell would take the rest of a secret that is too long for a command. Without a line's end, what is said
 * next begins one. */
static void leave_line(size_t length)
{
    if (length > PASSWORD_MAX)
        (void)tcflush(STDIN_FILENO, TCIFLUSH);
    else
        fputc('\n', stderr);
}

/* A line of standard input, without an echo where that is a terminal. False: there is none, or it is longer.
 */
static bool read_line(const char *prompt, char line[static PASSWORD_MAX + 2], size_t *length)
{
    struct silence silence;
    bool asks = isatty(STDIN_FILENO);
    const char *end;
    do {
        if (asks && !silence_begin(&silence))
            return false;
        if (asks)
            fputs(prompt, stderr);
        end = NULL;
        for (*length = 0; !end && *length < PASSWORD_MAX + 1 && (!asks || silence_wait(&silence));) {
            ssize_t got = read(STDIN_FILENO, line + *length, PASSWORD_MAX + 1 - *length);
            if (got < 0)
                fprintf(stderr, "shmailctl: standard input: %s\n", strerror(errno));
            if (got <= 0)
                break;
            *length += (size_t)got;
            end = memchr(line, '\n', *length);
        }
        if (asks && !end)
            leave_line(*length);
    } while (asks && !silence_end(&silence));
    if (end)
        *length = (size_t)(end - line);
    return *length > 0 && *length <= PASSWORD_MAX;
}

static bool password_is_sound(const char *password, size_t length)
{
    return !memchr(password, '\0', length) && !memchr(password, ' ', length) &&
           !memchr(password, '\r', length);
}

/* Asks twice at a terminal, where nobody sees what is typed. */
static bool read_password(struct work *work)
{
    char again[PASSWORD_MAX + 2];
    size_t length;
    bool sound = read_line("Password: ", work->password, &work->password_length) &&
                 password_is_sound(work->password, work->password_length);
    if (!sound)
        fprintf(stderr, "shmailctl: a password is a line of 1 to %d bytes without space, CR or NUL\n",
                PASSWORD_MAX);
    if (!sound || !isatty(STDIN_FILENO))
        return sound;
    sound = read_line("Again: ", again, &length) && length == work->password_length &&
            memcmp(again, work->password, length) == 0;
    explicit_bzero(again, sizeof(again));
    if (!sound)
        fputs("shmailctl: the two passwords differ\n", stderr);
    return sound;
}

static int add(struct work *work)
{
    char hash[HASH_MAX + 1] = "";
    account_t account;
    if (account_find(work->store, work->name, work->length, &account) == STATUS_OK)
        return say(STATUS_TAKEN, work->name);
    if (!read_password(work))
        return EX_DATAERR;
    enum status status = password_hash(work->store, work->password, work->password_length, hash);
    if (status == STATUS_OK)
        status = account_create(work->store, work->name, work->length, hash, &account, NULL);
    explicit_bzero(hash, sizeof(hash));
    return status == STATUS_OK ? EX_OK : say(status, work->name);
}

/* Sessions and the entry end too: who had the old password may have opened one. */
static int change(struct work *work)
{
    char hash[HASH_MAX + 1] = "";
    struct account_secret secret;
    enum status status = account_secret(work->store, work->name, work->length, &secret);
    if (status != STATUS_OK)
        return say(status, work->name);
    if (!read_password(work))
        return EX_DATAERR;
    status = password_hash(work->store, work->password, work->password_length, hash);
    if (status == STATUS_OK)
        status = account_change_hash(work->store, &secret, hash);
    if (status == STATUS_OK)
        account_end_sessions(work->store, secret.account);
    explicit_bzero(hash, sizeof(hash));
    explicit_bzero(&secret, sizeof(secret));
    return status == STATUS_OK ? EX_OK : say(status, work->name);
}

static bool print_account(void *context, account_t account, const char *name)
{
    struct store *store = context;
    struct account_secret secret;
    if (account_secret(store, name, strlen(name), &secret) != STATUS_OK)
        return true; /* it was removed just now */
    print_escaped(name);
    printf("\t%s\t%" PRIu64 "\n", secret.hash[0] ? "password" : "open", mailbox_count(store, account));
    explicit_bzero(&secret, sizeof(secret));
    return true;
}

static int list(struct work *work)
{
    puts("ACCOUNT\tENTRY\tMESSAGES");
    account_each(work->store, print_account, work->store);
    return EX_OK;
}

static int remove_account(struct work *work)
{
    struct account_secret secret;
    enum status status = account_secret(work->store, work->name, work->length, &secret);
    if (status == STATUS_OK)
        status = account_remove(work->store, &secret);
    explicit_bzero(&secret, sizeof(secret));
    return status == STATUS_OK ? EX_OK : say(status, work->name);
}

static const struct {
    const char *name;
    int names; /* how many follow */
    int (*run)(struct work *);
} actions[] = {{"add", 1, add}, {"passwd", 1, change}, {"list", 0, list}, {"rm", 1, remove_account}};

/* Without a server nobody else checks it. */
static int refuse_suspect(struct store *store, const char *name)
{
    struct store_figures figures;
    char why[1024];
    store_figures(store, &figures);
    snprintf(why, sizeof(why),
             figures.server
                 ? "post office %s is being checked, try again"
                 : "post office %s may be damaged: have it proved sound with 'shmailctl -n %s check' first",
             name, name);
    return refuse(STATUS_SUSPENDED, why);
}

static int run(const struct request *request, struct work *work, int (*action)(struct work *))
{
    static struct store *store; /* until the process ends: there is no close */
    char why[1024];
    const struct store_options options = {
        .name = request->name, .directory = request->directory, .must_exist = true, .changes = true};
    fault_watch(&store, request->name);
    enum status status = store_open(&store, &options, why, sizeof(why));
    if (status != STATUS_OK)
        return refuse(status, why);
    status = store_attach(store, "shmailctl");
    if (status == STATUS_OK && store_is_suspect(store)) {
        int result = refuse_suspect(store, request->name);
        store_detach(store);
        return result;
    }
    if (status != STATUS_OK)
        return say(status, request->name);
    store_describe(store, "ctl");
    work->store = store;
    int result = action(work);
    status = store_settle(store);
    if (status == STATUS_OK) /* beside no server: nobody else would, before the next start */
        status = store_write_unkept(store);
    store_detach(store);
    return result == EX_OK && status != STATUS_OK ? say(status, request->name) : result;
}

int verb_account(const struct request *request)
{
    struct work work = {.name = request->count > 1 ? request->arguments[1] : ""};
    for (size_t i = 0; request->count > 0 && i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(request->arguments[0], actions[i].name) != 0)
            continue;
        if (request->count != 1 + actions[i].names)
            return usage("account takes add NAME, passwd NAME, list, or rm NAME", "");
        work.length = strlen(work.name);
        if (actions[i].names && !name_is_username(work.name, work.length) &&
            !name_is_address(work.name, work.length))
            return usage("a name is 1 to 64 letters and digits, or an address, not ", work.name);
        work.length = name_canonical(work.name, work.length, request->domain);
        int result = run(request, &work, actions[i].run);
        explicit_bzero(&work, sizeof(work));
        return result;
    }
    return usage("account takes add NAME, passwd NAME, list, or rm NAME", "");
}
