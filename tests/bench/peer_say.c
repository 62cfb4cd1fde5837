/* peer_say.c: requests that are made by printf(3): slower than what is timed most, and shorter to write. */
#include "peers.h"

#include <stdarg.h>
#include <stdio.h>

void peer_say(struct lane *lane, const char *format, ...)
{
    char *at = lane_room(lane, PEER_SAY_MOST);
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(at, PEER_SAY_MOST, format, arguments);
    va_end(arguments);
    lane->out.length += length > 0 && length < PEER_SAY_MOST ? (size_t)length : 0;
}
