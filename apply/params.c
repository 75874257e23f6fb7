#include "apply/params.h"

#include "apply/operation.h"

/* What stands around a body: header, justification with two full certificates, framing. */
#define BLOCK_OVERHEAD_BYTES 32768

_Static_assert(header_bytes_max + justify_bytes_max <= BLOCK_OVERHEAD_BYTES,
               "a segment that holds the longest body holds the longest block");

SCHEMA_DEFINE(params, PARAMS_FIELDS, "parameters of a chain, frozen for an epoch")

void params_default(struct params *params)
{
    *params = (struct params){
        .block_interval_us = 1000000,
        .heartbeat_us = 5000000,
        .block_bytes_max = 1024 * 1024,
        .block_gas_max = 2000000000,
        .tx_bytes_max = 16384,
        .valid_until_max_blocks = 100000,
        .uncommitted_max = 32,
        .epoch_span_us = UINT64_C(3600000000),
        .epoch_blocks_min = 64,
        .segment_bytes = 64 * 1024 * 1024,
        .state_records_max = 100000000,
        .gas_price_min = 1,
        .gas_tx = 10000,
        .gas_byte = 20,
        .gas_signature = 3000,
        .gas_transfer = 4000,
        .gas_set_power = 4000,
        .evidence_epochs_max = 14,
        .fee_burn_bps = 5000,
        .fee_stakers_bps = 4000,
        .fee_proposer_bps = 500,
        .fee_treasury_bps = 500,
    };
}

const char *params_check(const struct params *params)
{
#define IN_RANGE(kind, type, name, lo, hi, unit, text)                                             \
    if ((uint64_t)params->name - (lo) > (uint64_t)(hi) - (lo)) return "range";
    PARAMS_FIELDS(IN_RANGE)
#undef IN_RANGE
    unsigned shares = (unsigned)params->fee_burn_bps + params->fee_stakers_bps +
                      params->fee_proposer_bps + params->fee_treasury_bps;
    if (shares != BASIS_POINTS) return "fee_shares_sum";
    /* A command stands in the body behind two list counts and its own length. */
    if (params->tx_bytes_max + 8 > params->block_bytes_max) return "tx_fits_block";
    if ((uint64_t)params->block_bytes_max + BLOCK_OVERHEAD_BYTES > params->segment_bytes)
        return "block_fits_segment";
    if (params->heartbeat_us < params->block_interval_us) return "heartbeat_above_interval";
    uint64_t dearest = 0;
#define X(number, upper, record, gas)                                                              \
    if (params->gas > dearest) dearest = params->gas;
    OPERATION_LIST(X)
#undef X
    /* The dearest transaction fits a block, or it would pay an honest fee and wait for ever. */
    u128 gas = params->gas_tx + (u128)params->tx_bytes_max * params->gas_byte +
               (u128)16 * params->gas_signature + (u128)64 * dearest;
    if (gas > params->block_gas_max) return "tx_gas_fits_block";
    return NULL;
}
