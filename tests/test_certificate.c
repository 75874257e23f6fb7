/* Certificates, rota and chain rules as pure functions. */
#include <stdio.h>
#include <stdlib.h>

#include "apply/evidence.h"
#include "log/signature.h"
#include "replica/certificate.h"
#include "replica/replica.h"
#include "tests/support_cmocka.h"
#include "tests/support_validators.h"

static const uint8_t GENESIS[HASH_BYTES] = {0xab};

static struct vote some_vote(void)
{
    struct vote vote = {.epoch = 0, .round = 9, .height = 7, .parent_round = 8, .commit_height = 6};
    memset(vote.block_id, 1, HASH_BYTES);
    memset(vote.commit_id, 2, HASH_BYTES);
    return vote;
}

static void quorum_holds_for_all_weights(void **state)
{
    (void)state;
    const struct {
        uint64_t total, quorum, blocking;
    } ROWS[] = {{1, 1, 1}, {2, 2, 1}, {3, 3, 1}, {4, 3, 2},
                {5, 4, 2}, {6, 5, 2}, {7, 5, 3}, {100, 67, 34}};
    struct validator_set set = {.count = 1};
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        set.total = ROWS[i].total;
        assert_int_equal(quorum_weight(&set), ROWS[i].quorum);
        assert_int_equal(blocking_weight(&set), ROWS[i].blocking);
    }
    const uint64_t LARGE[] = {POWER_TOTAL_MAX, POWER_TOTAL_MAX - 1, 1000003};
    for (size_t i = 0; i < 3; i++) {
        set.total = LARGE[i];
        uint64_t q = quorum_weight(&set);
        assert_true((u128)3 * q > (u128)2 * set.total && (u128)3 * (q - 1) <= (u128)2 * set.total);
        assert_true(2 * q - set.total >= blocking_weight(&set));
    }
}

static void validator_set_refuses_disorder_and_overflow(void **state)
{
    (void)state;
    static struct signers made;
    signers_make(&made, 1, 4, 10);
    assert_int_equal(validator_set_check(&made.set), STATUS_OK);
    assert_int_equal(validator_set_find(&made.set, made.set.key[2]), 2);
    uint8_t unknown[32] = {0};
    assert_int_equal(validator_set_find(&made.set, unknown), -1);
    struct validator_set set = made.set;
    set.total++;
    assert_int_equal(validator_set_check(&set), STATUS_RANGE);
    set = made.set;
    memcpy(set.key[1], set.key[0], 32);
    assert_int_equal(validator_set_check(&set), STATUS_NONCANONICAL);
    set = made.set;
    set.power[3] = 0;
    set.total = 30;
    assert_int_equal(validator_set_check(&set), STATUS_RANGE);
    set.power[3] = POWER_TOTAL_MAX;
    set.total = 30 + POWER_TOTAL_MAX;
    assert_int_equal(validator_set_check(&set), STATUS_RANGE);
    set.count = VALIDATORS_MAX + 1;
    assert_int_equal(validator_set_check(&set), STATUS_RANGE);
    set.count = 0;
    assert_int_equal(validator_set_check(&set), STATUS_RANGE);
}

