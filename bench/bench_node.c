/* bench node: one validator end to end, against its cores verifying the same signatures and nothing else.
 *
 *   build/bench/node [--rounds N] [--transactions N] [--half-seconds N] [--accounts N]
 *                    [--overload-seconds N] [--json]
 *
 * The node is a process of its own: `cairn start` on a fresh directory under $TMPDIR (or /tmp), with
 * blocks as fast as they go, every other setting as `cairn testnet` makes it. Everything is signed
 * before its clock starts. The load shares the cores with the node; its bodies are prepared, its
 * answers hardly read (bench/wire.h).
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
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apply/genesis.h"
#include "apply/transaction.h"
#include "bench/bench.h"
#include "bench/wire.h"
#include "tools/load.h"
#include "tools/testnet.h"

#define KEYS          10000
#define PROBE_KEYS    256 /* the last ones: their nonces have no holes, whatever was refused */
#define BATCH         512 /* of throughput and overload */
#define BATCH_SMALL   64  /* of finality */
#define POSTERS       24
#define POSTERS_MAX   80
#define MULTI         16 /* payees of a transaction that creates accounts */
#define OVERLOAD      10
#define CORES         2
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

/* ---- the node ---- */

static char directory[512];
static pid_t node_process;
static uint16_t node_port;
static struct load_terms terms;
static struct params params;
static struct load_sender senders[KEYS];

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "node: %s (%s)\n", what, directory);
    if (node_process > 0) kill(node_process, SIGKILL);
    exit(1);
}

static void make_network(void)
{
    struct io io;
    struct load_sender *sender = senders;
    uint8_t seed[LOAD_SEED_BYTES];
    char path[600], text[2 * LOAD_SEED_BYTES + 1] = {0};
    const char *temporary = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/cairn-bench-XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(directory)) fail("no temporary directory");
    strcat(directory, "/net");
    const struct testnet_options options = {.directory = directory,
                                            .chain_name = "bench",
                                            .preset = TESTNET_BENCH,
                                            .load_keys = KEYS,
                                            .journal_bytes = UINT64_C(128) << 20,
                                            .time_us = (uint64_t)time(NULL) * 1000000};
    bench_must("node", io_posix_init(&io, 4));
    bench_must("node", testnet_make(&io, &options, terms.genesis_id));
    io_deinit(&io);
    snprintf(path, sizeof path, "%s/load.seed", directory);
    FILE *file = fopen(path, "r");
    if (!file || fread(text, 1, sizeof text - 1, file) != sizeof text - 1) fail("no seed");
    fclose(file);
    if (sodium_hex2bin(seed, sizeof seed, text, sizeof text - 1, NULL, NULL, NULL) != 0)
        fail("no seed");
    for (uint32_t i = 0; i < KEYS; i++, sender++) {
        load_key(seed, i, sender->secret, sender->key);
        address_of_key(sender->key, sender->address);
    }
    terms.chain_tag = chain_tag_of(terms.genesis_id);
}

static void read_port(void)
{
    char path[600], text[128] = {0};
    snprintf(path, sizeof path, "%s/node0/run/api", directory);
    for (int i = 0; i < 200; i++, usleep(50000)) {
        FILE *file = fopen(path, "r");
        const char *colon = file && fgets(text, sizeof text, file) ? strrchr(text, ':') : NULL;
        if (file) fclose(file);
        if (!colon || !strchr(text, '\n')) continue;
        node_port = (uint16_t)atoi(colon + 1);
        return;
    }
    fail("the node does not start");
}

static void start_node(void)
{
    char program[512], home[600], trace[600];
    ssize_t count = readlink("/proc/self/exe", program, sizeof program - 16);
    if (count <= 0) fail("no name of this program");
    program[count] = 0;
    *strrchr(program, '/') = 0;
    strcpy(strrchr(program, '/'), "/cairn");
    snprintf(home, sizeof home, "%s/node0", directory);
    snprintf(trace, sizeof trace, "%s/trace", directory);
    node_process = fork();
    if (node_process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int file = open(trace, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (file < 0 || dup2(file, STDERR_FILENO) < 0 || dup2(file, STDOUT_FILENO) < 0) _exit(1);
        execl(program, program, "start", "--home", home, "--api.max-connections-per-ip", "200",
              (char *)NULL);
        _exit(1);
    }
    if (node_process < 0) fail("no process");
    read_port();
}

static void stop_node(void)
{
    int how;
    char command[600];
    kill(node_process, SIGTERM);
    if (waitpid(node_process, &how, 0) < 0 || !WIFEXITED(how) || WEXITSTATUS(how) != 0)
        fail("the node did not end in order");
    *strrchr(directory, '/') = 0;
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    if (system(command) != 0) fail("the directory stays");
}

/* resident answers the node's resident memory in bytes. */
static double resident(void)
{
    char path[64], line[128];
    unsigned long long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)node_process);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmRSS: %llu", &kib) == 1) break;
    }
    if (file) fclose(file);
    return (double)kib * 1024;
}

