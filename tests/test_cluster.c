/* Whole nodes of several validators together: they agree, survive, catch up. */
#include <stdlib.h>

#include "log/signature.h"
#include "log/trace.h"
#include "replica/node_internal.h"
#include "tests/support_clock.h"
#include "tests/support_cluster.h"

static struct cluster *make(uint32_t validators, uint32_t observers, uint64_t seed)
{
    struct cluster_options options = {.validators = validators,
                                      .observers = observers,
                                      .seed = seed,
                                      .delay_us = 500,
                                      .jitter_us = 500,
                                      .sync_us = 1000,
                                      .epoch_blocks = 20,
                                      .block_interval_us = 20000};
    sn_clock_set(CHAIN_TIME_US + 1000000);
    return cluster_make(&options);
}

static void start_all(struct cluster *cluster, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        cluster_start(cluster, i);
    }
}

static void stop_and_compare(struct cluster *cluster, uint32_t count)
{
    for (uint32_t at = 0; at < count; at++) {
        cluster_stop(cluster, at);
    }
    cluster_check_files(cluster);
    cluster_free(cluster);
}

static void validators_finalize_together(void **state)
{
    (void)state;
    static const uint32_t COUNTS[] = {1, 3, 4, 5, 7};
    for (size_t i = 0; i < sizeof COUNTS / sizeof COUNTS[0]; i++) {
        struct cluster *cluster = make(COUNTS[i], 1, i + 1);
        start_all(cluster, COUNTS[i] + 1);
        cluster_run(cluster, 2000000);
        for (uint32_t round = 0; round < 10; round++) {
            cluster_submit(cluster, round % (COUNTS[i] + 1), round % 4, 20);
            cluster_run(cluster, 100000);
        }
        cluster_run(cluster, 2000000);
        for (uint32_t at = 0; at <= COUNTS[i]; at++) {
            for (uint32_t sender = 0; sender < 4; sender++) {
                assert_int_equal(cluster_nonce(cluster, at, sender), sender < 2 ? 60 : 40);
            }
        }
        stop_and_compare(cluster, COUNTS[i] + 1);
    }
}

static void one_crash_of_four_never_halts(void **state)
{
    (void)state;
    for (uint32_t victim = 0; victim < 4; victim++) {
        struct cluster *cluster = make(4, 0, 100 + victim);
        start_all(cluster, 4);
        assert_true(cluster_run_until_height(cluster, 10, 5000000));
        cluster_kill(cluster, victim);
        uint64_t before = cluster_height(cluster, (victim + 1) % 4);
        assert_true(cluster_run_until_height(cluster, before + 30, 120000000));
        cluster_start(cluster, victim);
        assert_true(cluster_run_until_height(cluster, before + 50, 120000000));
        stop_and_compare(cluster, 4);
    }
}

static void two_halves_stop_and_heal(void **state)
{
    (void)state;
    struct cluster *cluster = make(4, 0, 7);
    start_all(cluster, 4);
    assert_true(cluster_run_until_height(cluster, 10, 5000000));
    for (uint32_t a = 0; a < 2; a++) {
        for (uint32_t b = 2; b < 4; b++) {
            cluster_cut(cluster, a, b, true);
            cluster_cut(cluster, b, a, true);
        }
    }
    cluster_run(cluster, 1000000);
    uint64_t height[4];
    for (uint32_t i = 0; i < 4; i++) {
        height[i] = cluster_height(cluster, i);
    }
    cluster_run(cluster, 60000000);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cluster_height(cluster, i), height[i]);
    }
    cluster_heal(cluster);
    assert_true(cluster_run_until_height(cluster, height[0] + 30, 120000000));
    stop_and_compare(cluster, 4);
}

static void fresh_and_stopped_nodes_catch_up(void **state)
{
    (void)state;
    struct cluster *cluster = make(4, 1, 9);
    start_all(cluster, 4);
    assert_true(cluster_run_until_height(cluster, 30, 10000000));
    cluster_stop(cluster, 2);
    assert_true(cluster_run_until_height(cluster, 150, 120000000));
    cluster_start(cluster, 2); /* stopped, epochs behind */
    cluster_start(cluster, 4); /* never there before */
    assert_true(cluster_run_until_height(cluster, 200, 120000000));
    stop_and_compare(cluster, 5);
}

static void start_missing(struct cluster *cluster, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!cluster_is_up(cluster, i)) cluster_start(cluster, i);
    }
}

/* Power cuts at any operation of any node, several at once and all at once. */
static void power_cuts_anywhere_lose_nothing(void **state)
{
    (void)state;
    for (uint64_t run = 0; run < 4; run++) {
        struct cluster *cluster = make(4, 0, 500 + run);
        uint64_t random = run + 1, height = 0;
        start_all(cluster, 4);
        for (uint32_t cut = 0; cut < 12; cut++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            uint32_t count = cut % 4 == 3 ? 4 : 1 + cut % 2;
            for (uint32_t i = 0; i < count; i++) {
                cluster_kill_at(cluster, ((uint32_t)(random >> 33) + i) % 4,
                                1 + (random >> 40) % 300);
            }
            if (cluster_is_up(cluster, cut % 4)) cluster_submit(cluster, cut % 4, cut % 8, 5);
            cluster_run(cluster, 1500000);
            for (uint32_t again = 0; again < 5;
                 again++) { /* a cut may strike late, in a start too */
                start_missing(cluster, 4);
                cluster_run(cluster, 1000000);
            }
            start_missing(cluster, 4);
            height += 5;
            assert_true(cluster_run_until_height(cluster, height, 300000000));
        }
        stop_and_compare(cluster, 4);
    }
}

