/* log/superblock.h - where the journal stands, in four copies that no crash can lose.
 *
 * File `super` beside the journal: copy i lies at i * SUPERBLOCK_STRIDE_BYTES, 4 KiB each, of which
 * all but the first 512 bytes are zero, so that a copy is written whole or not at all.
 *
 * Copy, little-endian:
 *   offset size field
 *        0   16 xxh3-128 of bytes [20, 4096): the same for all copies of one sequence
 *       16    4 copy number 0..3 (finds misdirected writes and reads)
 *       20    4 magic
 *       24    2 version
 *       26    2 body bytes
 *       28    . body: struct superblock, canonical
 *        .    . zero up to 4096
 *
 * An update writes copies 0 and 1, syncs, writes 2 and 3, syncs, and reads back. It starts only
 * when all copies, or all but one that is broken, carry the sequence before it. So at each moment
 * two copies agree on the old or on the new sequence:
 *
 *   IDLE --superblock_update--> W0 W1 S W2 W3 S R0 R1 R2 R3 --3 of 4 match--> IDLE
 *                               any failure --> FAILED: the file is not trusted until it is reopened
 *
 * Open takes the highest sequence of which two copies agree. One copy of the next sequence is what
 * a crash left of an update that nobody relied on yet: it is ignored if its parent is the quorum,
 * otherwise an acknowledged sequence is missing. Then all copies are rewritten, those that differ
 * first (superblock_repair): a visible copy may owe its existence to a sync that failed.
 */
#ifndef CAIRN_LOG_SUPERBLOCK_H
#define CAIRN_LOG_SUPERBLOCK_H

#include "log/hash.h"
#include "log/io.h"
#include "log/schema.h"

#define SUPERBLOCK_COPIES       4
#define SUPERBLOCK_COPY_BYTES   4096
#define SUPERBLOCK_STRIDE_BYTES 65536
#define SUPERBLOCK_FILE_BYTES   (3 * SUPERBLOCK_STRIDE_BYTES + SUPERBLOCK_COPY_BYTES)
#define SUPERBLOCK_VERSION      1

/* log_* and exec_root are hints about the rebuildable data: when it is behind them, blocks are
 * fetched. floor_* is the fence of `recover`: nothing at or below is ever signed. */
#define SUPERBLOCK_FIELDS(F)                                                                       \
    F(U64, _, sequence, 1, UINT64_MAX, NONE, "one more at each update")                            \
    F(U64, _, parent_low, 0, UINT64_MAX, NONE, "checksum of the sequence before, bytes 0..7")      \
    F(U64, _, parent_high, 0, UINT64_MAX, NONE, "bytes 8..15")                                     \
    F(HASH, _, chain_id, 0, 0, NONE, "genesis hash")                                               \
    F(KEY, _, key, 0, 0, NONE, "consensus key whose signatures the journal records")               \
    F(U64, _, incarnation, 1, UINT64_MAX, NONE, "drawn when the journal was formatted")            \
    F(U64, _, starts, 0, UINT64_MAX, COUNT, "times the journal was opened")                        \
    F(U64, _, ring_bytes, 0, UINT64_MAX, BYTE, "size of the journal file")                         \
    F(U64, _, group_bytes_max, 0, UINT64_MAX, BYTE, "largest commit group")                        \
    F(U64, _, tail_seq, 1, UINT64_MAX, NONE, "oldest group that is needed")                        \
    F(U64, _, tail_offset, 0, UINT64_MAX, BYTE, "where it starts in the ring")                     \
    F(U64, _, tail_lsn, 1, UINT64_MAX, NONE, "number of its first record")                         \
    F(U64, _, durable_seq, 0, UINT64_MAX, NONE, "groups up to this one were synced")               \
    F(U64, _, log_segment, 0, UINT64_MAX, NONE, "hint: segment that the chain log ends in")        \
    F(U64, _, log_offset, 0, UINT64_MAX, BYTE, "hint: end of the newest durable block in it")      \
    F(U64, _, log_height, 0, UINT64_MAX, HEIGHT, "hint: height of that block")                     \
    F(HASH, _, log_block_id, 0, 0, NONE, "hint: its id")                                           \
    F(HASH, _, exec_root, 0, 0, NONE, "hint: state root after it, or zero")                        \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "safety at the time of writing: epoch")                  \
    F(U64, _, signed_round, 0, UINT64_MAX, ROUND, "highest round voted in or timed out")           \
    F(U64, _, lock_round, 0, UINT64_MAX, ROUND, "round of the lock")                               \
    F(U64, _, floor_epoch, 0, UINT64_MAX, NONE, "epoch of floor_round")                            \
    F(U64, _, floor_round, 0, UINT64_MAX, ROUND, "nothing is signed in this round or below")       \
    F(U8, _, clean, 0, 1, NONE, "1: written by an orderly stop, nothing followed")
