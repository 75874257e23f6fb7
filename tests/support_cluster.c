#include "tests/support_cluster.h"

#include <stdio.h>
#include <stdlib.h>

#include "replica/node_internal.h"
#include "tests/support_node.h"

#define HOME          "home"
#define RING_BYTES    (UINT64_C(32768) * 4096)
#define HELD_MAX      256
#define COMPUTER_NONE UINT32_MAX

struct packet {
    uint64_t due_us, order;
    enum net_event_kind kind;
    uint32_t from, to;
    uint64_t life; /* of the receiver, when it was sent */
    size_t count;
    uint8_t *bytes;
};

struct held_op {
    struct io_op *op;
    uint64_t due_us;
};

struct machine {
    struct cluster *cluster;
    uint32_t at, key; /* of a validator: the number of its key */
    bool is_validator, up, in_turn;
    struct sim_line *line; /* to the signer of the key */
    struct signer signer;
    struct disk *disk;
    struct io_driver driver;
    struct io inner, io;
    struct net net;
    struct node *node;
    uint64_t wake_us, life, polls;
    struct held_op held[HELD_MAX];
    size_t held_count;
    struct packet *inbox; /* delivered and not taken, a queue */
    size_t inbox_first, inbox_count, inbox_capacity;
    uint8_t *taken; /* of the message lent last */
    uint64_t witnessed;
};

struct cluster {
    struct cluster_options options;
    uint64_t random;
    struct fold fold;
    struct fold_key validators[CLUSTER_NODES_MAX];
    struct machine machines[CLUSTER_NODES_MAX];
    struct sim_signer *signers[CLUSTER_NODES_MAX]; /* by key */
    uint32_t count;
    bool cut[CLUSTER_NODES_MAX][CLUSTER_NODES_MAX];
    struct packet *packets; /* a heap by due_us, order */
    size_t packet_count, packet_capacity;
    uint64_t next_order;
    uint64_t nonces[CHAIN_KEYS];
    bool known[CLUSTER_HEIGHTS_MAX];
    uint8_t ids[CLUSTER_HEIGHTS_MAX][HASH_BYTES], roots[CLUSTER_HEIGHTS_MAX][HASH_BYTES];
    uint64_t digest;
};

static void ok(enum status status, const char *what)
{
    if (status != STATUS_OK) fail_msg("%s: %s", what, status_name(status));
}

static void *grow(void *at, size_t *capacity, size_t needed, size_t each)
{
    if (needed <= *capacity) return at;
    *capacity = needed * 2;
    at = realloc(at, *capacity * each);
    assert_non_null(at);
    return at;
}

static uint64_t draw(struct cluster *cluster, uint64_t below)
{
    cluster->random ^= cluster->random >> 12;
    cluster->random ^= cluster->random << 25;
    cluster->random ^= cluster->random >> 27;
    return below ? ((cluster->random * UINT64_C(2685821657736338717)) >> 20) % below : 0;
}

/* ---- the network ---- */

