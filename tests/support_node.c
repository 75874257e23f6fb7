#include "tests/support_node.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "replica/node_internal.h"
#include "tools/audit.h"

#define BUSY_US        20     /* a poll with operations in flight */
#define POLLS_MAX      200000 /* of a life; a script needs some thousands */
#define SUBMIT_TIMEOUT 60000000
#define MEMO           "the memo makes a transfer longer, so that segments fill and roll soon ......"

static _Atomic uint64_t clock_us = CHAIN_TIME_US + 1000000;

uint64_t sn_now_us(void)
{
    return atomic_load(&clock_us);
}

static int64_t skew_us;

void sn_skew_set(int64_t skew)
{
    skew_us = skew;
}

uint64_t sn_seen_us(void)
{
    return (uint64_t)((int64_t)sn_now_us() + skew_us);
}

void sn_clock_set(uint64_t now_us)
{
    atomic_store(&clock_us, now_us);
}

static void ok(enum status status, const char *what)
{
    if (status != STATUS_OK) fail_msg("%s: %s", what, status_name(status));
}

/* ---- the world ---- */

static void sign_transfers(struct sn_world *world)
{
    static struct fold_tx tx;
    static uint8_t bytes[TX_BYTES_MAX];
    for (uint64_t i = 0; i < SN_TRANSFERS; i++) {
        struct sn_transfer *transfer = &world->transfers[i];
        fold_tx_start(&world->fold, &tx, &world->fold.keys[i % SN_SENDERS], i / SN_SENDERS);
        fold_tx_transfer(&tx, world->fold.keys[(i + 1) % SN_SENDERS].address, ASSET_COIN, 1 + i);
        tx.valid_until = 100000;
        tx.memo = MEMO MEMO MEMO;
        transfer->count = fold_tx_sign(&tx, bytes);
        transfer->bytes = malloc(transfer->count);
        assert_non_null(transfer->bytes);
        memcpy(transfer->bytes, bytes, transfer->count);
        hash_bytes(HASH_TRANSACTION, bytes, transfer->count, transfer->id);
    }
}

void sn_world_make(struct sn_world *world)
{
    struct fold *fold = &world->fold;
    ok(hash_init(), "hash_init");
    *world = (struct sn_world){0};
    for (uint64_t i = 0; i < CHAIN_KEYS; i++) {
        fold_key_make(i, &fold->keys[i]);
    }
    /* The genesis lists its accounts by address. */
    for (size_t i = 1; i < CHAIN_KEYS; i++) {
        for (size_t j = i;
             j > 0 && memcmp(fold->keys[j].address, fold->keys[j - 1].address, 32) < 0; j--) {
            struct fold_key key = fold->keys[j];
            fold->keys[j] = fold->keys[j - 1];
            fold->keys[j - 1] = key;
        }
    }
    fold_key_make(1000, &fold->validator);
    fold_params(&fold->params);
    fold->params.block_bytes_max = 4096;
    fold->params.tx_bytes_max = 2048;
    fold->params.uncommitted_max = 4;
    fold->params.segment_bytes = 65536;
    fold->params.epoch_span_us = 0;
    fold->params.epoch_blocks_min = SN_EPOCH_BLOCKS;
    fold_genesis_make(fold);
    sign_transfers(world);

    disk_open(&world->fresh);
    struct io io = disk_io(world->fresh);
    ok(io_mkdir(&io, SN_HOME), "mkdir");
    ok(io_mkdir(&io, SN_HOME "/validator"), "mkdir");
    ok(io_dir_sync(&io, "."), "dir_sync");
    ok(io_dir_sync(&io, SN_HOME), "dir_sync");
    ok(node_format(&io, SN_HOME, &fold->params, fold->genesis_id, fold->validator.key,
                   SN_RING_BYTES),
       "node_format");
}

void sn_world_free(struct sn_world *world)
{
    for (size_t i = 0; i < SN_TRANSFERS; i++) {
        free(world->transfers[i].bytes);
    }
    free(world->fold.genesis_bytes);
    disk_close(world->fresh);
}

/* ---- the witness ---- */

