/* log/index.h - from a transaction id to its place in the chain log.
 *
 * A private side file that can be deleted at any time: index_rebuild makes it again from the blocks.
 * Of the newest segment it lives in memory; of every older segment in one sorted file in `dir`
 * (<home>/data/index/tx), searched with pread. Ids are stored by their first 8 bytes, so an answer
 * is a list of candidates that the caller compares with the block; index_find does it.
 *
 * One writer at a time, any number of readers; a lock inside. Files may vanish or rot: a bad file
 * answers STATUS_CORRUPT, and index_rebuild replaces it.
 *
 * File tx-<20 digits>.idx, little-endian:
 *   offset size field
 *      0     8  magic
 *      8     2  version
 *     10     6  0
 *     16    32  chain id
 *     48     8  segment
 *     56     8  height of its first block
 *     64     8  height of its last block
 *     72     8  entries n
 *     80     8  xxh3-64 of the fences
 *     88     8  xxh3-64 of bytes [0,88)
 *     96   16n  entries, ascending: first 8 bytes of the id as a big-endian number, then
 *               height (5 bytes) and position in the block (3 bytes), one number each
 *      .    8f  fences: xxh3-64 of each page of 256 entries (the last may be shorter), seed: its
 *               number
 */
#ifndef CAIRN_LOG_INDEX_H
#define CAIRN_LOG_INDEX_H

#include "log/chain.h"

#define INDEX_OPEN_ENTRIES_MAX (1u << 23) /* of the newest segment: 256 MiB of memory at most */
#define INDEX_HEIGHT_MAX       ((UINT64_C(1) << 40) - 1)
#define INDEX_CANDIDATES_MAX   16

struct tx_index;

struct index_candidate {
    uint64_t height;
    uint32_t position; /* among the block's commands */
};

struct index_found {
    uint64_t height;
    uint32_t position;
    struct chain_record record; /* the block's entry, in the caller's buffer */
    struct bytes tx;            /* within it */
};

/* index_open makes `dir` if absent (its parent stands) and starts empty; then call index_rebuild,
 * which takes the files that are good. */
MUST_CHECK enum status index_open(struct tx_index **index, struct io *io, const char *dir,
                                  const uint8_t chain_id[HASH_BYTES]);
void index_close(struct tx_index *index);

/* index_rebuild brings the index up to the reader's last height: segments whose file is missing or
 * bad are read again. `index_height` tells how far it is. */
MUST_CHECK enum status index_rebuild(struct tx_index *index, struct chain_reader *reader);

/* index_add_block adds the transactions of the next block (index_height + 1); lower ones are known.
 * A file that cannot be written is no failure: see index_defer.
 *
 *   segment  that the block lies in (log_position); a new one writes the file of the one before
 *   block    canonical bytes
 *
 * STATUS_BUSY: the index is behind the block before. STATUS_FULL: more than INDEX_OPEN_ENTRIES_MAX
 * transactions without a file; STATUS_NO_MEMORY. After a failure the index is behind; index_rebuild
 * catches up. */
MUST_CHECK enum status index_add_block(struct tx_index *index, uint64_t segment,
                                       struct bytes block);

uint64_t index_height(struct tx_index *index);

/* index_defer puts off the files of complete segments, for a disk that fills up: they stay in memory,
 * INDEX_OPEN_ENTRIES_MAX entries in all, as they do when a file cannot be written. Without `deferred`
 * those that wait are written now. */
void index_defer(struct tx_index *index, bool deferred);

/* index_candidates answers up to INDEX_CANDIDATES_MAX places whose transaction id starts with the
 * same 8 bytes, newest first. STATUS_CORRUPT: a file is bad. */
MUST_CHECK enum status index_candidates(struct tx_index *index, const uint8_t id[HASH_BYTES],
                                        struct index_candidate out[INDEX_CANDIDATES_MAX],
                                        size_t *count);

/* index_find looks the candidates up in the blocks and answers the newest one that has this id (an
 * unpaid transaction may be included again). STATUS_NOT_FOUND: none in the published log. */
MUST_CHECK enum status index_find(struct tx_index *index, struct chain_reader *reader,
                                  const uint8_t id[HASH_BYTES], struct chain_buffer *buffer,
                                  struct index_found *found);

#endif
