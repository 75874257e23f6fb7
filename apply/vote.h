/* apply/vote.h - what validators sign one by one: votes, timeouts, proposals; and the set that they are of.
 *
 * Certificates, and what follows from them, are replica's (replica/certificate.h). Votes and timeouts stand
 * here because a block may carry them: as evidence, or as votes that came too late for a certificate.
 *
 * Signed bytes = 8-byte tag | genesis id (32) | epoch u64 | round u64 | fields:
 *   "cairn pr" PROPOSAL   block id (32)
 *   "cairn vo" VOTE       block id (32), height u64, parent round u64, commit id (32), commit height u64
 *   "cairn to" TIMEOUT    round u64 of the highest QC
 * A vote signs the commit decision, so that one QC is a complete proof of commit.
 */
#ifndef CAIRN_APPLY_VOTE_H
#define CAIRN_APPLY_VOTE_H

#include "apply/genesis.h"
#include "log/block.h"

#define PROPOSAL_SIGNED_BYTES 88
#define VOTE_SIGNED_BYTES     144
#define TIMEOUT_SIGNED_BYTES  64

/* ---- validators ---- */

struct validator_set {
    uint32_t count;
    uint8_t key[VALIDATORS_MAX][32];
    uint64_t power[VALIDATORS_MAX];
    uint64_t total; /* the sum of power */
};

/* validator_set_check: 1..128 validators, keys strictly ascending, each power >= 1, `total` their
 * sum and at most POWER_TOTAL_MAX. STATUS_RANGE; STATUS_NONCANONICAL: order. */
MUST_CHECK enum status validator_set_check(const struct validator_set *set);

/* validator_set_find answers the index of a key, or -1. */
int validator_set_find(const struct validator_set *set, const uint8_t key[32]);

/* ---- votes and timeouts ---- */

#define VOTE_FIELDS(F)                                                                             \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch number")                                          \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "round of the block")                                   \
    F(HASH, _, block_id, 0, 0, NONE, "the block voted for")                                        \
    F(U64, _, height, 1, UINT64_MAX, HEIGHT, "its height")                                         \
    F(U64, _, parent_round, 0, UINT64_MAX, ROUND, "its parent's round")                            \
    F(HASH, _, commit_id, 0, 0, NONE, "its commit target, or zero")                                \
    F(U64, _, commit_height, 0, UINT64_MAX, HEIGHT, "height of commit_id, or zero")                \
    F(U16, _, voter, 0, VALIDATORS_MAX - 1, NONE, "index in the validator set")                    \
    F(SIGNATURE, _, signature, 0, 0, NONE, "over the VOTE bytes; zero while unsigned")
SCHEMA_DECLARE(vote, VOTE_FIELDS)

#define TIMEOUT_FIELDS(F)                                                                          \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch number")                                          \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "the round given up")                                   \
    F(U64, _, hqc_round, 0, UINT64_MAX, ROUND, "round of the highest QC known")                    \
    F(U16, _, voter, 0, VALIDATORS_MAX - 1, NONE, "index in the validator set")                    \
    F(SIGNATURE, _, signature, 0, 0, NONE, "over the TIMEOUT bytes; zero while unsigned")
SCHEMA_DECLARE(timeout, TIMEOUT_FIELDS)

void proposal_signed_bytes(const uint8_t genesis_id[HASH_BYTES], uint64_t epoch, uint64_t round,
                           const uint8_t block_id[HASH_BYTES], uint8_t out[PROPOSAL_SIGNED_BYTES]);
void vote_signed_bytes(const uint8_t genesis_id[HASH_BYTES], const struct vote *vote,
                       uint8_t out[VOTE_SIGNED_BYTES]);
void timeout_signed_bytes(const uint8_t genesis_id[HASH_BYTES], uint64_t epoch, uint64_t round,
                          uint64_t hqc_round, uint8_t out[TIMEOUT_SIGNED_BYTES]);

/* vote_compare orders what votes say - block, height, parent round, commit - voter and signature aside:
 * 0 if they say the same, else the sign of the first difference in the order of the declaration. */
int vote_compare(const struct vote *a, const struct vote *b);

#endif