/* vote_of makes a vote that a validator never cast. */
static struct vote vote_of(struct cluster *cluster, uint32_t at, uint8_t block)
{
    struct node *node = cluster_node(cluster, 0);
    const struct fold_key *key = cluster_validator(cluster, at);
    struct vote vote = {
        .epoch = node->epoch.number, .round = 1, .height = 5, .voter = (uint16_t)at};
    uint8_t bytes[VOTE_SIGNED_BYTES];
    memset(vote.block_id, block, sizeof vote.block_id);
    vote_signed_bytes(node->genesis_id, &vote, bytes);
    signature_make(key->secret, bytes, sizeof bytes, vote.signature);
    return vote;
}

/* A log that was lost is shorter than its journal knows it was: no cut on the way up again looks like damage. */
static void a_lost_log_is_fetched_again_through_power_cuts(void **state)
{
    (void)state;
    struct cluster *cluster = make(4, 0, 12);
    start_all(cluster, 4);
    for (uint64_t height = 40; height <= 120; height += 40) {
        assert_true(cluster_run_until_height(cluster, height, 20000000));
        cluster_run(cluster, 1500000); /* its journal has let go of what the log has */
    }
    for (uint64_t cut = 0; cut < 40; cut++) {
        cluster_kill(cluster, 2);
        if (cut % 8 == 0) cluster_lose_data(cluster, 2);
        cluster_start(cluster, 2);
        cluster_run(cluster, 20000 + cut % 8 * 40000);
    }
    assert_true(cluster_run_until_height(cluster, cluster_height(cluster, 0) + 30, 120000000));
    stop_and_compare(cluster, 4);
}

static void evidence_that_one_node_hears_is_in_every_state(void **state)
{
    (void)state;
    struct cluster *cluster = make(4, 1, 21);
    start_all(cluster, 5);
    assert_true(cluster_run_until_height(cluster, 30, 10000000));
    struct evidence evidence = {.kind = EVIDENCE_VOTES,
                                .epoch = cluster_node(cluster, 0)->epoch.number,
                                .round = 1,
                                .offender = 3,
                                .has_vote = true,
                                .vote = vote_of(cluster, 3, 1),
                                .has_vote_again = true,
                                .vote_again = vote_of(cluster, 3, 2)};
    uint8_t message[1 + evidence_bytes_max] = {MESSAGE_EVIDENCE};
    size_t count;
    assert_int_equal(evidence_encode(&evidence, message + 1, evidence_bytes_max, &count),
                     STATUS_OK);
    assert_int_equal(ledger_evidence(cluster_node(cluster, 2)->ledger, &evidence), OUTCOME_OK);
    cluster_inject(cluster, 4, 1, (struct bytes){message, 1 + count});
    assert_true(cluster_run_until_height(cluster, 60, 30000000));
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(ledger_evidence(cluster_node(cluster, i)->ledger, &evidence),
                         OUTCOME_EVIDENCE_REPEATED);
        assert_int_equal(cluster_node(cluster, i)->evidence.count, 0);
    }
    stop_and_compare(cluster, 5);
}

/* Three of four votes make a certificate; the fourth comes late and counts nevertheless. */
static void votes_that_come_late_are_counted(void **state)
{
    (void)state;
    struct cluster *cluster = make(4, 0, 31);
    start_all(cluster, 4);
    for (uint32_t i = 0; i < 150; i++) { /* an idle chain carries no late votes */
        cluster_run(cluster, 10000);
        cluster_submit(cluster, i % 4, i % 8, 2);
    }
    cluster_run(cluster, 200000);
    struct node *node = cluster_node(cluster, 0);
    uint8_t key[8];
    struct participation record;
    uint64_t seen = 0;
    for (uint64_t epoch = 0; epoch <= node->epoch.number; epoch++) {
        store_u64(key, epoch);
        struct bytes value = store_get(ledger_store(node->ledger), TABLE_PARTICIPATION, key);
        if (!value.at) continue;
        assert_int_equal(participation_decode(value.at, value.count, &record), STATUS_OK);
        struct reader r = list_reader(&record.participants);
        for (uint32_t i = 0; i < record.participants.count; i++) {
            struct participant participant;
            participant_read(&r, &participant);
            assert_true(participant.voted + 4 >= record.certified);
        }
        seen += record.certified;
    }
    assert_true(seen > 10);
    stop_and_compare(cluster, 4);
}

static void the_same_seed_gives_the_same_run(void **state)
{
    (void)state;
    uint64_t digest[2];
    for (int i = 0; i < 2; i++) {
        struct cluster *cluster = make(4, 0, 77);
        start_all(cluster, 4);
        cluster_submit(cluster, 1, 2, 30);
        assert_true(cluster_run_until_height(cluster, 40, 10000000));
        digest[i] = cluster_digest(cluster);
        cluster_free(cluster);
    }
    assert_int_equal(digest[0], digest[1]);
}

int main(void)
{
    is_loop = true;
    if (trace_init(TRACE_FORMAT_LOGFMT, getenv("CLUSTER_TRACE") ? "debug" : "off", 2) != STATUS_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(validators_finalize_together),
        cmocka_unit_test(one_crash_of_four_never_halts),
        cmocka_unit_test(two_halves_stop_and_heal),
        cmocka_unit_test(fresh_and_stopped_nodes_catch_up),
        cmocka_unit_test(a_lost_log_is_fetched_again_through_power_cuts),
        cmocka_unit_test(power_cuts_anywhere_lose_nothing),
        cmocka_unit_test(evidence_that_one_node_hears_is_in_every_state),
        cmocka_unit_test(votes_that_come_late_are_counted),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
