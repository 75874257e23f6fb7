#include "bench/load.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH_SMALL   64
#define OVERLOAD      10
#define PROBE_TXS     64
#define GOAL_P99_MS   100.0
#define GOAL_RECOVERY 30.0
#define GOAL_GAP      15.0
#define BLOCK_TXS     5000.0
#define GOAL_FLAT     0.05 /* growth under overload */

static double own_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- throughput ---- */

double load_throughput(struct bench *bench, struct wire *wire, uint64_t transactions, double goal)
{
    static struct bench_rounds rounds, cost, load, filled;
    struct rig_frames frames = {.count = transactions * (bench->rounds + 1), .payees = 1};
    rig_sign(wire, &frames);
    uint64_t total = rig_ask(wire, "/v1/status", "tx_total");
    double rates[BENCH_ROUNDS_MAX], before = offer_verify_rate(&frames), sum = 0;
    for (size_t i = 0; i <= bench->rounds; i++) {
        struct offer run = {.frames = &frames,
                            .first = i * transactions,
                            .count = transactions,
                            .batch = LOAD_BATCH,
                            .begin = bench_seconds()};
        double used = rig_processor_seconds(), own = own_seconds();
        uint64_t blocks = rig_ask(wire, "/v1/status", "height");
        offer_post(&run, LOAD_POSTERS);
        if (run.rejected || run.unanswered) rig_fail(run.code[0] ? run.code : "no answer");
        total += transactions;
        offer_wait(total);
        double rate = (double)transactions / (bench_seconds() - run.begin);
        used = (rig_processor_seconds() - used) / (double)transactions * 1e6;
        own = (own_seconds() - own) / (double)transactions * 1e6;
        blocks = rig_ask(wire, "/v1/status", "height") - blocks;
        double after = offer_verify_rate(&frames);
        if (i > 0) {                                         /* the first round warms up */
            double bound = (before + after) / 2 / rig_nodes; /* every node verifies all of them */
            bench_round(&rounds, rate, bound);
            bench_round(&cost, used, RIG_CORES * 1e6 / bound);
            bench_round(&filled, (double)transactions / (double)blocks, BLOCK_TXS);
            bench_round(&load, own, RIG_CORES * 1e6 / bound);
            rates[i - 1] = rate;
        }
        before = after;
    }
    for (size_t i = 0; i < bench->rounds; i++) {
        sum += rates[i];
    }
    free(frames.bytes);
    bench_report(bench, "committed", "tx/s", "verify alone", &rounds, BENCH_AT_LEAST, goal);
    bench_report(bench, "node_cpu", "us/tx", "verify alone", &cost, BENCH_AT_MOST, 1 / goal);
    bench_report(bench, "block_txs", "tx", "5000", &filled, BENCH_AT_LEAST, 0);
    bench_report(bench, "load_cpu", "us/tx", "verify alone", &load, BENCH_AT_MOST, 0);
    return sum / (double)bench->rounds;
}

/* ---- finality ---- */

double load_finality(struct bench *bench, struct wire *wire, double rate, uint64_t seconds)
{
    static struct bench_rounds rounds;
    struct rig_frames frames = {.count = (uint64_t)(rate / 2 * (double)seconds), .payees = 1};
    rig_sign(wire, &frames);
    struct offer_finality result = offer_finality(&frames, rate / 2, BATCH_SMALL, LOAD_POSTERS / 2);
    free(frames.bytes);
    bench_round(&rounds, result.p50, GOAL_P99_MS);
    bench_report(bench, "finality_p50_at_half", "ms", "100 ms", &rounds, BENCH_AT_MOST, 1);
    bench_round(&rounds, result.p99, GOAL_P99_MS);
    bench_report(bench, "finality_p99_at_half", "ms", "100 ms", &rounds, BENCH_AT_MOST, 1);
    bench_round(&rounds, result.max, GOAL_P99_MS);
    bench_report(bench, "finality_max_at_half", "ms", "100 ms", &rounds, BENCH_AT_MOST, 0);
    if (result.missing > 0) rig_fail("transactions are missing");
    return result.p99;
}

/* ---- overload ---- */

struct gauge {
    double late, end; /* resident bytes: after three quarters of the time, at its end */
    double gap;       /* longest time without a new block, seconds */
    double from, seconds;
};

