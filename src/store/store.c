/* store.c: opens a post office, makes a process its server, and counts what is in it. */
#include "store.h"

#include "export.h"
#include "layout.h"
#include "segment.h"
#include "segment_name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char folder[] = SEGMENT_FOLDER "/" SEGMENT_PREFIX;
enum { SET_ASIDE_MOST = 1000 }; /* in one second */

static_assert(sizeof(struct store) <= STORE_BYTES, "it lies where a caller has so much room");

static void let_go(struct store *store)
{
    const int files[] = {store->fd,       store->directory, store->lock_file, store->files[0],
                         store->files[1], store->direct[0], store->direct[1]};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (files[i] >= 0)
            close(files[i]);
    if (store->base)
        munmap(store->base, store->mapped);
    if (store->is_allocated)
        free(store);
    else
        *store = (struct store){0};
}

enum status store_open(struct store **result, const struct store_options *options, char *why, size_t why_size)
{
    *result = NULL;
    if (options->name &&
        !segment_is_name(options->name, options->must_exist ? OBJECT_MAX : POST_OFFICE_MAX, why, why_size))
        return STATUS_MALFORMED;
    if (options->slots > SLOTS_LIMIT || options->sessions_per_account > SESSIONS_LIMIT) {
        snprintf(why, why_size, "at most %d processes and %d sessions an account are possible", SLOTS_LIMIT,
                 SESSIONS_LIMIT);
        return STATUS_MALFORMED;
    }
    struct store *store = options->memory ? options->memory : calloc(1, sizeof(*store));
    if (!store) {
        snprintf(why, why_size, "no memory");
        return STATUS_NO_MEMORY;
    }
    store->fd = store->directory = store->lock_file = -1;
    store->files[0] = store->files[1] = store->direct[0] = store->direct[1] = -1;
    store->opener = getpid();
    store->is_allocated = !options->memory;
    store->sessions_per_account = options->sessions_per_account ? options->sessions_per_account : 1;
    store->crypt_cost = options->crypt_cost;
    store->session_idle = options->session_idle_seconds;
    store->session_age = options->session_age_seconds;
    store->quota_messages = options->quota_messages ? options->quota_messages : UINT64_MAX;
    store->quota_bytes = options->quota_bytes ? options->quota_bytes : UINT64_MAX;
    store->sync = options->sync;
    store->sync_seconds = options->sync_seconds;
    enum status status = segment_open(store, options, why, why_size);
    if (status != STATUS_OK) {
        int error = errno;
        let_go(store);
        errno = error;
        return status;
    }
    *result = store;
    return STATUS_OK;
}

struct store_descriptors store_descriptors(const struct store *store)
{
    return (struct store_descriptors){
        .segment = store->fd,
        .journal = {store->files[0], store->files[1], store->direct[0], store->direct[1]}};
}

pid_t store_other_process(const struct store *store)
{
    return segment_slot_holder(store);
}

/* A refused exchange of a shared lock for the other kind takes that, too. */
static bool has_directory_alone(const struct store *store)
{
    if (store->lock_file < 0 || flock(store->lock_file, LOCK_EX | LOCK_NB) == 0)
        return true;
    (void)flock(store->lock_file, LOCK_SH | LOCK_NB);
    return false;
}

bool store_take_alone(const struct store *store, pid_t *pid)
{
    bool barred = segment_bar(store->fd);
    *pid = segment_holder(store);
    return barred && *pid == 0 && has_directory_alone(store);
}

enum status store_set_aside(struct store **store, const char *name, char *aside, size_t aside_size)
{
    enum { NUMBER = sizeof("-1000") }; /* where one moment sees several */
    char from[sizeof(folder) + OBJECT_MAX];
    char to[sizeof(from) + sizeof(".damaged-") + MOMENT_SIZE + NUMBER];
    char moment[MOMENT_SIZE];
    char number[NUMBER] = "";
    aside[0] = '\0';
    if (name && segment_has_name((*store)->fd, name)) {
        export_moment(moment);
        snprintf(from, sizeof(from), "%s%s", folder, name);
        for (unsigned i = 2;; i++) {
            snprintf(to, sizeof(to), "%s.damaged-%s%s", from, moment, number);
            if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
                break;
            if (errno != EEXIST || i > SET_ASIDE_MOST)
                return STATUS_SYSTEM;
            snprintf(number, sizeof(number), "-%u", i);
        }
        snprintf(aside, aside_size, "%s", to + sizeof(folder) - 1);
        (void)segment_retire((*store)->fd);
    }
    let_go(*store);
    *store = NULL;
    return STATUS_OK;
}

enum status store_serve(struct store *store)
{
    struct journal_segment *journal = &store->header->journal;
    if (!segment_try_byte(store, BYTE_SERVER))
        return STATUS_IN_USE;
    /* Nobody has noticed who died while there was no server: the first child looks after them. */
    __atomic_fetch_add(&store->header->deaths, 1, __ATOMIC_RELAXED);
    /* A new server means that somebody has looked after the disk: what was not synced is written again and
     * synced, and a checkpoint takes nothing from the file that failed. */
    if (load32(&journal->failure)) {
        __atomic_store_n(&journal->suspect, 1, __ATOMIC_RELEASE);
        __atomic_store_n(&journal->failure, 0, __ATOMIC_RELEASE);
    }
    if (store->sync == STORE_SYNC_TIMED) /* else the old policy would have none, for who checks just now */
        __atomic_store_n(&journal->sync_seconds, store->sync_seconds, __ATOMIC_RELEASE);
    __atomic_store_n(&journal->sync, (uint32_t)store->sync, __ATOMIC_RELEASE);
    return STATUS_OK;
}

void store_serve_no_more(struct store *store)
{
    segment_free_byte(store, BYTE_SERVER);
}

static uint32_t count_processes(const struct store *store, uint64_t ahead)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < store->slots_most; i += 64)
        count += (uint32_t)__builtin_popcountll(load64(&store->header->slot_map[i / 64]) &
                                                ~(load64(&store->header->idle_map[i / 64]) ^ ahead));
    return count;
}

uint32_t store_processes(const struct store *store)
{
    return count_processes(store, 0);
}

uint32_t store_processes_ahead(const struct store *store)
{
    return count_processes(store, UINT64_MAX);
}

void store_figures(struct store *store, struct store_figures *figures)
{
    const struct header *header = store->header;
    *figures = (struct store_figures){
        .segment_bytes = store->mapped,
        .pages_used = load32(&header->pages_used),
        .pages_free = load32(&header->pages_free_count),
        .accounts = load32(&header->accounts_live),
        .accounts_most = store->accounts_most,
        .sessions = load32(&header->sessions_live),
        .slots_most = store->slots_most,
        .server = segment_byte_holder(store, BYTE_SERVER),
    };
    figures->slots = store_processes(store) + store_processes_ahead(store);
}
