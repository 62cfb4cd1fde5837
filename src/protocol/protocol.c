/* protocol.c: the table of protocols, and which of them a connection speaks. In comes a connection of which
 * nothing has been read, out goes how it ended. It knows the first byte and nothing else of any protocol. */
#include "protocol.h"

static const struct protocol *const protocols[] = {&smsp_protocol, &message_protocol};

enum status protocol_serve(struct connection *connection)
{
    if (stream_length(connection->stream) == 0) {
        enum status status = stream_read(connection->stream, 1);
        if (status != STATUS_OK) {
            return status;
        }
    }
    unsigned char first = (unsigned char)stream_data(connection->stream)[0];
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        if (protocols[i]->recognise(first)) {
            store_describe(connection->store, protocols[i]->name);
            return protocols[i]->serve(connection);
        }
    }
    return STATUS_MALFORMED;
}
