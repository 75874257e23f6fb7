/* F3. Consensus messages: votes, timeouts, the records that keep them, and certificates judged by a
 * validator set, each against a plain second opinion; links of a chain never trip an assertion.
 *
 * Input: part (1), validators (1), powers (1), bytes of the part. */
#include "replica/certificate.h"
#include "replica/replica.h"
#include "tests/fuzz/records.h"

enum part {
    PART_VOTE,
    PART_TIMEOUT,
    PART_VOTE_RECORD,
    PART_CHECKPOINT,
    PART_QC,
    PART_TC,
    PART_GROUP,
    PART_CHAIN,
    PART_COUNT
};

#define FRONT_BYTES 3

RECORD_ROUND_TRIP(vote)
RECORD_ROUND_TRIP(timeout)
RECORD_ROUND_TRIP(vote_record)
RECORD_ROUND_TRIP(checkpoint_record)
RECORD_ROUND_TRIP(qc)
RECORD_ROUND_TRIP(tc)

#define POWER_MODES 4

static const uint8_t BASE_ID[HASH_BYTES] = {7};

static struct validator_set set;
static const uint8_t *leaders; /* of the set */

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
}

/* set_choose: 1..128 validators; equal powers, rising ones, one that weighs a third, the largest. */
static void set_choose(uint8_t count, uint8_t mode)
{
    memset(&set, 0, sizeof set);
    set.count = 1 + count % VALIDATORS_MAX;
    for (uint32_t i = 0; i < set.count; i++) {
        set.key[i][0] = (uint8_t)i;
        set.power[i] = mode % POWER_MODES == 0   ? 1
                       : mode % POWER_MODES == 1 ? i + 1
                       : mode % POWER_MODES == 2 ? (i == 0 ? set.count : 2)
                                                 : POWER_TOTAL_MAX / set.count;
        set.total += set.power[i];
    }
    REQUIRE(validator_set_check(&set) == STATUS_OK);
}

static bool is_quorum(u128 weight)
{
    return 3 * weight > 2 * (u128)set.total;
}

static bool is_zero(const uint8_t hash[HASH_BYTES])
{
    unsigned sum = 0;
    for (size_t i = 0; i < HASH_BYTES; i++) {
        sum |= hash[i];
    }
    return sum == 0;
}

/* leaders_choose: a table takes longer to build than anything else here, so that each is kept. */
static void leaders_choose(uint8_t mode)
{
    static uint8_t tables[VALIDATORS_MAX][POWER_MODES][LEADER_SLOTS];
    static bool built[VALIDATORS_MAX][POWER_MODES];
    uint32_t at = set.count - 1, kind = mode % POWER_MODES;
    if (!built[at][kind]) leader_table_build(&set, BASE_ID, tables[at][kind]);
    built[at][kind] = true;
    leaders = tables[at][kind];
}

/* ---- certificates ---- */

static bool qc_expected(const struct qc *qc)
{
    u128 weight = 0;
    uint32_t signers = 0;
    if (qc->bitmap.count * 8 < set.count || qc->bitmap.count * 8 >= set.count + 8) return false;
    for (uint32_t i = 0; i < qc->bitmap.count * 8; i++) {
        bool signs = (qc->bitmap.at[i / 8] & (1u << (i % 8))) != 0;
        if (signs && i >= set.count) return false;
        if (signs) weight += set.power[i];
        signers += signs;
    }
    bool counted = signers == qc->signatures.count && is_quorum(weight);
    bool rounds = qc->parent_round < qc->round;
    if (is_zero(qc->commit_id)) return counted && rounds && qc->commit_height == 0;
    return counted && qc->parent_round >= 1 && qc->round - qc->parent_round == 1 && rounds &&
           qc->commit_height >= 1 && qc->commit_height < qc->height;
}

static void check_one_qc(const uint8_t *bytes, size_t count)
{
    struct qc qc;
    struct qc_store store;
    if (!check_qc(bytes, count)) return;
    REQUIRE(qc_decode(bytes, count, &qc) == STATUS_OK);
    REQUIRE((qc_check(&qc, &set) == STATUS_OK) == qc_expected(&qc));
    qc_keep(&store, &qc);
    REQUIRE(store.count == count && memcmp(store.bytes, bytes, count) == 0);
}

