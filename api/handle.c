#include "api/handle.h"

const struct shape *handle_shape_at(size_t index)
{
    static const struct shape *const SHAPES[] = {
        &error_code_shape,  &status_shape,          &genesis_view_shape, &params_view_shape,
        &supply_view_shape, &validator_shape,       &consensus_shape,    &fees_shape,
        &mempool_shape,     &block_summary_shape,   &block_view_shape,   &block_tx_shape,
        &event_view_shape,  &commit_vote_shape,     &commit_shape,       &tx_location_shape,
        &tx_status_shape,   &submission_shape,      &batch_shape,        &refusal_shape,
        &simulation_shape,  &account_balance_shape, &account_shape,      &account_summary_shape,
        &event_line_shape,  &notice_shape,          &log_block_shape,    &state_proof_shape,
        &tx_proof_shape,    &search_hit_shape,      &light_proof_shape,  &peer_shape,
        &offender_shape,
    };
    return index < sizeof SHAPES / sizeof SHAPES[0] ? SHAPES[index] : NULL;
}