SCHEMA_DECLARE(superblock, SUPERBLOCK_FIELDS)

/* superblock_copy_encode fills one copy. */
void superblock_copy_encode(const struct superblock *body, uint32_t copy,
                            uint8_t out[SUPERBLOCK_COPY_BYTES]);

/* superblock_copy_decode: STATUS_CORRUPT: not a valid copy of this number. `sum` receives the
 * checksum, which names the content. */
MUST_CHECK enum status superblock_copy_decode(const uint8_t bytes[SUPERBLOCK_COPY_BYTES],
                                              uint32_t copy, struct superblock *body,
                                              uint8_t sum[16]);

/* superblock_format makes the file; it is durable, name included, on STATUS_OK. `body` starts the
 * chain: sequence 1, parent 0. STATUS_EXISTS: there is one already, untouched. */
MUST_CHECK enum status superblock_format(struct io *io, const char *dir, const char *path,
                                         const struct superblock *body);

/* superblock_load answers what superblock_open would, without lock, repair or any write.
 *
 * STATUS_AMNESIA: missing, or no quorum. STATUS_CORRUPT: one sequence with two contents.
 * STATUS_IO: copies cannot be read, and those that can do not suffice. `why` is a static text. */
MUST_CHECK enum status superblock_load(struct io *io, const char *path, struct superblock *body,
                                       const char **why);

/* An open superblock: owned by one thread. */
struct superblock_file;

/* superblock_open locks the file, syncs it and takes the quorum; it writes nothing. Failures as
 * superblock_load, and STATUS_LOCKED, STATUS_NO_MEMORY. */
MUST_CHECK enum status superblock_open(struct superblock_file **file, struct io *io,
                                       const char *path, const char **why);
/* superblock_repair rewrites all copies from the quorum; on STATUS_OK all four are durable. Blocking;
 * once, before the first update. A failure is final. */
MUST_CHECK enum status superblock_repair(struct superblock_file *file);
/* superblock_close: no operation may be in flight. NULL is allowed. */
void superblock_close(struct superblock_file *file);

/* superblock_current: the content of the quorum; after an update, of the update. */
const struct superblock *superblock_current(const struct superblock_file *file);

/* superblock_update begins to write `next`; sequence and parent are filled in here. No update may
 * be under way (superblock_is_busy). */
void superblock_update(struct superblock_file *file, const struct superblock *next);
bool superblock_is_busy(const struct superblock_file *file);

/* superblock_next_op: true, and *op filled, when an operation is to be submitted; one at a time.
 * superblock_completed takes it back: a failure is final, no operation follows.
 * After the last operation superblock_is_busy is false and superblock_current is the new content.
 * STATUS_CORRUPT: fewer than three copies read back as written. */
bool superblock_next_op(struct superblock_file *file, struct io_op *op);
MUST_CHECK enum status superblock_completed(struct superblock_file *file, const struct io_op *op);

/* superblock_settle finishes an update by blocking calls; for start, stop and tools. */
MUST_CHECK enum status superblock_settle(struct superblock_file *file);

#endif
