/* bench/offer.h - load for nodes over HTTP, and what came of it.
 *
 * The load shares the cores with the nodes; its bodies are prepared, its answers hardly read (bench/wire.h).
 */
#ifndef CAIRN_BENCH_OFFER_H
#define CAIRN_BENCH_OFFER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bench/rig.h"

#define OFFER_POSTERS_MAX 80

/* offer_verify_rate answers what the cores verify in a second of the first frames when they do nothing else. */
double offer_verify_rate(const struct rig_frames *frames);

struct offer {
    const struct rig_frames *frames;
    uint64_t first, count; /* of the frames */
    uint64_t batch;
    double rate;           /* a second; 0: as fast as answers come */
    double begin;          /* the first one is due */
    double end;            /* nothing is posted any more; 0: when all are posted */
    bool attempts;         /* the rate is of attempts, a refused batch is tried again later */
    _Atomic uint64_t next; /* place of the next batch */
    _Atomic uint64_t slot; /* attempts so far */
    _Atomic uint64_t refused, unanswered; /* batches: 503 and 429; anything else */
    _Atomic uint64_t rejected;            /* transactions */
    char code[64];                        /* of the first refusal */
};

/* offer_post posts all of it; the posters take the nodes of the rig in turn, a sender always the same node if
 * `batch` divides the number of senders. */
void offer_post(struct offer *offer, unsigned posters);

/* offer_wait waits until every node's chain holds so many transactions. */
void offer_wait(uint64_t total);

/* Quantiles in milliseconds from when a transfer was due until its block was read back from the first node; what
 * was not seen within five seconds counts as infinite. */
struct offer_finality {
    double p50, p99, max;
    uint64_t missing;
};

/* offer_finality posts the frames at a fixed rate. */
struct offer_finality offer_finality(const struct rig_frames *frames, double rate, uint64_t batch,
                                     unsigned posters);

#endif
