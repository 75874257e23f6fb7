/* apply/params.h - what a chain can be told, with the range of each value.
 *
 * Parameters are part of the state and frozen for an epoch: a change takes effect at the next
 * epoch's base, and its hash is announced with the validator set (next_set_hash). Ranges are
 * checked by the codec, rules between values by params_check.
 */
#ifndef CAIRN_APPLY_PARAMS_H
#define CAIRN_APPLY_PARAMS_H

#include "log/amount.h"
#include "log/block.h"
#include "log/schema.h"

#define GAS_UNIT_MAX  100000000 /* of a byte, a signature, an operation, a transaction */
#define GAS_PRICE_MAX 1000000   /* base units */

#define EVIDENCE_EPOCHS_MAX 31 /* the sets of as many past epochs are kept (apply/tables.h) */

#define PARAMS_FIELDS(F)                                                                           \
    F(U64, _, block_interval_us, 0, 60000000, US, "least time between a block and its parent")     \
    F(U64, _, heartbeat_us, 100000, 600000000, US, "an idle chain makes a block this often")       \
    F(U32, _, block_bytes_max, 4096, BLOCK_BYTES_MAX, BYTE, "longest block body")                  \
    F(U64, _, block_gas_max, 1, 1000000000000000, GAS, "gas that one block may use")               \
    F(U32, _, tx_bytes_max, 512, COMMAND_BYTES_MAX, BYTE, "longest transaction")                   \
    F(U64, _, valid_until_max_blocks, 16, 10000000, BLOCKS, "how far ahead expiry may lie")        \
    F(U32, _, uncommitted_max, 4, 64, BLOCKS, "rounds above the commit head with bodies")          \
    F(U64, _, epoch_span_us, 0, 2592000000000, US, "least time of an epoch")                       \
    F(U64, _, epoch_blocks_min, 4, 10000000, BLOCKS, "least blocks of an epoch")                   \
    F(U32, _, segment_bytes, 65536, 1073741824, BYTE, "where a segment of the chain log ends")     \
    F(U64, _, state_records_max, 1024, 4294967295, COUNT, "records that the state may hold")       \
    F(U64, _, gas_price_min, 0, GAS_PRICE_MAX, BASE, "least price of one gas")                     \
    F(U64, _, gas_tx, 0, GAS_UNIT_MAX, GAS, "for each transaction")                                \
    F(U64, _, gas_byte, 0, GAS_UNIT_MAX, GAS, "for each byte of a transaction")                    \
    F(U64, _, gas_signature, 0, GAS_UNIT_MAX, GAS, "for each signature")                           \
    F(U64, _, gas_transfer, 0, GAS_UNIT_MAX, GAS, "for each transfer")                             \
    F(U16, _, fee_burn_bps, 0, 10000, BPS, "share of the fees that is burned")                     \
    F(U16, _, fee_stakers_bps, 0, 10000, BPS, "share of the fees for the reward pool")             \
    F(U16, _, fee_proposer_bps, 0, 10000, BPS, "share of the fees for the proposer")               \
    F(U16, _, fee_treasury_bps, 0, 10000, BPS, "share of the fees for the treasury")               \
    F(U64, _, gas_set_power, 0, GAS_UNIT_MAX, GAS, "for each set_power")                           \
    F(U16, _, dev_operations, 0, 1, NONE, "1: operations for development networks are allowed")    \
    F(U16, _, evidence_epochs_max, 1, EVIDENCE_EPOCHS_MAX, COUNT,                                  \
      "epochs after an offence in which it can be recorded")
SCHEMA_DECLARE(params, PARAMS_FIELDS)

/* params_default fills the values of a main network (1 s blocks of 1 MiB). */
void params_default(struct params *params);

/* params_check holds the rules between values. NULL: they hold; else the name of the first broken
 * rule, a static string ("fee_shares_sum", ...). Values outside their range answer "range". */
const char *params_check(const struct params *params);

#endif
