#include "tests/support_cluster.h"

#include <stdio.h>

#include "tests/support_cluster_internal.h"

#define NEVER (UINT64_MAX / 2) /* an operation that is not reached */

static void ok(enum status status, const char *what)
{
    if (status != STATUS_OK) fail_msg("%s: %s", what, status_name(status));
}

void *cluster_grow(void *at, size_t *capacity, size_t needed, size_t each)
{
    if (needed <= *capacity) return at;
    *capacity = needed * 2;
    at = realloc(at, *capacity * each);
    assert_non_null(at);
    return at;
}

uint64_t cluster_draw(struct cluster *cluster, uint64_t below)
{
    cluster->random ^= cluster->random >> 12;
    cluster->random ^= cluster->random << 25;
    cluster->random ^= cluster->random >> 27;
    return below ? ((cluster->random * UINT64_C(2685821657736338717)) >> 20) % below : 0;
}

/* ---- the disks ---- */

static struct machine *current; /* whose code runs */

/* enter: from here on the code of this machine runs, by its clock. */
static void enter(struct machine *machine)
{
    current = machine;
    sn_skew_set(machine->skew_us);
}

/* Completions come back after a while; at once where the node waits for them in place. */
static enum status poll_hook(void *self, int64_t timeout_us, struct io_op **done, size_t done_max,
                             size_t *done_count)
{
    struct machine *machine = current;
    struct cluster *cluster = machine->cluster;
    struct io_op *fresh[HELD_MAX];
    size_t count;
    *done_count = 0;
    bool waits = !machine->in_turn || machine->polls++ > 0;
    TRY(machine->inner.driver->poll(self, 0, fresh, HELD_MAX - machine->held_count, &count));
    for (size_t i = 0; i < count; i++) {
        uint64_t delay = cluster_draw(cluster, machine->sync_us + 1);
        machine->held[machine->held_count++] =
            (struct held_op){.op = fresh[i], .due_us = sn_now_us() + delay};
    }
    uint64_t wake = sn_now_us() + (timeout_us > 0 ? (uint64_t)timeout_us : 0);
    if (machine->line && sim_line_due(machine->line) < wake) wake = sim_line_due(machine->line);
    for (size_t i = 0; i < machine->held_count;) {
        bool due = waits || machine->held[i].due_us <= sn_now_us();
        if (!due && machine->held[i].due_us < wake) wake = machine->held[i].due_us;
        if (!due || *done_count == done_max) {
            i++;
            continue;
        }
        done[(*done_count)++] = machine->held[i].op;
        machine->held[i] = machine->held[--machine->held_count];
    }
    machine->wake_us = *done_count > 0 ? sn_now_us() : wake;
    return STATUS_OK;
}

static void name_home(const struct machine *machine)
{
    struct io io = disk_io(machine->disk);
    ok(io_mkdir(&io, HOME), "mkdir");
    ok(io_mkdir(&io, HOME "/data"), "mkdir");
    ok(io_mkdir(&io, HOME "/validator"), "mkdir");
    ok(io_dir_sync(&io, "."), "dir_sync");
    ok(io_dir_sync(&io, HOME), "dir_sync");
}

/* ---- nodes ---- */

static void witness(struct machine *machine)
{
    struct cluster *cluster = machine->cluster;
    uint64_t head = machine->node->head.height;
    if (head > machine->witnessed + NODE_ROOTS_KEPT / 2)
        machine->witnessed = head - NODE_ROOTS_KEPT / 2;
    while (machine->witnessed < head) {
        uint64_t height = ++machine->witnessed;
        const struct node_head *kept = &machine->node->waiting[height % NODE_HEADS_KEPT];
        assert_true(height < CLUSTER_HEIGHTS_MAX);
        assert_int_equal(kept->height, height);
        if (!cluster->known[height]) {
            cluster->known[height] = true;
            memcpy(cluster->ids[height], kept->block_id, HASH_BYTES);
            memcpy(cluster->roots[height], kept->state_root, HASH_BYTES);
            uint8_t word[8];
            memcpy(word, kept->block_id, 8);
            cluster->digest = cluster->digest * 0x9E3779B97F4A7C15u + load_u64(word);
        }
        if (memcmp(cluster->ids[height], kept->block_id, HASH_BYTES) != 0)
            fail_msg("two blocks of height %llu are committed", (unsigned long long)height);
        if (memcmp(cluster->roots[height], kept->state_root, HASH_BYTES) != 0)
            fail_msg("two states of height %llu", (unsigned long long)height);
    }
}

