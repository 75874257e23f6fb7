/* log/head.h - the published head: how far readers may read.
 *
 * File `head` beside the segments, two slots of 4 KiB that alternate. The loop writes a slot after
 * everything that it names is durable, so whoever reads no further sees only final bytes that no
 * power cut takes back. A reader takes the valid slot with the higher generation; while one slot is
 * written the other one stands.
 *
 * The file itself is not synced on publication: after a power cut it may be older than it was,
 * never newer than the log, and the node publishes again when it starts.
 *
 * Slot, little-endian:
 *   offset size field
 *      0     8  magic
 *      8     2  version
 *     10     6  0
 *     16     8  generation, >= 1; odd ones in slot 0
 *     24     8  segment
 *     32    24  end offset in it of chain, receipts, events
 *     56     8  height
 *     64    32  block id
 *     96     8  height of the newest root known here, <= height
 *    104    32  that root
 *    136    32  chain id
 *    168     8  xxh3-64 of bytes [0,168), seed: the slot's own offset (finds misdirected writes)
 *    176  3920  0
 */
#ifndef CAIRN_LOG_HEAD_H
#define CAIRN_LOG_HEAD_H

#include "log/io.h"
#include "log/segment.h"

#define HEAD_SLOT_BYTES 4096
#define HEAD_FILE       "head"

struct head {
    uint64_t generation; /* set by the writer */
    struct log_mark mark;
    uint64_t root_height; /* newest height whose state root is known here */
    uint8_t root[HASH_BYTES];
};

void head_encode(const struct head *head, const uint8_t chain_id[HASH_BYTES],
                 uint8_t out[HEAD_SLOT_BYTES]);

/* head_decode takes the newer valid one of both slots. `bytes` is the file, `count` its length up
 * to 2 * HEAD_SLOT_BYTES. STATUS_NOT_FOUND: no valid slot; STATUS_WRONG_CHAIN: the newest valid slot
 * is another chain's. */
MUST_CHECK enum status head_decode(const uint8_t *bytes, size_t count,
                                   const uint8_t chain_id[HASH_BYTES], struct head *head);

/* head_read reads the file in the log directory `dir`; any thread, any process.
 * STATUS_NOT_FOUND: nothing was published yet. */
MUST_CHECK enum status head_read(struct io *io, const char *dir, const uint8_t chain_id[HASH_BYTES],
                                 struct head *head);

/* The writer, owned by the loop. At most one write is in flight. */
struct head_writer;

/* head_open opens or makes the file, both slots at their full length and its name durable, and
 * continues after the newest generation. The io outlives it. */
MUST_CHECK enum status head_open(struct head_writer **writer, struct io *io, const char *dir,
                                 const uint8_t chain_id[HASH_BYTES]);
void head_close(struct head_writer *writer);

/* head_set remembers what to publish next; a later call before the write replaces it. */
void head_set(struct head_writer *writer, const struct log_mark *mark, uint64_t root_height,
              const uint8_t root[HASH_BYTES]);

/* head_next_write: true if a slot is to be written and none is in flight; *op is filled for
 * io_submit. head_written takes the completed op back; a failure is final. */
bool head_next_write(struct head_writer *writer, struct io_op *op);
MUST_CHECK enum status head_written(struct head_writer *writer, const struct io_op *op);

/* head_settle writes and syncs what head_set left, blocking; nothing may be in flight. */
MUST_CHECK enum status head_settle(struct head_writer *writer);

/* head_published answers what readers see by now; false: nothing yet. */
bool head_published(const struct head_writer *writer, struct head *head);

#endif