/* processor_seconds answers what the node has used, user and system. */
static double processor_seconds(void)
{
    char path[64], text[512] = {0};
    unsigned long long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)node_process);
    FILE *file = fopen(path, "r");
    const char *at = file && fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    if (file) fclose(file);
    /* From the state on: 11 numbers, then the two (proc(5)). */
    if (!at || sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                      &kernel) != 2)
        fail("no processor time");
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static double own_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t ask(struct wire *wire, const char *path, const char *member)
{
    struct wire_answer answer = wire_get(wire, path, "application/json");
    if (answer.status != 200) fail("the node does not answer");
    return wire_member(&answer, member);
}

/* ---- signing: frames of equal length, ready to be sent ---- */

/* Frames [first, first + count) are transactions of `payees` transfers; a batch is a run of them. */
struct frames {
    uint8_t *bytes;
    size_t stride; /* u32 length, transaction */
    uint64_t count;
    size_t payees;        /* 1: between the senders; more: to accounts that nobody has */
    uint64_t fresh;       /* number of the first new account */
    uint64_t first, keys; /* its senders take turns; keys 0: all but those of the probes */
};

struct share {
    struct frames *frames;
    uint64_t part;
};

static uint64_t sender_of(const struct frames *frames, uint64_t i)
{
    return frames->first + i % frames->keys;
}

static void choose_payees(const struct frames *frames, uint64_t i, uint8_t (*payees)[32])
{
    if (frames->payees == 1) {
        memcpy(payees[0], senders[(sender_of(frames, i) + 1 + i / KEYS * 7) % KEYS].address, 32);
        return;
    }
    for (size_t k = 0; k < frames->payees; k++) {
        uint8_t number[8];
        store_u64(number, frames->fresh + i * frames->payees + k);
        hash_bytes(HASH_ADDRESS, number, sizeof number, payees[k]);
    }
}

/* Each part signs for its own senders, so that the nonces of one rise with the frames. */
static void *sign_part(void *argument)
{
    const struct share *share = argument;
    struct frames *frames = share->frames;
    struct load_terms own = terms;
    own.fee = load_fee(&params, frames->payees);
    for (uint64_t i = 0; i < frames->count; i++) {
        uint64_t from = sender_of(frames, i);
        uint8_t payees[LOAD_PAYEES_MAX][32], bytes[LOAD_TX_BYTES_MAX];
        if (from % CORES != share->part) continue;
        choose_payees(frames, i, payees);
        size_t count =
            load_sign(&own, &senders[from], (const uint8_t(*)[32])payees, frames->payees, bytes);
        assert(count + 4 == frames->stride);
        store_u32(frames->bytes + i * frames->stride, (uint32_t)count);
        memcpy(frames->bytes + i * frames->stride + 4, bytes, count);
    }
    return NULL;
}