static void tell_peers(struct cluster *cluster, uint32_t at, bool up)
{
    for (uint32_t other = 0; other < cluster->count; other++) {
        if (other == at || !cluster->machines[other].up) continue;
        cluster_post(cluster, up ? NET_UP : NET_DOWN, at, other, (struct bytes){NULL, 0});
        if (up) cluster_post(cluster, NET_UP, other, at, (struct bytes){NULL, 0});
    }
}

/* leave ends a node's life: what is under way to it is lost. */
static void leave(struct machine *machine, enum status status)
{
    enter(machine);
    machine->in_turn = false;
    machine->up = false;
    machine->life++;
    enum status ended UNUSED = node_end(machine->node, status);
    node_close(machine->node);
    machine->node = NULL;
    machine->held_count = 0;
    while (machine->inbox_count > 0) {
        free(machine->inbox[machine->inbox_first++].bytes);
        machine->inbox_count--;
    }
    free(machine->taken);
    machine->taken = NULL;
    tell_peers(machine->cluster, machine->at, false);
}

/* reboot puts one of the images of a cut disk in its place. */
static void reboot(struct machine *machine)
{
    struct disk *image;
    uint64_t choices = disk_crash_choices(machine->disk);
    disk_crash_image(machine->disk, cluster_draw(machine->cluster, choices), &image);
    disk_close(machine->disk);
    machine->disk = image;
    if (machine->cluster->options.disk_bytes)
        disk_capacity_set(image, machine->cluster->options.disk_bytes);
}

/* settle_faults: the operator has mended the disk. */
static void settle_faults(struct machine *machine)
{
    machine->cluster->counts.faults_struck += disk_faults_fired(machine->disk) > 0;
    disk_faults_clear(machine->disk);
    machine->may_stop = false;
}

static void turn(struct machine *machine)
{
    struct cluster *cluster = machine->cluster;
    enter(machine);
    machine->in_turn = true;
    machine->polls = 0;
    enum status status = node_turn(machine->node, 1000000);
    machine->in_turn = false;
    if (status == STATUS_OK) {
        witness(machine);
        return;
    }
    if (disk_crashed(machine->disk)) {
        cluster->counts.late_cuts++;
        leave(machine, status);
        reboot(machine);
        return;
    }
    bool hears_itself = cluster->options.doubled && machine->key == 0 && status == STATUS_DIVERGED;
    if (!machine->may_stop && !machine->is_full && !hears_itself)
        fail_msg("node %u stops: %s, %s", machine->at, status_name(status),
                 machine->node->why ? machine->node->why : "");
    leave(machine, status);
    settle_faults(machine);
}

/* ring_bytes: of a journal; longer for longer blocks. */
static uint64_t ring_bytes(const struct cluster *cluster)
{
    return cluster->options.block_bytes > 16384 ? 32 * RING_BYTES : RING_BYTES;
}

static bool try_start(struct machine *machine)
{
    enter(machine);
    machine->inner = disk_io(machine->disk);
    machine->driver = *machine->inner.driver;
    machine->driver.poll = poll_hook;
    machine->io = (struct io){.driver = &machine->driver, .self = machine->inner.self};
    machine->net = (struct net){.driver = &CLUSTER_NET, .self = machine};
    struct node_options options = {
        .home = HOME,
        .io = &machine->io,
        .net = &machine->net,
        .genesis = {machine->cluster->fold.genesis_bytes, machine->cluster->fold.genesis_count},
        .secret_key =
            machine->is_validator ? machine->cluster->validators[machine->key].secret : NULL,
        .journal_bytes = ring_bytes(machine->cluster),
        .mempool = {.txs_max = 4096,
                    .bytes_max = 4 << 20,
                    .per_sender_max = 1000,
                    .nonce_gap_max = 64,
                    .replace_bump_bps = 1000},
        .full_checks = machine->cluster->options.checks,
        .gather_us = 8000,
    };
    if (machine->line) {
        machine->signer = sim_line_open(machine->line);
        options.secret_key = NULL;
        options.signer = &machine->signer;
        memcpy(options.consensus_key, machine->cluster->validators[machine->key].key, 32);
    }
    const char *why = NULL;
    enum status status = node_open(&machine->node, &options, &why);
    if (status != STATUS_OK && !disk_crashed(machine->disk) && !machine->may_stop &&
        !machine->is_full)
        fail_msg("node %u: %s, %s", machine->at, status_name(status), why ? why : "");
    return status == STATUS_OK;
}