static void leaders_lead_in_proportion_to_weight(void **state)
{
    (void)state;
    static struct signers made;
    signers_make(&made, 1, 3, 1);
    made.set.power[0] = 1;
    made.set.power[1] = 2;
    made.set.power[2] = 5;
    made.set.total = 8;
    uint8_t table[LEADER_SLOTS], rotated[LEADER_SLOTS];
    leader_table_build(&made.set, GENESIS, table);
    uint32_t slots[3] = {0};
    for (uint32_t i = 0; i < LEADER_SLOTS; i++) {
        slots[leader_of(table, i)]++;
    }
    assert_int_equal(slots[0], 128);
    assert_int_equal(slots[1], 256);
    assert_int_equal(slots[2], 640);
    /* Another base rotates the same rota. */
    uint8_t base[HASH_BYTES] = {9};
    leader_table_build(&made.set, base, rotated);
    bool same = false;
    for (uint32_t shift = 0; shift < LEADER_SLOTS && !same; shift++) {
        same = true;
        for (uint32_t i = 0; i < LEADER_SLOTS && same; i++) {
            same = table[(i + shift) % LEADER_SLOTS] == rotated[i];
        }
    }
    assert_true(same);
    /* The largest weights do not overflow a credit. */
    made.set.power[2] = POWER_TOTAL_MAX - 3;
    made.set.total = POWER_TOTAL_MAX;
    leader_table_build(&made.set, GENESIS, table);
    assert_int_equal(leader_of(table, 5), 2);
}

static void signed_bytes_are_pinned(void **state)
{
    (void)state;
    uint8_t id[HASH_BYTES], proposal[PROPOSAL_SIGNED_BYTES], vote[VOTE_SIGNED_BYTES],
        timeout[TIMEOUT_SIGNED_BYTES];
    memset(id, 0x77, sizeof id);
    proposal_signed_bytes(GENESIS, 1, 2, id, proposal);
    assert_memory_equal(proposal, "cairn pr\xab", 9);
    assert_int_equal(load_u64(proposal + 40), 1);
    assert_int_equal(load_u64(proposal + 48), 2);
    assert_memory_equal(proposal + 56, id, HASH_BYTES);
    struct vote value = some_vote();
    vote_signed_bytes(GENESIS, &value, vote);
    assert_memory_equal(vote, "cairn vo\xab", 9);
    assert_int_equal(load_u64(vote + 48), 9);
    assert_memory_equal(vote + 56, value.block_id, HASH_BYTES);
    assert_int_equal(load_u64(vote + 88), 7);
    assert_int_equal(load_u64(vote + 96), 8);
    assert_memory_equal(vote + 104, value.commit_id, HASH_BYTES);
    assert_int_equal(load_u64(vote + 136), 6);
    timeout_signed_bytes(GENESIS, 1, 5, 4, timeout);
    assert_memory_equal(timeout, "cairn to\xab", 9);
    assert_int_equal(load_u64(timeout + 48), 5);
    assert_int_equal(load_u64(timeout + 56), 4);
}

static void qc_needs_a_quorum_of_true_signatures(void **state)
{
    (void)state;
    static struct signers made;
    static struct qc_store store, other;
    signers_make(&made, 1, 4, 10);
    sign_qc(&made, GENESIS, some_vote(), 0x7, &store);
    assert_int_equal(qc_verify(&store.qc, &made.set, GENESIS), STATUS_OK);
    uint8_t foreign[HASH_BYTES] = {0};
    assert_int_equal(qc_verify(&store.qc, &made.set, foreign), STATUS_BAD_SIGNATURE);
    for (size_t bit = 0; bit < store.count * 8; bit += 7) { /* any flipped bit is refused */
        uint8_t bytes[qc_bytes_max];
        struct qc qc;
        memcpy(bytes, store.bytes, store.count);
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1u << (bit % 8));
        bool good = qc_decode(bytes, store.count, &qc) == STATUS_OK &&
                    qc_verify(&qc, &made.set, GENESIS) == STATUS_OK;
        assert_false(good);
    }
    /* Order of signers, weights. */
    sign_qc(&made, GENESIS, some_vote(), 0xe, &other);
    assert_int_equal(qc_verify(&other.qc, &made.set, GENESIS), STATUS_OK);
    struct validator_set heavy = made.set;
    heavy.power[3] = 1000;
    heavy.total = 1030;
    assert_int_equal(qc_check(&store.qc, &heavy), STATUS_BAD_PROOF);
    assert_int_equal(qc_check(&other.qc, &heavy), STATUS_OK);
}

