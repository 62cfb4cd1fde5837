/* children.c: keeps the table of children. It forks nothing and knows nothing of listeners. */
#include "children.h"

#include "descriptors.h"
#include "log.h"

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

void children_ask(struct children *children, const struct child *child)
{
    children->asked[(children->asked_first + children->asked_count++) % CHILDREN_ASKED_MAX] = *child;
}

bool children_unask(struct children *children, struct child *child)
{
    if (children->asked_count == 0) {
        return false;
    }
    *child = children->asked[children->asked_first];
    children->asked_first = (children->asked_first + 1) % CHILDREN_ASKED_MAX;
    children->asked_count--;
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
    descriptor_own(child->connection, pid);
    (void)close(child->connection);
    child->connection = -1;
}

void children_add(struct children *children, pid_t pid, const struct source *source)
{
    if (children->count == children->room) {
        bug("there are more connections than there may be");
    }
    children->list[children->count++] = (struct child){.pid = pid, .source = *source, .connection = -1};
}

bool children_remove(struct children *children, pid_t pid, struct child *removed)
{
    for (size_t i = 0; i < children->count; i++) {
        if (children->list[i].pid == pid) {
            *removed = children->list[i];
            children->list[i] = children->list[--children->count];
            return true;
        }
    }
    return false;
}

void children_signal(const struct children *children, int number)
{
    for (size_t i = 0; i < children->count; i++) {
        (void)kill(children->list[i].pid, number);
    }
}

size_t children_serving(const struct children *children)
{
    return children->count + children->asked_count;
}

static bool is_of(const struct child *child, const struct source *source)
{
    return memcmp(&child->source, source, sizeof *source) == 0;
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

void children_forget(struct children *children)
{
    struct child child;

    while (children_unask(children, &child)) {
        (void)close(child.connection);
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