static void remember(struct sn_known *known, uint64_t number, uint64_t bound,
                     const uint8_t id[HASH_BYTES], const char *what)
{
    if (number >= bound)
        fail_msg("the test runs too long: %s %llu", what, (unsigned long long)number);
    if (known[number].is_set && memcmp(known[number].id, id, HASH_BYTES) != 0) {
        fail_msg("%s %llu has two different blocks", what, (unsigned long long)number);
    }
    known[number].is_set = true;
    memcpy(known[number].id, id, HASH_BYTES);
}

static uint64_t place_of(uint64_t epoch, uint64_t round)
{
    assert_true(round < SN_EPOCH_ROUNDS);
    return epoch * SN_EPOCH_ROUNDS + round;
}

struct seen_certified {
    struct sn_witness *witness;
    uint64_t certified_round;
};

/* A certificate of ours is our signature; one that was asked for counts as given. */
static void see_certified(void *context, const struct block *block)
{
    const struct seen_certified *seen = context;
    uint8_t id[HASH_BYTES];
    if (block->header.round > seen->certified_round) return;
    block_id_of(&block->header, id);
    uint64_t place = place_of(block->header.epoch, block->header.round);
    remember(seen->witness->votes, place, SN_ROUNDS_MAX, id, "round");
    if (place > seen->witness->signed_round) seen->witness->signed_round = place;
}

static void observe(struct sn_witness *witness, struct node *node)
{
    struct replica_view view;
    replica_view(node->replica, &view);
    bool asked = view.asked_round > view.high_qc_round;
    struct seen_certified seen = {witness, asked ? view.asked_round : view.high_qc_round};
    replica_branch(node->replica, NULL, see_certified, &seen);
    const struct node_head *head = &node->head;
    if (head->height > 0) {
        remember(witness->votes, place_of(head->epoch, head->round), SN_ROUNDS_MAX, head->block_id,
                 "round");
        remember(witness->committed, head->height, SN_HEIGHTS_MAX, head->block_id, "height");
    }
    if (head->height > witness->committed_height) witness->committed_height = head->height;
    struct head named;
    if (!head_published(node->head_file, &named)) return;
    if (named.mark.height < witness->published_height) return;
    witness->published_height = named.mark.height;
    witness->published_txs = node->waiting[named.mark.height % NODE_HEADS_KEPT].tx_total;
    memcpy(witness->published_id, named.mark.id, HASH_BYTES);
}

/* ---- a running node: at most one at a time ---- */

static struct running {
    struct io inner;
    struct io_driver driver;
    struct sn_life *life;
    const struct sn_script *script;
    uint64_t next_tx, next_height, polls;
    uint64_t waited, waited_votes; /* polls without room for a block; votes when that began */
    bool active, stopped;          /* in node_run; node_stop was called */
    bool sync_failed;              /* of the journal, and what was signed by then */
    uint64_t signed_round;

    /* the thread that submits */
    bool submitting;
    pthread_t thread;
    _Atomic bool submitted;
    enum status status;
    struct bytes txs[SN_BATCH_MAX];
    struct node_verdict verdicts[SN_BATCH_MAX];
    size_t tx_count;
    uint64_t tx_total; /* handed to the verify pool in this life */
} running;

static void *submit_main(void *context)
{
    (void)context;
    running.status = node_submit(running.life->node, running.txs, running.tx_count,
                                 running.verdicts, SUBMIT_TIMEOUT);
    atomic_store(&running.submitted, true);
    return NULL;
}

static void submit_join(void)
{
    if (!running.submitting) return;
    pthread_join(running.thread, NULL);
    running.submitting = false;
    if (running.status == STATUS_CLOSED) return;
    if (running.status == STATUS_NO_SPACE) { /* nothing was taken: once more */
        running.next_tx -= running.tx_count;
        running.tx_total -= running.tx_count;
        running.next_height = running.life->node->head.height + 1;
        running.life->refused++;
        return;
    }
    ok(running.status, "node_submit");
    for (size_t i = 0; i < running.tx_count; i++) {
        const struct node_verdict *verdict = &running.verdicts[i];
        /* Whether an old transfer was paid is asked of the disk, which may fail or lose its power. */
        if (verdict->status == STATUS_RANGE || verdict->status == STATUS_FULL ||
            verdict->status == STATUS_BAD_SIGNATURE) {
            fail_msg("a transfer was refused: %s %s", status_name(verdict->status),
                     outcome_name(verdict->outcome));
        }
    }
}

