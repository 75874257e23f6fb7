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
#include "bench/rig.h"

#define BATCH         512 /* of throughput and overload */
#define BATCH_SMALL   64  /* of finality */
#define POSTERS       24
#define POSTERS_MAX   80
#define MULTI         16 /* payees of a transaction that creates accounts */
#define OVERLOAD      10
#define PROBE_TXS     64
#define REFERENCE_TXS 4096
#define GOAL_RATE     0.70
#define GOAL_P99_MS   100.0
#define GOAL_RECOVERY 30.0
#define GOAL_MEMORY   1024.0 /* bytes an account */
#define GOAL_FLAT     0.05   /* growth under overload */
#define BATCH_PATH    "/v1/txs/batch"
#define RAW           "application/octet-stream"

static struct bench bench = {.name = "node"};

static double own_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- reference ---- */

struct verifier {
    const struct rig_frames *frames;
    uint64_t first, count;
};

static void *verify_part(void *argument)
{
    static struct tx_view views[RIG_CORES][REFERENCE_TXS];
    const struct verifier *work = argument;
    const struct rig_frames *frames = work->frames;
    struct tx_view *view = views[work->first / REFERENCE_TXS];
    for (uint64_t i = 0; i < work->count; i++) {
        const uint8_t *frame = frames->bytes + (work->first + i) % frames->count * frames->stride;
        bench_must("node", tx_open(frame + 4, frames->stride - 4, &view[i]));
    }
    static double seconds[RIG_CORES];
    double start = bench_seconds();
    for (uint64_t i = 0; i < work->count; i++) {
        bench_must("node", tx_verify(&view[i], rig_genesis_id()));
    }
    seconds[work->first / REFERENCE_TXS] = bench_seconds() - start;
    return &seconds[work->first / REFERENCE_TXS];
}

/* verify_rate answers what the cores verify in a second when they do nothing else. */
static double verify_rate(const struct rig_frames *frames)
{
    pthread_t threads[RIG_CORES];
    struct verifier work[RIG_CORES];
    double rate = 0;
    for (uint64_t i = 0; i < RIG_CORES; i++) {
        work[i] = (struct verifier){frames, i * REFERENCE_TXS, REFERENCE_TXS};
        if (pthread_create(&threads[i], NULL, verify_part, &work[i]) != 0) rig_fail("no thread");
    }
    for (uint64_t i = 0; i < RIG_CORES; i++) {
        void *seconds;
        pthread_join(threads[i], &seconds);
        rate += REFERENCE_TXS / *(double *)seconds;
    }
    return rate;
}

/* ---- posting ---- */

