/* bench replay: the audit of a chain log, against what its parts cost alone.
 *
 *   build/bench/replay [--transactions N] [--keys N] [--rounds N] [--json]
 *
 * Before anything is measured, a node of its own (`cairn start` on a fresh network under $TMPDIR or
 * /tmp, blocks as fast as they go) makes the log out of N signed transfers between K accounts. Then
 * audit_run (what `cairn audit replay` does) reads it again and again. Counted is the time of the
 * blocks; opening the genesis and the recomputation of all invariants at the end are left out.
 *
 *   signed    two threads verify while one reads, checks and folds. Reference: two threads verify
 *             signatures of the same transactions, opened beforehand, and nothing else.
 *   unsigned  the signatures of transactions are skipped; one core. Reference: the sum of block_open
 *             (decoding, body root, block id), ledger_apply (decoding, id, rules, receipts) and
 *             ledger_root, each timed apart over the same blocks.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apply/transaction.h"
#include "bench/bench.h"
#include "log/chain.h"
#include "tools/audit.h"
#include "tools/home.h"
#include "tools/testnet.h"

#define CORES         2
#define REFERENCE_TXS 8192 /* a core */
#define GOAL_SIGNED   0.85
#define GOAL_UNSIGNED 0.70

static struct bench bench = {.name = "replay"};
static char directory[512], node_home[600], log_dir[700];
static struct io io;
static struct home_genesis genesis;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "replay: %s (%s)\n", what, directory);
    exit(1);
}

/* ---- the log ---- */

static void program_path(char program[512])
{
    ssize_t count = readlink("/proc/self/exe", program, 496);
    if (count <= 0) fail("no name of this program");
    program[count] = 0;
    *strrchr(program, '/') = 0;
    strcpy(strrchr(program, '/'), "/cairn");
}

static pid_t start_node(const char *program)
{
    char trace[600];
    snprintf(trace, sizeof trace, "%s/trace", directory);
    pid_t node = fork();
    if (node == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int file = open(trace, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (file < 0 || dup2(file, STDERR_FILENO) < 0 || dup2(file, STDOUT_FILENO) < 0) _exit(1);
        execl(program, program, "start", "--home", node_home, (char *)NULL);
        _exit(1);
    }
    if (node < 0) fail("no process");
    return node;
}

static void make_log(uint64_t transactions, uint64_t keys)
{
    char program[512], command[3000];
    const char *temporary = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/cairn-bench-XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(directory)) fail("no temporary directory");
    strcat(directory, "/net");
    const struct testnet_options options = {.directory = directory,
                                            .chain_name = "bench",
                                            .preset = TESTNET_BENCH,
                                            .validators = 1,
                                            .load_keys = (uint32_t)keys,
                                            .journal_bytes = UINT64_C(128) << 20,
                                            .time_us = (uint64_t)time(NULL) * 1000000};
    bench_must("replay", testnet_make(&io, &options, NULL));
    snprintf(node_home, sizeof node_home, "%s/node0", directory);
    snprintf(log_dir, sizeof log_dir, "%s/data/log", node_home);
    program_path(program);
    pid_t node = start_node(program);
    snprintf(command, sizeof command,
             "for i in $(seq 200); do test -s %s/run/api && break; sleep 0.05; done; "
             "%s bench tx --keys-file %s/load.seed --keys %llu --txs %llu --batch 256 "
             "--node $(cat %s/run/api) --no-progress >%s/load 2>&1",
             node_home, program, directory, (unsigned long long)keys,
             (unsigned long long)transactions, node_home, directory);
    if (system(command) != 0) fail("the load failed");
    int how;
    kill(node, SIGTERM);
    if (waitpid(node, &how, 0) < 0 || !WIFEXITED(how) || WEXITSTATUS(how) != 0)
        fail("the node did not end in order");
    bench_must("replay", home_open_genesis(&io, node_home, &genesis));
}

static void remove_log(void)
{
    char command[600];
    *strrchr(directory, '/') = 0;
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    if (system(command) != 0) fail("the directory stays");
}

/* ---- subject ---- */

/* audit answers transactions a second. */
static double audit(bool skip_signatures)
{
    struct audit_options options = {.io = &io,
                                    .log_dir = log_dir,
                                    .genesis = {genesis.bytes, genesis.count},
                                    .to = UINT64_MAX,
                                    .threads = CORES,
                                    .skip_signatures = skip_signatures};
    struct audit_report report;
    bench_must("replay", audit_run(&options, &report, NULL));
    if (report.violations > 0 || report.transactions == 0) fail(report.fault);
    return (double)report.transactions / ((double)report.fold_microseconds * 1e-6);
}

/* ---- references ---- */

struct blocks {
    struct chain_reader *reader;
    struct chain_buffer buffer;
    uint64_t last;
};

