/* The loop: everything that happens, happens here, one thing after the other.
 *
 *   completions, verdicts, timer --> inputs --> replica_step --> outputs --> journal, fold, files
 *
 * An output may cause an input (a signature, an executed block); such inputs wait in a queue until the
 * outputs of the present step are all handled, because those borrow the core's memory. */
#include <assert.h>
#include <errno.h>

#include "log/trace.h"
#include "replica/node_internal.h"

#define POLL_MAX_US     100000
#define COMPLETIONS_MAX 64
#define CLOCK_SLACK_US  1000000

void node_queue(struct node *node, const struct replica_input *input)
{
    assert(node->input_count < NODE_INPUTS_MAX);
    node->inputs[(node->input_first + node->input_count++) % NODE_INPUTS_MAX] = *input;
}

/* gather_us answers how long a body had better wait for company. A block costs two signatures, their
 * checks and a sync whatever it carries, so one that would carry little so shortly after another one
 * waits; one that is full, or carries nothing and only certifies, does not. */
static uint64_t gather_us(const struct node *node)
{
    struct mempool_stats pool;
    uint64_t due = node->gathered_us + node->options.gather_us, now = node_steady_us();
    if (!node->body_wanted || now >= due || !mempool_waiting(node->mempool)) return 0;
    mempool_stats(node->mempool, &pool);
    return pool.bytes < node->body_bytes ? due - now : 0;
}

static void add_late_vote(void *context, const struct vote *vote)
{
    (void)system_batch_add_late_vote(context, vote); /* what has no place is not counted */
}

/* fill_body: system records first, transactions in the room that is left. */
static enum status fill_body(struct node *node, size_t *count, uint32_t *txs)
{
    struct system_batch *batch = &node->batch;
    size_t room = (size_t)node->body_bytes, plain;
    TRY(node_branch_hold(node));
    system_batch_init(batch, room - BODY_EMPTY_BYTES);
    evidence_pool_pick(&node->evidence, node->ledger, batch);
    replica_late_votes(node->replica, add_late_vote, batch);
    mempool_pick(node->mempool, node->body_height, node->params.block_gas_max, node->body_plain,
                 room - system_batch_bytes(batch), &plain, txs, node->body_txs);
    return body_with_system(batch, (struct bytes){node->body_plain, plain}, node->body, room,
                            count);
}

static enum status pick_body(struct node *node, size_t *count, uint32_t *txs)
{
    const struct body empty = {0};
    enum status status = STATUS_FULL;
    if (node->body_bytes > BODY_EMPTY_BYTES) {
        node_write_begin(node);
        status = fill_body(node, count, txs);
        node_write_end(node);
    }
    /* More stands in uncommitted blocks than the mempool can keep apart: until some are committed. */
    if (status == STATUS_FULL) status = body_encode(&empty, node->body, BODY_EMPTY_BYTES, count);
    return status;
}

/* give_body fills a proposal, if one is asked for and journal and disk have room for it. */
static enum status give_body(struct node *node)
{
    if (!node->body_wanted || gather_us(node) > 0 || !node_disk_has_room(node) ||
        !node_space_allows_block(node))
        return STATUS_OK;
    size_t count = 0;
    uint32_t txs = 0;
    TRY(pick_body(node, &count, &txs));
    if (txs > 0) node->gathered_us = node_steady_us();
    node->body_wanted = false;
    node->counters.proposals++;
    TRY(node_branch_own(node, node->body_txs, txs));
    node_queue(node, &(struct replica_input){.kind = INPUT_BODY, .body = {node->body, count}});
    return STATUS_OK;
}

static void want_body(struct node *node, const struct replica_output *output)
{
    uint64_t room = node->genesis.params.block_bytes_max;
    struct replica_view view;
    replica_view(node->replica, &view);
    node->body_wanted = true;
    node->body_epoch = view.epoch;
    node->body_round = view.round;
    node->body_height = output->height;
    node->body_bytes = output->body_bytes_max < room ? output->body_bytes_max : room;
}

static enum status commit(struct node *node, const struct replica_output *output)
{
    struct replica_input executed;
    TRY(node_commit_block(node, output, &executed));
    node_queue(node, &executed);
    return STATUS_OK;
}

/* clock_us is the time that the core sees: the wall clock, but never back, and never before the newest
 * block. Where the wall clock steps back, time goes on at half its rate until that has caught up: the
 * chain does not stop, and what it was ahead melts away. */
