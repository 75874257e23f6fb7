#include "tests/sim/full.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/trace.h"
#include "tests/sim/full_signature.h"
#include "tests/support_clock.h"
#include "tests/support_cluster.h"

#define CANDIDATES  2 /* validators that may join */
#define SENDERS     6
#define HEAL_US     600000000
#define HEAL_BLOCKS 6
#define DISK_BYTES  (UINT64_C(64) << 20)

const char *const FULL_FAULT_NAMES[FULL_FAULT_COUNT] = {
#define X(upper, lower, text) #lower,
    FULL_FAULT_LIST(X)
#undef X
};

struct run {
    const struct full_options *options;
    struct full_report *report;
    struct cluster *cluster;
    uint64_t random;
    uint32_t members, machines, liar; /* liar: a machine, or none (UINT32_MAX) */
    bool churns;
    uint64_t back_us[CLUSTER_NODES_MAX]; /* when a machine that is down starts again */
    uint64_t slow_us[CLUSTER_NODES_MAX], full_us[CLUSTER_NODES_MAX]; /* until then; 0: not now */
    uint64_t heal_us;
};

static uint64_t draw(struct run *run, uint64_t below)
{
    run->random ^= run->random >> 12;
    run->random ^= run->random << 25;
    run->random ^= run->random >> 27;
    return (run->random * UINT64_C(2685821657736338717) >> 16) % below;
}

static bool allowed(const struct run *run, enum full_fault fault)
{
    return !(run->options->without >> fault & 1);
}

static bool happens(struct run *run, enum full_fault fault, uint64_t permille)
{
    return draw(run, 1000) < permille && allowed(run, fault);
}

static void count(struct run *run, enum full_fault fault)
{
    run->report->faults[fault]++;
}

static uint32_t any(struct run *run)
{
    return (uint32_t)draw(run, run->machines);
}

/* ---- faults ---- */

static void goes_down(struct run *run, uint32_t at)
{
    run->back_us[at] = sn_now_us() + draw(run, 2500000);
}

static void cut_power(struct run *run, uint32_t at)
{
    if (!cluster_is_up(run->cluster, at)) return;
    cluster_kill(run->cluster, at);
    goes_down(run, at);
}

static void trouble_machine(struct run *run)
{
    uint32_t at = any(run);
    struct cluster *c = run->cluster;
    if (happens(run, FULL_POWER_CUT, 25)) {
        count(run, FULL_POWER_CUT);
        cut_power(run, at);
    }
    if (happens(run, FULL_LATE_CUT, 40)) cluster_kill_at(c, any(run), 1 + draw(run, 400));
    if (happens(run, FULL_CUT_ALL, 5)) {
        count(run, FULL_CUT_ALL);
        for (uint32_t i = 0; i < run->machines; i++) {
            cut_power(run, i);
        }
    }
    if (happens(run, FULL_STOP, 15) && cluster_is_up(c, at)) {
        count(run, FULL_STOP);
        cluster_stop(c, at);
        goes_down(run, at);
    }
    if (happens(run, FULL_PAUSE, 25)) {
        count(run, FULL_PAUSE);
        cluster_pause(c, any(run), 10000 + draw(run, 3000000));
    }
}

static void trouble_disk(struct run *run)
{
    static const enum disk_fault KINDS[] = {DISK_EIO,        DISK_ENOSPC,      DISK_EDQUOT,
                                            DISK_SHORT_READ, DISK_SHORT_WRITE, DISK_BIT_FLIP};
    struct cluster *c = run->cluster;
    uint32_t at = any(run);
    if (happens(run, FULL_DISK_FAULT, 40))
        cluster_fault(c, at, 1 + draw(run, 300), KINDS[draw(run, sizeof KINDS / sizeof KINDS[0])]);
    at = any(run);
    if (happens(run, FULL_SLOW_DISK, 20) && run->slow_us[at] == 0) {
        count(run, FULL_SLOW_DISK);
        cluster_slow(c, at, 200000);
        run->slow_us[at] = sn_now_us() + draw(run, 3000000);
    }
    at = any(run);
    if (happens(run, FULL_FULL_DISK, 12) && run->full_us[at] == 0 && cluster_is_up(c, at)) {
        count(run, FULL_FULL_DISK);
        cluster_fill(c, at, true);
        run->full_us[at] = sn_now_us() + draw(run, 3000000);
    }
}

