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

#include "apply/store.h"
#include "bench/bench.h"

#define KEY_BYTES   32
#define VALUE_BYTES 128
#define GOAL        0.35
#define STEP        UINT64_C(1000000007) /* prime: walks all records, none twice */

static const struct store_table TABLE = {1, "bench", KEY_BYTES, VALUE_BYTES};

static struct bench bench = {.name = "tree"};
static uint64_t seed = 1;

static void put(struct store *store, uint64_t record)
{
    uint8_t key[KEY_BYTES] = {0}, value[VALUE_BYTES];
    store_u64(key, record);
    for (size_t i = 0; i < VALUE_BYTES; i += 8) {
        store_u64(value + i, bench_random(&seed));
    }
    bench_must("tree", store_put(store, 1, key, value, VALUE_BYTES));
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
    uint64_t first = bench_random(&seed) % records;
    for (uint64_t i = 0; i < changed; i++) {
        put(store, (first + i * STEP) % records);
    }
    bench_must("tree", store_block_end(store, height++));
    double start = bench_seconds();
    bench_must("tree", store_root(store, root));
    double taken = bench_seconds() - start;
    return (struct work){.taken = taken, .nodes = store_hashed(store) - before};
}

/* reference: the same hashes, with nothing to look for. */
static double reference(uint64_t nodes, uint64_t values)
{
    static uint8_t messages[64][65], long_messages[64][VALUE_BYTES], hashes[64][HASH_BYTES];
    double start = bench_seconds();
    for (uint64_t i = 0; i < nodes; i += 64) {
        sha256_many(messages[0], 65, nodes - i < 64 ? (size_t)(nodes - i) : 64, hashes);
    }
    for (uint64_t i = 0; i < values; i += 64) {
        sha256_many(long_messages[0], VALUE_BYTES, values - i < 64 ? (size_t)(values - i) : 64,
                    hashes);
    }
    return bench_seconds() - start;
}

static void measure(struct store *store, uint64_t records, uint64_t changed)
{
    static struct bench_rounds rounds;
    (void)subject(store, records, changed); /* warm up */
    for (size_t i = 0; i < bench.rounds; i++) {
        double taken = 0, bound = 0, updates = 0;
        /* Small batches are repeated within a round, so that a round lasts long enough to measure. */
        for (uint64_t done = 0; done < 20000; done += changed) {
            struct work work = subject(store, records, changed);
            taken += work.taken;
            updates += (double)changed;
            bound += reference(work.nodes + changed, changed);
        }
        bench_round(&rounds, updates / taken, updates / bound);
    }
    char metric[96];
    snprintf(metric, sizeof metric, "root_%llu_of_%llu", (unsigned long long)changed,
             (unsigned long long)records);
    bench_report(&bench, metric, "updates/s", "hashes alone", &rounds, BENCH_AT_LEAST, GOAL);
}

int main(int argc, char **argv)
{
    uint64_t records = 1000000;
    const struct bench_option options[] = {{"--records", &records, 100000000, NULL}};
    bench_options(&bench, argc, argv, options, 1);
    struct store *store;
    bench_must("tree", hash_init());
    bench_must("tree", store_open(&store, &TABLE, 1, records, 0));
    for (uint64_t i = 0; i < records; i++) {
        put(store, i);
    }
    uint8_t root[HASH_BYTES];
    bench_must("tree", store_root(store, root));
    static const uint64_t CHANGED[] = {1000, 10000, 100000};
    for (size_t i = 0; i < 3; i++) {
        if (CHANGED[i] <= records) measure(store, records, CHANGED[i]);
    }
    store_close(store);
    return 0;
}