static bool tc_expected(const struct tc *tc, uint64_t *highest)
{
    bool seen[VALIDATORS_MAX] = {false};
    u128 weight = 0;
    int before = -1;
    *highest = 0;
    for (uint32_t i = 0; i < tc->entries.count; i++) {
        const uint8_t *entry = tc->entries.at + 74u * i;
        unsigned voter = load_u16(entry);
        uint64_t hqc = load_u64(entry + 2);
        if (voter >= set.count || seen[voter] || (int)voter < before || hqc >= tc->round)
            return false;
        seen[voter] = true;
        before = (int)voter;
        weight += set.power[voter];
        if (hqc > *highest) *highest = hqc;
    }
    return is_quorum(weight);
}

static void check_one_tc(const uint8_t *bytes, size_t count)
{
    struct tc tc;
    uint64_t highest, expected;
    if (!check_tc(bytes, count)) return;
    REQUIRE(tc_decode(bytes, count, &tc) == STATUS_OK);
    bool good = tc_expected(&tc, &expected);
    REQUIRE((tc_check(&tc, &set, &highest) == STATUS_OK) == good);
    if (good) REQUIRE(highest == expected);
}

/* check_group: votes are counted once each; a quorum makes a certificate that holds. */
static void check_group(const uint8_t *bytes, size_t count)
{
    static struct vote_group group;
    static struct qc_store store;
    struct reader r = reader_of(bytes, count);
    struct vote first, vote;
    bool seen[VALIDATORS_MAX] = {false};
    u128 weight = 0;
    vote_read(&r, &first);
    if (r.status != STATUS_OK || first.parent_round >= first.round) return;
    vote_group_start(&group, &first);
    for (vote = first; r.status == STATUS_OK; vote_read(&r, &vote)) {
        bool same = vote.epoch == first.epoch && vote.round == first.round &&
                    memcmp(vote.block_id, first.block_id, HASH_BYTES) == 0 &&
                    vote.height == first.height && vote.parent_round == first.parent_round &&
                    memcmp(vote.commit_id, first.commit_id, HASH_BYTES) == 0 &&
                    vote.commit_height == first.commit_height;
        bool fresh = same && vote.voter < set.count && !seen[vote.voter];
        REQUIRE(vote_group_add(&group, &set, &vote) == fresh);
        if (!fresh) continue;
        seen[vote.voter] = true;
        weight += set.power[vote.voter];
        REQUIRE(group.weight == weight && (weight >= quorum_weight(&set)) == is_quorum(weight));
    }
    bool commits = !is_zero(first.commit_id);
    bool fits = commits ? first.parent_round >= 1 && first.round - first.parent_round == 1 &&
                              first.commit_height >= 1 && first.commit_height < first.height
                        : first.commit_height == 0;
    if (!is_quorum(weight) || !fits) return;
    vote_group_certify(&group, &set, &store);
    REQUIRE(qc_expected(&store.qc));
    for (uint32_t i = 0, k = 0; i < set.count; i++) {
        REQUIRE(((store.qc.bitmap.at[i / 8] >> (i % 8)) & 1) == seen[i]);
        if (seen[i])
            REQUIRE(memcmp(store.qc.signatures.at + 64u * k++, group.signature[i], 64) == 0);
    }
}

/* ---- chains ---- */

/* fit makes a header and its certificate follow from their parent, but for the fields that the mask
 * leaves as they came. */
static void fit(const struct chain_point *parent, uint64_t keep, struct header *header,
                struct justify *justify)
{
    static const uint8_t ZERO[HASH_BYTES];
    bool tail = parent->end_height != 0;
    if (!(keep & 1)) header->epoch = parent->epoch;
    if (!(keep & 2)) header->height = parent->height + 1;
    if (!(keep & 4)) memcpy(header->parent_id, parent->id, HASH_BYTES);
    if (!(keep & 8)) header->parent_round = parent->round;
    if (!(keep & 16)) header->round = parent->round + 1;
    if (!(keep & 32)) header->proposer = leader_of(leaders, header->round);
    if (!(keep & 64)) header->time_us = parent->time_us + 1;
    if (!(keep & 128)) header->exec_height = tail ? parent->exec_height : parent->commit_height;
    if (!(keep & 256)) header->flags = tail ? BLOCK_TAIL : header->flags & BLOCK_EPOCH_END;
    if (!(keep & 512)) header->body_bytes = BODY_EMPTY_BYTES + header->cmd_count % 2;
    if (!(keep & 1024) && !(header->flags & BLOCK_EPOCH_END))
        memcpy(header->next_set_hash, ZERO, HASH_BYTES);
    if (!(keep & 2048)) {
        struct vote vote;
        vote_for(parent, &vote);
        justify->kind = parent->round == 0;
        justify->has_qc = parent->round != 0;
        justify->qc.epoch = vote.epoch;
        justify->qc.round = vote.round;
        justify->qc.height = vote.height;
        justify->qc.parent_round = vote.parent_round;
        justify->qc.commit_height = vote.commit_height;
        memcpy(justify->qc.block_id, vote.block_id, HASH_BYTES);
        memcpy(justify->qc.commit_id, vote.commit_id, HASH_BYTES);
        justify->has_tc = justify->has_tc && header->round > parent->round + 1;
        if (justify->has_tc) justify->tc.epoch = header->epoch;
        if (justify->has_tc) justify->tc.round = header->round - 1;
    }
}

