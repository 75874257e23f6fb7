/* bench journal: durable appends of 256-byte records, against the device and against other logs.
 *
 *   build/bench/journal [--directory TEXT] [--part TEXT] [--driver TEXT] [--ring-mib N]
 *                       [--slice-ms N] [--batch N] [--rounds N] [--json]
 *
 * The files lie in build/bench/journal.files, or in --directory, which is made and removed.
 * Parts, all of them by default:
 *   rates     records a second for 1, 16, 256, 4096 a commit, and latencies of a commit. Serial: the
 *             next batch is appended when the last one is durable; overlapped: two groups are on their
 *             way and a third one forms. Device: O_DIRECT overwrites of as many bytes from one buffer,
 *             one at a time, without a flush and with one.
 *   busy      the same journal with a busy thread on each core, against itself on an idle machine
 *   log       p99 beside a chain log of 100 MB/s on the same file system, against itself without
 *   recovery  bytes a second that journal_open checks, against O_DIRECT reads of 1 MiB
 *   bytes     bytes given to the block layer for each byte of payload, journal and chain log together
 *
 * A record counts when journal_durable_lsn has passed it; a peer's when its commit has returned.
 * RocksDB, SQLite and LMDB also keep an index: their ratios say what a log of one's own is worth, not
 * that they are slow.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/peer.h"
#include "bench/subject.h"

#define SAMPLES_MAX     ((size_t)1 << 20)
#define TMPFS           0x01021994
#define RAMFS           0x858458f6
#define LOG_BYTES       (UINT64_C(100) * 1000 * 1000)
#define LOG_BLOCK_BYTES ((size_t)1 << 20)
#define READ_BYTES      ((size_t)1 << 20)
#define HOGS_MAX        64

static struct bench bench = {.name = "journal"};
static const char *directory = "", *driver = "auto", *part = "all";
static uint64_t ring_mib = 128, slice_ms = 100, only_batch;
static uint8_t records[PEER_BATCH_MAX * PEER_RECORD_BYTES];
static struct bench_rounds rounds[16];

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "journal: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- the directory ---- */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static void tree_remove(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) fail(path);
}

/* An empty folder below the bench's own; the result stands until the fourth next call. */
static const char *folder(const char *name)
{
    static char paths[4][4096];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    tree_remove(path);
    if (mkdir(path, 0700) != 0) fail(path);
    return path;
}

/* By default beside this program, in the build folder. */
static void directory_make(void)
{
    static char beside[4096 + 16];
    struct statfs info;
    if (!*directory) {
        ssize_t count = readlink("/proc/self/exe", beside, 4096);
        if (count <= 0 || count == 4096) fail("/proc/self/exe");
        snprintf(beside + count, 16, ".files");
        directory = beside;
    }
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) fail(directory);
    if (statfs(directory, &info) != 0) fail(directory);
    if (info.f_type == TMPFS || info.f_type == RAMFS) {
        fprintf(stderr,
                "journal: %s lies in memory (tmpfs): nothing there is durable and nothing measured "
                "there means anything; name a directory on a disk with --directory\n",
                directory);
        exit(1);
    }
}

/* ---- rates ---- */

/* Two ways of our own and the peers. */
enum { SERIAL, OVERLAPPED, PEERS_FIRST };
static const struct peer *const PEERS[] = {&PEER_LIMIT,   &PEER_SYNCED, &PEER_APPEND,
                                           &PEER_ROCKSDB, &PEER_SQLITE, &PEER_LMDB};
#define PEER_COUNT (sizeof PEERS / sizeof PEERS[0])
#define WAYS       (PEERS_FIRST + PEER_COUNT)

/* Goals by batch size (storage.md R1 to R8); 0: none. */
static const size_t BATCHES[] = {1, 16, 256, 4096};
static const double LIMIT_SERIAL[] = {0.45, 0.45, 0.6, 0.8},
                    LIMIT_OVERLAPPED[] = {0.65, 0.75, 1, 1};
static const double PEER_GOALS[PEER_COUNT][4] = {
    {0}, {0}, {1.3, 1.3, 1.3, 0}, {1.3, 2.5, 4, 6}, {1.7, 2.5, 4, 7}, {1.9, 3, 2, 2}};
#define LATENCY_GOAL 3

static double peer_run(const struct peer *peer, uint64_t *key, size_t count, double seconds,
                       struct samples *samples)
{
    double start = bench_seconds(), now = start;
    uint64_t commits = 0;
    while (now < start + seconds) {
        double begun = now;
        peer->commit(*key, records, count);
        now = bench_seconds();
        samples_add(samples, (now - begun) * 1e6);
        *key += count;
        commits++;
    }
    return (double)commits / (now - start);
}