static void trouble_network(struct run *run)
{
    struct cluster *c = run->cluster;
    if (happens(run, FULL_ONE_WAY, 30)) {
        count(run, FULL_ONE_WAY);
        cluster_cut(c, any(run), any(run), true);
        run->heal_us = sn_now_us() + draw(run, 5000000);
    }
    if (!happens(run, FULL_PARTITION, 15)) return;
    count(run, FULL_PARTITION);
    uint64_t side = draw(run, UINT64_C(1) << run->machines);
    for (uint32_t a = 0; a < run->machines; a++) {
        for (uint32_t b = 0; b < run->machines; b++) {
            if ((side >> a & 1) != (side >> b & 1)) cluster_cut(c, a, b, true);
        }
    }
    run->heal_us = sn_now_us() + draw(run, 8000000);
}

static uint32_t running(struct run *run)
{
    uint32_t first = any(run);
    for (uint32_t i = 0; i < run->machines; i++) {
        uint32_t at = (first + i) % run->machines;
        if (cluster_is_up(run->cluster, at)) return at;
    }
    return UINT32_MAX;
}

/* change_power: no power is more than a third of what the others have together, and members stay. */
static void change_power(struct run *run, uint32_t at)
{
    struct set_power change = {.power = 10 + draw(run, 10)};
    uint8_t bytes[set_power_bytes_max];
    size_t bytes_count;
    uint32_t whom = (uint32_t)draw(run, run->members + CANDIDATES);
    if (whom >= 4 && draw(run, 3) == 0) change.power = 0;
    memcpy(change.key, cluster_validator(run->cluster, whom)->key, 32);
    if (set_power_encode(&change, bytes, sizeof bytes, &bytes_count) != STATUS_OK) abort();
    cluster_submit_tx(run->cluster, at, SENDERS, OPERATION_SET_POWER,
                      (struct bytes){bytes, bytes_count});
    count(run, FULL_CHURN);
}

static void work(struct run *run)
{
    uint32_t at = running(run);
    if (at == UINT32_MAX) return;
    if (draw(run, 3) == 0)
        cluster_submit(run->cluster, at, (uint32_t)draw(run, SENDERS), 1 + (uint32_t)draw(run, 12));
    if (run->churns && draw(run, 6) == 0) change_power(run, at);
}

static void mend(struct run *run)
{
    uint64_t now = sn_now_us();
    struct cluster *c = run->cluster;
    for (uint32_t i = 0; i < run->machines; i++) {
        if (run->slow_us[i] != 0 && run->slow_us[i] <= now) {
            cluster_slow(c, i, 1000);
            run->slow_us[i] = 0;
        }
        if (run->full_us[i] != 0 && run->full_us[i] <= now) {
            cluster_fill(c, i, false);
            run->full_us[i] = 0;
        }
        if (cluster_is_up(c, i) || run->back_us[i] > now || run->full_us[i] != 0) continue;
        if (happens(run, FULL_DATA_LOST, 60)) cluster_lose_data(c, i);
        cluster_start(c, i);
    }
    if (run->heal_us != 0 && run->heal_us <= now) {
        cluster_heal(c);
        run->heal_us = 0;
    }
}

/* ---- a run ---- */

static void make(struct run *run)
{
    const struct full_options *o = run->options;
    static const uint32_t SIZES[] = {4, 4, 4, 5, 7};
    run->members = o->validators ? o->validators : SIZES[draw(run, 5)];
    run->churns = draw(run, 3) == 0 && allowed(run, FULL_CHURN);
    uint32_t candidates = run->churns ? CANDIDATES : 0, observers = (uint32_t)draw(run, 2);
    struct cluster_options options = {
        .validators = run->members + candidates,
        .members = run->members,
        .observers = observers,
        .seed = o->seed,
        .delay_us = 100 + draw(run, 20000),
        .jitter_us = 1 + draw(run, 20000),
        .loss_ppm = happens(run, FULL_LOST, 500) ? (uint32_t)draw(run, 30000) : 0,
        .double_ppm = happens(run, FULL_DOUBLED, 500) ? (uint32_t)draw(run, 30000) : 0,
        .sync_us = 1000,
        .epoch_blocks = 8 + draw(run, 40),
        .block_interval_us = 20000 + draw(run, 100000),
        .disk_bytes = DISK_BYTES,
        .checks = draw(run, 16) == 0,
    };
    run->machines = options.validators + observers;
    run->report->validators = run->members;
    run->cluster = cluster_make(&options);
    run->liar = UINT32_MAX;
    if (!run->churns && run->members >= 4 && happens(run, FULL_CORRUPTED, 300)) {
        run->liar = (uint32_t)draw(run, run->members);
        cluster_corrupt(run->cluster, run->liar, 20000);
    }
    for (uint32_t i = 0; i < run->machines; i++) {
        if (happens(run, FULL_SKEW, 300)) {
            count(run, FULL_SKEW);
            cluster_skew(run->cluster, i, (int64_t)draw(run, 300000) - 150000);
        }
    }
}