static uint64_t clock_us(struct node *node)
{
    uint64_t steady = node_steady_us(), wall = node_now_us();
    uint64_t slow = node->clock_us + (steady - node->clock_steady_us) / 2;
    if (node->clock_steady_us == 0) slow = node->head.time_us;
    uint64_t now = wall > slow ? wall : slow;
    bool ahead = now > wall + CLOCK_SLACK_US;
    if (ahead && !node->clock_ahead) {
        TRACE(WARN, "replica", "clock",
              "the clock is behind the chain: block times run ahead of it",
              trace_u64("seconds", (now - wall) / 1000000));
    }
    node->clock_ahead = ahead;
    node->clock_us = now;
    node->clock_steady_us = steady;
    return now;
}

static enum status handle(struct node *node, const struct replica_output *output)
{
    switch (output->kind) {
    case OUTPUT_TIMER: node->timer_us = output->time_us; return STATUS_OK;
    case OUTPUT_PROPOSE_BODY: want_body(node, output); return STATUS_OK;
    case OUTPUT_SIGN: return node_sign_ask(node, output);
    case OUTPUT_APPEND: return node_disk_append(node, output);
    case OUTPUT_COMMIT: return commit(node, output);
    case OUTPUT_EPOCH:
        TRACE(INFO, "replica", "epoch", "a new epoch runs", trace_u64("epoch", output->tag));
        return STATUS_OK;
    case OUTPUT_SEND: node_net_send(node, output); return STATUS_OK;
    case OUTPUT_VERIFY: return node_check_signatures(node, output);
    case OUTPUT_CHECK_BODY: return node_check_body(node, output);
    case OUTPUT_SERVE: node_net_serve(node, output); return STATUS_OK;
    case OUTPUT_EVIDENCE:
        node->counters.evidence++;
        node_net_evidence(node, output->bytes);
        return STATUS_OK;
    case OUTPUT_BLAME:
        if (node->net.driver) node->net.driver->blame(node->net.self, output->peer, output->text);
        return STATUS_OK;
    case OUTPUT_ALARM: node->why = output->text; return STATUS_DIVERGED;
    }
    return STATUS_OK;
}

static enum status handle_outputs(struct node *node)
{
    for (size_t i = 0; i < node->outputs.count; i++) {
        TRY(handle(node, &node->outputs.item[i]));
    }
    return STATUS_OK;
}

/* tell_journal: what every group repeats from now on, so that whoever replaces a damaged journal knows what
 * to sign above. */
static void tell_journal(struct node *node)
{
    struct replica_view view;
    if (node->outputs.count == 0 || !node->journal) return;
    replica_view(node->replica, &view);
    if (view.round > node->round_seen) node->counters.rounds += view.round - node->round_seen;
    node->round_seen = view.round;
    struct journal_safety safety = {
        .epoch = view.epoch, .signed_round = view.signed_round, .lock_round = view.lock_round};
    journal_set_safety(node->journal, &safety);
}

static enum status step_once(struct node *node, struct replica_input *input)
{
    input->now_us = clock_us(node);
    input->commands_waiting = mempool_waiting(node->mempool) || node->evidence.count > 0;
    TRY(replica_step(node->replica, input, &node->outputs));
    tell_journal(node);
    return handle_outputs(node);
}

static enum status run_queue(struct node *node)
{
    while (node->input_count > 0) {
        struct replica_input next = node->inputs[node->input_first];
        node->input_first = (node->input_first + 1) % NODE_INPUTS_MAX;
        node->input_count--;
        TRY(step_once(node, &next));
        if (node->input_count == 0) TRY(give_body(node));
    }
    return STATUS_OK;
}

enum status node_step(struct node *node, const struct replica_input *input)
{
    node_queue(node, input);
    return run_queue(node);
}

enum status node_handle_outputs(struct node *node)
{
    TRY(handle_outputs(node));
    return run_queue(node);
}

static enum status step_at(struct node *node, enum replica_input_kind kind)
{
    return node_step(node, &(struct replica_input){.kind = kind});
}

/* take_verdicts admits what the verify pool has finished and tells the core when there is work again. */
static enum status take_verdicts(struct node *node, bool *busy)
{
    *busy = node_judge_verified(node);
    bool waiting = mempool_waiting(node->mempool);
    bool news = waiting && !node->was_waiting;
    node->was_waiting = waiting;
    return news ? step_at(node, INPUT_COMMANDS) : STATUS_OK;
}

static enum status take_timer(struct node *node)
{
    if (node->timer_us == 0 || clock_us(node) < node->timer_us) return STATUS_OK;
    node->timer_us = 0;
    return step_at(node, INPUT_TICK);
}

