/* replica/system.h - evidence and late votes on their way into a block, and what a voter asks of them.
 *
 * A proposer keeps evidence in a pool until the state has it, and puts what is new into its bodies. What a
 * voter asks depends on the epoch alone - its parameters, and the sets of it and of those before - not on how
 * far the voter has executed, so that all of them answer alike. Evidence that the state has already is
 * therefore no fault of a block; it has no effect (apply/offence.h).
 */
#ifndef CAIRN_REPLICA_SYSTEM_H
#define CAIRN_REPLICA_SYSTEM_H

#include "apply/ledger.h"
#include "apply/system.h"
#include "replica/certificate.h"

/* ---- what a voter asks ---- */

/* A system record whose signatures are still to be verified. */
struct system_item {
    enum system_kind kind;
    uint8_t key[32];   /* that must have signed */
    struct bytes body; /* borrows the block */
};

/* system_check holds the rules of a body's system records but for signatures: known kinds, no more of each
 * than a block may carry, canonical bytes; evidence that contradicts itself, of an epoch within
 * evidence_epochs_max; late votes of the block's epoch; validators that exist.
 *   epoch  of the block; its base is executed
 *   items  [SYSTEM_RECORDS_MAX], receives *count of them
 * STATUS_BAD_PROOF: the block gets no vote. */
MUST_CHECK enum status system_check(const struct ledger *ledger, uint64_t epoch,
                                    const struct list *system, struct system_item *items,
                                    uint32_t *count);

/* system_verify: the signatures of one hold. Pure, for any thread. STATUS_BAD_SIGNATURE. */
MUST_CHECK enum status system_verify(const struct system_item *item,
                                     const uint8_t genesis_id[HASH_BYTES]);

/* ---- what a proposer does ---- */

#define SYSTEM_BYTES_MAX                                                                           \
    (SYSTEM_EVIDENCE_MAX * (4 + evidence_bytes_max) + SYSTEM_LATE_VOTES_MAX * (4 + vote_bytes_max))

/* System records for one body, evidence first. */
struct system_batch {
    uint8_t evidence[SYSTEM_EVIDENCE_MAX * (4 + evidence_bytes_max)];
    uint8_t late_votes[SYSTEM_LATE_VOTES_MAX * (4 + vote_bytes_max)];
    size_t evidence_bytes, late_vote_bytes, bytes_max;
    uint32_t evidence_count, late_vote_count;
};

/* system_batch_init: at most `bytes_max` bytes of records, out of the room that the body has. */
void system_batch_init(struct system_batch *batch, size_t bytes_max);
size_t system_batch_bytes(const struct system_batch *batch);

/* Both answer false, and add nothing, when the block may carry no more. */
bool system_batch_add_evidence(struct system_batch *batch, const struct evidence *evidence);
bool system_batch_add_late_vote(struct system_batch *batch, const struct vote *vote);

/* body_with_system puts the batch into a body that has no system records (mempool_pick). Late votes alone
 * are left out: a block with nothing but them would keep an idle chain from resting. STATUS_FULL: `capacity`
 * is too small. */
MUST_CHECK enum status body_with_system(const struct system_batch *batch, struct bytes body,
                                        uint8_t *out, size_t capacity, size_t *count);

/* qc_omits: the vote is for what the certificate certifies, and the certificate does not hold it. */
bool qc_omits(const struct qc *qc, const struct vote *vote);

/* ---- evidence that waits ---- */

#define EVIDENCE_POOL_MAX 64

struct evidence_pool {
    uint32_t count;
    struct evidence at[EVIDENCE_POOL_MAX]; /* oldest first */
};

/* evidence_pool_add takes evidence that was verified. False: it waits already, or the pool is full. */
bool evidence_pool_add(struct evidence_pool *pool, const struct evidence *evidence);

/* evidence_pool_pick drops what the state has or will never take, and adds what is left to the batch. */
void evidence_pool_pick(struct evidence_pool *pool, const struct ledger *ledger,
                        struct system_batch *batch);

#endif
