/* smsp.c: SMSP, smsp(7): reads requests, finds each one's verb, has its arguments checked and the verb done,
 * and turns the status into the words of the wire. It knows no more of a verb than its row in the table. */
#include "smsp.h"

#include "name.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    PLAIN = 1 << 0,   /* a request without a sum may say it */
    DIALECT = 1 << 1, /* one with a sum may */
    OWN = 1 << 2,     /* the user name must be that of the cookie's account */
    INVITES = 1 << 3, /* a bad cookie is told to log in */
    REPEATS = 1 << 4, /* depends on nothing in its arguments but the session */
    ALONE = 1 << 5,   /* needs nothing of the store, and is served while that is checked */
    GATHERS = 1 << 6, /* may be published, and answered, together with those before it */
    BOTH = PLAIN | DIALECT,
};

enum {
    WHY_MAX = 256,    /* the longest reason, a verb's usage, takes less than half of it */
    REPLY_ROOM = 512, /* any reply's text fits, so none asks for memory */
};

static enum status why(void *smsp);
static enum status help(void *smsp);
static enum status noop(void *smsp);
static enum status quit(void *smsp);

/* The verbs in the order of smsp(7). The dispatcher checks; a handler only acts. */
static const struct verb rows[] = {
    {VERB("REGISTER"), {ARGUMENT_USERNAME, ARGUMENT_PASSWORD}, BOTH, smsp_register},
    {VERB("LOGIN"), {ARGUMENT_USERNAME, ARGUMENT_PASSWORD}, BOTH, smsp_login},
    {VERB("LOGOUT"), {ARGUMENT_COOKIE}, BOTH, smsp_logout},
    {VERB("LOGOUT"), {ARGUMENT_USERNAME, ARGUMENT_COOKIE}, DIALECT | OWN, smsp_logout},
    {VERB("MESSAGE"), {ARGUMENT_CONTENT, ARGUMENT_COOKIE}, PLAIN | INVITES, smsp_message},
    {VERB("MESSAGE"), {ARGUMENT_BARRED, ARGUMENT_COOKIE}, DIALECT | INVITES, smsp_message},
    {VERB("STORE"), {ARGUMENT_RECIPIENT, ARGUMENT_COOKIE}, BOTH, smsp_store},
    {VERB("COUNT"), {ARGUMENT_USERNAME, ARGUMENT_COOKIE}, BOTH | OWN | REPEATS, smsp_count},
    {VERB("GETMSG"), {ARGUMENT_USERNAME, ARGUMENT_COOKIE}, BOTH | OWN | REPEATS, smsp_getmsg},
    {VERB("DELMSG"), {ARGUMENT_USERNAME, ARGUMENT_COOKIE}, BOTH | OWN | REPEATS, smsp_delmsg},
    {VERB("DUMP"), {ARGUMENT_NONE}, PLAIN | ALONE, smsp_dump},
    {VERB("DUMP"), {ARGUMENT_ANYTHING}, DIALECT | ALONE, smsp_dump},
    {VERB("WHY"), {ARGUMENT_NONE}, PLAIN | ALONE, why},
    {VERB("SEND"), {ARGUMENT_RECIPIENT, ARGUMENT_CONTENT, ARGUMENT_COOKIE}, PLAIN | GATHERS, smsp_send},
    {VERB("LIST"), {ARGUMENT_USERNAME, ARGUMENT_COOKIE}, PLAIN | OWN, smsp_list},
    {VERB("FETCH"), {ARGUMENT_USERNAME, ARGUMENT_ID, ARGUMENT_COOKIE}, PLAIN | OWN, smsp_fetch},
    {VERB("REMOVE"), {ARGUMENT_USERNAME, ARGUMENT_ID, ARGUMENT_COOKIE}, PLAIN | OWN, smsp_remove},
    {VERB("WAIT"),
     {ARGUMENT_USERNAME, ARGUMENT_COUNT, ARGUMENT_SECONDS, ARGUMENT_COOKIE},
     PLAIN | OWN,
     smsp_wait},
    {VERB("PASSWD"), {ARGUMENT_USERNAME, ARGUMENT_OLD_PASSWORD, ARGUMENT_NEW_PASSWORD}, PLAIN, smsp_passwd},
    {VERB("UNREGISTER"), {ARGUMENT_USERNAME, ARGUMENT_PASSWORD}, PLAIN, smsp_unregister},
    {VERB("HELP"), {ARGUMENT_NONE}, PLAIN | ALONE, help},
    {VERB("NOOP"), {ARGUMENT_NONE}, PLAIN | ALONE, noop},
    {VERB("QUIT"), {ARGUMENT_NONE}, PLAIN | ALONE, quit},
};

