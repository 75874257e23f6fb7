/* tests/support_validators.h - validators with their secrets, and what they sign. */
#ifndef CAIRN_TESTS_SUPPORT_VALIDATORS_H
#define CAIRN_TESTS_SUPPORT_VALIDATORS_H

#include "apply/evidence.h"
#include "replica/certificate.h"

struct signers {
    struct validator_set set;
    uint8_t secret[VALIDATORS_MAX][64];
};

/* signers_make: keys in ascending order out of the seeds first, first + 1 ..., all of the same power. */
void signers_make(struct signers *made, uint8_t first, uint32_t count, uint64_t power);

/* Each signs as the validator of that index. */
void sign_vote(const struct signers *made, const uint8_t genesis_id[HASH_BYTES], struct vote *vote,
               uint16_t voter);
void sign_timeout(const struct signers *made, const uint8_t genesis_id[HASH_BYTES],
                  struct timeout *timeout, uint16_t voter);
void sign_proposal(const struct signers *made, const uint8_t genesis_id[HASH_BYTES], uint64_t epoch,
                   uint64_t round, struct proposal_claim *claim, uint16_t proposer);

/* sign_qc: a QC for `vote` by the validators whose bits are set, a quorum. */
void sign_qc(const struct signers *made, const uint8_t genesis_id[HASH_BYTES], struct vote vote,
             uint32_t voters, struct qc_store *store);

#endif
