/* From a cold disk to a node that may sign, in one direction:
 *
 *   superblock and journal --> chain log, cut to what holds --> state by replay --> receipts, events,
 *   head and index caught up --> consensus core: last blocks, roots, journal records
 *
 * Nothing here signs. A block that the journal proves committed and the chain log lacks is committed
 * again, byte for byte the same. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/trace.h"
#include "replica/node_internal.h"
#include "replica/validators.h"

#define PROGRESS_US 2000000

static enum status path_of(const struct node *node, const char *below, char out[IO_PATH_MAX])
{
    int length = snprintf(out, IO_PATH_MAX, "%s/%s", node->options.home, below);
    return length > 0 && length < IO_PATH_MAX ? STATUS_OK : STATUS_RANGE;
}

/* make_folders makes what is missing, names durable: a synced file is lost with its folder. */
static enum status make_folders(struct node *node)
{
    static const char *const FOLDERS[] = {"data", "data/log", "data/index", "data/index/tx", "run"};
    static const char *const PARENTS[] = {"", "data", "data/index"};
    char path[IO_PATH_MAX];
    for (size_t i = 0; i < sizeof FOLDERS / sizeof FOLDERS[0]; i++) {
        TRY(path_of(node, FOLDERS[i], path));
        TRY(io_mkdir(&node->io, path));
    }
    for (size_t i = 0; i < sizeof PARENTS / sizeof PARENTS[0]; i++) {
        TRY(path_of(node, PARENTS[i], path));
        TRY(io_dir_sync(&node->io, path));
    }
    char lock[IO_PATH_MAX];
    TRY(path_of(node, "data/LOCK", lock));
    TRY(io_open(&node->io, lock, IO_OPEN_CREATE | IO_OPEN_WRITE, &node->lock_file));
    return io_lock(&node->io, node->lock_file);
}

static void on_alarm(void *context, const char *invariant, uint64_t height, const char *text)
{
    (void)context;
    TRACE(ERROR, "apply", "invariant", text, trace_string("invariant", invariant),
          trace_u64("height", height));
}

static enum status open_ledger(struct node *node)
{
    struct ledger_options options = {
        .view_bytes_max = node->options.view_bytes_max,
        .full_checks = node->options.full_checks,
        .alarm = on_alarm,
        .alarm_context = node,
    };
    TRY(ledger_open(&node->ledger, &node->genesis, &options));
    ledger_params(node->ledger, &node->params);
    node->counters.state_records = store_records(ledger_store(node->ledger));
    uint8_t root[HASH_BYTES];
    TRY(ledger_root(node->ledger, root));
    node_root_keep(node, 0, root);
    memcpy(node->head.block_id, node->genesis_id, HASH_BYTES);
    memcpy(node->head.state_root, root, HASH_BYTES);
    node->head.time_us = node->genesis.time_us;
    node_head_keep(node);
    return STATUS_OK;
}

static enum status open_chain(struct node *node, const struct log_mark *hint, const char **why)
{
    char path[IO_PATH_MAX];
    struct chain_opened opened;
    TRY(path_of(node, "data/log", path));
    enum status status = chain_open(&node->chain, &node->io, path, node->genesis_id, hint, &opened);
    if (status == STATUS_CORRUPT) {
        *why = "the chain log is damaged below its durable end";
        TRACE(ERROR, "replica", "start", *why, trace_u64("segment", opened.fault_segment),
              trace_u64("offset", opened.fault_offset), trace_u64("height", opened.height),
              trace_u64("durable", hint->height));
    }
    if (status == STATUS_WRONG_CHAIN) *why = "the chain log belongs to another chain";
    TRY(status);
    if (opened.cut_bytes[SEGMENT_CHAIN] > 0) {
        TRACE(INFO, "replica", "start", "an unfinished block was cut from the chain log",
              trace_u64("bytes", opened.cut_bytes[SEGMENT_CHAIN]));
    }
    if (opened.behind) {
        TRACE(WARN, "replica", "start", "the chain log is older than it was once",
              trace_u64("height", opened.height), trace_u64("durable", hint->height));
        status = node_disk_chain_is_behind(node);
        if (status != STATUS_OK) *why = "the journal's superblock cannot be written";
    }
    return status;
}

/* ---- replay ---- */

static void show_progress(struct node *node, uint64_t height, uint64_t *shown_us)
{
    uint64_t now = node_now_us();
    node->counters.replay_blocks = height;
    if (now < *shown_us + PROGRESS_US) return;
    uint64_t spent = now - node->start_us, target = node->counters.replay_target;
    uint64_t left = height == 0 ? 0 : (uint64_t)((u128)spent * (target - height) / height);
    *shown_us = now;
    TRACE(INFO, "replica", "replay", "refolding the log", trace_u64("height", height),
          trace_u64("target", target), trace_u64("seconds_left", left / 1000000));
}

/* replay_block folds the block that follows the head: whole, under its id, and the child of the one before. */
static enum status replay_block(struct node *node, const struct chain_record *record,
                                bool root_wanted)
{
    struct block block;
    uint8_t root[HASH_BYTES];
    TRY(chain_block_open(record->body, record->id, &block));
    bool follows = block.header.height == record->height &&
                   memcmp(block.header.parent_id, node->head.block_id, HASH_BYTES) == 0;
    if (!follows) return STATUS_CORRUPT;
    return node_fold_block(node, &block, record->id, record->body.count, root_wanted, false, root);
}

