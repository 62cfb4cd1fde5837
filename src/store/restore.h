/* restore.h: makes the operations of a journal's records again, in an empty segment. Private to src/store. */
#ifndef SHMAIL_RESTORE_H
#define SHMAIL_RESTORE_H

#include "journal_format.h"
#include "layout.h"

struct restore;

/* Needs an attached store that nobody else has, with its journal off. NULL: no memory. */
struct restore *restore_begin(struct store *);

/* STATUS_MISMATCH: the record contradicts those before it. STATUS_FULL_*: there is no room for it. */
enum status restore_record(struct restore *, const struct journal_record *, const char *texts);

/* Whether a live account has that index. */
bool restore_lives(const struct restore *, uint32_t account);

/* Whether the record's texts can be an account's name and hash: neither holds the NUL that ends it in the
 * segment. */
bool restore_names_account(const struct journal_record *, const char *texts);

/* Whether the record is of a kind that its place has: a snapshot has accounts and their mail. */
bool restore_has_place(const struct journal_record *);

/* Whether the record is news to that account: false where the snapshot had it already. */
bool restore_concerns(const struct restore *, const struct journal_record *, uint32_t account);

/* Up to which sequence something was made again: where the log ends before it, records are missing that the
 * snapshot had, and that were on disk before the snapshot counted. */
uint64_t restore_reaches(const struct restore *);

/* Who can read the next records meanwhile, until restore_end. */
struct restore_ahead *restore_works_ahead(struct restore *);

/* Lists the account records that are free, and frees the rest. */
void restore_end(struct restore *);

#endif
