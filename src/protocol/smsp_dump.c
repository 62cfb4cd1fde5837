/* smsp_dump.c: DUMP: prints what is queued and what lies in the mailboxes on the server's standard error, for
 * a person. It knows accounts and mail but no password, hash or cookie, and writes with no lock held. */
#include "smsp.h"

#include "escape.h"
#include "log.h"
#include "queue.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum {
    WRITE_BYTES = 32 << 10, /* gathered before each write */
    WRITE_PATIENCE = 1000,  /* milliseconds that a full pipe may keep a client waiting */
    RETRY_PAUSE = 10,       /* milliseconds, after it was ready and yet took nothing */
};

struct dump {
    struct smsp *smsp;
    struct buffer out;
    struct message messages[PINS_MAX];
    bool broken; /* standard error takes no more */
};

/* No more than a pipe that is ready takes without waiting, and whole lines if they fit, since those of other
 * processes may come between. */
static size_t next_part(const char *bytes, size_t length)
{
    if (length <= PIPE_BUF) {
        return length;
    }
    const char *end = memrchr(bytes, '\n', PIPE_BUF);
    return end != NULL ? (size_t)(end + 1 - bytes) : PIPE_BUF;
}

/* Another process was faster, or a terminal has room, but not for both bytes of a line's end. */
static bool may_retry(int error, int *patience)
{
    if (error == EAGAIN) {
        *patience -= RETRY_PAUSE;
        (void)poll(NULL, 0, RETRY_PAUSE);
    }
    return (error == EAGAIN || error == EINTR) && *patience > 0;
}

/* Standard error may be shared with others, so it is asked and not made non-blocking. */
static void write_out(struct dump *dump)
{
    struct pollfd error = {.fd = STDERR_FILENO, .events = POLLOUT};
    size_t done = 0;
    int patience = WRITE_PATIENCE;

    while (!dump->broken && done < dump->out.length) {
        const char *bytes = dump->out.bytes + done;
        size_t part = next_part(bytes, dump->out.length - done);
        ssize_t written = poll(&error, 1, WRITE_PATIENCE) > 0 ? write(STDERR_FILENO, bytes, part) : 0;
        if (written > 0) {
            done += (size_t)written;
            patience = WRITE_PATIENCE;
        } else {
            dump->broken = written == 0 || !may_retry(errno, &patience);
        }
    }
    buffer_clear(&dump->out);
}

static void append_escaped(struct buffer *out, const char *bytes, size_t length)
{
    char shown[ESCAPE_MAX];

    while (length > 0) {
        size_t plain = 0;
        while (plain < length && bytes[plain] >= ' ' && bytes[plain] <= '~' && bytes[plain] != '\\') {
            plain++;
        }
        (void)buffer_append(out, bytes, plain);
        bytes += plain;
        length -= plain;
        if (length > 0) {
            size_t taken = escape_next(&bytes, &length, shown);
            (void)buffer_append(out, shown, taken);
        }
    }
}

/* " from SENDER, N bytes: [SUBJECT] TEXT", no more of the text than fits. */
static void append_message(struct dump *dump, const struct message *message)
{
    struct message_cursor cursor = {0};
    const char *bytes = NULL;
    size_t length = 0, left = DUMP_TEXT_MAX;
    struct buffer *out = &dump->out;

    (void)buffer_append_text(out, " from ");
    append_escaped(out, message->sender, message->sender_length);
    (void)buffer_print(out, ", %" PRIu64 " bytes: ", smsp_message_bytes(message));
    if (message->subject_length > 0) {
        (void)buffer_append_byte(out, '[');
        append_escaped(out, message->subject, message->subject_length);
        (void)buffer_append_text(out, "] ");
    }
    while (left > 0 && message_next(dump->smsp->store, message, &cursor, &bytes, &length)) {
        size_t taken = length < left ? length : left;
        append_escaped(out, bytes, taken);
        left -= taken;
    }
    (void)buffer_append_text(out, message->body_length > DUMP_TEXT_MAX ? "...\n" : "\n");
}

static bool finish_chunk(struct dump *dump)
{
    message_release_all(dump->smsp->store);
    if (dump->out.length >= WRITE_BYTES) {
        write_out(dump);
    }
    return !dump->broken;
}

static bool visit_queue(void *context, account_t account, const char *name)
{
    struct dump *dump = context;
    uint64_t held = queue_count(dump->smsp->store, account);
    size_t count = 0;

    if (held == 0 || queue_list(dump->smsp->store, account, dump->messages, PINS_MAX, &count) != STATUS_OK ||
        count == 0) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        (void)buffer_append_text(&dump->out, "IMQ ");
        append_escaped(&dump->out, name, strlen(name));
        (void)buffer_append_text(&dump->out, ":");
        append_message(dump, &dump->messages[i]);
    }
    if (held > count) {
        (void)buffer_append_text(&dump->out, "IMQ ");
        append_escaped(&dump->out, name, strlen(name));
        (void)buffer_print(&dump->out, ": and %" PRIu64 " older\n", held - count);
    }
    return finish_chunk(dump);
}

static bool visit_mailbox(void *context, account_t account, const char *name)
{
    struct dump *dump = context;
    struct store *store = dump->smsp->store;
    message_id after = 0, newest = mailbox_newest(store, account);
    uint64_t held = mailbox_count(store, account);
    size_t count = 0;

    (void)buffer_append_text(&dump->out, "MBX ");
    append_escaped(&dump->out, name, strlen(name));
    (void)buffer_print(&dump->out, ": %" PRIu64 " message%s\n", held, held == 1 ? "" : "s");
    while (mailbox_list(store, account, after, newest, dump->messages, PINS_MAX, &count) == STATUS_OK &&
           count > 0) {
        for (size_t i = 0; i < count; i++) {
            (void)buffer_append_text(&dump->out, "MBX ");
            append_escaped(&dump->out, name, strlen(name));
            (void)buffer_print(&dump->out, ": %" PRIu64, dump->messages[i].id);
            append_message(dump, &dump->messages[i]);
        }
        after = dump->messages[count - 1].id;
        if (!finish_chunk(dump)) {
            return false;
        }
    }
    return finish_chunk(dump);
}

/* Once for each connection: anybody may ask, and without end. */
static enum status print_nothing(struct smsp *smsp, const char *why)
{
    if (!smsp->dump_refused) {
        smsp->dump_refused = true;
        log_info("DUMP prints nothing: %s", why);
    }
    return STATUS_OK;
}

enum status smsp_dump(void *context)
{
    struct smsp *smsp = context;
    struct dump dump = {.smsp = smsp};

    if (!smsp->settings->dump_allowed) {
        return print_nothing(smsp, "other machines can reach this server, or it has no standard error");
    }
    if (store_is_suspect(smsp->store)) {
        return print_nothing(smsp, status_text(STATUS_SUSPENDED));
    }
    enum status status = smsp_free_pins(smsp, PINS_MAX);
    if (status != STATUS_OK) {
        return status;
    }
    account_each(smsp->store, visit_queue, &dump);
    account_each(smsp->store, visit_mailbox, &dump);
    write_out(&dump);
    buffer_free(&dump.out);
    return STATUS_OK;
}