static void sign(struct wire *wire, struct frames *frames)
{
    static uint64_t fresh;
    uint8_t bytes[LOAD_TX_BYTES_MAX];
    uint8_t payees[LOAD_PAYEES_MAX][32] = {{0}};
    struct load_sender nobody = {.nonce = 0};
    pthread_t threads[CORES];
    struct share shares[CORES];
    terms.valid_until = ask(wire, "/v1/status", "height") + params.valid_until_max_blocks;
    frames->stride =
        4 + load_sign(&terms, &nobody, (const uint8_t(*)[32])payees, frames->payees, bytes);
    frames->bytes = malloc(frames->count * frames->stride);
    if (!frames->bytes) fail("not enough memory");
    frames->fresh = fresh;
    if (frames->keys == 0) frames->keys = KEYS - PROBE_KEYS;
    if (frames->payees > 1) fresh += frames->count * frames->payees;
    for (uint64_t i = 0; i < CORES; i++) {
        shares[i] = (struct share){frames, i};
        if (pthread_create(&threads[i], NULL, sign_part, &shares[i]) != 0) fail("no thread");
    }
    for (uint64_t i = 0; i < CORES; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* ---- reference ---- */

struct verifier {
    const struct frames *frames;
    uint64_t first, count;
};

static void *verify_part(void *argument)
{
    static struct tx_view views[CORES][REFERENCE_TXS];
    const struct verifier *work = argument;
    const struct frames *frames = work->frames;
    struct tx_view *view = views[work->first / REFERENCE_TXS];
    for (uint64_t i = 0; i < work->count; i++) {
        const uint8_t *frame = frames->bytes + (work->first + i) % frames->count * frames->stride;
        bench_must("node", tx_open(frame + 4, frames->stride - 4, &view[i]));
    }
    static double seconds[CORES];
    double start = bench_seconds();
    for (uint64_t i = 0; i < work->count; i++) {
        bench_must("node", tx_verify(&view[i], terms.genesis_id));
    }
    seconds[work->first / REFERENCE_TXS] = bench_seconds() - start;
    return &seconds[work->first / REFERENCE_TXS];
}

/* verify_rate answers what the cores verify in a second when they do nothing else. */
static double verify_rate(const struct frames *frames)
{
    pthread_t threads[CORES];
    struct verifier work[CORES];
    double rate = 0;
    for (uint64_t i = 0; i < CORES; i++) {
        work[i] = (struct verifier){frames, i * REFERENCE_TXS, REFERENCE_TXS};
        if (pthread_create(&threads[i], NULL, verify_part, &work[i]) != 0) fail("no thread");
    }
    for (uint64_t i = 0; i < CORES; i++) {
        void *seconds;
        pthread_join(threads[i], &seconds);
        rate += REFERENCE_TXS / *(double *)seconds;
    }
    return rate;
}

/* ---- posting ---- */

struct run {
    const struct frames *frames;
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
    bench_must("node", wire_open(&wire, node_port));
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
        if (pthread_create(&threads[i], NULL, poster, run) != 0) fail("no thread");
    }
    for (unsigned i = 0; i < posters; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* wait_committed waits until the chain holds so many transactions. */
static void wait_committed(struct wire *wire, uint64_t total)
{
    double start = bench_seconds();
    while (ask(wire, "/v1/status", "tx_total") < total) {
        if (bench_seconds() > start + 60) fail("transactions are missing");
        usleep(1000);
    }
}

/* ---- throughput ---- */

static double throughput(struct wire *wire, uint64_t transactions)
{
    static struct bench_rounds rounds, cost, load;
    struct frames frames = {.count = transactions * (bench.rounds + 1), .payees = 1};
    sign(wire, &frames);
    uint64_t total = ask(wire, "/v1/status", "tx_total");
    double rates[BENCH_ROUNDS_MAX], before = verify_rate(&frames), sum = 0;
    for (size_t i = 0; i <= bench.rounds; i++) {
        struct run run = {.frames = &frames,
                          .first = i * transactions,
                          .count = transactions,
                          .batch = BATCH,
                          .begin = bench_seconds()};
        double used = processor_seconds(), own = own_seconds();
        post(&run, POSTERS);
        if (run.rejected || run.unanswered) fail(run.code[0] ? run.code : "no answer");
        total += transactions;
        wait_committed(wire, total);
        double rate = (double)transactions / (bench_seconds() - run.begin);
        used = (processor_seconds() - used) / (double)transactions * 1e6;
        own = (own_seconds() - own) / (double)transactions * 1e6;
        double after = verify_rate(&frames);
        if (i > 0) { /* the first round warms up */
            double bound = (before + after) / 2;
            bench_round(&rounds, rate, bound);
            bench_round(&cost, used, CORES * 1e6 / bound);
            bench_round(&load, own, CORES * 1e6 / bound);
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
    const struct frames *frames;
    double *seen;   /* [frames->count], 0: not yet */
    uint32_t *slot; /* hash of the bytes -> frame + 1 */
    uint64_t mask, height;
    _Atomic uint64_t found;
    _Atomic bool done;
};

static void watch_open(struct watch *watch, const struct frames *frames, uint64_t height)
{
    *watch = (struct watch){.frames = frames, .height = height + 1, .mask = 1023};
    while (watch->mask < frames->count * 2) {
        watch->mask = watch->mask * 2 + 1;
    }
    watch->seen = calloc(frames->count, sizeof *watch->seen);
    watch->slot = calloc(watch->mask + 1, sizeof *watch->slot);
    if (!watch->seen || !watch->slot) fail("not enough memory");
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
    const struct frames *frames = watch->frames;
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
    bench_must("node", wire_open(&wire, node_port));
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
    if (!ms) fail("not enough memory");
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
static struct finality measure_finality(struct wire *wire, const struct frames *frames, double rate,
                                        uint64_t batch, unsigned posters)
{
    struct watch watch;
    pthread_t thread;
    watch_open(&watch, frames, ask(wire, "/v1/status", "height"));
    if (pthread_create(&thread, NULL, watcher, &watch) != 0) fail("no thread");
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
    struct frames frames = {.count = (uint64_t)(rate / 2 * (double)seconds), .payees = 1};
    sign(wire, &frames);
    struct finality result = measure_finality(wire, &frames, rate / 2, BATCH_SMALL, POSTERS / 2);
    free(frames.bytes);
    bench_round(&rounds, result.p50, GOAL_P99_MS);
    bench_report(&bench, "finality_p50_at_half", "ms", "100 ms", &rounds, BENCH_AT_MOST, 1);
    bench_round(&rounds, result.p99, GOAL_P99_MS);
    bench_report(&bench, "finality_p99_at_half", "ms", "100 ms", &rounds, BENCH_AT_MOST, 1);
    bench_round(&rounds, result.max, GOAL_P99_MS);
    bench_report(&bench, "finality_max_at_half", "ms", "100 ms", &rounds, BENCH_AT_MOST, 0);
    if (result.missing > 0) fail("transactions are missing");
}

/* ---- memory ---- */

static void memory(struct wire *wire, uint64_t accounts)
{
    static struct bench_rounds rounds;
    struct frames frames = {.count = (accounts + MULTI - 1) / MULTI, .payees = MULTI};
    sign(wire, &frames);
    uint64_t total = ask(wire, "/v1/status", "tx_total");
    double before = resident(), start = bench_seconds();
    struct run run = {.frames = &frames, .count = frames.count, .batch = 128};
    post(&run, 6);
    if (run.rejected || run.unanswered) fail(run.code[0] ? run.code : "no answer");
    wait_committed(wire, total + frames.count);
    double taken = bench_seconds() - start;
    double made = (double)(frames.count * MULTI);
    free(frames.bytes);
    bench_round(&rounds, (resident() - before) / made, GOAL_MEMORY);
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
        double now = bench_seconds() - gauge->from, bytes = resident();
        if (gauge->late == 0 && now >= gauge->seconds * 3 / 4) gauge->late = bytes;
        gauge->end = bytes;
        if (now >= gauge->seconds) return NULL;
        usleep(100000);
    }
}

/* recover probes until the pool is empty and probes are final within the goal. */
static double recover(struct wire *wire, const struct frames *probes, double start)
{
    for (uint64_t i = 0; i < probes->count && bench_seconds() < start + 2 * GOAL_RECOVERY;
         i += PROBE_TXS) {
        double now = bench_seconds();
        struct frames probe = *probes;
        probe.bytes += i * probes->stride;
        probe.count = PROBE_TXS;
        struct finality result = measure_finality(wire, &probe, PROBE_TXS * 10, PROBE_TXS, 1);
        bool idle = ask(wire, "/v1/mempool", "txs") == 0;
        if (idle && result.missing == 0 && result.p99 <= GOAL_P99_MS) return now - start;
    }
    return 2 * GOAL_RECOVERY;
}

static void overload(struct wire *wire, double rate, uint64_t seconds)
{
    static struct bench_rounds rounds;
    /* More than the node can commit meanwhile, and what the pool and the queues take. */
    struct frames frames = {.count = (uint64_t)(rate * 1.25 * (double)seconds) + 150000,
                            .payees = 1};
    struct frames probes = {
        .count = PROBE_TXS * 400, .payees = 1, .first = KEYS - PROBE_KEYS, .keys = PROBE_KEYS};
    sign(wire, &frames);
    sign(wire, &probes);
    double offered = rate * OVERLOAD;
    struct gauge gauge = {.from = bench_seconds(), .seconds = (double)seconds};
    struct run run = {.frames = &frames, .count = frames.count, .batch = BATCH, .rate = offered};
    run.attempts = true;
    run.begin = gauge.from;
    run.end = gauge.from + (double)seconds;
    uint64_t before = ask(wire, "/v1/status", "tx_total");
    pthread_t thread;
    if (pthread_create(&thread, NULL, gauge_part, &gauge) != 0) fail("no thread");
    post(&run, POSTERS_MAX);
    pthread_join(thread, NULL);
    double taken = bench_seconds() - run.begin;
    uint64_t committed = ask(wire, "/v1/status", "tx_total") - before;
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
    make_network();
    params_default(&params); /* what testnet sets differs in times alone */
    start_node();
    bench_must("node", wire_open(&wire, node_port));
    double rate = throughput(&wire, transactions);
    finality(&wire, rate, half);
    memory(&wire, accounts);
    overload(&wire, rate, seconds);
    wire_close(&wire);
    stop_node();
    return 0;
}