static void blocks_open(struct blocks *blocks)
{
    uint64_t first;
    *blocks = (struct blocks){0};
    bench_must("replay", chain_reader_open(&blocks->reader, &io, log_dir, genesis.id));
    bench_must("replay", chain_range(blocks->reader, SEGMENT_CHAIN, &first, &blocks->last));
}

static struct bytes blocks_read(struct blocks *blocks, uint64_t height)
{
    struct chain_record record;
    bench_must("replay",
               chain_read(blocks->reader, SEGMENT_CHAIN, height, &blocks->buffer, &record));
    return record.body;
}

static void blocks_close(struct blocks *blocks)
{
    chain_reader_close(blocks->reader);
    chain_buffer_free(&blocks->buffer);
}

/* parts answers transactions a second if nothing but the parts were done. */
static double parts(void)
{
    struct blocks blocks;
    struct ledger *ledger;
    struct ledger_options options = {0};
    double seconds = 0;
    uint64_t transactions = 0;
    blocks_open(&blocks);
    bench_must("replay", ledger_open(&ledger, &genesis.genesis, &options));
    for (uint64_t height = 1; height <= blocks.last; height++) {
        struct block block;
        struct ledger_result result;
        uint8_t id[HASH_BYTES], root[HASH_BYTES];
        struct bytes bytes = blocks_read(&blocks, height);
        double start = bench_seconds();
        bench_must("replay", block_open(bytes.at, bytes.count, &block, id));
        bench_must("replay", ledger_apply(ledger, &block, id, bytes.count, &result));
        bench_must("replay", ledger_root(ledger, root));
        seconds += bench_seconds() - start;
        transactions += result.tx_count;
    }
    ledger_close(ledger);
    blocks_close(&blocks);
    return (double)transactions / seconds;
}

/* The first transactions of the log, opened. */
static struct tx_view views[CORES * REFERENCE_TXS];
static size_t view_count;

static void open_views(void)
{
    struct blocks blocks;
    blocks_open(&blocks);
    for (uint64_t height = 1; height <= blocks.last; height++) {
        struct block block;
        uint8_t id[HASH_BYTES];
        struct bytes bytes = blocks_read(&blocks, height);
        bench_must("replay", block_open(bytes.at, bytes.count, &block, id));
        struct reader r = list_reader(&block.body.commands);
        for (uint32_t i = 0; i < block.body.commands.count; i++) {
            struct command command;
            command_read(&r, &command);
            if (view_count == CORES * REFERENCE_TXS) break;
            uint8_t *copy = malloc(command.bytes.count); /* kept to the end */
            if (!copy) fail("not enough memory");
            memcpy(copy, command.bytes.at, command.bytes.count);
            bench_must("replay", tx_open(copy, command.bytes.count, &views[view_count++]));
        }
    }
    blocks_close(&blocks);
    if (view_count < CORES) fail("too few transactions");
}

static void *verify_part(void *argument)
{
    size_t part = (size_t)(uintptr_t)argument, share = view_count / CORES;
    for (size_t i = part * share; i < (part + 1) * share; i++) {
        bench_must("replay", tx_verify(&views[i], genesis.id));
    }
    return NULL;
}

static double verify_rate(void)
{
    pthread_t threads[CORES];
    double start = bench_seconds();
    for (size_t i = 0; i < CORES; i++) {
        if (pthread_create(&threads[i], NULL, verify_part, (void *)(uintptr_t)i) != 0)
            fail("no thread");
    }
    for (size_t i = 0; i < CORES; i++) {
        pthread_join(threads[i], NULL);
    }
    return (double)(view_count / CORES * CORES) / (bench_seconds() - start);
}

int main(int argc, char **argv)
{
    static struct bench_rounds rounds;
    uint64_t transactions = 100000, keys = 10000;
    const struct bench_option options[] = {{"--transactions", &transactions, 10000000, NULL},
                                           {"--keys", &keys, TESTNET_LOAD_KEYS_MAX, NULL}};
    bench_options(&bench, argc, argv, options, 2);
    bench_must("replay", hash_init());
    bench_must("replay", io_posix_init(&io, 4));
    make_log(transactions, keys);
    open_views();
    for (size_t i = 0; i < bench.rounds; i++) {
        double before = verify_rate(), rate = audit(false);
        bench_round(&rounds, rate, (before + verify_rate()) / 2);
    }
    bench_report(&bench, "replay_signed", "tx/s", "verify alone, 2 cores", &rounds, BENCH_AT_LEAST,
                 GOAL_SIGNED);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) fail("no affinity");
    for (size_t i = 0; i < bench.rounds; i++) {
        double before = parts(), rate = audit(true);
        bench_round(&rounds, rate, (before + parts()) / 2);
    }
    bench_report(&bench, "replay_unsigned", "tx/s", "sum of the parts, 1 core", &rounds,
                 BENCH_AT_LEAST, GOAL_UNSIGNED);
    home_close_genesis(&genesis);
    io_deinit(&io);
    remove_log();
    return 0;
}