void cluster_start(struct cluster *cluster, uint32_t at)
{
    struct machine *machine = &cluster->machines[at];
    assert_false(machine->up);
    cluster->counts.starts++;
    while (!try_start(machine)) { /* the power was cut while it recovered, or its disk failed */
        if (disk_crashed(machine->disk))
            reboot(machine);
        else
            settle_faults(machine);
    }
    machine->up = true;
    machine->witnessed = machine->node->head.height;
    machine->wake_us = sn_now_us();
    tell_peers(cluster, at, true);
    enum status status = node_begin(machine->node);
    if (status != STATUS_OK &&
        (machine->may_stop || machine->is_full || disk_crashed(machine->disk))) {
        bool cut = disk_crashed(machine->disk);
        leave(machine, status);
        if (cut) reboot(machine);
        settle_faults(machine);
        cluster_start(cluster, at);
        return;
    }
    ok(status, "node_begin");
    witness(machine);
}

void cluster_stop(struct cluster *cluster, uint32_t at)
{
    struct machine *machine = &cluster->machines[at];
    if (!machine->up) return;
    cluster->counts.stops++;
    leave(machine, STATUS_OK);
}

void cluster_kill(struct cluster *cluster, uint32_t at)
{
    struct machine *machine = &cluster->machines[at];
    if (!machine->up) return;
    cluster->counts.power_cuts++;
    disk_crash(machine->disk);
    leave(machine, STATUS_ABANDONED);
    reboot(machine);
}

void cluster_kill_at(struct cluster *cluster, uint32_t at, uint64_t nth)
{
    disk_crash_at(cluster->machines[at].disk, nth);
}

struct sim_signer *cluster_signer(struct cluster *cluster, uint32_t at)
{
    return cluster->signers[at];
}

void cluster_signer_start(struct cluster *cluster, uint32_t at)
{
    sim_signer_start(cluster->signers[at]);
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (cluster->machines[i].up) cluster->machines[i].wake_us = sn_now_us();
    }
}

bool cluster_is_up(const struct cluster *cluster, uint32_t at)
{
    return cluster->machines[at].up;
}

void cluster_pause(struct cluster *cluster, uint32_t at, uint64_t span_us)
{
    cluster->machines[at].paused_us = sn_now_us() + span_us;
}

void cluster_skew(struct cluster *cluster, uint32_t at, int64_t skew_us)
{
    cluster->machines[at].skew_us = skew_us;
}

void cluster_slow(struct cluster *cluster, uint32_t at, uint64_t sync_us)
{
    cluster->machines[at].sync_us = sync_us;
}

void cluster_fault(struct cluster *cluster, uint32_t at, uint64_t nth, enum disk_fault kind)
{
    struct machine *machine = &cluster->machines[at];
    if (machine->may_stop) return; /* one at a time */
    machine->may_stop = true;
    disk_fault(machine->disk, nth, kind, false);
}

static void lose_file(void *context, const char *name)
{
    struct machine *machine = context;
    struct io io = disk_io(machine->disk);
    char path[IO_PATH_MAX];
    if (machine->keeps_head && strcmp(name, HEAD_FILE) == 0) return;
    snprintf(path, sizeof path, HOME "/data/log/%s", name);
    ok(io_unlink(&io, path), "unlink");
}

