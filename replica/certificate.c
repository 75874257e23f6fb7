#include "replica/certificate.h"

#include <assert.h>

#include "log/signature.h"

/* ---- validators ---- */

uint64_t quorum_weight(const struct validator_set *set)
{
    assert(set->total >= 1 && set->total <= POWER_TOTAL_MAX);
    return 2 * set->total / 3 + 1;
}

uint64_t blocking_weight(const struct validator_set *set)
{
    return set->total - quorum_weight(set) + 1;
}

void leader_table_build(const struct validator_set *set, const uint8_t base_id[HASH_BYTES],
                        uint8_t table[LEADER_SLOTS])
{
    /* A credit stays within (-W, W], so that with W < 2^62 nothing overflows. */
    int64_t credit[VALIDATORS_MAX] = {0};
    uint8_t hash[HASH_BYTES];
    hash_bytes(HASH_LEADER, base_id, HASH_BYTES, hash);
    uint32_t shift = load_u32(hash) % LEADER_SLOTS;
    for (uint32_t slot = 0; slot < LEADER_SLOTS; slot++) {
        uint32_t best = 0;
        for (uint32_t i = 0; i < set->count; i++) {
            credit[i] += (int64_t)set->power[i];
            if (credit[i] > credit[best]) best = i;
        }
        credit[best] -= (int64_t)set->total;
        table[(slot + LEADER_SLOTS - shift) % LEADER_SLOTS] = (uint8_t)best;
    }
}

uint16_t leader_of(const uint8_t table[LEADER_SLOTS], uint64_t round)
{
    return table[round % LEADER_SLOTS];
}

/* ---- votes to certificates ---- */

void vote_group_start(struct vote_group *group, const struct vote *first)
{
    memset(group, 0, sizeof *group);
    group->vote = *first;
}

bool vote_group_add(struct vote_group *group, const struct validator_set *set,
                    const struct vote *vote)
{
    if (vote->voter >= set->count || group->present[vote->voter]) return false;
    if (vote_compare(&group->vote, vote) != 0) return false;
    group->present[vote->voter] = true;
    memcpy(group->signature[vote->voter], vote->signature, 64);
    group->weight += set->power[vote->voter];
    assert(group->weight <= set->total);
    return true;
}

void vote_group_certify(const struct vote_group *group, const struct validator_set *set,
                        struct qc_store *store)
{
    assert(group->weight >= quorum_weight(set));
    uint8_t bitmap[VALIDATORS_MAX / 8] = {0};
    uint8_t signatures[VALIDATORS_MAX * 64];
    struct qc qc = {.epoch = group->vote.epoch,
                    .round = group->vote.round,
                    .height = group->vote.height,
                    .parent_round = group->vote.parent_round,
                    .commit_height = group->vote.commit_height,
                    .bitmap = {bitmap, (set->count + 7) / 8},
                    .signatures = {signatures, 0, 0}};
    memcpy(qc.block_id, group->vote.block_id, HASH_BYTES);
    memcpy(qc.commit_id, group->vote.commit_id, HASH_BYTES);
    for (uint32_t i = 0; i < set->count; i++) {
        if (!group->present[i]) continue;
        bitmap[i / 8] = (uint8_t)(bitmap[i / 8] | 1u << (i % 8));
        memcpy(signatures + qc.signatures.bytes, group->signature[i], 64);
        qc.signatures.bytes += 64;
        qc.signatures.count++;
    }
    qc_keep(store, &qc);
    enum status status = qc_check(&store->qc, set);
    assert(status == STATUS_OK);
}

void qc_keep(struct qc_store *store, const struct qc *qc)
{
    enum status status = qc_encode(qc, store->bytes, sizeof store->bytes, &store->count);
    assert(status == STATUS_OK);
    status = qc_decode(store->bytes, store->count, &store->qc);
    assert(status == STATUS_OK);
}

void tc_keep(struct tc_store *store, const struct tc *tc)
{
    enum status status = tc_encode(tc, store->bytes, sizeof store->bytes, &store->count);
    assert(status == STATUS_OK);
    status = tc_decode(store->bytes, store->count, &store->tc);
    assert(status == STATUS_OK);
}

