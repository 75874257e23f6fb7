#include "apply/vote.h"

#include <assert.h>

SCHEMA_DEFINE(vote, VOTE_FIELDS, "vote for a block")
SCHEMA_DEFINE(timeout, TIMEOUT_FIELDS, "timeout of a round")

/* ---- validators ---- */

enum status validator_set_check(const struct validator_set *set)
{
    if (set->count == 0 || set->count > VALIDATORS_MAX) return STATUS_RANGE;
    uint64_t total = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        if (i > 0 && memcmp(set->key[i - 1], set->key[i], 32) >= 0) return STATUS_NONCANONICAL;
        if (set->power[i] == 0 || set->power[i] > POWER_TOTAL_MAX - total) {
            return STATUS_RANGE;
        }
        total += set->power[i];
    }
    return total == set->total ? STATUS_OK : STATUS_RANGE;
}

int validator_set_find(const struct validator_set *set, const uint8_t key[32])
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (memcmp(set->key[i], key, 32) == 0) return (int)i;
    }
    return -1;
}

/* ---- signed bytes ---- */

static struct writer signed_start(uint8_t *out, size_t count, const char tag[8],
                                  const uint8_t genesis_id[HASH_BYTES], uint64_t epoch,
                                  uint64_t round)
{
    struct writer w = writer_of(out, count);
    write_copy(&w, (const uint8_t *)tag, 8);
    write_copy(&w, genesis_id, HASH_BYTES);
    write_u64(&w, epoch);
    write_u64(&w, round);
    return w;
}

static void signed_end(const struct writer *w)
{
    assert(w->status == STATUS_OK && w->left == 0);
}

void proposal_signed_bytes(const uint8_t genesis_id[HASH_BYTES], uint64_t epoch, uint64_t round,
                           const uint8_t block_id[HASH_BYTES], uint8_t out[PROPOSAL_SIGNED_BYTES])
{
    struct writer w =
        signed_start(out, PROPOSAL_SIGNED_BYTES, "cairn pr", genesis_id, epoch, round);
    write_copy(&w, block_id, HASH_BYTES);
    signed_end(&w);
}

void vote_signed_bytes(const uint8_t genesis_id[HASH_BYTES], const struct vote *vote,
                       uint8_t out[VOTE_SIGNED_BYTES])
{
    struct writer w =
        signed_start(out, VOTE_SIGNED_BYTES, "cairn vo", genesis_id, vote->epoch, vote->round);
    write_copy(&w, vote->block_id, HASH_BYTES);
    write_u64(&w, vote->height);
    write_u64(&w, vote->parent_round);
    write_copy(&w, vote->commit_id, HASH_BYTES);
    write_u64(&w, vote->commit_height);
    signed_end(&w);
}

void timeout_signed_bytes(const uint8_t genesis_id[HASH_BYTES], uint64_t epoch, uint64_t round,
                          uint64_t hqc_round, uint8_t out[TIMEOUT_SIGNED_BYTES])
{
    struct writer w = signed_start(out, TIMEOUT_SIGNED_BYTES, "cairn to", genesis_id, epoch, round);
    write_u64(&w, hqc_round);
    signed_end(&w);
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

int vote_compare(const struct vote *a, const struct vote *b)
{
    int order = compare_u64(a->epoch, b->epoch);
    if (order == 0) order = compare_u64(a->round, b->round);
    if (order == 0) order = memcmp(a->block_id, b->block_id, HASH_BYTES);
    if (order == 0) order = compare_u64(a->height, b->height);
    if (order == 0) order = compare_u64(a->parent_round, b->parent_round);
    if (order == 0) order = memcmp(a->commit_id, b->commit_id, HASH_BYTES);
    if (order == 0) order = compare_u64(a->commit_height, b->commit_height);
    return order;
}