static const struct verb_table verbs = {rows, sizeof rows / sizeof rows[0]};

static const struct smsp_word ok = {"OK", 2, false};
static const struct smsp_word ko = {"KO", 2, false};

/* From status to wire. NULL: the connection ends without a word. */
static const struct smsp_word *const words[] = {
    [STATUS_OK] = &ok,
    [STATUS_MALFORMED] = &ko,
    [STATUS_TOO_LONG] = &ko,
    [STATUS_DENIED] = &ko,
    [STATUS_NO_SESSION] = &ko,
    [STATUS_TAKEN] = &ko,
    [STATUS_NO_ACCOUNT] = &ko,
    [STATUS_NO_MESSAGE] = &ko,
    [STATUS_NOTHING_QUEUED] = &ko,
    [STATUS_IN_USE] = &ko,
    [STATUS_GONE] = &ko,
    [STATUS_FULL_SEGMENT] = &ko,
    [STATUS_FULL_JOURNAL] = &ko,
    [STATUS_LATE_JOURNAL] = &ko,
    [STATUS_READ_ONLY] = &ko,
    [STATUS_FULL_ACCOUNTS] = &ko,
    [STATUS_FULL_SESSIONS] = &ko,
    [STATUS_FULL_SLOTS] = &ko,
    [STATUS_FULL_MAILBOX] = &ko,
    [STATUS_FULL_QUEUE] = &ko,
    [STATUS_THROTTLED] = &ko,
    [STATUS_NO_MEMORY] = &ko,
    [STATUS_TIMED_OUT] = &ko,
    [STATUS_HANGUP] = NULL,
    [STATUS_CLOSING] = NULL,
    [STATUS_SUSPENDED] = &ko,
    [STATUS_DAMAGED] = &ko,
    [STATUS_MISMATCH] = &ko,
    [STATUS_SYSTEM] = &ko,
};

_Static_assert(sizeof words / sizeof words[0] == STATUS_COUNT, "each status has its word");

/* The two refusals that are not KO. */
static const struct smsp_word not_logged_in = {"You should log in first.", 24, false};
static const struct smsp_word resend = {"Error, resend the message.", 26, false};

enum status smsp_refuse(struct smsp *smsp, enum status status, const char *format, ...)
{
    char text[WHY_MAX];
    va_list arguments;

    smsp_publish(smsp);
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buffer_clear(&smsp->why);
    (void)buffer_append(&smsp->why, text, length < 0 ? 0 : strlen(text));
    smsp->explained = true;
    return status;
}

static enum status refuse_usage(struct smsp *smsp, const struct verb *verb)
{
    buffer_clear(&smsp->why);
    verb_print_usage(verb, &smsp->why);
    smsp->explained = true;
    return STATUS_MALFORMED;
}