void qc_vote(const struct qc *qc, struct vote *vote)
{
    *vote = (struct vote){.epoch = qc->epoch,
                          .round = qc->round,
                          .height = qc->height,
                          .parent_round = qc->parent_round,
                          .commit_height = qc->commit_height};
    memcpy(vote->block_id, qc->block_id, HASH_BYTES);
    memcpy(vote->commit_id, qc->commit_id, HASH_BYTES);
}

static bool hash_is_zero(const uint8_t hash[HASH_BYTES])
{
    static const uint8_t ZERO[HASH_BYTES];
    return memcmp(hash, ZERO, HASH_BYTES) == 0;
}

enum status qc_check(const struct qc *qc, const struct validator_set *set)
{
    if (qc->bitmap.count != (set->count + 7) / 8) return STATUS_BAD_PROOF;
    uint64_t weight = 0;
    uint32_t signers = 0;
    for (uint32_t i = 0; i < qc->bitmap.count * 8; i++) {
        if (!(qc->bitmap.at[i / 8] >> (i % 8) & 1)) continue;
        if (i >= set->count) return STATUS_BAD_PROOF;
        weight += set->power[i];
        signers++;
    }
    if (signers != qc->signatures.count || weight < quorum_weight(set)) return STATUS_BAD_PROOF;
    if (qc->parent_round >= qc->round) return STATUS_BAD_PROOF;
    if (hash_is_zero(qc->commit_id)) return qc->commit_height == 0 ? STATUS_OK : STATUS_BAD_PROOF;
    bool consecutive = qc->parent_round >= 1 && qc->parent_round + 1 == qc->round;
    return consecutive && qc->commit_height >= 1 && qc->commit_height < qc->height
               ? STATUS_OK
               : STATUS_BAD_PROOF;
}

enum status qc_verify(const struct qc *qc, const struct validator_set *set,
                      const uint8_t genesis_id[HASH_BYTES])
{
    TRY(qc_check(qc, set));
    struct vote vote;
    qc_vote(qc, &vote);
    uint8_t message[VOTE_SIGNED_BYTES];
    vote_signed_bytes(genesis_id, &vote, message);
    const uint8_t *signature = qc->signatures.at;
    for (uint32_t i = 0; i < set->count; i++) {
        if (!(qc->bitmap.at[i / 8] >> (i % 8) & 1)) continue;
        if (!signature_verify(set->key[i], message, sizeof message, signature)) {
            return STATUS_BAD_SIGNATURE;
        }
        signature += 64;
    }
    return STATUS_OK;
}

/* ---- timeout certificates ---- */

enum status tc_check(const struct tc *tc, const struct validator_set *set, uint64_t *max_hqc)
{
    uint64_t weight = 0;
    int32_t last = -1;
    *max_hqc = 0;
    struct reader r = list_reader(&tc->entries);
    for (uint32_t i = 0; i < tc->entries.count; i++) {
        struct tc_entry entry;
        tc_entry_read(&r, &entry);
        assert(r.status == STATUS_OK);
        if (entry.voter <= last || entry.voter >= set->count) return STATUS_BAD_PROOF;
        if (entry.hqc_round >= tc->round) return STATUS_BAD_PROOF;
        last = entry.voter;
        weight += set->power[entry.voter];
        if (entry.hqc_round > *max_hqc) *max_hqc = entry.hqc_round;
    }
    return weight >= quorum_weight(set) ? STATUS_OK : STATUS_BAD_PROOF;
}

enum status tc_verify(const struct tc *tc, const struct validator_set *set,
                      const uint8_t genesis_id[HASH_BYTES], uint64_t *max_hqc)
{
    TRY(tc_check(tc, set, max_hqc));
    struct reader r = list_reader(&tc->entries);
    for (uint32_t i = 0; i < tc->entries.count; i++) {
        struct tc_entry entry;
        tc_entry_read(&r, &entry);
        uint8_t message[TIMEOUT_SIGNED_BYTES];
        timeout_signed_bytes(genesis_id, tc->epoch, tc->round, entry.hqc_round, message);
        if (!signature_verify(set->key[entry.voter], message, sizeof message, entry.signature)) {
            return STATUS_BAD_SIGNATURE;
        }
    }
    return STATUS_OK;
}
