#include "apply/evidence.h"

#include "log/signature.h"

SCHEMA_DEFINE(proposal_claim, PROPOSAL_CLAIM_FIELDS, "a signed proposal")
SCHEMA_DEFINE(evidence, EVIDENCE_FIELDS, "proof of an offence")

static bool votes_contradict(const struct evidence *e)
{
    if (!e->has_vote || !e->has_vote_again || e->has_proposal || e->has_proposal_again ||
        e->has_timeout) {
        return false;
    }
    const struct vote *a = &e->vote, *b = &e->vote_again;
    return a->epoch == e->epoch && b->epoch == e->epoch && a->round == e->round &&
           b->round == e->round && a->voter == e->offender && b->voter == e->offender &&
           vote_compare(a, b) < 0;
}

static bool proposals_contradict(const struct evidence *e)
{
    if (!e->has_proposal || !e->has_proposal_again || e->has_vote || e->has_vote_again ||
        e->has_timeout) {
        return false;
    }
    return memcmp(e->proposal.id, e->proposal_again.id, HASH_BYTES) < 0;
}

static bool lock_was_broken(const struct evidence *e)
{
    if (!e->has_vote || !e->has_timeout || e->has_vote_again || e->has_proposal ||
        e->has_proposal_again) {
        return false;
    }
    return e->vote.epoch == e->epoch && e->timeout.epoch == e->epoch && e->vote.round == e->round &&
           e->vote.voter == e->offender && e->timeout.voter == e->offender &&
           e->timeout.round >= e->vote.round && e->timeout.hqc_round < e->vote.parent_round;
}

enum status evidence_check(const struct evidence *evidence)
{
    switch (evidence->kind) {
    case EVIDENCE_VOTES: return votes_contradict(evidence) ? STATUS_OK : STATUS_BAD_PROOF;
    case EVIDENCE_PROPOSALS: return proposals_contradict(evidence) ? STATUS_OK : STATUS_BAD_PROOF;
    case EVIDENCE_LOCK: return lock_was_broken(evidence) ? STATUS_OK : STATUS_BAD_PROOF;
    default: return STATUS_BAD_PROOF;
    }
}

static bool vote_holds(const struct vote *vote, const uint8_t key[32],
                       const uint8_t genesis_id[HASH_BYTES])
{
    uint8_t message[VOTE_SIGNED_BYTES];
    vote_signed_bytes(genesis_id, vote, message);
    return signature_verify(key, message, sizeof message, vote->signature);
}

static bool proposal_holds(const struct evidence *evidence, const struct proposal_claim *claim,
                           const uint8_t key[32], const uint8_t genesis_id[HASH_BYTES])
{
    uint8_t message[PROPOSAL_SIGNED_BYTES];
    proposal_signed_bytes(genesis_id, evidence->epoch, evidence->round, claim->id, message);
    return signature_verify(key, message, sizeof message, claim->signature);
}

static bool timeout_holds(const struct timeout *timeout, const uint8_t key[32],
                          const uint8_t genesis_id[HASH_BYTES])
{
    uint8_t message[TIMEOUT_SIGNED_BYTES];
    timeout_signed_bytes(genesis_id, timeout->epoch, timeout->round, timeout->hqc_round, message);
    return signature_verify(key, message, sizeof message, timeout->signature);
}

enum status evidence_verify_key(const struct evidence *evidence, const uint8_t key[32],
                                const uint8_t genesis_id[HASH_BYTES])
{
    TRY(evidence_check(evidence));
    bool holds;
    if (evidence->kind == EVIDENCE_PROPOSALS)
        holds = proposal_holds(evidence, &evidence->proposal, key, genesis_id) &&
                proposal_holds(evidence, &evidence->proposal_again, key, genesis_id);
    else if (evidence->kind == EVIDENCE_VOTES)
        holds = vote_holds(&evidence->vote, key, genesis_id) &&
                vote_holds(&evidence->vote_again, key, genesis_id);
    else
        holds = vote_holds(&evidence->vote, key, genesis_id) &&
                timeout_holds(&evidence->timeout, key, genesis_id);
    return holds ? STATUS_OK : STATUS_BAD_SIGNATURE;
}

enum status evidence_verify(const struct evidence *evidence, const struct validator_set *set,
                            const uint8_t genesis_id[HASH_BYTES])
{
    if (evidence->offender >= set->count) return STATUS_BAD_PROOF;
    return evidence_verify_key(evidence, set->key[evidence->offender], genesis_id);
}
