/* bench net: four validators on this one machine, end to end, against its cores verifying the same signatures.
 *
 *   build/bench/net [--validators N] [--rounds N] [--transactions N] [--half-seconds N]
 *                   [--light-txs N] [--overload-seconds N] [--json]
 *
 * Each validator is a process of its own (bench/rig.h), on loopback, everything synced to disk; each verifies every
 * client's signature. The load is spread over all of them and shares the cores with them.
 *
 *   committed   as in bench node; the reference is the cores' verify rate divided by the validators
 *   light       one transfer at a time: from the request until the answer that it is committed. Reference: five
 *               message delays (gossip, then proposal and votes twice), two syncs, and the signature work of two
 *               rounds of all validators shared by the cores, each measured in this run. Before the answer the node
 *               also makes the chain log and its head durable: two more syncs, which the reference does not have.
 *   blocks      blocks a second when each carries next to nothing and none waits for company: a network of its own with
 *               consensus.gather 0. Reference: the consensus signatures of a round, made and checked by all validators
 *               on these cores and nothing else. `loop`: four clients, each of whom sends a transfer when the one before
 *               is committed (libhotstuff's figures are of that kind); `flood`: eight that do not wait.
 *   finality    at half of the load measured
 *   overload    ten times the load measured: memory, the longest time without a block, recovery
 *
 * build/bench/net-unsigned does `light` and `blocks` alone, with nodes that sign and check nothing: what is left is messages,
 * syncs, execution and the programs themselves.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/load.h"
#include "log/signature.h"
#include "replica/certificate.h"

#define GOAL_RATE  0.70
#define GOAL_LIGHT 1.5
#define GOAL_TAIL  3.0
#define TRIALS     200

#define LOOP_CLIENTS 4

#ifdef NET_UNSIGNED
#define PROGRAM "bench/cairn-unsigned"
static const bool is_signed = false;
#else
#define PROGRAM "cairn"
static const bool is_signed = true;
#endif

static struct bench bench = {.name = "net"};

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

/* ---- what a commit cannot do without ---- */

static void *echo(void *argument)
{
    uint8_t byte;
    const int *file = argument;
    while (read(*file, &byte, 1) == 1 && write(*file, &byte, 1) == 1) {
    }
    return NULL;
}

/* message_delay: half of a round trip between two threads over a socket. */
static double message_delay(void)
{
    int pair[2];
    pthread_t thread;
    uint8_t byte = 0;
    double taken[TRIALS];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) rig_fail("no sockets");
    if (pthread_create(&thread, NULL, echo, &pair[1]) != 0) rig_fail("no thread");
    for (size_t i = 0; i < TRIALS; i++) {
        double start = bench_seconds();
        if (write(pair[0], &byte, 1) != 1 || read(pair[0], &byte, 1) != 1) rig_fail("no echo");
        taken[i] = (bench_seconds() - start) / 2;
    }
    close(pair[0]);
    pthread_join(thread, NULL);
    close(pair[1]);
    return median(taken, TRIALS);
}

/* sync_time: a write of 4 KiB into a file that has its blocks, and fdatasync. */
static double sync_time(void)
{
    char path[600];
    double taken[TRIALS];
    const char *temporary = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/cairn-bench-sync-%d", temporary ? temporary : "/tmp",
             (int)getpid());
    int file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    static uint8_t block[4096];
    if (file < 0 || posix_fallocate(file, 0, 1 << 20) != 0) rig_fail("no file to sync");
    for (size_t i = 0; i < TRIALS; i++) {
        double start = bench_seconds();
        if (pwrite(file, block, sizeof block, (off_t)(i % 256 * sizeof block)) != sizeof block ||
            fdatasync(file) != 0)
            rig_fail("no sync");
        taken[i] = bench_seconds() - start;
    }
    close(file);
    unlink(path);
    return median(taken, TRIALS);
}

/* signature_work: seconds of one core for two rounds of one validator: its own signatures and the checks of
 * others' proposals and votes. A proposal is signed by one of them. */
static double signature_work(unsigned validators)
{
    uint8_t seed[32] = {1}, secret[64], key[32], message[VOTE_SIGNED_BYTES] = {2}, signature[64];
    double sign[TRIALS], verify[TRIALS];
    signature_keypair(seed, secret, key);
    for (size_t i = 0; i < TRIALS; i++) {
        double start = bench_seconds();
        signature_make(secret, message, sizeof message, signature);
        sign[i] = bench_seconds() - start;
        start = bench_seconds();
        if (!signature_verify(key, message, sizeof message, signature)) rig_fail("no signature");
        verify[i] = bench_seconds() - start;
    }
    double n = validators;
    return 2 *
           (median(sign, TRIALS) * (1 + 1 / n) + median(verify, TRIALS) * (n - 1 + (n - 1) / n));
}

static double floor_seconds(void)
{
    double work = signature_work(rig_nodes) * rig_nodes / RIG_CORES;
    return 5 * message_delay() + 2 * sync_time() + work;
}

/* ---- one transfer at a time ---- */

/* commit_one sends frame `at` and waits until it is committed; seconds. */
static double commit_one(struct wire *wire, const struct rig_frames *frames, uint64_t at)
{
    const struct bytes body = {frames->bytes + at * frames->stride + 4, frames->stride - 4};
    double start = bench_seconds();
    struct wire_answer answer =
        wire_post(wire, "/v1/txs?wait=committed&timeout=10s", "application/octet-stream", body);
    if (answer.status != 200) rig_fail("a transfer is not committed");
    return bench_seconds() - start;
}

