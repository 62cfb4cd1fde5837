/* smsp.h: one SMSP connection as the files of that protocol share it.
 *
 * smsp.c reads requests, has them checked (smsp_arguments.c) and answers; smsp_account.c, smsp_mail.c,
 * smsp_list.c and smsp_dump.c hold the handlers; smsp_reply.c writes. A handler finds its arguments checked,
 * acts, and leaves its reply here; it never writes to the stream. */
#ifndef SHMAIL_SMSP_H
#define SHMAIL_SMSP_H

#include "mailbox.h"
#include "protocol.h"
#include "smsp_frame.h"
#include "verb.h"

/* The request before, if it was done and may be done again without being read again (REPEATS in smsp.c): its
 * bytes with their terminator. length 0: none. Only the one before: the session is then still its own. */
enum { REPEAT_MAX = 128 };

struct smsp_repeat {
    const struct verb *verb;
    size_t length;
    char bytes[REPEAT_MAX];
};

/* The message behind the reply, if any. */
enum smsp_payload {
    PAYLOAD_NONE,
    PAYLOAD_EXACT, /* its bytes as they are */
    PAYLOAD_FRAME, /* the same, but kept within one frame: in LF framing each line break is one space */
};

/* What most replies are, or begin with. All bytes are copied, as a copy of a length that is known takes no
 * call. */
struct smsp_word {
    char bytes[31];
    unsigned char length;
    bool numbered; /* a number is behind it */
};

struct smsp {
    struct connection *connection;
    struct store *store; /* its parts */
    struct stream *stream;
    const struct settings *settings;
    struct smsp_frame frame;

    /* The session of the last cookie that was verified, and its account's name. */
    struct session session;
    account_t named; /* whose name that is */
    char name[NAME_MAX_BYTES + 1];
    size_t name_length;

    struct smsp_repeat repeat;
    size_t row; /* of the last verb, for verb_match: mostly it is the next one's too */

    /* The last recipient. He was there; whether he still is the store says when he is to get something. */
    account_t recipient;
    char *recipient_name; /* room for NAME_MAX_BYTES */
    size_t recipient_length;

    /* SENDs to him that are written and not published (smsp_publish), the last requests of all. */
    uint32_t gathered;

    /* The current request. */
    bool dialect; /* it came with a sum, and so will its reply */
    bool wrong_sum;
    struct text arguments[ARGUMENT_KINDS]; /* names in canonical form; content also where it was barred */
    uint64_t id, count, seconds;

    /* Its reply: a line of a word and perhaps a number (NULL: none), or a text; lines each with a terminator
     * before it; a pinned message. If there is nothing at all, it is "OK". A word has nothing behind it in
     * the dialect, whose sum would have to hold that, too. */
    const struct smsp_word *word;
    uint64_t number;
    struct buffer reply;
    struct buffer lines;
    enum smsp_payload payload;
    struct message message;

    struct buffer why; /* why the last refused request was refused; empty: none was */
    bool explained;    /* the current request's handler has written that */
    bool later;        /* it is one of those that are gathered, and so will its reply be */
    bool ends;         /* after this reply */

    bool dump_refused; /* the log has it that DUMP prints nothing */
};

/* Says why in words a person understands, and returns status. Never name a secret. */
__attribute__((cold, format(printf, 3, 4))) enum status smsp_refuse(struct smsp *, enum status status,
                                                                    const char *format, ...);

/* Checks the current request's argument of that kind and leaves what it means in *smsp. STATUS_MALFORMED,
 * STATUS_TOO_LONG, STATUS_NO_SESSION. */
enum status smsp_check_argument(struct smsp *, enum argument kind);

/* Publishes the SENDs that are gathered and answers them: before anything else is answered, or done that
 * depends on them, or the stream is flushed. */
void smsp_publish(void *smsp);

/* Publishes some of so many, the first ones, *count, and leaves the reply to the first; the others' differ by
 * its number. Or the first fails, and is given up. */
enum status smsp_publish_some(struct smsp *, uint32_t gathered, uint32_t *count);

/* Gathers the reply with its sum and terminator, and leaves the fields of it empty. */
void smsp_reply(struct smsp *);

/* Sends the replies gathered so far, and with that gives their pins back, where fewer than wanted are free.
 * STATUS_HANGUP: they cannot be sent. */
enum status smsp_free_pins(struct smsp *, size_t wanted);

/* Bytes of a message as GETMSG and FETCH give it: subject, line break, body; the body alone without a
 * subject. */
uint64_t smsp_message_bytes(const struct message *);

/* Handlers. Each returns STATUS_OK and perhaps a reply, or why not; STATUS_HANGUP and STATUS_CLOSING end the
 * connection. */
enum status smsp_register(void *smsp);
enum status smsp_login(void *smsp);
enum status smsp_logout(void *smsp);
enum status smsp_passwd(void *smsp);
enum status smsp_unregister(void *smsp);
enum status smsp_message(void *smsp);
enum status smsp_store(void *smsp);
enum status smsp_send(void *smsp);
enum status smsp_count(void *smsp);
enum status smsp_getmsg(void *smsp);
enum status smsp_delmsg(void *smsp);
enum status smsp_fetch(void *smsp);
enum status smsp_remove(void *smsp);
enum status smsp_wait(void *smsp);
enum status smsp_list(void *smsp);
enum status smsp_dump(void *smsp);

#endif