void cluster_lose_data(struct cluster *cluster, uint32_t at)
{
    struct machine *machine = &cluster->machines[at];
    struct io io = disk_io(machine->disk);
    assert_false(machine->up);
    disk_crash_at(machine->disk, NEVER); /* a cut that waits for its operation is not for these */
    settle_faults(machine);
    machine->keeps_head = cluster_draw(cluster, 2) == 0;
    enum status status = io_list(&io, HOME "/data/log", lose_file, machine);
    if (status == STATUS_NOT_FOUND) return;
    ok(status, "list");
    ok(io_dir_sync(&io, HOME "/data/log"), "dir_sync");
    cluster->counts.data_lost++;
}

void cluster_corrupt(struct cluster *cluster, uint32_t at, uint32_t ppm)
{
    cluster->machines[at].corrupt_ppm = ppm;
    if (ppm > 0) cluster->machines[at].lied = true;
}

void cluster_lies(struct cluster *cluster, uint32_t at)
{
    cluster->machines[at].lied = true;
}

void cluster_watch(struct cluster *cluster, cluster_see *see, void *context)
{
    cluster->see = see;
    cluster->see_context = context;
}

void cluster_fill(struct cluster *cluster, uint32_t at, bool is_full)
{
    struct machine *machine = &cluster->machines[at];
    if (is_full)
        disk_fill_at(machine->disk, 0);
    else
        disk_fill_end(machine->disk);
    machine->is_full = is_full;
}

void cluster_calm(struct cluster *cluster)
{
    cluster->options.loss_ppm = cluster->options.double_ppm = 0;
    for (uint32_t i = 0; i < cluster->count; i++) {
        struct machine *machine = &cluster->machines[i];
        machine->corrupt_ppm = 0;
        machine->paused_us = 0;
        machine->sync_us = cluster->options.sync_us;
        disk_faults_clear(machine->disk);
        machine->may_stop = false;
        disk_crash_at(machine->disk, NEVER);
    }
}

void cluster_counts(const struct cluster *cluster, struct cluster_counts *counts)
{
    *counts = cluster->counts;
    for (uint32_t i = 0; i < cluster->count; i++) {
        const struct node *node = cluster->machines[i].node;
        if (!cluster->machines[i].up) continue;
        if (node->head.height > counts->blocks) counts->blocks = node->head.height;
        if (node->head.epoch > counts->epochs) counts->epochs = node->head.epoch;
        counts->timeouts += node->counters.timeouts;
        counts->evidence += node->counters.evidence;
    }
}

void cluster_cut(struct cluster *cluster, uint32_t from, uint32_t to, bool is_cut)
{
    cluster->cut[from][to] = is_cut;
}

void cluster_heal(struct cluster *cluster)
{
    memset(cluster->cut, 0, sizeof cluster->cut);
}

/* ---- time ---- */

/* step does what is next, if that is not after `until_us`. */
static bool step(struct cluster *cluster, uint64_t until_us)
{
    uint64_t next = UINT64_MAX;
    struct machine *first = NULL;
    for (uint32_t i = 0; i < cluster->count; i++) {
        struct machine *machine = &cluster->machines[i];
        uint64_t wake =
            machine->wake_us > machine->paused_us ? machine->wake_us : machine->paused_us;
        if (!machine->up || wake >= next) continue;
        next = wake;
        first = machine;
    }
    bool packet = cluster->packet_count > 0 && cluster->packets[0].due_us <= next;
    if (packet) next = cluster->packets[0].due_us;
    if (next > until_us) return false;
    if (next > sn_now_us()) sn_clock_set(next);
    if (packet)
        cluster_deliver(cluster);
    else
        turn(first);
    return true;
}

void cluster_run(struct cluster *cluster, uint64_t span_us)
{
    uint64_t until = sn_now_us() + span_us;
    while (step(cluster, until)) {
    }
    sn_clock_set(until);
}

static bool all_at(struct cluster *cluster, uint64_t height)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (cluster->machines[i].up && cluster->machines[i].node->head.height < height)
            return false;
    }
    return true;
}

bool cluster_run_until_height(struct cluster *cluster, uint64_t height, uint64_t limit_us)
{
    uint64_t until = sn_now_us() + limit_us;
    while (!all_at(cluster, height)) {
        if (!step(cluster, until)) return false;
    }
    return true;
}

/* ---- looking ---- */

struct node *cluster_node(struct cluster *cluster, uint32_t at)
{
    return cluster->machines[at].node;
}

