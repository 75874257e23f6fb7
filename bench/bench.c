/* bench/bench.c - see bench.h. */
#include "bench/bench.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double bench_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

uint64_t bench_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void bench_must(const char *bench, enum status status)
{
    if (status == STATUS_OK) return;
    fprintf(stderr, "%s: %s\n", bench, status_text(status));
    exit(1);
}

static _Noreturn void usage(const struct bench *bench, const struct bench_option *options,
                            size_t count)
{
    fprintf(stderr, "usage: %s [--json] [--rounds N]", bench->name);
    for (size_t i = 0; i < count; i++) {
        fprintf(stderr, " [%s %s]", options[i].name, options[i].value ? "N" : "TEXT");
    }
    fprintf(stderr, "\n");
    exit(2);
}

static bool number_of(const char *text, uint64_t max, uint64_t *value)
{
    char *end;
    if (*text < '0' || *text > '9') return false;
    unsigned long long number = strtoull(text, &end, 10);
    if (*end || number == 0 || number > max) return false;
    *value = number;
    return true;
}

static bool option_take(const struct bench_option *option, const char *text)
{
    if (option->value) return number_of(text, option->max, option->value);
    if (*text) *option->text = text;
    return *text;
}

void bench_options(struct bench *bench, int argc, char **argv, const struct bench_option *options,
                   size_t count)
{
    uint64_t rounds = bench->rounds ? bench->rounds : BENCH_ROUNDS_MIN;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            bench->json = true;
            continue;
        }
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        bool known = strcmp(argv[i], "--rounds") == 0 && number_of(next, BENCH_ROUNDS_MAX, &rounds);
        for (size_t j = 0; j < count && !known; j++) {
            known = strcmp(argv[i], options[j].name) == 0 && option_take(&options[j], next);
        }
        if (!known) usage(bench, options, count);
        i++;
    }
    bench->rounds = (size_t)rounds;
}

void bench_round(struct bench_rounds *rounds, double subject, double reference)
{
    assert(rounds->count < BENCH_ROUNDS_MAX);
    rounds->subject[rounds->count] = subject;
    rounds->reference[rounds->count] = reference;
    rounds->count++;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_report(const struct bench *bench, const char *metric, const char *unit,
                  const char *reference, struct bench_rounds *rounds, enum bench_goal kind,
                  double goal)
{
    static double ratios[BENCH_ROUNDS_MAX];
    size_t count = rounds->count, middle = count / 2;
    assert(count > 0);
    for (size_t i = 0; i < count; i++) {
        ratios[i] = rounds->subject[i] / rounds->reference[i];
    }
    qsort(ratios, count, sizeof ratios[0], by_size);
    qsort(rounds->subject, count, sizeof ratios[0], by_size);
    qsort(rounds->reference, count, sizeof ratios[0], by_size);
    if (bench->json)
        printf("{\"bench\":\"%s\",\"metric\":\"%s\",\"value\":%.6g,\"unit\":\"%s\","
               "\"reference\":\"%s\",\"reference_value\":%.6g,\"ratio\":%.4g,\"ratio_min\":%.4g,"
               "\"ratio_max\":%.4g,\"rounds\":%zu,\"goal\":%.4g,\"goal_kind\":\"%s\"}\n",
               bench->name, metric, rounds->subject[middle], unit, reference,
               rounds->reference[middle], ratios[middle], ratios[0], ratios[count - 1], count, goal,
               kind == BENCH_AT_LEAST ? "at_least" : "at_most");
    else
        printf("%-28s %12.6g %-12s %s %.6g  ratio %.3f (%.3f..%.3f, %s %.3g)\n", metric,
               rounds->subject[middle], unit, reference, rounds->reference[middle], ratios[middle],
               ratios[0], ratios[count - 1], kind == BENCH_AT_LEAST ? ">=" : "<=", goal);
    fflush(stdout);
    rounds->count = 0;
}
