/* What happens to a committed block, once and in this order: chain log, fold, receipts and events,
 * index, mempool. Replay at the start takes the same way without the chain log and the mempool. */
#include <assert.h>

#include "apply/event.h"
#include "apply/receipt.h"
#include "log/trace.h"
#include "replica/node_internal.h"
#include "replica/validators.h"

/* append_waiting repeats an append of the chain log while its buffers are full. */
static enum status append_block(struct node *node, struct bytes bytes, const uint8_t id[HASH_BYTES])
{
    enum status status;
    while ((status = chain_append(node->chain, bytes, id, node->params.segment_bytes)) ==
           STATUS_BUSY) {
        TRY(node_disk_make_room(node));
    }
    return status;
}

static enum status append_side(struct node *node, enum segment_kind kind, uint64_t height,
                               const uint8_t id[HASH_BYTES], struct bytes body, uint32_t count)
{
    if (chain_next_height(node->chain, kind) > height)
        return STATUS_OK; /* written before a restart */
    enum status status;
    while ((status = chain_append_side(node->chain, kind, height, id, body, count)) ==
           STATUS_BUSY) {
        TRY(node_disk_make_room(node));
    }
    return status;
}

enum status node_append_genesis_events(struct node *node)
{
    struct block_events events;
    struct bytes bytes = ledger_genesis_events(node->ledger);
    TRY(block_events_decode(bytes.at, bytes.count, &events));
    return append_side(node, SEGMENT_EVENTS, 0, node->genesis_id, bytes, events.events.count);
}

/* ---- roots that headers name ---- */

void node_root_keep(struct node *node, uint64_t height, const uint8_t root[HASH_BYTES])
{
    struct node_root *slot = &node->roots[height % NODE_ROOTS_KEPT];
    slot->height = height;
    slot->known = true;
    memcpy(slot->root, root, HASH_BYTES);
    slot->epoch_over = ledger_epoch_over(node_read_begin(node), slot->next_set_hash);
    node_read_end(node);
}

void node_root_tell(const struct node_root *slot, struct replica_input *executed)
{
    executed->epoch_over = slot->epoch_over;
    memcpy(executed->root, slot->root, HASH_BYTES);
    memcpy(executed->next_set_hash, slot->next_set_hash, HASH_BYTES);
}

/* check_anchor compares the root that a header certifies with the one computed here. */
static enum status check_anchor(struct node *node, const struct header *header)
{
    const struct node_root *slot = &node->roots[header->exec_height % NODE_ROOTS_KEPT];
    if (!slot->known || slot->height != header->exec_height) return STATUS_OK;
    if (memcmp(slot->root, header->exec_root, HASH_BYTES) == 0) return STATUS_OK;
    node->why = "the state computed here differs from the one that the chain certified";
    return STATUS_DIVERGED;
}

/* ---- mempool ---- */

static void settle_commands(struct node *node, const struct block *block,
                            const struct block_receipts *receipts)
{
    struct reader commands = list_reader(&block->body.commands);
    struct reader answers = list_reader(&receipts->receipts);
    for (uint32_t i = 0; i < block->body.commands.count; i++) {
        struct command command;
        struct receipt receipt;
        command_read(&commands, &command);
        receipt_read(&answers, &receipt);
        assert(commands.status == STATUS_OK && answers.status == STATUS_OK);
        mempool_commit(node->mempool, receipt.tx_id, outcome_paid((enum outcome)receipt.outcome));
    }
}

/* settle_accounts tells the mempool about every account whose balance or nonce the block changed: each
 * such change has a posting. Most of them are none of its senders. */
static void settle_accounts(struct node *node, const struct block_events *events)
{
    struct reader r = list_reader(&events->events);
    for (uint32_t i = 0; i < events->events.count; i++) {
        struct event event;
        event_read(&r, &event);
        struct reader p = list_reader(&event.postings);
        for (uint32_t j = 0; j < event.postings.count; j++) {
            struct posting posting;
            posting_read(&p, &posting);
            if (!mempool_knows(node->mempool, posting.address)) continue;
            uint64_t nonce, balance;
            ledger_account(node->ledger, posting.address, &nonce, &balance);
            mempool_account(node->mempool, posting.address, nonce, balance);
        }
    }
}

/* ---- the fold ---- */