struct run {
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

static void note_code(struct run *run, const struct wire_answer *answer)
{
    const char *at = strstr((const char *)answer->body.at, "\"code\":\"");
    if (!at || run->code[0]) return;
    size_t count = strcspn(at + 8, "\"");
    if (count < sizeof run->code) memcpy(run->code, at + 8, count);
}

static bool wait_turn(struct run *run)
{
    uint64_t slot = atomic_fetch_add(&run->slot, 1);
    if (run->rate > 0) {
        double due = run->begin + (double)(slot * run->batch) / run->rate, now = bench_seconds();
        if (run->end != 0 && due > run->end) return false;
        if (due > now) usleep((useconds_t)((due - now) * 1e6));
    }
    return run->end == 0 || bench_seconds() < run->end;
}

static void *poster(void *argument)
{
    struct run *run = argument;
    struct wire wire;
    bench_must("node", wire_open(&wire, rig_port));
    uint64_t at = 0, count = 0;
    for (bool mine = false;;) {
        if (!mine) {
            if (!wait_turn(run)) break;
            at = atomic_fetch_add(&run->next, run->batch);
            if (at >= run->count) break;
            count = run->count - at < run->batch ? run->count - at : run->batch;
        } else if (!run->attempts || !wait_turn(run)) {
            usleep(20000); /* a hole in the nonces would keep what is behind it waiting for ever */
        }
        const struct bytes body = {run->frames->bytes + (run->first + at) * run->frames->stride,
                                   count * run->frames->stride};
        struct wire_answer answer = wire_post(&wire, BATCH_PATH, RAW, body);
        mine = answer.status == 503 || answer.status == 429;
        if (mine) {
            atomic_fetch_add(&run->refused, 1);
            note_code(run, &answer);
        } else if (answer.status == 200) {
            uint64_t taken = wire_member(&answer, "admitted") + wire_member(&answer, "known");
            if (taken < count) {
                atomic_fetch_add(&run->rejected, count - taken);
                note_code(run, &answer);
            }
        } else {
            atomic_fetch_add(&run->unanswered, 1);
            mine = run->attempts;
        }
    }
    wire_close(&wire);
    return NULL;
}

static void post(struct run *run, unsigned posters)
{
    pthread_t threads[POSTERS_MAX];
    for (unsigned i = 0; i < posters; i++) {
        if (pthread_create(&threads[i], NULL, poster, run) != 0) rig_fail("no thread");
    }
    for (unsigned i = 0; i < posters; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* wait_committed waits until the chain holds so many transactions. */
static void wait_committed(struct wire *wire, uint64_t total)
{
    double start = bench_seconds();
    while (rig_ask(wire, "/v1/status", "tx_total") < total) {
        if (bench_seconds() > start + 60) rig_fail("transactions are missing");
        usleep(1000);
    }
}

/* ---- throughput ---- */

static double throughput(struct wire *wire, uint64_t transactions)
{
    static struct bench_rounds rounds, cost, load;
    struct rig_frames frames = {.count = transactions * (bench.rounds + 1), .payees = 1};
    rig_sign(wire, &frames);
    uint64_t total = rig_ask(wire, "/v1/status", "tx_total");
    double rates[BENCH_ROUNDS_MAX], before = verify_rate(&frames), sum = 0;
    for (size_t i = 0; i <= bench.rounds; i++) {
        struct run run = {.frames = &frames,
                          .first = i * transactions,
                          .count = transactions,
                          .batch = BATCH,
                          .begin = bench_seconds()};
        double used = rig_processor_seconds(), own = own_seconds();
        post(&run, POSTERS);
        if (run.rejected || run.unanswered) rig_fail(run.code[0] ? run.code : "no answer");
        total += transactions;
        wait_committed(wire, total);
        double rate = (double)transactions / (bench_seconds() - run.begin);
        used = (rig_processor_seconds() - used) / (double)transactions * 1e6;
        own = (own_seconds() - own) / (double)transactions * 1e6;
        double after = verify_rate(&frames);
        if (i > 0) { /* the first round warms up */
            double bound = (before + after) / 2;
            bench_round(&rounds, rate, bound);
            bench_round(&cost, used, RIG_CORES * 1e6 / bound);
            bench_round(&load, own, RIG_CORES * 1e6 / bound);
            rates[i - 1] = rate;
        }
        before = after;
    }
    for (size_t i = 0; i < bench.rounds; i++) {
        sum += rates[i];
    }
    free(frames.bytes);
    bench_report(&bench, "committed", "tx/s", "verify alone", &rounds, BENCH_AT_LEAST, GOAL_RATE);
    bench_report(&bench, "node_cpu", "us/tx", "verify alone", &cost, BENCH_AT_MOST, 1 / GOAL_RATE);
    bench_report(&bench, "load_cpu", "us/tx", "verify alone", &load, BENCH_AT_MOST, 0);
    return sum / (double)bench.rounds;
}

/* ---- finality ---- */

/* A watcher reads the blocks as they come and knows each transaction by its bytes. */
struct watch {
    const struct rig_frames *frames;
    double *seen;   /* [frames->count], 0: not yet */
    uint32_t *slot; /* hash of the bytes -> frame + 1 */
    uint64_t mask, height;
    _Atomic uint64_t found;
    _Atomic bool done;
};

static void watch_open(struct watch *watch, const struct rig_frames *frames, uint64_t height)
{
    *watch = (struct watch){.frames = frames, .height = height + 1, .mask = 1023};
    while (watch->mask < frames->count * 2) {
        watch->mask = watch->mask * 2 + 1;
    }
    watch->seen = calloc(frames->count, sizeof *watch->seen);
    watch->slot = calloc(watch->mask + 1, sizeof *watch->slot);
    if (!watch->seen || !watch->slot) rig_fail("not enough memory");
    for (uint64_t i = 0; i < frames->count; i++) {
        uint64_t at =
            checksum64(frames->bytes + i * frames->stride + 4, frames->stride - 4, 0) & watch->mask;
        while (watch->slot[at] != 0) {
            at = (at + 1) & watch->mask;
        }
        watch->slot[at] = (uint32_t)i + 1;
    }
}

static void watch_close(struct watch *watch)
{
    free(watch->seen);
    free(watch->slot);
}

static void watch_block(struct watch *watch, const uint8_t *bytes, size_t count, double now)
{
    struct block block;
    const struct rig_frames *frames = watch->frames;
    bench_must("node", block_decode(bytes, count, &block));
    struct reader r = list_reader(&block.body.commands);
    for (uint32_t i = 0; i < block.body.commands.count; i++) {
        struct command command;
        command_read(&r, &command);
        if (command.bytes.count + 4 != frames->stride) continue;
        uint64_t at = checksum64(command.bytes.at, command.bytes.count, 0) & watch->mask;
        for (; watch->slot[at] != 0; at = (at + 1) & watch->mask) {
            uint64_t frame = watch->slot[at] - 1;
            if (memcmp(frames->bytes + frame * frames->stride + 4, command.bytes.at,
                       command.bytes.count) != 0)
                continue;
            watch->seen[frame] = now;
            atomic_fetch_add(&watch->found, 1);
            break;
        }
    }
}

static void *watcher(void *argument)
{
    struct watch *watch = argument;
    struct wire wire;
    bench_must("node", wire_open(&wire, rig_port));
    while (!atomic_load(&watch->done)) {
        char path[96];
        snprintf(path, sizeof path, "/v1/log/blocks?from=%llu&limit=4",
                 (unsigned long long)watch->height);
        struct wire_answer answer = wire_get(&wire, path, RAW);
        struct reader r = reader_of(answer.body.at, answer.status == 200 ? answer.body.count : 0);
        uint64_t height = watch->height;
        while (r.left > 0 && r.status == STATUS_OK) {
            uint32_t count = read_u32(&r);
            const uint8_t *block = read_take(&r, count);
            if (!block) break;
            watch_block(watch, block, count, bench_seconds());
            watch->height++;
        }
        if (watch->height == height) usleep(2000);
    }
    wire_close(&wire);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* quantiles of finality in milliseconds; what was not seen within the time counts as infinite. */
struct finality {
    double p50, p99, max;
    uint64_t missing;
};

static struct finality finality_of(const struct watch *watch, const struct run *run)
{
    struct finality result = {.missing = 0};
    double *ms = malloc(run->count * sizeof *ms);
    if (!ms) rig_fail("not enough memory");
    for (uint64_t i = 0; i < run->count; i++) {
        double due = run->begin + (double)(i / run->batch * run->batch) / run->rate;
        double seen = watch->seen[run->first + i];
        ms[i] = seen > 0 ? (seen - due) * 1000 : 1e9;
        if (!(seen > 0)) result.missing++;
    }
    qsort(ms, run->count, sizeof *ms, by_size);
    result.p50 = ms[run->count / 2];
    result.p99 = ms[run->count * 99 / 100];
    result.max = ms[run->count - 1];
    free(ms);
    return result;
}

/* measure_finality posts the frames at a fixed rate. */
static struct finality measure_finality(struct wire *wire, const struct rig_frames *frames,
                                        double rate, uint64_t batch, unsigned posters)
{
    struct watch watch;
    pthread_t thread;
    watch_open(&watch, frames, rig_ask(wire, "/v1/status", "height"));
    if (pthread_create(&thread, NULL, watcher, &watch) != 0) rig_fail("no thread");
    struct run run = {.frames = frames, .count = frames->count, .batch = batch, .rate = rate};
    run.begin = bench_seconds() + 0.02;
    post(&run, posters);
    double until = bench_seconds() + 5;
    while (atomic_load(&watch.found) < frames->count && bench_seconds() < until) {
        usleep(1000);
    }
    atomic_store(&watch.done, true);
    pthread_join(thread, NULL);
    struct finality result = finality_of(&watch, &run);
    watch_close(&watch);
    return result;
}

static void finality(struct wire *wire, double rate, uint64_t seconds)
{
    static struct bench_rounds rounds;
    struct rig_frames frames = {.count = (uint64_t)(rate / 2 * (double)seconds), .payees = 1};
    rig_sign(wire, &frames);
    struct finality result = measure_finality(wire, &frames, rate / 2, BATCH_SMALL, POSTERS / 2);
    free(frames.bytes);
    bench_round(&rounds, result.p50, GOAL_P99_MS);
    bench_report(&bench, "finality_p50_at_half", "ms", "100 ms", &rounds, BENCH_AT_MOST, 1);
    bench_round(&rounds, result.p99, GOAL_P99_MS);
    bench_report(&bench, "finality_p99_at_half", "ms", "100 ms", &rounds, BENCH_AT_MOST, 1);
    bench_round(&rounds, result.max, GOAL_P99_MS);
    bench_report(&bench, "finality_max_at_half", "ms", "100 ms", &rounds, BENCH_AT_MOST, 0);
    if (result.missing > 0) rig_fail("transactions are missing");
}

/* ---- memory ---- */

static void memory(struct wire *wire, uint64_t accounts)
{
    static struct bench_rounds rounds;
    struct rig_frames frames = {.count = (accounts + MULTI - 1) / MULTI, .payees = MULTI};
    rig_sign(wire, &frames);
    uint64_t total = rig_ask(wire, "/v1/status", "tx_total");
    double before = rig_resident(), start = bench_seconds();
    struct run run = {.frames = &frames, .count = frames.count, .batch = 128};
    post(&run, 6);
    if (run.rejected || run.unanswered) rig_fail(run.code[0] ? run.code : "no answer");
    wait_committed(wire, total + frames.count);
    double taken = bench_seconds() - start;
    double made = (double)(frames.count * MULTI);
    free(frames.bytes);
    bench_round(&rounds, (rig_resident() - before) / made, GOAL_MEMORY);
    bench_report(&bench, "memory_per_account", "byte", "bound", &rounds, BENCH_AT_MOST, 1);
    bench_round(&rounds, made / taken, made / taken);
    bench_report(&bench, "accounts_created", "account/s", "itself", &rounds, BENCH_AT_LEAST, 0);
}

/* ---- overload ---- */

struct gauge {
    double late, end; /* resident bytes: after three quarters of the time, at its end */
    double from, seconds;
};

static void *gauge_part(void *argument)
{
    struct gauge *gauge = argument;
    for (;;) {
        double now = bench_seconds() - gauge->from, bytes = rig_resident();
        if (gauge->late == 0 && now >= gauge->seconds * 3 / 4) gauge->late = bytes;
        gauge->end = bytes;
        if (now >= gauge->seconds) return NULL;
        usleep(100000);
    }
}

/* recover probes until the pool is empty and probes are final within the goal. */
static double recover(struct wire *wire, const struct rig_frames *probes, double start)
{
    for (uint64_t i = 0; i < probes->count && bench_seconds() < start + 2 * GOAL_RECOVERY;
         i += PROBE_TXS) {
        double now = bench_seconds();
        struct rig_frames probe = *probes;
        probe.bytes += i * probes->stride;
        probe.count = PROBE_TXS;
        struct finality result = measure_finality(wire, &probe, PROBE_TXS * 10, PROBE_TXS, 1);
        bool idle = rig_ask(wire, "/v1/mempool", "txs") == 0;
        if (idle && result.missing == 0 && result.p99 <= GOAL_P99_MS) return now - start;
    }
    return 2 * GOAL_RECOVERY;
}

static void overload(struct wire *wire, double rate, uint64_t seconds)
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
    struct run run = {.frames = &frames, .count = frames.count, .batch = BATCH, .rate = offered};
    run.attempts = true;
    run.begin = gauge.from;
    run.end = gauge.from + (double)seconds;
    uint64_t before = rig_ask(wire, "/v1/status", "tx_total");
    pthread_t thread;
    if (pthread_create(&thread, NULL, gauge_part, &gauge) != 0) rig_fail("no thread");
    post(&run, POSTERS_MAX);
    pthread_join(thread, NULL);
    double taken = bench_seconds() - run.begin;
    uint64_t committed = rig_ask(wire, "/v1/status", "tx_total") - before;
    double tried = (double)(run.slot * BATCH) / taken;
    double recovery = recover(wire, &probes, run.end);
    free(frames.bytes);
    free(probes.bytes);

    bench_round(&rounds, tried, rate);
    bench_report(&bench, "overload_offered", "tx/s", "committed", &rounds, BENCH_AT_LEAST,
                 OVERLOAD * 0.9);
    bench_round(&rounds, (double)committed / taken, rate);
    bench_report(&bench, "overload_committed", "tx/s", "committed", &rounds, BENCH_AT_LEAST, 0.5);
    bench_round(&rounds, (double)(run.refused * BATCH) / taken, tried);
    bench_report(&bench, "overload_refused", "tx/s", "offered", &rounds, BENCH_AT_LEAST, 0.1);
    bench_round(&rounds, gauge.end, gauge.late);
    bench_report(&bench, "overload_memory", "byte", "a quarter before", &rounds, BENCH_AT_MOST,
                 1 + GOAL_FLAT);
    bench_round(&rounds, recovery, GOAL_RECOVERY);
    bench_report(&bench, "overload_recovery", "s", "30 s", &rounds, BENCH_AT_MOST, 1);
    fprintf(stderr, "overload: refused with %s; other answers %llu, rejected %llu\n",
            run.code[0] ? run.code : "nothing", (unsigned long long)run.unanswered,
            (unsigned long long)run.rejected);
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
    rig_start();
    bench_must("node", wire_open(&wire, rig_port));
    double rate = throughput(&wire, transactions);
    finality(&wire, rate, half);
    memory(&wire, accounts);
    overload(&wire, rate, seconds);
    wire_close(&wire);
    rig_stop();
    return 0;
}