static void check_point(const struct chain_point *parent, const struct chain_point *point)
{
    struct vote vote;
    REQUIRE(point->height == parent->height + 1 && point->round > parent->round);
    REQUIRE(point->commit_height >= parent->commit_height);
    REQUIRE(point->commit_height < point->height);
    REQUIRE(point->exec_height <= point->commit_height);
    REQUIRE(point->target_height < point->height);
    REQUIRE((point->target_height == 0) == is_zero(point->target_id) || point->target_height != 0);
    REQUIRE(point->time_us >= parent->time_us);
    vote_for(point, &vote);
    REQUIRE(vote.round == point->round && vote.commit_height == point->target_height);
    (void)chain_is_quiescent(point);
}

static void check_chain(struct fuzz_input *input)
{
    struct chain_rules rules = {.set = &set,
                                .set_before = &set,
                                .leaders = leaders,
                                .block_interval_us = fuzz_u8(input) & 1,
                                .body_bytes_max = BLOCK_BYTES_MAX,
                                .uncommitted_rounds_max = 4};
    struct chain_point parent, point;
    chain_point_base(&parent, 0, 0, 1000, BASE_ID);
    while (input->left > 0) {
        uint64_t keep = fuzz_u16(input);
        struct reader r = reader_of(input->at, input->left);
        struct header header;
        struct justify justify;
        uint8_t id[HASH_BYTES];
        header_read(&r, &header);
        justify_read(&r, &justify);
        if (r.status != STATUS_OK) return;
        input->at = r.at;
        input->left = r.left;
        block_id_of(&header, id);
        if (chain_point_resume(&header, id, &justify, &point) == STATUS_OK)
            (void)chain_is_quiescent(&point);
        fit(&parent, keep, &header, &justify);
        if (header.height == 0 || header.round == 0) return;
        block_id_of(&header, id);
        if (chain_link_check(&parent, &header, &rules) != STATUS_OK) continue;
        if (justify_check(&parent, &header, &justify, &rules) != STATUS_OK) continue;
        chain_point_next(&parent, &header, id, &justify, &point);
        check_point(&parent, &point);
        parent = point;
    }
}

static void run(const uint8_t *data, size_t count)
{
    if (count < FRONT_BYTES) return;
    const uint8_t *bytes = data + FRONT_BYTES;
    count -= FRONT_BYTES;
    struct fuzz_input input = {bytes, count};
    set_choose(data[1], data[2]);
    switch ((enum part)(data[0] % PART_COUNT)) {
    case PART_VOTE: check_vote(bytes, count); break;
    case PART_TIMEOUT: check_timeout(bytes, count); break;
    case PART_VOTE_RECORD: check_vote_record(bytes, count); break;
    case PART_CHECKPOINT: check_checkpoint_record(bytes, count); break;
    case PART_QC: check_one_qc(bytes, count); break;
    case PART_TC: check_one_tc(bytes, count); break;
    case PART_GROUP: check_group(bytes, count); break;
    case PART_CHAIN:
        leaders_choose(data[2]);
        check_chain(&input);
        break;
    case PART_COUNT: break;
    }
}

/* ---- mutations ---- */

static uint32_t signers_choose(struct fuzz_random *random, bool signs[VALIDATORS_MAX])
{
    uint64_t wanted = quorum_weight(&set), weight = 0;
    uint32_t signers = 0, first = (uint32_t)fuzz_below(random, set.count);
    if (fuzz_odds(random, 4)) wanted = fuzz_below(random, set.total) + 1;
    memset(signs, 0, VALIDATORS_MAX);
    for (uint32_t i = 0; i < set.count && weight < wanted; i++, signers++) {
        uint32_t at = (first + i) % set.count;
        signs[at] = true;
        weight += set.power[at];
    }
    return signers;
}