static void light(struct wire *wire, uint64_t count)
{
    static struct bench_rounds p50, tail;
    struct rig_frames frames = {.count = count, .payees = 1};
    rig_sign(wire, &frames);
    double *taken = malloc(count * sizeof *taken), bound = floor_seconds();
    if (!taken) rig_fail("not enough memory");
    for (uint64_t i = 0; i < count; i++) {
        taken[i] = commit_one(wire, &frames, i);
        usleep(20000);
    }
    bound = (bound + floor_seconds()) / 2;
    qsort(taken, count, sizeof *taken, by_size);
    double middle = taken[count / 2], high = taken[count * 99 / 100];
    free(taken);
    free(frames.bytes);
    bench_round(&p50, middle * 1000, bound * 1000);
    bench_report(&bench, "light_p50", "ms", "delays, syncs, signatures", &p50, BENCH_AT_MOST,
                 is_signed ? GOAL_LIGHT : 0);
    bench_round(&tail, high * 1000, middle * 1000);
    bench_report(&bench, "light_p99", "ms", "p50", &tail, BENCH_AT_MOST, is_signed ? GOAL_TAIL : 0);
}

/* ---- blocks that carry next to nothing ---- */

struct loop_client {
    struct wire wire;
    const struct rig_frames *frames;
    uint64_t first; /* and each LOOP_CLIENTS-th from it */
    double *taken;  /* [frames->count] */
};

static void *loop_main(void *argument)
{
    struct loop_client *client = argument;
    for (uint64_t i = client->first; i < client->frames->count; i += LOOP_CLIENTS) {
        client->taken[i] = commit_one(&client->wire, client->frames, i);
    }
    return NULL;
}

static void loop(const struct rig_frames *frames)
{
    static struct loop_client clients[LOOP_CLIENTS];
    pthread_t threads[LOOP_CLIENTS];
    double *taken = malloc(frames->count * sizeof *taken);
    if (!taken) rig_fail("not enough memory");
    for (unsigned i = 0; i < LOOP_CLIENTS; i++) {
        clients[i] = (struct loop_client){.frames = frames, .first = i, .taken = taken};
        bench_must("net", wire_open(&clients[i].wire, rig_port[i % rig_nodes]));
        if (pthread_create(&threads[i], NULL, loop_main, &clients[i]) != 0) rig_fail("no thread");
    }
    for (unsigned i = 0; i < LOOP_CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        wire_close(&clients[i].wire);
    }
    static struct bench_rounds p50;
    bench_round(&p50, median(taken, frames->count) * 1000, floor_seconds() * 1000);
    bench_report(&bench, "loop_p50", "ms", "delays, syncs, signatures", &p50, BENCH_AT_MOST, 0);
    free(taken);
}

static void flood(const struct rig_frames *frames)
{
    struct offer run = {.frames = frames, .count = frames->count, .batch = 1};
    run.begin = bench_seconds();
    offer_post(&run, 8);
}

static void blocks(const char *name, void (*offer)(const struct rig_frames *frames), uint64_t count)
{
    static struct bench_rounds rate, filling;
    char metric[32];
    struct wire wire;
    bench_must("net", wire_open(&wire, rig_port[0]));
    struct rig_frames frames = {.count = count, .payees = 1};
    rig_sign(&wire, &frames);
    double bound = 2 * RIG_CORES / (signature_work(rig_nodes) * rig_nodes);
    uint64_t total = rig_ask(&wire, "/v1/status", "tx_total");
    uint64_t height = rig_ask(&wire, "/v1/status", "height");
    double start = bench_seconds();
    offer(&frames);
    offer_wait(total + count);
    double taken = bench_seconds() - start;
    height = rig_ask(&wire, "/v1/status", "height") - height;
    free(frames.bytes);
    wire_close(&wire);
    bench_round(&rate, (double)height / taken, bound);
    snprintf(metric, sizeof metric, "%s_blocks", name);
    bench_report(&bench, metric, "block/s", "consensus signatures", &rate, BENCH_AT_LEAST, 0);
    bench_round(&filling, (double)count / taken, bound);
    snprintf(metric, sizeof metric, "%s_txs", name);
    bench_report(&bench, metric, "tx/s", "consensus signatures", &filling, BENCH_AT_LEAST, 0);
}

int main(int argc, char **argv)
{
    uint64_t validators = 4, transactions = 20000, half = 10, lights = 300, seconds = 120;
    const struct bench_option options[] = {{"--validators", &validators, RIG_NODES_MAX, NULL},
                                           {"--transactions", &transactions, 1000000, NULL},
                                           {"--half-seconds", &half, 600, NULL},
                                           {"--light-txs", &lights, 100000, NULL},
                                           {"--overload-seconds", &seconds, 600, NULL}};
    bench_options(&bench, argc, argv, options, 5);
    struct wire wire;
    bench_must("net", hash_init());
    rig_program = PROGRAM;
    rig_start((unsigned)validators, "8ms");
    bench_must("net", wire_open(&wire, rig_port[0]));
    light(&wire, lights);
    if (is_signed) {
        double rate = load_throughput(&bench, &wire, transactions, GOAL_RATE);
        double calm_ms = load_finality(&bench, &wire, rate, half);
        load_overload(&bench, &wire, rate, seconds, calm_ms);
    }
    wire_close(&wire);
    rig_stop();
    rig_start((unsigned)validators, "0ms");
    blocks("loop", loop, 2000);
    blocks("flood", flood, 2000);
    rig_stop();
    return 0;
}
