/* state.h: what a post office holds, as text, so that two states can be compared and a difference be read. In
 * comes a store whose segment nobody changes meanwhile; it need not be attached. */
#ifndef SHMAIL_TEST_STATE_H
#define SHMAIL_TEST_STATE_H

#include "crc32c.h"
#include "index.h"
#include "mailbox.h"
#include "message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { STATE_SIZE = 16384 };

/* What is told beside names, passwords, mailboxes and queues. */
enum state_detail {
    STATE_TIMES = 1,    /* when messages came */
    STATE_SESSIONS = 2, /* generations and sessions, which no journal keeps */
    STATE_SECRETS = 4,  /* the sessions' secrets, which differ from run to run */
    STATE_ALL = 7
};

struct state {
    size_t length;
    char text[STATE_SIZE];
};

static inline bool state_equal(const struct state *left, const struct state *right)
{
    return left->length == right->length && memcmp(left->text, right->text, left->length) == 0;
}

/* What does not fit is missing in every state alike; no test holds that much. */
__attribute__((format(printf, 2, 3))) static inline void state_add(struct state *state, const char *format,
                                                                   ...)
{
    size_t room = sizeof(state->text) - state->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(state->text + state->length, room, format, arguments);
    va_end(arguments);
    if (length > 0)
        state->length += (size_t)length < room ? (size_t)length : room - 1;
}

static inline void state_add_message(struct state *state, struct store *store, const char *where,
                                     block_t block, unsigned detail)
{
    const struct message_record *record = at(store, block);
    size_t sender = message_sender_length(record->shape);
    size_t subject = message_subject_length(record->shape);
    struct message message = {.sender_length = sender,
                              .subject_length = subject,
                              .body_length = record->body_length,
                              .reference = block};
    struct message_cursor cursor = {0};
    const char *run;
    size_t length;
    uint32_t crc = 0;
    while (message_next(store, &message, &cursor, &run, &length))
        crc = crc32c(crc, run, length);
    state_add(state, " %s %" PRIu64 " from %.*s, \"%.*s\", %u bytes %08x", where, record->id, (int)sender,
              record->text, (int)subject, record->text + sender, record->body_length, crc);
    state_add(state, " at %" PRId64 "\n", detail & STATE_TIMES ? record->received : 0);
}

static inline void state_add_sessions(struct state *state, const struct store *store, uint32_t session,
                                      unsigned detail)
{
    for (; session; session = session_at(store, session)->older) {
        const struct session_record *record = session_at(store, session);
        state_add(state, " session %u.%u", session, record->generation);
        if (detail & STATE_SECRETS)
            state_add(state, " %08x since %" PRId64, crc32c(0, record->secret, sizeof(record->secret)),
                      record->opened);
        state_add(state, "\n");
    }
}

static inline void state_describe(struct state *state, const struct store *store, unsigned detail)
{
    struct store view = *store;
    memset(view.redo_latest, 0,
           sizeof(view.redo_latest)); /* the fields themselves, not what its last transaction wrote */
    state->length = 0;
    state_add(state, "accounts\n");
    for (uint32_t index = 1; index <= view.header->accounts_used; index++) {
        const struct account_record *account = account_at(&view, index);
        if (account->generation % 2 == 0)
            continue;
        const struct identity *identity = at(&view, account->identity);
        state_add(state, "%u %s, hash \"%s\", ids up to %" PRIu64 " and %" PRIu64, index, identity->text,
                  identity->text + identity->name_length + 1, account->newest, account->queue_newest);
        state_add(state, ", %" PRIu64 " and %" PRIu64 " messages\n", account->count, account->queue_count);
        uint64_t id = 0;
        block_t block;
        while (index_next(&view, account, id + 1, &id, &block))
            state_add_message(state, &view, "message", block, detail);
        for (block = account->queue; block; block = ((struct message_record *)at(&view, block))->link)
            state_add_message(state, &view, "queued", block, detail);
        if (detail & STATE_SESSIONS) {
            state_add(state, " generation %u.%u\n", account->generation, account->revision);
            state_add_sessions(state, &view, account->session, detail);
        }
    }
}

#endif