/* make_qc, make_tc write certificates with signers of about a quorum. */
static void make_qc(struct writer *w, struct fuzz_random *random)
{
    bool signs[VALIDATORS_MAX];
    uint8_t bitmap[VALIDATORS_MAX / 8] = {0}, signatures[VALIDATORS_MAX * 64] = {0};
    uint32_t signers = signers_choose(random, signs);
    for (uint32_t i = 0; i < set.count; i++) {
        bitmap[i / 8] = (uint8_t)(bitmap[i / 8] | (signs[i] ? 1u << (i % 8) : 0));
    }
    struct qc qc = {.round = 2 + fuzz_below(random, 3),
                    .block_id = {1},
                    .height = 1 + fuzz_below(random, 4),
                    .bitmap = {bitmap, (set.count + 7) / 8},
                    .signatures = {signatures, 64u * signers, signers}};
    qc.parent_round = qc.round - fuzz_below(random, 3);
    qc.commit_id[0] = fuzz_odds(random, 2);
    qc.commit_height = qc.commit_id[0] ? fuzz_below(random, 4) : 0;
    qc_write(w, &qc);
}

static void make_tc(struct writer *w, struct fuzz_random *random)
{
    static const uint8_t SIGNATURE[64];
    bool signs[VALIDATORS_MAX];
    uint32_t signers = signers_choose(random, signs);
    write_u64(w, 0);
    write_u64(w, 3);
    write_u16(w, (uint16_t)signers);
    for (uint32_t i = 0; i < set.count; i++) {
        if (!signs[i]) continue;
        write_u16(w, (uint16_t)i);
        write_u64(w, fuzz_below(random, 4));
        write_copy(w, SIGNATURE, sizeof SIGNATURE);
    }
}

static void make_votes(struct writer *w, struct fuzz_random *random)
{
    bool signs[VALIDATORS_MAX];
    signers_choose(random, signs);
    struct vote vote = {.round = 2, .block_id = {1}, .height = 2, .parent_round = 1};
    vote.commit_id[0] = fuzz_odds(random, 2);
    vote.commit_height = vote.commit_id[0];
    for (uint32_t i = 0; i < set.count; i++) {
        vote.voter = (uint16_t)i;
        vote.signature[0] = (uint8_t)i;
        if (signs[i] || fuzz_odds(random, 16)) vote_write(w, &vote);
    }
}

static void make_chain(struct writer *w, struct fuzz_random *random)
{
    static uint8_t header[header_bytes_max];
    write_u8(w, (uint8_t)fuzz_next(random));
    for (uint64_t links = 1 + fuzz_below(random, 5); links > 0; links--) {
        write_u16(w, fuzz_odds(random, 4) ? (uint16_t)(1u << fuzz_below(random, 12)) : 0);
        size_t bytes = record_generate(&header_schema, random, header, sizeof header);
        write_copy(w, header, bytes);
        write_u8(w, 0);
        write_u8(w, 1);
        make_qc(w, random);
        bool skips = fuzz_odds(random, 4);
        write_u8(w, skips);
        if (skips) make_tc(w, random);
    }
}

static size_t make(uint8_t *data, size_t capacity, struct fuzz_random *random)
{
    struct writer w = writer_of(data, capacity);
    for (size_t i = 0; i < FRONT_BYTES; i++) {
        write_u8(&w, (uint8_t)(fuzz_next(random) >> (i == 1 ? 56 + fuzz_below(random, 8) : 0)));
    }
    if (w.status != STATUS_OK) return 0;
    set_choose(data[1], data[2]);
    switch (data[0] % PART_COUNT) {
    case PART_QC: make_qc(&w, random); break;
    case PART_TC: make_tc(&w, random); break;
    case PART_GROUP: make_votes(&w, random); break;
    case PART_CHAIN: make_chain(&w, random); break;
    default: break;
    }
    return writer_bytes(&w);
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    static const struct schema *const SCHEMAS[PART_COUNT] = {
        &vote_schema, &timeout_schema, &vote_record_schema, &checkpoint_record_schema,
        &qc_schema,   &tc_schema,      &vote_schema,        NULL};
    if (count < FRONT_BYTES || fuzz_odds(random, 48)) return make(data, capacity, random);
    if (fuzz_odds(random, 16)) {
        data[1 + fuzz_below(random, 2)] = (uint8_t)fuzz_next(random);
        return count;
    }
    size_t part = data[0] % PART_COUNT, skip = FRONT_BYTES;
    if (part == PART_GROUP && count > FRONT_BYTES)
        skip += fuzz_below(random, (count - skip) / vote_bytes_max + 1) * vote_bytes_max;
    if (part == PART_CHAIN) return fuzz_mutate_bytes(data, count, capacity);
    return skip + record_mutate(SCHEMAS[part], data + skip, count - skip, capacity - skip, random);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 16 * 1024,
    .init = init,
    .run = run,
    .mutate = mutate,
};
