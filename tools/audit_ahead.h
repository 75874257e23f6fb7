/* tools/audit_ahead.h - the blocks of a log, read ahead while their signatures are verified.
 *
 * One thread reads: it keeps up to AHEAD_BLOCKS blocks in memory and gives their transactions to a
 * verify pool (replica/verify.h), so that the pool has work while the owner folds. Blocks come out in
 * order of height, each with all its verdicts; a fault of reading comes out where its block would be.
 * So what the owner sees does not depend on threads.
 */
#ifndef CAIRN_TOOLS_AUDIT_AHEAD_H
#define CAIRN_TOOLS_AUDIT_AHEAD_H

#include "log/block.h"
#include "log/chain.h"

#define AHEAD_BLOCKS 8

struct ahead;

struct ahead_block {
    enum status status; /* of reading; anything but STATUS_OK: nothing else is set */
    bool opened; /* block_open's verdict is open_status; block and id are set if it is good */
    enum status open_status;
    struct chain_record record;
    struct block block;
    uint8_t id[HASH_BYTES];
    const uint8_t
        *verdicts; /* [commands]: enum status of the signatures of each; NULL: not verified */
};

/* ahead_open begins at height `first`; `reader` and genesis_id are borrowed.
 *   threads   that verify, 0: none, verdicts stay NULL
 * STATUS_NO_MEMORY. */
MUST_CHECK enum status ahead_open(struct ahead **ahead, struct chain_reader *reader,
                                  const uint8_t genesis_id[HASH_BYTES], unsigned threads,
                                  uint64_t first, uint64_t last);
void ahead_close(struct ahead *ahead);

/* ahead_next answers the next block, waiting for its verdicts. It is good until the next call. */
const struct ahead_block *ahead_next(struct ahead *ahead);

#endif
