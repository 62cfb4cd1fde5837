/* limit.h: every limit that is not an option, with its reason. Too long is an error, never a truncation. */
#ifndef SHMAIL_LIMIT_H
#define SHMAIL_LIMIT_H

enum {
    USERNAME_MAX = 64,     /* smsp(7) */
    NAME_MAX_BYTES = 254,  /* shmail-message(7): an address; also the longest name the store keeps */
    PASSWORD_MAX = 256,    /* smsp(7) */
    HASH_MAX = 383,        /* crypt(5): CRYPT_OUTPUT_SIZE is 384 with its NUL */
    SUBJECT_MAX = 4096,    /* shmail-message(7): "header" */
    POST_OFFICE_MAX = 64,  /* a segment name must fit a directory entry of tmpfs with its prefix */
    OBJECT_MAX = 128,      /* a segment's name when it was set aside, be it twice: NAME.damaged-MOMENT-N */
    PEER_MAX = 63,         /* an address or "unix:uid=N,pid=N" fits; the rest of a path does not matter */
    JSON_DEPTH_MAX = 32,   /* no request nests deeper than one; parsers of others die of recursion */
    JSON_MEMBERS_MAX = 64, /* no object of ours has ten; each key is compared with those before it */
    PINS_MAX = 64,         /* messages one process may read from at once; longer listings go in chunks */
    SLOTS_LIMIT = 65536,   /* processes of one post office: the segment's header holds a bit for each */
    SESSIONS_LIMIT = 16,   /* of one account: each is in a list that is walked under the lock */
    FRAME_ESCAPE = 6,      /* bytes that one byte of a text may take in a Message frame: "\u0041" */

    /* What a request may hold beside its texts: verb, address, cookie, keys, blanks; far more than any needs.
     */
    REQUEST_OVERHEAD = 4096, /* of SMSP */
    FRAME_REST = 4096,       /* of Message */

    /* smsp(7): the first words that LIST shows of a body without a subject, and what DUMP shows of any. */
    LIST_WORDS_MAX = 60,
    DUMP_TEXT_MAX = 200,

    WAIT_SECONDS_MAX = 86400, /* a waiting client holds a process: a day is enough to be asked for again */
};

#define MESSAGE_LIMIT_DEFAULT (10u << 20) /* bytes of text in one message: shmaild -m */
#define MESSAGE_LIMIT_MAX (1u << 30)      /* lengths of a text fit 31 bits everywhere */
#define MAILBOX_REPLY_MAX (64u << 20)     /* shmail-message(7) */
#define FRAME_LENGTH_MAX 0x7FFFFFFFu      /* the published Message client reads lengths as signed */
#define FRAME_DISCARD_MAX (64u << 20)     /* a longer body is no length at all: the framing is lost */
#define LIST_REPLY_MAX (256u << 20)       /* an SMSP listing is gathered whole, for its count stands first */
#define SEGMENT_BYTES_MAX (UINT64_C(64) << 30) /* block references are 32 bits, in units of 16 bytes */

#endif
