/* smsp_frame.h: where one SMSP request ends and the next begins, and the sum that the checksum dialect puts
 * before it. */
#ifndef SHMAIL_SMSP_FRAME_H
#define SHMAIL_SMSP_FRAME_H

#include "stream.h"
#include "verb.h"

#include <stdint.h>

struct smsp_frame {
    size_t limit;    /* bytes of one request, its terminator not counted */
    bool fixed;      /* a terminator has been seen; every later one is the same */
    char terminator; /* LF or NUL; of a connection that has ended none, LF */
    bool summed;     /* the request that was discarded last began as one of the dialect does */
    size_t searched; /* bytes of the stream that hold no terminator */
    size_t whole;    /* bytes of the stream that the current request takes, with its terminator */
    size_t clean; /* bytes of the stream that hold no NUL, as far as that is known; where lines end with LF */
    bool holds_nul; /* the current request does, which no line may */
};

/* Waits for one whole request. *request is then a piece of the stream, without its terminator and the CR
 * before an LF, and stays until smsp_frame_done. STATUS_TOO_LONG, STATUS_NO_MEMORY: a request was read up to
 * its end and discarded; it wants an answer all the same. Otherwise what stream_read says: a request without
 * its end is never given. */
enum status smsp_frame_read(struct smsp_frame *, struct stream *, struct text *request);
void smsp_frame_done(struct smsp_frame *, struct stream *);

/* Instead of both, for bytes that are known to be so many requests. */
void smsp_frame_skip(struct smsp_frame *, struct stream *, size_t length);

/* The length of the "<digits> " that a request of the checksum dialect begins with; 0: it is none. A sum that
 * no request can have is given as SMSP_SUM_NONE. */
#define SMSP_SUM_NONE UINT64_MAX
size_t smsp_sum_read(struct text request, uint64_t *sum);

/* Bytes add up, in any number of steps from 0; the remainders are taken at the end. */
uint64_t smsp_sum_add(uint64_t total, const char *bytes, size_t length);
uint64_t smsp_sum_end(uint64_t total);

#endif
