/* protocol.c: the table of protocols, and which of them a connection speaks. In comes a connection of which
 * nothing has been read, out goes how it ended. It knows the first byte and nothing else of any protocol. */
#include "protocol.h"

static const struct protocol *const protocols[] = {&smsp_protocol, &message_protocol};

/* NULL, and why in *status: nothing has come, or nothing that any protocol recognises. */
static const struct protocol *recognise(struct stream *stream, enum status *status)
{
    *status = stream_length(stream) > 0 ? STATUS_OK : stream_read(stream, 1);
    if (*status != STATUS_OK) {
        return NULL;
    }
    unsigned char first = (unsigned char)stream_data(stream)[0];
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        if (protocols[i]->recognise(first)) {
            return protocols[i];
        }
    }
    *status = STATUS_MALFORMED;
    return NULL;
}

enum status protocol_serve(struct connection *connection)
{
    enum status status;
    const struct protocol *protocol = recognise(connection->stream, &status);

    if (protocol == NULL) {
        return status;
    }
    store_describe(connection->store, protocol->name);
    return protocol->serve(connection);
}

void protocol_turn_away(struct stream *stream, enum status why)
{
    enum status status;
    const struct protocol *protocol = recognise(stream, &status);

    if (protocol != NULL) {
        protocol->turn_away(stream, why);
        (void)stream_flush(stream);
    }
}