/* What one slice found. */
struct slice {
    double rate, p50, p99;
};

static struct slice slice_run(struct subject *subject, size_t way, uint64_t *keys, size_t count)
{
    static double memory[SAMPLES_MAX];
    struct samples samples = {memory, 0, SAMPLES_MAX};
    struct slice slice;
    double seconds = (double)slice_ms * 1e-3;
    if (way < PEERS_FIRST)
        slice.rate = subject_run(subject, records, PEER_RECORD_BYTES, count,
                                 way == SERIAL ? 1 : SUBJECT_OVERLAPPED, seconds, &samples);
    else
        slice.rate = peer_run(PEERS[way - PEERS_FIRST], &keys[way], count, seconds, &samples);
    slice.rate *= (double)count;
    slice.p50 = samples_at(&samples, 500);
    slice.p99 = samples_at(&samples, 990);
    return slice;
}

static bool way_built(size_t way)
{
    return way < PEERS_FIRST || PEERS[way - PEERS_FIRST]->built;
}

static const char *way_name(size_t way)
{
    if (way == SERIAL) return "serial";
    return way == OVERLAPPED ? "overlapped" : PEERS[way - PEERS_FIRST]->name;
}

static const char *metric_of(const char *what, size_t batch, const char *whose)
{
    static char metric[96];
    snprintf(metric, sizeof metric, "%s_%zu_%s", what, batch, whose);
    return metric;
}

static void rates_report(size_t size, struct bench_rounds *ratios, struct bench_rounds *latencies)
{
    size_t batch = BATCHES[size];
    for (size_t way = OVERLAPPED; way < WAYS; way++) {
        if (!way_built(way)) {
            printf("%-28s not built: its library was not found\n",
                   metric_of("rate", batch, way_name(way)));
            continue;
        }
        size_t peer = way - PEERS_FIRST;
        bool limit = way == OVERLAPPED || PEERS[peer] == &PEER_LIMIT;
        double goal = way == OVERLAPPED ? LIMIT_OVERLAPPED[size]
                      : limit           ? LIMIT_SERIAL[size]
                                        : PEER_GOALS[peer][size];
        bench_report(&bench, metric_of("rate", batch, way == OVERLAPPED ? "overlapped" : "serial"),
                     "records/s", limit ? PEER_LIMIT.what : PEERS[peer]->what, &ratios[way],
                     BENCH_AT_LEAST, goal);
    }
    for (size_t way = SERIAL; way < WAYS; way++) {
        if (!way_built(way)) continue;
        bool ours = way == SERIAL && batch == 1;
        bench_report(&bench, metric_of("p99", batch, way_name(way)), "us", "its p50",
                     &latencies[way], BENCH_AT_MOST, ours ? LATENCY_GOAL : 0);
    }
}

static void rates_of(size_t size)
{
    static struct bench_rounds ratios[WAYS], latencies[WAYS];
    size_t batch = BATCHES[size];
    uint64_t keys[WAYS] = {0};
    struct slice slices[WAYS];
    struct subject *subject = subject_open(folder("ours"), ring_mib << 20, driver);
    for (size_t i = 0; i < PEER_COUNT; i++) {
        if (PEERS[i]->built) PEERS[i]->open(folder(PEERS[i]->name));
    }
    for (size_t round = 0; round <= bench.rounds; round++) {
        /* Round 0 warms up. Each round starts elsewhere, so that nobody always follows the same. */
        for (size_t i = 0; i < WAYS; i++) {
            size_t way = (i + round) % WAYS;
            if (way_built(way)) slices[way] = slice_run(subject, way, keys, batch);
        }
        for (size_t way = SERIAL; way < WAYS && round > 0; way++) {
            if (!way_built(way)) continue;
            double limit = slices[PEERS_FIRST].rate;
            if (way == OVERLAPPED) bench_round(&ratios[way], slices[way].rate, limit);
            if (way >= PEERS_FIRST)
                bench_round(&ratios[way], slices[SERIAL].rate, slices[way].rate);
            bench_round(&latencies[way], slices[way].p99, slices[way].p50);
        }
    }
    rates_report(size, ratios, latencies);
    for (size_t i = 0; i < PEER_COUNT; i++) {
        if (PEERS[i]->built) PEERS[i]->close();
        if (PEERS[i]->built) (void)folder(PEERS[i]->name);
    }
    subject_close(subject);
}

