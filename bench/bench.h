/* bench/bench.h - what every benchmark shares: rounds, medians, one line a result.
 *
 * A shared machine shifts by 1.7 within seconds. So a figure counts only against a reference that
 * alternates with it in the same run: each round yields both, and the median of the rounds' ratios is
 * the result. The values printed beside it are medians of their own and say how fast this machine was.
 *
 * JSON, one object a line: bench, metric, value, unit, reference, reference_value, ratio, ratio_min,
 * ratio_max, rounds, goal, goal_kind ("at_least" or "at_most").
 */
#ifndef CAIRN_BENCH_BENCH_H
#define CAIRN_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

#define BENCH_ROUNDS_MIN 9
#define BENCH_ROUNDS_MAX 1000

/* Seconds of a clock that never steps. */
double bench_seconds(void);

/* xorshift64: the same numbers in every run. *state is not 0. */
uint64_t bench_random(uint64_t *state);

/* bench_must ends the program with the status's text unless it is STATUS_OK. */
void bench_must(const char *bench, enum status status);

/* Command line. An option that takes a number, or a text, is named in the list of bench_options;
 * `--json` and `--rounds N` are understood by all. A wrong line prints the usage and exits 2. */
struct bench_option {
    const char *name; /* "--records" */
    uint64_t *value;  /* a number from 1 on; holds the default */
    uint64_t max;
    const char **text; /* instead of a number, where value is NULL; holds the default */
};
struct bench {
    const char *name; /* "tree" */
    bool json;
    size_t rounds;
};
void bench_options(struct bench *bench, int argc, char **argv, const struct bench_option *options,
                   size_t count);

/* The rounds of one metric: both values in the same unit, of the same round. */
struct bench_rounds {
    double subject[BENCH_ROUNDS_MAX];
    double reference[BENCH_ROUNDS_MAX];
    size_t count;
};
void bench_round(struct bench_rounds *rounds, double subject, double reference);

enum bench_goal {
    BENCH_AT_LEAST, /* the ratio subject / reference is wanted this high */
    BENCH_AT_MOST,  /* this low */
};

/* bench_report prints one line and empties the rounds. goal 0: no goal was set. */
void bench_report(const struct bench *bench, const char *metric, const char *unit,
                  const char *reference, struct bench_rounds *rounds, enum bench_goal kind,
                  double goal);

#endif