static bool is_before(const struct packet *a, const struct packet *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void heap_push(struct cluster *cluster, struct packet packet)
{
    cluster->packets =
        grow(cluster->packets, &cluster->packet_capacity, cluster->packet_count + 1, sizeof packet);
    size_t at = cluster->packet_count++;
    while (at > 0 && is_before(&packet, &cluster->packets[(at - 1) / 2])) {
        cluster->packets[at] = cluster->packets[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    cluster->packets[at] = packet;
}

static struct packet heap_pop(struct cluster *cluster)
{
    struct packet top = cluster->packets[0], last = cluster->packets[--cluster->packet_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= cluster->packet_count) break;
        if (child + 1 < cluster->packet_count &&
            is_before(&cluster->packets[child + 1], &cluster->packets[child]))
            child++;
        if (!is_before(&cluster->packets[child], &last)) break;
        cluster->packets[at] = cluster->packets[child];
        at = child;
    }
    cluster->packets[at] = last;
    return top;
}

static void post(struct cluster *cluster, enum net_event_kind kind, uint32_t from, uint32_t to,
                 struct bytes bytes)
{
    const struct cluster_options *o = &cluster->options;
    struct packet packet = {.kind = kind,
                            .from = from,
                            .to = to,
                            .life = cluster->machines[to].life,
                            .order = cluster->next_order++,
                            .due_us = sn_now_us() + o->delay_us + draw(cluster, o->jitter_us + 1),
                            .count = bytes.count};
    if (kind == NET_MESSAGE) {
        if (cluster->cut[from][to] || draw(cluster, 1000000) < o->loss_ppm) return;
        packet.bytes = malloc(bytes.count ? bytes.count : 1);
        assert_non_null(packet.bytes);
        memcpy(packet.bytes, bytes.at, bytes.count);
    } else {
        packet.due_us = sn_now_us();
    }
    heap_push(cluster, packet);
}

static void net_send(void *self, uint32_t peer, enum net_urgency urgency, struct bytes message)
{
    struct machine *machine = self;
    (void)urgency;
    for (uint32_t to = 0; to < machine->cluster->count; to++) {
        bool wanted = peer == NET_PEER_ALL ? to != machine->at : to == peer;
        if (wanted && machine->cluster->machines[to].up)
            post(machine->cluster, NET_MESSAGE, machine->at, to, message);
    }
}

static size_t net_room(void *self, uint32_t peer, enum net_urgency urgency)
{
    (void)self;
    (void)peer;
    (void)urgency;
    return 1 << 24;
}

static bool net_take(void *self, struct net_event *event)
{
    struct machine *machine = self;
    free(machine->taken);
    machine->taken = NULL;
    if (machine->inbox_count == 0) return false;
    struct packet packet = machine->inbox[machine->inbox_first++];
    machine->inbox_count--;
    machine->taken = packet.bytes;
    *event =
        (struct net_event){.kind = packet.kind,
                           .peer = packet.from,
                           .is_validator = machine->cluster->machines[packet.from].is_validator,
                           .bytes = {packet.bytes, packet.count}};
    return true;
}

static void net_blame(void *self, uint32_t peer, const char *text)
{
    struct machine *machine = self;
    fail_msg("node %u blames node %u, which is honest: %s", machine->at, peer, text);
}

static enum status net_pump(void *self, uint64_t now_us, uint64_t *next_us)
{
    (void)self;
    (void)now_us;
    *next_us = UINT64_MAX;
    return STATUS_OK;
}

static void net_complete(void *self, struct io_op *op, uint64_t now_us)
{
    (void)self;
    (void)op;
    (void)now_us;
    fail_msg("a socket operation that nobody submitted");
}

static void net_stop(void *self)
{
    (void)self;
}

static bool net_idle(const void *self)
{
    (void)self;
    return true;
}

static const struct net_driver NET_DRIVER = {
    .name = "simulated",
    .send = net_send,
    .room = net_room,
    .take = net_take,
    .blame = net_blame,
    .pump = net_pump,
    .complete = net_complete,
    .stop = net_stop,
    .idle = net_idle,
};

static void deliver(struct cluster *cluster, struct packet packet)
{
    struct machine *machine = &cluster->machines[packet.to];
    if (!machine->up || machine->life != packet.life) {
        free(packet.bytes);
        return;
    }
    if (machine->inbox_count == 0) machine->inbox_first = 0;
    machine->inbox = grow(machine->inbox, &machine->inbox_capacity,
                          machine->inbox_first + machine->inbox_count + 1, sizeof packet);
    machine->inbox[machine->inbox_first + machine->inbox_count++] = packet;
    machine->wake_us = sn_now_us();
}

/* ---- the disks ---- */

static struct machine *current; /* whose code runs */

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
        uint64_t delay = draw(cluster, cluster->options.sync_us + 1);
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
        post(cluster, up ? NET_UP : NET_DOWN, at, other, (struct bytes){NULL, 0});
        if (up) post(cluster, NET_UP, other, at, (struct bytes){NULL, 0});
    }
}

/* leave ends a node's life: what is under way to it is lost. */
static void leave(struct machine *machine, enum status status)
{
    current = machine;
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
    disk_crash_image(machine->disk, draw(machine->cluster, choices), &image);
    disk_close(machine->disk);
    machine->disk = image;
}

static void turn(struct machine *machine)
{
    current = machine;
    machine->in_turn = true;
    machine->polls = 0;
    enum status status = node_turn(machine->node, 1000000);
    machine->in_turn = false;
    if (status == STATUS_OK) {
        witness(machine);
        return;
    }
    if (machine->cluster->options.doubled && machine->key == 0 && status == STATUS_DIVERGED) {
        leave(machine, status); /* it has heard of itself */
        return;
    }
    if (!disk_crashed(machine->disk))
        fail_msg("node %u stops: %s, %s", machine->at, status_name(status),
                 machine->node->why ? machine->node->why : "");
    leave(machine, status);
    reboot(machine);
}

static bool try_start(struct machine *machine)
{
    current = machine;
    machine->inner = disk_io(machine->disk);
    machine->driver = *machine->inner.driver;
    machine->driver.poll = poll_hook;
    machine->io = (struct io){.driver = &machine->driver, .self = machine->inner.self};
    machine->net = (struct net){.driver = &NET_DRIVER, .self = machine};
    struct node_options options = {
        .home = HOME,
        .io = &machine->io,
        .net = &machine->net,
        .genesis = {machine->cluster->fold.genesis_bytes, machine->cluster->fold.genesis_count},
        .secret_key =
            machine->is_validator ? machine->cluster->validators[machine->key].secret : NULL,
        .journal_bytes = RING_BYTES,
        .mempool = {.txs_max = 4096,
                    .bytes_max = 4 << 20,
                    .per_sender_max = 1000,
                    .nonce_gap_max = 64,
                    .replace_bump_bps = 1000},
        .full_checks = true,
    };
    if (machine->line) {
        machine->signer = sim_line_open(machine->line);
        options.secret_key = NULL;
        options.signer = &machine->signer;
        memcpy(options.consensus_key, machine->cluster->validators[machine->key].key, 32);
    }
    const char *why = NULL;
    enum status status = node_open(&machine->node, &options, &why);
    if (status != STATUS_OK && !disk_crashed(machine->disk))
        fail_msg("node %u: %s, %s", machine->at, status_name(status), why ? why : "");
    return status == STATUS_OK;
}