static void qc_structure_is_exact(void **state)
{
    (void)state;
    static struct signers made;
    static struct qc_store store;
    signers_make(&made, 1, 4, 10);
    sign_qc(&made, GENESIS, some_vote(), 0xf, &store);
    struct qc qc = store.qc;
    uint8_t bitmap[2] = {0x1f, 0};
    qc.bitmap.at = bitmap;
    assert_int_equal(qc_check(&qc, &made.set), STATUS_BAD_PROOF); /* a bit beyond n */
    bitmap[0] = 0x0f;
    assert_int_equal(qc_check(&qc, &made.set), STATUS_OK);
    qc.bitmap.count = 2;
    assert_int_equal(qc_check(&qc, &made.set), STATUS_BAD_PROOF);
    qc.bitmap.count = 1;
    bitmap[0] = 0x07;
    assert_int_equal(qc_check(&qc, &made.set), STATUS_BAD_PROOF); /* population */
    qc = store.qc;
    qc.commit_height = 0;
    assert_int_equal(qc_check(&qc, &made.set), STATUS_BAD_PROOF);
    qc.commit_height = qc.height;
    assert_int_equal(qc_check(&qc, &made.set), STATUS_BAD_PROOF);
    memset(qc.commit_id, 0, HASH_BYTES);
    assert_int_equal(qc_check(&qc, &made.set), STATUS_BAD_PROOF);
    qc.commit_height = 0;
    assert_int_equal(qc_check(&qc, &made.set), STATUS_OK);
    qc = store.qc;
    qc.parent_round = 7; /* a skipped round commits nothing */
    assert_int_equal(qc_check(&qc, &made.set), STATUS_BAD_PROOF);
}

static void vote_group_counts_each_voter_once(void **state)
{
    (void)state;
    static struct signers made;
    signers_make(&made, 1, 4, 10);
    struct vote vote = some_vote();
    static struct vote_group group;
    vote_group_start(&group, &vote);
    sign_vote(&made, GENESIS, &vote, 1);
    assert_true(vote_group_add(&group, &made.set, &vote));
    assert_false(vote_group_add(&group, &made.set, &vote));
    vote.voter = 2;
    vote.commit_height++;
    assert_false(vote_group_add(&group, &made.set, &vote));
    vote.commit_height--;
    vote.voter = 4;
    assert_false(vote_group_add(&group, &made.set, &vote));
    assert_int_equal(group.weight, 10);
}

/* Timeouts of `signers` for a round, each with the given hqc_round. */
static void make_tc(const struct signers *made, uint64_t round, uint64_t hqc_round,
                    uint32_t signers, uint8_t *bytes, struct tc *tc)
{
    struct writer w = writer_of(bytes, VALIDATORS_MAX * tc_entry_bytes_max);
    *tc = (struct tc){.epoch = 0, .round = round};
    for (uint16_t i = 0; i < made->set.count; i++) {
        if (!(signers >> i & 1)) continue;
        struct timeout timeout = {.round = round, .hqc_round = hqc_round};
        sign_timeout(made, GENESIS, &timeout, i);
        struct tc_entry entry = {.voter = i, .hqc_round = hqc_round};
        memcpy(entry.signature, timeout.signature, 64);
        tc_entry_write(&w, &entry);
        tc->entries.count++;
    }
    tc->entries.at = bytes;
    tc->entries.bytes = writer_bytes(&w);
}

