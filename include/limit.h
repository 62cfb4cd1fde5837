/* limit.h: every limit that is not an option, with its reason. Too long is an error, never a truncation. */
#ifndef SHMAIL_LIMIT_H
#define SHMAIL_LIMIT_H

enum {
    USERNAME_MAX = 64,    /* protocols.md, section 1 */
    NAME_MAX_BYTES = 254, /* protocols.md, section 2: an address; also the longest name the store keeps */
    PASSWORD_MAX = 256,   /* protocols.md, section 1 */
    HASH_MAX = 383,       /* crypt(5): CRYPT_OUTPUT_SIZE is 384 with its NUL */
    SUBJECT_MAX = 4096,   /* protocols.md, section 2: "header" */
    POST_OFFICE_MAX = 64, /* a segment name must fit a directory entry of tmpfs with its prefix */
    PEER_MAX = 63, /* "[v6 address]:port" or "unix:uid=N,pid=N" fits; the rest of a path does not matter */
    JSON_DEPTH_MAX = 32,   /* no request nests deeper than one; parsers of others die of recursion */
    JSON_MEMBERS_MAX = 64, /* no object of ours has ten; each key is compared with those before it */
    REQUEST_OVERHEAD =
        4096, /* an SMSP request beside its content: verb, address, cookie, sum; far more than any needs */
    LIST_WORDS_MAX =
        60, /* smsp(7), LIST: first words of a body that has no subject; a line of it fits a terminal */
    DUMP_TEXT_MAX =
        200, /* smsp(7), DUMP: of one message, so that a megabyte of mail does not flood a terminal */
    FRAME_ESCAPE = 6,  /* bytes that one byte of a text may take in a Message frame: "\u0041" */
    FRAME_REST = 4096, /* what else stands in a frame: keys, a password, blanks; far more than any needs */
    WAIT_SECONDS_MAX =
        86400,     /* a waiting client holds a process: a day is long enough to be asked for again */
    PINS_MAX = 64, /* messages one process may read from at once; longer listings go in chunks */
};

#define MESSAGE_LIMIT_DEFAULT (10u << 20) /* bytes of text in one message: shmaild -m */
#define MESSAGE_LIMIT_MAX (1u << 30)      /* lengths of a text fit 31 bits everywhere */
#define MAILBOX_REPLY_MAX (64u << 20)     /* protocols.md, section 2 */
#define FRAME_LENGTH_MAX 0x7FFFFFFFu      /* the published Message client reads lengths as signed */
#define FRAME_DISCARD_MAX \
    (64u << 20) /* a body over its limit is passed over; a longer one is no length at all */
#define LIST_REPLY_MAX (256u << 20) /* an SMSP listing is gathered whole, for its count stands first */
#define SEGMENT_BYTES_MAX (UINT64_C(64) << 30) /* block references are 32 bits, in units of 16 bytes */

#endif