/* The loop goes on when the pool has verified the batch: its next turn takes all verdicts at once. */
static void submit_batch(void)
{
    struct node *node = running.life->node;
    const struct sn_script *script = running.script;
    running.tx_count = 0;
    while (running.tx_count < script->batch && running.next_tx < script->end_tx) {
        const struct sn_transfer *transfer = &running.life->world->transfers[running.next_tx++];
        running.txs[running.tx_count++] = (struct bytes){transfer->bytes, transfer->count};
    }
    running.tx_total += running.tx_count;
    running.submitting = true;
    atomic_store(&running.submitted, false);
    int error = pthread_create(&running.thread, NULL, submit_main, NULL);
    assert_int_equal(error, 0);
    struct verify_stats stats;
    do {
        sched_yield();
        verify_stats(node->verify, &stats);
    } while (stats.good_total + stats.bad_total < running.tx_total &&
             !atomic_load(&running.submitted));
}

/* A node that waits for room on the disk gets it, or is stopped. */
static void wait_for_room(struct node *node)
{
    enum node_space space = atomic_load(&node->space);
    running.life->spaces_seen |= UINT64_C(1) << space;
    running.waited = space == NODE_SPACE_STOPPED ? running.waited + 1 : 0;
    if (running.waited == 1) running.waited_votes = node->counters.votes;
    if (running.waited > 0 && node->counters.votes != running.waited_votes) {
        fail_msg("a node without room voted");
    }
    if (running.waited < SN_WAIT_POLLS || running.stopped) return;
    running.waited = 0;
    if (running.script->make_room) {
        running.script->make_room(running.life->disk);
    } else {
        running.stopped = true;
        node_stop(node);
    }
}

static void act(struct node *node)
{
    const struct sn_script *script = running.script;
    struct node_head published;
    node_head(node, &published);
    submit_join();
    if (script->each_poll) script->each_poll(running.life->disk, node->head.height);
    wait_for_room(node);
    if (running.next_tx < script->end_tx) {
        if (node->head.height < running.next_height) return;
        running.next_height = node->head.height + script->pause;
        submit_batch();
    } else if (published.tx_total >= script->total_txs && published.height >= script->stop_height &&
               !running.stopped) {
        running.stopped = true;
        node_stop(node);
    }
}

static enum status poll_hook(void *self, int64_t timeout_us, struct io_op **done, size_t done_max,
                             size_t *done_count)
{
    if (++running.polls > POLLS_MAX) fail_msg("the node does not stop");
    if (running.active) {
        observe(running.life->witness, running.life->node);
        act(running.life->node);
    }
    enum status status = running.inner.driver->poll(self, timeout_us, done, done_max, done_count);
    for (size_t i = 0; status == STATUS_OK && i < *done_count; i++) {
        const struct node_slot *slot = done[i]->owner;
        if (done[i]->status == STATUS_OK || slot->use != NODE_SLOT_JOURNAL_WRITE) continue;
        running.sync_failed = true;
        running.signed_round = running.life->witness->signed_round;
    }
    bool idle = status == STATUS_OK && *done_count == 0 && !running.submitting;
    atomic_fetch_add(&clock_us, idle && timeout_us > 0 ? (uint64_t)timeout_us : BUSY_US);
    return status;
}

static enum status dir_sync_hook(void *self, const char *path)
{
    enum status status = running.inner.driver->dir_sync(self, path);
    if (status != STATUS_OK) running.life->name_sync_failed = true;
    return status;
}

static void look(struct sn_life *life)
{
    life->height = life->node->head.height;
    life->tx_total = life->node->head.tx_total;
    life->segments = chain_position(life->node->chain).segment + 1;
    struct journal_stats journal;
    journal_stats(life->node->journal, &journal);
    life->journal_bytes = journal.written_bytes;
    life->journal_tail = journal.tail_seq;
    memcpy(life->id, life->node->head.block_id, HASH_BYTES);
    memcpy(life->root, life->node->head.state_root, HASH_BYTES);
}

