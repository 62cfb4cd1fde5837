/* tool_scribble.c: attaches to a post office, writes where it should not (or does not), and says that it may
 * have, as a child of shmaild that dies of a wild pointer does: tool_scribble NAME
 * mailbox|index|header|since|directory|file|epoch|synced|tail|capacity|places|nothing. */
#include "layout.h"
#include "store.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    static struct store *store; /* until the process ends: there is no close */
    char why[256];
    if (argc != 3 ||
        store_open(&store, &(struct store_options){.name = argv[1], .must_exist = true}, why, sizeof(why)) !=
            STATUS_OK ||
        store_attach(store, "scribbler") != STATUS_OK)
        return 1;
    if (strcmp(argv[2], "mailbox") == 0)
        account_at(store, 1)->count += 7;
    else if (strcmp(argv[2], "index") == 0)
        account_at(store, 1)->root += 7;
    else if (strcmp(argv[2], "header") == 0)
        store->header->hash_key[0] ^= 1;
    else if (strcmp(argv[2], "since") == 0)
        store->slot->since = INT64_MAX;
    else if (strcmp(argv[2], "directory") == 0)
        strcpy(store->header->journal.directory, "\033[2J");
    else if (strcmp(argv[2], "file") == 0)
        store->header->journal.file ^= 1;
    else if (strcmp(argv[2], "epoch") == 0)
        store->header->journal.epoch += 1;
    else if (strcmp(argv[2], "synced") == 0)
        store->header->journal.synced += 1000;
    else if (strcmp(argv[2], "tail") == 0)
        store->header->journal.tail -= 200;
    else if (strcmp(argv[2], "capacity") == 0)
        store->header->journal.capacity = store->header->journal.end - 1;
    else if (strcmp(argv[2], "places") == 0)
        store->header->journal.tail = store->header->journal.end = store->header->journal.capacity = 0;
    store_suspect(store);
    puts("scribbled");
    return 0;
}