/* fold applies the block under the exclusive lock; with `live` the mempool follows. */
static enum status fold(struct node *node, const struct block *block, const uint8_t id[HASH_BYTES],
                        size_t block_bytes, bool root_wanted, bool live,
                        struct ledger_result *result, uint8_t root[HASH_BYTES])
{
    struct block_receipts receipts;
    struct block_events events;
    uint64_t start = node_now_us();
    node_write_begin(node);
    enum status status = ledger_apply(node->ledger, block, id, block_bytes, result);
    if (status == STATUS_OK && root_wanted) status = ledger_root(node->ledger, root);
    if (status == STATUS_OK && live) {
        status = block_receipts_decode(result->receipts.at, result->receipts.count, &receipts);
        if (status == STATUS_OK) {
            status = block_events_decode(result->events.at, result->events.count, &events);
        }
        if (status == STATUS_OK) {
            settle_commands(node, block, &receipts);
            settle_accounts(node, &events);
            mempool_expire(node->mempool, block->header.height + 1);
        }
    }
    ledger_params(node->ledger, &node->params);
    node->counters.state_records = store_records(ledger_store(node->ledger));
    node_write_end(node);
    uint64_t end = node_now_us();
    if (end > start) node->counters.apply_us_total += end - start;
    node->counters.blocks_applied++;
    node->counters.quarantined += result->quarantined;
    return status;
}

static void advance_head(struct node *node, const struct block *block, const uint8_t id[HASH_BYTES],
                         const struct ledger_result *result)
{
    struct node_head *head = &node->head;
    head->height = block->header.height;
    head->time_us = block->header.time_us;
    head->epoch = block->header.epoch;
    head->round = block->header.round;
    memcpy(head->block_id, id, HASH_BYTES);
    head->certified_height = block->header.exec_height;
    head->tx_total += result->tx_count;
    head->event_total += result->event_count;
}

/* node_head_keep holds the finished head until the files of its height are durable. */
void node_head_keep(struct node *node)
{
    node->waiting[node->head.height % NODE_HEADS_KEPT] = node->head;
}

enum status node_fold_block(struct node *node, const struct block *block,
                            const uint8_t id[HASH_BYTES], size_t block_bytes, bool root_wanted,
                            bool live, uint8_t root[HASH_BYTES])
{
    struct ledger_result result;
    TRY(fold(node, block, id, block_bytes, root_wanted, live, &result, root));
    TRY(check_anchor(node, &block->header));
    TRY(append_side(node, SEGMENT_RECEIPTS, result.height, id, result.receipts,
                    result.tx_count + 1));
    TRY(append_side(node, SEGMENT_EVENTS, result.height, id, result.events, result.event_count));
    advance_head(node, block, id, &result);
    if (root_wanted) {
        node_root_keep(node, result.height, root);
        memcpy(node->head.state_root, root, HASH_BYTES);
    }
    node_head_keep(node);
    return STATUS_OK;
}

enum status node_commit_block(struct node *node, const struct replica_output *output,
                              struct replica_input *executed)
{
    struct block block;
    assert(output->height == node->head.height + 1);
    TRY(block_decode(output->bytes.at, output->bytes.count, &block));
    TRY(append_block(node, output->bytes, output->id));
    if (output->lsn != 0) node_held_add(node, output->height, output->lsn);
    *executed = (struct replica_input){.kind = INPUT_EXECUTED, .height = output->height};
    TRY(node_fold_block(node, &block, output->id, output->bytes.count, true, true, executed->root));
    node_root_tell(&node->roots[output->height % NODE_ROOTS_KEPT], executed);
    node_write_begin(node); /* the mempool's lock, too */
    node_branch_committed(node, output->height);
    node_write_end(node);
    if (block.header.flags & BLOCK_EPOCH_END) {
        enum status epoch = ledger_chain_epoch(node_read_begin(node), &node->epoch);
        node_read_end(node);
        TRY(epoch);
        executed->next = &node->epoch;
    }
    enum status status =
        index_add_block(node->index, chain_position(node->chain).segment, output->bytes);
    if (status != STATUS_OK) {
        /* The index is a convenience: the node goes on, and the next start rebuilds it. */
        TRACE(WARN, "replica", "index", "a block could not be indexed",
              trace_status("status", status), trace_u64("height", output->height));
    }
    TRACE(DEBUG, "replica", "commit", "block committed", trace_u64("height", output->height),
          trace_hex("block", output->id, HASH_BYTES));
    return STATUS_OK;
}

