/* apply/evidence.h - proof that a validator signed what no honest one signs.
 *
 *   1  two votes of one round for different things
 *   2  two proposals of one round
 *   3  a vote of round v on a parent of round q, and a timeout of round t >= v that knows no
 *      certificate at or above q: the lock was not kept (consensus.md 4.17, E3)
 *
 * Self-contained: the validator set of the epoch is all that a judge needs. An honest key never
 * produces any of them, whatever crashes and restarts it sees.
 */
#ifndef CAIRN_APPLY_EVIDENCE_H
#define CAIRN_APPLY_EVIDENCE_H

#include "apply/vote.h"

enum evidence_kind { EVIDENCE_VOTES = 1, EVIDENCE_PROPOSALS = 2, EVIDENCE_LOCK = 3 };

#define PROPOSAL_CLAIM_FIELDS(F)                                                                   \
    F(HASH, _, id, 0, 0, NONE, "the block proposed")                                               \
    F(SIGNATURE, _, signature, 0, 0, NONE, "over the PROPOSAL bytes")
SCHEMA_DECLARE(proposal_claim, PROPOSAL_CLAIM_FIELDS)

#define EVIDENCE_FIELDS(F)                                                                         \
    F(U8, _, kind, 1, 3, NONE, "1 votes, 2 proposals, 3 lock")                                     \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch of the offence")                                  \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "round of the first statement")                         \
    F(U16, _, offender, 0, VALIDATORS_MAX - 1, NONE, "index in the set of that epoch")             \
    F(OPTION, vote, vote, 0, 0, NONE, "kinds 1 and 3")                                             \
    F(OPTION, vote, vote_again, 0, 0, NONE, "kind 1")                                              \
    F(OPTION, proposal_claim, proposal, 0, 0, NONE, "kind 2")                                      \
    F(OPTION, proposal_claim, proposal_again, 0, 0, NONE, "kind 2")                                \
    F(OPTION, timeout, timeout, 0, 0, NONE, "kind 3")
SCHEMA_DECLARE(evidence, EVIDENCE_FIELDS)

/* evidence_check: the statements are there, are of the offender, and contradict each other; two of one
 * kind stand in ascending order of their bytes. STATUS_BAD_PROOF. */
MUST_CHECK enum status evidence_check(const struct evidence *evidence);

/* evidence_verify: evidence_check, then the signatures. STATUS_BAD_SIGNATURE. evidence_verify_key is the
 * same for who knows the offender's key. */
MUST_CHECK enum status evidence_verify_key(const struct evidence *evidence, const uint8_t key[32],
                                           const uint8_t genesis_id[HASH_BYTES]);
MUST_CHECK enum status evidence_verify(const struct evidence *evidence,
                                       const struct validator_set *set,
                                       const uint8_t genesis_id[HASH_BYTES]);

#endif
