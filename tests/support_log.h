/* tests/support_log.h - blocks for tests of the chain log, and what drives its writer.
 *
 * Blocks have correct ids, parents, roots and counts, but commands of random bytes: the log does not
 * know what a transaction means. Everything comes from the block's height, so that two runs make
 * the same bytes. A failure of the machinery aborts.
 */
#ifndef CAIRN_TESTS_SUPPORT_LOG_H
#define CAIRN_TESTS_SUPPORT_LOG_H

#include "log/chain.h"
#include "log/io.h"

struct log_block {
    uint8_t *bytes; /* owned */
    size_t count;
    uint8_t id[HASH_BYTES];
    uint32_t command_count;
};

struct log_blocks {
    struct log_block *at; /* [count + 1], by height; 0 is the genesis, without bytes */
    uint64_t count;
};

extern const uint8_t LOG_CHAIN_ID[HASH_BYTES];

/* log_blocks_make makes blocks 1..count; a new epoch begins every epoch_blocks of them. Each has up
 * to commands_max commands of up to command_length_max bytes. */
void log_blocks_make(struct log_blocks *blocks, uint64_t count, uint64_t epoch_blocks,
                     uint32_t commands_max, uint32_t command_length_max);
void log_blocks_free(struct log_blocks *blocks);

/* log_side_body: what the tests call receipts or events of a height: up to 300 bytes. */
struct bytes log_side_body(enum segment_kind kind, uint64_t height, uint8_t out[300],
                           uint32_t *count);

/* log_append_block, log_append_sides: the next block; receipts and events as far as the chain is. */
enum status log_append_block(struct chain *chain, const struct log_blocks *blocks,
                             uint64_t segment_bytes);
enum status log_append_sides(struct chain *chain, const struct log_blocks *blocks);

/* log_pump performs what the writer asks for by blocking calls, all writes before the syncs, then
 * publishes the durable mark. */
enum status log_pump(struct io *io, struct chain *chain, struct head_writer *head);

/* log_pump_async submits and polls until nothing is asked for. */
enum status log_pump_async(struct io *io, struct chain *chain, struct head_writer *head);

/* log_check_entry aborts the test unless the record is this block's entry of that kind. */
void log_check_entry(const struct log_blocks *blocks, enum segment_kind kind,
                     const struct chain_record *record);

#endif
