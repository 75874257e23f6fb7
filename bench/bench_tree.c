/* bench tree: state root updates, against nothing but the hashes that they need.
 *
 *   build/bench/tree [--records N] [--cores N] [--rounds N] [--json]
 *
 * Subject: N records (128 bytes of value under a 32-byte key), k of them, spread over all, get a new
 * value; then store_root: changed records a second, the writing of the values not counted.
 * Reference: as many SHA-256 of 65 bytes as inner nodes and leaves, and of 128 bytes as values, were
 * hashed, one after the other from warm memory. Subject and reference alternate; the ratio is the
 * median of the rounds'. Both run on one core, then both on N (2): the reference's hashes are dealt
 * to the same threads in slices.
 */
#include <stdio.h>

#include "apply/store.h"
#include "bench/bench.h"
#include "log/team.h"

#define KEY_BYTES   32
#define VALUE_BYTES 128
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

#define SLICE 512 /* hashes that a core takes at a time */

/* The hashes of a batch: `nodes` of 65 bytes, then `values`. */
struct hashes {
    uint64_t nodes, values;
};

static void hash_slice(void *context, uint32_t index)
{
    const struct hashes *hashes = context;
    uint8_t nodes[64][65] = {{0}}, values[64][VALUE_BYTES] = {{0}}, out[64][HASH_BYTES];
    uint64_t end = hashes->nodes + hashes->values, from = (uint64_t)index * SLICE;
    if (from + SLICE < end) end = from + SLICE;
    while (from < end) {
        bool node = from < hashes->nodes;
        uint64_t left = (node && hashes->nodes < end ? hashes->nodes : end) - from;
        size_t count = left < 64 ? (size_t)left : 64;
        if (node)
            sha256_many(nodes[0], sizeof nodes[0], count, out);
        else
            sha256_many(values[0], sizeof values[0], count, out);
        from += count;
    }
}

/* reference: the same hashes, with nothing to look for. */
static double reference(const struct parallel *parallel, uint64_t nodes, uint64_t values)
{
    struct hashes hashes = {nodes, values};
    double start = bench_seconds();
    parallel_run(parallel, (uint32_t)((nodes + values + SLICE - 1) / SLICE), hash_slice, &hashes);
    return bench_seconds() - start;
}

static void measure(struct store *store, uint64_t records, uint64_t changed, unsigned cores,
                    const struct parallel *parallel)
{
    static struct bench_rounds rounds;
    store_parallel(store, parallel);
    (void)subject(store, records, changed); /* warm up */
    for (size_t i = 0; i < bench.rounds; i++) {
        double taken = 0, updates = 0;
        uint64_t nodes = 0;
        /* Small batches are repeated within a round, so that a round lasts long enough to measure. */
        for (uint64_t done = 0; done < 20000; done += changed) {
            struct work work = subject(store, records, changed);
            taken += work.taken;
            updates += (double)changed;
            nodes += work.nodes + changed;
        }
        /* In one go, so that waking the threads costs the reference nothing. */
        bench_round(&rounds, updates / taken,
                    updates / reference(parallel, nodes, (uint64_t)updates));
    }
    char metric[96], name[64];
    snprintf(metric, sizeof metric, "root_%llu_of_%llu_cores_%u", (unsigned long long)changed,
             (unsigned long long)records, cores);
    snprintf(name, sizeof name, "hashes alone, %u core%s", cores, cores > 1 ? "s" : "");
    bench_report(&bench, metric, "updates/s", name, &rounds, BENCH_AT_LEAST,
                 records <= 1000000 ? 0.35 : 0.30);
}

int main(int argc, char **argv)
{
    static const uint64_t CHANGED[] = {1000, 10000, 100000};
    uint64_t records = 1000000, cores = 2;
    const struct bench_option options[] = {{"--records", &records, 100000000, NULL},
                                           {"--cores", &cores, TEAM_THREADS_MAX + 1, NULL}};
    bench_options(&bench, argc, argv, options, 2);
    struct store *store;
    struct team *team = NULL;
    bench_must("tree", hash_init());
    bench_must("tree", store_open(&store, &TABLE, 1, records, 0));
    if (cores > 1) {
        bench_must("tree", team_open(&team, (unsigned)cores - 1));
        store_parallel(store, team_parallel(team));
    }
    for (uint64_t i = 0; i < records; i++) {
        put(store, i);
    }
    uint8_t root[HASH_BYTES];
    bench_must("tree", store_root(store, root));
    for (size_t i = 0; i < sizeof CHANGED / sizeof CHANGED[0]; i++) {
        if (CHANGED[i] > records) break;
        measure(store, records, CHANGED[i], 1, NULL);
        if (team) measure(store, records, CHANGED[i], (unsigned)cores, team_parallel(team));
    }
    store_close(store);
    team_close(team);
    return 0;
}