uint64_t cluster_height(struct cluster *cluster, uint32_t at)
{
    return cluster->machines[at].node->head.height;
}

uint64_t cluster_nonce(struct cluster *cluster, uint32_t at, uint32_t sender)
{
    uint64_t nonce, balance;
    ledger_account(cluster->machines[at].node->ledger, cluster->fold.keys[sender].address, &nonce,
                   &balance);
    return nonce;
}

uint64_t cluster_digest(const struct cluster *cluster)
{
    return cluster->digest;
}

/* compare answers whether both have the file. */
static bool compare(struct cluster *cluster, uint32_t first, uint32_t at, const char *path)
{
    const uint8_t *a, *b;
    size_t a_count, b_count;
    if (!disk_file(cluster->machines[first].disk, path, &a, &a_count) ||
        !disk_file(cluster->machines[at].disk, path, &b, &b_count))
        return false;
    size_t count = a_count < b_count ? a_count : b_count;
    for (size_t i = 0; i < count; i++) {
        if (a[i] != b[i]) fail_msg("%s of node %u differs at byte %zu", path, at, i);
    }
    return true;
}

void cluster_check_files(struct cluster *cluster)
{
    char path[IO_PATH_MAX], name[SEGMENT_NAME_MAX];
    for (uint32_t at = 1; at < cluster->count; at++) {
        assert_false(cluster->machines[at].up);
        for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
            bool both = true;
            for (uint64_t segment = 0; both; segment++) {
                segment_name((enum segment_kind)kind, segment, name);
                snprintf(path, sizeof path, HOME "/data/log/%s", name);
                both = compare(cluster, 0, at, path);
                assert_true(both || segment > 0);
            }
        }
    }
}

/* ---- transactions ---- */

static void submit(struct cluster *cluster, uint32_t at, const struct bytes *txs, uint32_t count)
{
    struct machine *machine = &cluster->machines[at];
    struct node_submission *submission;
    assert_true(machine->up);
    enum status status = node_submit_start(machine->node, txs, count, NULL, NULL, &submission);
    if (status == STATUS_NO_SPACE) return;
    ok(status, "node_submit_start");
    node_submit_leave(submission);
    machine->wake_us = sn_now_us();
}

/* A sender whose transactions were lost with a node goes on where the chain is. */
static uint64_t nonce_of(struct cluster *cluster, uint32_t at, uint32_t sender)
{
    struct node *node = cluster->machines[at].node;
    return node_mempool_nonce(node, cluster->fold.keys[sender].address);
}

void cluster_submit(struct cluster *cluster, uint32_t at, uint32_t sender, uint32_t count)
{
    static uint8_t bytes[NODE_SUBMIT_MAX][1024];
    static struct bytes txs[NODE_SUBMIT_MAX];
    struct fold_tx tx;
    assert_true(count <= NODE_SUBMIT_MAX);
    uint64_t nonce = nonce_of(cluster, at, sender);
    for (uint32_t i = 0; i < count; i++) {
        fold_tx_start(&cluster->fold, &tx, &cluster->fold.keys[sender], nonce + i);
        fold_tx_transfer(&tx, cluster->fold.keys[(sender + 1) % CHAIN_KEYS].address, ASSET_COIN, 1);
        tx.valid_until = 100000;
        txs[i] = (struct bytes){bytes[i], fold_tx_sign(&tx, bytes[i])};
    }
    submit(cluster, at, txs, count);
}

void cluster_submit_tx(struct cluster *cluster, uint32_t at, uint32_t sender, uint16_t kind,
                       struct bytes body)
{
    static uint8_t bytes[TX_BYTES_MAX];
    struct fold_tx tx;
    fold_tx_start(&cluster->fold, &tx, &cluster->fold.keys[sender], nonce_of(cluster, at, sender));
    fold_tx_operation(&tx, kind, body.at, body.count);
    tx.valid_until = 100000;
    struct bytes one = {bytes, fold_tx_sign(&tx, bytes)};
    submit(cluster, at, &one, 1);
}

void cluster_inject(struct cluster *cluster, uint32_t from, uint32_t to, struct bytes message)
{
    cluster_post(cluster, NET_MESSAGE, from, to, message);
}

