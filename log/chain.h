/* log/chain.h - the chain log: committed blocks with their receipts and events, as segment files.
 *
 * Directory `dir` (<home>/data/log) holds the files of log/segment.h and `head` (log/head.h). Blocks
 * are the truth; receipts and events are written by whoever applies the blocks, at any distance
 * behind, and are byte-identical when written again.
 *
 * Writer: one thread, the loop. chain_append and chain_append_side copy into 1 MiB buffers that
 * cover aligned windows of the file; chain_next_write and chain_next_sync say what the loop is to
 * submit, chain_written and chain_synced take the completions. Of each kind at most one write and
 * one sync are in flight. A full buffer is written at once, a part of one after chain_push; a sync
 * follows each 8 MiB and each chain_flush. A failed write or sync is final: close and start again.
 *
 *   append --> buffered --> written --> synced = durable --> head_set (log/head.h)
 *                              '--> readers that follow the writer (chain_reader_follow)
 *
 * Order, per kind: a segment gets its first byte only after the segment before it is sealed and
 * durable, and its name is durable before that byte is written. So a crash can tear only the newest
 * file of a kind, and what lies below a durable height is never torn: damage there is
 * STATUS_CORRUPT.
 */
#ifndef CAIRN_LOG_CHAIN_H
#define CAIRN_LOG_CHAIN_H

#include "log/block.h"
#include "log/head.h"
#include "log/io.h"
#include "log/segment.h"

#define CHAIN_BUFFER_BYTES    (1024 * 1024)
#define CHAIN_SYNC_BYTES      (8 * 1024 * 1024)
#define CHAIN_UNSYNCED_BLOCKS 4096               /* blocks between the common mark and the last */
#define CHAIN_STAGED_BYTES    (64 * 1024 * 1024) /* of a kind, not yet written; an entry may pass it */
#define CHAIN_AHEAD_BYTES     (1024 * 1024)      /* reserved behind what is being written */

/* ---- writer ---- */

struct chain;

struct chain_opened {
    uint64_t height;                        /* newest block found, 0 if none */
    uint64_t cut_bytes[SEGMENT_KIND_COUNT]; /* what was torn, or ahead of the chain, and cut */
    bool behind; /* the files end cleanly below the hint: older than what was durable once */
    uint64_t fault_segment, fault_offset; /* STATUS_CORRUPT: where */
};

/* chain_open recovers and opens for appending. Blocking.
 *
 *   dir       log directory, made if absent; its parent stands
 *   chain_id  genesis hash
 *   hint      blocks up to hint->height were durable (superblock, or the published head);
 *             NULL or height 0: nothing is known. Only height and id are looked at
 *   opened    filled also on failure
 *
 * The newest chain segment is read whole: entries hold while checksum, height and parent id do. The
 * first failure cuts the file if it lies above the hint, and is STATUS_CORRUPT below. Receipts and
 * events are cut to their longest valid prefix that agrees with the blocks: chain_next_height tells
 * where to write on. What is kept has been synced when this returns.
 *
 * STATUS_CORRUPT: stop and ask the operator; nothing was changed. STATUS_WRONG_CHAIN: another
 * genesis, or another block at the hint's height. */
MUST_CHECK enum status chain_open(struct chain **chain, struct io *io, const char *dir,
                                  const uint8_t chain_id[HASH_BYTES], const struct log_mark *hint,
                                  struct chain_opened *opened);

/* chain_close releases everything; nothing may be in flight. What was not flushed is lost and will
 * be appended again after the next start. */
void chain_close(struct chain *chain);

/* chain_append takes the next committed block, copied.
 *
 *   block          canonical bytes, header | justify | body, checked by the caller; its height is
 *                  chain_next_height(CHAIN) and its parent the last one (asserted)
 *   id             its block id
 *   segment_bytes  parameter of the block's epoch (log_position_next)
 *
 * STATUS_BUSY: nothing was taken; complete writes and syncs, and append receipts and events, first.
 * STATUS_NO_MEMORY, STATUS_FULL (a segment of 16 GiB): final, close and start again. */