static enum status perform(struct smsp *smsp, const struct verb *verb)
{
    if ((verb->flags & ALONE) == 0 && store_is_suspect(smsp->store)) {
        return STATUS_SUSPENDED;
    }
    for (size_t i = 0; i < VERB_ARGUMENTS_MAX && verb->arguments[i] != ARGUMENT_NONE; i++) {
        enum status status = smsp_check_argument(smsp, verb->arguments[i]);
        if (status != STATUS_OK) {
            return status;
        }
    }
    const struct text *user = &smsp->arguments[ARGUMENT_USERNAME];
    if ((verb->flags & OWN) != 0 && !name_equal(user->bytes, user->length, smsp->name, smsp->name_length)) {
        return smsp_refuse(smsp, STATUS_NO_SESSION, "the cookie is not one of that user's");
    }
    return verb->act(smsp);
}

/* What stands around the request proper: in LF framing no NUL may, in NUL framing a sum and a last space. */
static enum status unwrap(struct smsp *smsp, struct text *request)
{
    uint64_t sum = 0;
    size_t before = 0;

    if (smsp->frame.terminator == '\0') {
        before = smsp_sum_read(*request, &sum);
    } else if (smsp->frame.holds_nul) {
        return smsp_refuse(smsp, STATUS_MALFORMED, "the line holds a NUL");
    }
    if (before > 0) {
        smsp->dialect = true;
        request->bytes += before;
        request->length -= before;
        if (sum != smsp_sum_end(smsp_sum_add(0, request->bytes, request->length))) {
            smsp->wrong_sum = true;
            return smsp_refuse(smsp, STATUS_MALFORMED, "the sum of the request was wrong");
        }
        if (request->length > 0 && request->bytes[request->length - 1] == ' ') {
            request->length--;
        }
    }
    if (request->length == 0) {
        return smsp_refuse(smsp, STATUS_MALFORMED, "the request is empty");
    }
    return STATUS_OK;
}

/* Sends what the request comes to. Returns STATUS_OK, or how the connection ends. */
static enum status answer(struct smsp *smsp, const struct verb *verb, enum status status)
{
    if (status == STATUS_OK && smsp->word != NULL) {
        smsp_reply(smsp);
        return STATUS_OK;
    }
    if (smsp->reply.failed || smsp->lines.failed) {
        status = STATUS_NO_MEMORY;
    }
    if (words[status] == NULL) {
        return status;
    }
    if (status != STATUS_OK) {
        buffer_clear(&smsp->reply);
        buffer_free(&smsp->lines);
        smsp->payload = PAYLOAD_NONE;
        if (!smsp->explained) {
            (void)smsp_refuse(smsp, status, "%s", status_text(status));
        }
    }
    if (smsp->wrong_sum) {
        smsp->word = &resend;
    } else if (status == STATUS_NO_SESSION && verb != NULL && (verb->flags & INVITES) != 0) {
        smsp->word = &not_logged_in;
    } else if (smsp->reply.length == 0 && smsp->payload == PAYLOAD_NONE) {
        smsp->word = words[status];
    }
    smsp_reply(smsp);
    return STATUS_OK;
}

/* Meanwhile the request that is at hand is put aside. */
static void publish_gathered(struct smsp *smsp)
{
    bool dialect = smsp->dialect, wrong_sum = smsp->wrong_sum;
    uint32_t left = smsp->gathered, count = 0;

    smsp->gathered = 0;
    smsp->dialect = smsp->wrong_sum = false;
    for (; left > 0; left -= count) {
        smsp->explained = false;
        enum status status = smsp_publish_some(smsp, left, &count);
        if (status != STATUS_OK) {
            count = 1;
            (void)answer(smsp, NULL, status);
            continue;
        }
        const struct smsp_word *word = smsp->word;
        uint64_t first = smsp->number;
        for (uint32_t i = 0; i < count; i++) {
            smsp->word = word;
            smsp->number = first + i;
            smsp_reply(smsp);
        }
    }
    smsp->explained = false;
    smsp->dialect = dialect;
    smsp->wrong_sum = wrong_sum;
}

void smsp_publish(void *context)
{
    struct smsp *smsp = context;

    if (smsp->gathered > 0) {
        publish_gathered(smsp);
    }
}

