/* mailbox_book.c: keeps the counts from which replies are told beforehand, and makes and recognises texts. It
 * knows no protocol. */
#include "mailbox_book.h"

#include "cookie.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* xorshift64*; the upper half is good. */
uint32_t mailbox_book_draw(struct mailbox_book *book, uint32_t below)
{
    book->random ^= book->random >> 12;
    book->random ^= book->random << 25;
    book->random ^= book->random >> 27;
    return (uint32_t)(((book->random * UINT64_C(2685821657736338717)) >> 32) * below >> 32);
}

/* Words of small letters, so that no framing, dialect or JSON changes a byte of it. */
static void write_filler(struct mailbox_book *book)
{
    for (size_t i = 0; i < book->size; i++) {
        book->filler[i] = (char)('a' + mailbox_book_draw(book, 26));
        if (i % 8 == 7 && i + 1 < book->size) {
            book->filler[i] = ' ';
        }
    }
}

static bool takes_mail(const struct plan *plan)
{
    for (size_t i = 0; i < plan->mix_length; i++) {
        if (plan->mix[i].verb->takes_mail) {
            return true;
        }
    }
    return false;
}

bool mailbox_book_open(struct mailbox_book *book, const struct plan *plan, unsigned process)
{
    *book = (struct mailbox_book){
        .count = (plan->mailboxes - process + plan->processes - 1) / plan->processes,
        .shared = plan->mailboxes < plan->connections,
        .takes = takes_mail(plan),
        .size = plan->size,
        .random = 1, /* every run has the same filler, so that one knows the mail of another */
    };
    book->mailboxes = calloc(book->count, sizeof *book->mailboxes);
    book->filler = malloc(book->size + 1);
    if (book->mailboxes == NULL || book->filler == NULL) {
        mailbox_book_close(book);
        return false;
    }
    write_filler(book);
    book->random = (plan->seed + process + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
    for (uint32_t i = 0; i < book->count; i++) {
        struct mailbox *mailbox = &book->mailboxes[i];
        mailbox->number = process + i * plan->processes;
        int length = snprintf(mailbox->name, sizeof mailbox->name, "%s%u", plan->prefix, mailbox->number);
        mailbox->name_length = (uint8_t)length;
    }
    return true;
}

void mailbox_book_close(struct mailbox_book *book)
{
    free(book->mailboxes);
    free(book->filler);
}

/* Eight hexadecimal digits at once: a nibble goes to each byte, and those above 9 are moved to the letters.
 */
static uint64_t hexadecimal(uint64_t number)
{
    uint64_t bytes = (number << 16 | number) & UINT64_C(0x0000FFFF0000FFFF);

    bytes = (bytes << 8 | bytes) & UINT64_C(0x00FF00FF00FF00FF);
    bytes = (bytes << 4 | bytes) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    uint64_t above = ((bytes + UINT64_C(0x0606060606060606)) >> 4) & UINT64_C(0x0101010101010101);
    return htobe64(bytes + UINT64_C(0x3030303030303030) + above * ('a' - '9' - 1));
}

static void write_stamp(char stamp[static TEXT_STAMP], const struct mailbox *mailbox, uint64_t number)
{
    const uint64_t digits[] = {hexadecimal(mailbox->number), hexadecimal(number & UINT32_MAX)};

    static_assert(sizeof digits == TEXT_STAMP, "a stamp is two numbers");
    memcpy(stamp, digits, sizeof digits);
}

/* A text that is shorter than a stamp is the end of it, which changes most. */
static size_t stamp_length(const struct mailbox_book *book)
{
    return book->size < TEXT_STAMP ? book->size : TEXT_STAMP;
}

void mailbox_text(const struct mailbox_book *book, const struct mailbox *mailbox, uint64_t number, char *text)
{
    size_t stamped = stamp_length(book);
    char stamp[TEXT_STAMP];

    write_stamp(stamp, mailbox, number);
    memcpy(text, stamp + TEXT_STAMP - stamped, stamped);
    memcpy(text + stamped, book->filler, book->size - stamped);
}

static bool is_text(const struct mailbox_book *book, const struct mailbox *mailbox, uint64_t number,
                    const char *text, size_t length)
{
    size_t stamped = stamp_length(book);
    char stamp[TEXT_STAMP];

    if (length > book->size) {
        return false;
    }
    write_stamp(stamp, mailbox, number);
    if (length <= stamped) {
        return memcmp(text, stamp + TEXT_STAMP - stamped, length) == 0;
    }
    return memcmp(text, stamp + TEXT_STAMP - stamped, stamped) == 0 &&
           memcmp(text + stamped, book->filler, length - stamped) == 0;
}

static int digit_value(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

bool mailbox_text_number(const struct mailbox_book *book, const struct mailbox *mailbox, const char *text,
                         uint64_t *number)
{
    uint64_t stamp = 0;

    if (book->size < TEXT_STAMP) {
        return false;
    }
    for (size_t i = 0; i < TEXT_STAMP; i++) {
        int value = digit_value(text[i]);
        if (value < 0) {
            return false;
        }
        stamp = stamp << 4 | (unsigned)value;
    }
    *number = stamp & UINT32_MAX;
    return stamp >> 32 == mailbox->number && is_text(book, mailbox, *number, text, book->size);
}

void mailbox_ask_append(struct mailbox *mailbox, struct request *request)
{
    request->low = mailbox->appended++;
    request->high = request->low + 1;
}

void mailbox_ask_first(const struct mailbox_book *book, const struct mailbox *mailbox,
                       struct request *request)
{
    request->low = book->shared ? mailbox->removed_known : mailbox->removed;
    request->high = book->shared ? mailbox->appended_known : mailbox->appended;
}

/* Several lanes may ask for the removal of one message: who finds none takes it back. */
void mailbox_ask_removal(const struct mailbox_book *book, struct mailbox *mailbox, struct request *request)
{
    mailbox_ask_first(book, mailbox, request);
    mailbox->removed += book->shared || request->low < request->high ? 1 : 0;
}

uint64_t mailbox_ask_text(struct mailbox_book *book, const struct mailbox *mailbox, struct request *request)
{
    mailbox_ask_first(book, mailbox, request);
    if (request->low >= request->high) {
        return 0;
    }
    uint64_t span = request->high - request->low;
    request->low += mailbox_book_draw(book, span < UINT32_MAX ? (uint32_t)span : UINT32_MAX);
    request->high = request->low + 1;
    return request->low + 1;
}

void mailbox_ask_count(const struct mailbox_book *book, const struct mailbox *mailbox,
                       struct request *request)
{
    request->low = book->shared ? mailbox->appended_known : mailbox->appended;
    request->high = book->shared ? mailbox->removed_known : mailbox->removed;
}

bool mailbox_may_have(const struct mailbox_book *book, const struct request *request)
{
    return book->shared || request->low < request->high;
}

bool mailbox_may_lack(const struct mailbox_book *book, const struct request *request)
{
    return request->low >= request->high || (book->shared && book->takes);
}

void mailbox_counts(const struct mailbox_book *book, const struct request *request, uint64_t *least,
                    uint64_t *most)
{
    uint64_t removed = book->shared ? request->mailbox->removed : request->high;

    *least = request->low > removed ? request->low - removed : 0;
    *most = (book->shared ? request->mailbox->appended : request->low) - request->high;
}

bool mailbox_text_fits(const struct mailbox_book *book, const struct request *request, const char *text,
                       size_t length)
{
    uint64_t number = request->low;

    if (book->shared && book->size >= TEXT_STAMP && length >= TEXT_STAMP && length == book->size) {
        return mailbox_text_number(book, request->mailbox, text, &number) &&
               number < request->mailbox->appended;
    }
    if (book->shared) {
        return length <= book->size && (length == 0 || digit_value(text[0]) >= 0);
    }
    return is_text(book, request->mailbox, number, text, length);
}

void mailbox_adopt(struct mailbox *mailbox, uint64_t first, uint64_t count)
{
    mailbox->removed = first;
    mailbox->removed_known = first;
    mailbox->appended = first + count;
    mailbox->appended_known = first + count;
}

void mailbox_know_append(struct mailbox *mailbox)
{
    mailbox->appended_known++;
}

void mailbox_know_removal(const struct mailbox_book *book, struct mailbox *mailbox, bool had)
{
    if (had) {
        mailbox->removed_known++;
    } else if (book->shared) {
        mailbox->removed--;
    }
}