const struct fold_key *cluster_validator(const struct cluster *cluster, uint32_t at)
{
    return &cluster->validators[at];
}

/* ---- making ---- */

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct fold_key *)a)->key, ((const struct fold_key *)b)->key, 32);
}

static int by_address(const void *a, const void *b)
{
    return memcmp(((const struct fold_key *)a)->address, ((const struct fold_key *)b)->address, 32);
}

static void make_genesis(struct cluster *cluster)
{
    struct fold *fold = &cluster->fold;
    for (uint64_t i = 0; i < CHAIN_KEYS; i++) {
        fold_key_make(i, &fold->keys[i]);
    }
    qsort(fold->keys, CHAIN_KEYS, sizeof fold->keys[0], by_address);
    uint32_t members =
        cluster->options.members ? cluster->options.members : cluster->options.validators;
    for (uint32_t i = 0; i < cluster->options.validators; i++) {
        fold_key_make(1000 + i, &cluster->validators[i]);
    }
    qsort(cluster->validators, members, sizeof cluster->validators[0], by_key);
    fold_params(&fold->params);
    fold->params.block_bytes_max =
        cluster->options.block_bytes ? (uint32_t)cluster->options.block_bytes : 16384;
    fold->params.tx_bytes_max = 2048;
    fold->params.uncommitted_max = 8;
    fold->params.segment_bytes = 4 * fold->params.block_bytes_max;
    fold->params.block_interval_us = cluster->options.block_interval_us;
    fold->params.heartbeat_us =
        100000 + cluster->options.block_interval_us; /* an idle chain goes on */
    if (cluster->options.epoch_blocks > 0) {
        fold->params.epoch_span_us = 0;
        fold->params.epoch_blocks_min = cluster->options.epoch_blocks;
    }
    fold->validators = cluster->validators;
    fold->validator_count = members;
    fold->params.dev_operations = 1;
    fold_genesis_make(fold);
}

static void make_disk(struct cluster *cluster, uint32_t at)
{
    struct machine *machine = &cluster->machines[at];
    *machine = (struct machine){.cluster = cluster,
                                .at = at,
                                .sync_us = cluster->options.sync_us,
                                .key = at,
                                .is_validator = at < cluster->options.validators};
    if (cluster->options.doubled && at == cluster->options.validators) {
        machine->is_validator = true;
        machine->key = 0;
    }
    disk_open(&machine->disk);
    name_home(machine);
    if (cluster->options.disk_bytes) disk_capacity_set(machine->disk, cluster->options.disk_bytes);
    if (!machine->is_validator) return;
    if (cluster->options.signers) machine->line = sim_line_make(cluster->signers[machine->key]);
    struct io io = disk_io(machine->disk);
    ok(node_format(&io, HOME, &cluster->fold.params, cluster->fold.genesis_id,
                   cluster->validators[machine->key].key, ring_bytes(cluster)),
       "node_format");
}

struct cluster *cluster_make(const struct cluster_options *options)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    assert_non_null(cluster);
    ok(hash_init(), "hash_init");
    cluster->options = *options;
    cluster->random = options->seed * 2 + 1;
    cluster->count = options->validators + options->observers;
    assert_true(cluster->count <= CLUSTER_NODES_MAX);
    make_genesis(cluster);
    for (uint32_t i = 0; options->signers && i < options->validators; i++) {
        struct sim_signer_options signer = {.secret = cluster->validators[i].secret,
                                            .seed = options->seed + i,
                                            .delay_us = options->signer_delay_us};
        memcpy(signer.genesis_id, cluster->fold.genesis_id, HASH_BYTES);
        cluster->signers[i] = sim_signer_make(&signer);
    }
    for (uint32_t i = 0; i < cluster->count; i++) {
        make_disk(cluster, i);
    }
    return cluster;
}

void cluster_free(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        cluster_stop(cluster, i);
        free(cluster->machines[i].inbox);
        disk_close(cluster->machines[i].disk);
        if (cluster->machines[i].line) sim_line_free(cluster->machines[i].line);
    }
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (cluster->signers[i]) sim_signer_free(cluster->signers[i]);
    }
    cluster_drop_packets(cluster);
    free(cluster->fold.genesis_bytes);
    free(cluster);
}
