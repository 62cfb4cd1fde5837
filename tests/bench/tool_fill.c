/* tool_fill.c: fills a post office, for what the bench measures on a full one:
 * tool_fill NAME ACCOUNTS MESSAGES BYTES, or tool_fill -d DIRECTORY ACCOUNTS MESSAGES BYTES.
 *
 * Makes so many accounts and deals the messages out to them one by one, as deliveries come, by the store's
 * own calls. NAME stays for the server that is measured; with -d only the journal stays. */
#include "account.h"
#include "mailbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPARE_ACCOUNTS = 1000, /* for the load on it */
    RECORD_MOST = 160,     /* bytes of a journal's record beside the text */
};

static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "tool_fill: %s: %s\n", what, why);
    exit(1);
}

static unsigned long number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || value == 0)
        give_up(text, "not a number above 0");
    return value;
}

static void expect(enum status status, const char *what)
{
    if (status != STATUS_OK)
        give_up(what, status_text(status));
}

static account_t *make_accounts(struct store *store, unsigned long count)
{
    account_t *accounts = calloc(count, sizeof(*accounts));
    if (accounts == NULL)
        give_up("accounts", "no memory");
    for (unsigned long i = 0; i < count; i++) {
        char name[32];
        int length = snprintf(name, sizeof(name), "filled%lu", i);
        expect(account_create(store, name, (size_t)length, NULL, &accounts[i], NULL), name);
    }
    return accounts;
}

static void deal_messages(struct store *store, const account_t *accounts, unsigned long count,
                          unsigned long messages, size_t length)
{
    char *body = malloc(length);
    if (body == NULL)
        give_up("a text", "no memory");
    memset(body, 'x', length);
    struct letter letter = {"filled0", "", body, 7, 0, length};
    message_id id;
    for (unsigned long i = 0; i < messages; i++) {
        expect(draft_write(store, &letter), "a draft");
        expect(mailbox_append(store, accounts[i % count], &id), "a delivery");
    }
    free(body);
}

int main(int argc, char **argv)
{
    struct store_options options = {.sync = STORE_SYNC_NEVER};
    static struct store *store; /* until the process ends: there is no close */
    char why[256];
    if (argc == 6 && strcmp(argv[1], "-d") == 0)
        options.directory = argv[2];
    else if (argc == 5)
        options.name = argv[1];
    else
        give_up("usage", "tool_fill NAME | -d DIRECTORY, ACCOUNTS MESSAGES BYTES");
    unsigned long accounts = number(argv[argc - 3]);
    unsigned long messages = number(argv[argc - 2]);
    unsigned long length = number(argv[argc - 1]);
    if (options.directory != NULL) /* nobody keeps the journal meanwhile, so all has to fit */
        options.journal_bytes = accounts * RECORD_MOST + messages * (length + RECORD_MOST);
    options.accounts = (uint32_t)accounts + SPARE_ACCOUNTS;
    if (store_open(&store, &options, why, sizeof(why)) != STATUS_OK)
        give_up("opening", why);
    expect(store_attach(store, "fill"), "attaching");
    account_t *filled = make_accounts(store, accounts);
    deal_messages(store, filled, accounts, messages, length);
    free(filled);
    if (options.directory != NULL) {
        expect(store_serve(store), "serving");
        store_keep(store, STORE_STAY, &(volatile sig_atomic_t){1},
                   &(sigset_t){0}); /* writes what is pending */
    }
    store_detach(store);
    return 0;
}