/* heal: nothing goes wrong any more, everybody runs; then all must commit together. */
static void heal(struct run *run)
{
    struct cluster *c = run->cluster;
    uint64_t height = 0;
    cluster_heal(c);
    cluster_calm(c);
    for (uint32_t i = 0; i < run->machines; i++) {
        run->back_us[i] = 0;
        run->slow_us[i] = run->slow_us[i] ? 1 : 0;
        run->full_us[i] = run->full_us[i] ? 1 : 0;
    }
    mend(run);
    for (uint32_t i = 0; i < run->machines; i++) {
        if (!cluster_is_up(c, i)) cluster_start(c, i);
    }
    for (uint32_t i = 0; i < run->machines; i++) {
        if (cluster_height(c, i) > height) height = cluster_height(c, i);
    }
    cluster_submit(c, 0, 0, 3);
    uint64_t wanted = cluster_nonce(c, 0, 0);
    if (!cluster_run_until_height(c, height + HEAL_BLOCKS, HEAL_US))
        fail_msg("no new blocks %u s after all faults: height %llu", HEAL_US / 1000000,
                 (unsigned long long)height);
    if (cluster_nonce(c, 0, 0) < wanted) fail_msg("a nonce went back");
    for (uint32_t i = 0; i < run->machines; i++) {
        cluster_stop(c, i);
    }
    cluster_check_files(c);
}

static void collect(struct run *run)
{
    struct cluster_counts counts;
    struct full_report *report = run->report;
    cluster_counts(run->cluster, &counts);
    report->faults[FULL_LATE_CUT] += counts.late_cuts;
    report->faults[FULL_DISK_FAULT] += counts.faults_struck;
    report->faults[FULL_DATA_LOST] += counts.data_lost;
    report->faults[FULL_LOST] += counts.lost;
    report->faults[FULL_DOUBLED] += counts.doubled;
    report->faults[FULL_CORRUPTED] += counts.corrupted;
    report->faults[FULL_EPOCH] += counts.epochs;
    report->heights = counts.blocks;
    report->messages = counts.messages;
    report->timeouts = counts.timeouts;
    report->digest = cluster_digest(run->cluster);
    if (counts.evidence > 0) fail_msg("an honest validator was convicted");
}

/* choose_signatures: Ed25519, or keyed hashes where they are linked in. */
static bool choose_signatures(uint64_t seed)
{
#ifdef SIM_FULL_HASHES
    full_signatures_are_real = seed % 8 == 0;
    return full_signatures_are_real;
#else
    (void)seed;
    return true;
#endif
}

void full_run(const struct full_options *options, struct full_report *report)
{
    struct run run = {
        .options = options, .report = report, .random = options->seed * 2654435761u + 1};
    *report = (struct full_report){.real_signatures = choose_signatures(options->seed)};
    sn_clock_set(CHAIN_TIME_US + 1000000);
    make(&run);
    uint32_t steps = options->steps ? options->steps : 60 + (uint32_t)draw(&run, 200);
    for (uint32_t i = 0; i < run.machines; i++) {
        cluster_start(run.cluster, i);
    }
    cluster_run(run.cluster, 1000000);
    for (uint32_t step = 0; step < steps; step++) {
        trouble_machine(&run);
        trouble_disk(&run);
        trouble_network(&run);
        mend(&run);
        work(&run);
        cluster_run(run.cluster, 20000 + draw(&run, 300000));
    }
    collect(&run);
    heal(&run);
    cluster_free(run.cluster);
}