static enum status replay(struct node *node, struct chain_reader *reader)
{
    uint64_t target = chain_height(node->chain), shown_us = node_now_us();
    struct chain_buffer buffer = {0};
    enum status status = STATUS_OK;
    node->counters.replay_target = target;
    for (uint64_t height = 1; height <= target && status == STATUS_OK; height++) {
        struct chain_record record;
        bool near = target - height <= REPLICA_RECOVER_BLOCKS;
        status = chain_read(reader, SEGMENT_CHAIN, height, &buffer, &record);
        if (status == STATUS_OK) status = replay_block(node, &record, near);
        show_progress(node, height, &shown_us);
    }
    chain_buffer_free(&buffer);
    return status;
}

/* ---- the consensus core ---- */

static enum status open_replica(struct node *node)
{
    struct replica_config *config = calloc(1, sizeof *config);
    if (!config) return STATUS_NO_MEMORY;
    memcpy(config->genesis_id, node->genesis_id, HASH_BYTES);
    memcpy(config->key, node->key, sizeof config->key); /* zero is in no set */
    config->reserve_body_bytes = BLOCK_BYTES_MAX;
    config->timeout_us = NODE_TIMEOUT_US;
    config->timeout_max_us = NODE_TIMEOUT_MAX_US;
    config->drift_us = NODE_DRIFT_US;
    config->guard_us = NODE_GUARD_US;
    enum status status = ledger_chain_epoch(node->ledger, &config->epoch);
    node->epoch = config->epoch;
    if (status == STATUS_OK) status = replica_open(&node->replica, config);
    free(config);
    return status;
}

static enum status recover_blocks(struct node *node, struct chain_reader *reader)
{
    struct epoch_record epoch;
    ledger_epoch(node->ledger, &epoch);
    uint64_t head = chain_height(node->chain);
    uint64_t first = head > REPLICA_RECOVER_BLOCKS ? head - REPLICA_RECOVER_BLOCKS + 1 : 1;
    if (first <= epoch.base_height) first = epoch.base_height + 1;
    struct chain_buffer buffer = {0};
    enum status status = STATUS_OK;
    for (uint64_t height = first; height <= head && status == STATUS_OK; height++) {
        struct chain_record record;
        struct block block;
        status = chain_read(reader, SEGMENT_CHAIN, height, &buffer, &record);
        if (status == STATUS_OK) status = chain_block_open(record.body, record.id, &block);
        if (status == STATUS_OK)
            status = replica_recover_committed(node->replica, &block, record.id);
    }
    chain_buffer_free(&buffer);
    for (uint64_t height = first - 1; height <= head && status == STATUS_OK; height++) {
        struct replica_input executed = {.kind = INPUT_EXECUTED, .height = height};
        const struct node_root *slot = &node->roots[height % NODE_ROOTS_KEPT];
        assert(slot->known && slot->height == height);
        node_root_tell(slot, &executed);
        status = node_step(node, &executed);
    }
    return status;
}

/* hold_uncommitted keeps the commands of blocks above the head out of the next proposals. */
static void hold_uncommitted(void *context, const struct block *block)
{
    struct node *node = context;
    struct reader r = list_reader(&block->body.commands);
    for (uint32_t i = 0; i < block->body.commands.count; i++) {
        struct command command;
        uint8_t id[HASH_BYTES];
        command_read(&r, &command);
        hash_bytes(HASH_TRANSACTION, command.bytes.at, command.bytes.count, id);
        enum status status = mempool_hold(node->mempool, id);
        assert(status == STATUS_OK); /* far fewer than MEMPOOL_HELD_MAX after a start */
    }
}

static enum status recover_core(struct node *node, struct chain_reader *reader, const char **why)
{
    *why = "the journal contradicts the chain log";
    TRY(open_replica(node));
    TRY(recover_blocks(node, reader));
    TRY(node_disk_recover_records(node));
    replica_branch(node->replica, NULL, hold_uncommitted, node);
    return STATUS_OK;
}

/* ---- all of it ---- */

static enum status catch_up(struct node *node, struct chain_reader *reader, const char **why)
{
    *why = "the log cannot be refolded";
    TRY(node_append_genesis_events(node));
    TRY(replay(node, reader));
    *why = "the chain log cannot be written";
    TRY(node_disk_settle(node));
    *why = "the transaction index cannot be built";
    char path[IO_PATH_MAX];
    TRY(path_of(node, "data/index/tx", path));
    TRY(index_open(&node->index, &node->io, path, node->genesis_id));
    TRY(index_rebuild(node->index, reader));
    return recover_core(node, reader, why);
}

enum status node_recover(struct node *node, const char **why)
{
    char path[IO_PATH_MAX];
    struct log_mark hint = {0};
    *why = "not enough memory";
    node->waiting = calloc(NODE_HEADS_KEPT, sizeof *node->waiting);
    if (!node->waiting) return STATUS_NO_MEMORY;
    *why = "the data directory is in use or cannot be written";
    TRY(make_folders(node));
    *why = "the state of the genesis cannot be built";
    TRY(open_ledger(node));
    TRY(node_disk_open(node, &hint, why));
    *why = "the chain log cannot be opened";
    TRY(open_chain(node, &hint, why));
    TRY(path_of(node, "data/log", path));
    TRY(head_open(&node->head_file, &node->io, path, node->genesis_id));

    struct chain_reader *reader; /* reads up to the writer's end, not to the published head */
    TRY(chain_reader_open(&reader, &node->io, path, node->genesis_id));
    enum status status = chain_reader_limit(reader, chain_height(node->chain));
    if (status == STATUS_OK) status = catch_up(node, reader, why);
    chain_reader_close(reader);
    TRY(status);
    *why = "the head cannot be published";
    TRY(node_disk_settle(node));
    TRY(node_disk_publish_now(node));
    TRY(chain_reader_open(&node->reader, &node->io, path, node->genesis_id));
    node_publish(node);
    return node_net_open(node, why);
}