static void rates(void)
{
    for (size_t size = 0; size < sizeof BATCHES / sizeof BATCHES[0]; size++) {
        if (only_batch == 0 || only_batch == BATCHES[size]) rates_of(size);
    }
}

/* ---- busy cores ---- */

static atomic_bool hogs_stop;
static pthread_t hogs[HOGS_MAX];
static size_t hog_count;

static void *hog(void *context)
{
    uint64_t seed = 1;
    (void)context;
    while (!atomic_load_explicit(&hogs_stop, memory_order_relaxed)) {
        for (int i = 0; i < 1000; i++) {
            (void)bench_random(&seed);
        }
    }
    return NULL;
}

static void hogs_start(void)
{
    atomic_store(&hogs_stop, false);
    hog_count = (size_t)get_nprocs() < HOGS_MAX ? (size_t)get_nprocs() : HOGS_MAX;
    for (size_t i = 0; i < hog_count; i++) {
        cpu_set_t core;
        CPU_ZERO(&core);
        CPU_SET(i, &core);
        if (pthread_create(&hogs[i], NULL, hog, NULL) != 0) fail("a busy thread");
        pthread_setaffinity_np(hogs[i], sizeof core, &core);
    }
}

static void hogs_end(void)
{
    atomic_store(&hogs_stop, true);
    for (size_t i = 0; i < hog_count; i++) {
        pthread_join(hogs[i], NULL);
    }
}

static double busy_slice(struct subject *subject, size_t depth, bool busy)
{
    if (busy) hogs_start();
    double rate =
        subject_run(subject, records, PEER_RECORD_BYTES, 1, depth, 3e-3 * (double)slice_ms, NULL);
    if (busy) hogs_end();
    return rate;
}

/* A real-time caller would win against any hog: here everybody has the normal class. */
static void busy(void)
{
    struct sched_param before, normal = {0};
    int policy = sched_getscheduler(0);
    sched_getparam(0, &before);
    if (sched_setscheduler(0, SCHED_OTHER, &normal) != 0) fail("the normal priority");
    struct subject *subject = subject_open(folder("ours"), ring_mib << 20, driver);
    static const size_t DEPTHS[] = {1, SUBJECT_OVERLAPPED};
    for (size_t round = 0; round < bench.rounds; round++) {
        for (size_t i = 0; i < 2; i++) {
            bool first = round % 2; /* of each pair, the busy half comes first in odd rounds */
            double a = busy_slice(subject, DEPTHS[i], first);
            double b = busy_slice(subject, DEPTHS[i], !first);
            bench_round(&rounds[i], first ? a : b, first ? b : a);
        }
    }
    bench_report(&bench, "busy_1_serial", "commits/s", "no hogs", &rounds[0], BENCH_AT_LEAST, 0.6);
    bench_report(&bench, "busy_1_overlapped", "commits/s", "no hogs", &rounds[1], BENCH_AT_LEAST,
                 0.6);
    subject_close(subject);
    if (policy != SCHED_OTHER && sched_setscheduler(0, policy, &before) != 0) {
        fail("the priority of before");
    }
}

/* ---- beside a log ---- */

static double log_slice(struct subject *subject, bool beside)
{
    static double memory[SAMPLES_MAX];
    struct samples samples = {memory, 0, SAMPLES_MAX};
    struct log_load *load =
        beside ? log_load_start(folder("log"), LOG_BYTES, LOG_BLOCK_BYTES) : NULL;
    double seconds = 5e-3 * (double)slice_ms, took;
    (void)subject_run(subject, records, PEER_RECORD_BYTES, 1, 1, seconds, &samples);
    if (load) {
        uint64_t bytes = log_load_stop(load, &took);
        if ((double)bytes < 0.8 * (double)LOG_BYTES * seconds) {
            fprintf(stderr, "journal: the log came to %.0f MB/s only\n",
                    (double)bytes / took / 1e6);
        }
    }
    return samples_at(&samples, 990);
}

static void beside_log(void)
{
    struct subject *subject = subject_open(folder("ours"), ring_mib << 20, driver);
    for (size_t round = 0; round < bench.rounds; round++) {
        double quiet = log_slice(subject, false);
        bench_round(&rounds[0], log_slice(subject, true), quiet);
    }
    bench_report(&bench, "p99_1_beside_log", "us", "no log", &rounds[0], BENCH_AT_MOST, 2);
    subject_close(subject);
    tree_remove(folder("log"));
}

/* ---- recovery ---- */