static void tc_needs_a_quorum_in_order(void **state)
{
    (void)state;
    static struct signers made;
    static uint8_t bytes[VALIDATORS_MAX * tc_entry_bytes_max];
    struct tc tc;
    uint64_t max_hqc;
    signers_make(&made, 1, 4, 10);
    make_tc(&made, 12, 9, 0xb, bytes, &tc);
    assert_int_equal(tc_verify(&tc, &made.set, GENESIS, &max_hqc), STATUS_OK);
    assert_int_equal(max_hqc, 9);
    tc.round = 13;
    assert_int_equal(tc_verify(&tc, &made.set, GENESIS, &max_hqc), STATUS_BAD_SIGNATURE);
    tc.round = 9;
    assert_int_equal(tc_check(&tc, &made.set, &max_hqc), STATUS_BAD_PROOF);
    make_tc(&made, 12, 9, 0x3, bytes, &tc);
    assert_int_equal(tc_check(&tc, &made.set, &max_hqc), STATUS_BAD_PROOF);
    make_tc(&made, 12, 9, 0x7, bytes, &tc);
    store_u16(bytes, 1); /* voter 0 becomes a second 1 */
    assert_int_equal(tc_check(&tc, &made.set, &max_hqc), STATUS_BAD_PROOF);
}

/* ---- a chain of blocks with skipped rounds ---- */

struct chain {
    struct signers validators;
    uint8_t leaders[LEADER_SLOTS];
    struct chain_rules rules;
    struct chain_point point;
    struct header header;
    struct justify justify;
    struct qc_store qc;
    uint8_t tc_bytes[VALIDATORS_MAX * tc_entry_bytes_max];
    uint8_t id[HASH_BYTES];
};

static void chain_start(struct chain *chain)
{
    memset(chain, 0, sizeof *chain);
    signers_make(&chain->validators, 1, 4, 10);
    leader_table_build(&chain->validators.set, GENESIS, chain->leaders);
    chain->rules = (struct chain_rules){.set = &chain->validators.set,
                                        .leaders = chain->leaders,
                                        .block_interval_us = 100,
                                        .body_bytes_max = 1000,
                                        .uncommitted_rounds_max = 8};
    chain_point_base(&chain->point, 0, 0, 5000, GENESIS);
}

/* Builds the child of chain->point in `round`: header and justification, not yet taken. */
static void chain_child(struct chain *chain, uint64_t round)
{
    const struct chain_point *parent = &chain->point;
    memset(&chain->justify, 0, sizeof chain->justify);
    chain->justify.kind = parent->round == 0;
    if (parent->round > 0) {
        struct vote vote;
        vote_for(parent, &vote);
        sign_qc(&chain->validators, GENESIS, vote, 0xd, &chain->qc);
        chain->justify.has_qc = true;
        chain->justify.qc = chain->qc.qc;
    }
    if (round > parent->round + 1) {
        chain->justify.has_tc = true;
        make_tc(&chain->validators, round - 1, parent->round, 0x7, chain->tc_bytes,
                &chain->justify.tc);
    }
    chain->header = (struct header){.version = BLOCK_VERSION,
                                    .round = round,
                                    .height = parent->height + 1,
                                    .parent_round = parent->round,
                                    .proposer = leader_of(chain->leaders, round),
                                    .time_us = parent->time_us + 100,
                                    .body_bytes = BODY_EMPTY_BYTES,
                                    .exec_height = parent->commit_height};
    memcpy(chain->header.parent_id, parent->id, HASH_BYTES);
    justify_hash_of(&chain->justify, chain->header.justify_hash);
    block_id_of(&chain->header, chain->id);
}

static void chain_take(struct chain *chain)
{
    assert_int_equal(chain_link_check(&chain->point, &chain->header, &chain->rules), STATUS_OK);
    assert_int_equal(
        justify_verify(&chain->point, &chain->header, &chain->justify, &chain->rules, GENESIS),
        STATUS_OK);
    chain_point_next(&chain->point, &chain->header, chain->id, &chain->justify, &chain->point);
}

