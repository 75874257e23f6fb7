#include "tests/support_validators.h"

#include "log/signature.h"
#include "tests/support_cmocka.h"

void signers_make(struct signers *made, uint8_t first, uint32_t count, uint64_t power)
{
    memset(made, 0, sizeof *made);
    assert_int_equal(hash_init(), STATUS_OK);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t seed[32] = {(uint8_t)(first + i)}, secret[64], key[32];
        signature_keypair(seed, secret, key);
        uint32_t at = i;
        while (at > 0 && memcmp(made->set.key[at - 1], key, 32) > 0) {
            memcpy(made->set.key[at], made->set.key[at - 1], 32);
            memcpy(made->secret[at], made->secret[at - 1], 64);
            at--;
        }
        memcpy(made->set.key[at], key, 32);
        memcpy(made->secret[at], secret, 64);
        made->set.power[i] = power;
    }
    made->set.count = count;
    made->set.total = power * count;
}

void sign_vote(const struct signers *made, const uint8_t genesis_id[HASH_BYTES], struct vote *vote,
               uint16_t voter)
{
    uint8_t message[VOTE_SIGNED_BYTES];
    vote_signed_bytes(genesis_id, vote, message);
    vote->voter = voter;
    signature_make(made->secret[voter], message, sizeof message, vote->signature);
}

void sign_timeout(const struct signers *made, const uint8_t genesis_id[HASH_BYTES],
                  struct timeout *timeout, uint16_t voter)
{
    uint8_t message[TIMEOUT_SIGNED_BYTES];
    timeout_signed_bytes(genesis_id, timeout->epoch, timeout->round, timeout->hqc_round, message);
    timeout->voter = voter;
    signature_make(made->secret[voter], message, sizeof message, timeout->signature);
}

void sign_proposal(const struct signers *made, const uint8_t genesis_id[HASH_BYTES], uint64_t epoch,
                   uint64_t round, struct proposal_claim *claim, uint16_t proposer)
{
    uint8_t message[PROPOSAL_SIGNED_BYTES];
    proposal_signed_bytes(genesis_id, epoch, round, claim->id, message);
    signature_make(made->secret[proposer], message, sizeof message, claim->signature);
}

void sign_qc(const struct signers *made, const uint8_t genesis_id[HASH_BYTES], struct vote vote,
             uint32_t voters, struct qc_store *store)
{
    struct vote_group group;
    vote_group_start(&group, &vote);
    for (uint16_t i = 0; i < made->set.count; i++) {
        if (!(voters >> i & 1)) continue;
        sign_vote(made, genesis_id, &vote, i);
        assert_true(vote_group_add(&group, &made->set, &vote));
    }
    vote_group_certify(&group, &made->set, store);
}
