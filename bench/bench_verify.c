/* bench verify: the pool of signature checks, against bare loops of the signature rule.
 *
 *   build/bench/verify [--threads N] [--transactions N] [--batch N] [--rounds N] [--json]
 *
 * Subject: N threads of replica/verify.h; transfers signed beforehand are submitted in batches, as the
 * mempool's doors do, by a thread that waits like the loop: it sleeps until it is woken. Each verdict
 * is taken, checked and released. No id is remembered, so that every signature is checked.
 * References, in the same round, with the same transactions and the same back end: tx_verify in a bare
 * loop on one thread while the other cores rest, times N; and the same loop on N threads at once.
 * Latency: one transaction, and eight, at a low rate, from submit to the last verdict, against bare
 * tx_open and tx_verify of as many, shared by N threads.
 */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "log/signature.h"
#include "replica/verify.h"

#define TX_ROOM     512
#define KEYS        64
#define IN_FLIGHT   4096 /* submitted and not yet taken: what a busy node keeps waiting */
#define TAKE_MAX    64
#define SINGLES     100
#define SMALL       8 /* a small submission */
#define PAUSE_NS    2000000L
#define THREADS_MAX VERIFY_THREADS_MAX
#define GOAL        0.9

static struct bench bench = {.name = "verify"};
static const uint8_t GENESIS[HASH_BYTES] = {0xca};
static uint64_t thread_count = 2, tx_count = 4000, batch = 100;
static uint8_t (*tx_bytes)[TX_ROOM];
static struct bytes *txs;
static uint64_t *tags;

static void must(enum status status)
{
    bench_must("verify", status);
}

/* ---- transactions ---- */

static struct bytes tx_make(uint64_t number, uint8_t *out)
{
    uint8_t seed[32] = {(uint8_t)(number % KEYS), 1}, secret[64], key[32];
    uint8_t body[transfer_bytes_max], list[operation_bytes_max], message[TX_SIGNED_BYTES_MAX];
    uint8_t content[TX_ROOM], signed_by[tx_signature_bytes_max];
    size_t count, content_count;
    signature_keypair(seed, secret, key);
    struct transfer transfer = {.amount = 1 + number};
    memset(transfer.to, 0x55, sizeof transfer.to);
    must(transfer_encode(&transfer, body, sizeof body, &count));
    struct operation operation = {OPERATION_TRANSFER, {body, count}};
    struct writer w = writer_of(list, sizeof list);
    operation_write(&w, &operation);
    struct tx tx = {
        .content = {
            .version = TX_VERSION,
            .chain_tag = load_u32(GENESIS),
            .authority = {.scheme = TX_SCHEME_ED25519, .threshold = 1, .keys = {key, 32, 1}},
            .nonce = number / KEYS,
            .fee = 1000,
            .valid_until = 100,
            .operations = {list, writer_bytes(&w), 1}}};
    must(tx_content_encode(&tx.content, content, sizeof content, &content_count));
    must(tx_signed_bytes((struct bytes){content, content_count}, GENESIS, message, sizeof message,
                         &count));
    struct tx_signature signature = {0};
    signature_make(secret, message, count, signature.signature);
    must(tx_signature_encode(&signature, signed_by, sizeof signed_by, &count));
    tx.signatures = (struct list){signed_by, count, 1};
    must(tx_encode(&tx, out, TX_ROOM, &count));
    return (struct bytes){out, count};
}

static void txs_make(void)
{
    tx_bytes = calloc(tx_count, sizeof tx_bytes[0]);
    txs = calloc(tx_count, sizeof txs[0]);
    tags = calloc(tx_count, sizeof tags[0]);
    if (!tx_bytes || !txs || !tags) must(STATUS_NO_MEMORY);
    for (uint64_t i = 0; i < tx_count; i++) {
        txs[i] = tx_make(i, tx_bytes[i]);
        tags[i] = i;
    }
}

/* ---- the bare loop ---- */

static void check(struct bytes tx)
{
    struct tx_view view;
    must(tx_open(tx.at, tx.count, &view));
    must(tx_verify(&view, GENESIS));
}

struct span {
    size_t first, end;
};

/* The signatures alone: the views are there before the clock starts. */
static double bare_one(void)
{
    struct tx_view *views = calloc(tx_count, sizeof *views);
    if (!views) must(STATUS_NO_MEMORY);
    for (size_t i = 0; i < tx_count; i++) {
        must(tx_open(txs[i].at, txs[i].count, &views[i]));
    }
    double start = bench_seconds();
    for (size_t i = 0; i < tx_count; i++) {
        must(tx_verify(&views[i], GENESIS));
    }
    double rate = (double)tx_count / (bench_seconds() - start);
    free(views);
    return rate;
}

static void *bare_main(void *context)
{
    const struct span *span = context;
    for (size_t i = span->first; i < span->end; i++) {
        check(txs[i]);
    }
    return NULL;
}

static double bare_many(void)
{
    pthread_t threads[THREADS_MAX];
    struct span spans[THREADS_MAX];
    double start = bench_seconds();
    for (size_t i = 0; i < thread_count; i++) {
        spans[i] = (struct span){tx_count * i / thread_count, tx_count * (i + 1) / thread_count};
        if (pthread_create(&threads[i], NULL, bare_main, &spans[i]) != 0) must(STATUS_NO_MEMORY);
    }
    for (size_t i = 0; i < thread_count; i++) {
        pthread_join(threads[i], NULL);
    }
    return (double)tx_count / (bench_seconds() - start);
}