static double read_all(const char *path, uint8_t *buffer)
{
    int file = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (file < 0) fail(path);
    double start = bench_seconds();
    for (off_t at = 0; pread(file, buffer, READ_BYTES, at) == (ssize_t)READ_BYTES;) {
        at += (off_t)READ_BYTES;
    }
    double taken = bench_seconds() - start;
    close(file);
    return taken;
}

static void recovery(void)
{
    uint64_t ring_bytes = ring_mib << 20;
    const char *dir = folder("ours");
    char path[4096];
    snprintf(path, sizeof path, "%s", peer_path(dir, JOURNAL_FILE));
    struct subject *subject = subject_open(dir, ring_bytes, driver);
    uint8_t *buffer = aligned_alloc(READ_BYTES, READ_BYTES);
    if (!buffer) fail("a buffer");
    struct journal_stats stats = {0};
    while (stats.written_bytes < ring_bytes * 5 / 4) {
        (void)subject_run(subject, records, PEER_RECORD_BYTES, 256, SUBJECT_OVERLAPPED, 0.1, NULL);
        subject_stats(subject, &stats);
    }
    for (size_t round = 0; round < bench.rounds; round++) {
        double bound = read_all(path, buffer);
        double taken = subject_recover(subject);
        bench_round(&rounds[0], (double)ring_bytes / taken / 1e6, (double)ring_bytes / bound / 1e6);
    }
    bench_report(&bench, "recovery", "MB/s", "O_DIRECT read of 1 MiB", &rounds[0], BENCH_AT_LEAST,
                 0.7);
    free(buffer);
    subject_close(subject);
}

/* ---- bytes ---- */

/* What this process has given to the block layer. */
static uint64_t bytes_written(void)
{
    char line[256];
    unsigned long long bytes = 0;
    FILE *file = fopen("/proc/self/io", "r");
    if (!file) fail("/proc/self/io");
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "write_bytes: %llu", &bytes) == 1) break;
    }
    fclose(file);
    return bytes;
}

/* Each payload byte goes to the journal and to the chain log: the two are measured one after the other
 * and added. */
static void bytes(void)
{
    static const size_t SIZES[] = {256, 4096};
    for (size_t i = 0; i < 2; i++) {
        size_t batch = SIZES[i];
        struct subject *subject = subject_open(folder("ours"), ring_mib << 20, driver);
        for (size_t round = 0; round < bench.rounds; round++) {
            uint64_t before = bytes_written();
            double seconds = (double)slice_ms * 1e-3;
            (void)subject_run(subject, records, PEER_RECORD_BYTES, batch, 1, seconds, NULL);
            uint64_t between = bytes_written();
            struct journal_stats stats;
            static uint64_t body_bytes;
            subject_stats(subject, &stats);
            if (round == 0) body_bytes = 0;
            double ours = (double)(between - before) / (double)(stats.body_bytes - body_bytes);
            body_bytes = stats.body_bytes;
            struct log_load *load = log_load_start(folder("log"), 0, batch * PEER_RECORD_BYTES);
            usleep((useconds_t)(slice_ms * 1000));
            uint64_t payload = log_load_stop(load, &seconds);
            double log = (double)(bytes_written() - between) / (double)payload;
            bench_round(&rounds[0], ours + log, 1);
        }
        bench_report(&bench, metric_of("bytes", batch, "journal_and_log"), "bytes", "payload byte",
                     &rounds[0], BENCH_AT_MOST, 2.3);
        subject_close(subject);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } PARTS[] = {{"rates", rates},
                 {"busy", busy},
                 {"log", beside_log},
                 {"recovery", recovery},
                 {"bytes", bytes}};
    const struct bench_option options[] = {
        {"--directory", NULL, 0, &directory},   {"--part", NULL, 0, &part},
        {"--driver", NULL, 0, &driver},         {"--ring-mib", &ring_mib, 16384, NULL},
        {"--slice-ms", &slice_ms, 60000, NULL}, {"--batch", &only_batch, PEER_BATCH_MAX, NULL}};
    bench_options(&bench, argc, argv, options, sizeof options / sizeof options[0]);
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof records; i += 8) {
        store_u64(records + i, bench_random(&seed));
    }
    bench_must("journal", hash_init());
    directory_make();
    bool known = false;
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        if (strcmp(part, "all") != 0 && strcmp(part, PARTS[i].name) != 0) continue;
        known = true;
        PARTS[i].run();
    }
    tree_remove(directory);
    if (!known) fprintf(stderr, "journal: no part is called %s\n", part);
    return known ? 0 : 2;
}