static void chain_commits_consecutive_rounds_only(void **state)
{
    (void)state;
    static struct chain chain;
    chain_start(&chain);
    /* rounds 1 2 3 _ 5 6 _ _ 9: height, commit target's height, C's height and round */
    const struct {
        uint64_t round, target, commit, commit_round, exec;
    } ROWS[] = {{1, 0, 0, 0, 0}, {2, 1, 0, 0, 0}, {3, 2, 1, 1, 0}, {5, 0, 2, 2, 1},
                {6, 4, 2, 2, 2}, {9, 0, 4, 5, 2}, {10, 6, 4, 5, 4}};
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        chain_child(&chain, ROWS[i].round);
        chain_take(&chain);
        assert_int_equal(chain.point.target_height, ROWS[i].target);
        assert_int_equal(chain.point.commit_height, ROWS[i].commit);
        assert_int_equal(chain.point.commit_round, ROWS[i].commit_round);
        assert_int_equal(chain.point.exec_height, ROWS[i].exec);
        /* Resuming at a block that names its C gives the same C. */
        struct chain_point resumed;
        if (chain_point_resume(&chain.header, chain.id, &chain.justify, &resumed) == STATUS_OK) {
            assert_int_equal(resumed.commit_height, chain.point.commit_height);
            assert_int_equal(resumed.commit_round, chain.point.commit_round);
            assert_int_equal(resumed.target_height, chain.point.target_height);
            assert_false(chain_is_quiescent(&resumed) && !chain_is_quiescent(&chain.point));
        } else {
            assert_true(ROWS[i].round == 6 || ROWS[i].round == 10);
        }
    }
}

static void chain_is_quiescent_after_four_empty_blocks(void **state)
{
    (void)state;
    static struct chain chain;
    chain_start(&chain);
    assert_true(chain_is_quiescent(&chain.point));
    for (uint64_t round = 1; round <= 3; round++) {
        chain_child(&chain, round);
        chain_take(&chain);
        assert_true(chain_is_quiescent(&chain.point));
    }
    chain_child(&chain, 4);
    chain.header.body_bytes = 100;
    chain_take(&chain);
    for (uint64_t round = 5; round <= 7; round++) {
        assert_false(chain_is_quiescent(&chain.point));
        chain_child(&chain, round);
        chain_take(&chain);
    }
    assert_false(chain_is_quiescent(&chain.point));
    chain_child(&chain, 8);
    chain_take(&chain);
    assert_true(chain_is_quiescent(&chain.point));
    /* Empty blocks in rounds that do not follow each other commit nothing. */
    chain_child(&chain, 9);
    chain.header.body_bytes = 100;
    chain_take(&chain);
    for (uint64_t round = 11; round <= 17; round += 2) {
        chain_child(&chain, round);
        chain_take(&chain);
        assert_false(chain_is_quiescent(&chain.point));
    }
}

/* Each row breaks one thing; the untouched block is good. */
static void chain_link_refuses_each_fault(void **state)
{
    (void)state;
    static struct chain chain;
    chain_start(&chain);
    for (uint64_t round = 1; round <= 5; round++) {
        chain_child(&chain, round);
        chain_take(&chain);
    }
    for (int fault = 0; fault < 14; fault++) {
        chain_child(&chain, 6);
        struct header *h = &chain.header;
        switch (fault) {
        case 0: h->epoch = 1; break;
        case 1: h->height++; break;
        case 2: h->parent_id[3] ^= 1; break;
        case 3: h->parent_round--; break;
        case 4: h->round = 5; break;
        case 5: h->proposer = (uint16_t)((h->proposer + 1) % 4); break;
        case 6: h->time_us--; break;
        case 7: h->time_us = 0; break;
        case 8: h->flags = BLOCK_TAIL; break;
        case 9: h->flags = BLOCK_EPOCH_END; break;
        case 10: h->next_set_hash[0] = 1; break;
        case 11: h->exec_height++; break;
        case 12: h->exec_height--; break;
        case 13: h->body_bytes = 1001; break;
        }
        assert_int_not_equal(chain_link_check(&chain.point, h, &chain.rules), STATUS_OK);
    }
    chain_child(&chain, 6);
    assert_int_equal(chain_link_check(&chain.point, &chain.header, &chain.rules), STATUS_OK);
    /* C is at round 3 here: a body may stand in rounds up to 3 + K_unc. */
    assert_int_equal(chain.point.commit_round, 3);
    chain_child(&chain, 11);
    chain.header.body_bytes = 100;
    assert_int_equal(chain_link_check(&chain.point, &chain.header, &chain.rules), STATUS_OK);
    chain_child(&chain, 12);
    chain.header.body_bytes = 100;
    assert_int_equal(chain_link_check(&chain.point, &chain.header, &chain.rules), STATUS_BAD_PROOF);
}