/* ---- the pool ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool ringing;
} bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

static void ring(void *context)
{
    (void)context;
    pthread_mutex_lock(&bell.lock);
    bool first = !bell.ringing;
    bell.ringing = true;
    pthread_mutex_unlock(&bell.lock);
    if (first) pthread_cond_signal(&bell.rung);
}

static void wait_for_bell(void)
{
    pthread_mutex_lock(&bell.lock);
    while (!bell.ringing) {
        pthread_cond_wait(&bell.rung, &bell.lock);
    }
    bell.ringing = false;
    pthread_mutex_unlock(&bell.lock);
}

static size_t take(struct verify_pool *pool)
{
    struct verify_verdict verdicts[TAKE_MAX];
    size_t count = verify_take(pool, verdicts, TAKE_MAX);
    for (size_t i = 0; i < count; i++) {
        must(verdicts[i].status);
        assert(verdicts[i].tag < tx_count && !verdicts[i].cached);
        verify_release(pool, &verdicts[i]);
    }
    return count;
}

/* Keeps IN_FLIGHT waiting; what is done is taken before more is brought. */
static double pool_rate(struct verify_pool *pool)
{
    size_t begun = 0, done = 0;
    double start = bench_seconds();
    while (done < tx_count) {
        while (begun < tx_count && begun - done + batch <= IN_FLIGHT) {
            size_t count = tx_count - begun < batch ? tx_count - begun : batch;
            must(verify_submit(pool, txs + begun, tags + begun, count));
            begun += count;
        }
        size_t taken = take(pool);
        done += taken;
        if (taken == 0) wait_for_bell();
    }
    return (double)tx_count / (bench_seconds() - start);
}

/* ---- latency ---- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double some(struct verify_pool *pool, size_t first, size_t count)
{
    double start = bench_seconds();
    must(verify_submit(pool, &txs[first], &tags[first], count));
    for (size_t done = 0; done < count;) {
        size_t taken = take(pool);
        done += taken;
        if (taken == 0) wait_for_bell();
    }
    return (bench_seconds() - start) * 1e6;
}

/* Small submissions, far apart: p50 and p99 from submit to the last verdict. The bare loop in between
 * is what one thread would take, shared by as many threads as there is work for. */
static void latencies(struct verify_pool *pool, size_t count, struct bench_rounds *p50s,
                      struct bench_rounds *p99s)
{
    static double with[SINGLES], without[SINGLES];
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    for (size_t i = 0; i < SINGLES; i++) {
        size_t first = i * count % (tx_count - count + 1);
        nanosleep(&pause, NULL);
        with[i] = some(pool, first, count);
        nanosleep(&pause, NULL);
        double start = bench_seconds();
        for (size_t j = 0; j < count; j++) {
            check(txs[first + j]);
        }
        without[i] = (bench_seconds() - start) * 1e6;
    }
    qsort(with, SINGLES, sizeof with[0], by_size);
    qsort(without, SINGLES, sizeof without[0], by_size);
    double bare = without[SINGLES / 2] / (double)(count < thread_count ? count : thread_count);
    bench_round(p50s, with[SINGLES / 2], bare);
    bench_round(p99s, with[SINGLES - 1 - SINGLES / 100], bare);
}

int main(int argc, char **argv)
{
    static struct bench_rounds of_one, of_many, p50s[2], p99s[2];
    const struct bench_option options[] = {{"--threads", &thread_count, THREADS_MAX, NULL},
                                           {"--transactions", &tx_count, 1000000, NULL},
                                           {"--batch", &batch, IN_FLIGHT, NULL}};
    bench_options(&bench, argc, argv, options, sizeof options / sizeof options[0]);
    must(hash_init());
    if (tx_count < SMALL) tx_count = SMALL;
    txs_make();
    struct verify_options pool_options = {.threads = (unsigned)thread_count,
                                          .jobs_max = IN_FLIGHT,
                                          .bytes_max = TX_BYTES_MAX,
                                          .wake = ring};
    memcpy(pool_options.genesis_id, GENESIS, HASH_BYTES);
    struct verify_pool *pool;
    must(verify_open(&pool, &pool_options));
    (void)pool_rate(pool); /* warm up */
    for (size_t i = 0; i < bench.rounds; i++) {
        double one = bare_one() * (double)thread_count, many = bare_many();
        double rate = pool_rate(pool);
        bench_round(&of_one, rate, one);
        bench_round(&of_many, rate, many);
        latencies(pool, 1, &p50s[0], &p99s[0]);
        latencies(pool, SMALL, &p50s[1], &p99s[1]);
    }
    verify_close(pool);
    bench_report(&bench, "pool", "tx/s", "one bare thread, times the threads", &of_one,
                 BENCH_AT_LEAST, GOAL);
    bench_report(&bench, "pool", "tx/s", "as many bare threads", &of_many, BENCH_AT_LEAST, 0);
    for (size_t i = 0; i < 2; i++) {
        bench_report(&bench, i == 0 ? "latency_1_p50" : "latency_8_p50", "us", "bare check",
                     &p50s[i], BENCH_AT_MOST, 0);
        bench_report(&bench, i == 0 ? "latency_1_p99" : "latency_8_p99", "us", "bare check",
                     &p99s[i], BENCH_AT_MOST, 0);
    }
    return 0;
}