static enum status take_completions(struct node *node, int64_t timeout_us)
{
    struct io_op *done[COMPLETIONS_MAX];
    size_t count;
    TRY(io_poll(&node->io, timeout_us, done, COMPLETIONS_MAX, &count));
    return node_disk_complete_all(node, done, count);
}

static void take_notices(struct node *node)
{
    struct mempool_notice notice;
    while (mempool_take_notice(node->mempool, &notice)) {
        node_note_failed(node, notice.id, notice.reason);
    }
}

static int64_t sleep_us(struct node *node)
{
    uint64_t now = clock_us(node), until = now + POLL_MAX_US;
    if (node->timer_us != 0 && node->timer_us < until) until = node->timer_us;
    uint64_t wait = until > now ? until - now : 0, gather = gather_us(node);
    uint64_t steady = node_steady_us();
    uint64_t due = node->net_due_us < node->chain_sync_us ? node->net_due_us : node->chain_sync_us;
    if (due < steady + wait) wait = due > steady ? due - steady : 0;
    return (int64_t)(gather > 0 && gather < wait ? gather : wait);
}

/* pump hands the disk what is to be written, and proposes. What a proposal appends goes out in the same turn: the
 * loop may sleep behind it. */
static enum status pump(struct node *node)
{
    for (;;) {
        TRY(node_disk_pump(node));
        if (!node->body_wanted) return STATUS_OK;
        TRY(give_body(node));
        if (node->body_wanted) return STATUS_OK; /* it waits: for company, or for room */
        TRY(run_queue(node));
    }
}

/* One pass of the loop: what has come in, what is due, what goes out, then at most `wait_us` of
 * sleep. */
enum status node_turn(struct node *node, uint64_t wait_us)
{
    bool busy = false, is_signed = false;
    node->checked_here = 0;
    TRY(node_net_take(node, &busy));
    TRY(node_sign_take(node, &is_signed));
    if (is_signed) TRY(run_queue(node));
    bool checked = false;
    TRY(node_check_take(node, &checked));
    if (checked) TRY(run_queue(node));
    TRY(take_verdicts(node, &busy));
    TRY(take_timer(node));
    take_notices(node);
    node_space_watch(node);
    TRY(pump(node));
    node_publish(node);
    TRY(node_net_pump(node));
    uint64_t sleep = busy ? 0 : (uint64_t)sleep_us(node);
    return take_completions(node, (int64_t)(sleep < wait_us ? sleep : wait_us));
}

/* drain takes back what is in flight, then leaves nothing that the next start would have to mend. */
static enum status drain(struct node *node)
{
    while (!node_disk_idle(node)) {
        TRY(take_completions(node, POLL_MAX_US));
    }
    TRY(node_disk_stop(node));
    node_publish(node);
    return STATUS_OK;
}

static void warn_of_no_tolerance(const struct node *node)
{
    const struct validator_set *set = &node->epoch.set;
    uint64_t spare = set->total - quorum_weight(set), least = UINT64_MAX;
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->power[i] < least) least = set->power[i];
    }
    if (set->count > 1 && spare < least)
        TRACE(WARN, "replica", "quorum",
              "no fault is tolerated: one validator that stops, stops the chain",
              trace_u64("validators", set->count), trace_u64("power", set->total),
              trace_u64("quorum", quorum_weight(set)));
}

enum status node_begin(struct node *node)
{
    TRACE(INFO, "replica", "start", "the loop runs", trace_string("io", node->io.driver->name),
          trace_u64("height", node->head.height), trace_u64("validators", node->epoch.set.count));
    warn_of_no_tolerance(node);
    node->signing = true;
    node_space_watch(node);
    return step_at(node, INPUT_START);
}

enum status node_end(struct node *node, enum status status)
{
    if (node->net.driver) node->net.driver->stop(node->net.self);
    if (status == STATUS_OK) status = drain(node);
    node->signing = false;
    if (status != STATUS_OK) {
        if (!node->why) node->why = status_text(status);
        TRACE(ERROR, "replica", "stop", "the loop stops and signs nothing more",
              trace_status("status", status), trace_string("why", node->why));
    }
    atomic_store(&node->stopping, true);
    node_publish(node);
    pthread_mutex_lock(&node->head_lock);
    atomic_store(&node->stopped, true);
    pthread_cond_broadcast(&node->head_moved);
    pthread_mutex_unlock(&node->head_lock);
    node_reject_all(node);
    return status;
}

enum status node_run(struct node *node)
{
    enum status status = node_begin(node);
    while (status == STATUS_OK && !atomic_load(&node->stopping)) {
        status = node_turn(node, POLL_MAX_US);
    }
    return node_end(node, status);
}
