/* children.c: keeps the table of children, and says which of them takes a connection. It forks nothing and
 * knows nothing of listeners. */
#include "children.h"

#include "descriptors.h"
#include "log.h"
#include "spare.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool children_make_room(struct children *children, size_t room)
{
    struct child *list =
        reallocarray(NULL, room + CHILDREN_ASKED_MAX, sizeof *list); /* calloc would touch it */

    if (list != NULL) {
        *children = (struct children){.list = list, .room = room, .asked = list + room};
    }
    return list != NULL;
}

static void free_list(struct children *children)
{
    free(children->list);
    *children = (struct children){0};
}

static bool is_idle(const struct child *child)
{
    return child->channel >= 0 && child->connection < 0;
}

void children_ask(struct children *children, const struct child *child)
{
    children->asked[(children->asked_first + children->asked_count++) % CHILDREN_ASKED_MAX] = *child;
    children->asked_idle += is_idle(child);
}

bool children_unask(struct children *children, struct child *child)
{
    if (children->asked_count == 0) {
        return false;
    }
    *child = children->asked[children->asked_first];
    children->asked_first = (children->asked_first + 1) % CHILDREN_ASKED_MAX;
    children->asked_count--;
    children->asked_idle -= is_idle(child);
    return true;
}

void children_made(struct children *children, pid_t pid)
{
    struct child *child = &children->list[children->count];

    if (!children_unask(children, child)) {
        bug("a process was made that nobody has asked for");
    }
    children->count++;
    child->pid = pid;
    if (child->connection >= 0) {
        descriptor_own(child->connection, pid);
        (void)close(child->connection);
        child->connection = -1;
    }
    children->idle += is_idle(child);
}

void children_add(struct children *children, pid_t pid, const struct source *source)
{
    children->list[children->count++] =
        (struct child){.pid = pid, .source = *source, .channel = -1, .connection = -1};
}

static void close_channel(struct child *child)
{
    if (child->channel >= 0) {
        (void)close(child->channel);
        child->channel = -1;
    }
}

/* A spare that says that it has its connection is one that serves. */
static void hear(struct children *children, struct child *child)
{
    if (child->connection >= 0 && spare_has_taken(child->channel)) {
        (void)close(child->connection);
        child->connection = -1;
        close_channel(child);
        children->handed--;
    }
}

void children_hear(struct children *children)
{
    for (size_t i = 0; i < children->count && children->handed > 0; i++) {
        hear(children, &children->list[i]);
    }
}

bool children_are_handed(const struct children *children)
{
    return children->handed > 0;
}

bool children_remove(struct children *children, pid_t pid, struct child *removed)
{
    for (size_t i = 0; i < children->count; i++) {
        struct child *child = &children->list[i];
        if (child->pid != pid) {
            continue;
        }
        hear(children, child); /* it may have said so and then died, as any other that serves */
        children->idle -= is_idle(child);
        children->ending -= is_idle(child) && child->ends;
        children->handed -= child->connection >= 0;
        *removed = *child;
        close_channel(child);
        *child = children->list[--children->count];
        return true;
    }
    return false;
}

void children_signal(const struct children *children, int number)
{
    for (size_t i = 0; i < children->count; i++) {
        (void)kill(children->list[i].pid, number);
    }
}

static void end_idle(struct children *children, struct child *child)
{
    children->ending += !child->ends;
    child->ends = true;
    (void)kill(child->pid, SIGTERM);
}

void children_end_idle(struct children *children)
{
    for (size_t i = 0; i < children->count; i++) {
        if (is_idle(&children->list[i])) {
            end_idle(children, &children->list[i]);
        }
    }
}

void children_end_one_idle(struct children *children)
{
    for (size_t i = 0; i < children->count; i++) {
        struct child *child = &children->list[i];
        if (is_idle(child) && !child->ends) {
            end_idle(children, child);
            return;
        }
    }
}

size_t children_serving(const struct children *children)
{
    return children->count - children->idle + children->asked_count - children->asked_idle;
}

size_t children_idle(const struct children *children)
{
    return children->idle + children->asked_idle;
}

static bool is_of(const struct child *child, const struct source *source)
{
    return !is_idle(child) && memcmp(&child->source, source, sizeof *source) == 0;
}

size_t children_of(const struct children *children, const struct source *source)
{
    size_t count = 0;

    for (size_t i = 0; i < children->count; i++) {
        count += is_of(&children->list[i], source);
    }
    for (size_t i = 0; i < children->asked_count; i++) {
        count += is_of(&children->asked[(children->asked_first + i) % CHILDREN_ASKED_MAX], source);
    }
    return count;
}

bool children_can_take(const struct children *children)
{
    return children->idle > children->ending && children->handed < CHILDREN_HANDED_MAX;
}

bool children_hand_over(struct children *children, int connection, const struct caller *caller,
                        const struct source *source)
{
    if (!children_can_take(children)) {
        return false;
    }
    for (size_t i = 0; i < children->count; i++) {
        struct child *child = &children->list[i];
        if (!is_idle(child) || child->ends) {
            continue;
        }
        descriptor_own(connection, child->pid);
        if (spare_give(child->channel, connection, caller)) {
            child->connection = connection;
            child->source = *source;
            child->caller = *caller;
            children->idle--;
            children->handed++;
            return true;
        } /* else it has died, as SIGCHLD will tell, or too many descriptors are under way */
    }
    return false;
}

static void forget(struct child *child)
{
    close_channel(child);
    if (child->connection >= 0) {
        (void)close(child->connection);
    }
}

void children_forget(struct children *children)
{
    struct child child;

    while (children_unask(children, &child)) {
        forget(&child);
    }
    for (size_t i = 0; i < children->count; i++) {
        forget(&children->list[i]);
    }
    free_list(children);
}

void child_note_death(pid_t pid, int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
        log_error("child %ld was ended by signal %d (%s): it made a system call that the sandbox does not "
                  "allow (--sandbox-debug names it)",
                  (long)pid, SIGSYS, strsignal(SIGSYS));
    } else if (WIFSIGNALED(status)) {
        log_error("child %ld was ended by signal %d (%s)", (long)pid, WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    }
}
