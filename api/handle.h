/* api/handle.h - the handlers behind the route table (api/route.c) and the shapes of their answers.
 *
 * A handler runs on a thread of the server's pool. It may hold the node's read lock for one small read
 * and waits for nothing: what takes time parks the request (api/request.h).
 */
#ifndef CAIRN_API_HANDLE_H
#define CAIRN_API_HANDLE_H

#include "api/request.h"

#define HANDLE_BATCH_MAX 512 /* transactions of one POST */

/* handle_health.c */
void handle_livez(struct request *request);
void handle_readyz(struct request *request);
void handle_startupz(struct request *request);
void handle_page(struct request *request);
void handle_openapi(struct request *request);
void handle_errors(struct request *request);
void handle_error(struct request *request);
extern const struct shape error_code_shape;

/* handle_chain.c */
void handle_status(struct request *request);
void handle_genesis(struct request *request);
void handle_params(struct request *request);
void handle_supply(struct request *request);
void handle_validators(struct request *request);
void handle_consensus(struct request *request);
void handle_peers(struct request *request);
void handle_fees(struct request *request);
void handle_mempool(struct request *request);
extern const struct shape status_shape, genesis_view_shape, supply_view_shape, validator_shape,
    consensus_shape, fees_shape, mempool_shape, params_view_shape, peer_shape;

/* handle_block.c */
void handle_blocks(struct request *request);
void handle_block(struct request *request);
void handle_block_txs(struct request *request);
void handle_block_events(struct request *request);
void handle_block_commit(struct request *request);
extern const struct shape block_summary_shape, block_view_shape, block_tx_shape, event_view_shape,
    commit_shape, commit_vote_shape;

/* handle_tx.c */
void handle_tx(struct request *request);
extern const struct shape tx_status_shape, tx_location_shape;

/* handle_submit.c */
void handle_submit(struct request *request);
void handle_batch(struct request *request);
extern const struct shape submission_shape, batch_shape, refusal_shape;

/* handle_simulate.c */
void handle_simulate(struct request *request);
extern const struct shape simulation_shape;

/* handle_account.c */
void handle_accounts(struct request *request);
void handle_account(struct request *request);
extern const struct shape account_shape, account_balance_shape, account_summary_shape;

/* handle_stream.c */
void handle_events(struct request *request);
void handle_notices(struct request *request);
extern const struct shape event_line_shape, notice_shape;

/* handle_log.c */
void handle_log_blocks(struct request *request);
extern const struct shape log_block_shape;

/* handle_proof.c */
void handle_proof_state(struct request *request);
void handle_proof_tx(struct request *request);
void handle_search(struct request *request);
extern const struct shape state_proof_shape, tx_proof_shape, search_hit_shape;

/* handle_evidence.c */
void handle_evidence(struct request *request);
extern const struct shape offender_shape;

/* handle_light.c */
void handle_light(struct request *request);
extern const struct shape light_proof_shape;

/* handle_shape_at walks every shape above once; NULL past the end. */
const struct shape *handle_shape_at(size_t index);

#endif