void sn_open(struct sn_life *life, const struct sn_world *world, struct disk *disk,
             struct sn_witness *witness)
{
    *life = (struct sn_life){.world = world, .disk = disk, .witness = witness};
    running = (struct running){.inner = disk_io(disk), .life = life};
    running.driver = *running.inner.driver;
    running.driver.poll = poll_hook;
    running.driver.dir_sync = dir_sync_hook;
    struct io io = {.driver = &running.driver, .self = running.inner.self};
    struct node_options options = {
        .home = SN_HOME,
        .io = &io,
        .genesis = {world->fold.genesis_bytes, world->fold.genesis_count},
        .secret_key = world->fold.validator.secret,
        .mempool = {.txs_max = 1024,
                    .bytes_max = 1 << 20,
                    .per_sender_max = 256,
                    .nonce_gap_max = 64,
                    .replace_bump_bps = 1000},
        .verify_threads = 1,
        .full_checks = true,
        .space = world->space,
        .gather_us = 8000,
    };
    life->status = node_open(&life->node, &options, &life->why);
    if (life->status != STATUS_OK) {
        life->node = NULL;
        assert_non_null(life->why);
        return;
    }
    look(life);
}

void sn_run(struct sn_life *life, const struct sn_script *script)
{
    assert_ptr_equal(running.life, life);
    running.script = script;
    running.next_tx = script->first_tx;
    running.active = true;
    life->status = node_run(life->node);
    running.active = false;
    submit_join();
    observe(life->witness, life->node);
    if (running.sync_failed && life->witness->signed_round != running.signed_round) {
        fail_msg("a round was signed after a sync of the journal failed");
    }
    assert_true(!running.sync_failed || life->status != STATUS_OK);
    look(life);
    struct node_stats stats;
    node_stats(life->node, &stats);
    life->why = stats.stopped;
    assert_false(stats.signing);
    assert_int_equal(life->status == STATUS_OK, stats.stopped == NULL);
}

void sn_close(struct sn_life *life)
{
    node_close(life->node);
    life->node = NULL;
}

/* ---- checks ---- */

void sn_check_balances(const struct sn_life *life, uint64_t count)
{
    uint64_t balances[SN_SENDERS], nonces[SN_SENDERS] = {0};
    for (size_t i = 0; i < SN_SENDERS; i++) {
        balances[i] = CHAIN_AMOUNT;
    }
    for (uint64_t i = 0; i < count; i++) {
        balances[i % SN_SENDERS] -= CHAIN_FEE + 1 + i;
        balances[(i + 1) % SN_SENDERS] += 1 + i;
        nonces[i % SN_SENDERS]++;
    }
    for (size_t i = 0; i < SN_SENDERS; i++) {
        uint64_t nonce, balance;
        ledger_account(life->node->ledger, life->world->fold.keys[i].address, &nonce, &balance);
        assert_int_equal(nonce, nonces[i]);
        assert_int_equal(balance, balances[i]);
    }
}

void sn_check_chain(const struct sn_world *world, struct disk *disk,
                    const struct sn_witness *witness)
{
    struct io io = disk_io(disk);
    struct chain_reader *reader;
    struct chain_buffer buffer = {0};
    ok(chain_reader_open(&reader, &io, SN_LOG, world->fold.genesis_id), "chain_reader_open");
    for (uint64_t height = 1; height <= witness->committed_height; height++) {
        struct chain_record record;
        struct block block;
        uint8_t id[HASH_BYTES];
        if (!witness->committed[height].is_set) continue;
        ok(chain_read(reader, SEGMENT_CHAIN, height, &buffer, &record), "chain_read");
        ok(block_open(record.body.at, record.body.count, &block, id), "block_open");
        assert_memory_equal(id, witness->committed[height].id, HASH_BYTES);
    }
    chain_buffer_free(&buffer);
    chain_reader_close(reader);
}

void sn_check_audit(const struct sn_world *world, struct disk *disk, uint64_t txs, bool signatures)
{
    struct io io = disk_io(disk);
    struct audit_report report;
    struct audit_options options = {
        .io = &io,
        .log_dir = SN_LOG,
        .genesis = {world->fold.genesis_bytes, world->fold.genesis_count},
        .to = UINT64_MAX,
        .skip_signatures = !signatures,
    };
    ok(audit_run(&options, &report, NULL), "audit_run");
    if (report.violations > 0) {
        fail_msg("audit: height %llu: %s", (unsigned long long)report.fault_height, report.fault);
    }
    assert_int_equal(report.transactions, txs);
}