void cluster_start(struct cluster *cluster, uint32_t at)
{
    struct machine *machine = &cluster->machines[at];
    assert_false(machine->up);
    while (!try_start(machine)) { /* the power was cut while it recovered */
        reboot(machine);
    }
    machine->up = true;
    machine->witnessed = machine->node->head.height;
    machine->wake_us = sn_now_us();
    tell_peers(cluster, at, true);
    ok(node_begin(machine->node), "node_begin");
    witness(machine);
}

void cluster_stop(struct cluster *cluster, uint32_t at)
{
    struct machine *machine = &cluster->machines[at];
    if (machine->up) leave(machine, STATUS_OK);
}

void cluster_kill(struct cluster *cluster, uint32_t at)
{
    struct machine *machine = &cluster->machines[at];
    if (!machine->up) return;
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
        if (!machine->up || machine->wake_us >= next) continue;
        next = machine->wake_us;
        first = machine;
    }
    bool packet = cluster->packet_count > 0 && cluster->packets[0].due_us <= next;
    if (packet) next = cluster->packets[0].due_us;
    if (next > until_us) return false;
    if (next > sn_now_us()) sn_clock_set(next);
    if (packet)
        deliver(cluster, heap_pop(cluster));
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

void cluster_submit(struct cluster *cluster, uint32_t at, uint32_t sender, uint32_t count)
{
    static uint8_t bytes[NODE_SUBMIT_MAX][1024];
    static struct bytes txs[NODE_SUBMIT_MAX];
    struct fold_tx tx;
    struct machine *machine = &cluster->machines[at];
    assert_true(machine->up && count <= NODE_SUBMIT_MAX);
    for (uint32_t i = 0; i < count; i++) {
        fold_tx_start(&cluster->fold, &tx, &cluster->fold.keys[sender], cluster->nonces[sender]++);
        fold_tx_transfer(&tx, cluster->fold.keys[(sender + 1) % CHAIN_KEYS].address, ASSET_COIN, 1);
        tx.valid_until = 100000;
        txs[i] = (struct bytes){bytes[i], fold_tx_sign(&tx, bytes[i])};
    }
    struct node_submission *submission;
    ok(node_submit_start(machine->node, txs, count, NULL, NULL, &submission), "node_submit_start");
    node_submit_leave(submission);
    machine->wake_us = sn_now_us();
}

void cluster_inject(struct cluster *cluster, uint32_t from, uint32_t to, struct bytes message)
{
    post(cluster, NET_MESSAGE, from, to, message);
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
    for (uint32_t i = 0; i < cluster->options.validators; i++) {
        fold_key_make(1000 + i, &cluster->validators[i]);
    }
    qsort(cluster->validators, cluster->options.validators, sizeof cluster->validators[0], by_key);
    fold_params(&fold->params);
    fold->params.block_bytes_max =
        cluster->options.block_bytes ? (uint32_t)cluster->options.block_bytes : 16384;
    fold->params.tx_bytes_max = 2048;
    fold->params.uncommitted_max = 8;
    fold->params.segment_bytes = 65536;
    fold->params.block_interval_us = cluster->options.block_interval_us;
    fold->params.heartbeat_us = 100000; /* an idle chain goes on */
    if (cluster->options.epoch_blocks > 0) {
        fold->params.epoch_span_us = 0;
        fold->params.epoch_blocks_min = cluster->options.epoch_blocks;
    }
    fold->validators = cluster->validators;
    fold->validator_count = cluster->options.validators;
    fold_genesis_make(fold);
}

static void make_disk(struct cluster *cluster, uint32_t at)
{
    struct machine *machine = &cluster->machines[at];
    *machine = (struct machine){
        .cluster = cluster, .at = at, .is_validator = at < cluster->options.validators, .key = at};
    if (cluster->options.doubled && at == cluster->options.validators) {
        machine->is_validator = true;
        machine->key = 0;
    }
    disk_open(&machine->disk);
    name_home(machine);
    if (!machine->is_validator) return;
    if (cluster->options.signers) machine->line = sim_line_make(cluster->signers[machine->key]);
    struct io io = disk_io(machine->disk);
    ok(node_format(&io, HOME, &cluster->fold.params, cluster->fold.genesis_id,
                   cluster->validators[machine->key].key, RING_BYTES),
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
    while (cluster->packet_count > 0) {
        free(heap_pop(cluster).bytes);
    }
    free(cluster->packets);
    free(cluster->fold.genesis_bytes);
    free(cluster);
}
