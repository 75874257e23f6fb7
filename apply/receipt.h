/* apply/receipt.h - one line for each transaction of a block, and the root over them.
 *
 * A block of n commands has n + 1 receipts: the last is the block's own, with a zero id, for the
 * events of the chain itself. The receipts' events follow each other in the block's events: those of
 * receipt i start where the counts of the receipts before it end. The prefix of a leaf and a receipt
 * without events fill one block of SHA-256, padding included.
 *
 * receipts_root = RFC 6962 root; entry i = receipt bytes | bytes of its events, so that a receipt
 * commits to its events. It is a record of the state and, with the block id, a leaf of the frontier
 * (apply/tables.h): receipts and events of any height can be proven under a later root.
 */
#ifndef CAIRN_APPLY_RECEIPT_H
#define CAIRN_APPLY_RECEIPT_H

#include "apply/event.h"
#include "apply/outcome.h"

#define RECEIPTS_MAX (BLOCK_COMMANDS_MAX + 1)

#define RECEIPT_FIELDS(F)                                                                          \
    F(HASH, _, tx_id, 0, 0, NONE, "the transaction; zero for the block itself")                    \
    F(U16, _, outcome, 0, UINT16_MAX, NONE, "number of the outcome")                               \
    F(U64, _, gas, 0, UINT64_MAX, GAS, "gas used, 0 if unpaid")                                    \
    F(U64, _, fee, 0, AMOUNT_MAX, BASE, "fee taken, 0 if unpaid")                                  \
    F(U32, _, event_count, 0, EVENTS_MAX, COUNT, "how many events are its own")
SCHEMA_DECLARE(receipt, RECEIPT_FIELDS)

#define BLOCK_RECEIPTS_FIELDS(F)                                                                   \
    F(U64, _, height, 1, UINT64_MAX, HEIGHT, "height of the block")                                \
    F(HASH, _, block_id, 0, 0, NONE, "its id")                                                     \
    F(LIST, receipt, receipts, 1, RECEIPTS_MAX, NONE, "in order; the last is the block's own")
SCHEMA_DECLARE(block_receipts, BLOCK_RECEIPTS_FIELDS)

/* receipts_root_of computes the root from a block's receipts and events. STATUS_CORRUPT: their runs
 * of events do not fit together; STATUS_NO_MEMORY. */
MUST_CHECK enum status receipts_root_of(const struct block_receipts *receipts,
                                        const struct block_events *events,
                                        uint8_t root[HASH_BYTES]);

/* receipt_leaf is the leaf hash of one receipt; `events` are the bytes of its events.
 * STATUS_NO_MEMORY. */
MUST_CHECK enum status receipt_leaf(struct bytes receipt, struct bytes events,
                                    uint8_t leaf[HASH_BYTES]);

#endif