MUST_CHECK enum status chain_append(struct chain *chain, struct bytes block,
                                    const uint8_t id[HASH_BYTES], uint64_t segment_bytes);

/* chain_append_side takes the receipts or events of `height`, which is chain_next_height(kind) and
 * not above the chain (events begin with height 0, whose id is the chain id).
 *
 *   id     of the block
 *   body   canonical struct block_receipts or block_events, copied
 *   count  receipts or events in it
 *
 * STATUS_BUSY, STATUS_NO_MEMORY, STATUS_FULL: as above. STATUS_RANGE: the body passes
 * SEGMENT_BODY_BYTES_MAX. */
MUST_CHECK enum status chain_append_side(struct chain *chain, enum segment_kind kind,
                                         uint64_t height, const uint8_t id[HASH_BYTES],
                                         struct bytes body, uint32_t count);

/* chain_next_height: what append expects next. chain_height: the newest appended block.
 * chain_position: behind it (log_position_next of all blocks). */
uint64_t chain_next_height(const struct chain *chain, enum segment_kind kind);
uint64_t chain_height(const struct chain *chain);
struct log_position chain_position(const struct chain *chain);
/* chain_last_id: id of the newest appended block; the chain id if there is none. */
const uint8_t *chain_last_id(const struct chain *chain);

/* chain_push asks for everything appended so far to be written, chain_flush for a sync behind it, too. */
void chain_push(struct chain *chain);
void chain_flush(struct chain *chain);

/* chain_next_write: *ready tells whether *op is to be submitted; call again until it is not. Opening
 * a segment blocks here (a file and a directory sync). chain_written takes it back. Any failure is
 * final.
 *
 * A write is handed out only into blocks that the file has already (io_allocate), so a full disk never
 * fails a write: it is not handed out, chain_is_starved says so, and the next call tries again. */
MUST_CHECK enum status chain_next_write(struct chain *chain, struct io_op *op, bool *ready);
MUST_CHECK enum status chain_written(struct chain *chain, const struct io_op *op);
bool chain_is_starved(const struct chain *chain);
/* The same for syncs, which go to IO_LANE_OTHER. */
void chain_next_sync(struct chain *chain, struct io_op *op, bool *ready);
MUST_CHECK enum status chain_synced(struct chain *chain, const struct io_op *op);

/* chain_settle flushes by blocking calls until everything is durable; nothing may be in flight.
 * STATUS_NO_SPACE: the disk is full; what fitted is durable, and it may be called again. */
MUST_CHECK enum status chain_settle(struct chain *chain);

/* chain_durable_height: newest block whose bytes a power cut leaves: journal space up to it is free.
 * chain_durable_mark: newest height at which all three kinds are durable, for head_set; false
 * while receipts or events are still being caught up with. chain_written_mark: at which all three can be
 * read, for chain_reader_follow. */
uint64_t chain_durable_height(const struct chain *chain);
bool chain_durable_mark(const struct chain *chain, struct log_mark *mark);
bool chain_written_mark(const struct chain *chain, struct log_mark *mark);

/* ---- reader ---- */

/* Thread-safe, for this process or another; it never reads past the published head, or what it follows. */
struct chain_reader;

/* A growing buffer, zeroed at first; chain_buffer_free releases it. */
struct chain_buffer {
    uint8_t *at;
    size_t capacity;
};
void chain_buffer_free(struct chain_buffer *buffer);

struct chain_record {
    uint64_t height;
    uint8_t id[HASH_BYTES];
    uint32_t count;
    uint64_t segment, offset; /* of the entry */
    struct bytes body;        /* borrows the buffer */
};

/* chain_reader_open. `io` is used for blocking calls only and outlives the reader. STATUS_NOT_FOUND:
 * the directory is absent; a directory without a head is an empty log. */
MUST_CHECK enum status chain_reader_open(struct chain_reader **reader, struct io *io,
                                         const char *dir, const uint8_t chain_id[HASH_BYTES]);
void chain_reader_close(struct chain_reader *reader);

/* chain_reader_limit: do not look at the head, read whatever whole entries are there up to `height`
 * (for start and audit, when nobody appends). STATUS_CORRUPT: a file is missing or its header bad. */
