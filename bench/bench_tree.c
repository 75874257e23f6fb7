/* bench tree: state root updates, against nothing but the hashes that they need.
 *
 *   build/bench/tree [--records N] [--rounds N] [--json]
 *
 * Subject: N records (128 bytes of value under a 32-byte key), k of them, spread over all, get a new
 * value; then store_root: changed records a second, the writing of the values not counted.
 * Reference: as many SHA-256 of 65 bytes as inner nodes and leaves, and of 128 bytes as values, were
 * hashed, one after the other from warm memory. Subject and reference alternate; the ratio is the
 * median of the rounds'.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apply/store.h"

#define KEY_BYTES   32
#define VALUE_BYTES 128
#define GOAL        0.35
#define ROUNDS_MAX  1000
#define STEP        UINT64_C(1000000007) /* prime: walks all records, none twice */

static const struct store_table TABLE = {1, "bench", KEY_BYTES, VALUE_BYTES};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t seed = 1;
static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void must(enum status status)
{
    if (status == STATUS_OK) return;
    fprintf(stderr, "tree: %s\n", status_text(status));
    exit(1);
}

static void put(struct store *store, uint64_t record)
{
    uint8_t key[KEY_BYTES] = {0}, value[VALUE_BYTES];
    store_u64(key, record);
    for (size_t i = 0; i < VALUE_BYTES; i += 8) {
        store_u64(value + i, next_random());
    }
    must(store_put(store, 1, key, value, VALUE_BYTES));
}

/* What one batch took. */
struct work {
    double taken;
    uint64_t nodes; /* inner nodes hashed */
};

/* subject: so many different records change; the time is that of store_root alone. */
static struct work subject(struct store *store, uint64_t records, uint64_t changed)
{
    static uint64_t height;
    uint8_t root[HASH_BYTES];
    uint64_t before = store_hashed(store);
    uint64_t first = next_random() % records;
    for (uint64_t i = 0; i < changed; i++) {
        put(store, (first + i * STEP) % records);
    }
    must(store_block_end(store, height++));
    double start = seconds();
    must(store_root(store, root));
    double taken = seconds() - start;
    return (struct work){.taken = taken, .nodes = store_hashed(store) - before};
}

/* reference: the same hashes, with nothing to look for. */
static double reference(uint64_t nodes, uint64_t values)
{
    static uint8_t messages[64][65], long_messages[64][VALUE_BYTES], hashes[64][HASH_BYTES];
    double start = seconds();
    for (uint64_t i = 0; i < nodes; i += 64) {
        sha256_many(messages[0], 65, nodes - i < 64 ? (size_t)(nodes - i) : 64, hashes);
    }
    for (uint64_t i = 0; i < values; i += 64) {
        sha256_many(long_messages[0], VALUE_BYTES, values - i < 64 ? (size_t)(values - i) : 64,
                    hashes);
    }
    return seconds() - start;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_size);
    return values[count / 2];
}

static void measure(struct store *store, uint64_t records, uint64_t changed, size_t rounds,
                    bool json)
{
    static double subjects[ROUNDS_MAX], references[ROUNDS_MAX], ratios[ROUNDS_MAX];
    (void)subject(store, records, changed); /* warm up */
    for (size_t i = 0; i < rounds; i++) {
        double taken = 0, bound = 0, updates = 0;
        /* Small batches are repeated within a round, so that a round lasts long enough to measure. */
        for (uint64_t done = 0; done < 20000; done += changed) {
            struct work work = subject(store, records, changed);
            taken += work.taken;
            updates += (double)changed;
            bound += reference(work.nodes + changed, changed);
        }
        subjects[i] = updates / taken;
        references[i] = updates / bound;
        ratios[i] = subjects[i] / references[i];
    }
    double value = median(subjects, rounds), bound = median(references, rounds);
    double ratio = median(ratios, rounds);
    char metric[96];
    snprintf(metric, sizeof metric, "root_%llu_of_%llu", (unsigned long long)changed,
             (unsigned long long)records);
    if (json)
        printf("{\"bench\":\"tree\",\"metric\":\"%s\",\"value\":%.0f,\"unit\":\"updates/s\","
               "\"reference\":\"hashes alone\",\"reference_value\":%.0f,\"ratio\":%.3f,"
               "\"goal\":%.2f}\n",
               metric, value, bound, ratio, GOAL);
    else
        printf("%-24s %10.0f updates/s  hashes alone %10.0f  ratio %.3f (goal %.2f)\n", metric,
               value, bound, ratio, GOAL);
    fflush(stdout);
}

static uint64_t number_of(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*end || value == 0 || value > 100000000) {
        fprintf(stderr, "tree: not a number from 1 to 100000000: %s\n", text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    uint64_t records = 1000000, rounds = 9;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--records") == 0 && i + 1 < argc) {
            records = number_of(argv[++i]);
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
            rounds = number_of(argv[++i]);
        } else {
            fprintf(stderr, "usage: tree [--records N] [--rounds N] [--json]\n");
            return 2;
        }
    }
    if (rounds > ROUNDS_MAX) rounds = ROUNDS_MAX;
    struct store *store;
    must(hash_init());
    must(store_open(&store, &TABLE, 1, records, 0));
    for (uint64_t i = 0; i < records; i++) {
        put(store, i);
    }
    uint8_t root[HASH_BYTES];
    must(store_root(store, root));
    static const uint64_t CHANGED[] = {1000, 10000, 100000};
    for (size_t i = 0; i < 3; i++) {
        if (CHANGED[i] <= records) measure(store, records, CHANGED[i], (size_t)rounds, json);
    }
    store_close(store);
    return 0;
}
