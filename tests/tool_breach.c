/* tool_breach.c: shmaild with two requests more, which no shipped program has: "CALL NUMBER [ARGUMENT...]"
 * makes that system call inside the process that serves the connection, and answers with what it returned;
 * "CALLS NUMBER [ARGUMENT...]" then goes on with it, without end. ARGUMENT is a number, "path" (a text) or
 * "self" (the process). Any other first request is served as ever.
 */
#define main shmaild_main
#include "../src/server/main.c" // NOLINT(bugprone-suspicious-include): its main is the hook's
#undef main

#include "protocol.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>

enum { ARGUMENTS = 6, REQUEST = 256 };

static long parse(const char *word)
{
    if (strcmp(word, "path") == 0) {
        return (long)(intptr_t) "/etc/passwd";
    }
    return strcmp(word, "self") == 0 ? (long)getpid() : strtol(word, NULL, 0);
}

static enum status call(struct stream *stream)
{
    char request[REQUEST] = "";
    long arguments[ARGUMENTS] = {0};
    size_t count = 0;

    memcpy(request, stream_data(stream),
           stream_length(stream) < REQUEST ? stream_length(stream) : REQUEST - 1);
    bool is_endless = strcmp(strtok(request, " \n"), "CALLS") == 0;
    const char *number = strtok(NULL, " \n");
    for (char *word = strtok(NULL, " \n"); word != NULL && count < ARGUMENTS; word = strtok(NULL, " \n")) {
        arguments[count++] = parse(word);
    }
    long what = number != NULL ? parse(number) : -1;
    long result =
        syscall(what, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
    const char *reply = result < 0 ? "FAILED\n" : "DONE\n";
    stream_put(stream, reply, strlen(reply));
    enum status status = stream_flush(stream);
    if (is_endless) {
        for (;;) {
            (void)syscall(what, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                          arguments[5]);
        }
    }
    return status;
}

/* In place of those of protocol.c, which is then not linked. */
enum status protocol_serve(struct connection *connection)
{
    enum status status = stream_read(connection->stream, 1);

    if (status != STATUS_OK) {
        return status;
    }
    if (stream_length(connection->stream) > 5 && memcmp(stream_data(connection->stream), "CALL", 4) == 0) {
        return call(connection->stream);
    }
    store_describe(connection->store, smsp_protocol.name);
    return smsp_protocol.serve(connection);
}

void protocol_turn_away(struct stream *stream, enum status why)
{
    smsp_protocol.turn_away(stream, why);
    (void)stream_flush(stream);
}

int main(int argc, char **argv)
{
    return shmaild_main(argc, argv);
}