MUST_CHECK enum status chain_reader_limit(struct chain_reader *reader, uint64_t height);

/* chain_reader_follow: do not look at the head's file, read up to `mark`. For the process that writes: it calls
 * this whenever chain_written_mark has moved, in any thread. */
void chain_reader_follow(struct chain_reader *reader, const struct log_mark *mark);

/* chain_reader_head reads the published head. STATUS_NOT_FOUND: none yet. */
MUST_CHECK enum status chain_reader_head(struct chain_reader *reader, struct head *head);

/* chain_range: lowest and highest height that can be read. STATUS_NOT_FOUND: none. */
MUST_CHECK enum status chain_range(struct chain_reader *reader, enum segment_kind kind,
                                   uint64_t *first, uint64_t *last);

/* chain_read fetches one entry; its checksum, height and place are checked.
 * STATUS_NOT_FOUND: above the head, or receipts or events not written yet; STATUS_PRUNED: below the
 * oldest segment; STATUS_CORRUPT; STATUS_NO_MEMORY. */
MUST_CHECK enum status chain_read(struct chain_reader *reader, enum segment_kind kind,
                                  uint64_t height, struct chain_buffer *buffer,
                                  struct chain_record *record);

/* chain_block_open opens the block of an entry of SEGMENT_CHAIN: block_open, and its id is the entry's.
 * Whoever folds a block or hands it out opens it so: a checksum finds accidents on the disk, not what
 * was wrong before it was computed. STATUS_CORRUPT. */
MUST_CHECK enum status chain_block_open(struct bytes body, const uint8_t id[HASH_BYTES],
                                        struct block *block);

/* chain_read_raw copies file bytes for tailers: from (segment, offset) to the published end, to the
 * end of the segment's file, or `capacity` bytes. (*next_segment, *next_offset) is where to go on; at
 * the end of a sealed segment that is offset 0 of the next. *done = 0: wait for a new head.
 * STATUS_RANGE: the position is beyond the head; STATUS_PRUNED: the segment is gone.
 * STATUS_NOT_FOUND: nothing is published, or the reader is limited. */
MUST_CHECK enum status chain_read_raw(struct chain_reader *reader, enum segment_kind kind,
                                      uint64_t segment, uint64_t offset, uint8_t *buffer,
                                      size_t capacity, size_t *done, uint64_t *next_segment,
                                      uint64_t *next_offset);

/* ---- tools; blocking ---- */

struct chain_report {
    uint64_t segments[SEGMENT_KIND_COUNT], entries[SEGMENT_KIND_COUNT], items[SEGMENT_KIND_COUNT];
    uint64_t bytes[SEGMENT_KIND_COUNT];
    uint64_t first_height, last_height; /* of blocks */
    uint64_t torn_bytes;                /* behind the last entry of the newest chain segment */
    /* The first fault, with any status but OK. */
    enum segment_kind fault_kind;
    uint64_t fault_segment, fault_offset, fault_height;
    const char *fault; /* what is wrong there, static text; NULL: nothing */
};

/* chain_verify reads everything: names, headers, entries, padding, order, blocks (block_open) and
 * their parents, footers, leaf digests, and that receipts and events name the same block ids. A torn
 * end above the published head is no fault. STATUS_CORRUPT, STATUS_WRONG_CHAIN: see the report. */
MUST_CHECK enum status chain_verify(struct io *io, const char *dir,
                                    const uint8_t chain_id[HASH_BYTES],
                                    struct chain_report *report);

/* chain_discard_above cuts everything above `height` out of the log and keeps the bytes in files
 * `quarantine_dir`/NNNN-seg-....KIND-OFFSET (made if absent; its parent stands). The published head
 * is lowered first. The node must not run. STATUS_NOT_FOUND: the log does not hold `height`. A
 * failure on the way leaves a log that opens; call it again. */
MUST_CHECK enum status chain_discard_above(struct io *io, const char *dir,
                                           const char *quarantine_dir,
                                           const uint8_t chain_id[HASH_BYTES], uint64_t height);

#endif
