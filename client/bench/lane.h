/* lane.h: one connection under load: what it has asked, and what it holds of the replies. The verbs of a
 * speech see this; how the bytes travel stands in traffic.c. */
#ifndef SHMAIL_BENCH_LANE_H
#define SHMAIL_BENCH_LANE_H

#include "buffer.h"
#include "mailbox_book.h"
#include "number.h"
#include "plan.h"

#include <string.h>

enum lane_state {
    LANE_CLOSED,
    LANE_CONNECTING,
    LANE_GREETING,
    LANE_OPEN,
    LANE_LEAVING, /* has said so; the server closes */
};

struct worker;

struct lane {
    const struct plan *plan;
    struct worker *worker;
    struct mailbox_book *book;
    unsigned number; /* in its worker */
    uint32_t own;    /* mailboxes; 0: it shares one */
    int socket;
    enum lane_state state;
    bool writing;      /* epoll waits for room to send as well */
    bool idle;         /* the phase has nothing more for it */
    unsigned greeted;  /* steps of the greeting that are done */
    struct buffer out; /* from sent on not yet sent */
    size_t sent;
    struct buffer in; /* what is not yet judged */
    size_t read_size; /* one read, where nothing is held */

    struct request *ring; /* of ring_mask + 1 requests; head is the oldest */
    uint32_t ring_mask, head, tail;

    uint64_t left_here; /* requests until this connection ends */
    uint64_t cursor;    /* of work that is done once for each mailbox, or fill times */
    uint64_t last_id;   /* of a message sent on this connection */
    int64_t began;      /* when it last connected */
    char expected[512]; /* lane_blame's */
};

static inline uint32_t lane_under_way(const struct lane *lane)
{
    return lane->tail - lane->head;
}

/* Room for length more bytes in lane->out; the caller adds to out.length what it wrote. Never NULL: where
 * there is no memory, the program ends. */
char *lane_room(struct lane *, size_t length);
void lane_say(struct lane *, const void *bytes, size_t length);

/* Writes bytes that there is room for, and returns where they end. */
#define LANE_PUT(at, literal) lane_put((at), (literal), sizeof(literal) - 1)
static inline char *lane_put(char *at, const char *bytes, size_t length)
{
    memcpy(at, bytes, length);
    return at + length;
}

/* Writes a number, at most LANE_DIGITS bytes, and returns where it ends. */
enum { LANE_DIGITS = NUMBER_TEXT };
char *lane_digits(char *at, uint64_t number);

/* Says what was expected instead of the reply. Returns REPLY_WRONG. */
__attribute__((format(printf, 2, 3))) enum verdict lane_blame(struct lane *, const char *expected, ...);

/* For a judge: the reply is to be these bytes. */
enum verdict lane_expect(struct lane *, const char *wanted, size_t wanted_length, const char *bytes,
                         size_t length, size_t *taken);

/* Finds the end of a line: its length without what ends it, and with that. False: it is not there yet. */
bool lane_line(const struct lane *, const char *bytes, size_t length, size_t *line_length, size_t *taken);

/* The reply is to be this line. */
enum verdict lane_expect_line(struct lane *, const char *line, const char *bytes, size_t length,
                              size_t *taken);

/* The reply is to be a line of before and a number from low to high, which then stands in *number. */
enum verdict lane_expect_number(struct lane *, const char *before, uint64_t low, uint64_t high,
                                const char *bytes, size_t length, size_t *taken, uint64_t *number);

#endif
