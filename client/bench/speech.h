/* speech.h: a protocol as the bench speaks it: a table of verbs, each of which writes its request and judges
 * the reply as it comes. A new protocol is one file with such a table, and one row where they are listed.
 *
 * Requests of a lane are answered in their order. A verb keeps in the request what it needs to know to judge
 * the reply; what it expects must not be changed by requests that are asked after it. */
#ifndef SHMAIL_BENCH_SPEECH_H
#define SHMAIL_BENCH_SPEECH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lane; /* lane.h */
struct mailbox;
struct verb;

/* One that is under way. */
struct request {
    const struct verb *verb;
    struct mailbox *mailbox;
    int64_t sent;       /* clock_now() */
    uint64_t low, high; /* the verb's own */
    uint32_t stage;     /* the verb's own, of a reply in parts; 0 at first */
    uint16_t part;      /* of the plan's mix */
    bool counted;       /* false: it belongs to the greeting */
};

enum verdict {
    REPLY_WHOLE, /* taken, and right */
    REPLY_CUT,   /* right so far; *taken bytes of it, perhaps none, are done with */
    REPLY_WRONG, /* lane_blame has said what was expected */
};

struct verb {
    const char *name; /* NULL behind the last of a table */
    const char *help; /* NULL: not for a mix */

    /* Appends the request to lane->out, which may be nothing. */
    void (*ask)(struct lane *, struct request *);

    /* Judges a reply, of which length bytes are there. Where it is not whole, the call is repeated with what
     * was not taken and more behind it; it may write to lane->out what the server waits for. */
    enum verdict (*judge)(struct lane *, struct request *, const char *bytes, size_t length, size_t *taken);

    bool needs_mail; /* each mailbox must hold a message before */
    bool takes_mail; /* it removes messages */
};

enum { SPEECH_STEPS = 4 }; /* of a greeting, or of the work done once for each mailbox */

struct speech {
    const char *name; /* for -P */
    const char *help;
    const char *mix; /* the default */
    const struct verb *verbs;
    const struct verb *fill; /* puts a message into a mailbox; NULL: it has none */

    /* Done once for each mailbox: before all else, before all else where the accounts exist (NULL: that is
     * not possible), and last. The first NULL ends each list. */
    const struct verb *const *open, *const *adopt, *const *close;

    /* Done on each new connection, one by one, for the lane's first mailbox. */
    const struct verb *const *greet;

    const struct verb *leave; /* said before the connection is closed, which then the server does; or NULL */
    unsigned depth_most;      /* 0: no limit */
    bool one_each;            /* a mailbox serves one connection only */
    const char *line_end;     /* of a reply, where it speaks in lines */
    size_t line_end_length;
};

extern const struct speech speech_smsp, speech_smsp_nul, speech_message;

#endif