static void remember(struct smsp *smsp, const struct verb *verb)
{
    struct smsp_repeat *repeat = &smsp->repeat;

    if ((verb->flags & REPEATS) != 0 && !smsp->dialect && smsp->frame.whole <= REPEAT_MAX) {
        repeat->verb = verb;
        repeat->length = smsp->frame.whole;
        memcpy(repeat->bytes, stream_data(smsp->stream), repeat->length);
    }
}

static enum status handle(struct smsp *smsp, struct text request)
{
    const struct verb *verb = NULL, *named = NULL;
    enum status status = unwrap(smsp, &request);

    if (status == STATUS_OK) {
        struct text label = smsp->dialect ? TEXT("Cookie:") : TEXT("");
        verb = verb_match(&verbs, smsp->dialect ? DIALECT : PLAIN, label, request, smsp->arguments,
                          &smsp->row, &named);
        if (verb == NULL || (verb->flags & GATHERS) == 0) {
            smsp_publish(smsp);
        }
        if (verb != NULL) {
            status = perform(smsp, verb);
            if (status == STATUS_OK) {
                remember(smsp, verb);
            }
        } else if (named != NULL) {
            status = refuse_usage(smsp, named);
        } else {
            status = smsp_refuse(smsp, STATUS_MALFORMED, "no such verb, try HELP");
        }
    }
    return smsp->later ? STATUS_OK : answer(smsp, verb, status);
}

/* What a frame was read for: a request that was too long to be held, all of which has been read. */
static bool is_discarded(enum status status)
{
    return status == STATUS_TOO_LONG || status == STATUS_NO_MEMORY;
}

static enum status handle_discarded(struct smsp *smsp, enum status status)
{
    smsp->dialect = smsp->frame.summed && smsp->frame.terminator == '\0';
    if (status == STATUS_TOO_LONG) {
        (void)smsp_refuse(smsp, status, "the request is longer than %zu bytes", smsp->frame.limit);
    }
    return answer(smsp, NULL, status);
}

/* Who polls, or empties a mailbox, says the same again and again. The bytes were a request then, so they are
 * one now, with the same arguments; only the session may have ended. */
static const struct verb *find_repeated(struct smsp *smsp)
{
    const struct smsp_repeat *repeat = &smsp->repeat;

    if (repeat->length == 0 || smsp->frame.searched > 0 || stream_length(smsp->stream) < repeat->length ||
        memcmp(stream_data(smsp->stream), repeat->bytes, repeat->length) != 0 ||
        store_is_suspect(smsp->store) ||
        cookie_verify(smsp->store, smsp->session.text, COOKIE_TEXT, &smsp->session) != STATUS_OK) {
        return NULL;
    }
    return repeat->verb;
}

static enum status repeat(struct smsp *smsp, const struct verb *verb)
{
    smsp->dialect = smsp->wrong_sum = smsp->explained = false;
    enum status status = answer(smsp, verb, verb->act(smsp));
    smsp_frame_skip(&smsp->frame, smsp->stream, smsp->repeat.length);
    return status;
}

static enum status next(struct smsp *smsp)
{
    struct text request;
    enum status status = STATUS_OK;

    stream_begin_request(smsp->stream);
    if (stream_length(smsp->stream) == 0) {
        status = stream_read(smsp->stream, smsp->frame.limit + 2);
    }
    if (status != STATUS_OK && status != STATUS_NO_MEMORY) {
        return status;
    }
    const struct verb *again = find_repeated(smsp);
    if (again != NULL) {
        return repeat(smsp, again);
    }
    smsp->repeat.length = 0;
    status = smsp_frame_read(&smsp->frame, smsp->stream, &request);
    smsp->dialect = smsp->wrong_sum = smsp->explained = smsp->later = false;
    if (status == STATUS_OK) {
        status = handle(smsp, request);
        smsp_frame_done(&smsp->frame, smsp->stream);
        return status;
    }
    return is_discarded(status) ? handle_discarded(smsp, status) : status;
}