static void justify_refuses_each_fault(void **state)
{
    (void)state;
    static struct chain chain;
    chain_start(&chain);
    for (uint64_t round = 1; round <= 5; round++) {
        chain_child(&chain, round);
        chain_take(&chain);
    }
    for (int fault = 0; fault < 12; fault++) {
        chain_child(&chain, 8);
        struct justify *j = &chain.justify;
        switch (fault) {
        case 0: j->has_tc = false; break;
        case 1: j->tc.round = 6; break;
        case 2: j->tc.epoch = 1; break;
        case 3: make_tc(&chain.validators, 7, 6, 0x7, chain.tc_bytes, &j->tc); break;
        case 4: j->kind = 1; break;
        case 5: j->has_qc = false; break;
        case 6: j->qc.round = 4; break;
        case 7: j->qc.height--; break;
        case 8: j->qc.commit_id[0] ^= 1; break;
        case 9: j->qc.block_id[0] ^= 1; break;
        case 10: j->qc.epoch = 1; break;
        case 11: chain.header.round = 6; break; /* a TC although nothing was skipped */
        }
        assert_int_equal(justify_check(&chain.point, &chain.header, j, &chain.rules),
                         STATUS_BAD_PROOF);
    }
    /* A first block with a certificate, and one that stands on no base. */
    struct chain_point later = chain.point;
    chain_start(&chain);
    chain_child(&chain, 1);
    assert_int_equal(justify_check(&chain.point, &chain.header, &chain.justify, &chain.rules),
                     STATUS_OK);
    memcpy(chain.header.parent_id, later.id, HASH_BYTES);
    assert_int_equal(justify_check(&later, &chain.header, &chain.justify, &chain.rules),
                     STATUS_BAD_PROOF);
}

/* The end of an epoch: every certificate of its tail names the same last block. */
static void chain_tail_certifies_the_epoch_end(void **state)
{
    (void)state;
    static struct chain chain;
    chain_start(&chain);
    for (uint64_t round = 1; round <= 4; round++) {
        chain_child(&chain, round);
        chain_take(&chain);
    }
    chain_child(&chain, 5);
    chain.header.flags = BLOCK_EPOCH_END;
    chain.header.next_set_hash[0] = 1;
    block_id_of(&chain.header, chain.id);
    chain_take(&chain);
    struct chain_point end = chain.point;
    const uint64_t ROUNDS[] = {6, 8,
                               9}; /* 6 names L; 8 follows a gap and names nothing; 9 names L */
    for (size_t i = 0; i < 3; i++) {
        chain_child(&chain, ROUNDS[i]);
        assert_int_not_equal(chain_link_check(&chain.point, &chain.header, &chain.rules),
                             STATUS_OK);
        chain.header.flags = BLOCK_TAIL;
        chain.header.exec_height = end.exec_height;
        block_id_of(&chain.header, chain.id);
        chain.header.body_bytes = 100;
        assert_int_not_equal(chain_link_check(&chain.point, &chain.header, &chain.rules),
                             STATUS_OK);
        chain.header.body_bytes = BODY_EMPTY_BYTES;
        chain_take(&chain);
        assert_int_equal(chain.point.target_height, ROUNDS[i] == 8 ? 0 : end.height);
        if (ROUNDS[i] != 8) assert_memory_equal(chain.point.target_id, end.id, HASH_BYTES);
        assert_false(chain_is_quiescent(&chain.point));
    }
    /* The first block of the next epoch stands on L, by any of those certificates. */
    struct vote vote;
    static struct qc_store certificate;
    vote_for(&chain.point, &vote);
    sign_qc(&chain.validators, GENESIS, vote, 0xf, &certificate);
    chain_point_base(&chain.point, 1, end.height, end.time_us, end.id);
    chain.rules.set_before = chain.rules.set;
    chain_child(&chain, 1);
    chain.header.epoch = 1;
    chain.justify.has_qc = true;
    chain.justify.qc = certificate.qc;
    justify_hash_of(&chain.justify, chain.header.justify_hash);
    block_id_of(&chain.header, chain.id);
    assert_int_equal(chain.header.exec_height, end.height);
    chain_take(&chain);
    chain_point_base(&chain.point, 1, end.height - 1, end.time_us, chain.header.body_root);
    memcpy(chain.header.parent_id, chain.point.id, HASH_BYTES);
    assert_int_equal(justify_check(&chain.point, &chain.header, &chain.justify, &chain.rules),
                     STATUS_BAD_PROOF);
}

