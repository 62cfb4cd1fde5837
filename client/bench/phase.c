/* phase.c: says what is asked next: once for each mailbox while they are set up, then by the draw. It asks
 * nothing itself. */
#include "phase.h"

static struct mailbox *own_mailbox(const struct lane *lane, uint64_t which)
{
    uint64_t index = lane->number + which * lane->worker->lane_count;

    return index < lane->book->count ? &lane->book->mailboxes[index] : NULL;
}

uint32_t phase_count_own(const struct worker *worker, unsigned number)
{
    uint32_t count = worker->book.count;

    return number < count ? (count - number + worker->lane_count - 1) / worker->lane_count : 0;
}

struct mailbox *phase_draw_mailbox(const struct lane *lane)
{
    if (lane->own == 0) {
        return &lane->book->mailboxes[lane->number % lane->book->count];
    }
    return own_mailbox(lane, lane->own > 1 ? mailbox_book_draw(lane->book, lane->own) : 0);
}

static uint16_t draw_part(const struct lane *lane)
{
    const struct plan *plan = lane->plan;
    uint32_t total = 0;
    uint16_t part = 0;

    if (plan->mix_length == 1) {
        return 0;
    }
    for (size_t i = 0; i < plan->mix_length; i++) {
        total += plan->mix[i].weight;
    }
    uint32_t drawn = mailbox_book_draw(lane->book, total);
    while (drawn >= plan->mix[part].weight) {
        drawn -= plan->mix[part++].weight;
    }
    return part;
}

static bool is_over(const struct worker *worker)
{
    return *worker->stop != 0 || worker->status != 0;
}

bool phase_has_more(const struct lane *lane)
{
    const struct phase *phase = &lane->worker->phase;

    if (is_over(lane->worker)) {
        return false;
    }
    if (phase->each != NULL) {
        return lane->cursor < (uint64_t)lane->own * phase->times;
    }
    return phase->requests > 0 && lane->worker->now < phase->end;
}

/* The last mailbox comes first, so that a connection on which each is entered is left in the lane's first. */
void phase_take(struct lane *lane, struct request *request)
{
    struct phase *phase = &lane->worker->phase;

    if (phase->each != NULL) {
        uint64_t which = lane->own - 1 - lane->cursor++ / phase->times;
        *request =
            (struct request){.verb = phase->each, .mailbox = own_mailbox(lane, which), .counted = true};
        return;
    }
    phase->requests -= phase->requests != UINT64_MAX;
    uint16_t part = draw_part(lane);
    *request = (struct request){.verb = lane->plan->mix[part].verb,
                                .mailbox = phase_draw_mailbox(lane),
                                .part = part,
                                .counted = true};
}
