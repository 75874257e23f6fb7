/* bench/load.h - what one node and a network of nodes are both measured by. */
#ifndef CAIRN_BENCH_LOAD_H
#define CAIRN_BENCH_LOAD_H

#include "bench/bench.h"
#include "bench/offer.h"

#define LOAD_BATCH   512
#define LOAD_POSTERS 24

/* load_throughput commits so many transfers in each round, as fast as they are admitted, against the rate at which
 * the cores verify their signatures alone, divided by the nodes, of which each verifies all. Transfers a second. */
double load_throughput(struct bench *bench, struct wire *wire, uint64_t transactions, double goal);

/* load_finality: at half of the rate, at fixed times, for so many seconds. The 99th percentile in
 * milliseconds. */
double load_finality(struct bench *bench, struct wire *wire, double rate, uint64_t seconds);

/* load_overload offers ten times the rate: growth of resident memory in the last quarter, what was committed
 * meanwhile, the longest time without a block, and how long afterwards the pool is empty and the 99th percentile of
 * probes within `calm_ms`, or 100 ms if that is longer. */
void load_overload(struct bench *bench, struct wire *wire, double rate, uint64_t seconds,
                   double calm_ms);

#endif