enum status node_tx_paid(struct node *node, const uint8_t id[HASH_BYTES], bool *paid)
{
    struct index_candidate places[INDEX_CANDIDATES_MAX];
    size_t count;
    *paid = false;
    TRY(index_candidates(node->index, id, places, &count));
    enum status status = STATUS_OK;
    struct chain_buffer buffer = {0};
    for (size_t i = 0; i < count && status == STATUS_OK && !*paid; i++) {
        struct chain_record record;
        struct block_receipts receipts;
        status = chain_read(node->reader, SEGMENT_RECEIPTS, places[i].height, &buffer, &record);
        /* Folded a moment ago: its receipt cannot be read before its height is published. */
        if (status == STATUS_NOT_FOUND) {
            status = STATUS_OK;
            *paid = true;
        } else if (status == STATUS_OK) {
            status = block_receipts_decode(record.body.at, record.body.count, &receipts);
            if (status != STATUS_OK) break;
            struct reader r = list_reader(&receipts.receipts);
            struct receipt receipt = {0};
            for (uint32_t j = 0; j <= places[i].position && j < receipts.receipts.count; j++) {
                receipt_read(&r, &receipt);
            }
            *paid = memcmp(receipt.tx_id, id, HASH_BYTES) == 0 &&
                    outcome_paid((enum outcome)receipt.outcome);
        }
    }
    chain_buffer_free(&buffer);
    return status;
}

/* ---- publication ---- */

static bool is_fresh(const struct node *node)
{
    uint64_t age_max = NODE_FRESH_US + 3 * node->params.heartbeat_us;
    return node->head.height > 0 && node->head.time_us + age_max >= node_now_us();
}

static bool is_member(const struct node *node)
{
    return validator_set_find(&node->epoch.set, node->key) >= 0;
}

static void copy_stats(struct node *node, struct node_stats *out)
{
    struct mempool_stats pool;
    struct journal_stats journal;
    mempool_stats(node->mempool, &pool);
    journal_stats(node->journal, &journal);
    struct replica_view view;
    replica_view(node->replica, &view);
    const struct node_counters *c = &node->counters;
    enum node_space space = atomic_load(&node->space);
    *out = (struct node_stats){
        .journal_groups = journal.group_count,
        .journal_bytes = journal.written_bytes,
        .journal_syncs = c->journal_syncs,
        .journal_sync_us_total = c->journal_sync_us_total,
        .journal_sync_us_max = c->journal_sync_us_max,
        .chain_bytes = chain_position(node->chain).offset,
        .chain_segments = chain_position(node->chain).segment + 1,
        .mempool_txs = pool.txs,
        .mempool_bytes = pool.bytes,
        .mempool_rejected = c->mempool_rejected,
        .mempool_evicted = pool.evicted_total,
        .mempool_expired = pool.expired_total,
        .verified = c->verified,
        .verify_failed = c->verify_failed,
        .apply_us_total = c->apply_us_total,
        .blocks_applied = c->blocks_applied,
        .state_records = c->state_records,
        .rounds = c->rounds,
        .current_round = view.round,
        .signed_round = view.signed_round,
        .high_qc_round = view.high_qc_round,
        .uncommitted = view.uncommitted_count,
        .timeouts = c->timeouts,
        .evidence = c->evidence,
        .gossip_dropped = c->gossip_dropped,
        .compact_sent = c->compact_sent,
        .compact_spared_bytes = c->compact_spared_bytes,
        .compact_rebuilt = c->compact_rebuilt,
        .compact_asked = c->compact_asked,
        .compact_whole = c->compact_whole,
        .peers = c->peers,
        .validators = node->epoch.set.count,
        .state = view.state,
        .syncing = view.syncing,
        .fresh = is_fresh(node),
        .proposals = c->proposals,
        .votes = c->votes,
        .quarantined = c->quarantined,
        .free_bytes = node->free_bytes,
        .space = space,
        .start_us = node->start_us,
        .replay_blocks = c->replay_blocks,
        .replay_target = c->replay_target,
        .ready = node->signing && !atomic_load(&node->stopping),
        .signing = node->signing && is_member(node) && !view.halted && space < NODE_SPACE_STOPPED,
        .io_name = node->io.driver->name,
        .stopped = node->why,
    };
    memcpy(out->sign_answers, c->sign_answers, sizeof out->sign_answers);
}

/* node_publish lets readers see what can be read by now. The state itself may be some blocks ahead: what
 * is read under the state lock carries its own height. */
void node_publish(struct node *node)
{
    struct log_mark mark;
    bool any = chain_written_mark(node->chain, &mark);
    bool moved = any && (!node->is_published || mark.height > node->published.height);
    struct node_stats stats;
    copy_stats(node, &stats);
    if (moved) chain_reader_follow(node->reader, &mark);
    pthread_mutex_lock(&node->head_lock);
    node->stats_copy = stats;
    if (moved) {
        node->published = node->waiting[mark.height % NODE_HEADS_KEPT];
        assert(node->published.height == mark.height);
        node->is_published = true;
        pthread_cond_broadcast(&node->head_moved);
    }
    pthread_mutex_unlock(&node->head_lock);
}