static void *gauge_part(void *argument)
{
    struct gauge *gauge = argument;
    struct wire wire;
    uint64_t height = 0;
    double moved = 0;
    bench_must("load", wire_open(&wire, rig_port[0]));
    for (;;) {
        double now = bench_seconds() - gauge->from, bytes = rig_resident();
        uint64_t seen = rig_ask(&wire, "/v1/status", "height");
        if (now - moved > gauge->gap) gauge->gap = now - moved;
        if (seen != height) moved = now;
        height = seen;
        if (gauge->late == 0 && now >= gauge->seconds * 3 / 4) gauge->late = bytes;
        gauge->end = bytes;
        if (now >= gauge->seconds) break;
        usleep(100000);
    }
    wire_close(&wire);
    return NULL;
}

/* recover probes until the pool is empty and probes are final as fast as before. */
static double recover(struct wire *wire, const struct rig_frames *probes, double start,
                      double calm_ms)
{
    for (uint64_t i = 0; i < probes->count && bench_seconds() < start + 2 * GOAL_RECOVERY;
         i += PROBE_TXS) {
        double now = bench_seconds();
        struct rig_frames probe = *probes;
        probe.bytes += i * probes->stride;
        probe.count = PROBE_TXS;
        struct offer_finality result = offer_finality(&probe, PROBE_TXS * 10, PROBE_TXS, 1);
        bool idle = rig_ask(wire, "/v1/mempool", "txs") == 0;
        if (idle && result.missing == 0 && result.p99 <= calm_ms) return now - start;
    }
    return 2 * GOAL_RECOVERY;
}

void load_overload(struct bench *bench, struct wire *wire, double rate, uint64_t seconds,
                   double calm_ms)
{
    static struct bench_rounds rounds;
    /* More than the node can commit meanwhile, and what the pool and the queues take. */
    struct rig_frames frames = {.count = (uint64_t)(rate * 1.25 * (double)seconds) + 150000,
                                .payees = 1};
    struct rig_frames probes = {.count = PROBE_TXS * 400,
                                .payees = 1,
                                .first = RIG_KEYS - RIG_PROBE_KEYS,
                                .keys = RIG_PROBE_KEYS};
    rig_sign(wire, &frames);
    rig_sign(wire, &probes);
    double offered = rate * OVERLOAD;
    struct gauge gauge = {.from = bench_seconds(), .seconds = (double)seconds};
    struct offer run = {
        .frames = &frames, .count = frames.count, .batch = LOAD_BATCH, .rate = offered};
    run.attempts = true;
    run.begin = gauge.from;
    run.end = gauge.from + (double)seconds;
    uint64_t before = rig_ask(wire, "/v1/status", "tx_total");
    pthread_t thread;
    if (pthread_create(&thread, NULL, gauge_part, &gauge) != 0) rig_fail("no thread");
    offer_post(&run, OFFER_POSTERS_MAX);
    pthread_join(thread, NULL);
    double taken = bench_seconds() - run.begin;
    uint64_t committed = rig_ask(wire, "/v1/status", "tx_total") - before;
    double tried = (double)(run.slot * LOAD_BATCH) / taken;
    double recovery =
        recover(wire, &probes, run.end, calm_ms > GOAL_P99_MS ? calm_ms : GOAL_P99_MS);
    free(frames.bytes);
    free(probes.bytes);

    bench_round(&rounds, tried, rate);
    bench_report(bench, "overload_offered", "tx/s", "committed", &rounds, BENCH_AT_LEAST,
                 OVERLOAD * 0.9);
    bench_round(&rounds, (double)committed / taken, rate);
    bench_report(bench, "overload_committed", "tx/s", "committed", &rounds, BENCH_AT_LEAST, 0.5);
    bench_round(&rounds, (double)(run.refused * LOAD_BATCH) / taken, tried);
    bench_report(bench, "overload_refused", "tx/s", "offered", &rounds, BENCH_AT_LEAST, 0.1);
    bench_round(&rounds, gauge.end, gauge.late);
    bench_report(bench, "overload_memory", "byte", "a quarter before", &rounds, BENCH_AT_MOST,
                 1 + GOAL_FLAT);
    bench_round(&rounds, gauge.gap, GOAL_GAP);
    bench_report(bench, "overload_block_gap", "s", "15 s", &rounds, BENCH_AT_MOST, 1);
    bench_round(&rounds, recovery, GOAL_RECOVERY);
    bench_report(bench, "overload_recovery", "s", "30 s", &rounds, BENCH_AT_MOST, 1);
    fprintf(stderr, "overload: refused with %s; other answers %llu, rejected %llu\n",
            run.code[0] ? run.code : "nothing", (unsigned long long)run.unanswered,
            (unsigned long long)run.rejected);
}
