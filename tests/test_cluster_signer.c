/* Whole nodes whose keys are held by signers apart: what a node asks is never refused, whoever loses power and
 * when; and nothing is signed twice, even where two nodes use one signer. */
#include <stdlib.h>

#include "log/trace.h"
#include "tests/support_clock.h"
#include "tests/support_cluster.h"
#include "tests/support_crash.h"

static struct cluster *make(uint32_t validators, bool doubled, uint64_t seed)
{
    struct cluster_options options = {.validators = validators,
                                      .observers = doubled ? 1 : 0,
                                      .doubled = doubled,
                                      .seed = seed,
                                      .delay_us = 500,
                                      .jitter_us = 500,
                                      .sync_us = 1000,
                                      .epoch_blocks = 20,
                                      .block_interval_us = 20000,
                                      .signers = true,
                                      .signer_delay_us = 2000};
    sn_clock_set(CHAIN_TIME_US + 1000000);
    return cluster_make(&options);
}

static void start_missing(struct cluster *cluster, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!cluster_is_up(cluster, i)) cluster_start(cluster, i);
    }
}

static void start_signers(struct cluster *cluster, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!sim_signer_is_up(cluster_signer(cluster, i))) cluster_signer_start(cluster, i);
    }
}

static void check_no_refusal(struct cluster *cluster, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct sim_signer *signer = cluster_signer(cluster, i);
        assert_true(sim_signer_answers(signer, SIGN_GRANTED) > 0);
        for (unsigned a = SIGN_GRANTED + 1; a < SIGN_ANSWERS; a++) {
            if (sim_signer_answers(signer, (enum sign_answer)a) > 0)
                fail_msg("the signer of %u refuses: %s", i, sign_answer_text((enum sign_answer)a));
        }
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

static void nodes_with_signers_finalize(void **state)
{
    (void)state;
    static const uint32_t COUNTS[] = {1, 4};
    for (size_t i = 0; i < sizeof COUNTS / sizeof COUNTS[0]; i++) {
        struct cluster *cluster = make(COUNTS[i], false, i + 1);
        start_missing(cluster, COUNTS[i]);
        cluster_submit(cluster, 0, 1, 30);
        assert_true(cluster_run_until_height(cluster, 60, 60000000));
        for (uint32_t at = 0; at < COUNTS[i]; at++) {
            assert_int_equal(cluster_nonce(cluster, at, 1), 30);
        }
        check_no_refusal(cluster, COUNTS[i]);
        stop_and_compare(cluster, COUNTS[i]);
    }
}

/* One signer away stops nobody else; its node follows, and votes again when it is back. */
static void a_node_follows_while_its_signer_is_away(void **state)
{
    (void)state;
    struct cluster *cluster = make(4, false, 7);
    start_missing(cluster, 4);
    assert_true(cluster_run_until_height(cluster, 10, 10000000));
    sim_signer_kill(cluster_signer(cluster, 2));
    assert_true(cluster_run_until_height(cluster, 60, 120000000)); /* node 2 too */
    uint64_t before = sim_signer_answers(cluster_signer(cluster, 2), SIGN_GRANTED);
    cluster_signer_start(cluster, 2);
    assert_true(cluster_run_until_height(cluster, 80, 60000000));
    assert_true(sim_signer_answers(cluster_signer(cluster, 2), SIGN_GRANTED) > before + 5);
    /* All of them: the chain stands, and goes on. */
    for (uint32_t i = 0; i < 4; i++) {
        sim_signer_kill(cluster_signer(cluster, i));
    }
    cluster_run(cluster, 2000000);
    uint64_t height = cluster_height(cluster, 0);
    cluster_run(cluster, 10000000);
    assert_int_equal(cluster_height(cluster, 0), height);
    start_signers(cluster, 4);
    assert_true(cluster_run_until_height(cluster, height + 20, 120000000));
    check_no_refusal(cluster, 4);
    stop_and_compare(cluster, 4);
}

/* Nodes and signers lose power at any operation, alone and together, with messages lost in between. */
static void power_cuts_of_nodes_and_signers_are_never_refused(void **state)
{
    (void)state;
    for (uint64_t run = 0; run < crash_share(1, 4, 100); run++) {
        uint32_t count = run % 4 == 3 ? 1 : 4;
        struct cluster *cluster = make(count, false, 900 + run);
        uint64_t random = run + 1, height = 0;
        start_missing(cluster, count);
        for (uint32_t cut = 0; cut < 12; cut++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            uint32_t victim = (uint32_t)(random >> 33) % count;
            if (cut % 2 == 0) cluster_kill_at(cluster, victim, 1 + (random >> 40) % 300);
            if (cut % 3 != 1)
                sim_signer_kill_at(cluster_signer(cluster, (victim + cut % 2) % count),
                                   1 + (random >> 20) % 60);
            cluster_run(cluster, 1500000);
            for (uint32_t again = 0; again < 5; again++) {
                start_signers(cluster, count);
                start_missing(cluster, count);
                cluster_run(cluster, 700000);
            }
            start_signers(cluster, count);
            start_missing(cluster, count);
            height += 5;
            assert_true(cluster_run_until_height(cluster, height, 300000000));
        }
        check_no_refusal(cluster, count);
        stop_and_compare(cluster, count);
    }
}

/* Signatures that do not verify never leave the node, and answers that nobody asked for change nothing: a peer
 * that got one would blame it, which fails the test. */
static void what_a_signer_brings_is_verified(void **state)
{
    (void)state;
    struct cluster *cluster = make(4, false, 11);
    struct node_stats stats;
    sim_signer_spoil(cluster_signer(cluster, 1), true);
    sim_signer_spoil(cluster_signer(cluster, 2), false);
    start_missing(cluster, 4);
    assert_true(cluster_run_until_height(cluster, 60, 600000000));
    node_stats(cluster_node(cluster, 1), &stats);
    assert_true(stats.sign_answers[SIGN_UNTRUE] > 5);
    assert_true(stats.sign_answers[SIGN_GRANTED] > 20);
    node_stats(cluster_node(cluster, 2), &stats);
    assert_true(stats.sign_answers[SIGN_GRANTED] > 20);
    for (unsigned i = SIGN_GRANTED + 1; i < SIGN_ANSWERS; i++) {
        assert_int_equal(stats.sign_answers[i], 0); /* what was not asked for is no refusal */
    }
    check_no_refusal(cluster, 4);
    stop_and_compare(cluster, 4);
}

/* The same key started twice, over one signer: whatever the two ask, no two signatures contradict (the witness
 * in support_signer.c fails otherwise), and the others go on. A node that hears of itself stops. */
static void one_signer_never_signs_twice_for_two_nodes(void **state)
{
    (void)state;
    uint64_t refused = 0;
    for (uint64_t run = 0; run < 4; run++) {
        struct cluster *cluster = make(4, true, 40 + run);
        uint64_t height = 0;
        start_missing(cluster, 5);
        for (uint32_t i = 0; i < 6; i++) {
            cluster_run(cluster, 1500000);
            if (i % 2 == 1) sim_signer_kill(cluster_signer(cluster, 0));
            cluster_run(cluster, 200000);
            start_signers(cluster, 4);
            if (!cluster_is_up(cluster, 4)) cluster_start(cluster, 4);
            if (!cluster_is_up(cluster, 0)) cluster_start(cluster, 0);
        }
        for (uint32_t at = 1; at < 4; at++) {
            assert_true(cluster_is_up(cluster, at));
            if (cluster_height(cluster, at) > height) height = cluster_height(cluster, at);
        }
        assert_true(height > 20);
        refused += sim_signer_refusals(cluster_signer(cluster, 0));
        for (uint32_t at = 1; at < 4; at++) {
            assert_int_equal(sim_signer_refusals(cluster_signer(cluster, at)), 0);
        }
        cluster_free(cluster);
    }
    assert_true(refused > 0);
}

int main(void)
{
    is_loop = true;
    if (trace_init(TRACE_FORMAT_LOGFMT, getenv("CLUSTER_TRACE") ? "debug" : "off", 2) != STATUS_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_with_signers_finalize),
        cmocka_unit_test(a_node_follows_while_its_signer_is_away),
        cmocka_unit_test(power_cuts_of_nodes_and_signers_are_never_refused),
        cmocka_unit_test(what_a_signer_brings_is_verified),
        cmocka_unit_test(one_signer_never_signs_twice_for_two_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
