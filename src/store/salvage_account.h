/* salvage_account.h: accounts and queues taken apart where a journal's records do not go together. Private to
 * src/store; needs an attached store that nobody else has. */
#ifndef SHMAIL_SALVAGE_ACCOUNT_H
#define SHMAIL_SALVAGE_ACCOUNT_H

#include "export.h"
#include "layout.h"
#include "mailbox.h"

enum { ACCOUNT_TEXT_SIZE = NAME_MAX_BYTES + 1 };

/* Its name, or "account N" where none lives there. */
void account_describe(struct store *, uint32_t index, char text[static ACCOUNT_TEXT_SIZE]);

/* Removes an account that is known to be gone, and says so; what it still had is exported. */
enum status account_displace(struct store *, uint32_t index, const char *origin, struct report *,
                             struct exporter *);

bool queue_has(struct store *, uint32_t sender, uint64_t id);

/* Moves a message from wherever in the queue to a mailbox, under the id that it has there; recipient 0: drops
 * it. */
enum status queue_move(struct store *, uint32_t sender, uint64_t id, uint32_t recipient,
                       message_id recipient_id);

/* A copy of that message; it stays in the queue. */
enum status queue_export(struct store *, uint32_t sender, uint64_t id, const char *origin, const char *reason,
                         struct report *, struct exporter *);

#endif