/* No reply refers to a message any more. */
static void release_messages(void *store)
{
    message_release_all(store);
}

/* What not every connection writes to: on the stack it would push the rest of that out of the first page,
 * which is to do for a short one (stream.c). */
static struct {
    char reply[REPLY_ROOM];
    char recipient[NAME_MAX_BYTES];
} aside;

static enum status serve(struct connection *connection)
{
    struct smsp smsp = {
        .connection = connection,
        .store = connection->store,
        .stream = connection->stream,
        .settings = connection->settings,
        .frame = {.limit = connection->settings->message_limit + REQUEST_OVERHEAD, .terminator = '\n'},
        .lines = BUFFER_WITH_CAP(LIST_REPLY_MAX),
        .why = BUFFER_WITH_CAP(WHY_MAX),
        .recipient_name = aside.recipient,
    };
    enum status status = STATUS_OK;

    buffer_borrow(&smsp.reply, aside.reply, sizeof aside.reply);
    stream_before_flush(smsp.stream, smsp_publish, &smsp);
    stream_on_flush(smsp.stream, release_messages, smsp.store);
    while (status == STATUS_OK && !smsp.ends) {
        status = next(&smsp);
    }
    enum status sent = stream_flush(smsp.stream);
    stream_before_flush(smsp.stream, NULL, NULL);
    stream_on_flush(smsp.stream, NULL, NULL);
    buffer_free(&smsp.reply);
    buffer_free(&smsp.lines);
    buffer_free(&smsp.why);
    return status != STATUS_OK ? status : sent;
}

/* One KO, with a sum where the first request is of the checksum dialect; there is nobody to ask WHY. */
static void turn_away(struct stream *stream, enum status why)
{
    struct smsp_frame frame = {.limit = REQUEST_OVERHEAD, .terminator = '\n'};
    struct text request;
    uint64_t sum;

    (void)why;
    enum status status = smsp_frame_read(&frame, stream, &request);
    if (status != STATUS_OK && !is_discarded(status)) {
        return;
    }
    bool summed = status == STATUS_OK ? smsp_sum_read(request, &sum) > 0 : frame.summed;
    if (summed && frame.terminator == '\0') {
        stream_put_number(stream, smsp_sum_end(smsp_sum_add(0, "KO", 2)));
        stream_put(stream, " ", 1);
    }
    stream_put(stream, "KO", 2);
    stream_put(stream, &frame.terminator, 1);
}

static bool recognise(unsigned char first_byte)
{
    return (first_byte >= ' ' && first_byte <= '~') || first_byte == '\r' || first_byte == '\n';
}

const struct protocol smsp_protocol = {"smsp", recognise, serve, turn_away};

static enum status why(void *context)
{
    struct smsp *smsp = context;

    (void)buffer_append_text(&smsp->reply, "OK ");
    if (smsp->why.length == 0) {
        (void)buffer_append_text(&smsp->reply, "nothing was refused");
    }
    (void)buffer_append(&smsp->reply, smsp->why.bytes, smsp->why.length);
    return STATUS_OK;
}

static enum status help(void *context)
{
    struct smsp *smsp = context;

    (void)buffer_append_text(&smsp->reply, "OK");
    for (size_t i = 0; i < verbs.count; i++) {
        if ((rows[i].flags & PLAIN) != 0) {
            (void)buffer_append_text(&smsp->reply, " ");
            (void)buffer_append_text(&smsp->reply, rows[i].name);
        }
    }
    return STATUS_OK;
}

static enum status noop(void *context)
{
    (void)context;
    return STATUS_OK;
}

static enum status quit(void *context)
{
    struct smsp *smsp = context;

    smsp->ends = true;
    return STATUS_OK;
}