/* ---- the program ---- */

static struct full_options now; /* of the run at hand, for the last words */
static bool is_running;

static void last_words(void)
{
    if (!is_running) return;
    fprintf(stderr, "seed %llu failed:\n  cairn-sim --profile full --seed %llu",
            (unsigned long long)now.seed, (unsigned long long)now.seed);
    if (now.validators) fprintf(stderr, " --validators %u", now.validators);
    if (now.steps) fprintf(stderr, " --steps %u", now.steps);
    for (unsigned i = 0; i < FULL_FAULT_COUNT; i++) {
        if (now.without >> i & 1) fprintf(stderr, " --without %s", FULL_FAULT_NAMES[i]);
    }
    fputc('\n', stderr);
}

static uint64_t without_of(const char *name)
{
    for (unsigned i = 0; i < FULL_FAULT_COUNT; i++) {
        if (strcmp(name, FULL_FAULT_NAMES[i]) == 0) return UINT64_C(1) << i;
    }
    fprintf(stderr, "no fault is called %s\n", name);
    exit(2);
}

static void print_json(const struct full_report *report, uint64_t seed)
{
    printf(
        "{\"seed\":%llu,\"profile\":\"full\",\"validators\":%u,\"heights\":%llu,\"messages\":%llu,"
        "\"timeouts\":%llu,\"real_signatures\":%s,\"faults\":{",
        (unsigned long long)seed, report->validators, (unsigned long long)report->heights,
        (unsigned long long)report->messages, (unsigned long long)report->timeouts,
        report->real_signatures ? "true" : "false");
    for (unsigned i = 0; i < FULL_FAULT_COUNT; i++) {
        printf("%s\"%s\":%llu", i ? "," : "", FULL_FAULT_NAMES[i],
               (unsigned long long)report->faults[i]);
    }
    printf("},\"digest\":\"%016llx\",\"failure\":null}\n", (unsigned long long)report->digest);
}

int full_main(int argc, char **argv)
{
    static const struct option LIST[] = {
        {"profile", required_argument, NULL, 'p'}, {"seed", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'c'},   {"validators", required_argument, NULL, 'v'},
        {"without", required_argument, NULL, 'w'}, {"steps", required_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'},          {"every", no_argument, NULL, 'e'},
        {"trace", no_argument, NULL, 'r'},         {NULL, 0, NULL, 0}};
    uint64_t first = 1, runs = 1, sum[FULL_FAULT_COUNT] = {0}, heights = 0;
    bool json = false, every = false, trace = false;
    for (int option; (option = getopt_long(argc, argv, "", LIST, NULL)) != -1;) {
        switch (option) {
        case 'p': break;
        case 's': first = strtoull(optarg, NULL, 10); break;
        case 'c': runs = strtoull(optarg, NULL, 10); break;
        case 'v': now.validators = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 't': now.steps = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'w': now.without |= without_of(optarg); break;
        case 'j': json = true; break;
        case 'e': every = true; break;
        case 'r': trace = true; break;
        default: return 2;
        }
    }
    if (now.validators > CLUSTER_NODES_MAX - CANDIDATES - 1) return 2;
    is_loop = true;
    if (trace_init(TRACE_FORMAT_LOGFMT, trace ? "debug" : "off", 2) != STATUS_OK) return 1;
    atexit(last_words);
    for (uint64_t i = 0; i < runs; i++) {
        struct full_report report;
        now.seed = first + i;
        is_running = true;
        full_run(&now, &report);
        is_running = false;
        heights += report.heights;
        for (unsigned fault = 0; fault < FULL_FAULT_COUNT; fault++) {
            sum[fault] += report.faults[fault];
        }
        if (json) print_json(&report, now.seed);
    }
    if (json) return 0;
    printf("%llu runs, %llu heights", (unsigned long long)runs, (unsigned long long)heights);
    int missing = 0;
    for (unsigned i = 0; i < FULL_FAULT_COUNT; i++) {
        printf(", %s %llu", FULL_FAULT_NAMES[i], (unsigned long long)sum[i]);
        missing += sum[i] == 0;
    }
    printf("\n");
    return every && missing > 0 ? 1 : 0;
}
