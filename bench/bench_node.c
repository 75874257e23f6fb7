/* bench node: one validator end to end, against its cores verifying the same signatures and nothing else.
 *
 *   build/bench/node [--rounds N] [--transactions N] [--half-seconds N] [--accounts N]
 *                    [--overload-seconds N] [--json]
 *
 * The node is a process of its own (bench/rig.h). Everything is signed before its clock starts. The load
 * shares the cores with the node; its bodies are prepared, its answers hardly read (bench/wire.h).
 *
 *   throughput  transfers between funded accounts, in batches over a few connections; from the first
 *               byte until the node shows all of them committed. Reference: two threads verify the
 *               same signed transactions, before and after; the mean of both counts.
 *   finality    at half of the load just measured, at fixed times: from when a transfer was due until
 *               its block was read back from the node. The 99th percentile.
 *   memory      growth of the node's resident memory for each account that transfers create.
 *   overload    ten times the load just measured is offered: growth of the resident memory in the
 *               last quarter (what has a bound fills before), what was committed meanwhile, and
 *               how long afterwards the pool is empty and probes are final as fast as before.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apply/transaction.h"
#include "bench/bench.h"
#include "bench/load.h"

#define MULTI       16 /* payees of a transaction that creates accounts */
#define GOAL_RATE   0.70
#define GOAL_MEMORY 1024.0 /* bytes an account */

static struct bench bench = {.name = "node"};

/* ---- memory ---- */

static void memory(struct wire *wire, uint64_t accounts)
{
    static struct bench_rounds rounds;
    struct rig_frames frames = {.count = (accounts + MULTI - 1) / MULTI, .payees = MULTI};
    rig_sign(wire, &frames);
    uint64_t total = rig_ask(wire, "/v1/status", "tx_total");
    double before = rig_resident(), start = bench_seconds();
    struct offer run = {.frames = &frames, .count = frames.count, .batch = 128};
    offer_post(&run, 6);
    if (run.rejected || run.unanswered) rig_fail(run.code[0] ? run.code : "no answer");
    offer_wait(total + frames.count);
    double taken = bench_seconds() - start;
    double made = (double)(frames.count * MULTI);
    free(frames.bytes);
    bench_round(&rounds, (rig_resident() - before) / made, GOAL_MEMORY);
    bench_report(&bench, "memory_per_account", "byte", "bound", &rounds, BENCH_AT_MOST, 1);
    bench_round(&rounds, made / taken, made / taken);
    bench_report(&bench, "accounts_created", "account/s", "itself", &rounds, BENCH_AT_LEAST, 0);
}

int main(int argc, char **argv)
{
    uint64_t transactions = 50000, half = 10, accounts = 1000000, seconds = 120;
    const struct bench_option options[] = {{"--transactions", &transactions, 1000000, NULL},
                                           {"--half-seconds", &half, 600, NULL},
                                           {"--accounts", &accounts, 100000000, NULL},
                                           {"--overload-seconds", &seconds, 600, NULL}};
    bench_options(&bench, argc, argv, options, 4);
    struct wire wire;
    bench_must("node", hash_init());
    rig_start(1, "8ms");
    bench_must("node", wire_open(&wire, rig_port[0]));
    double rate = load_throughput(&bench, &wire, transactions, GOAL_RATE);
    double calm_ms = load_finality(&bench, &wire, rate, half);
    memory(&wire, accounts);
    load_overload(&bench, &wire, rate, seconds, calm_ms);
    wire_close(&wire);
    rig_stop();
    return 0;
}
