/* log/index_internal.h - what the parts of the transaction index share.
 *
 *   index.c        blocks in, candidates out, rebuilding, and which segment is where
 *   index_table.c  the entries in memory
 *   index_file.c   the files; their format is in log/index.h
 *
 * Everything here is called with the lock held, but index_open and index_close.
 */
#ifndef CAIRN_LOG_INDEX_INTERNAL_H
#define CAIRN_LOG_INDEX_INTERNAL_H

#include <pthread.h>

#include "log/index.h"

#define INDEX_HEADER_BYTES  96
#define INDEX_ENTRY_BYTES   16
#define INDEX_FENCE_BYTES   8
#define INDEX_POSITION_BITS 24
#define INDEX_POSITION_MAX  ((UINT64_C(1) << INDEX_POSITION_BITS) - 1)
#define INDEX_FILES_FIRST   64

/* An entry in memory: place = height << 24 | position, never 0. */
struct index_entry {
    uint64_t prefix, place;
};

/* A segment's file that was found good, or written here. */
struct index_file {
    uint64_t segment, first_height, last_height, entry_count;
    bool bad;
};

/* A complete segment whose file is not written yet: its entries are still in the table. */
struct index_pending {
    uint64_t segment, first_height, last_height;
};

struct tx_index {
    struct io *io;
    char dir[IO_PATH_MAX];
    uint8_t chain_id[HASH_BYTES];
    pthread_mutex_t lock;
    uint64_t height; /* newest block in the index */
    /* The newest segment, and those before it without a file: open addressing, a slot with place 0 is
     * free. */
    bool open, deferred;
    uint64_t segment, first_height;
    struct index_pending *pending; /* ascending, owned */
    size_t pending_count, pending_capacity;
    struct index_entry *slots; /* [slot_count], a power of two, owned */
    size_t slot_count, entry_count;
    struct index_file *files; /* ascending by segment, owned */
    size_t file_count, file_capacity;
};

struct index_candidate_list {
    struct index_candidate *out; /* [INDEX_CANDIDATES_MAX], newest first */
    size_t count;
};

/* index_candidates_add keeps the list ordered, and the newest ones when it is full. */
void index_candidates_add(struct index_candidate_list *candidates, uint64_t place);

void index_slots_insert(struct index_entry *slots, size_t slot_count, struct index_entry entry);
/* index_table_reserve makes room so that at most half of the slots are taken. STATUS_FULL,
 * STATUS_NO_MEMORY. */
MUST_CHECK enum status index_table_reserve(struct tx_index *index, size_t more);
void index_table_clear(struct tx_index *index);
/* index_table_drop takes the entries up to a height, which a file holds now, out of the table. */
MUST_CHECK enum status index_table_drop(struct tx_index *index, uint64_t height);
void index_table_find(const struct tx_index *index, uint64_t prefix,
                      struct index_candidate_list *candidates);

MUST_CHECK enum status index_file_path(const struct tx_index *index, uint64_t segment,
                                       char path[IO_PATH_MAX]);
MUST_CHECK enum status index_files_reserve(struct tx_index *index);
/* index_file_encode makes a file of sorted entries; `bytes` has room for it. */
size_t index_file_encode(const struct tx_index *index, const struct index_file *file,
                         const struct index_entry *sorted, uint8_t *bytes);
/* index_file_open looks at header and fences. STATUS_CORRUPT: they are bad, or another segment's. */
MUST_CHECK enum status index_file_open(struct tx_index *index, uint64_t segment,
                                       struct index_file *file);
/* index_file_find adds the entries of a prefix. STATUS_CORRUPT: the file is bad, which it is marked as. */
MUST_CHECK enum status index_file_find(struct tx_index *index, struct index_file *file,
                                       uint64_t prefix, struct index_candidate_list *candidates);

#endif