/* ---- pinned bytes ---- */

static void pin(char *text, size_t capacity, const char *name, const uint8_t *bytes, size_t count)
{
    size_t used = strlen(text);
    used += (size_t)snprintf(text + used, capacity - used, "%s ", name);
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(text + used, capacity - used, "%02x", bytes[i]);
    }
    assert_true(used + 2 < capacity);
    text[used] = '\n';
    text[used + 1] = 0;
}

#define PIN(type, value)                                                                           \
    do {                                                                                           \
        assert_int_equal(type##_encode(value, bytes, sizeof bytes, &count), STATUS_OK);            \
        pin(text, capacity, #type, bytes, count);                                                  \
    } while (0)

static void pin_more(char *text, size_t capacity, const struct vote *vote,
                     const struct timeout *timeout, const struct qc *qc)
{
    static uint8_t bytes[standing_bytes_max], entry_bytes[tc_entry_bytes_max];
    size_t count;
    struct tc_entry entry = {.voter = 2, .hqc_round = 3};
    memset(entry.signature, 7, 64);
    assert_int_equal(tc_entry_encode(&entry, entry_bytes, sizeof entry_bytes, &count), STATUS_OK);
    struct tc tc = {.epoch = 1, .round = 4, .entries = {entry_bytes, count, 1}};
    struct proposal_claim claim = {.id = {9}, .signature = {8}};
    PIN(timeout_record, (&(struct timeout_record){*timeout, 6}));
    PIN(reserve_record, (&(struct reserve_record){1, 6}));
    PIN(cert_record, (&(struct cert_record){true, *qc, true, tc}));
    PIN(epoch_end_record, (&(struct epoch_end_record){1, *qc}));
    PIN(timeout_message, (&(struct timeout_message){*timeout, true, *qc, true, tc}));
    PIN(standing,
        (&(struct standing){1, 2, 3, true, *qc, true, tc, true, *qc, true, *vote, true, *timeout}));
    PIN(block_request, (&(struct block_request){{4}, 5}));
    PIN(range_request, (&(struct range_request){6, 7}));
    PIN(evidence, (&(struct evidence){.kind = EVIDENCE_PROPOSALS,
                                      .epoch = 1,
                                      .round = 2,
                                      .offender = 3,
                                      .has_proposal = true,
                                      .proposal = claim,
                                      .has_proposal_again = true,
                                      .proposal_again = claim}));
}

/* tests/golden/consensus.txt changes only with a version of the format. */
static void consensus_formats_are_pinned(void **state)
{
    (void)state;
    static char made_text[40000], golden[40000];
    static struct signers made;
    static struct qc_store qc;
    static uint8_t bytes[checkpoint_record_bytes_max], message[VOTE_SIGNED_BYTES];
    size_t count;
    signers_make(&made, 1, 4, 10);
    struct vote vote = some_vote();
    vote_signed_bytes(GENESIS, &vote, message);
    pin(made_text, sizeof made_text, "vote_signed", message, sizeof message);
    proposal_signed_bytes(GENESIS, 1, 2, vote.block_id, message);
    pin(made_text, sizeof made_text, "proposal_signed", message, PROPOSAL_SIGNED_BYTES);
    timeout_signed_bytes(GENESIS, 1, 5, 4, message);
    pin(made_text, sizeof made_text, "timeout_signed", message, TIMEOUT_SIGNED_BYTES);
    sign_qc(&made, GENESIS, vote, 0xd, &qc);
    pin(made_text, sizeof made_text, "qc", qc.bytes, qc.count);
    sign_vote(&made, GENESIS, &vote, 2);
    assert_int_equal(vote_encode(&vote, bytes, sizeof bytes, &count), STATUS_OK);
    pin(made_text, sizeof made_text, "vote", bytes, count);
    struct timeout timeout = {.epoch = 1, .round = 5, .hqc_round = 4, .voter = 3};
    assert_int_equal(timeout_encode(&timeout, bytes, sizeof bytes, &count), STATUS_OK);
    pin(made_text, sizeof made_text, "timeout", bytes, count);
    struct vote_record record = {vote, 10, true, qc.qc};
    assert_int_equal(vote_record_encode(&record, bytes, sizeof bytes, &count), STATUS_OK);
    pin(made_text, sizeof made_text, "vote_record", bytes, count);
    struct checkpoint_record checkpoint = {.epoch = 1,
                                           .signed_round = 9,
                                           .reserve_round = 10,
                                           .has_last_vote = true,
                                           .last_vote = vote,
                                           .has_last_timeout = true,
                                           .last_timeout = timeout,
                                           .has_lock = true,
                                           .lock = qc.qc};
    assert_int_equal(checkpoint_record_encode(&checkpoint, bytes, sizeof bytes, &count), STATUS_OK);
    pin(made_text, sizeof made_text, "checkpoint_record", bytes, count);
    pin_more(made_text, sizeof made_text, &vote, &timeout, &qc.qc);
    uint8_t table[LEADER_SLOTS];
    made.set.power[1] = 25;
    made.set.total = 55;
    leader_table_build(&made.set, GENESIS, table);
    pin(made_text, sizeof made_text, "leaders", table, 64);

    FILE *file = fopen("tests/golden/consensus.txt", "rb");
    assert_non_null(file);
    golden[fread(golden, 1, sizeof golden - 1, file)] = 0;
    fclose(file);
    if (strcmp(made_text, golden) != 0) {
        (void)fputs(made_text, stdout);
        fail_msg("tests/golden/consensus.txt differs from the bytes above");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quorum_holds_for_all_weights),
        cmocka_unit_test(validator_set_refuses_disorder_and_overflow),
        cmocka_unit_test(leaders_lead_in_proportion_to_weight),
        cmocka_unit_test(signed_bytes_are_pinned),
        cmocka_unit_test(qc_needs_a_quorum_of_true_signatures),
        cmocka_unit_test(qc_structure_is_exact),
        cmocka_unit_test(vote_group_counts_each_voter_once),
        cmocka_unit_test(tc_needs_a_quorum_in_order),
        cmocka_unit_test(chain_commits_consecutive_rounds_only),
        cmocka_unit_test(chain_is_quiescent_after_four_empty_blocks),
        cmocka_unit_test(chain_link_refuses_each_fault),
        cmocka_unit_test(justify_refuses_each_fault),
        cmocka_unit_test(chain_tail_certifies_the_epoch_end),
        cmocka_unit_test(consensus_formats_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
